//! Which checkpoints go: those between two save steps, which were the best or the newest for a while, and the oldest beyond
//! `--save-total-limit`; but never the newest or the best one, and nothing that the run did not make.

use std::fs;
use std::path::Path;

use simcse_model::io::uninterrupted;

use crate::error::{Error, Result};
use crate::run::checkpoint::{name, steps};
use crate::run::manifest::Manifest;
use crate::run::output::{partial_name, remove_directory};
use crate::run::provenance::Provenance;

/// What stays.
pub(crate) struct Rule {
    /// The most checkpoints, unless more must stay.
    pub(crate) limit: usize,
    /// Checkpoints at other steps than multiples of this stay only if they must.
    pub(crate) save_steps: u64,
    /// The steps whose checkpoints must stay.
    pub(crate) kept: Vec<u64>,
}

/// Deletes the checkpoints of run `id` in `output` that need not stay.
///
/// # Errors
/// [`Error::Write`].
pub(crate) fn rotate(output: &Path, id: &str, rule: &Rule) -> Result<()> {
    let mut own = steps(output)?;
    own.retain(|step| is_own(&output.join(name(*step)), id));
    for step in rule.surplus(&own) {
        // Under the other name first: a checkpoint is seen whole or not at all.
        let name = name(step);
        let (checkpoint, partial) = (output.join(&name), output.join(partial_name(&name)));
        uninterrupted(|| fs::rename(&checkpoint, &partial)).map_err(Error::write(&checkpoint))?;
        remove_directory(&partial)?;
    }
    Ok(())
}

impl Rule {
    /// Which of `steps`, sorted, go.
    fn surplus(&self, steps: &[u64]) -> Vec<u64> {
        let may_go = |step: &&u64| !self.kept.contains(step);
        let between = |step: &&u64| may_go(step) && !step.is_multiple_of(self.save_steps);
        let mut surplus: Vec<u64> = steps.iter().filter(between).copied().collect();
        let excess = (steps.len() - surplus.len()).saturating_sub(self.limit.max(1));
        let oldest = steps.iter().filter(|step| may_go(step) && !between(step)).take(excess);
        surplus.extend(oldest);
        surplus
    }
}

/// Whether run `id` made the checkpoint, and nobody put anything into it.
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
        /// Somebody puts something under a checkpoint's name.
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
        fn only_old_checkpoints_of_the_run_go(events in vec(event(), 1..16), limit in 1usize..5, save_steps in 1u64..3) {
            let dir = tempfile::tempdir().unwrap();
            let (output, precious) = (dir.path().join("out"), dir.path().join("precious"));
            fs::create_dir(&output).unwrap();
            put_checkpoint(&precious, "own");
            let (mut saved, mut foreign, mut best) = (Vec::new(), Vec::new(), None);
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
            // Beside these, the newest of the save steps, as many as the limit leaves room for.
            let others = |steps: &[u64]| -> Vec<u64> { steps.iter().copied().filter(|step| !must.contains(step)).collect() };
            prop_assert!(others(&left).iter().all(|step| step.is_multiple_of(save_steps)), "{left:?}");
            let mut at_save_steps = others(&saved);
            at_save_steps.retain(|step| step.is_multiple_of(save_steps));
            if save_steps == 1 {
                prop_assert!(at_save_steps.ends_with(&others(&left)), "{left:?} are not the newest of {saved:?}");
            }
            let most = limit.max(must.len());
            prop_assert!(left.len() <= most && (save_steps > 1 || left.len() == saved.len().min(most)), "{left:?}");
            // Two places at most were taken by others for a while.
            prop_assert!(others(&left).len() >= at_save_steps.len().min(limit.saturating_sub(2)), "{left:?}");
            for (path, what) in foreign {
                prop_assert!(fs::symlink_metadata(path).is_ok(), "{what:?} is gone");
            }
            prop_assert!(Manifest::read(&precious).unwrap().check(&precious).is_ok());
        }
    }
}
