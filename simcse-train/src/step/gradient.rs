//! A step's gradient. For each batch: encode → loss of the embeddings → backward from the
//! embeddings' gradient.
//!
//! The batch goes through the encoder in pieces, so that memory does not limit its size (GradCache:
//! Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup").
//! Every piece is encoded without recording; the loss and its gradient are computed from the
//! embeddings of all pieces; then every piece is encoded again, this time recorded and with the
//! same dropout masks, and the backward pass starts from its own rows of the embeddings' gradient.
//! One piece is recorded when it is first encoded and need not be encoded again: the plain step is
//! a step of a single piece.
//!
//! A piece consists of whole blocks of sentences ([`Rows::blocks`]). Parameter gradients are sums
//! over blocks, added in order, so pieces of every size give the same bits.
//!
//! With several [ranks](crate::ranks), each encodes its share of the rows in this way. In between,
//! it gets the others' embeddings and computes the terms of its own examples in the loss; the
//! gradients of all are summed as the last backward pass of a step finishes them.

use ndarray::s;
use simcse_model::{DropoutPlan, SentenceEncoder};
use simcse_tensor::{BufferPool, Grads, Tape, Var};

use crate::ranks::Finished;
use crate::step::batch::TokenizedBatch;
use crate::step::buffers::StepBuffers;
use crate::step::in_batch::Observed;
use crate::step::masked_lm::{MaskedFigures, MaskedLm};
use crate::step::objectives::Objective;
use crate::step::pieces::{Piece, blocks_in, pieces};

/// What a step minimizes: the sum of what there is.
///
/// ```
/// use simcse_train::{ContrastiveLoss, Objectives};
///
/// let objectives = Objectives::from(ContrastiveLoss::simcse(20.0));
/// assert!(objectives.embeddings.is_some() && objectives.masked_lm.is_none());
/// ```
#[derive(Default)]
pub struct Objectives {
    /// A loss of the embeddings of the whole batch.
    pub embeddings: Option<Box<dyn Objective>>,
    /// Masked language modeling on the batch's texts, in a pass of its own. Next to a loss of
    /// embeddings, every view is masked, as in princeton-nlp/SimCSE (`do_mlm`); alone, every text.
    pub masked_lm: Option<MaskedLm>,
}

impl<O: Objective + 'static> From<O> for Objectives {
    fn from(objective: O) -> Self {
        Self { embeddings: Some(Box::new(objective)), masked_lm: None }
    }
}

impl Objectives {
    /// The rows of a batch that masked language modeling encodes, and their streams of random
    /// numbers.
    fn masked_rows<'a>(&self, batch: &'a TokenizedBatch) -> (Vec<&'a [u32]>, Vec<u32>) {
        if self.embeddings.is_some() { batch.dropped_rows() } else { batch.single_rows() }
    }

    /// The rows of each pass over a batch.
    pub(crate) fn passes<'a>(&self, batch: &'a TokenizedBatch) -> Vec<Vec<&'a [u32]>> {
        let of_embeddings = self.embeddings.as_ref().map(|_| batch.rows().0);
        let of_masked = self.masked_lm.as_ref().map(|_| self.masked_rows(batch).0);
        of_embeddings.into_iter().chain(of_masked).collect()
    }
}

/// What a step, or one of its batches, found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepLoss {
    /// What is minimized.
    pub loss: f32,
    /// The share of anchors whose positive is the most similar of all texts in the batch, if there
    /// is an objective of embeddings.
    pub in_batch_accuracy: Option<f64>,
    /// Figures of masked language modeling, if it is an objective.
    pub masked_lm: Option<MaskedFigures>,
}

