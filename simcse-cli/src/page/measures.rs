//! The quantities that pages draw over the steps of a run.

use crate::page::charts::Axis;
use crate::runs::log::{Log, Step, series};

/// A quantity, and how it is drawn.
pub(super) struct Measure {
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    /// Steps and values.
    pub(super) points: fn(&Log) -> Vec<(f64, f64)>,
    pub(super) axis: Axis,
}

/// What the steps show: loss, accuracy, learning rate, norm and speed.
pub(super) const TRAINING: [Measure; 6] = [
    Measure {
        title: "Loss",
        note: "before each update; lower is better",
        points: |log| of_steps(log, |step| step.loss),
        axis: Axis::Logarithmic,
    },
    Measure {
        title: "In-batch accuracy",
        note: "share of anchors that find their positive in the batch; higher is better",
        points: |log| of_steps(log, |step| step.in_batch_accuracy),
        axis: Axis::Share,
    },
    Measure {
        title: "Learning rate",
        note: "of each update",
        points: |log| of_steps(log, |step| Some(step.learning_rate)),
        axis: Axis::Linear,
    },
    Measure {
        title: "Gradient norm",
        note: "before clipping",
        points: |log| of_steps(log, |step| step.grad_norm),
        axis: Axis::Logarithmic,
    },
    Measure {
        title: "Throughput",
        note: "sentences per second",
        points: |log| of_steps(log, |step| Some(step.sentences_per_second)),
        axis: Axis::Linear,
    },
    Measure {
        title: "Memory",
        note: "the most so far, in megabytes",
        points: |log| {
            let bytes = series(&log.probes, "peak_memory_bytes").into_iter();
            bytes.map(|(step, bytes)| (step, bytes / 1e6)).collect()
        },
        axis: Axis::Linear,
    },
];

/// What was measured on the probe.
pub(super) const PROBE: [Measure; 4] = [
    Measure {
        title: "Mean cosine of different sentences",
        note: "near 1, the embeddings have collapsed",
        points: |log| series(&log.probes, "probe_mean_cosine"),
        axis: Axis::Linear,
    },
    Measure {
        title: "Effective rank",
        note: "how many directions the embeddings use",
        points: |log| series(&log.probes, "probe_effective_rank"),
        axis: Axis::Linear,
    },
    Measure {
        title: "Alignment",
        note: "distance of embeddings that belong together; lower is better",
        points: |log| series(&log.probes, "probe_alignment"),
        axis: Axis::Linear,
    },
    Measure {
        title: "Uniformity",
        note: "how evenly the embeddings are spread; lower is better",
        points: |log| series(&log.probes, "probe_uniformity"),
        axis: Axis::Linear,
    },
];

/// The way of the embeddings: uniformity and alignment.
pub(super) fn way(log: &Log) -> Vec<(f64, f64)> {
    let [alignment, uniformity] = ["probe_alignment", "probe_uniformity"].map(|name| series(&log.probes, name));
    uniformity.iter().zip(&alignment).map(|(&(_, x), &(_, y))| (x, y)).collect()
}

/// The names of the development figures that are drawn, without `eval_`: the main ones of all runs.
pub(super) fn main_figures<'a>(logs: impl Iterator<Item = &'a Log>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for figure in logs.flat_map(Log::development) {
        if !names.contains(&figure.name) {
            names.push(figure.name);
        }
    }
    let is_main = |name: &&String| ["map", "spearman_cosine", "corruption_mrr"].iter().any(|main| name.ends_with(main));
    let main: Vec<_> = names.iter().filter(is_main).cloned().collect();
    if main.is_empty() { names.into_iter().take(1).collect() } else { main }
}

fn of_steps(log: &Log, value: fn(&Step) -> Option<f64>) -> Vec<(f64, f64)> {
    log.steps.iter().filter_map(|step| Some((step.step as f64, value(step)?))).collect()
}
