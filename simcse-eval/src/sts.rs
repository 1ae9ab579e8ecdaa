//! Semantic textual similarity: correlation of cosine similarities with human scores.
//!
//! The figures are those of sentence-transformers' `EmbeddingSimilarityEvaluator`. A file has one
//! pair per line: tab-separated without quoting, comma-separated with quotes, or JSON objects;
//! plain or gzip. Pairs without a score are skipped and counted.
//!
//! Columns are found in the first of these ways that applies:
//!
//! | layout | columns |
//! |---|---|
//! | names in the first line, or JSON keys | `score`, `sentence1`, `sentence2`, as in GLUE |
//! | STS-B: a year in field 3 | the score in field 5, sentences in fields 6 and 7 |
//! | three fields | the only number is the score |
//! | any other | the only one that could be the score, the only two that could be sentences |
//!
//! SICK's names are known, too: `relatedness_score`, `sentence_A`, `sentence_B`. What remains
//! unclear is refused: [`StsOptions`] says which columns are meant.
//!
//! ```
//! # use simcse_model::{Architecture, ModelConfig, ModelDirectory};
//! # use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
//! use simcse_eval::Sts;
//! # let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "slow", "boot", "wifi"];
//! # let config = ModelConfig {
//! #     vocab_size: words.len(),
//! #     hidden_size: 16,
//! #     num_hidden_layers: 1,
//! #     num_attention_heads: 2,
//! #     intermediate_size: 32,
//! #     ..ModelConfig::defaults(Architecture::Bert)
//! # };
//! # let tokenizer = Tokenizer::word_piece(&words, true)?;
//! # let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16)?;
//! # let encoder = SentenceEncoder::random(directory, 42);
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("sts.tsv");
//! # let text = "4.5\tslow boot\tboot slow\n0.5\tslow boot\twifi\n2\tboot\tslow boot\n";
//! # std::fs::write(&path, text)?;
//!
//! let set = Sts::read(&path)?;
//! let scores = set.evaluate(&encoder)?;
//! assert_eq!(scores.pairs, 3);
//! assert!((-1.0..=1.0).contains(&scores.spearman_cosine));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This file must not know how the embeddings were computed.

use std::path::{Path, PathBuf};

use ndarray::ArrayView2;
use serde::Serialize;
use serde_json::json;
use simcse_model::SentenceEncoder;

use crate::data::pairs::{StsOptions, read_pairs};
use crate::data::texts::{DistinctTexts, sha256};
use crate::error::Error;
use crate::metrics::correlation::{pearson, spearman};
use crate::metrics::unit_rows::unit_rows;

/// Two sentences, and how similar people judged them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The gold score; only its order and proportions matter (STS-B's goes from 0 to 5).
    pub score: f32,
    /// The two sentences, as indices into [`Sts::texts`].
    pub sentences: [usize; 2],
}

/// Scored pairs of sentences; each distinct sentence is held once.
#[derive(Debug, Clone)]
pub struct Sts {
    /// The pairs with a score.
    pub pairs: Vec<Pair>,
    /// How many lines have no score.
    pub skipped: usize,
    path: PathBuf,
    texts: Vec<String>,
}

/// Correlations over pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StsScores {
    /// Spearman's rank correlation of cosine similarity and gold score, −1 to 1.
    pub spearman_cosine: f64,
    /// Pearson's correlation of the same.
    pub pearson_cosine: f64,
    /// How many pairs were scored.
    pub pairs: usize,
}

