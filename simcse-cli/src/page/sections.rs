//! The parts of the page, each as HTML.

use std::fmt::Write;

use simcse_eval::Picture;
use simcse_model::io::{figure, format_bytes};

use crate::page::charts::{Axis, Line, Points, histograms, lines, map, paths, rows};
use crate::page::html::{escaped, sentence, table};
use crate::page::measures::{Measure, PROBE, TRAINING, main_figures, way};
use crate::page::pictures::{Pictures, Shot};
use crate::page::styles::Style;
use crate::report::duration;
use crate::runs::log::{Given, Log, series};
use crate::runs::record::Record;

/// What is wrong with the run, in order.
pub(super) fn warnings(log: &Log) -> String {
    if log.warnings.is_empty() {
        return "<p class=\"fine\">No warnings.</p>".to_owned();
    }
    let item = |given: &Given| {
        let when = if given.step == 0 { "before the first step".to_owned() } else { format!("step {}", given.step) };
        format!(
            "<li><strong>{}</strong> <span>({when})</span><br>{}</li>",
            escaped(&given.warning),
            escaped(&given.text)
        )
    };
    format!("<ul class=\"warnings\">{}</ul>", log.warnings.iter().map(item).collect::<String>())
}

/// The figures of the run in one row.
pub(super) fn summary(log: &Log) -> String {
    let Some(last) = log.steps.last() else { return "<p>No step has been done yet.</p>".to_owned() };
    let seconds: f64 = log.steps.iter().map(|step| step.step_seconds).sum();
    let tokens: u64 = log.steps.iter().map(|step| step.tokens).sum();
    let sentences: f64 = log.steps.iter().map(|step| step.sentences_per_second * step.step_seconds).sum();
    let cut: f64 = log.steps.iter().map(|step| step.cut_share).sum::<f64>() / log.steps.len() as f64;
    let mut items = vec![
        ("steps", last.step.to_string()),
        ("last loss", last.loss.map_or("not finite".to_owned(), figure)),
        ("time in steps", duration(seconds)),
        ("sentences/s", format!("{:.1}", sentences / seconds)),
        ("tokens", tokens.to_string()),
        ("texts truncated", format!("{:.1}%", 100.0 * cut)),
    ];
    if let Some(&(_, bytes)) = series(&log.probes, "peak_memory_bytes").last() {
        items.push(("memory, at most", format_bytes(bytes as u64)));
    }
    let item = |(name, value): (&str, String)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
    format!("<dl class=\"summary\">{}</dl>", items.into_iter().map(item).collect::<String>())
}

/// Scores over the run, with their 95% intervals.
pub(super) fn scores(log: &Log) -> String {
    let mut html = String::new();
    for name in main_figures(std::iter::once(log)) {
        let Some(figure) = log.development().into_iter().find(|figure| figure.name == name) else { continue };
        let points: Vec<_> = figure.scores.iter().map(|score| (score.step as f64, score.value)).collect();
        let bounds = figure.scores.iter().filter_map(|score| {
            let [low, high] = score.interval?;
            Some((score.step as f64, low, high))
        });
        let intervals: Vec<_> = bounds.collect();
        let note = if intervals.is_empty() { "by step" } else { "higher is better; bars are 95% intervals" };
        let line = Line { points: &points, intervals: &intervals, style: Style::ONE };
        html += &figure_of(&name, note, &lines(&name, &[line], Axis::Linear), &points);
    }
    html + &final_scores(log)
}

/// All scores before and after, and those of the test set.
fn final_scores(log: &Log) -> String {
    let value = |line: Option<&serde_json::Map<_, _>>, name: &str| -> String {
        let found = line.and_then(|line: &serde_json::Map<String, serde_json::Value>| line.get(name));
        found.and_then(serde_json::Value::as_f64).map_or("–".to_owned(), |value| format!("{value:.4}"))
    };
    let first = log.evaluations.first();
    let last = log.evaluations.iter().rev().find(|line| line.keys().any(|name| name.starts_with("eval_")));
    let test = log.evaluations.iter().find(|line| line.keys().any(|name| name.starts_with("test_")));
    let names = |line: Option<&serde_json::Map<String, serde_json::Value>>, prefix: &str| -> Vec<String> {
        let names = line.into_iter().flat_map(|line| line.keys());
        names.filter(|name| name.starts_with(prefix) && !name.ends_with("_interval")).cloned().collect()
    };
    let developed = names(last, "eval_").into_iter();
    let developed =
        developed.map(|name| vec![escaped(name.trim_start_matches("eval_")), value(first, &name), value(last, &name)]);
    let tested = names(test, "test_").into_iter().map(|name| vec![escaped(&name), "–".to_owned(), value(test, &name)]);
    let rows: Vec<_> = developed.chain(tested).collect();
    if rows.is_empty() { String::new() } else { table("First and last scores", &["", "first", "last"], &rows) }
}

