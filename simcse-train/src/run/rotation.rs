//! Which checkpoints are deleted: those between two save steps, once they are neither the best nor
//! the newest one, and the oldest ones over `--save-total-limit`. The newest and the best one are
//! never deleted, nor is anything that the run did not write.

use std::fs;
use std::path::Path;

use simcse_model::io::uninterrupted;

use crate::error::{Error, Result};
use crate::run::checkpoint::{name, steps};
use crate::run::manifest::Manifest;
use crate::run::output::{partial_name, remove_directory};
use crate::run::provenance::Provenance;

/// Which checkpoints are kept.
pub(crate) struct Rule {
    /// The most checkpoints, unless more must be kept.
    pub(crate) limit: usize,
    /// Checkpoints at steps that are not multiples of this are kept only if they must be.
    pub(crate) save_steps: u64,
    /// The steps whose checkpoints must be kept.
    pub(crate) kept: Vec<u64>,
}

/// Deletes the checkpoints of run `id` in `output` that the rule does not keep.
///
/// # Errors
/// [`Error::Write`].
pub(crate) fn rotate(output: &Path, id: &str, rule: &Rule) -> Result<()> {
    let mut own = steps(output)?;
    own.retain(|step| is_own(&output.join(name(*step)), id));
    for step in rule.surplus(&own) {
        // Deleting takes many steps, but renaming is atomic. If the run is killed in between, what
        // is left has a partial name, which the next run removes; no checkpoint is ever incomplete.
        let name = name(step);
        let checkpoint = output.join(&name);
        let partial = output.join(partial_name(&name));
        uninterrupted(|| fs::rename(&checkpoint, &partial)).map_err(Error::write(&checkpoint))?;
        remove_directory(&partial)?;
    }
    Ok(())
}

impl Rule {
    /// Which of the sorted `steps` are to be deleted.
    fn surplus(&self, steps: &[u64]) -> Vec<u64> {
        let deletable = |step: &&u64| !self.kept.contains(step);
        let between = |step: &&u64| deletable(step) && !step.is_multiple_of(self.save_steps);
        let mut surplus: Vec<u64> = steps.iter().filter(between).copied().collect();
        // The limit counts the best and the newest one, too, but can only be met by deleting
        // others.
        let excess = (steps.len() - surplus.len()).saturating_sub(self.limit.max(1));
        let oldest = steps.iter().filter(|step| deletable(step) && !between(step)).take(excess);
        surplus.extend(oldest);
        surplus
    }
}

/// Whether run `id` wrote the checkpoint, and nobody has added files to it.
fn is_own(checkpoint: &Path, id: &str) -> bool {
    Manifest::read(checkpoint).is_ok_and(|manifest| manifest.lists_all(checkpoint))
        && Provenance::read(checkpoint).is_ok_and(|provenance| provenance.id == id)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Event {
        /// The run saves a checkpoint, perhaps the best one so far.
        Save { best: bool },
        /// Somebody else uses a checkpoint's name.
        Put(Foreign),
    }

    #[derive(Clone, Copy, Debug)]
    enum Foreign {
        Empty,
        WithoutManifest,
        OfAnotherRun,
        WithNotes,
        Link,
        File,
    }

    fn event() -> impl Strategy<Value = Event> {
        use Foreign::*;
        let foreign = prop::sample::select(vec![Empty, WithoutManifest, OfAnotherRun, WithNotes, Link, File]);
        prop_oneof![3 => any::<bool>().prop_map(|best| Event::Save { best }), 1 => foreign.prop_map(Event::Put)]
    }

    fn put_checkpoint(path: &Path, id: &str) {
        fs::create_dir(path).unwrap();
        fs::write(path.join("weights"), "w").unwrap();
        let provenance = Provenance { id: id.to_owned(), ..Provenance::default() };
        fs::write(path.join("run.toml"), toml::to_string(&provenance).unwrap()).unwrap();
        let manifest = Manifest::of(path).unwrap().text();
        fs::write(path.join("manifest.json"), manifest).unwrap();
    }

    fn put(path: &Path, foreign: Foreign, precious: &Path) {
        match foreign {
            Foreign::Empty => fs::create_dir(path).unwrap(),
            Foreign::WithoutManifest => {
                fs::create_dir(path).unwrap();
                fs::write(path.join("run.toml"), "").unwrap();
            }
            Foreign::OfAnotherRun => put_checkpoint(path, "another"),
            Foreign::WithNotes => {
                put_checkpoint(path, "own");
                fs::write(path.join("notes"), "mine").unwrap();
            }
            #[cfg(unix)]
            Foreign::Link => std::os::unix::fs::symlink(precious, path).unwrap(),
            #[cfg(not(unix))]
            Foreign::Link => fs::write(path, precious.to_string_lossy().as_bytes()).unwrap(),
            Foreign::File => fs::write(path, "mine").unwrap(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn only_old_checkpoints_of_the_run_are_deleted(
            events in vec(event(), 1..16),
            limit in 1usize..5,
            save_steps in 1u64..3,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let output = dir.path().join("out");
            let precious = dir.path().join("precious");
            fs::create_dir(&output).unwrap();
            put_checkpoint(&precious, "own");
            let mut saved = Vec::new();
            let mut foreign = Vec::new();
            let mut best = None;
            for (step, event) in (1..).zip(events) {
                let path = output.join(name(step));
                match event {
                    Event::Put(what) => {
                        put(&path, what, &precious);
                        foreign.push((path, what));
                    }
                    Event::Save { best: is_best } => {
                        put_checkpoint(&path, "own");
                        saved.push(step);
                        best = if is_best { Some(step) } else { best };
                        let kept: Vec<u64> = [step].into_iter().chain(best).collect();
                        rotate(&output, "own", &Rule { limit, save_steps, kept }).unwrap();
                    }
                }
            }
            let exists = |step: &u64| output.join(name(*step)).join("weights").exists();
            let left: Vec<u64> = saved.iter().copied().filter(exists).collect();
            let must: std::collections::BTreeSet<u64> = saved.last().copied().into_iter().chain(best).collect();
            prop_assert!(must.iter().all(|step| left.contains(step)), "{left:?} without one of {must:?}");
            // Apart from these, the newest checkpoints at save steps, as many as the limit allows.
            let others = |steps: &[u64]| -> Vec<u64> {
                steps.iter().copied().filter(|step| !must.contains(step)).collect()
            };
            prop_assert!(others(&left).iter().all(|step| step.is_multiple_of(save_steps)), "{left:?}");
            let mut at_save_steps = others(&saved);
            at_save_steps.retain(|step| step.is_multiple_of(save_steps));
            if save_steps == 1 {
                prop_assert!(at_save_steps.ends_with(&others(&left)), "{left:?} are not the newest of {saved:?}");
            }
            let most = limit.max(must.len());
            prop_assert!(left.len() <= most && (save_steps > 1 || left.len() == saved.len().min(most)), "{left:?}");
            // The best and the newest one may have taken two places for a while.
            prop_assert!(others(&left).len() >= at_save_steps.len().min(limit.saturating_sub(2)), "{left:?}");
            for (path, what) in foreign {
                prop_assert!(fs::symlink_metadata(path).is_ok(), "{what:?} is gone");
            }
            prop_assert!(Manifest::read(&precious).unwrap().check(&precious).is_ok());
        }
    }
}
