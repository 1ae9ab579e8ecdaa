//! Masked language modeling (Devlin et al. 2019) as an objective of each piece of a batch: some
//! tokens are masked, and the head predicts them.
//!
//! The loss is the mean over all masked tokens of the batch, so it must be known how many there are
//! before the first piece is encoded. That is all that pieces share: each is encoded, recorded, and
//! differentiated before the next one.
//!
//! The head multiplies with the word embeddings, whose gradient is thus a sum of two kinds: what
//! reaches the rows of a piece's tokens, and what the product of the head adds to all rows. If they
//! were added in turns, the order of the sum would depend on the size of the pieces. So the
//! products' gradients are added up by themselves first.

use ndarray::Array2;
use rayon::prelude::*;
use simcse_model::{BufferPool, DropoutPlan, SentenceEncoder};
use simcse_tensor::rng::Philox;
use simcse_tensor::{Grads, Predictions, VocabularyLoss};

use crate::ranks::{Finished, Ranks};
use crate::step::buffers::StepBuffers;
use crate::step::masking::{Masked, Masking};
use crate::step::pieces::{Piece, blocks_in, pieces};

/// Dropout masks and choices of tokens have streams of their own, so that they are independent of
/// those of the other pass over the same texts.
const STREAMS: u32 = 1 << 31;

/// Masked language modeling with a weight.
#[derive(Clone, Debug)]
pub struct MaskedLm {
    /// How tokens are masked.
    pub masking: Masking,
    /// The factor of the loss. princeton-nlp/SimCSE: `mlm_weight`.
    pub weight: f32,
}

/// How well masked tokens were predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MaskedFigures {
    /// The mean cross-entropy, without the weight; 0 if no token was masked.
    pub loss: f64,
    /// The share of tokens that were predicted; 0 if no token was masked.
    pub accuracy: f64,
    /// How many tokens were masked.
    pub tokens: usize,
}

impl MaskedFigures {
    /// The figures of all tokens of several batches.
    pub(crate) fn combined(all: &[Self]) -> Self {
        let tokens = all.iter().map(|figures| figures.tokens).sum();
        let mean = |of: fn(&Self) -> f64| {
            let sum: f64 = all.iter().map(|figures| of(figures) * figures.tokens as f64).sum();
            sum / (tokens as f64).max(1.0)
        };
        Self { loss: mean(|figures| figures.loss), accuracy: mean(|figures| figures.accuracy), tokens }
    }
}

/// Texts of which some tokens are masked, in order.
#[derive(Clone, Debug, Default)]
pub struct MaskedTexts {
    texts: Vec<Masked>,
    streams: Vec<u32>,
}

impl MaskedTexts {
    /// Texts with tokens that were masked somehow. `streams` are their coordinates in dropout
    /// masks.
    ///
    /// # Panics
    /// If there is not one stream for each text.
    #[must_use]
    pub fn new(texts: Vec<Masked>, streams: Vec<u32>) -> Self {
        assert_eq!(texts.len(), streams.len(), "streams of texts");
        Self { texts, streams }
    }

    /// Masks texts, given as token ids, in a step. `streams`, below 2^31, are their coordinates in
    /// random choices and, moved up by 2^31, in dropout masks.
    fn masked(masking: &Masking, (seed, step): (u64, u32), texts: &[&[u32]], streams: &[u32]) -> Self {
        let philox = Philox::new(seed);
        let streams: Vec<u32> = streams.iter().map(|stream| STREAMS | stream).collect();
        let mask = |(ids, &stream): (&&[u32], &u32)| masking.mask(&philox, step, stream, ids);
        Self { texts: texts.iter().zip(&streams).map(mask).collect(), streams }
    }

    /// The number of masked tokens.
    fn tokens(&self) -> usize {
        self.texts.iter().map(|text| text.labels.len()).sum()
    }

    /// Pieces of `blocks` blocks of the texts that this rank encodes.
    fn pieces(&self, encoder: &SentenceEncoder, ranks: &Ranks, blocks: usize) -> Vec<Piece> {
        let ids: Vec<&[u32]> = self.texts.iter().map(|text| &*text.ids).collect();
        let share = ranks.shares(ids.iter().map(|ids| ids.len())).swap_remove(ranks.rank());
        pieces(encoder.config(), &ids, &self.streams, share, blocks)
    }

    /// The rows of a piece's masked tokens, and what was there.
    fn selected(&self, piece: &Piece) -> (Vec<u32>, Vec<u32>) {
        let texts = &self.texts[piece.sentences.clone()];
        let starts = piece.batch.rows().iter().map(|sentence| sentence.start as u32);
        let rows = texts.iter().zip(starts).flat_map(|(text, start)| text.positions.iter().map(move |&p| start + p));
        (rows.collect(), texts.iter().flat_map(|text| text.labels.iter().copied()).collect())
    }
}

