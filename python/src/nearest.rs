//! The most similar rows.

use ndarray::{Array2, ArrayView2};
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use simcse_eval::{Hit, Storage, Vectors, nearest};

/// Scores and rows, (Q, k).
pub(crate) type Found<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<i64>>);

/// The `k` rows of `corpus`, (N, C), with the highest cosine similarity to each of `queries`,
/// (Q, C): similarities and rows, (Q, min(k, N)).
#[pyfunction]
#[pyo3(signature = (queries, corpus, k = 10))]
pub(crate) fn search<'py>(
    py: Python<'py>,
    queries: PyReadonlyArray2<'py, f32>,
    corpus: PyReadonlyArray2<'py, f32>,
    k: usize,
) -> PyResult<Found<'py>> {
    check(&queries, corpus.shape()[1])?;
    let (queries, corpus) = (queries.as_array(), corpus.as_array());
    if corpus.ncols() == 0 {
        return Err(PyValueError::new_err("corpus: expected one column or more, found none"));
    }
    check_finite("corpus", corpus)?;
    let hits = py.detach(|| {
        let mut vectors = Vectors::new(Storage::F32, corpus.ncols());
        vectors.push(corpus);
        nearest(&vectors, queries, k, None)
    });
    Ok(found(py, &hits, k.min(corpus.nrows())))
}

/// Queries must have the corpus's width, and finite values.
pub(crate) fn check(queries: &PyReadonlyArray2<f32>, width: usize) -> PyResult<()> {
    if queries.shape()[1] != width {
        let found = queries.shape()[1];
        return Err(PyValueError::new_err(format!(
            "queries: expected {width} columns as in the corpus, found {found}"
        )));
    }
    check_finite("queries", queries.as_array())
}

fn check_finite(name: &str, rows: ArrayView2<f32>) -> PyResult<()> {
    match rows.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(PyValueError::new_err(format!("{name}: expected finite values, found NaN or infinity"))),
    }
}

/// Hits as two matrices of `k` columns.
pub(crate) fn found<'py>(py: Python<'py>, hits: &[Vec<Hit>], k: usize) -> Found<'py> {
    let scores = Array2::from_shape_fn((hits.len(), k), |(query, rank)| hits[query][rank].score);
    let rows = Array2::from_shape_fn((hits.len(), k), |(query, rank)| hits[query][rank].index as i64);
    (scores.into_pyarray(py), rows.into_pyarray(py))
}
