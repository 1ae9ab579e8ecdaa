//! What the steps of a run draw from its examples, as token ids.
//!
//! A draw is tokenized once, even if the memory plan looks at it before the first step. Texts that
//! the tokenizer turns into the same token ids are equal. Which ones are is found out when they are
//! drawn, because a run must not wait until all of its text is tokenized (only word weights make
//! it wait).
//!
//! This file knows examples, steps and a tokenizer. It must not know losses or files.

use std::collections::{HashMap, HashSet, VecDeque};

use rayon::prelude::*;
use simcse_model::{Prompt, SentenceEncoder};

use crate::data::batches::BatchSampler;
use crate::data::examples::Examples;
use crate::data::steps::{Steps, steps_in_epoch};
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::step::batch::TokenizedBatch;
use crate::views::Views;

/// The number of steps of a run with these settings on these sentences.
///
/// Epochs are counted as if only equal texts were kept out of each other's batches. If the
/// tokenizer turns different texts into the same token ids, an epoch may be shorter; the run then
/// begins further epochs until it has made this number of steps.
///
/// # Errors
/// [`Error::TooFewExamples`] if there are too few for one batch.
///
/// ```
/// use simcse_train::{Examples, Settings, total_steps};
///
/// let sentences = Examples::from_texts("numbers", (0..10).map(|i| format!("sentence {i}")), 1)?;
/// let settings = Settings { batch_size: 4, epochs: 3, ..Settings::default() };
/// // Two batches per epoch: the last two sentences of each epoch's order are dropped.
/// assert_eq!(total_steps(&settings, &sentences)?, 6);
/// # Ok::<(), simcse_train::Error>(())
/// ```
pub fn total_steps(settings: &Settings, examples: &Examples) -> Result<u64> {
    let batches_per_step = settings.gradient_accumulation_steps;
    let in_epoch = |epoch| steps_in_epoch(examples, settings.batching(), batches_per_step, epoch);
    if in_epoch(0) == 0 {
        return Err(Error::TooFewExamples {
            name: examples.name().to_owned(),
            batch_size: settings.batch_size,
            found: examples.distinct(),
            columns: examples.columns(),
        });
    }
    // The first epoch comes last, so that its order is the one that is kept.
    let in_all_epochs = || (0..settings.epochs).rev().map(in_epoch).sum();
    Ok(settings.max_steps.unwrap_or_else(in_all_epochs))
}

/// The tokenized batches of one step.
#[derive(Debug, PartialEq)]
pub(crate) struct Draw {
    /// Passes over the examples that are complete after this step.
    pub(crate) epoch: f64,
    pub(crate) batches: Vec<TokenizedBatch>,
    /// How many texts were too long and were truncated.
    pub(crate) cut: u64,
}

impl Draw {
    /// The number of texts.
    pub(crate) fn texts(&self) -> usize {
        self.batches.iter().map(|batch| batch.texts().len()).sum()
    }
}

/// The draws of a run, from some step on.
#[derive(Debug)]
pub(crate) struct Draws {
    examples: Examples,
    /// What goes in front of every text.
    prompt: String,
    views: Views,
    batch_size: usize,
    steps: Steps,
    ahead: VecDeque<Draw>,
}

impl Draws {
    /// The draws of a run of which `epochs` epochs are done: the [`Draw::epoch`] of its last step,
    /// or 0. If equal texts must not meet, the draws of the epoch that has begun are tokenized
    /// again, because token ids decide which batches they were.
    ///
    /// # Errors
    /// As [`Draws::next`].
    pub(crate) fn new(
        settings: &Settings,
        encoder: &SentenceEncoder,
        examples: &Examples,
        epochs: f64,
    ) -> Result<Self> {
        let batches_per_step = settings.gradient_accumulation_steps;
        let steps = Steps::from_epoch(examples, settings.batching(), batches_per_step, epochs as u32);
        let mut draws = Self {
            examples: examples.clone(),
            prompt: settings.prompt.clone(),
            views: Views::of(settings, encoder)?,
            batch_size: settings.batch_size,
            steps,
            ahead: VecDeque::new(),
        };
        while draws.steps.epochs_done() < epochs {
            match settings.batch_sampler {
                BatchSampler::NoDuplicates => _ = draws.draw(encoder)?,
                BatchSampler::Batch => _ = draws.steps.next(),
            }
        }
        Ok(draws)
    }

