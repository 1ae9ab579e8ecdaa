//! Finds runs below directories.

use std::collections::HashSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::Failure;
use crate::runs::run::Run;

/// The runs that were found, and what was found that is no run, a line each.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) runs: Vec<Run>,
    pub(crate) notes: Vec<String>,
    seen: HashSet<PathBuf>,
}

/// Finds the runs in `directories` and below: directories with both `run.toml` and `metrics.jsonl`.
/// Nothing is looked for within a run, such as its checkpoints, nor behind symbolic links.
///
/// # Errors
/// If there are none.
pub(crate) fn find(directories: &[PathBuf]) -> Result<Found, Failure> {
    let mut found = Found::default();
    for directory in directories {
        let before = (found.runs.len(), found.notes.len());
        found.look_in(directory, true);
        if (found.runs.len(), found.notes.len()) == before && !found.seen.contains(&canonical(directory)) {
            found
                .notes
                .push(format!("{}: no run, with run.toml and metrics.jsonl, is in it or below", directory.display()));
        }
    }
    if found.runs.is_empty() {
        return Err(Failure::Failed(found.notes.join("; ")));
    }
    shorten_names(&mut found.runs);
    Ok(found)
}

impl Found {
    fn look_in(&mut self, path: &Path, is_named: bool) {
        match Run::files(path) {
            [true, true] => {
                if self.seen.insert(canonical(path)) {
                    match Run::read(path) {
                        Ok(run) => self.runs.push(run),
                        Err(Failure::Failed(message)) => self.notes.push(message),
                        Err(_) => {}
                    }
                }
                return;
            }
            [true, false] => self.notes.push(format!("{}: not a run: it has no metrics.jsonl", path.display())),
            [false, true] => self.notes.push(format!("{}: not a run: it has no run.toml", path.display())),
            [false, false] => {}
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                if is_named {
                    self.notes.push(format!("{}: {error}", path.display()));
                }
                return;
            }
        };
        let is_looked_in = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            entry.file_type().is_ok_and(|kind| kind.is_dir())
                && !name.starts_with('.')
                && !name.starts_with("checkpoint-")
        };
        let mut below: Vec<_> = entries.flatten().filter(is_looked_in).map(|entry| entry.path()).collect();
        below.sort_unstable();
        below.iter().for_each(|path| self.look_in(path, false));
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Leaves out the directories that all names begin with.
fn shorten_names(runs: &mut [Run]) {
    let parts = |run: &Run| -> Vec<String> {
        let parts = run.path.components().filter(|part| *part != Component::CurDir);
        parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let paths: Vec<_> = runs.iter().map(parts).collect();
    let shared = |depth: usize| paths.iter().all(|path| path.len() > depth + 1 && path[depth] == paths[0][depth]);
    let common = (0..).take_while(|&depth| shared(depth)).count();
    for (run, path) in runs.iter_mut().zip(&paths).filter(|(_, path)| !path.is_empty()) {
        run.name = path[common..].join("/");
    }
}
