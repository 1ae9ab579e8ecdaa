//! How much each token counts in the mean of a sentence's tokens.
//!
//! sentence-transformers: `WordWeights`, between the Transformer and the Pooling, with mean
//! pooling. The weights are not trained: sentence-transformers would change them, but loads those
//! of `config.json` again.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use simcse_tensor::Named;

use crate::error::{Error, Result};
use crate::io::files::{read_vocabulary, write_atomically};
use crate::tokenizer::encode::Tokenizer;

/// What tokens count for, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordWeighting {
    /// All tokens count the same.
    None,
    /// Inverse document frequencies ([`WordWeights::idf`]).
    Idf,
}

impl Named for WordWeighting {
    const ALL: &'static [Self] = &[Self::None, Self::Idf];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Idf => "idf",
        }
    }
}

/// A weight for each token of a vocabulary, 0 or more.
///
/// ```
/// use simcse_model::{Tokenizer, WordWeights};
///
/// let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps", "barks"];
/// let tokenizer = Tokenizer::word_piece(&words, true)?;
/// let weights = WordWeights::idf(&tokenizer, "", &["the cat sleeps", "the cat", "the dog"], 16)?;
/// let [the, cat, sleeps] = [5, 6, 7].map(|id| weights.values()[id]);
/// assert_eq!([the, cat, sleeps], [1.0, (4.0_f32 / 3.0).ln() + 1.0, (4.0_f32 / 2.0).ln() + 1.0]);
/// # Ok::<(), simcse_model::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WordWeights {
    /// The tokens (V), by id.
    vocabulary: Vec<String>,
    /// Their weights (V).
    weights: Vec<f32>,
}

/// The module's `config.json`, by which every version of sentence-transformers loads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    vocab: Vec<String>,
    word_weights: HashMap<String, f64>,
    #[serde(default = "one")]
    unknown_word_weight: f64,
}

/// sentence-transformers' default.
fn one() -> f64 {
    1.0
}

fn is_weight(weight: f32) -> bool {
    weight.is_finite() && weight >= 0.0
}

impl WordWeights {
    /// These weights of all of [`Tokenizer::ids`].
    ///
    /// # Panics
    /// If there are more or fewer, or if one is not finite or less than 0.
    pub fn new(tokenizer: &Tokenizer, weights: Vec<f32>) -> Self {
        let vocabulary = tokenizer.vocabulary();
        assert_eq!(weights.len(), vocabulary.len(), "word weights: weights and tokens");
        assert!(weights.iter().all(|&weight| is_weight(weight)), "word weights: finite numbers of 0 or more");
        Self { vocabulary, weights }
    }

    /// Inverse document frequencies of tokens in `texts`, with `prompt` in front of each and
    /// truncated to `max_length` tokens: `ln((1 + n)/(1 + df)) + 1`, where `df` of the `n` texts
    /// have the token. scikit-learn: `TfidfTransformer(smooth_idf=True)`. A token that is in every
    /// text, such as `[CLS]`, has 1; one that is in no text has the largest weight.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_batch`].
    pub fn idf<S: AsRef<str> + Sync>(
        tokenizer: &Tokenizer,
        prompt: &str,
        texts: &[S],
        max_length: usize,
    ) -> Result<Self> {
        const AT_A_TIME: usize = 4096;
        let mut frequencies = vec![0_u64; tokenizer.ids()];
        for texts in texts.chunks(AT_A_TIME) {
            let mut ids = tokenizer.encode_prompted(prompt, texts, max_length)?.ids;
            ids.par_iter_mut().for_each(|ids| ids.sort_unstable());
            for mut ids in ids {
                ids.dedup();
                ids.into_iter().for_each(|id| frequencies[id as usize] += 1);
            }
        }
        let texts = texts.len() as f64;
        let weight = |frequency| (((1.0 + texts) / (1.0 + frequency as f64)).ln() + 1.0) as f32;
        Ok(Self::new(tokenizer, frequencies.into_iter().map(weight).collect()))
    }

    /// The weights (V), by the tokens' ids.
    pub fn values(&self) -> &[f32] {
        &self.weights
    }

    /// What each token's hidden state is multiplied by (N), if `ids` are those of sentences at
    /// `rows`: its weight, divided by the sum of its sentence's. The first `excluded` tokens of
    /// each sentence have 0, but count in the sum, as in sentence-transformers.
    pub(crate) fn shares(&self, ids: &[u32], rows: impl Iterator<Item = Range<usize>>, excluded: usize) -> Arc<[f32]> {
        const LEAST_SUM: f32 = 1e-9;
        let mut shares = Vec::with_capacity(ids.len());
        for row in rows {
            let weights = ids[row].iter().map(|&id| self.weights[id as usize]);
            let sum = weights.clone().sum::<f32>().max(LEAST_SUM);
            shares.extend(weights.enumerate().map(|(t, weight)| if t < excluded { 0.0 } else { weight / sum }));
        }
        shares.into()
    }