    /// Looks ahead until the draws hold `texts` texts, but at most `steps` draws.
    /// [`Draws::next`] returns them later without tokenizing them again.
    ///
    /// # Errors
    /// As [`Draws::next`].
    pub(crate) fn look_ahead(
        &mut self,
        encoder: &SentenceEncoder,
        steps: u64,
        texts: usize,
    ) -> Result<&VecDeque<Draw>> {
        let mut seen: usize = self.ahead.iter().map(Draw::texts).sum();
        while seen < texts && (self.ahead.len() as u64) < steps {
            let draw = self.draw(encoder)?;
            seen += draw.texts();
            self.ahead.push_back(draw);
        }
        Ok(&self.ahead)
    }

    /// The next draw.
    ///
    /// # Errors
    /// [`Error::NothingToLearn`] or [`Error::TooFewTokenized`] if token ids leave too few different
    /// examples for a batch; what the tokenizer reports.
    pub(crate) fn next(&mut self, encoder: &SentenceEncoder) -> Result<Draw> {
        match self.ahead.pop_front() {
            Some(draw) => Ok(draw),
            None => self.draw(encoder),
        }
    }

    fn draw(&mut self, encoder: &SentenceEncoder) -> Result<Draw> {
        let Self { examples, prompt, views, steps, .. } = self;
        // Includes examples that turn out to be equal to others and have to wait.
        let mut tokenized = HashMap::new();
        let step = steps.next_distinct(|indices| {
            let tokens = tokenize(encoder, prompt, &examples.select(indices))?;
            let keys = tokens.iter().map(|(ids, _)| ids.clone()).collect();
            let mut tokens = tokens.into_iter();
            for &index in indices {
                tokenized.insert(index, tokens.by_ref().take(examples.columns()).collect::<Vec<_>>());
            }
            Result::Ok(keys)
        })?;
        let Some(step) = step else {
            return Err(self.too_few(encoder));
        };

        let mut cut = 0;
        let epoch = step.epoch_number();
        let mut batch_of = |batch: Vec<u32>| {
            let mut texts = Vec::with_capacity(examples.columns() * batch.len());
            for &index in &batch {
                for (ids, truncated) in tokenized.remove(&index).expect("keys were computed for every example") {
                    cut += truncated;
                    texts.push(ids);
                }
            }
            views.batch(epoch, &batch, TokenizedBatch::new(examples.columns(), texts))
        };
        let batches = step.batches.into_iter().map(&mut batch_of).collect();
        Ok(Draw { epoch: step.epoch, batches, cut })
    }

    /// Why there is no batch.
    fn too_few(&self, encoder: &SentenceEncoder) -> Error {
        let texts: Vec<&str> = self.examples.texts().collect();
        let columns = self.examples.columns();
        let mut taken = HashSet::new();
        let mut distinct = 0;
        for part in texts.chunks(columns * SentenceEncoder::ENCODED_SENTENCES) {
            let tokens = match tokenize(encoder, &self.prompt, part) {
                Ok(tokens) => tokens,
                Err(error) => return error,
            };
            for example in tokens.chunks(columns) {
                let is_new = example.iter().all(|(ids, _)| !taken.contains(ids));
                if is_new {
                    distinct += 1;
                    taken.extend(example.iter().map(|(ids, _)| ids.clone()));
                }
            }
        }
        let name = self.examples.name().to_owned();
        match taken.len() {
            1 => Error::NothingToLearn { name },
            _ => Error::TooFewTokenized { name, batch_size: self.batch_size, found: distinct, columns },
        }
    }
}