/// Overwrites `grads` with the mean of the gradients of a step's batches and returns their mean
/// loss and the figures of all of them. Batch `i` takes its dropout masks from `dropout(i)`.
///
/// # Panics
/// If there is no batch, or if a batch has no examples.
///
/// ```
/// # mod common { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_model.rs")); }
/// # let encoder = common::small_model(&["boot from usb"]);
/// use simcse_model::DropoutPlan;
/// use simcse_tensor::Grads;
/// use simcse_train::{ContrastiveLoss, StepBuffers, TokenizedBatch, mean_gradient};
///
/// let batch = |first, second| TokenizedBatch::new(1, vec![vec![2, first, 3], vec![2, second, 3]]);
/// let batches = vec![batch(9, 8), batch(7, 6)];
/// let dropout = |batch| DropoutPlan { hidden: 0.1, attention: 0.1, seed: 42, step: batch as u32 };
/// let objectives = ContrastiveLoss::simcse(20.0).into();
/// let mut grads = Grads::zeros(encoder.params.layout().clone());
/// let mut buffers = StepBuffers::default();
/// let found = mean_gradient(&encoder, &batches, dropout, &objectives, &mut buffers, &mut grads);
/// assert!(found.loss > 0.0 && grads.values().iter().any(|&gradient| gradient != 0.0));
/// ```
pub fn mean_gradient(
    encoder: &SentenceEncoder,
    batches: &[TokenizedBatch],
    dropout: impl Fn(usize) -> DropoutPlan,
    objectives: &Objectives,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
) -> StepLoss {
    assert!(!batches.is_empty(), "a step has batches");
    let share = 1.0 / batches.len() as f32;
    grads.clear();
    let mut loss = 0.0;
    let mut accuracies = Vec::new();
    let mut masked_lm = Vec::new();
    let ranks = buffers.ranks.clone();
    let last = batches.len() - 1;
    for (i, batch) in batches.iter().enumerate() {
        let mut compute = |grads: &mut Grads, finished: &mut Finished| {
            accumulate(encoder, batch, &dropout(i), objectives, buffers, grads, finished)
        };
        let found = if i == last { ranks.sum_while(grads, compute) } else { compute(grads, &mut |_, _| {}) };
        loss += share * found.loss;
        accuracies.extend(found.in_batch_accuracy);
        masked_lm.extend(found.masked_lm);
    }
    if batches.len() > 1 {
        grads.scale(share);
    }
    let in_batch_accuracy = accuracies.iter().sum::<f64>() / batches.len() as f64;
    StepLoss {
        loss,
        in_batch_accuracy: objectives.embeddings.is_some().then_some(in_batch_accuracy),
        masked_lm: objectives.masked_lm.is_some().then(|| MaskedFigures::combined(&masked_lm)),
    }
}

/// Adds this rank's part of the gradient of all objectives of one batch to `grads`. `finished` is
/// told of what nothing more is added to.
pub(crate) fn accumulate(
    encoder: &SentenceEncoder,
    batch: &TokenizedBatch,
    dropout: &DropoutPlan,
    objectives: &Objectives,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
    finished: &mut Finished,
) -> StepLoss {
    let mut found = StepLoss::default();
    if let Some(objective) = &objectives.embeddings {
        let observed = Observed::new(&**objective, batch);
        let finished = if objectives.masked_lm.is_some() { &mut |_: &mut Grads, _| {} } else { &mut *finished };
        found.loss += of_embeddings(encoder, batch, Some(dropout), &observed, buffers, grads, finished);
        found.in_batch_accuracy = Some(observed.accuracy());
    }
    if let Some(masked_lm) = &objectives.masked_lm {
        let (texts, streams) = objectives.masked_rows(batch);
        let figures = masked_lm.accumulate(encoder, (&texts, &streams), dropout, buffers, grads, finished);
        found.loss += masked_lm.weight * figures.loss as f32;
        found.masked_lm = Some(figures);
    }
    found
}

/// Adds the gradient of the loss of one batch to `grads`, and returns the loss. [`StepBuffers`] has
/// an example. With several ranks, the gradient is the sum of what each of them adds.
///
/// # Panics
/// If there are no examples, or the objective is for another number of views.
pub fn accumulate_gradient(
    encoder: &SentenceEncoder,
    batch: &TokenizedBatch,
    dropout: Option<&DropoutPlan>,
    objective: &dyn Objective,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
) -> f32 {
    of_embeddings(encoder, batch, dropout, objective, buffers, grads, &mut |_, _| {})
}

/// [`accumulate_gradient`], which tells `finished` of what its last backward pass has finished.
fn of_embeddings(
    encoder: &SentenceEncoder,
    batch: &TokenizedBatch,
    dropout: Option<&DropoutPlan>,
    objective: &dyn Objective,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
    finished: &mut Finished,
) -> f32 {
    assert!(!batch.is_empty(), "a batch has examples");
    let StepBuffers { mini_batch_tokens, excluded, activations, embeddings: pool, ranks, .. } = buffers;
    let (views, streams) = batch.rows();
    let shares = ranks.shares(views.iter().map(|ids| ids.len()));
    let own = shares[ranks.rank()].clone();
    let pieces = pieces(encoder.config(), &views, &streams, own, blocks_in(*mini_batch_tokens));

    // The first piece is encoded last, because its recording must stay until the loss is known, and
    // while it does, no other piece can use the buffers. A rank has none if there are fewer rows
    // than ranks.
    let mut embeddings = pool.take(batch.views() * batch.len(), encoder.dimension()); // (K·B, C)
    let (first, rest) = pieces.split_at(pieces.len().min(1));
    for piece in rest {
        let (tape, encoded) = encode(piece, encoder, *excluded, dropout, activations, false);
        embeddings.slice_mut(s![piece.sentences.clone(), ..]).assign(tape.value(encoded));
    }
    let mut recorded = None;
    if let [piece] = first {
        let (tape, encoded) = encode(piece, encoder, *excluded, dropout, activations, true);
        embeddings.slice_mut(s![piece.sentences.clone(), ..]).assign(tape.value(encoded));
        recorded = Some(((tape, encoded), piece));
    }
    ranks.gather_rows(&mut embeddings, &shares);

    // The gradient is (K·B, C), too.
    let number = dropout.map_or(0, |plan| plan.step);
    let examples = ranks.part(batch.len());
    let (loss, mut dembeddings) = objective.loss_and_gradient(embeddings, examples, number, encoder.precision, pool);
    let loss = ranks.sum_loss(loss);
    ranks.reduce_rows(&mut dembeddings, &shares);

    // Backward in the order of the pieces: the sums of parameter gradients are over blocks in this
    // order, whatever the size of the pieces.
    let mut backward = |(tape, encoded): (Tape, Var), piece: &Piece, is_last| {
        let from = [(encoded, dembeddings.slice(s![piece.sentences.clone(), ..]))];
        if is_last {
            tape.backward_watched(&from, grads, finished)
        } else {
            tape.backward(&from, grads)
        };
    };
    recorded.into_iter().for_each(|(recorded, piece)| backward(recorded, piece, rest.is_empty()));
    for (number, piece) in rest.iter().enumerate() {
        let recorded = encode(piece, encoder, *excluded, dropout, activations, true);
        backward(recorded, piece, number + 1 == rest.len());
    }
    pool.give(dembeddings);
    loss
}