    /// Reads the module in `folder`. The first `tokens` ids of the vocabulary may occur in texts.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Format`] and [`Error::Field`] for weights that are not finite
    /// or less than 0, and for too few.
    pub(super) fn read(folder: &Path, tokens: usize) -> Result<Self> {
        let file = folder.join("config.json");
        let missing = || Error::Missing { file: file.clone(), advice: "modules.json names a module there".to_owned() };
        let bytes = read_vocabulary(&file)?.ok_or_else(missing)?;
        let expected = "an object with vocab, word_weights and unknown_word_weight";
        let config: Config = serde_json::from_slice(&bytes).map_err(|error| Error::format(&file, expected, error))?;
        let Config { vocab: vocabulary, word_weights, unknown_word_weight } = config;
        if vocabulary.len() < tokens {
            let expected = format_args!("a token for each of {tokens} ids");
            return Err(Error::field(&file, "vocab", expected, vocabulary.len()));
        }
        let weight = |word: &String| {
            let known = word_weights.get(word).or_else(|| word_weights.get(&word.to_lowercase()));
            *known.unwrap_or(&unknown_word_weight) as f32
        };
        let weights: Vec<_> = vocabulary.iter().map(weight).collect();
        match weights.iter().zip(&vocabulary).find(|(weight, _)| !is_weight(**weight)) {
            Some((weight, word)) => {
                let found = format_args!("{weight} for {word:?}");
                Err(Error::field(&file, "word_weights", "finite numbers of 0 or more", found))
            }
            None => Ok(Self { vocabulary, weights }),
        }
    }

    /// Writes the module's `config.json`, without another copy of the vocabulary in memory.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        write_atomically(file, |writer| serde_json::to_writer_pretty(writer, self).map_err(io::Error::from))
    }

    /// A close upper bound on the bytes of the module's `config.json`.
    pub(super) fn size_on_disk(&self) -> usize {
        const AROUND_A_TOKEN: usize = 48;
        self.vocabulary.iter().map(|word| 2 * word.len() + AROUND_A_TOKEN).sum()
    }
}

/// The module's `config.json`.
impl Serialize for WordWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let weights = self.vocabulary.iter().zip(self.weights.iter().copied().map(f64::from));
        let mut config = serializer.serialize_struct("WordWeights", 3)?;
        config.serialize_field("vocab", &self.vocabulary)?;
        config.serialize_field("word_weights", &Pairs(weights))?;
        config.serialize_field("unknown_word_weight", &one())?;
        config.end()
    }
}

/// An object of these keys and values.
struct Pairs<I>(I);

impl<'a, I: Iterator<Item = (&'a String, f64)> + Clone> Serialize for Pairs<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WORDS: [&str; 7] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Cat", "sleeps"];

    fn read(config: &str) -> Result<WordWeights> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        WordWeights::read(folder.path(), 7)
    }

    #[test]
    fn a_module_of_sentence_transformers_is_read_as_it_reads_it() {
        let vocab = json!(WORDS);
        let weights = read(&format!(
            r#"{{"vocab": {vocab}, "word_weights": {{"cat": 0.1, "sleeps": 3, "bark": 7}}, "unknown_word_weight": 0.5}}"#
        ));
        assert_eq!(weights.unwrap().weights, [0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 3.0]);
        let weights = read(&format!(r#"{{"vocab": {vocab}, "word_weights": {{"cat": 2, "Cat": 4}}}}"#)).unwrap();
        assert_eq!(weights.weights, [1.0, 1.0, 1.0, 1.0, 1.0, 4.0, 1.0]);
    }

    #[test]
    fn what_is_written_is_read_to_the_last_bit() {
        let tokenizer = Tokenizer::word_piece(&WORDS, false).unwrap();
        let weights = (0..7).map(|id| (id as f32).exp() / 3.0).collect();
        let weights = WordWeights::new(&tokenizer, weights);
        let written = serde_json::to_string_pretty(&weights).unwrap();
        assert!(written.len() <= weights.size_on_disk() + 100);
        assert_eq!(read(&written).unwrap(), weights);
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        let vocab = json!(WORDS);
        for (config, message) in [
            (
                r#"{"vocab": ["a"], "word_weights": {}}"#.to_owned(),
                "vocab: expected a token for each of 7 ids, found 1",
            ),
            (
                format!(r#"{{"vocab": {vocab}, "word_weights": {{"sleeps": -1}}}}"#),
                "word_weights: expected finite numbers of 0 or more, found -1 for \"sleeps\"",
            ),
            (
                format!(r#"{{"vocab": {vocab}, "word_weights": {{}}, "unknown_word_weight": 1e39}}"#),
                "word_weights: expected finite numbers of 0 or more, found inf for \"[PAD]\"",
            ),
            (format!(r#"{{"vocab": {vocab}}}"#), "missing field `word_weights`"),
            (format!(r#"{{"vocab": {vocab}, "word_weights": {{}}, "idf": 1}}"#), "unknown field `idf`"),
        ] {
            let error = read(&config).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn tokens_of_a_prompt_count_in_the_sum_alone() {
        let tokenizer = Tokenizer::word_piece(&WORDS, false).unwrap();
        let weights = WordWeights::new(&tokenizer, vec![0.0, 0.0, 1.0, 1.0, 0.0, 4.0, 2.0]);
        let ids = [2, 5, 6, 3, 0, 0];
        let shares = weights.shares(&ids, [0..4, 4..4, 4..6].into_iter(), 2);
        assert_eq!(*shares, [0.0, 0.0, 0.25, 0.125, 0.0, 0.0]);
    }
}
