//! The steps of a run: which batches each of them takes.

use crate::data::sentences::Sentences;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// How many steps the settings make of the sentences.
///
/// # Errors
/// [`Error::TooFewSentences`] if there is not one batch.
pub fn total_steps(settings: &Settings, sentences: &Sentences) -> Result<u64> {
    let batches_per_step = settings.gradient_accumulation_steps;
    let per_epoch = |epoch| settings.batching().count(sentences, epoch).div_ceil(batches_per_step) as u64;
    if per_epoch(0) == 0 {
        let found = sentences.len() - sentences.duplicates();
        let (name, batch_size) = (sentences.name().to_owned(), settings.batch_size);
        return Err(Error::TooFewSentences { name, batch_size, found });
    }
    Ok(settings.max_steps.unwrap_or_else(|| (0..settings.epochs).map(per_epoch).sum()))
}

/// The batches of step after step, without end, each with the epochs that are done when it is. The last step of an epoch
/// takes what batches are left, as the HF Trainer's does.
pub(crate) fn steps(settings: &Settings, sentences: &Sentences) -> impl Iterator<Item = (f64, Vec<Vec<u32>>)> {
    let (batching, batches_per_step) = (settings.batching(), settings.gradient_accumulation_steps);
    (0..u32::MAX).flat_map(move |epoch| {
        let count = batching.count(sentences, epoch);
        let mut batches = batching.batches(sentences, epoch);
        (0..count).step_by(batches_per_step).map(move |first| {
            let batches: Vec<_> = batches.by_ref().take(batches_per_step).collect();
            (f64::from(epoch) + (first + batches.len()) as f64 / count as f64, batches)
        })
    })
}
