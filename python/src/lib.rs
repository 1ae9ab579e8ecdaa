//! The Python module `simcse`: models, training and search, with NumPy arrays in and out. The
//! interpreter is free while Rust computes.
//!
//! This crate knows Python and the libraries. It computes nothing itself.

mod errors;
mod index;
mod model;
mod nearest;
mod train;

use pyo3::prelude::*;

/// Sentence embeddings tuned to your sentences, on the CPU.
#[pymodule]
mod _simcse {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::index::Index;
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::nearest::search;
    #[pymodule_export]
    use crate::train::train;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
