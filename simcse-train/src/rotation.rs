//! Which checkpoints go when there are more than `--save-total-limit`: the oldest of this run, but never the newest or the
//! best one, and nothing that the run did not make.

use std::fs;
use std::path::Path;

use simcse_model::uninterrupted;

use crate::checkpoint::{name, steps};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::output::{partial_name, remove_directory};
use crate::provenance::Provenance;

/// Deletes the checkpoints of run `id` in `output` beyond `limit`. `kept` are steps whose checkpoints stay.
///
/// # Errors
/// [`Error::Write`].
pub(crate) fn rotate(output: &Path, id: &str, limit: usize, kept: &[u64]) -> Result<()> {
    let mut own = steps(output)?;
    own.retain(|step| is_own(&output.join(name(*step)), id));
    for step in surplus(&own, limit, kept) {
        // Under the other name first: a checkpoint is seen whole or not at all.
        let name = name(step);
        let (checkpoint, partial) = (output.join(&name), output.join(partial_name(&name)));
        uninterrupted(|| fs::rename(&checkpoint, &partial)).map_err(Error::write(&checkpoint))?;
        remove_directory(&partial)?;
    }
    Ok(())
}

/// The oldest of `steps`, which are sorted, that are not `kept` and whose going brings their number down to `limit`.
fn surplus(steps: &[u64], limit: usize, kept: &[u64]) -> Vec<u64> {
    let excess = steps.len().saturating_sub(limit.max(1));
    steps.iter().copied().filter(|step| !kept.contains(step)).take(excess).collect()
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
        fn only_old_checkpoints_of_the_run_go(events in vec(event(), 1..16), limit in 1usize..4) {
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
                        rotate(&output, "own", limit, &kept).unwrap();
                    }
                }
            }
            let exists = |step: &u64| output.join(name(*step)).join("weights").exists();
            let left: Vec<u64> = saved.iter().copied().filter(exists).collect();
            let must: std::collections::BTreeSet<u64> = saved.last().copied().into_iter().chain(best).collect();
            prop_assert!(must.iter().all(|step| left.contains(step)), "{left:?} without one of {must:?}");
            prop_assert_eq!(left.len(), saved.len().min(limit.max(must.len())));
            let newest: Vec<u64> = saved.iter().copied().filter(|step| !must.contains(step)).collect();
            let others: Vec<u64> = left.iter().copied().filter(|step| !must.contains(step)).collect();
            prop_assert!(newest.ends_with(&others), "{others:?} are not the newest of {newest:?}");
            for (path, what) in foreign {
                prop_assert!(fs::symlink_metadata(path).is_ok(), "{what:?} is gone");
            }
            prop_assert!(Manifest::read(&precious).unwrap().check(&precious).is_ok());
        }
    }
}
