//! Which tokens of a text are masked, and what takes their place (Devlin et al. 2019, section 3.1).
//!
//! transformers: `DataCollatorForLanguageModeling`. Each token that is neither special nor a
//! template's is chosen with a probability, or with whole-word masking each word, with all of its
//! tokens. Of the chosen tokens, 80% become the mask token, 10% a random token, and 10% stay.
//!
//! Like a dropout mask, a choice is a function of its coordinates (seed, step, text, position).
//!
//! This file knows token ids. It must not know models.

use simcse_model::Tokenizer;
use simcse_model::io::source_name;
use simcse_tensor::rng::{Philox, share};

use crate::error::{Error, Result};
use crate::step::own_tokens::OwnTokens;

/// The last word of the random generator's counter, which sets choices apart from each other and,
/// by its high half, from dropout masks, whose sites are small numbers.
const CHOICE: u32 = 0xffff_0000;
const REPLACEMENT: u32 = 0xffff_0001;

/// How tokens are masked.
#[derive(Clone, Debug)]
pub struct Masking {
    probability: f64,
    /// The tokens that may be masked; those of a prompt are among them.
    own: OwnTokens,
    /// For each token id, whether it shares the choice of the token in front of it.
    continues: Vec<bool>,
    mask: u32,
}

/// A text with masked tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// Its token ids, some of them replaced.
    pub ids: Vec<u32>,
    /// The positions of the chosen tokens, in ascending order.
    pub positions: Vec<u32>,
    /// The ids that were there.
    pub labels: Vec<u32>,
}

impl Masking {
    /// Masking for a model's tokenizer.
    ///
    /// # Errors
    /// [`Error::NoMask`] if the tokenizer has no mask token; what it reports.
    pub fn new(tokenizer: &Tokenizer, probability: f32, whole_words: bool) -> Result<Self> {
        let mask = tokenizer.mask_id().ok_or_else(|| Error::NoMask { file: source_name(tokenizer.path()) })?;
        let own = OwnTokens::of(tokenizer, "", usize::MAX)?;
        let continues = if whole_words { tokenizer.continue_words() } else { vec![false; own.special.len()] };
        Ok(Self { probability: probability.into(), own, continues, mask })
    }

    /// Masks a text, whose coordinates are the seed of `philox`, a step and a stream.
    pub fn mask(&self, philox: &Philox, step: u32, stream: u32, ids: &[u32]) -> Masked {
        let mut masked = Masked { ids: ids.to_vec(), ..Masked::default() };
        let mut chosen = false;
        let mut last = None;
        for index in self.own.positions(ids) {
            let (position, id) = (index as u32, &mut masked.ids[index]);
            let words = |purpose| philox.block([position, stream, step, purpose]);
            // The first of a text's own tokens starts a word, whatever it looks like.
            if !self.continues[*id as usize] || last.is_none_or(|last| last + 1 != index) {
                chosen = share(words(CHOICE)[0]) < self.probability;
            }
            last = Some(index);
            if chosen {
                masked.positions.push(position);
                masked.labels.push(*id);
                let [kind, token, ..] = words(REPLACEMENT);
                match share(kind) {
                    kind if kind < 0.8 => *id = self.mask,
                    kind if kind < 0.9 => *id = (share(token) * self.own.special.len() as f64) as u32,
                    _ => {}
                }
            }
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 9] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "boot", "##ing", "from", "usb"];
    const MASK: u32 = 4;

    fn masking(probability: f32, whole_words: bool) -> Masking {
        Masking::new(&Tokenizer::word_piece(&WORDS, true).unwrap(), probability, whole_words).unwrap()
    }

    /// A text of 60 tokens between special ones: booting from usb, again and again.
    fn text() -> Vec<u32> {
        let words = [5, 6, 7, 8].into_iter().cycle().take(60);
        std::iter::once(2).chain(words).chain([3]).collect()
    }

    #[test]
    fn shares_are_those_of_the_paper() {
        let masking = masking(0.15, false);
        let (philox, text) = (Philox::new(1), text());
        let [mut chosen, mut masked, mut kept, mut all] = [0.0; 4];
        for stream in 0..2000 {
            let Masked { ids, positions, labels } = masking.mask(&philox, 7, stream, &text);
            for (&position, &label) in positions.iter().zip(&labels) {
                let (before, after) = (text[position as usize], ids[position as usize]);
                assert!(label == before && before > MASK, "special tokens are never chosen");
                masked += f64::from(after == MASK);
                kept += f64::from(after == before);
            }
            chosen += positions.len() as f64;
            all += 60.0;
            let untouched = (0..text.len() as u32).filter(|position| !positions.contains(position));
            assert!(untouched.map(|i| i as usize).all(|i| ids[i] == text[i]));
        }
        assert!((chosen / all - 0.15).abs() < 0.005, "{chosen} of {all}");
        // One in nine random tokens is the mask, and one in nine what was there.
        assert!((masked / chosen - (0.8 + 0.1 / 9.0)).abs() < 0.015, "{masked} of {chosen}");
        assert!((kept / chosen - (0.1 + 0.1 / 9.0)).abs() < 0.015, "{kept} of {chosen}");
    }

    #[test]
    fn a_choice_is_a_function_of_its_coordinates() {
        let masking = masking(0.5, false);
        let of = |seed, step, stream| masking.mask(&Philox::new(seed), step, stream, &text());
        assert_eq!(of(1, 2, 3), of(1, 2, 3));
        for other in [of(4, 2, 3), of(1, 4, 3), of(1, 2, 4)] {
            assert_ne!(other.positions, of(1, 2, 3).positions);
        }
    }

    #[test]
    fn a_whole_word_is_masked_or_none_of_it() {
        let masking = masking(0.3, true);
        let text = text();
        let mut words = 0;
        for stream in 0..100 {
            let positions = masking.mask(&Philox::new(1), 0, stream, &text).positions;
            for first in (1..61).step_by(4) {
                assert_eq!(positions.contains(&first), positions.contains(&(first + 1)));
                words += u32::from(positions.contains(&first));
            }
        }
        assert!(words > 300);
        // After a special token, a continuation is a word of its own.
        let lone = masking.mask(&Philox::new(1), 0, 0, &[2, 6, 6, 3]).positions;
        assert!(lone.is_empty() || lone == [1, 2]);
    }

    #[test]
    fn the_words_of_a_template_are_not_masked() {
        let mut tokenizer = Tokenizer::word_piece(&WORDS, true).unwrap();
        tokenizer.set_template("booting [X] usb").unwrap();
        let ids = &tokenizer.encode_batch(&["from usb"], 16).unwrap().ids[0];
        assert_eq!(ids, &[2, 5, 6, 7, 8, 8, 3]);
        let masking = Masking::new(&tokenizer, 0.999, true).unwrap();
        assert_eq!(masking.mask(&Philox::new(1), 0, 0, ids).positions, [3, 4]);
    }

    #[test]
    fn a_tokenizer_without_a_mask_token_is_refused() {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "boot"];
        let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
        assert!(Masking::new(&tokenizer, 0.15, false).is_ok());
    }
}
