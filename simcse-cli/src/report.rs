//! What the user sees: data and tables on standard output, notes, warnings and errors on standard
//! error. On a terminal these are wrapped at its width, and the first word of warnings and errors
//! is colored, unless `NO_COLOR` is set.
//!
//! This file knows text. It must not know what a command computes.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use console::{Style, Term};
use serde::Serialize;
pub(crate) use simcse_model::io::counted;
use simcse_model::io::printable;

use crate::error::Failure;

/// What errors call standard output.
pub(crate) const STANDARD_OUTPUT: &str = "standard output";

/// Prints lines of data.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    if !prints(Verbosity::Quiet) {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::writing(STANDARD_OUTPUT))
}

/// Prints a JSON object as one line.
pub(crate) fn print_json(object: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(object)?)
}

/// How much is printed on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Verbosity {
    /// Errors, and no data on standard output.
    Silent,
    /// Warnings and errors.
    Quiet,
    /// Also what happens, and progress bars.
    #[default]
    Normal,
    /// Also every step, and every setting with its origin.
    Verbose,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

/// Sets how much this process prints from now on.
pub(crate) fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Relaxed);
}

/// Whether messages of this level are printed.
pub(crate) fn prints(level: Verbosity) -> bool {
    level as u8 <= VERBOSITY.load(Relaxed)
}

/// Says on standard error what happens.
pub(crate) fn note(text: &str) {
    if prints(Verbosity::Normal) {
        write_line("", Style::new(), text);
    }
}

/// Warns on standard error: everything that is wrong, but does not end the command, is said here.
pub(crate) fn warn(text: &str) {
    if prints(Verbosity::Quiet) {
        write_line("warning: ", Style::new().magenta().bold(), text);
    }
}

/// Says on standard error why the command failed.
pub(crate) fn error(text: &str) {
    write_line("error: ", Style::new().red().bold(), text);
}

/// What a user is told later than it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Note(String),
    Warning(String),
}

impl Message {
    pub(crate) fn print(&self) {
        match self {
            Self::Note(text) => note(text),
            Self::Warning(text) => warn(text),
        }
    }
}

/// Writes a line, wrapped if a terminal shows it. A failure to write it is ignored: there may be no
/// one to read it.
fn write_line(label: &str, style: Style, text: &str) {
    let terminal = Term::stderr();
    let text =
        wrapped(&format!("{label}{}", printable(text)), terminal.size_checked().map(|(_, columns)| columns.into()));
    let rest = text.strip_prefix(label).unwrap_or(&text);
    let _ = writeln!(io::stderr(), "{}{rest}", style.for_stderr().apply_to(label));
}

/// `text` in lines of at most `columns`; all but the first are indented.
fn wrapped(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns.filter(|&columns| columns >= 20) else { return text.to_owned() };
    let options = textwrap::Options::new(columns).subsequent_indent("  ").break_words(false);
    textwrap::fill(text, options.word_splitter(textwrap::WordSplitter::NoHyphenation))
}

/// How many characters fit into a line of standard output.
pub(crate) fn width() -> usize {
    Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns).max(40))
}

/// A time in the unit that suits it.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A table of named figures, one heading for each column; `None` is printed as a dash.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[(&str, [Option<f64>; N])]) -> String {
    let name_width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let width = headings.iter().map(|heading| heading.len()).max().unwrap_or(0).max("-0.0000".len());
    let line = |name: &str, cells: [String; N]| {
        let cells: String = cells.iter().fold(String::new(), |mut line, cell| {
            let _ = write!(line, "  {cell:>width$}");
            line
        });
        format!("{name:name_width$}{cells}").trim_end().to_owned()
    };
    let head = line("", headings.map(str::to_owned));
    let cell = |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.4}"));
    let body = rows.iter().map(|(name, figures)| line(name, figures.map(cell)));
    let lines: Vec<_> = [head].into_iter().filter(|head| !head.is_empty()).chain(body).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_between_words() {
        let text = "warning: the embeddings have collapsed in models/a-name-longer-than-a-line-is-wide";
        let lines = wrapped(text, Some(30));
        let expected = "warning: the embeddings have\n  collapsed in\n  models/a-name-longer-than-a-line-is-wide";
        assert_eq!(lines, expected);
        assert_eq!(wrapped(text, None), text);
    }

    #[test]
    fn tables_are_aligned() {
        let one = table([""], &[("MAP", [Some(0.5)]), ("nDCG@10", [Some(-1.0)])]);
        assert_eq!(one, "MAP       0.5000\nnDCG@10  -1.0000");
        let two = table(["published", "comparable"], &[("MRR", [Some(2.0 / 3.0), None])]);
        assert_eq!(two, "      published  comparable\nMRR      0.6667           -");
    }
}
