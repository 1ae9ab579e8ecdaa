//! Unit vectors of texts, each kept once.

use std::collections::HashMap;

use ndarray::{ArrayView1, ArrayView2};

use crate::error::{Error, shown};
use crate::metrics::unit_rows::unit_rows;

/// Rows of unit length, by text. Rows of zeros stay zero and are counted.
#[derive(Debug, Default)]
pub(crate) struct Store {
    rows: HashMap<String, usize>,
    values: Vec<f32>,
    width: usize,
    zeros: usize,
}

impl Store {
    /// How many of its rows are zero.
    pub(crate) fn zeros(&self) -> usize {
        self.zeros
    }

    /// The row of a text, if it is there.
    pub(crate) fn find(&self, text: &str) -> Option<usize> {
        self.rows.get(text).copied()
    }

    /// The values of a row, (C).
    pub(crate) fn row(&self, row: usize) -> ArrayView1<'_, f32> {
        ArrayView1::from(&self.values[row * self.width..][..self.width])
    }

    /// Prepares for `count` more rows of `width` values.
    pub(crate) fn reserve(&mut self, count: usize, width: usize) {
        self.values.reserve_exact(count * width);
        self.rows.reserve(count);
    }

    /// Adds distinct texts that are not there yet.
    pub(crate) fn add(&mut self, texts: &[&str], embeddings: ArrayView2<f32>) -> Result<(), Error> {
        let unit = checked_unit_rows(texts, embeddings)?;
        self.width = unit.ncols();
        for (text, row) in texts.iter().zip(unit.rows()) {
            self.zeros += usize::from(row.iter().all(|&value| value == 0.0));
            let number = self.rows.len();
            self.rows.insert((*text).to_owned(), number);
            self.values.extend(row);
        }
        Ok(())
    }
}

/// Embeddings scaled to unit length.
///
/// # Errors
/// [`Error::NotFinite`] if a value is NaN or infinite.
pub(crate) fn checked_unit_rows(texts: &[&str], embeddings: ArrayView2<f32>) -> Result<ndarray::Array2<f32>, Error> {
    assert_eq!(texts.len(), embeddings.nrows(), "one embedding for each text");
    for (text, row) in texts.iter().zip(embeddings.rows()) {
        if let Some(&value) = row.iter().find(|value| !value.is_finite()) {
            return Err(Error::NotFinite { text: shown(text), value });
        }
    }
    Ok(unit_rows(embeddings))
}
