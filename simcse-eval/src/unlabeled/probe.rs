//! A few sentences whose embeddings are watched while a model is trained.

use ndarray::{Array2, ArrayView2, s};
use serde::{Deserialize, Serialize};
use simcse_model::{DropoutPlan, SentenceEncoder};
use simcse_tensor::BufferPool;

use crate::error::Error;
use crate::metrics::geometry::{alignment, effective_rank, mean_cosine, principal_coordinates, uniformity};
use crate::unlabeled::view::View;

/// Sentences of which alignment is measured: the first ones. It is a mean over sentences, which
/// needs fewer of them than the figures of pairs.
const ALIGNED: usize = 64;
/// Sentences whose neighbors are in a [`Picture`]: the first ones.
const WITH_NEIGHBORS: usize = 10;
/// Neighbors of each.
const NEIGHBORS: usize = 3;
/// Bars of the histogram of cosines, from −1 to 1.
const BARS: usize = 80;

/// A few sentences whose embeddings are watched while a model is trained, so often that they must
/// be few.
///
/// ```
/// # use simcse_model::{Architecture, ModelConfig, ModelDirectory};
/// # use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
/// use simcse_eval::{Counterparts, Probe};
/// # use simcse_model::DropoutPlan;
/// # let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "slow", "boot", "wifi"];
/// # let config = ModelConfig {
/// #     vocab_size: words.len(),
/// #     hidden_size: 16,
/// #     num_hidden_layers: 1,
/// #     num_attention_heads: 2,
/// #     intermediate_size: 32,
/// #     ..ModelConfig::defaults(Architecture::Bert)
/// # };
/// # let tokenizer = Tokenizer::word_piece(&words, true)?;
/// # let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16)?;
/// # let encoder = SentenceEncoder::random(directory, 42);
///
/// let dropout = DropoutPlan { hidden: 0.1, attention: 0.1, seed: 42, step: 0 };
/// let texts = vec!["slow boot".to_owned(), "boot wifi".to_owned()];
/// let probe = Probe::new(texts, Counterparts::Dropout(dropout));
/// let (scores, picture) = probe.measure(&encoder)?.expect("finite embeddings");
/// assert!((1.0..=2.0).contains(&scores.effective_rank));
/// assert_eq!(picture.coordinates.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Probe {
    texts: Vec<String>,
    counterparts: Counterparts,
}

/// What the embedding of a text should be close to.
#[derive(Debug, Clone)]
pub enum Counterparts {
    /// The same text, each of the two under dropout of its own.
    Dropout(DropoutPlan),
    /// The text's positive, one for each.
    Positives(Vec<String>),
}

/// Figures of the embeddings of a [`Probe`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbeScores {
    /// Mean squared distance of the embeddings of a text and its counterpart, 0 to 4; lower is
    /// better. Wang & Isola 2020.
    pub alignment: f64,
    /// How evenly the embeddings cover the sphere, −8 to 0; lower is better. Wang & Isola 2020.
    pub uniformity: f64,
    /// Mean cosine similarity of different sentences; near 1, the embeddings have collapsed.
    pub mean_cosine: f64,
    /// How many directions the embeddings spread over. Roy & Vetterli 2007.
    pub effective_rank: f64,
}

/// What a [`Probe`] looks like in a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The place of each sentence on a map: its coordinates along the two directions of largest
    /// variance (PCA).
    pub coordinates: Vec<[f64; 2]>,
    /// How many pairs of different sentences have a cosine similarity in each of equally wide
    /// ranges from −1 to 1.
    pub cosines: Vec<u64>,
    /// The nearest neighbors of the first sentences, the nearest first.
    pub neighbors: Vec<Vec<Neighbor>>,
}

/// A sentence of a [`Probe`] that is similar to another one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbor {
    /// Its index.
    pub sentence: usize,
    /// The cosine similarity.
    pub cosine: f64,
}

impl Probe {
    /// A good number of texts: enough for the figures of pairs and for neighbors that are worth
    /// looking at.
    pub const TEXTS: usize = 256;

    /// Watches `texts`, which are different ones, and how close the first ones are to their
    /// counterparts.
    ///
    /// # Panics
    /// If there are fewer than two texts, or not as many positives.
    #[must_use]
    pub fn new(texts: Vec<String>, mut counterparts: Counterparts) -> Self {
        assert!(texts.len() > 1, "two texts or more");
        if let Counterparts::Positives(positives) = &mut counterparts {
            assert_eq!(texts.len(), positives.len(), "a positive for each text");
            positives.truncate(ALIGNED);
        }
        Self { texts, counterparts }
    }

