//! A sentence encoder.

use std::path::PathBuf;

use ndarray::Axis;
use numpy::IntoPyArray;
use pyo3::exceptions::{PyUserWarning, PyValueError};
use pyo3::ffi::c_str;
use pyo3::prelude::*;
use simcse_eval::metrics::unit_rows;
use simcse_model::{Named, Precision, SentenceEncoder};

use crate::errors::exception;

/// A sentence encoder: a sentence-transformers or Hugging Face directory, or a name on the hub.
#[pyclass(frozen)]
pub(crate) struct Model {
    encoder: SentenceEncoder,
}

/// One sentence or several.
#[derive(FromPyObject)]
pub(crate) enum Sentences {
    One(String),
    Several(Vec<String>),
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (model, *, precision = "f32"))]
    fn new(py: Python<'_>, model: PathBuf, precision: &str) -> PyResult<Self> {
        let precision = Precision::from_name_or_auto(precision).map_err(exception)?;
        if !precision.is_available() {
            return Err(PyValueError::new_err(format!(
                "precision: this processor does not multiply {}",
                precision.name()
            )));
        }
        let mut encoder = load(py, model)?;
        encoder.precision = precision;
        encoder.params.keep_packed();
        Ok(Self { encoder })
    }

    /// The number of values of an embedding.
    #[getter]
    fn dimension(&self) -> usize {
        self.encoder.dimension()
    }

    /// The most tokens of a sentence, special ones included; what is beyond is cut off.
    #[getter]
    fn max_seq_length(&self) -> usize {
        self.encoder.directory.max_seq_length
    }

    /// The embedding of a sentence, (C), or those of several, (N, C).
    #[pyo3(signature = (sentences, *, normalize = false, prompt = None, prompt_name = None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        sentences: Sentences,
        normalize: bool,
        prompt: Option<&str>,
        prompt_name: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = self.encoder.directory.prompts.resolve(prompt, prompt_name).map_err(exception)?;
        let (sentences, is_one) = match sentences {
            Sentences::One(sentence) => (vec![sentence], true),
            Sentences::Several(sentences) => (sentences, false),
        };
        let mut interrupted = None;
        let embeddings = py.detach(|| {
            self.encoder.encode_with_prompt_while(prompt, &sentences, |_| {
                interrupted = Python::attach(|py| py.check_signals()).err();
                interrupted.is_none()
            })
        });
        if let Some(error) = interrupted {
            return Err(error);
        }
        let embeddings = embeddings.map_err(exception)?.expect("nothing else stops it");
        let embeddings = if normalize { unit_rows(embeddings.view()) } else { embeddings };
        if is_one {
            return Ok(embeddings.index_axis_move(Axis(0), 0).into_pyarray(py).into_any());
        }
        Ok(embeddings.into_pyarray(py).into_any())
    }

    /// Writes a directory that sentence-transformers loads.
    fn save(&self, py: Python<'_>, directory: PathBuf) -> PyResult<()> {
        py.detach(|| self.encoder.save(&directory)).map_err(exception)
    }
}

/// Loads a model, and warns about anything in it that is ignored.
pub(crate) fn load(py: Python<'_>, model: PathBuf) -> PyResult<SentenceEncoder> {
    let encoder = py.detach(|| SentenceEncoder::load(model)).map_err(exception)?;
    for warning in encoder.warnings() {
        let warning = std::ffi::CString::new(warning).unwrap_or_else(|_| c_str!("the model has warnings").to_owned());
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &warning, 1)?;
    }
    Ok(encoder)
}
