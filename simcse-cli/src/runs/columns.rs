//! What is told of several runs side by side: the settings that differ, and the figures.

use simcse_model::io::figure;

use crate::report::duration;
use crate::runs::figures::{Score, Scored};
use crate::runs::run::Run;

/// A column of a table that has a row for each run.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) heading: String,
    /// A text for each run; empty where there is none.
    pub(crate) cells: Vec<String>,
    /// Whether the cells are numbers.
    pub(crate) is_number: bool,
    /// Whether it is a setting, not a figure.
    pub(crate) is_setting: bool,
}

/// The settings that are not the same in all runs, in the order of the records: their names, and
/// their values in each run.
pub(crate) fn differing(runs: &[Run]) -> Vec<(String, Vec<Option<String>>)> {
    let settings: Vec<_> = runs.iter().map(|run| run.record.settings()).collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in settings.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let value = |settings: &[(String, String)], name: &str| {
        settings.iter().find_map(|(found, text)| (found == name).then(|| text.clone()))
    };
    let values = |name: &String| (name.clone(), settings.iter().map(|of| value(of, name)).collect::<Vec<_>>());
    names.into_iter().map(values).filter(|(_, values)| values.iter().any(|value| *value != values[0])).collect()
}

/// The columns: the settings that differ, steps, the main development figure, the test figure, loss
/// and time. Those without any value are left out.
pub(crate) fn columns(runs: &[Run]) -> Vec<Column> {
    let settings = differing(runs).into_iter().map(|(heading, values)| {
        let cells: Vec<_> = values.into_iter().map(Option::unwrap_or_default).collect();
        let is_number = cells.iter().all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok());
        Column { heading, cells, is_number, is_setting: true }
    });
    let mut columns: Vec<_> = settings.collect();
    columns.push(column("steps", runs, |run| Some(steps(run))));
    if let Some(name) = main_figure(runs) {
        let of = |run: &Run| run.log.development().into_iter().find(|figure| figure.name == name);
        let best = |run: &Run| of(run).as_ref().and_then(Scored::best);
        columns.push(column(&format!("best {name}"), runs, |run| best(run).map(number)));
        columns.push(column("95% interval", runs, |run| best(run).and_then(interval)));
        columns.push(column("at", runs, |run| best(run).map(|score| score.step.to_string())));
        columns.push(column(&format!("last {name}"), runs, |run| of(run).and_then(|figure| figure.last()).map(number)));
    }
    if let Some(name) = runs.iter().find_map(|run| run.log.test().into_iter().next()).map(|figure| figure.name) {
        let of = |run: &Run| run.log.test().into_iter().find(|figure| figure.name == name)?.last();
        columns.push(column(&format!("test {name}"), runs, |run| of(run).map(number)));
        columns.push(column("95% interval", runs, |run| of(run).and_then(interval)));
    }
    columns.push(column("loss", runs, |run| run.loss().map(figure)));
    columns.push(column("time", runs, |run| Some(duration(run.seconds()))));
    columns.retain(|column| column.cells.iter().any(|cell| !cell.is_empty()));
    columns
}

fn column(heading: &str, runs: &[Run], cell: impl Fn(&Run) -> Option<String>) -> Column {
    let cells = runs.iter().map(|run| cell(run).unwrap_or_default()).collect();
    Column { heading: heading.to_owned(), cells, is_number: true, is_setting: false }
}

/// The main development figure of most runs; the first of equals.
fn main_figure(runs: &[Run]) -> Option<String> {
    let names: Vec<_> = runs.iter().filter_map(Run::main_figure).map(|figure| figure.name).collect();
    let count = |name: &String| names.iter().filter(|other| *other == name).count();
    names.iter().rev().max_by_key(|name| count(name)).cloned()
}

fn steps(run: &Run) -> String {
    let total = run.total_steps().map_or("?".to_owned(), |total| total.to_string());
    format!("{}/{total}", run.steps())
}

fn number(score: Score) -> String {
    format!("{:.4}", score.value)
}

/// `[0.512, 0.561]`.
pub(crate) fn interval(score: Score) -> Option<String> {
    score.interval.map(|[low, high]| format!("[{low:.3}, {high:.3}]"))
}