    /// The texts.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// How many texts [`measure`](Self::measure) encodes, dropout's views included.
    #[must_use]
    pub fn encoded(&self) -> usize {
        let views = match self.counterparts {
            Counterparts::Dropout(_) => 2,
            Counterparts::Positives(_) => 1,
        };
        self.texts.len() + views * self.aligned().len()
    }

    fn aligned(&self) -> &[String] {
        &self.texts[..self.texts.len().min(ALIGNED)]
    }

    /// The figures of a model, and what they are figures of. Its default prompt, if it has one, is
    /// put in front of the texts. `None` if an embedding is not finite.
    ///
    /// # Errors
    /// The encoder's.
    pub fn measure(&self, encoder: &SentenceEncoder) -> Result<Option<(ProbeScores, Picture)>, Error> {
        let prompt = encoder.prompt(encoder.directory.prompts.default_prompt())?;
        let mut pool = BufferPool::default();
        let mut encode = |texts, dropout| -> Result<Array2<f32>, Error> {
            let encoded = View { texts, dropout }.encode(encoder, prompt, &mut pool, &mut |_| true)?;
            Ok(encoded.expect("nothing stops it"))
        };
        let x = encode(&self.texts, None)?;
        if x.iter().any(|value| !value.is_finite()) {
            return Ok(None);
        }
        let alignment = match &self.counterparts {
            Counterparts::Positives(positives) => {
                alignment(x.slice(s![..positives.len(), ..]), encode(positives, None)?.view())
            }
            &Counterparts::Dropout(dropout) => {
                let first = encode(self.aligned(), Some((dropout, 0)))?;
                alignment(first.view(), encode(self.aligned(), Some((dropout, 1)))?.view())
            }
        };
        let scores = ProbeScores {
            alignment,
            uniformity: uniformity(x.view()),
            mean_cosine: mean_cosine(x.view()),
            effective_rank: effective_rank(x.view()),
        };
        Ok(Some((scores, Picture::of(x.view()))))
    }
}

impl Picture {
    /// The picture of unit embeddings, (S, C).
    fn of(x: ArrayView2<f32>) -> Self {
        let cosines = x.dot(&x.t());
        let mut bars = vec![0; BARS];
        for (i, row) in cosines.rows().into_iter().enumerate() {
            for &cosine in row.iter().skip(i + 1) {
                let bar = (f64::from(cosine) + 1.0) / 2.0 * BARS as f64;
                bars[(bar as usize).min(BARS - 1)] += 1;
            }
        }
        let neighbors = |sentence: usize| {
            let others = (0..x.nrows()).filter(|&other| other != sentence);
            let mut all: Vec<_> =
                others.map(|other| Neighbor { sentence: other, cosine: cosines[[sentence, other]].into() }).collect();
            all.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
            all.truncate(NEIGHBORS);
            all
        };
        Self {
            coordinates: principal_coordinates(x),
            cosines: bars,
            neighbors: (0..x.nrows().min(WITH_NEIGHBORS)).map(neighbors).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_picture_has_cosines_neighbors_and_places() {
        let x = array![[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]];
        let picture = Picture::of(x.view());
        // Cosines 0.6, 0, −1, 0.8, −0.6 (in f32, a little less) and 0, in bars of 0.025.
        let found: Vec<_> = picture.cosines.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(found, [(0, &1), (15, &1), (40, &2), (64, &1), (72, &1)]);
        let nearest: Vec<Vec<usize>> =
            picture.neighbors.iter().map(|of| of.iter().map(|neighbor| neighbor.sentence).collect()).collect();
        assert_eq!(nearest, [[1, 2, 3], [2, 0, 3], [1, 0, 3], [2, 1, 0]]);
        // All of their variance is in a plane, so distances on the map are those of the embeddings.
        for (i, j) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
            let on_map = (0..2).map(|axis| (picture.coordinates[i][axis] - picture.coordinates[j][axis]).powi(2));
            let expected: f64 = (&x.row(i) - &x.row(j)).iter().map(|d: &f32| f64::from(d * d)).sum();
            assert!((on_map.sum::<f64>() - expected).abs() < 1e-6, "{i}, {j}");
        }
    }
}
