//! The fields of a request's JSON object.

use serde_json::{Map, Value};
use simcse_model::io::excerpt;

use crate::commands::serve::errors::{ApiError, ErrorKind};

/// A request's fields. A field that is null is absent, and those that nobody asks for are ignored,
/// as by the servers whose interfaces these are.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// The object in a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(mut fields)) => {
                fields.retain(|_, value| !value.is_null());
                Ok(Self(fields))
            }
            Ok(value) => Err(unexpected("body", "an object", &value)),
            Err(error) => Err(ApiError::new(ErrorKind::Syntax, format!("body: expected JSON, found: {error}"))),
        }
    }

    /// Takes a string, or a list of strings, of which there may be at most `most`; `None` if the
    /// field is absent.
    pub(crate) fn texts(&mut self, name: &str, most: usize) -> Result<Option<Vec<String>>, ApiError> {
        const EXPECTED: &str = "a string or a list of strings";
        let list = match self.0.remove(name) {
            None => return Ok(None),
            Some(Value::String(text)) => return Ok(Some(vec![text])),
            Some(Value::Array(list)) => list,
            Some(value) => return Err(unexpected(name, EXPECTED, &value)),
        };
        if list.is_empty() {
            return Err(ApiError::new(ErrorKind::Empty, format!("`{name}` cannot be empty")));
        }
        if list.len() > most {
            let message = format!("batch size {} > maximum allowed batch size {most}", list.len());
            return Err(ApiError::new(ErrorKind::Validation, message));
        }
        let texts = list.into_iter().enumerate().map(|(at, value)| match value {
            Value::String(text) => Ok(text),
            Value::Number(_) | Value::Array(_) => {
                let name = format!("{name}[{at}]");
                Err(unexpected(&name, "a string (token ids are not accepted)", &value))
            }
            value => Err(unexpected(&format!("{name}[{at}]"), "a string", &value)),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// [`texts`](Self::texts) that must be there.
    pub(crate) fn required_texts(&mut self, name: &str, most: usize) -> Result<Vec<String>, ApiError> {
        self.texts(name, most)?.ok_or_else(|| missing(name))
    }

    /// Takes a string.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value) => Err(unexpected(name, "a string", &value)),
        }
    }

    /// Takes a Boolean.
    pub(crate) fn flag(&mut self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.0.remove(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(value) => Err(unexpected(name, "true or false", &value)),
        }
    }

    /// Takes a number from 1 to `most`.
    pub(crate) fn number(&mut self, name: &str, most: usize) -> Result<Option<usize>, ApiError> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        let expected = format!("a number from 1 to {most}");
        let kind = if value.is_number() { ErrorKind::Validation } else { ErrorKind::Type };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        match number.filter(|number| (1..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(ApiError { kind, ..unexpected(name, &expected, &value) }),
        }
    }

    /// Takes an object of strings.
    pub(crate) fn conditions(&mut self, name: &str) -> Result<Vec<(String, String)>, ApiError> {
        let object = match self.0.remove(name) {
            None => return Ok(Vec::new()),
            Some(Value::Object(object)) => object,
            Some(value) => return Err(unexpected(name, "an object of columns and their values", &value)),
        };
        let conditions = object.into_iter().map(|(column, value)| match value {
            Value::String(value) => Ok((column, value)),
            value => Err(unexpected(&format!("{name}.{}", excerpt(&column, 80)), "a string", &value)),
        });
        conditions.collect()
    }
}

/// The error of a field that is absent.
pub(crate) fn missing(name: &str) -> ApiError {
    ApiError::new(ErrorKind::Type, format!("missing field `{name}`"))
}

fn unexpected(name: &str, expected: &str, found: &Value) -> ApiError {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("\"{}\"", excerpt(text, 80)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ApiError::new(ErrorKind::Type, format!("{name}: expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T, ApiError>, kind: ErrorKind, message: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(error.message.contains(message), "{error:?}");
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        let deep = "[".repeat(100_000);
        for (body, message) in [
            (&b""[..], "EOF"),
            (b"{", "EOF"),
            (b"\xff\xfe", "expected value"),
            (b"{\"a\": \"\xff\"}", "invalid unicode"),
            (br#"{"a": "\ud800"}"#, "hex escape"),
            (b"{\"a\": 1e999}", "out of range"),
            (b"{\"a\": NaN}", "expected value"),
            (b"{} {}", "trailing"),
            (deep.as_bytes(), "recursion limit"),
        ] {
            refused(Fields::parse(body), ErrorKind::Syntax, message);
        }
        refused(Fields::parse(b"[1]"), ErrorKind::Type, "body: expected an object, found a list");
    }

    #[test]
    fn texts_are_strings() {
        assert_eq!(fields(r#"{"a": "x"}"#).texts("a", 1), Ok(Some(vec!["x".to_owned()])));
        assert_eq!(fields(r#"{"a": ["x", ""]}"#).required_texts("a", 2), Ok(vec!["x".to_owned(), String::new()]));
        assert_eq!(fields(r#"{"a": null}"#).texts("a", 1), Ok(None));
        refused(fields("{}").required_texts("a", 1), ErrorKind::Type, "missing field `a`");
        refused(fields(r#"{"a": []}"#).texts("a", 1), ErrorKind::Empty, "`a` cannot be empty");
        refused(fields(r#"{"a": ["x", "y"]}"#).texts("a", 1), ErrorKind::Validation, "batch size 2 > maximum");
        refused(fields(r#"{"a": [7]}"#).texts("a", 1), ErrorKind::Type, "a[0]: expected a string (token ids");
        refused(fields(r#"{"a": ["x", [7]]}"#).texts("a", 2), ErrorKind::Type, "a[1]: expected a string (token ids");
        refused(fields(r#"{"a": {}}"#).texts("a", 1), ErrorKind::Type, "found an object");
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(fields(r#"{"a": 3}"#).number("a", 3), Ok(Some(3)));
        for bad in ["0", "4", "-1", "2.5", "1e300", "18446744073709551616"] {
            let found = fields(&format!("{{\"a\": {bad}}}")).number("a", 3);
            refused(found, ErrorKind::Validation, "a: expected a number from 1 to 3, found");
        }
        refused(fields(r#"{"a": "3"}"#).number("a", 3), ErrorKind::Type, "found \"3\"");
    }

    #[test]
    fn conditions_are_strings() {
        let expected = vec![("lang".to_owned(), "en".to_owned())];
        assert_eq!(fields(r#"{"filter": {"lang": "en"}}"#).conditions("filter"), Ok(expected));
        refused(fields(r#"{"filter": {"n": 5}}"#).conditions("filter"), ErrorKind::Type, "filter.n: expected a string");
        refused(fields(r#"{"filter": "lang=en"}"#).conditions("filter"), ErrorKind::Type, "filter: expected an object");
    }
}
