//! Searches of an index: its model, the rows that a filter lets through, and hits as JSON.
//!
//! This file knows the libraries. It must not know any one command.

use rayon::prelude::*;
use serde_json::{Map, Value, json};
use simcse_eval::{Hit, Index, IndexModel, Record};
use simcse_model::{Named, SentenceEncoder};
use simcse_train::ModelSource;

use crate::error::Failure;

/// What an index says about the model of its texts. `name` is what the user calls it.
pub(crate) fn index_model(name: &str, encoder: &SentenceEncoder) -> IndexModel {
    let directory = &encoder.directory;
    let terms = directory.layer_mix.as_ref().map(|mix| mix.terms().map(|(layer, w)| format!("{w} × layer {layer}")));
    let layers = terms.map_or(String::new(), |terms| format!(" of {}", terms.collect::<Vec<_>>().join(" + ")));
    let weights = if directory.word_weights.is_some() { ", weighted by word" } else { "" };
    let case = if directory.do_lower_case { ", lower-cased" } else { "" };
    let prompt = if directory.include_prompt { "" } else { ", without the prompt's tokens" };
    let (pooling, most) = (directory.pooling.name(), directory.max_seq_length);
    let settings = format!("{pooling} pooling{layers}{weights}{prompt}, at most {most} tokens{case}");
    IndexModel { name: name.to_owned(), sha256: ModelSource::of(name, encoder).sha256, settings }
}

/// Refuses to search an index with another model than the one that it was made with. `name` is what
/// the user calls the model.
pub(crate) fn check_model(index: &Index, name: &str, encoder: &SentenceEncoder) -> Result<(), Failure> {
    match index.description.index_model().difference(&index_model(name, encoder)) {
        None => Ok(()),
        Some((expected, found)) => Err(Failure::Failed(format!(
            "{name}: expected the model that the index was made with, {expected}, found {found}"
        ))),
    }
}

/// Which rows the filter lets through: those whose fields have all these values; `None` for all
/// rows.
pub(crate) fn allowed(index: &Index, filter: &[(String, String)]) -> Result<Option<Vec<bool>>, Failure> {
    if filter.is_empty() {
        return Ok(None);
    }
    let holds = |record: &Record| filter.iter().all(|(name, value)| record.get(name) == Some(value));
    let holds = |row| Ok(holds(&index.record(row)?));
    let rows: Result<_, Failure> = (0..index.rows()).into_par_iter().map(holds).collect();
    // Of several errors, any thread's may have come first.
    rows.map(Some).map_err(|any| (0..index.rows()).find_map(|row| holds(row).err()).unwrap_or(any))
}

/// What the corpus calls a record.
pub(crate) fn id(record: &Record) -> Option<&str> {
    ["id", "_id"].iter().find_map(|name| record.get(name))
}

/// An array of hits, best first.
pub(crate) fn hits_json(index: &Index, hits: &[Hit]) -> Result<Value, Failure> {
    let mut array = Vec::new();
    for (rank, hit) in hits.iter().enumerate() {
        let record = index.record(hit.index)?;
        let mut object = Map::new();
        object.insert("rank".to_owned(), json!(rank + 1));
        object.insert("score".to_owned(), json!(hit.score));
        object.insert("text".to_owned(), record.text().into());
        object.insert("id".to_owned(), id(&record).map_or(json!(hit.index), Value::from));
        for (name, value) in record.fields() {
            object.entry(name.clone()).or_insert_with(|| value.clone());
        }
        array.push(Value::Object(object));
    }
    Ok(Value::Array(array))
}
