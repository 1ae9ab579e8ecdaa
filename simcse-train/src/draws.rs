//! What the steps of a run draw, as token ids. Every draw is tokenized once, though the memory plan looks at some of
//! them before the first step.

use std::collections::VecDeque;

use simcse_model::{SentenceEncoder, Tokens};

use crate::data::sentences::Sentences;
use crate::data::steps::{Step, Steps};
use crate::error::Result;
use crate::settings::Settings;

/// The tokenized batches of one step.
#[derive(Debug)]
pub(crate) struct Draw {
    /// Passes over the sentences that are done once the step is.
    pub(crate) epoch: f64,
    /// Token ids of each batch's sentences.
    pub(crate) batches: Vec<Vec<Vec<u32>>>,
    /// How many sentences were too long and lost their ends.
    pub(crate) cut: u64,
}

/// The draws of a run, from some step on.
#[derive(Debug)]
pub(crate) struct Draws {
    sentences: Sentences,
    steps: Steps,
    ahead: VecDeque<Draw>,
}

impl Draws {
    /// The draws behind the first `done` steps.
    pub(crate) fn new(settings: &Settings, sentences: &Sentences, done: u64) -> Self {
        let mut steps = Steps::new(sentences, settings.batching(), settings.gradient_accumulation_steps);
        for _ in 0..done {
            steps.next();
        }
        Self { sentences: sentences.clone(), steps, ahead: VecDeque::new() }
    }

    /// The next draws, at most `steps` of them, until they hold `sentences` sentences.
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
            let draw = tokenize(&self.sentences, encoder, &step)?;
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
                tokenize(&self.sentences, encoder, &step)
            }
        }
    }
}

fn tokenize(sentences: &Sentences, encoder: &SentenceEncoder, step: &Step) -> Result<Draw> {
    let tokenized = step.batches.iter().map(|batch| encoder.tokenize(&sentences.select(batch)));
    let tokenized = tokenized.collect::<simcse_model::Result<Vec<Tokens>>>()?;
    let cut = tokenized.iter().map(|tokens| tokens.cut as u64).sum();
    let batches = tokenized.into_iter().map(|tokens| tokens.ids).collect();
    Ok(Draw { epoch: step.epoch, batches, cut })
}
