//! The table of a sweep, as Markdown and as CSV.

use simcse_model::io::printable;

use crate::commands::sweep::results::{Cell, Results, Row};
use crate::error::Failure;

/// What stands for a figure that there is not.
const NONE: &str = "–";

/// A row for each group of runs: mean ± standard deviation.
pub(super) fn markdown(results: &Results) -> String {
    let mut headings = results.keys.clone();
    headings.push("runs".to_owned());
    headings.extend(results.columns.iter().map(|column| column.heading.clone()));
    headings.extend(results.published.clone());
    let rule = format!("|{}", "---|".repeat(headings.len()));
    let rows = results.rows.iter().map(|row| line(cells(results, row)));
    [line(headings), rule].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn cells(results: &Results, row: &Row) -> Vec<String> {
    let mut cells = row.labels.clone();
    cells.push(if row.done == row.runs { row.runs.to_string() } else { format!("{} of {}", row.done, row.runs) });
    cells.extend(row.cells.iter().map(|cell| cell.as_ref().map_or(NONE.to_owned(), text)));
    if results.published.is_some() {
        cells.push(row.published.map_or(NONE.to_owned(), |value| format!("{value:.4}")));
    }
    cells
}

/// Mean ± standard deviation.
pub(super) fn text(cell: &Cell) -> String {
    let deviation = cell.deviation().map(|deviation| format!(" ± {deviation:.4}"));
    format!("{:.4}{}", cell.mean(), deviation.unwrap_or_default())
}

fn line(cells: Vec<String>) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| printable(cell).replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}

/// The same in full precision, with a column for each mean and each standard deviation.
///
/// # Errors
/// None that writing into memory can have.
pub(super) fn csv(results: &Results) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut headings = results.keys.clone();
    headings.push("runs".to_owned());
    for column in &results.columns {
        headings.extend([column.heading.clone(), format!("{} sd", column.heading)]);
    }
    headings.extend(results.published.clone());
    writer.write_record(&headings)?;
    for row in &results.rows {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let mut record = row.labels.clone();
        record.push(row.done.to_string());
        for cell in &row.cells {
            record.push(number(cell.as_ref().map(Cell::mean)));
            record.push(number(cell.as_ref().and_then(Cell::deviation)));
        }
        if results.published.is_some() {
            record.push(number(row.published));
        }
        writer.write_record(&record)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::Failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(Failure::from)
}
