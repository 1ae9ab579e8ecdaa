//! `checkpoint-<step>/`: a model directory, plus what a run needs to resume as if it had never
//! stopped.
//!
//! Batches are a function of seed and epoch; dropout masks are a function of seed and step. So the
//! state of a run is its weights, the optimizer's two moments (`optimizer.safetensors`) and its
//! progress (`trainer_state.json`). The weights of a layer that only training uses are in
//! `mlp.safetensors`, because they are not part of the model. `run.toml` records what the run is
//! made of, and `manifest.json` shows that the checkpoint is complete and undamaged.

use std::path::{Path, PathBuf};

use simcse_model::SentenceEncoder;
use simcse_model::io::directory_atomically;

use crate::error::{Error, Result};
use crate::optim::adamw::{AdamW, check_finite};
use crate::run::manifest::Manifest;
use crate::run::model_card;
use crate::run::output::{checkpoint_size, entries, no_checkpoint, require_space, step_of};
use crate::run::progress::Progress;
use crate::run::provenance::Provenance;
use crate::run::summary::Summary;

const OPTIMIZER: &str = "optimizer.safetensors";
const TRAINING_MLP: &str = "mlp.safetensors";

/// A complete checkpoint, every byte of which is as it was saved.
///
/// ```
/// # mod common { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_model.rs")); }
/// # let texts: Vec<String> = (0..8).map(|i| format!("sentence {i}")).collect();
/// # let encoder = common::small_model(&texts);
/// # let directory = tempfile::tempdir().unwrap();
/// # let output = directory.path().join("run");
/// use simcse_train::{Checkpoint, OutputDirectory, Examples, Settings, Trainer};
///
/// // A run of four steps with a checkpoint after every two ...
/// let sentences = Examples::from_texts("test", &texts, 1)?;
/// let settings = Settings { batch_size: 2, save_steps: 2, ..Settings::for_model(&encoder) };
/// let whole = Trainer::new(encoder, &sentences, settings.clone(), &output)?.train(&mut ())?;
///
/// // ... resumed from the first one, ends with the same weights.
/// let checkpoint = Checkpoint::open(&output.join("checkpoint-2"))?;
/// let output = OutputDirectory::lock_existing(&output)?;
/// let resumed = Trainer::resume(output, checkpoint, &sentences, settings)?.train(&mut ())?;
/// assert_eq!(resumed.encoder.params.values(), whole.encoder.params.values());
/// # Ok::<(), simcse_train::Error>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    /// What the run was made of when this was saved.
    pub provenance: Provenance,
    pub(crate) progress: Progress,
}

/// What a checkpoint saves.
pub(crate) struct State<'a> {
    pub(crate) encoder: &'a SentenceEncoder,
    pub(crate) optimizer: &'a AdamW,
    pub(crate) progress: &'a Progress,
    /// Steps of the whole run.
    pub(crate) total_steps: u64,
}

impl Checkpoint {
    /// Opens the checkpoint in `path` and checks it against its manifest. If the run is to end with
    /// the best model, the best model's checkpoint is checked, too.
    ///
    /// # Errors
    /// [`Error::Damaged`], naming the first file that is not as it was saved.
    pub fn open(path: &Path) -> Result<Self> {
        Manifest::read(path)?.check(path)?;
        let provenance = Provenance::read(path)?;
        let progress = Progress::read(path)?;
        let expected = name(progress.global_step);
        if path.file_name().is_none_or(|name| *name != *expected) {
            return Err(Error::Damaged {
                file: path.to_path_buf(),
                expected: format!("the name {expected}, after its step"),
                found: "another name".to_owned(),
            });
        }
        let best = progress.best_global_step.filter(|&best| best != progress.global_step);
        if let Some(best) = best.filter(|_| provenance.settings.load_best_model_at_end) {
            let best = path.with_file_name(name(best));
            Manifest::read(&best)?.check(&best)?;
        }
        Ok(Self { path: path.to_path_buf(), provenance, progress })
    }

