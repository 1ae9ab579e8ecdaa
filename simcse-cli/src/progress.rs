//! Progress bars, shown only if standard error is a terminal, and not with `--quiet`.
//!
//! This file knows indicatif. It must not know commands.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressFinish, ProgressState, ProgressStyle};

use crate::report::{self, Verbosity};

/// A bar that counts sentences, or a spinner if their number is unknown. It is cleared when
/// dropped.
pub(crate) fn sentences_bar(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{wide_bar} {human_pos}/{human_len} sentences, {rate}, {eta} left",
        None => "{spinner} {human_pos} sentences, {rate}, {elapsed}",
    };
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    bar(total).with_style(style(template).with_key("rate", rate)).with_finish(ProgressFinish::AndClear)
}

/// Shows on `bar` how many sentences are done; for calls that ask whether to go on.
pub(crate) fn shown_on(bar: &ProgressBar) -> impl FnMut(usize) -> bool {
    |done| {
        bar.set_position(done as u64);
        true
    }
}

/// A bar that counts a file's bytes. It is cleared when dropped.
pub(crate) fn bytes_bar(file: &str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{spinner} {msg} {bytes}, {bytes_per_sec}",
    };
    bar(total).with_style(style(template)).with_message(file.to_owned()).with_finish(ProgressFinish::AndClear)
}

/// A bar that counts training steps and shows a message. How long they still take, the message
/// must say: it depends on more than the steps.
pub(crate) fn steps_bar(total: u64) -> ProgressBar {
    bar(Some(total)).with_style(style("{wide_bar} {pos}/{len} steps{msg}"))
}

/// A bar, or a spinner if the total is unknown; hidden with `--quiet`.
fn bar(total: Option<u64>) -> ProgressBar {
    match total {
        _ if !report::prints(Verbosity::Normal) => ProgressBar::hidden(),
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a valid template")
}
