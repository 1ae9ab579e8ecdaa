//! Rows of texts from a table, whose columns are found by their names.
//!
//! A column is one that the user names or, failing that, one with a name of the field. Unlike the
//! columns of scored pairs, these are never guessed from what they hold, because every column of
//! text could be any of them.

use std::path::Path;
use std::str::FromStr;

use simcse_model::io::{Record, Records};

use crate::data::split::keep_split;
use crate::error::{Error, shown};

/// How to read a file whose columns or splits are ambiguous.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowOptions {
    /// The columns to read, in the order of the set's fields.
    pub columns: Option<ColumnList>,
    /// The split to read, from a file that says which split each row belongs to.
    pub split: Option<String>,
}

/// Columns by their names, or by their numbers from 1.
///
/// ```
/// use simcse_eval::data::ColumnList;
///
/// let columns: ColumnList = "question, answer".parse()?;
/// assert_eq!(columns, ColumnList(vec!["question".to_owned(), "answer".to_owned()]));
/// assert!("question,".parse::<ColumnList>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnList(
    /// One name or number for each field.
    pub Vec<String>,
);

impl FromStr for ColumnList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let columns: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if columns.iter().any(String::is_empty) {
            return Err("expected names or numbers, separated by commas".to_owned());
        }
        Ok(Self(columns))
    }
}

/// What the rows of a kind of file hold.
pub(crate) struct Layout<const N: usize> {
    /// What a message calls a row.
    pub(crate) what: &'static str,
    /// The names that the columns may have together, in the order of the fields.
    pub(crate) names: &'static [[&'static str; N]],
    /// Names of columns that mean that the file is of another kind, and how to read it then.
    pub(crate) forbidden: Option<(&'static [&'static str], &'static str)>,
}

/// The name of the column that says which part of a data set a row belongs to.
const SPLIT_NAME: &str = "split";

/// Reads the rows of a file, or of the split that is chosen.
pub(crate) fn read_rows<const N: usize>(
    path: &Path,
    layout: &Layout<N>,
    options: &RowOptions,
) -> Result<Vec<[String; N]>, Error> {
    let mut reader = Records::open(path)?;
    let keys = reader.keys().map(|keys| keys.to_vec());
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        records.push(record);
    }
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let names = match &keys {
        Some(keys) => keys.clone(),
        None => records[0].fields.iter().map(|field| field.clone().unwrap_or_default()).collect(),
    };
    let names: Vec<String> = names.iter().map(|name| name.trim().to_lowercase()).collect();
    let table = Table { path, names, has_keys: keys.is_some() };
    let (columns, is_named) = match &options.columns {
        Some(columns) => table.chosen(columns)?,
        None => (table.usual(layout)?, true),
    };
    if is_named && !table.has_keys {
        records.remove(0);
    }
    let split = table.names.iter().position(|name| is_named && name == SPLIT_NAME);
    keep_split(path, &mut records, split, options.split.as_deref())?;
    // Objects have the fields of the first one; what a line of text lacks, its neighbors have got.
    let width = (!table.has_keys).then_some(table.names.len());
    records.into_iter().map(|record| row(path, record, &columns, width, layout.what)).collect()
}

struct Table<'a> {
    path: &'a Path,
    /// The keys of JSON objects, or the fields of the first record, in lower case.
    names: Vec<String>,
    has_keys: bool,
}

impl Table<'_> {
    /// The columns that the user names, and whether by their names and not by their numbers.
    fn chosen<const N: usize>(&self, ColumnList(columns): &ColumnList) -> Result<([usize; N], bool), Error> {
        let columns: &[String; N] = columns.as_slice().try_into().map_err(|_| Error::Columns {
            path: self.path.to_owned(),
            expected: format!("{N} columns (--columns)"),
            found: columns.len().to_string(),
        })?;
        let numbered = !self.has_keys && columns.iter().all(|column| column.parse::<usize>().is_ok());
        let mut indices = [0; N];
        for (index, column) in indices.iter_mut().zip(columns) {
            let found = if numbered {
                column.parse::<usize>().ok().and_then(|number| number.checked_sub(1))
            } else {
                let column = column.to_lowercase();
                self.names.iter().position(|name| *name == column)
            };
            *index = found.filter(|index| *index < self.names.len()).ok_or_else(|| Error::Columns {
                path: self.path.to_owned(),
                expected: format!("a column `{}` (--columns)", shown(column)),
                found: self.listed(),
            })?;
        }
        Ok((indices, !numbered))
    }

    /// The only columns with usual names.
    fn usual<const N: usize>(&self, layout: &Layout<N>) -> Result<[usize; N], Error> {
        let forbidden = layout.forbidden.filter(|(names, _)| self.names.iter().any(|name| names.contains(&&name[..])));
        if let Some((_, instead)) = forbidden {
            let expected = format!("{} ({instead}; --columns reads it anyway)", layout.what);
            return Err(Error::Columns { path: self.path.to_owned(), expected, found: self.listed() });
        }
        let index = |name: &str| self.names.iter().position(|found| found == name);
        let mut found: Vec<[usize; N]> = Vec::new();
        for names in layout.names {
            let indices: Vec<usize> = names.iter().filter_map(|name| index(name)).collect();
            found.extend(<[usize; N]>::try_from(indices));
        }
        match found[..] {
            [columns] => Ok(columns),
            _ => {
                let names = layout.names[0].join(", ");
                let expected = format!(
                    "one set of columns for {}, such as {names} (or --columns with names or numbers)",
                    layout.what
                );
                Err(Error::Columns { path: self.path.to_owned(), expected, found: self.listed() })
            }
        }
    }

    fn listed(&self) -> String {
        format!("columns {}", shown(&self.names.join(", ")))
    }
}

fn row<const N: usize>(
    path: &Path,
    mut record: Record,
    columns: &[usize; N],
    width: Option<usize>,
    what: &str,
) -> Result<[String; N], Error> {
    let malformed = |expected: String, found: String| Error::Malformed {
        path: path.to_owned(),
        line: record.line,
        expected,
        found,
    };
    let found = record.fields.len();
    if let Some(width) = width.filter(|width| *width != found) {
        return Err(malformed(format!("{width} fields, as in the first line"), found.to_string()));
    }
    let mut fields = [const { String::new() }; N];
    for (field, column) in fields.iter_mut().zip(columns) {
        // Only JSON has fields that are not text.
        *field = record.fields[*column]
            .take()
            .ok_or_else(|| malformed(what.to_owned(), "a value that is not text".to_owned()))?;
    }
    Ok(fields)
}

#[cfg(test)]
#[path = "tests/rows.rs"]
mod tests;
