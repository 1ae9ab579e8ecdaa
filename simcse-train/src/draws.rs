//! What the steps of a run draw from its sentences, as token ids.
//!
//! A draw is tokenized once, even if the memory plan looks at it before the first step.
//!
//! This file knows sentences, steps and a tokenizer. It must not know losses or files.

use std::collections::VecDeque;

use simcse_model::{Prompt, SentenceEncoder, Tokens};

use crate::data::sentences::Sentences;
use crate::data::steps::{Step, Steps, steps_in_epoch};
use crate::error::{Error, Result};
use crate::settings::Settings;

/// The number of steps of a run with these settings on these sentences.
///
/// # Errors
/// [`Error::TooFewSentences`] if there are too few for one batch.
///
/// ```
/// use simcse_train::{Sentences, Settings, total_steps};
///
/// let sentences = Sentences::from_texts("numbers", (0..10).map(|i| format!("sentence {i}")), 1)?;
/// let settings = Settings { batch_size: 4, epochs: 3, ..Settings::default() };
/// // Two batches per epoch: the last two sentences of each epoch's order are dropped.
/// assert_eq!(total_steps(&settings, &sentences)?, 6);
/// # Ok::<(), simcse_train::Error>(())
/// ```
pub fn total_steps(settings: &Settings, sentences: &Sentences) -> Result<u64> {
    let batches_per_step = settings.gradient_accumulation_steps;
    let in_epoch = |epoch| steps_in_epoch(sentences, settings.batching(), batches_per_step, epoch);
    let first = in_epoch(0);
    if first == 0 {
        return Err(Error::TooFewSentences {
            name: sentences.name().to_owned(),
            batch_size: settings.batch_size,
            found: sentences.len() - sentences.duplicates(),
        });
    }
    let in_all_epochs = || (0..settings.epochs).map(|epoch| if epoch == 0 { first } else { in_epoch(epoch) }).sum();
    Ok(settings.max_steps.unwrap_or_else(in_all_epochs))
}

fn steps(settings: &Settings, sentences: &Sentences) -> Steps {
    Steps::new(sentences, settings.batching(), settings.gradient_accumulation_steps)
}

/// The tokenized batches of one step.
#[derive(Debug, PartialEq)]
pub(crate) struct Draw {
    /// Passes over the sentences that are complete after this step.
    pub(crate) epoch: f64,
    /// For each batch, the token ids of its sentences.
    pub(crate) batches: Vec<Vec<Vec<u32>>>,
    /// How many sentences were too long and were truncated.
    pub(crate) cut: u64,
}

/// The draws of a run, from some step on.
#[derive(Debug)]
pub(crate) struct Draws {
    sentences: Sentences,
    /// What goes in front of every sentence.
    prompt: String,
    steps: Steps,
    ahead: VecDeque<Draw>,
}

impl Draws {
    /// The draws that follow the first `done` steps.
    pub(crate) fn new(settings: &Settings, sentences: &Sentences, done: u64) -> Self {
        let mut steps = steps(settings, sentences);
        for _ in 0..done {
            steps.next();
        }
        Self { sentences: sentences.clone(), prompt: settings.prompt.clone(), steps, ahead: VecDeque::new() }
    }

    /// Looks ahead until the draws hold `sentences` sentences, but at most `steps` draws.
    /// [`Draws::next`] returns them later without tokenizing them again.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub(crate) fn look_ahead(
        &mut self,
        encoder: &SentenceEncoder,
        steps: u64,
        sentences: usize,
    ) -> Result<&VecDeque<Draw>> {
        let size = |draw: &Draw| draw.batches.iter().map(Vec::len).sum::<usize>();
        let mut seen: usize = self.ahead.iter().map(size).sum();
        while seen < sentences && (self.ahead.len() as u64) < steps {
            let Some(step) = self.steps.next() else { break };
            let draw = self.tokenize(encoder, &step)?;
            seen += size(&draw);
            self.ahead.push_back(draw);
        }
        Ok(&self.ahead)
    }

    /// The next draw.
    ///
    /// # Errors
    /// What the tokenizer reports.
    ///
    /// # Panics
    /// If there are too few sentences for one batch.
    pub(crate) fn next(&mut self, encoder: &SentenceEncoder) -> Result<Draw> {
        match self.ahead.pop_front() {
            Some(draw) => Ok(draw),
            None => {
                let step = self.steps.next().expect("epochs without end");
                self.tokenize(encoder, &step)
            }
        }
    }

    fn tokenize(&self, encoder: &SentenceEncoder, step: &Step) -> Result<Draw> {
        // What pooling excludes does not matter to the tokenizer.
        let prompt = Prompt { text: &self.prompt, excluded: 0 };
        let batches = step.batches.iter().map(|batch| self.sentences.select(batch));
        let tokenized = batches.map(|batch| encoder.tokenize_with_prompt(prompt, &batch));
        let tokenized = tokenized.collect::<simcse_model::Result<Vec<Tokens>>>()?;
        let cut = tokenized.iter().map(|tokens| tokens.cut as u64).sum();
        let batches = tokenized.into_iter().map(|tokens| tokens.ids).collect();
        Ok(Draw { epoch: step.epoch, batches, cut })
    }
}

