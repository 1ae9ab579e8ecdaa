//! What the user sees: data and tables on standard output, notes on standard error. Nothing is
//! colored.
//!
//! This file knows text. It must not know what a command computes.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;
pub(crate) use simcse_model::io::counted;
use simcse_model::io::printable;

use crate::error::Failure;

/// What errors call standard output.
pub(crate) const STANDARD_OUTPUT: &str = "standard output";

/// Prints lines of data.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::writing(STANDARD_OUTPUT))
}

/// Prints a JSON object as one line.
pub(crate) fn print_json(object: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(object)?)
}

/// Prints a line on standard error. A failure to write it is ignored: there may be no one to read
/// it.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// How many characters fit into a line of standard output.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size_of(io::stdout()).map_or(80, |(width, _)| usize::from(width.0).max(40))
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
    fn tables_are_aligned() {
        let one = table([""], &[("MAP", [Some(0.5)]), ("nDCG@10", [Some(-1.0)])]);
        assert_eq!(one, "MAP       0.5000\nnDCG@10  -1.0000");
        let two = table(["published", "comparable"], &[("MRR", [Some(2.0 / 3.0), None])]);
        assert_eq!(two, "      published  comparable\nMRR      0.6667           -");
    }
}
