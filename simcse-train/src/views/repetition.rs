//! Word repetition.

use simcse_tensor::rng::Philox;

use crate::step::own_tokens::OwnTokens;

/// Where dropout's counters have the number of a place in the model: one that no model has.
const SITE: u32 = u16::MAX as u32 - 1;

/// Word repetition of ESimCSE (Wu et al. 2022, section 3.1), on subwords: of a sentence's N
/// tokens, `dup_len` are there twice. The number is uniform in `0..=max(2, int(dup_rate·N))`, and
/// the tokens are a uniform choice. Special tokens and those of prompt and template are never
/// repeated and do not count. If the maximum length leaves room for fewer, fewer are repeated.
///
/// The random numbers are blocks of Philox at the counter `(b, example, SITE · 2¹⁶, epoch)`: that
/// with `b = 0` draws the number, that with `b = 1 + p` the rank of the token at position `p`.
#[derive(Clone, Debug)]
pub(super) struct Repetition {
    pub(super) dup_rate: f64,
    pub(super) own: OwnTokens,
    pub(super) max_seq_length: usize,
    pub(super) philox: Philox,
}

impl Repetition {
    /// The second view of example `number`, whose token ids are `ids`.
    pub(super) fn apply(&self, ids: &[u32], epoch: u32, number: u32) -> Vec<u32> {
        let draw = |block: usize| self.philox.block([block as u32, number, SITE << 16, epoch])[0];
        let mut positions: Vec<usize> = self.own.positions(ids).collect();
        let most = ((self.dup_rate * positions.len() as f64) as usize).max(2) as u64;
        let drawn = (u64::from(draw(0)) * (most + 1)) >> 32;
        let room = self.max_seq_length.saturating_sub(ids.len());
        positions.sort_unstable_by_key(|&p| (draw(1 + p), p));
        positions.truncate(room.min(drawn as usize));

        let mut repeated = Vec::with_capacity(ids.len() + positions.len());
        for (position, &id) in ids.iter().enumerate() {
            repeated.push(id);
            if positions.contains(&position) {
                repeated.push(id);
            }
        }
        repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: u32 = 9;

    fn own(front: usize, behind: usize) -> OwnTokens {
        OwnTokens { special: (0..100).map(|id| [0, 1, SPECIAL].contains(&id)).collect(), around: (front, behind) }
    }

    fn repetition(dup_rate: f64) -> Repetition {
        Repetition { dup_rate, own: own(1, 1), max_seq_length: 64, philox: Philox::new(5) }
    }

    /// `[CLS]`, the numbers 10, 11, … and `[SEP]`.
    fn sentence(tokens: u32) -> Vec<u32> {
        [0].into_iter().chain(10..10 + tokens).chain([1]).collect()
    }

    /// The tokens that are there twice in the second view of example `number`.
    fn repeated(repetition: &Repetition, ids: &[u32], number: u32) -> Vec<u32> {
        let found = repetition.apply(ids, 0, number);
        let mut deduplicated = found.clone();
        deduplicated.dedup();
        assert_eq!(deduplicated, ids, "each copy is next to its original");
        found.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }

    /// Over 20,000 examples, each number is drawn equally often, and so is each token: within five
    /// standard errors.
    #[test]
    fn numbers_and_tokens_are_uniform() {
        const EXAMPLES: u32 = 20_000;
        for (tokens, most) in [(12, 3), (4, 2)] {
            let ids = sentence(tokens);
            let mut numbers = vec![0; most + 1];
            let mut of_token = vec![0; tokens as usize];
            for number in 0..EXAMPLES {
                let drawn = repeated(&repetition(0.32), &ids, number);
                numbers[drawn.len()] += 1;
                drawn.iter().for_each(|&id| of_token[id as usize - 10] += 1);
            }
            let near = |found: i32, share: f64| {
                let expected = f64::from(EXAMPLES) * share;
                assert!(
                    (f64::from(found) - expected).abs() < 5.0 * (expected * (1.0 - share)).sqrt(),
                    "{found}, {expected}"
                );
            };
            numbers.iter().for_each(|&found| near(found, 1.0 / (most + 1) as f64));
            of_token.iter().for_each(|&found| near(found, most as f64 / 2.0 / f64::from(tokens)));
        }
    }

    #[test]
    fn a_second_view_is_a_function_of_seed_epoch_and_example() {
        let ids = sentence(20);
        let of = |seed, epoch, number| {
            Repetition { philox: Philox::new(seed), ..repetition(0.5) }.apply(&ids, epoch, number)
        };
        assert_eq!(of(1, 0, 0), of(1, 0, 0));
        for other in [of(2, 0, 0), of(1, 1, 0), of(1, 0, 1)] {
            assert_ne!(of(1, 0, 0), other);
        }
    }

    #[test]
    fn special_tokens_and_what_is_around_a_text_are_never_repeated() {
        let ids = [0, 10, 11, SPECIAL, 12, 13, 14, 1];
        let prompted = Repetition { own: own(3, 2), ..repetition(1.0) };
        let drawn: Vec<_> = (0..200).flat_map(|number| repeated(&prompted, &ids, number)).collect();
        assert!(drawn.contains(&12) && drawn.contains(&13));
        assert!(drawn.iter().all(|id| [12, 13].contains(id)), "{drawn:?}");
        assert_eq!(repeated(&repetition(1.0), &[0, 1], 3), [0; 0]);
    }

    #[test]
    fn no_view_is_longer_than_the_maximum() {
        let ids = sentence(10);
        let lengths = |max_seq_length| {
            let short = Repetition { max_seq_length, ..repetition(1.0) };
            (0..200).map(|number| repeated(&short, &ids, number).len()).max().unwrap()
        };
        assert_eq!((lengths(12), lengths(13), lengths(99)), (0, 1, 10));
    }
}
