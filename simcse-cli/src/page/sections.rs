//! The parts of the page, each as HTML.

use std::fmt::Write;

use simcse_eval::Picture;
use simcse_model::io::{figure, format_bytes};

use crate::page::charts::{Axis, Points, histograms, line, map, path, rows};
use crate::page::html::{escaped, sentence, table};
use crate::page::log::{Log, Step, series};
use crate::page::pictures::{Pictures, Shot};

/// What is wrong with the run, in order.
pub(super) fn warnings(log: &Log) -> String {
    if log.warnings.is_empty() {
        return "<p class=\"fine\">No warnings.</p>".to_owned();
    }
    let item = |given: &crate::page::log::Given| {
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

fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// Scores over the run, with their 95% intervals.
pub(super) fn scores(log: &Log) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in log.evaluations.iter().flat_map(|line| line.keys()) {
        let is_figure = name.starts_with("eval_") && !name.ends_with("_interval");
        if is_figure && !names.contains(&name) {
            names.push(name);
        }
    }
    let is_main =
        |name: &&&String| ["map", "spearman_cosine", "corruption_mrr"].iter().any(|main| name.ends_with(main));
    let mut main: Vec<_> = names.iter().filter(is_main).collect();
    if main.is_empty() {
        main.extend(names.first());
    }
    let mut html = String::new();
    for name in main {
        let interval = format!("{name}_interval");
        let bounds = log.evaluations.iter().filter_map(|line| {
            let [low, high] = line.get(&interval)?.as_array()?.as_slice() else { return None };
            Some((line.get("step")?.as_f64()?, low.as_f64()?, high.as_f64()?))
        });
        let bounds: Vec<_> = bounds.collect();
        let points = series(&log.evaluations, name);
        let title = name.trim_start_matches("eval_");
        let note = if bounds.is_empty() { "by step" } else { "higher is better; bars are 95% intervals" };
        html += &figure_of(title, note, &line(title, &points, &bounds, Axis::Linear), &points);
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

/// What the steps show: loss, accuracy, learning rate, norm and speed.
pub(super) fn training(log: &Log) -> String {
    let of = |value: fn(&Step) -> Option<f64>| -> Vec<(f64, f64)> {
        log.steps.iter().filter_map(|step| Some((step.step as f64, value(step)?))).collect()
    };
    let charts = [
        ("Loss", "before each update; lower is better", of(|step| step.loss), Axis::Logarithmic),
        (
            "In-batch accuracy",
            "share of anchors that find their positive in the batch; higher is better",
            of(|step| step.in_batch_accuracy),
            Axis::Share,
        ),
        ("Learning rate", "of each update", of(|step| Some(step.learning_rate)), Axis::Linear),
        ("Gradient norm", "before clipping", of(|step| step.grad_norm), Axis::Logarithmic),
        ("Throughput", "sentences per second", of(|step| Some(step.sentences_per_second)), Axis::Linear),
        (
            "Memory",
            "the most so far, in megabytes",
            series(&log.probes, "peak_memory_bytes").into_iter().map(|(step, bytes)| (step, bytes / 1e6)).collect(),
            Axis::Linear,
        ),
    ];
    let shown = charts.iter().filter(|(_, _, points, _)| !points.is_empty());
    shown.map(|(title, note, points, axis)| figure_of(title, note, &line(title, points, &[], *axis), points)).collect()
}

/// What was measured on the probe.
pub(super) fn embeddings(log: &Log, pictures: &Pictures) -> String {
    if log.probes.is_empty() {
        return String::new();
    }
    let of = |name| series(&log.probes, name);
    let [alignment, uniformity] = ["probe_alignment", "probe_uniformity"].map(of);
    let way: Vec<_> = uniformity.iter().zip(&alignment).map(|(&(_, x), &(_, y))| (x, y)).collect();
    let mut html = figure_of(
        "Alignment against uniformity",
        "alignment upward, uniformity to the right; lower is better for both; it begins at the open circle",
        &path("Alignment against uniformity", &way),
        &[],
    );
    let charts = [
        ("Mean cosine of different sentences", "near 1, the embeddings have collapsed", of("probe_mean_cosine")),
        ("Effective rank", "how many directions the embeddings use", of("probe_effective_rank")),
        ("Alignment", "distance of embeddings that belong together; lower is better", alignment),
        ("Uniformity", "how evenly the embeddings are spread; lower is better", uniformity),
    ];
    for (title, note, points) in charts {
        html += &figure_of(title, note, &line(title, &points, &[], Axis::Linear), &points);
    }
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
pub(super) fn record(log: &Log) -> String {
    let mut html = String::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut section = "run".to_owned();
    let mut close = |section: &str, rows: &mut Vec<Vec<String>>| {
        if !rows.is_empty() {
            html += &table(&escaped(section), &[], &std::mem::take(rows));
        }
    };
    for text in log.record.lines() {
        if let Some(name) = text.strip_prefix('[') {
            close(&section, &mut rows);
            section = name.trim_matches(|c| c == '[' || c == ']').to_owned();
        } else if let Some((key, value)) = text.split_once(" = ") {
            rows.push(vec![escaped(key), escaped(value)]);
        }
    }
    close(&section, &mut rows);
    html
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