/// The embeddings of a piece of the views: rows 0..B of all embeddings are the first views of the
/// examples, rows B..2B the second views, and so on. Pooling excludes the first `excluded` tokens
/// of every view.
fn encode<'a>(
    piece: &Piece,
    encoder: &'a SentenceEncoder,
    excluded: usize,
    dropout: Option<&DropoutPlan>,
    pool: &'a mut BufferPool,
    recording: bool,
) -> (Tape<'a>, Var) {
    let mut tape = encoder.tape(pool, &piece.batch, recording);
    let encoded = encoder.forward_in_training(excluded, &mut tape, &piece.batch, dropout);
    (tape, encoded)
}

#[cfg(test)]
mod tests {
    use simcse_model::{Architecture, Named, Pooling};

    use super::*;
    use crate::testing::{batch, encoder};
    use simcse_tensor::ContrastiveLoss;

    const OBJECTIVE: ContrastiveLoss = ContrastiveLoss::simcse(20.0);

    #[test]
    fn a_step_takes_the_mean_over_its_batches() {
        let encoder = encoder(Architecture::Bert, 1, 32);
        let batches: Vec<_> = (0..3).map(|seed| batch(20, seed)).collect();
        let dropout = |i| DropoutPlan { hidden: 0.1, attention: 0.1, seed: 1, step: 7 + i as u32 };
        let mut buffers = StepBuffers::default();
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let mut expected = vec![0.0; grads.values().len()];
        let mut losses = 0.0;
        for (i, batch) in batches.iter().enumerate() {
            grads.clear();
            losses +=
                accumulate_gradient(&encoder, batch, Some(&dropout(i)), &OBJECTIVE, &mut buffers, &mut grads) / 3.0;
            expected.iter_mut().zip(grads.values()).for_each(|(sum, &g)| *sum += f64::from(g) / 3.0);
        }

        let loss = mean_gradient(&encoder, &batches, dropout, &OBJECTIVE.into(), &mut buffers, &mut grads).loss;
        assert!((loss - losses).abs() < 1e-6, "{loss}, expected {losses}");
        let largest = expected.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
        assert!(largest > 1e-3, "{largest}");
        for (&found, expected) in grads.values().iter().zip(&expected) {
            assert!((f64::from(found) - expected).abs() < 1e-6 * largest, "{found}, expected {expected}");
        }
    }

    #[test]
    fn pooling_excludes_the_prompt_in_pieces_of_every_size() {
        const PROMPT: usize = 2;
        for &pooling in Pooling::ALL {
            let mut encoder = encoder(Architecture::Bert, 1, 32);
            encoder.directory.pooling = pooling;
            let sentences = batch(100, 3);
            let run = |mini_batch_tokens, excluded| {
                let mut buffers = StepBuffers::new(mini_batch_tokens).excluding(excluded);
                let mut grads = Grads::zeros(encoder.params.layout().clone());
                let loss = accumulate_gradient(&encoder, &sentences, None, &OBJECTIVE, &mut buffers, &mut grads);
                (loss, grads.values().to_vec())
            };
            let whole = run(None, PROMPT);
            let views = [sentences.texts(), sentences.texts()].concat();
            let embeddings = encoder.encode_tokens_after(PROMPT, &views, &mut BufferPool::new());
            let (expected, _) = OBJECTIVE.loss_and_gradient(
                embeddings,
                0..sentences.len(),
                0,
                encoder.precision,
                &mut BufferPool::new(),
            );
            assert!((whole.0 - expected).abs() < 1e-5, "{pooling:?}: {}, expected {expected}", whole.0);
            assert!(whole == run(Some(512), PROMPT), "{pooling:?}: pieces give other bits");
            // The last token is never one of the prompt.
            assert_eq!(whole.1 == run(None, 0).1, pooling == Pooling::LastToken, "{pooling:?}");
        }
    }
}
