//! Runs as a table of text.

use simcse_model::io::printable;

use crate::runs::columns::{Column, columns};
use crate::runs::run::Run;

/// The longest name and the longest cell that are shown, in characters.
const NAME: usize = 32;
const CELL: usize = 24;
/// What is between two columns.
const GAP: usize = 2;

/// A line for each run. What does not fit into `width` characters is continued below, with the
/// names of the runs again: the settings first, then the figures.
pub(super) fn table(runs: &[Run], width: usize) -> String {
    // Names of runs differ at their ends, settings at their beginnings.
    let names = runs.iter().map(|run| shortened(&run.name, NAME, true)).collect();
    let names = Printed::new("run", names, false);
    let columns = columns(runs);
    let settings = columns.iter().filter(|column| column.is_setting).count();
    let printed: Vec<_> = columns.into_iter().map(Printed::of).collect();
    let (settings, figures) = printed.split_at(settings);
    let whole = in_blocks(&names, printed.iter(), width);
    let blocks = match whole.len() {
        1 => whole,
        _ => [in_blocks(&names, settings.iter(), width), in_blocks(&names, figures.iter(), width)].concat(),
    };
    let lines = |block: &Vec<&Printed>| -> String {
        let line = |row: usize| {
            let cells: Vec<_> = block.iter().map(|column| column.cell(row)).collect();
            cells.join(&" ".repeat(GAP)).trim_end().to_owned()
        };
        (0..=runs.len()).map(line).collect::<Vec<_>>().join("\n")
    };
    blocks.iter().map(lines).collect::<Vec<_>>().join("\n\n")
}

/// The columns, after the names, in blocks that fit into `width` characters.
fn in_blocks<'a>(
    names: &'a Printed,
    columns: impl Iterator<Item = &'a Printed>,
    width: usize,
) -> Vec<Vec<&'a Printed>> {
    let mut blocks: Vec<Vec<&Printed>> = Vec::new();
    for column in columns {
        let used = |block: &Vec<&Printed>| block.iter().map(|column| column.width + GAP).sum::<usize>();
        match blocks.last_mut() {
            Some(block) if used(block) + column.width <= width => block.push(column),
            _ => blocks.push(vec![names, column]),
        }
    }
    blocks
}

/// A column as it is printed.
struct Printed {
    /// The heading, and a cell for each run.
    cells: Vec<String>,
    width: usize,
    is_number: bool,
}

impl Printed {
    fn new(heading: &str, cells: Vec<String>, is_number: bool) -> Self {
        let cells: Vec<_> = std::iter::once(heading.to_owned()).chain(cells).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        Self { cells, width, is_number }
    }

    fn of(Column { heading, cells, is_number, .. }: Column) -> Self {
        let cell = |cell: &String| if cell.is_empty() { "–".to_owned() } else { shortened(cell, CELL, false) };
        Self::new(&heading, cells.iter().map(cell).collect(), is_number)
    }

    fn cell(&self, row: usize) -> String {
        let Self { cells, width, is_number } = self;
        match is_number {
            true => format!("{:>width$}", cells[row]),
            false => format!("{:<width$}", cells[row]),
        }
    }
}

/// At most `most` characters of a text, on one line: its beginning or its end.
fn shortened(text: &str, most: usize, keep_end: bool) -> String {
    let text: Vec<char> = printable(text).chars().collect();
    if text.len() <= most {
        return text.into_iter().collect();
    }
    match keep_end {
        true => "…".chars().chain(text[text.len() + 1 - most..].iter().copied()).collect(),
        false => text[..most - 1].iter().copied().chain("…".chars()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_shortened_where_they_say_least() {
        assert_eq!(shortened("output/seed-1", 32, true), "output/seed-1");
        assert_eq!(shortened("output/seed-1", 7, true), "…seed-1");
        assert_eq!(shortened("a long prompt\n", 7, false), "a long…");
        assert_eq!(shortened("two\nlines", 32, false), "two\\nlines");
    }
}
