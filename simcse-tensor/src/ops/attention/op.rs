//! What one attention operation does.

use std::sync::Arc;

use crate::ops::attention::rotary::Rotary;
use crate::ops::dropout::Dropout;

/// How the tokens of a sentence attend to each other.
///
/// ```
/// use simcse_tensor::Attention;
///
/// // Twelve heads; a query sees the 64 tokens on either side of it.
/// let local = Attention { heads: 12, window: Some(64), ..Attention::default() };
/// assert!(local.dropout.is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// The number of heads.
    pub heads: usize,
    /// The largest distance, in tokens, of a key that a query sees; `None` if it sees all.
    pub window: Option<usize>,
    /// By which angles queries and keys are rotated, if they are.
    pub rotary: Option<Arc<Rotary>>,
    /// The dropout of the probabilities.
    pub dropout: Option<Dropout>,
}
