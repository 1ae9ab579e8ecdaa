//! What may keep a run from learning, found before its first step.
//!
//! This file knows settings and token ids. It must not know how warnings are shown.

use std::collections::HashSet;

use simcse_model::io::counted;

use crate::data::examples::Examples;
use crate::draws::Draw;
use crate::error::{Error, Result};
use crate::optim::schedule::LinearSchedule;
use crate::settings::Settings;
use crate::warnings::warning::Warning;
use crate::warnings::watch::dropout_inactive;

/// An epoch with fewer batches than this hardly changes a model, and the incomplete batch that it
/// drops may be a large part of the sentences.
const FEW_BATCHES: usize = 10;
/// With a larger share of equal sentences, a few of them are most of what is trained on.
const MANY_DUPLICATES: f64 = 0.1;

/// Warnings about a run of `total_steps` steps over `examples`, one line each. `sample` holds the
/// run's first draws.
///
/// # Errors
/// [`Error::NothingToLearn`] if the tokenizer turns all sentences into the same token ids.
pub(crate) fn warnings<'a>(
    settings: &Settings,
    examples: &Examples,
    total_steps: u64,
    sample: impl IntoIterator<Item = &'a Draw>,
) -> Result<Vec<Warning>> {
    let mut batches = sample.into_iter().flat_map(|draw| &draw.batches);
    let mut different: HashSet<&[u32]> = HashSet::new();
    // Two that differ are enough, so this rarely looks beyond the first batch.
    while different.len() < 2
        && let Some(batch) = batches.next()
    {
        different.extend(batch.texts().iter().map(Vec::as_slice));
    }
    if different.len() == 1 {
        return Err(Error::NothingToLearn { name: examples.name().to_owned() });
    }

    let mut warnings = Vec::new();
    if examples.columns() == 1
        && !settings.changes_views()
        && settings.hidden_dropout == 0.0
        && settings.attention_dropout == 0.0
    {
        warnings.push(dropout_inactive());
    }
    let schedule = LinearSchedule { warmup_steps: settings.warmup_steps_of(total_steps), total_steps };
    // Two steps decide: the rate of the second is 0 only if there is none, or if it is the last.
    if (0..total_steps.min(2)).all(|step| schedule.factor(step) == 0.0) {
        warnings.push(Warning::new(
            "no-learning-rate",
            "the learning rate is 0 in every step of the run because of its warm-up, so the model will not change: add \
             sentences, or choose a smaller --batch-size or --warmup-steps 0",
        ));
    }
    let batches = settings.batching().count(examples, 0);
    if batches < FEW_BATCHES {
        let text = format!(
            "an epoch has only {}: learning anything may require a smaller --batch-size or more --epochs",
            counted(batches, "batch", "batches")
        );
        warnings.push(Warning::new("few-batches", text));
    }
    let duplicates = examples.duplicates();
    // Texts of pairs and triplets are often part of several examples.
    if examples.columns() == 1 && duplicates as f64 > MANY_DUPLICATES * examples.len() as f64 {
        let text = format!(
            "{duplicates} of {} sentences are equal to an earlier one, and are trained on more often than others: \
             remove duplicate lines, for example with sort -u",
            examples.len()
        );
        warnings.push(Warning::new("many-duplicates", text));
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::batch::TokenizedBatch;

    fn of(settings: Settings, texts: usize, total_steps: u64) -> Vec<(&'static str, String)> {
        let texts = (0..texts).map(|number| format!("sentence {number}"));
        let sentences = Examples::from_texts("test", texts, 1).unwrap();
        let draw = Draw { epoch: 1.0, batches: vec![TokenizedBatch::new(1, vec![vec![1, 2], vec![1, 3]])], cut: 0 };
        let found = warnings(&settings, &sentences, total_steps, [&draw]).unwrap();
        found.into_iter().map(|warning| (warning.name, warning.text)).collect()
    }

    #[test]
    fn an_ordinary_run_has_none() {
        assert_eq!(of(Settings { batch_size: 2, ..Settings::default() }, 40, 20), []);
    }

    #[test]
    fn without_dropout_there_is_nothing_to_pull_together() {
        let settings = Settings { batch_size: 2, hidden_dropout: 0.0, attention_dropout: 0.0, ..Settings::default() };
        assert_eq!(of(settings.clone(), 40, 20)[0].0, "dropout-inactive");
        assert_eq!(of(Settings { attention_dropout: 0.1, ..settings.clone() }, 40, 20).len(), 0);
        // Views that differ in their words are something to pull together.
        assert_eq!(of(Settings { dup_rate: 0.3, ..settings.clone() }, 40, 20).len(), 0);
        assert_eq!(of(Settings { word_deletion: 0.3, ..settings }, 40, 20).len(), 0);
    }

    #[test]
    fn a_run_that_never_leaves_its_warm_up_changes_nothing() {
        let settings = Settings { batch_size: 2, ..Settings::default() };
        assert_eq!(of(settings.clone(), 40, 1)[0].0, "no-learning-rate");
        assert_eq!(of(settings.clone(), 40, 2).len(), 0);
        assert_eq!(of(Settings { warmup_steps: Some(0), ..settings }, 40, 1).len(), 0);
    }

    #[test]
    fn few_batches_are_a_warning() {
        let found = of(Settings { batch_size: 16, ..Settings::default() }, 31, 20);
        assert!(found[0].1.starts_with("an epoch has only 1 batch:"), "{found:?}");
    }

    #[test]
    fn many_equal_sentences_are_a_warning() {
        let settings = Settings { batch_size: 2, ..Settings::default() };
        let of_texts = |different: usize| {
            let texts = (0..100).map(|number| format!("sentence {}", number % different));
            let sentences = Examples::from_texts("test", texts, 1).unwrap();
            let draw = Draw { epoch: 1.0, batches: vec![TokenizedBatch::new(1, vec![vec![1, 2], vec![1, 3]])], cut: 0 };
            warnings(&settings, &sentences, 100, [&draw]).unwrap()
        };
        assert_eq!(of_texts(90), []);
        let found = of_texts(80);
        assert_eq!(found[0].name, "many-duplicates");
        assert!(found[0].text.starts_with("20 of 100 sentences"), "{found:?}");
    }

    #[test]
    fn sentences_that_the_tokenizer_cannot_tell_apart_are_refused() {
        let sentences = Examples::from_texts("ideograms", ["one", "two"], 1).unwrap();
        let draw = Draw { epoch: 1.0, batches: vec![TokenizedBatch::new(1, vec![vec![1, 0, 2]; 2])], cut: 0 };
        let error = warnings(&Settings::default(), &sentences, 1, [&draw]).unwrap_err().to_string();
        assert!(error.starts_with("ideograms: expected sentences that differ"), "{error}");
    }
}
