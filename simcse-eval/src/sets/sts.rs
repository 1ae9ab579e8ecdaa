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
//! use simcse_eval::{EvaluationSet, Sts};
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
//! assert_eq!(scores.count, 3);
//! assert!((-1.0..=1.0).contains(&scores.get("spearman_cosine").unwrap()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This file must not know how the embeddings were computed.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::data::pairs::{StsOptions, read_pairs};
use crate::data::texts::{DistinctTexts, sha256};
use crate::error::Error;
use crate::scores::{Figure, Scores, Unit};
use crate::set::{EvaluationSet, LeftOut, SetKind};
use crate::similarity::judge::{Relation, Similarity};
use crate::statistics::sample::Sample;

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
    /// missing or other fields, scores that are not finite numbers, data without any scored pair,
    /// and [`Error::EqualScores`].
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
        check_differ(path, &pairs)?;
        Ok(Self { pairs, skipped, path: path.to_owned(), texts: texts.into_vec() })
    }

    /// The distinct sentences.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}

/// Refuses gold scores that nothing can be correlated with.
pub(crate) fn check_differ(path: &Path, pairs: &[Pair]) -> Result<(), Error> {
    let first = pairs[0].score;
    if pairs.iter().all(|pair| pair.score == first) {
        return Err(Error::EqualScores { path: path.to_owned(), pairs: pairs.len(), score: first });
    }
    Ok(())
}

impl EvaluationSet for Sts {
    fn kind(&self) -> SetKind {
        SetKind::Sts
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn texts_to_encode(&self) -> usize {
        self.texts.len()
    }

    fn left_out(&self) -> LeftOut {
        LeftOut { reasons: vec![("without_score", self.skipped)] }
    }

    /// For each pair, a JSON line `[score, a, b]` is digested.
    fn sha256(&self) -> Result<String, Error> {
        let text = |index: usize| &self.texts[index];
        Ok(sha256(self.pairs.iter().map(|Pair { score, sentences: [a, b] }| json!([score, text(*a), text(*b)]))))
    }

    fn entry(&self, index: usize) -> Vec<&str> {
        self.pairs[index].sentences.iter().map(|&text| self.texts[text].as_str()).collect()
    }

    /// Correlates similarities with gold scores.
    fn score(&self, similarity: &mut dyn Similarity) -> Result<Option<Scores>, Error> {
        let pairs: Vec<[usize; 2]> = self.pairs.iter().map(|pair| pair.sentences).collect();
        let Some(predicted) = similarity.pairs(&self.texts, Relation::Symmetric, &pairs)? else {
            return Ok(None);
        };
        let gold: Vec<f32> = self.pairs.iter().map(|pair| pair.score).collect();
        let figures = vec![
            Figure {
                name: "spearman_cosine",
                label: "Spearman",
                sample: Sample::Spearman { gold: gold.clone(), predicted: predicted.clone() },
            },
            Figure { name: "pearson_cosine", label: "Pearson", sample: Sample::Pearson { gold, predicted } },
        ];
        Ok(Some(Scores::new(figures, self.pairs.len(), Unit::Pairs, similarity)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ndarray::{Array2, array};

    use super::*;
    use crate::similarity::{Cosine, Given};

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
        assert_eq!(sts.sha256().unwrap(), "37f7a224dfeffcb2529dd81dcb51f344af5115f197badbe237677c5930b63a53");
    }

    #[test]
    fn correlations_of_embeddings_of_any_length() {
        let sts = read("3\ta\tb\n1\ta\tc\n2\ta\td\n").unwrap();
        let score = |embeddings: Array2<f32>| sts.score(&mut Cosine::of(Given::new(sts.texts(), embeddings.view())));
        let scores = score(array![[2.0, 0.0], [3.0, 0.0], [-1.0, 0.0], [0.0, 0.5]]).unwrap().unwrap();
        assert_eq!([scores.get("spearman_cosine"), scores.get("pearson_cosine")], [Some(1.0); 2]);
        assert_eq!((scores.count, &scores.warnings[..]), (3, &[][..]));
        let error = score(array![[0.0], [f32::NAN], [0.0], [0.0]]).unwrap_err();
        assert!(
            error.to_string().contains("embeddings are not finite: found NaN in the embedding of \"b\""),
            "{error}"
        );
    }

    #[test]
    fn errors_name_the_line() {
        let message = |text| read(text).unwrap_err().to_string();
        assert!(message("1\ta\tb\n1\ta\n").ends_with("line 2: expected 3 fields, found 2"));
        assert!(message("NaN\ta\tb\n").contains("line 1: expected a finite number as score"));
        assert!(message("\ta\tb\n").contains("at least one pair with a score, found none (lines left out: 1)"));
    }
}
