//! A JSON object in a file, with getters whose errors name the file and the field.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::io::files::read_configuration;

/// A file that holds one JSON object. A field that is `null` counts as absent: transformers'
/// defaults apply to it, too.
pub(crate) struct JsonObject {
    file: PathBuf,
    fields: Map<String, Value>,
}

impl JsonObject {
    pub(crate) fn parse(file: &Path, bytes: &[u8]) -> Result<Self> {
        let fields = serde_json::from_slice(bytes).map_err(|error| Error::format(file, "a JSON object", error))?;
        Ok(Self { file: file.to_path_buf(), fields })
    }

    /// The object in `file`, which must exist and say something.
    pub(crate) fn read_required(file: &Path, advice: &str) -> Result<Self> {
        let missing = || Error::Missing { file: file.to_path_buf(), advice: advice.to_owned() };
        let json = Self::parse(file, &read_configuration(file)?.ok_or_else(missing)?)?;
        if json.is_empty() { Err(Error::format(file, "an object with fields", "an empty one")) } else { Ok(json) }
    }

    /// The object in `file`; an empty one if the file does not exist.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        match read_configuration(file)? {
            Some(bytes) => Self::parse(file, &bytes),
            None => Ok(Self { file: file.to_path_buf(), fields: Map::new() }),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields in the file's order.
    pub(crate) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// The error that `field` is not what was expected.
    pub(crate) fn invalid(&self, field: &str, expected: impl std::fmt::Display) -> Error {
        let found = self.fields.get(field).map_or("nothing".to_owned(), Value::to_string);
        Error::field(&self.file, field, expected, found)
    }

    pub(crate) fn size(&self, field: &str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| range.contains(size));
        size.map(Some)
            .ok_or_else(|| self.invalid(field, format_args!("an integer from {} to {}", range.start(), range.end())))
    }

    pub(crate) fn float(&self, field: &str, expected: &str, accept: fn(f32) -> bool) -> Result<Option<f32>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let float = value.as_f64().map(|float| float as f32).filter(|&float| accept(float));
        float.map(Some).ok_or_else(|| self.invalid(field, expected))
    }

    pub(crate) fn flag(&self, field: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value.as_bool().map(Some).ok_or_else(|| self.invalid(field, "true or false"))
    }

    pub(crate) fn text(&self, field: &str) -> Result<Option<&str>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value.as_str().map(Some).ok_or_else(|| self.invalid(field, "a string"))
    }

    /// [`JsonObject::flag`] for a field that Python reads as a keyword argument: an explicit `null`
    /// does not stand for the default.
    pub(crate) fn argument(&self, field: &str, default: bool) -> Result<bool> {
        match self.fields.get(field) {
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.invalid(field, "true or false")),
            None => Ok(default),
        }
    }

    /// Refuses fields that are not `known`.
    pub(crate) fn require_known(&self, known: &[&str]) -> Result<()> {
        let expected = || format!("no such field (it is not supported), but {}", known.join(", "));
        match self.fields.keys().find(|field| !known.contains(&field.as_str())) {
            Some(unknown) => Err(self.invalid(unknown, expected())),
            None => Ok(()),
        }
    }

    /// Refuses a `field` that is present and not `null`, because what it asks for is not supported.
    pub(crate) fn require_none(&self, field: &str) -> Result<()> {
        match self.get(field) {
            Some(_) => Err(self.invalid(field, "null (what it asks for is not supported)")),
            None => Ok(()),
        }
    }

    /// Refuses a `field` that is present and not `expected`.
    pub(crate) fn require(&self, field: &str, expected: &Value) -> Result<()> {
        match self.get(field) {
            Some(value) if value != expected => Err(self.invalid(field, expected)),
            _ => Ok(()),
        }
    }
}

/// What kind of JSON value this is, for messages: `a string`, `an object`.
#[must_use]
pub fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
