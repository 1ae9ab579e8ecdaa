//! Where the encoder has dropout, and at which rates.

use simcse_tensor::Dropout;
use simcse_tensor::rng::Philox;

/// The places of the model that have a mask of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The embeddings, behind their LayerNorm. BERT's `hidden_dropout_prob`.
    Embeddings,
    /// The attention probabilities of a layer. BERT's `attention_probs_dropout_prob`.
    AttentionProbabilities(usize),
    /// The attention's output of a layer, before the residual. BERT's `hidden_dropout_prob`; DistilBERT has none here.
    AttentionOutput(usize),
    /// The feed-forward output of a layer, before the residual. BERT's `hidden_dropout_prob`.
    Output(usize),
}

impl Site {
    /// The place's number in the masks' counters: 0 for the embeddings, then three a layer.
    fn number(self) -> u16 {
        let number = match self {
            Site::Embeddings => 0,
            Site::AttentionProbabilities(layer) => 3 * layer + 1,
            Site::AttentionOutput(layer) => 3 * layer + 2,
            Site::Output(layer) => 3 * layer + 3,
        };
        number as u16
    }
}

/// The dropout of one training step: its masks are a function of these values and of a mask's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutPlan {
    /// Rate of everything but the attention probabilities, in `0..1`.
    pub hidden: f32,
    /// Rate of the attention probabilities, in `0..1`.
    pub attention: f32,
    /// The run's seed.
    pub seed: u64,
    /// The training step; where a step has several batches, they are counted on.
    pub step: u32,
}

impl DropoutPlan {
    /// The dropout at one place.
    pub fn at(&self, site: Site) -> Dropout {
        let rate = match site {
            Site::AttentionProbabilities(_) => self.attention,
            Site::Embeddings | Site::AttentionOutput(_) | Site::Output(_) => self.hidden,
        };
        Dropout { rate, philox: Philox::new(self.seed), step: self.step, site: site.number() }
    }
}
