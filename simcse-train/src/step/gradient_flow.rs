//! A check before the first step: does the loss reach every trainable parameter?

use simcse_model::{DropoutPlan, SentenceEncoder, TokenBatch};
use simcse_tensor::{BufferPool, Grads};

use crate::error::{Error, Result};
use crate::step::batch::TokenizedBatch;
use crate::step::buffers::StepBuffers;
use crate::step::gradient::{Objectives, mean_gradient};

/// Examples that the check uses, at most.
const EXAMPLES: usize = 16;

/// Computes the gradient of a few examples and checks that each trainable tensor's gradient is
/// finite and not zero, and that dropout, if there is any, makes the two views of a sentence
/// differ. Overwrites `grads`.
///
/// # Errors
/// [`Error::GradientFlow`], naming the tensor and what is wrong.
///
/// ```
/// # mod common { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_model.rs")); }
/// # let encoder = common::small_model(&["boot from usb"]);
/// use simcse_model::DropoutPlan;
/// use simcse_tensor::Grads;
/// use simcse_train::{ContrastiveLoss, StepBuffers, TokenizedBatch, check_gradient_flow};
///
/// let mut grads = Grads::zeros(encoder.params.layout().clone());
/// let mut buffers = StepBuffers::default();
/// let mut check = |sentences: Vec<Vec<u32>>| {
///     let dropout = DropoutPlan { hidden: 0.1, attention: 0.1, seed: 42, step: 0 };
///     let objectives = ContrastiveLoss::simcse(20.0).into();
///     let batch = TokenizedBatch::new(1, sentences);
///     check_gradient_flow(&encoder, &batch, &dropout, &objectives, &mut buffers, &mut grads)
/// };
/// check(vec![vec![2, 9, 3], vec![2, 8, 3]])?;
/// // A single sentence has no negatives, and so no gradient.
/// let error = check(vec![vec![2, 9, 3]]).unwrap_err().to_string();
/// assert!(error.contains("is zero everywhere"));
/// # Ok::<(), simcse_train::Error>(())
/// ```
pub fn check_gradient_flow(
    encoder: &SentenceEncoder,
    batch: &TokenizedBatch,
    dropout: &DropoutPlan,
    objectives: &Objectives,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
) -> Result<()> {
    let batch = batch.first(EXAMPLES);
    let has_views = objectives.embeddings.is_some() && batch.columns() == 1;
    if has_views && (dropout.hidden > 0.0 || dropout.attention > 0.0) {
        views_differ(encoder, &batch.texts()[0], buffers.excluded(), dropout)?;
    }
    mean_gradient(encoder, &[batch], |_| *dropout, objectives, buffers, grads);
    for tensor in grads.layout().parameters().iter().filter(|tensor| tensor.trainable) {
        let values = &grads.values()[tensor.range()];
        let problem = if values.iter().any(|g| !g.is_finite()) {
            "is not finite: the model's weights or the scale are out of range"
        } else if values.iter().all(|&g| g == 0.0) {
            "is zero everywhere: the loss does not reach it, or is saturated (try a lower --scale)"
        } else {
            continue;
        };
        return Err(Error::GradientFlow { what: format!("the gradient of {}", tensor.name), problem });
    }
    Ok(())
}

fn views_differ(encoder: &SentenceEncoder, sentence: &[u32], excluded: usize, dropout: &DropoutPlan) -> Result<()> {
    let mut pool = BufferPool::new();
    let batch = TokenBatch::new(encoder.config(), &[sentence, sentence], vec![0, 1]);
    let mut tape = encoder.tape(&mut pool, &batch, false);
    let embeddings = encoder.forward_in_training(excluded, &mut tape, &batch, Some(dropout));
    let views = tape.value(embeddings);
    if views.row(0) == views.row(1) {
        let problem = "are equal: dropout has no effect on this model";
        return Err(Error::GradientFlow { what: "the two views of a sentence".to_owned(), problem });
    }
    Ok(())
}