/// What the steps show.
pub(super) fn training(log: &Log) -> String {
    measured(&TRAINING, log)
}

/// A chart of each quantity that the run has.
fn measured(measures: &[Measure], log: &Log) -> String {
    let drawn = measures.iter().map(|Measure { title, note, points, axis }| {
        let points = points(log);
        if points.is_empty() {
            return String::new();
        }
        let line = Line { points: &points, intervals: &[], style: Style::ONE };
        figure_of(title, note, &lines(title, &[line], *axis), &points)
    });
    drawn.collect()
}

/// What was measured on the probe.
pub(super) fn embeddings(log: &Log, pictures: &Pictures) -> String {
    if log.probes.is_empty() {
        return String::new();
    }
    let way = Line { points: &way(log), intervals: &[], style: Style::ONE };
    let mut html = figure_of(
        "Alignment against uniformity",
        "alignment upward, uniformity to the right; lower is better for both; it begins at the open circle",
        &paths("Alignment against uniformity", &[way]),
        &[],
    );
    html += &measured(&PROBE, log);
    let empty = Vec::new();
    let cosines = |shot: &Option<Shot>| shot.as_ref().map_or(empty.clone(), |shot| shot.picture.cosines.clone());
    let (before, after) = (cosines(&pictures.before), cosines(&pictures.after));
    if !after.is_empty() {
        let svg = histograms("Cosines of different sentences", -1.0..1.0, &before, &after);
        let note = "number of pairs by cosine similarity: <span class=\"second\">before</span> and \
                    <span class=\"first\">after</span> training";
        html += &figure_of("Cosines of different sentences", note, &svg, &[]);
    }
    html
}

/// The sentences of the probe as points.
pub(super) fn maps(pictures: &Pictures) -> String {
    let mut html = String::new();
    for (name, shot) in [("before", &pictures.before), ("after", &pictures.after)] {
        let Some(Shot { step, picture }) = shot else { continue };
        let title = format!("Map {name} training (step {step})");
        let svg = map(&title, &picture.coordinates, &pictures.sentences);
        html += &figure_of(&title, "the two directions of largest variance (PCA)", &svg, &[]);
    }
    html
}

/// The nearest neighbors of a few sentences, before and after.
pub(super) fn neighbors(pictures: &Pictures) -> String {
    let of = |shot: &Option<Shot>, sentence: usize| shot.as_ref().map(|shot| listed(pictures, &shot.picture, sentence));
    let shot = pictures.after.as_ref().or(pictures.before.as_ref());
    let count = shot.map_or(0, |shot| shot.picture.neighbors.len());
    let row = |index: usize| {
        let list = |shot| of(shot, index).unwrap_or_else(|| "–".to_owned());
        vec![sentence(&pictures.sentences[index]), list(&pictures.before), list(&pictures.after)]
    };
    let rows: Vec<_> = (0..count).map(row).collect();
    let caption = format!("Among {} sentences of the run, with their cosine similarity", pictures.sentences.len());
    table(&caption, &["sentence", "before training", "after training"], &rows)
}

fn listed(pictures: &Pictures, picture: &Picture, index: usize) -> String {
    let neighbors = picture.neighbors.get(index).into_iter().flatten();
    let items = neighbors.map(|near| {
        format!(
            "<li>{} <span class=\"cosine\">{:.2}</span></li>",
            sentence(&pictures.sentences[near.sentence]),
            near.cosine
        )
    });
    format!("<ol>{}</ol>", items.collect::<String>())
}

/// The record of the run.
pub(super) fn record(record: &Record) -> String {
    let row = |(name, text): &(String, String)| vec![escaped(name), escaped(text)];
    let of = |(title, rows): &(String, Vec<(String, String)>)| {
        table(&escaped(title), &[], &rows.iter().map(row).collect::<Vec<_>>())
    };
    record.sections().iter().map(of).collect()
}

/// A chart with its title, and its numbers as a table for those who do not see it.
fn figure_of(title: &str, note: &str, svg: &str, points: &Points) -> String {
    let mut html = format!("<figure><figcaption><b>{}</b> {note}</figcaption>{svg}", escaped(title));
    if !points.is_empty() {
        let numbers = table(&escaped(title), &["step", "value"], &rows(points));
        let _ = write!(html, "<details><summary>Numbers</summary>{numbers}</details>");
    }
    html + "</figure>"
}
