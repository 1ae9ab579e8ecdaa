//! A corpus on disk.

use std::path::PathBuf;
use std::sync::Mutex;

use numpy::PyReadonlyArray2;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use simcse_eval::Record;

use crate::errors::exception;
use crate::nearest::{Found, check, found};

/// A corpus on disk, made by `simcse index`.
#[pyclass(frozen)]
pub(crate) struct Index {
    /// Searches take turns: they read the same file.
    index: Mutex<simcse_eval::Index>,
    rows: usize,
    #[pyo3(get)]
    dimension: usize,
    #[pyo3(get)]
    model: String,
}

#[pymethods]
impl Index {
    #[new]
    fn new(py: Python<'_>, directory: PathBuf) -> PyResult<Self> {
        let index = py.detach(|| simcse_eval::Index::open(&directory)).map_err(exception)?;
        let (rows, dimension) = (index.rows(), index.description.dimension);
        let model = index.description.model.clone();
        Ok(Self { index: Mutex::new(index), rows, dimension, model })
    }

    fn __len__(&self) -> usize {
        self.rows
    }

    /// The text of a row.
    fn text(&self, row: usize) -> PyResult<String> {
        Ok(self.read(row)?.text().to_owned())
    }

    /// The text and the other fields of a row's record.
    fn record<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyDict>> {
        let record = self.read(row)?;
        let fields = PyDict::new(py);
        for name in record.fields().keys() {
            fields.set_item(name, record.get(name))?;
        }
        Ok(fields)
    }

    /// As the function `search`; the vectors are read in parts.
    #[pyo3(signature = (queries, k = 10))]
    fn search<'py>(&self, py: Python<'py>, queries: PyReadonlyArray2<'py, f32>, k: usize) -> PyResult<Found<'py>> {
        check(&queries, self.dimension)?;
        let queries = queries.as_array();
        let hits = py.detach(|| self.index.lock().expect("a search does not panic").nearest(queries, k, None));
        Ok(found(py, &hits.map_err(exception)?, k.min(self.rows)))
    }
}

impl Index {
    fn read(&self, row: usize) -> PyResult<Record> {
        if row >= self.rows {
            return Err(PyIndexError::new_err(format!("row {row} of an index of {} rows", self.rows)));
        }
        self.index.lock().expect("a search does not panic").record(row).map_err(exception)
    }
}