impl Sts {
    /// Reads a file whose layout is unambiguous.
    ///
    /// # Errors
    /// As for [`Sts::read_with`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::read_with(path, &StsOptions::default())
    }

    /// Reads a file, with options for what its layout leaves open.
    ///
    /// # Errors
    /// An unreadable file, [`Error::Columns`] if it is not clear which columns hold score and
    /// sentences, [`Error::Splits`] if there are several splits and none is chosen, lines with
    /// missing or other fields, scores that are not finite numbers, and data without any scored
    /// pair.
    pub fn read_with(path: impl AsRef<Path>, options: &StsOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut pairs = Vec::new();
        let mut skipped = 0;
        let mut texts = DistinctTexts::default();
        for pair in read_pairs(path, options)? {
            let Some(score) = pair.score else {
                skipped += 1;
                continue;
            };
            let sentences = pair.sentences.each_ref().map(|sentence| texts.number(sentence));
            pairs.push(Pair { score, sentences });
        }
        if pairs.is_empty() {
            return Err(Error::Empty { path: path.to_owned(), expected: "pair with a score", skipped });
        }
        Ok(Self { pairs, skipped, path: path.to_owned(), texts: texts.into_vec() })
    }

    /// The distinct sentences that [`Sts::score`] needs embeddings of.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// SHA-256, in hexadecimal, of what is scored: a JSON line `[score, a, b]` for each pair.
    #[must_use]
    pub fn sha256(&self) -> String {
        let text = |index: usize| &self.texts[index];
        sha256(self.pairs.iter().map(|Pair { score, sentences: [a, b] }| json!([score, text(*a), text(*b)])))
    }

    /// Encodes every distinct sentence once and correlates cosine similarities with gold scores.
    /// The model's default prompt, if it has one, is put in front of the sentences.
    ///
    /// # Errors
    /// The encoder's errors, and [`Error::Correlation`].
    pub fn evaluate(&self, encoder: &SentenceEncoder) -> Result<StsScores, Error> {
        let scores = self.evaluate_while(encoder, None, |_| true)?;
        Ok(scores.expect("nothing stops it"))
    }

    /// [`evaluate`](Self::evaluate) with `prompt`, if it is given, instead of the default. It can
    /// be stopped: now and then `go_on` gets the number of sentences encoded so far, and the result
    /// is `None` if it returns `false`.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate).
    pub fn evaluate_while(
        &self,
        encoder: &SentenceEncoder,
        prompt: Option<&str>,
        go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<StsScores>, Error> {
        let prompt = prompt.unwrap_or(encoder.directory.prompts.default_prompt());
        let embeddings = encoder.encode_with_prompt_while(prompt, &self.texts, go_on)?;
        embeddings.map(|embeddings| self.score(embeddings.view())).transpose()
    }

    /// Correlates the cosine similarities of `embeddings`, (texts, C), with gold scores: one row
    /// for each of [`Sts::texts`], whose norms do not matter.
    ///
    /// # Errors
    /// [`Error::Correlation`] if there is only one pair, if similarities or scores are all equal,
    /// or if one is not finite.
    ///
    /// # Panics
    /// If the number of rows is not that of the texts.
    pub fn score(&self, embeddings: ArrayView2<f32>) -> Result<StsScores, Error> {
        assert_eq!(embeddings.nrows(), self.texts.len(), "one embedding for each distinct sentence");
        let unit = unit_rows(embeddings);
        let cosines: Vec<f32> =
            self.pairs.iter().map(|Pair { sentences: [a, b], .. }| unit.row(*a).dot(&unit.row(*b))).collect();
        let gold: Vec<f32> = self.pairs.iter().map(|pair| pair.score).collect();
        let undefined = |source| {
            let constant = gold.iter().all(|score| *score == gold[0]);
            let values = if constant { "gold scores" } else { "cosine similarities" };
            Error::Correlation { path: self.path.clone(), values, source }
        };
        // Pearson's first: of constant values it reports the value, Spearman's only its rank.
        let pearson_cosine = pearson(&gold, &cosines).map_err(undefined)?;
        Ok(StsScores {
            spearman_cosine: spearman(&gold, &cosines).map_err(undefined)?,
            pearson_cosine,
            pairs: self.pairs.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ndarray::array;

    use super::*;

    fn read(text: &str) -> Result<Sts, Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Sts::read(file.path())
    }

    #[test]
    fn stsb_and_three_fields_are_read_without_quoting() {
        let stsb =
            read("g\tf\t2012\t1\t5.0\t\"a\tb\r\ng\tf\t2012\t2\t\tc\td\ng\tf\t2012\t3\t0\tb\t\"a\tmore\tfields\n")
                .unwrap();
        assert_eq!((stsb.skipped, stsb.texts()), (1, &["\"a".to_owned(), "b".to_owned()][..]));
        assert_eq!(stsb.pairs[1], Pair { score: 0.0, sentences: [1, 0] });
        let three = read("5.0\ta\tb\n\t c\td\n1e0\ta\t\n").unwrap();
        assert_eq!((three.pairs.len(), three.skipped, three.texts().len()), (2, 1, 3));
    }

    #[test]
    fn the_digest_is_that_of_the_pairs() {
        // printf '[5.0,"a","b"]\n[0.5,"a","ä"]\n' | sha256sum
        let sts = read("5\ta\tb\n\tc\td\n.5\ta\tä\n").unwrap();
        assert_eq!(sts.sha256(), "37f7a224dfeffcb2529dd81dcb51f344af5115f197badbe237677c5930b63a53");
    }

    #[test]
    fn correlations_of_embeddings_of_any_length() {
        let sts = read("3\ta\tb\n1\ta\tc\n2\ta\td\n").unwrap();
        let scores = sts.score(array![[2.0, 0.0], [3.0, 0.0], [-1.0, 0.0], [0.0, 0.5]].view()).unwrap();
        assert_eq!(scores, StsScores { spearman_cosine: 1.0, pearson_cosine: 1.0, pairs: 3 });
        let json = serde_json::to_string(&scores).unwrap();
        assert_eq!(json, r#"{"spearman_cosine":1.0,"pearson_cosine":1.0,"pairs":3}"#);
        let error = sts.score(array![[0.0], [f32::NAN], [0.0], [0.0]].view()).unwrap_err();
        assert!(error.to_string().ends_with("expected finite scores, found NaN at position 0"), "{error}");
    }

    #[test]
    fn errors_name_the_line() {
        let message = |text| read(text).unwrap_err().to_string();
        assert!(message("1\ta\tb\n1\ta\n").ends_with("line 2: expected 3 fields, found 2"));
        assert!(message("NaN\ta\tb\n").contains("line 1: expected a finite number as score"));
        assert!(message("\ta\tb\n").contains("at least one pair with a score, found none (lines left out: 1)"));
    }
}
