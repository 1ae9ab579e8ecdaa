//! The page of several runs, next to each other.

use std::path::Path;

use simcse_model::io::{figure, write_bytes};

use crate::error::Failure;
use crate::page::charts::{Axis, Line, lines, paths, swatch};
use crate::page::document::{Part, document};
use crate::page::html::{escaped, table};
use crate::page::measures::{Measure, PROBE, TRAINING, main_figures, way};
use crate::page::sections;
use crate::page::styles::{Style, style_sheet};
use crate::runs::columns::{Column, columns};
use crate::runs::figures::is_lower_better;
use crate::runs::run::Run;

/// The name of the page, unless another one is given.
pub(crate) const FILE: &str = "runs.html";

/// Steps and values, for each run.
type Series = Vec<Vec<(f64, f64)>>;

/// Writes the page of several runs to `path`, in one go.
///
/// # Errors
/// If the page cannot be written.
pub(crate) fn write(runs: &[Run], path: &Path) -> Result<(), Failure> {
    let parts = vec![
        Part::new("runs", "Runs", overview(runs)),
        Part::new("scores", "Scores", scores(runs)),
        Part::new("training", "Training", measured(&TRAINING, runs)),
        Part::new("embeddings", "Embeddings", embeddings(runs)),
        Part::new("warnings", "Warnings", warnings(runs)),
    ];
    let page = document(&format!("{} runs", runs.len()), &legend(runs), parts, &style_sheet(runs.len()));
    Ok(write_bytes(path, page.as_bytes())?)
}

/// What each run looks like on the charts, with a box to leave it out.
fn legend(runs: &[Run]) -> String {
    let label = |(number, run): (usize, &Run)| {
        format!(
            "<label><input type=\"checkbox\" id=\"run-{number}\" checked autocomplete=\"off\">{} <bdi>{}</bdi></label>",
            swatch(Style::of(number)),
            escaped(&run.name)
        )
    };
    let labels: String = runs.iter().enumerate().map(label).collect();
    format!("<fieldset class=\"legend\"><legend>Shown on the charts</legend>{labels}</fieldset>")
}

/// The settings that differ, and the figures.
fn overview(runs: &[Run]) -> String {
    let columns = columns(runs);
    let headings: Vec<_> = columns.iter().map(|column| escaped(&column.heading)).collect();
    let headings: Vec<_> = std::iter::once("run").chain(headings.iter().map(String::as_str)).collect();
    let row = |(number, run): (usize, &Run)| {
        let name = format!("{} <bdi>{}</bdi>", swatch(Style::of(number)), escaped(&run.name));
        let cell = |column: &Column| match column.cells[number].as_str() {
            "" => "–".to_owned(),
            text => escaped(text),
        };
        std::iter::once(name).chain(columns.iter().map(cell)).collect()
    };
    let rows: Vec<Vec<String>> = runs.iter().enumerate().map(row).collect();
    table("The settings that differ, and the figures", &headings, &rows)
}

/// The main development figures over the steps.
fn scores(runs: &[Run]) -> String {
    let of = |name: &String| {
        let series = runs.iter().map(|run| {
            let figure = run.log.development().into_iter().find(|figure| figure.name == *name);
            let scores = figure.into_iter().flat_map(|figure| figure.scores);
            scores.map(|score| (score.step as f64, score.value)).collect()
        });
        let series: Series = series.collect();
        let better = if is_lower_better(name) { "lower" } else { "higher" };
        let note = format!("{better} is better; the intervals are in the table above");
        chart(name, &note, runs, &series, &of_lines(name, &series, Axis::Linear))
    };
    main_figures(runs.iter().map(|run| &run.log)).iter().map(of).collect()
}

/// A chart of each quantity that a run has.
fn measured(measures: &[Measure], runs: &[Run]) -> String {
    let of = |Measure { title, note, points, axis }: &Measure| {
        let series: Series = runs.iter().map(|run| points(&run.log)).collect();
        if series.iter().all(Vec::is_empty) {
            return String::new();
        }
        chart(title, note, runs, &series, &of_lines(title, &series, *axis))
    };
    measures.iter().map(of).collect()
}

/// What was measured on the probes.
fn embeddings(runs: &[Run]) -> String {
    let title = "Alignment against uniformity";
    let ways: Series = runs.iter().map(|run| way(&run.log)).collect();
    if ways.iter().all(Vec::is_empty) {
        return String::new();
    }
    let note = "alignment upward, uniformity to the right; lower is better for both; each begins at its open circle";
    let svg = paths(title, &styled(&ways));
    let html = format!("<figure><figcaption><b>{title}</b> {note}</figcaption>{svg}</figure>");
    html + &measured(&PROBE, runs)
}

fn of_lines(title: &str, series: &Series, axis: Axis) -> String {
    lines(title, &styled(series), axis)
}

fn styled(series: &Series) -> Vec<Line<'_>> {
    let lines = series.iter().enumerate();
    lines.map(|(number, points)| Line { points, intervals: &[], style: Style::of(number) }).collect()
}

/// A chart with its title, and what it shows as a table for those who do not see it.
fn chart(title: &str, note: &str, runs: &[Run], series: &Series, svg: &str) -> String {
    let row = |(run, points): (&Run, &Vec<(f64, f64)>)| {
        let values = || points.iter().map(|&(_, y)| y);
        let ends = [
            points.first().map(|at| at.1),
            values().reduce(f64::min),
            values().reduce(f64::max),
            points.last().map(|at| at.1),
        ];
        let cells = ends.map(|value| value.map_or("–".to_owned(), figure));
        std::iter::once(escaped(&run.name)).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = runs.iter().zip(series).map(row).collect();
    let numbers = table(&escaped(title), &["run", "first", "lowest", "highest", "last"], &rows);
    format!(
        "<figure><figcaption><b>{}</b> {note}</figcaption>{svg}<details><summary>Numbers</summary>{numbers}</details></figure>",
        escaped(title)
    )
}

/// What is wrong with each run.
fn warnings(runs: &[Run]) -> String {
    let name =
        |(number, run): &(usize, &Run)| format!("{} <bdi>{}</bdi>", swatch(Style::of(*number)), escaped(&run.name));
    let (fine, warned): (Vec<_>, Vec<_>) = runs.iter().enumerate().partition(|(_, run)| run.log.warnings.is_empty());
    let of = |run: &(usize, &Run)| {
        format!("<div class=\"whole\"><h3>{}</h3>{}</div>", name(run), sections::warnings(&run.1.log))
    };
    let html: String = warned.iter().map(of).collect();
    if fine.is_empty() {
        return html;
    }
    let names: Vec<_> = fine.iter().map(name).collect();
    format!("{html}<p class=\"fine whole\">No warnings: {}</p>", names.join(", "))
}
