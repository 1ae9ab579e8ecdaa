//! How long the batches of a run are.

use simcse_model::SentenceEncoder;
use simcse_tensor::Rows;

use crate::data::examples::Examples;
use crate::draws::Draws;
use crate::error::Result;
use crate::memory::vocabulary::Vocabulary;
use crate::settings::Settings;
use crate::step::batch::TokenizedBatch;

/// Texts whose lengths are sampled: the first ones that the run draws.
pub(crate) const SAMPLE: usize = 8192;

/// The most tokens that a run encounters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Longest {
    /// In all views of a batch.
    pub(super) batch: usize,
    /// In a block of sentences.
    pub(super) block: usize,
    /// In a sentence.
    pub(super) sentence: usize,
    /// Different ones: rows of the word embeddings.
    pub(super) distinct: usize,
}

impl Longest {
    /// Exact if the sample is all that the run draws. Otherwise the longest batch of `steps` steps
    /// is estimated: the number of tokens in a batch is a sum of many lengths and therefore nearly
    /// normal, and the largest of n normal variables is about μ + σ·√(2·ln n). If a batch exceeds
    /// the estimate after all, the buffers grow.
    pub(super) fn of(
        settings: &Settings,
        encoder: &SentenceEncoder,
        examples: &Examples,
        draws: &mut Draws,
        steps: u64,
    ) -> Result<Self> {
        let sample = draws.look_ahead(encoder, steps, SAMPLE)?;
        let rows_of = |batch| encoded_rows(settings, batch);
        let views = match sample.front().and_then(|draw| draw.batches.first()) {
            Some(batch) if !batch.is_empty() => rows_of(batch).0.len() / batch.len(),
            _ => 2,
        };
        let all = sample.len() as u64 >= steps;
        let mut longest = Self::default();
        let mut lengths = Vec::new();
        for batch in sample.iter().flat_map(|draw| &draw.batches) {
            let (views, streams) = rows_of(batch);
            let rows = Rows::new(views.iter().map(|ids| ids.len()), streams);
            longest.batch = longest.batch.max(rows.tokens());
            longest.block = rows.blocks().map(|block| rows.span(&block).len()).fold(longest.block, usize::max);
            lengths.extend(views.iter().map(|ids| ids.len() as f64));
        }
        longest.sentence = lengths.iter().fold(0.0, |longest: f64, &length| longest.max(length)) as usize;
        let mut vocabulary = Vocabulary::default();
        sample
            .iter()
            .flat_map(|draw| &draw.batches)
            .flat_map(TokenizedBatch::texts)
            .for_each(|ids| vocabulary.add(ids));
        longest.distinct = vocabulary.distinct();
        if !all {
            let texts = examples.len() * examples.columns();
            longest.distinct = vocabulary.expected(texts).min(encoder.config().vocab_size);
            let batches = steps as f64 * settings.gradient_accumulation_steps as f64;
            longest.batch = longest.batch.max(estimated_batch(&lengths, views, settings.batch_size, batches));
            // Some block of the steps that were not sampled may be full.
            longest.block = longest.block.max(Rows::BLOCK);
        }
        Ok(longest)
    }
}

/// The rows that a step encodes at a time.
fn encoded_rows<'a>(settings: &Settings, batch: &'a TokenizedBatch) -> (Vec<&'a [u32]>, Vec<u32>) {
    if settings.is_contrastive() { batch.rows() } else { batch.single_rows() }
}

/// The estimated number of tokens in the longest of `batches` batches of `size` examples with
/// `views` views each, whose lengths are distributed as in the sample. Only the two views of a
/// sentence are known to be equally long; those of other examples are taken to be, too, which
/// overestimates the spread.
pub(super) fn estimated_batch(lengths: &[f64], views: usize, size: usize, batches: f64) -> usize {
    let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
    let variance = lengths.iter().map(|length| (length - mean).powi(2)).sum::<f64>() / lengths.len() as f64;
    let size = size as f64;
    let deviations = (2.0 * batches.max(2.0).ln()).sqrt();
    (views as f64 * (size * mean + deviations * (size * variance).sqrt())).ceil() as usize
}
