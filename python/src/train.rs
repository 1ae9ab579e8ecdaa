//! Training.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};
use simcse_train::data::builder::ExamplesBuilder;
use simcse_train::{Callbacks, Examples, Recipe, Settings, StepRecord, Trainer};

use crate::errors::exception;
use crate::model::load;

/// Sentences, or pairs and triplets.
#[derive(FromPyObject)]
pub(crate) enum Given {
    Sentences(Vec<String>),
    Examples(Vec<Vec<String>>),
}

/// Trains a model on sentences, pairs, or triplets with hard negatives, and writes it to
/// `output_dir`.
#[pyfunction]
#[pyo3(signature = (examples, *, model, output_dir, on_step = None, **settings))]
pub(crate) fn train<'py>(
    py: Python<'py>,
    examples: Given,
    model: PathBuf,
    output_dir: PathBuf,
    on_step: Option<Py<PyAny>>,
    settings: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let examples = examples.read()?;
    let encoder = load(py, model)?;
    let settings = over(Settings::for_model(&encoder), settings)?;
    let mut watcher = Watcher { on_step, failed: None };
    let trained = py.detach(|| Trainer::new(encoder, &examples, settings, output_dir)?.train(&mut watcher));
    if let Some(error) = watcher.failed {
        return Err(error);
    }
    let summary = trained.map_err(exception)?.summary;
    let figures = PyDict::new(py);
    figures.set_item("steps", summary.steps)?;
    figures.set_item("train_loss", summary.train_loss)?;
    figures.set_item("train_seconds", summary.train_seconds)?;
    figures.set_item("cut", summary.cut)?;
    figures.set_item("skipped", summary.skipped)?;
    Ok(figures)
}

impl Given {
    fn read(&self) -> PyResult<Examples> {
        const NAME: &str = "examples";
        match self {
            Self::Sentences(sentences) => Examples::from_texts(NAME, sentences, 1).map_err(exception),
            Self::Examples(examples) => {
                let columns = examples.first().map_or(0, Vec::len);
                let odd = examples.iter().position(|example| example.len() != columns || example.is_empty());
                if let Some(row) = odd {
                    return Err(PyValueError::new_err(format!(
                        "examples, row {row}: expected {} texts, found {}",
                        columns.max(1),
                        examples[row].len()
                    )));
                }
                let mut builder = ExamplesBuilder::of_columns(columns, 1);
                examples.iter().for_each(|example| builder.push_example(example));
                builder.finish(NAME).map_err(exception)
            }
        }
    }
}

/// Settings as they are given to a function: a recipe first, then the others in their order.
fn over(base: Settings, given: Option<&Bound<'_, PyDict>>) -> PyResult<Settings> {
    let Some(given) = given else { return Ok(base) };
    let mut settings = match given.get_item("recipe")? {
        Some(name) => {
            let recipe = <Recipe as simcse_model::Named>::from_name(&name.extract::<String>()?).map_err(exception)?;
            base.with_recipe(recipe)
        }
        None => base,
    };
    for (name, value) in given {
        settings.set(&name.extract::<String>()?, &text(&value)?).map_err(exception)?;
    }
    Ok(settings)
}

/// A value as a flag has it.
fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(switch) = value.cast::<PyBool>() {
        return Ok(switch.is_true().to_string());
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items: Vec<String> = value.try_iter()?.map(|item| text(&item?)).collect::<PyResult<_>>()?;
        return Ok(items.join(","));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_string());
    }
    Ok(value.str()?.to_string())
}

/// Tells Python about every step, and stops when it raises.
struct Watcher {
    on_step: Option<Py<PyAny>>,
    failed: Option<PyErr>,
}

impl Callbacks for Watcher {
    fn on_step_end(&mut self, record: &StepRecord, total_steps: u64) {
        let told = Python::attach(|py| {
            py.check_signals()?;
            match &self.on_step {
                Some(on_step) => on_step.call1(py, (record.step, total_steps, record.loss)).map(drop),
                None => Ok(()),
            }
        });
        self.failed = told.err();
    }

    fn stop_requested(&self) -> bool {
        self.failed.is_some()
    }
}
