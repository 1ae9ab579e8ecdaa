//! Figures with their intervals, and differences of figures, as text and as JSON.
//!
//! This file knows scores. It must not know where they come from.

use serde_json::{Map, Value, json};
use simcse_eval::statistics::{Difference, Interval};
use simcse_eval::{Figure, Scores};

/// A table with a column for each of several scores of one set. Below each figure is its 95%
/// interval.
pub(crate) fn figure_table(columns: &[(&str, &Scores)]) -> String {
    let Some((_, first)) = columns.first() else { return String::new() };
    let name_width = first.figures.iter().map(|figure| figure.label.chars().count()).max().unwrap_or(0);
    let line = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("  {cell:>15}")).collect();
        format!("{name:name_width$}{cells}").trim_end().to_owned()
    };
    let mut lines = vec![line("", columns.iter().map(|(heading, _)| (*heading).to_owned()).collect())];
    for (index, Figure { label, .. }) in first.figures.iter().enumerate() {
        let samples: Vec<_> = columns.iter().map(|(_, scores)| &scores.figures[index].sample).collect();
        lines.push(line(label, samples.iter().map(|sample| number(sample.value())).collect()));
        let interval = |interval: Option<Interval>| interval.map(interval_text).unwrap_or_default();
        lines.push(line("", samples.iter().map(|sample| interval(sample.interval())).collect()));
    }
    lines.join("\n")
}

/// A figure; an undefined one is a dash.
fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.4}"))
}

fn interval_text(Interval { low, high }: Interval) -> String {
    format!("[{low:.3}, {high:.3}]")
}

/// `+0.0312 [+0.0105, +0.0523], p = 0.0031`, or that no difference can be shown.
pub(crate) fn difference_line(difference: &Difference, scores: &Scores) -> String {
    let Some(gain) = &difference.gain else { return "undefined".to_owned() };
    let interval = match gain.interval {
        Some(Interval { low, high }) => format!(" [{low:+.4}, {high:+.4}]"),
        None => String::new(),
    };
    let verdict = match gain.is_shown() {
        true if gain.value > 0.0 => "better",
        true => "worse",
        false => {
            return format!(
                "{:+.4}{interval}, p = {:.4}: no difference that {} can show",
                gain.value,
                gain.p,
                match scores.count {
                    1 => format!("this {}", scores.unit.one()),
                    count => format!("these {count} {}", scores.unit.key()),
                }
            );
        }
    };
    format!("{:+.4}{interval}, p = {:.4}: {verdict}", gain.value, gain.p)
}

/// For each figure `x`, the difference `x`, its `x_interval`, and `x_p`.
pub(crate) fn difference_json(differences: &[Difference]) -> Map<String, Value> {
    let mut object = Map::new();
    for Difference { name, gain, .. } in differences {
        let interval = gain.and_then(|gain| gain.interval).map(|interval| [interval.low, interval.high]);
        object.insert((*name).to_owned(), json!(gain.map(|gain| gain.value)));
        object.insert(format!("{name}_interval"), json!(interval));
        object.insert(format!("{name}_p"), json!(gain.map(|gain| gain.p)));
    }
    object
}