/// For each of these texts, its token ids, and 1 if it was truncated or 0.
fn tokenize(encoder: &SentenceEncoder, prompt: &str, texts: &[&str]) -> Result<Vec<(Vec<u32>, u64)>> {
    // What pooling excludes does not matter to the tokenizer.
    let prompt = Prompt { text: prompt, excluded: 0 };
    let tokenize = |text: &&str| {
        let tokens = encoder.tokenize_with_prompt(prompt, &[text])?;
        Ok((tokens.ids.concat(), tokens.cut as u64))
    };
    texts.par_iter().map(tokenize).collect()
}

#[cfg(test)]
mod tests {
    use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, Tokenizer};

    use super::*;

    const NUMBERS: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

    /// 11 sentences of two to four words, two of them equal. The others differ in their first word,
    /// so they do even if the tokenizer truncates them.
    fn sentences() -> Examples {
        let texts = [
            "one to",
            "two boot",
            "three wifi",
            "four wifi",
            "five to",
            "six wifi",
            "seven boot",
            "eight wifi",
            "nine the wifi",
            "ten to boot wifi",
            "three wifi",
        ];
        Examples::from_texts("test", texts, 1).unwrap()
    }

    /// An encoder that truncates after `length` tokens.
    fn encoder(length: usize) -> SentenceEncoder {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "to", "boot", "the", "wifi"];
        let words = [&words, &NUMBERS[..]].concat();
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

    /// The draws of a run of which `epochs` epochs are done.
    fn draws(encoder: &SentenceEncoder, epochs: f64) -> Draws {
        Draws::new(&settings(), encoder, &sentences(), epochs).unwrap()
    }

    fn take(draws: &mut Draws, encoder: &SentenceEncoder, count: usize) -> Vec<Draw> {
        (0..count).map(|_| draws.next(encoder).unwrap()).collect()
    }

    #[test]
    fn looking_ahead_changes_no_draw_across_epochs_and_resumes() {
        let encoder = encoder(4);
        let expected = take(&mut draws(&encoder, 0.0), &encoder, 10);
        assert_eq!(expected.last().unwrap().epoch, 3.4);
        assert!(expected.iter().any(|draw| draw.cut == 0) && expected.iter().any(|draw| draw.cut > 0));
        for done in 0..expected.len() {
            let epochs = expected[..done].last().map_or(0.0, |draw| draw.epoch);
            for (steps, sentences) in [(0, 99), (2, 99), (99, 1), (99, 9), (99, 30)] {
                let mut draws = draws(&encoder, epochs);
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
        let seen = |steps, sentences| draws(&encoder, 0.0).look_ahead(&encoder, steps, sentences).unwrap().len();
        assert_eq!((seen(0, 99), seen(2, 99), seen(99, 1), seen(99, 4), seen(99, 5)), (0, 2, 1, 1, 2));
    }

    #[test]
    fn a_prompt_goes_in_front_of_every_sentence_and_counts_toward_the_length() {
        let encoder = encoder(5);
        let settings = Settings { prompt: "how to ".to_owned(), ..settings() };
        let mut steps = Steps::new(&sentences(), settings.batching(), settings.gradient_accumulation_steps);
        let draws = take(&mut Draws::new(&settings, &encoder, &sentences(), 0.0).unwrap(), &encoder, 6);
        for draw in &draws {
            let step = steps.next().unwrap();
            for (ids, batch) in draw.batches.iter().zip(&step.batches) {
                let prompted: Vec<_> = sentences().select(batch).iter().map(|text| format!("how to {text}")).collect();
                assert_eq!(ids.texts(), encoder.tokenize(&prompted).unwrap().ids);
            }
            // Five tokens are [CLS], the prompt's two, one word, and [SEP].
            assert_eq!(draw.cut as usize, draw.batches.iter().map(TokenizedBatch::len).sum::<usize>());
        }
    }

    /// Ten sentences, six of them once more in capital letters, which the tokenizer does not keep.
    /// Every other sentence that is one word longer is truncated.
    #[test]
    fn sentences_that_the_tokenizer_makes_equal_do_not_meet_even_after_a_resume() {
        let encoder = encoder(4);
        let tail = |index: usize| if index.is_multiple_of(2) { " boot" } else { " boot wifi" };
        let text = |(index, number): (usize, &&str)| format!("{number}{}", tail(index));
        let texts: Vec<_> = NUMBERS.iter().enumerate().map(text).collect();
        let capitals = texts[..6].iter().map(|text| text.to_uppercase());
        let sentences = Examples::from_texts("test", texts.iter().cloned().chain(capitals), 1).unwrap();
        let settings = Settings { batch_size: 4, gradient_accumulation_steps: 2, ..Settings::default() };
        let from = |epochs| Draws::new(&settings, &encoder, &sentences, epochs).unwrap();
        let meet = |draws: &[Draw]| {
            let different = |batch: &TokenizedBatch| batch.texts().iter().collect::<HashSet<_>>().len();
            draws.iter().flat_map(|draw| &draw.batches).any(|batch| different(batch) < batch.len())
        };

        let expected = take(&mut from(0.0), &encoder, 12);
        assert!(!meet(&expected));
        let longer: HashSet<_> = encoder.tokenize(&texts).unwrap().ids.into_iter().skip(1).step_by(2).collect();
        for draw in &expected {
            let drawn = draw.batches.iter().flat_map(TokenizedBatch::texts);
            let truncated = drawn.filter(|&ids| longer.contains(ids)).count();
            assert_eq!(draw.cut as usize, truncated, "those that had to wait count once");
        }
        for done in 1..12 {
            let found = take(&mut from(expected[done - 1].epoch), &encoder, 12 - done);
            assert_eq!(found, expected[done..]);
        }
        let batch = Settings { batch_sampler: BatchSampler::Batch, ..settings.clone() };
        assert!(meet(&take(&mut Draws::new(&batch, &encoder, &sentences, 0.0).unwrap(), &encoder, 12)));
    }

    #[test]
    fn too_few_sentences_that_the_tokenizer_can_tell_apart_are_an_error() {
        let encoder = encoder(8);
        let message = |texts: &[&str]| {
            let sentences = Examples::from_texts("texts", texts, 1).unwrap();
            let settings = Settings { batch_size: 4, ..Settings::default() };
            let mut draws = Draws::new(&settings, &encoder, &sentences, 0.0).unwrap();
            draws.look_ahead(&encoder, 1, 1).unwrap_err().to_string()
        };
        assert!(message(&["ä", "ö", "ü", "ß"]).starts_with("texts: expected sentences that differ"));
        let few = message(&["one", "One", "ONE", "two", "TWO", "three"]);
        let expected = "texts: expected at least 4 sentences that the model's tokenizer can tell apart for one batch, \
                        found 3: ";
        assert!(few.starts_with(expected), "{few}");
    }

    /// Draws that were looked at keep their ids even when the tokenizer changes afterwards.
    #[test]
    fn a_draw_is_tokenized_once() {
        let long = encoder(5);
        let short = encoder(3);
        let expected_before = take(&mut draws(&long, 0.0), &long, 6);
        let expected_after = take(&mut draws(&long, 0.0), &short, 6);
        for (before, after) in expected_before.iter().zip(&expected_after) {
            assert_ne!(before, after, "every draw shows which tokenizer made it");
        }

        let mut draws = draws(&long, 0.0);
        draws.look_ahead(&long, 4, 99).unwrap();
        let found = take(&mut draws, &short, 6);
        assert_eq!(found[..4], expected_before[..4]);
        assert_eq!(found[4..], expected_after[4..]);
    }
}
