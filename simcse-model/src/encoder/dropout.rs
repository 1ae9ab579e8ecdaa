//! Where the encoder applies dropout, and at what rates.

use simcse_tensor::Dropout;
use simcse_tensor::rng::Philox;

use crate::architecture::Rate;

/// A place in the model with a dropout mask of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The embeddings, after their LayerNorm; at BERT's `hidden_dropout_prob`.
    Embeddings,
    /// A layer's attention probabilities; at BERT's `attention_probs_dropout_prob`.
    AttentionProbabilities(usize),
    /// A layer's attention output, before it is added to the residual; at BERT's
    /// `hidden_dropout_prob`, ModernBERT's `attention_dropout`. DistilBERT has no dropout here.
    AttentionOutput(usize),
    /// A layer's feed-forward output, before it is added to the residual; at BERT's
    /// `hidden_dropout_prob`. In ModernBERT, what its gate lets pass; at `mlp_dropout`.
    Output(usize),
}

impl Site {
    /// The site's number in the random generator's counter: 0 for the embeddings, then three per
    /// layer.
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

/// The dropout of one training step.
///
/// A mask is a function of these values and of its coordinates (site, sentence, position, column),
/// so the same plan gives the same masks again, on any number of threads.
///
/// ```
/// use simcse_model::{DropoutPlan, Site};
///
/// let plan = DropoutPlan { hidden: 0.1, attention: 0.2, seed: 42, step: 0 };
/// assert_eq!(plan.at(Site::Embeddings).rate, 0.1);
/// assert_eq!(plan.at(Site::AttentionProbabilities(3)).rate, 0.2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutPlan {
    /// The rate everywhere except in the attention probabilities, in `[0, 1)`.
    pub hidden: f32,
    /// The rate in the attention probabilities, and, in ModernBERT, of the attention output; in
    /// `[0, 1)`.
    pub attention: f32,
    /// The run's seed.
    pub seed: u64,
    /// The number of the training step, or of its batch where a step has several.
    pub step: u32,
}

impl DropoutPlan {
    /// The dropout at one site, at the rate that BERT has there.
    pub fn at(&self, site: Site) -> Dropout {
        self.at_rate(site, if matches!(site, Site::AttentionProbabilities(_)) { Rate::Attention } else { Rate::Hidden })
    }

    /// The dropout at one site, at a rate of the family's choice.
    pub(crate) fn at_rate(&self, site: Site, rate: Rate) -> Dropout {
        let rate = match rate {
            Rate::Hidden => self.hidden,
            Rate::Attention => self.attention,
        };
        Dropout { rate, philox: Philox::new(self.seed), step: self.step, site: site.number() }
    }
}
