//! `simcse fetch`: data from the network.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use clap::{Args, Subcommand};
use simcse_eval::{EvaluationSet, SentEval};
use simcse_model::Error;
use simcse_model::hub::{self, DatasetFile, HubError};
use simcse_model::io::write_bytes;
use tar::Archive;

use crate::download_progress::DownloadProgress;
use crate::error::Failure;
use crate::inputs::{default_askubuntu_dir, default_senteval_dir};
use crate::report;

/// Where the files of taolei87/askubuntu are served.
const ASKUBUNTU_URL: &str = "https://raw.githubusercontent.com/taolei87/askubuntu/master";
/// A mirror of it.
const ASKUBUNTU_URL_VARIABLE: &str = "SIMCSE_ASKUBUNTU_URL";
/// The texts, and the queries with their candidates.
const ASKUBUNTU_FILES: [&str; 3] = ["text_tokenized.txt.gz", "dev.txt", "test.txt"];

/// SentEval's data as the SimCSE paper's evaluation uses them: `data/downstream`, already tokenized
/// and in lower case. See SentEval/data/downstream/download_dataset.sh of
/// github.com/princeton-nlp/SimCSE; the commit is the last one, of September 2021.
const SENTEVAL: DatasetFile<'_> = DatasetFile {
    repo: "princeton-nlp/datasets-for-simcse",
    commit: "e145e8bb659b2aa2669f32ef79cb4cdef6c58fef",
    name: "senteval.tar",
};
/// The folders of the STS sets; the others are of SentEval's transfer tasks.
const SENTEVAL_FOLDERS: [&str; 2] = ["STS", "SICK"];

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    #[command(subcommand)]
    data: DataSet,
}

#[derive(Debug, Subcommand)]
enum DataSet {
    /// The AskUbuntu questions of github.com/taolei87/askubuntu, for --data askubuntu; prints their
    /// directory
    Askubuntu {
        /// Directory for the files [default: simcse/askubuntu in the user's cache directory]
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
    },
    /// STS12 to STS16, STS-B and SICK-R in SentEval's layout, for `eval senteval --data senteval`:
    /// senteval.tar (90 MB) of huggingface.co/datasets/princeton-nlp/datasets-for-simcse, checked
    /// by the SHA-256 that the hub names for it; prints their directory
    Sts {
        /// Directory for the files [default: simcse/senteval in the user's cache directory]
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
    },
}

pub(crate) fn run(args: FetchArgs) -> Result<(), Failure> {
    let dir = match args.data {
        DataSet::Askubuntu { output_dir } => {
            let dir = output_dir.unwrap_or_else(default_askubuntu_dir);
            fetch_askubuntu(&dir)?;
            dir
        }
        DataSet::Sts { output_dir } => {
            let dir = output_dir.unwrap_or_else(default_senteval_dir);
            fetch_senteval(&dir)?;
            dir
        }
    };
    report::print(&dir.display().to_string())
}

/// Downloads and unpacks the STS sets, unless `dir` has all of them.
fn fetch_senteval(dir: &Path) -> Result<(), Failure> {
    if SentEval::read(dir).is_ok_and(|set| set.missing().is_empty()) {
        return Ok(());
    }
    let mut progress = DownloadProgress::default();
    SENTEVAL.download(dir, &mut |event| progress.show(event)).map_err(|error| {
        let Failure::Failed(message) = Failure::from(error) else { unreachable!("an error of the library") };
        Failure::Failed(format!("{message} (source: {})", SENTEVAL.url()))
    })?;
    let archive = dir.join(SENTEVAL.name);
    unpack(&archive, dir).map_err(|error| Failure::Failed(format!("cannot unpack {}: {error}", archive.display())))?;
    let set = SentEval::read(dir)?;
    if !set.missing().is_empty() {
        let missing: Vec<_> = set.missing().iter().map(|task| task.label()).collect();
        return Err(Failure::Failed(format!("{} does not contain {}", archive.display(), missing.join(", "))));
    }
    for (task, found) in set.tasks().filter(|(task, found)| *found != task.published_pairs()) {
        let published = task.published_pairs();
        report::warn(&format!("{} has {found} pairs with a score, not the published {published}", task.label()));
    }
    report::note(&format!("source: {}", SENTEVAL.url()));
    report::note(&format!("SHA-256 of the pairs: {}", set.sha256()?));
    fs::remove_file(&archive).map_err(Failure::writing(archive.display()))
}

/// Unpacks the folders of the STS sets. Each file appears complete or not at all.
fn unpack(archive: &Path, dir: &Path) -> io::Result<()> {
    for entry in Archive::new(File::open(archive)?).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let parts: Vec<_> = path.components().filter(|part| *part != Component::CurDir).collect();
        let is_inside = parts.iter().all(|part| matches!(part, Component::Normal(_)));
        let is_wanted =
            parts.first().is_some_and(|first| SENTEVAL_FOLDERS.iter().any(|name| first.as_os_str() == *name));
        if !is_inside || !is_wanted || !entry.header().entry_type().is_file() {
            continue;
        }
        let target = dir.join(parts.iter().collect::<PathBuf>());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        fs::create_dir_all(target.parent().unwrap_or(dir))?;
        write_bytes(&target, &bytes).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Downloads the files that `dir` lacks.
fn fetch_askubuntu(dir: &Path) -> Result<(), Failure> {
    let mirror = env::var(ASKUBUNTU_URL_VARIABLE).ok().filter(|url| !url.is_empty());
    let base = mirror.as_deref().unwrap_or(ASKUBUNTU_URL).trim_end_matches('/');
    let mut progress = DownloadProgress::default();
    for name in ASKUBUNTU_FILES {
        // The user may have unpacked the texts.
        if dir.join(name.trim_end_matches(".gz")).is_file() {
            continue;
        }
        let url = format!("{base}/{name}");
        hub::download_file(&url, dir, name, &mut |event| progress.show(event)).map_err(|error| match error {
            Error::Hub(HubError::BadAddress { .. }) => Failure::Failed(format!("{ASKUBUNTU_URL_VARIABLE}: {error}")),
            error => error.into(),
        })?;
    }
    Ok(())
}