impl MaskedLm {
    /// Masks the views of a batch and adds this rank's part of their gradient to `grads`.
    /// `finished` is told of what the last backward pass has finished.
    pub(crate) fn accumulate(
        &self,
        encoder: &SentenceEncoder,
        (texts, streams): (&[&[u32]], &[u32]),
        dropout: &DropoutPlan,
        buffers: &mut StepBuffers,
        grads: &mut Grads,
        finished: &mut Finished,
    ) -> MaskedFigures {
        let texts = MaskedTexts::masked(&self.masking, (dropout.seed, dropout.step), texts, streams);
        of_masked(encoder, &texts, self.weight, Some(dropout), buffers, grads, finished)
    }
}

/// Adds the gradient of `weight` times the mean loss of the masked tokens to `grads`. transformers:
/// `BertForMaskedLM` and similar classes. With several ranks, the gradient is the sum of what each
/// of them adds.
///
/// # Panics
/// If the model has no head for masked language modeling.
pub fn accumulate_masked_gradient(
    encoder: &SentenceEncoder,
    texts: &MaskedTexts,
    weight: f32,
    dropout: Option<&DropoutPlan>,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
) -> MaskedFigures {
    of_masked(encoder, texts, weight, dropout, buffers, grads, &mut |_, _| {})
}

fn of_masked(
    encoder: &SentenceEncoder,
    texts: &MaskedTexts,
    weight: f32,
    dropout: Option<&DropoutPlan>,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
    finished: &mut Finished,
) -> MaskedFigures {
    let tokens = texts.tokens();
    if tokens == 0 {
        return MaskedFigures::default();
    }
    let [embeddings, bias] = encoder.vocabulary();
    let StepBuffers { mini_batch_tokens, activations, products, ranks, .. } = buffers;
    products.clear();
    products.resize(embeddings.rows() * embeddings.cols(), 0.0);
    let mut found = Predictions::default();
    let mut figures = None;
    let pieces = texts.pieces(encoder, ranks, blocks_in(*mini_batch_tokens)).into_iter();
    let pieces = pieces.map(|piece| (texts.selected(&piece), piece));
    let mut pieces = pieces.filter(|((selected, _), _)| !selected.is_empty()).peekable();
    while let Some(((selected, labels), piece)) = pieces.next() {
        let mut tape = encoder.tape(activations, &piece.batch, true);
        let states = encoder.masked_states(&mut tape, &piece.batch, selected.into(), dropout);
        let loss = loss(encoder, &labels, weight / tokens as f32);
        let (value, rows) = (tape.value(states), tape.rows(states));
        let mut dstates = Array2::zeros(value.dim());
        loss.forward_backward(value, rows, &mut dstates, products, grads.slice_mut(bias), &mut found);
        let from = [(states, dstates.view())];
        if pieces.peek().is_some() {
            tape.backward(&from, grads);
        } else {
            // Before the exchange of gradients begins.
            figures = Some(sum_figures(ranks, &found, tokens));
            tape.backward_watched(&from, grads, finished);
        }
    }
    let sums = grads.slice_mut(embeddings).par_iter_mut().zip(&*products);
    sums.for_each(|(sum, product)| *sum += product);
    figures.unwrap_or_else(|| sum_figures(ranks, &found, tokens))
}

/// How well a model predicts masked tokens of texts, without dropout. Which ones are masked is a
/// function of the seed and a text's place.
///
/// # Panics
/// If the model has no head for masked language modeling.
pub fn score_masked_lm(encoder: &SentenceEncoder, texts: &[Vec<u32>], masking: &Masking, seed: u64) -> MaskedFigures {
    let ids: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let streams: Vec<u32> = (0..texts.len() as u32).collect();
    let texts = MaskedTexts::masked(masking, (seed, 0), &ids, &streams);
    let mut buffers = BufferPool::new();
    let mut found = Predictions::default();
    let blocks = SentenceEncoder::ENCODED_TOKENS / simcse_tensor::Rows::BLOCK;
    for piece in texts.pieces(encoder, &Ranks::default(), blocks) {
        let (selected, labels) = texts.selected(&piece);
        if !selected.is_empty() {
            let mut tape = encoder.tape(&mut buffers, &piece.batch, false);
            let states = encoder.masked_states(&mut tape, &piece.batch, selected.into(), None);
            loss(encoder, &labels, 1.0).forward(tape.value(states), tape.rows(states), &mut found);
        }
    }
    sum_figures(&Ranks::default(), &found, texts.tokens())
}

fn loss<'a>(encoder: &'a SentenceEncoder, labels: &'a [u32], scale: f32) -> VocabularyLoss<'a> {
    let (embeddings, bias) = encoder.vocabulary_values();
    VocabularyLoss { embeddings, bias, labels, scale, precision: encoder.precision }
}

/// The figures of all ranks.
fn sum_figures(ranks: &Ranks, found: &Predictions, tokens: usize) -> MaskedFigures {
    let sums = ranks.sum_figures([found.sum, found.correct as f64]);
    let [loss, accuracy] = sums.map(|sum| sum / tokens.max(1) as f64);
    MaskedFigures { loss, accuracy, tokens }
}
