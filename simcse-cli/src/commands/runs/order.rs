//! The order in which runs are listed.

use std::cmp::Ordering;

use crate::error::Failure;
use crate::runs::figures::{Scored, is_lower_better};
use crate::runs::run::Run;

/// What runs are sorted by.
#[derive(Clone, PartialEq)]
enum Key {
    Number(f64),
    Text(String),
}

/// Sorts by what `name` stands for. Unless a direction is given (`true` for descending), the better
/// value of a figure comes first, and the smaller one of anything else. Runs without a value come
/// last.
///
/// # Errors
/// If there is no such setting or figure: the names that there are.
pub(super) fn sort(runs: &mut Vec<Run>, name: &str, descending: Option<bool>) -> Result<(), Failure> {
    let name = name.trim_start_matches("--");
    let keys: Vec<_> = runs.iter().map(|run| key(run, name)).collect();
    if keys.iter().all(Option::is_none) {
        return Err(Failure::Usage(format!("--sort-by: expected one of {}, found {name}", names(runs).join(", "))));
    }
    let is_figure = runs.iter().any(|run| figures(run).any(|(found, _)| found == name.trim_start_matches("eval_")));
    let descending = descending.unwrap_or(is_figure && !is_lower_better(name));
    let mut sorted: Vec<_> = keys.into_iter().zip(std::mem::take(runs)).collect();
    sorted.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) if descending => compare(b, a),
        (Some(a), Some(b)) => compare(a, b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    runs.extend(sorted.into_iter().map(|(_, run)| run));
    Ok(())
}

fn compare(a: &Key, b: &Key) -> Ordering {
    match (a, b) {
        (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
        (Key::Text(a), Key::Text(b)) => a.cmp(b),
        (Key::Number(_), Key::Text(_)) => Ordering::Less,
        (Key::Text(_), Key::Number(_)) => Ordering::Greater,
    }
}

/// The value of a run: of a development figure, that of its best model.
fn key(run: &Run, name: &str) -> Option<Key> {
    let number = match name {
        "name" => return Some(Key::Text(run.name.clone())),
        "steps" => Some(run.steps() as f64),
        "loss" => run.loss(),
        "time" => Some(run.seconds()),
        _ => None,
    };
    let figure = || figures(run).find(|(found, _)| found == name.trim_start_matches("eval_"))?.1.best();
    let number = number.or_else(|| figure().map(|score| score.value)).map(Key::Number);
    number.or_else(|| {
        let text = run.record.setting(&name.replace('-', "_"))?;
        Some(text.parse().map_or(Key::Text(text), Key::Number))
    })
}

/// The figures of a run by the names that they are sorted by.
fn figures(run: &Run) -> impl Iterator<Item = (String, Scored)> {
    let development = run.log.development().into_iter().map(|figure| (figure.name.clone(), figure));
    let test = run.log.test().into_iter().map(|figure| (format!("test_{}", figure.name), figure));
    development.chain(test)
}

/// The names that runs can be sorted by.
fn names(runs: &[Run]) -> Vec<String> {
    let mut names: Vec<String> = ["name", "steps", "loss", "time"].map(str::to_owned).into();
    let figures = runs.iter().flat_map(|run| figures(run).map(|(name, _)| name));
    let settings = runs.iter().flat_map(|run| run.record.settings()).map(|(name, _)| name);
    for name in figures.chain(settings) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