    /// The newest checkpoint in `output` that is as it was saved, and what is wrong with each newer
    /// one.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] if there is none.
    pub fn newest(output: &Path) -> Result<(Self, Vec<Error>)> {
        let mut rejected = Vec::new();
        for step in steps(output)?.into_iter().rev() {
            match Self::open(&output.join(name(step))) {
                Ok(checkpoint) => return Ok((checkpoint, rejected)),
                Err(error) => rejected.push(error),
            }
        }
        Err(no_checkpoint(output, rejected))
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.progress.global_step
    }

    /// The model as it was saved, without a layer that only training uses.
    ///
    /// # Errors
    /// As [`SentenceEncoder::load_directory`].
    pub fn load_encoder(&self) -> Result<SentenceEncoder> {
        Ok(SentenceEncoder::load_directory(&self.path)?)
    }

    /// Gives `encoder` the layer that only training uses, if the run has one.
    pub(crate) fn load_training_mlp(&self, encoder: &mut SentenceEncoder) -> Result<()> {
        let settings = &self.provenance.settings;
        if settings.has_training_mlp() {
            encoder.add_training_mlp(settings.seed);
            encoder.load_training_mlp(&self.path.join(TRAINING_MLP))?;
        }
        Ok(())
    }

    /// Gives the optimizer the moments and the number of updates that it had.
    pub(crate) fn restore(&self, optimizer: &mut AdamW) -> Result<()> {
        optimizer.load(&self.path.join(OPTIMIZER), self.progress.updates())
    }

    /// Writes a checkpoint atomically: it appears complete or not at all, even if the machine
    /// crashes.
    ///
    /// # Errors
    /// [`Error::WeightsNotFinite`], [`Error::NoSpace`], [`Error::Write`]. Nothing is left on disk
    /// then.
    pub(crate) fn write(output: &Path, provenance: &Provenance, state: &State) -> Result<PathBuf> {
        check_finite(&state.encoder.params, "")?;
        state.optimizer.check_finite()?;
        let name = name(state.progress.global_step);
        require_space(output, &name, checkpoint_size(state.encoder))?;

        // Once this returns, old checkpoints may be deleted.
        let checkpoint = output.join(&name);
        directory_atomically(
            &checkpoint,
            |path, error| Error::write(path)(error),
            |partial| Self::fill(partial, provenance, state),
        )?;
        Ok(checkpoint)
    }

    /// Writes the files. The manifest comes last, so that a directory with a manifest has all its
    /// files; writing it also syncs the directory.
    fn fill(dir: &Path, provenance: &Provenance, state: &State) -> Result<()> {
        let State { encoder, optimizer, progress, total_steps } = state;
        write_model(dir, provenance, encoder, &Summary::of(progress, &provenance.settings))?;
        if encoder.has_training_mlp() {
            encoder.save_training_mlp(&dir.join(TRAINING_MLP))?;
        }
        optimizer.save(&dir.join(OPTIMIZER))?;
        progress.write(dir, &provenance.settings, *total_steps)?;
        provenance.write(dir)?;
        Manifest::of(dir)?.write(dir)
    }
}

/// Writes the model and its card into `dir`, which exists.
pub(crate) fn write_model(
    dir: &Path,
    provenance: &Provenance,
    encoder: &SentenceEncoder,
    summary: &Summary,
) -> Result<()> {
    encoder.save(dir)?;
    let card = model_card::render(provenance, encoder, summary);
    Ok(simcse_model::io::write_bytes(&dir.join("README.md"), card.as_bytes())?)
}

/// Gives `encoder` the weights of `checkpoint-<step>`, after checking its bytes.
pub(crate) fn load_weights(output: &Path, step: u64, encoder: &mut SentenceEncoder) -> Result<()> {
    let checkpoint = Checkpoint::open(&output.join(name(step)))?;
    Ok(encoder.load_weights(checkpoint.path())?)
}

/// The name of the checkpoint at `step`.
pub(crate) fn name(step: u64) -> String {
    format!("checkpoint-{step}")
}

/// The steps of the directories in `output` that have the name of a checkpoint, sorted. Symbolic
/// links are ignored.
pub(crate) fn steps(output: &Path) -> Result<Vec<u64>> {
    let directories =
        entries(output)?.into_iter().filter(|(_, entry)| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut steps: Vec<_> = directories.filter_map(|(name, _)| step_of(&name)).collect();
    steps.sort_unstable();
    Ok(steps)
}
