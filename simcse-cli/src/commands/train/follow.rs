//! Follows the embeddings of a run's probe, and keeps what others can look at up to date.

use std::collections::HashSet;
use std::path::PathBuf;

use simcse_eval::{Counterparts, Error, Probe, ProbeScores};
use simcse_model::{DropoutPlan, SentenceEncoder};
use simcse_train::{Examples, Probed, Settings, Trainer, Training};

use crate::error::Failure;
use crate::page::pictures::Pictures;
use crate::page::report;
use crate::runs::log::Log;

/// The seed of the probe's dropout: the same in all runs, so that their figures can be compared.
const SEED: u64 = 42;

/// The probe of a run, and the directory that it is shown in.
pub(super) struct Follow {
    output: PathBuf,
    probe: Option<Probe>,
    pictures: Pictures,
    /// What has been read of the run's log.
    log: Log,
    /// Whether the page is older than the log in a way that matters.
    pub(super) is_old: bool,
}

impl Follow {
    /// Follows a run that is about to start or resume. What a language model makes of sentences
    /// says nothing about how it learns, so there is no probe in pretraining.
    pub(super) fn new(trainer: &Trainer) -> Self {
        let output = trainer.output().to_path_buf();
        let settings = trainer.settings();
        let contrastive = settings.objective == Training::Contrastive;
        let probe = contrastive.then(|| probe_of(trainer.examples(), settings)).flatten();
        let sentences = probe.as_ref().map_or(&[][..], Probe::texts);
        let pictures = match trainer.done() {
            0 => Pictures { sentences: sentences.to_vec(), ..Pictures::default() },
            _ => Pictures::resumed(&output, sentences),
        };
        Self { output, probe, pictures, log: Log::default(), is_old: false }
    }

    /// How many texts a measurement encodes.
    pub(super) fn texts(&self) -> usize {
        self.probe.as_ref().map_or(0, Probe::encoded)
    }

    /// Measures the embeddings of the probe in the model after `step` steps; `None` if there is no
    /// probe, or if an embedding is not finite.
    pub(super) fn probe(&mut self, encoder: &SentenceEncoder, step: u64) -> Result<Option<Probed>, Error> {
        let Some(probe) = &self.probe else { return Ok(None) };
        let Some((scores, picture)) = probe.measure(encoder)? else { return Ok(None) };
        self.pictures.add(step, picture);
        self.is_old = true;
        let ProbeScores { alignment, uniformity, mean_cosine, effective_rank } = scores;
        Ok(Some(Probed { alignment, uniformity, mean_cosine, effective_rank }))
    }

    /// Writes `probe.json` and `report.html`.
    pub(super) fn write(&mut self) -> Result<(), Failure> {
        self.is_old = false;
        if self.probe.is_some() {
            self.pictures.write(&self.output)?;
        }
        self.log.read_on(&self.output)?;
        report::write(&self.output, &self.log, &self.pictures, &self.output.join(report::FILE))
    }
}

/// Different sentences, or different anchors and their positives, from everywhere in the examples;
/// `None` if there are fewer than two.
fn probe_of(examples: &Examples, settings: &Settings) -> Option<Probe> {
    let mut seen = HashSet::new();
    let count = examples.len().min(Probe::TEXTS);
    let spread = (0..count).map(|number| (number as u128 * examples.len() as u128 / count as u128) as usize);
    let chosen: Vec<usize> = spread.filter(|&example| seen.insert(examples.get(example, 0))).collect();
    let column = |column| chosen.iter().map(|&example| examples.get(example, column).to_owned()).collect();
    let counterparts = match examples.columns() {
        1 => Counterparts::Dropout(DropoutPlan {
            hidden: settings.hidden_dropout,
            attention: settings.attention_dropout,
            seed: SEED,
            step: 0,
        }),
        _ => Counterparts::Positives(column(1)),
    };
    (chosen.len() > 1).then(|| Probe::new(column(0), counterparts))
}