#[cfg(test)]
mod tests {
    use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, Tokenizer};

    use super::*;

    /// 11 sentences of two to four words, two of them equal.
    fn sentences() -> Sentences {
        let texts = [
            "how to",
            "to boot",
            "the wifi",
            "boot wifi",
            "wifi to",
            "how wifi",
            "the boot",
            "to wifi",
            "boot the wifi",
            "how to boot wifi",
            "the wifi",
        ];
        Sentences::from_texts("test", texts, 1).unwrap()
    }

    /// An encoder that truncates after `length` tokens.
    fn encoder(length: usize) -> SentenceEncoder {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "to", "boot", "the", "wifi"];
        let config = ModelConfig {
            vocab_size: words.len(),
            hidden_size: 4,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            intermediate_size: 4,
            ..ModelConfig::defaults(Architecture::Bert)
        };
        let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
        SentenceEncoder::random(ModelDirectory::new(config, tokenizer, Pooling::Mean, length).unwrap(), 1)
    }

    /// Steps of two batches of two sentences: three steps per epoch, the last one with one batch.
    fn settings() -> Settings {
        Settings { batch_size: 2, gradient_accumulation_steps: 2, ..Settings::default() }
    }

    /// The draws after the first `done` steps.
    fn draws(done: usize) -> Draws {
        Draws::new(&settings(), &sentences(), done as u64)
    }

    fn take(draws: &mut Draws, encoder: &SentenceEncoder, count: usize) -> Vec<Draw> {
        (0..count).map(|_| draws.next(encoder).unwrap()).collect()
    }

    #[test]
    fn looking_ahead_changes_no_draw_across_epochs_and_resumes() {
        let encoder = encoder(4);
        let expected = take(&mut draws(0), &encoder, 10);
        assert_eq!(expected.last().unwrap().epoch, 3.4);
        assert!(expected.iter().any(|draw| draw.cut == 0) && expected.iter().any(|draw| draw.cut > 0));
        for done in 0..expected.len() {
            for (steps, sentences) in [(0, 99), (2, 99), (99, 1), (99, 9), (99, 30)] {
                let mut draws = draws(done);
                let ahead = draws.look_ahead(&encoder, steps, sentences).unwrap().len();
                let again = draws.look_ahead(&encoder, steps, sentences).unwrap().len();
                assert_eq!(again, ahead, "a second look sees no more");
                assert_eq!(take(&mut draws, &encoder, expected.len() - done), expected[done..]);
            }
        }
    }

    #[test]
    fn looking_ahead_ends_at_the_first_bound() {
        let encoder = encoder(4);
        let seen = |steps, sentences| draws(0).look_ahead(&encoder, steps, sentences).unwrap().len();
        assert_eq!((seen(0, 99), seen(2, 99), seen(99, 1), seen(99, 4), seen(99, 5)), (0, 2, 1, 1, 2));
    }

    #[test]
    fn a_prompt_goes_in_front_of_every_sentence_and_counts_toward_the_length() {
        let encoder = encoder(5);
        let settings = Settings { prompt: "how to ".to_owned(), ..settings() };
        let mut steps = steps(&settings, &sentences());
        let draws = take(&mut Draws::new(&settings, &sentences(), 0), &encoder, 6);
        for draw in &draws {
            let step = steps.next().unwrap();
            for (ids, batch) in draw.batches.iter().zip(&step.batches) {
                let prompted: Vec<_> = sentences().select(batch).iter().map(|text| format!("how to {text}")).collect();
                assert_eq!(*ids, encoder.tokenize(&prompted).unwrap().ids);
            }
            // Five tokens are [CLS], the prompt's two, one word, and [SEP].
            assert_eq!(draw.cut as usize, draw.batches.concat().len());
        }
    }

    /// Draws that were looked at keep their ids even when the tokenizer changes afterwards.
    #[test]
    fn a_draw_is_tokenized_once() {
        let long = encoder(5);
        let short = encoder(3);
        let expected_before = take(&mut draws(0), &long, 6);
        let expected_after = take(&mut draws(0), &short, 6);
        for (before, after) in expected_before.iter().zip(&expected_after) {
            assert_ne!(before, after, "every draw shows which tokenizer made it");
        }

        let mut draws = draws(0);
        draws.look_ahead(&long, 4, 99).unwrap();
        let found = take(&mut draws, &short, 6);
        assert_eq!(found[..4], expected_before[..4]);
        assert_eq!(found[4..], expected_after[4..]);
    }
}
