//! The check, before the first step, that all ranks are about to do the same.

use std::fs::File;
use std::io;

use sha2::{Digest, Sha256};
use simcse_model::io::hexadecimal;

use crate::error::{Error, Result};
use crate::ranks::collective::Ranks;
use crate::run::provenance::Provenance;

/// What must be the same on all ranks: its name, and what this rank has.
type Fact = (&'static str, String);

/// Checks that all ranks run the same program on the same instruction set, with the same model,
/// data and settings, from the same step.
///
/// # Errors
/// [`Error::Ranks`], on every rank, naming the first difference.
pub(crate) fn check(ranks: &Ranks, provenance: &Provenance, step: u64) -> Result<()> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let Provenance { version, instruction_set, model, data, evaluation, settings, .. } = provenance;
    // How much memory there is decides the size of pieces, which changes no result; and only one
    // rank reports.
    let settings = crate::Settings { mini_batch_tokens: None, ..settings.clone() };
    let program = program_digest().unwrap_or_else(|error| error.to_string());
    compare(
        ranks,
        &[
            ("the program", format!("version {version} with SHA-256 {program}")),
            ("the instruction set", instruction_set.clone()),
            ("the model", format!("weights with SHA-256 {}", model.sha256)),
            ("the training data", format!("{} examples with SHA-256 {}", data.examples, data.sha256)),
            ("the evaluation sets", toml::to_string(evaluation).unwrap_or_default()),
            ("the settings", toml::to_string(&settings).unwrap_or_default()),
            ("the step to go on from", step.to_string()),
        ],
    )
}

fn compare(ranks: &Ranks, facts: &[Fact]) -> Result<()> {
    for (what, own) in facts {
        let all = ranks.all_gather(own.as_bytes());
        let Some(rank) = all.iter().position(|other| *other != all[0]) else { continue };
        let [expected, found] = [0, rank].map(|rank| String::from_utf8_lossy(&all[rank]).into_owned());
        let (expected, found) = different(&expected, &found);
        return Err(Error::Ranks { what, rank, expected, found });
    }
    Ok(())
}

/// The first lines that differ.
fn different(expected: &str, found: &str) -> (String, String) {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return Default::default(),
            (expected, found) if expected != found => {
                return (expected.unwrap_or("nothing").to_owned(), found.unwrap_or("nothing").to_owned());
            }
            _ => {}
        }
    }
}

fn program_digest() -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(std::env::current_exe()?)?, &mut digest)?;
    Ok(hexadecimal(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::threads::on_threads;

    #[test]
    fn the_first_difference_is_named_on_every_rank() {
        let check = |ranks: Ranks| {
            let second = if ranks.rank() == 2 { "seed = 1\nscale = 20" } else { "seed = 1\nscale = 30" };
            compare(&ranks, &[("the program", "1".to_owned()), ("the settings", second.to_owned())])
        };
        for result in on_threads(3, check) {
            let error = result.unwrap_err().to_string();
            assert_eq!(error, "the settings differ: expected scale = 30, as on rank 0, found scale = 20 on rank 2");
        }
    }
}
