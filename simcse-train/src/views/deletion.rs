//! Word deletion.

use simcse_tensor::rng::{Philox, share};

use crate::step::own_tokens::OwnTokens;

/// Where dropout's counters have the number of a place in the model: one that no model has.
const SITE: u32 = u16::MAX as u32 - 2;

/// Word deletion (SimCSE, Gao et al. 2021, table 1), from both views: each word of a sentence, with
/// all of its tokens, is left out with a probability, but never all of them. Special tokens and
/// those of prompt and template stay.
///
/// The random numbers are blocks of Philox at the counter `(p, example, SITE · 2¹⁶ + view, epoch)`
/// for the word that begins at position `p`.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    pub(super) probability: f64,
    pub(super) own: OwnTokens,
    /// For each token id, whether it continues the word of the token in front of it.
    pub(super) continues: Vec<bool>,
    pub(super) philox: Philox,
}

impl Deletion {
    /// View `view` of example `number`, whose token ids are `ids`.
    pub(super) fn apply(&self, ids: &[u32], epoch: u32, number: u32, view: usize) -> Vec<u32> {
        let draw =
            |position: usize| share(self.philox.block([position as u32, number, (SITE << 16) + view as u32, epoch])[0]);
        // The draw of the word that each of the text's own tokens belongs to.
        let mut draws = vec![None; ids.len()];
        let mut last = None;
        for position in self.own.positions(ids) {
            let begins = last.is_none_or(|last| last + 1 != position) || !self.continues[ids[position] as usize];
            draws[position] = if begins { Some(draw(position)) } else { draws[position - 1] };
            last = Some(position);
        }
        let most = draws.iter().flatten().copied().fold(0.0, f64::max);
        let stays = |draw: Option<f64>| draw.is_none_or(|draw| draw >= self.probability || draw == most);
        ids.iter().zip(draws).filter(|&(_, draw)| stays(draw)).map(|(&id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: u32 = 9;

    /// Tokens from 50 on continue a word.
    fn deletion(probability: f64) -> Deletion {
        let special = (0..100).map(|id| [0, 1, SPECIAL].contains(&id)).collect();
        let own = OwnTokens { special, around: (1, 1) };
        let continues = (0..100).map(|id| id >= 50).collect();
        Deletion { probability, own, continues, philox: Philox::new(5) }
    }

    /// Over 20,000 sentences, each word of both views is deleted as often as it should be: within
    /// five standard errors. A word's tokens stay or go together.
    #[test]
    fn each_word_is_deleted_with_the_probability() {
        const EXAMPLES: u32 = 20_000;
        const PROBABILITY: f64 = 0.3;
        let ids = [0, 10, 11, 51, 52, 12, 13, 53, 14, 1];
        for view in 0..2 {
            let mut deleted = [0; 5];
            for number in 0..EXAMPLES {
                let left = deletion(PROBABILITY).apply(&ids, 0, number, view);
                let has = |id| left.contains(&id);
                assert!(has(0) && has(1) && has(11) == has(51) && has(11) == has(52) && has(13) == has(53));
                (0..5).for_each(|word| deleted[word as usize] += u32::from(!has(10 + word)));
            }
            let error = (f64::from(EXAMPLES) * PROBABILITY * (1.0 - PROBABILITY)).sqrt();
            // All five words would be deleted in 0.2% of the cases; in these, one of them stays.
            let expected = f64::from(EXAMPLES) * (PROBABILITY - PROBABILITY.powi(5) / 5.0);
            assert!(deleted.iter().all(|&found| (f64::from(found) - expected).abs() < 5.0 * error), "{deleted:?}");
        }
    }

    #[test]
    fn a_word_always_stays_and_what_is_around_a_text_too() {
        for number in 0..100 {
            let left = deletion(1.0).apply(&[0, 10, 51, SPECIAL, 52, 11, 1], 0, number, 0);
            assert!([vec![0, 10, 51, SPECIAL, 1], vec![0, SPECIAL, 52, 1], vec![0, SPECIAL, 11, 1]].contains(&left));
        }
        let own = OwnTokens { around: (3, 2), ..deletion(1.0).own };
        let prompted = Deletion { own, ..deletion(1.0) };
        assert_eq!(prompted.apply(&[0, 10, 11, 12, 13, 1], 0, 3, 1), [0, 10, 11, 12, 13, 1]);
        assert_eq!(deletion(0.5).apply(&[0, 1], 0, 3, 0), [0, 1]);
    }

    #[test]
    fn a_view_is_a_function_of_seed_epoch_example_and_number() {
        let ids: Vec<u32> = [0].into_iter().chain(10..40).chain([1]).collect();
        let of = |seed, epoch, number, view| {
            Deletion { philox: Philox::new(seed), ..deletion(0.5) }.apply(&ids, epoch, number, view)
        };
        assert_eq!(of(1, 0, 0, 0), of(1, 0, 0, 0));
        for other in [of(2, 0, 0, 0), of(1, 1, 0, 0), of(1, 0, 1, 0), of(1, 0, 0, 1)] {
            assert_ne!(of(1, 0, 0, 0), other);
        }
    }
}
