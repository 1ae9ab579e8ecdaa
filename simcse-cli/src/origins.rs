//! Where arguments come from: the command line, the environment, or a file, in this order of
//! precedence.
//!
//! Arguments from elsewhere are added to the command line before it is parsed, unless they are
//! given there, or conflict with what is. So they mean the same everywhere, and are checked alike.
//!
//! This file knows clap's commands. It must not know any one command's arguments.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};
use simcse_model::io::excerpt;
use toml::Value;

use crate::error::Failure;

/// The argument that names the file.
const CONFIG: &str = "config";
/// What the names of environment variables begin with.
const PREFIX: &str = "SIMCSE_";
/// The longest file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Arguments that only make sense on a command line.
const NEVER: [&str; 3] = ["help", "version", CONFIG];

/// Where an argument was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The flag, as it would be written.
    CommandLine(String),
    /// The environment variable.
    Environment(String),
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::CommandLine(name) | Self::Environment(name) => out.write_str(name),
            Self::File(path) => path.display().fmt(out),
        }
    }
}

/// Where each argument that was given comes from, by its key in a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(HashMap<String, Origin>);

impl Origins {
    /// The origin of the argument with this key; `None` if it was not given.
    pub(crate) fn of(&self, key: &str) -> Option<&Origin> {
        self.0.get(key)
    }
}

/// Parses a command line, completed from the environment and from the file that `--config` names.
/// Wrong usage of the command line itself ends the process, as [`clap::Parser::parse`] does.
///
/// # Errors
/// If the file cannot be read, or names an argument that the command does not have; if a value from
/// the environment or the file is not one that the argument may have.
pub(crate) fn parse<C: CommandFactory + FromArgMatches>(
    given: Vec<OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(C, Origins), Failure> {
    let mut root = C::command();
    root.build();
    let mut layers = Layers { given, added: Vec::new(), positional: Vec::new(), origins: Origins::default() };
    // What is wrong with the command line is reported below.
    if let Ok(matches) = root.clone().ignore_errors(true).try_get_matches_from(&layers.given) {
        let (command, matches) = innermost(&root, &matches);
        layers.add_all(command, matches, variable)?;
    }
    let (line, origins) = layers.finish();
    let parsed = C::command().try_get_matches_from(line).and_then(|matches| C::from_arg_matches(&matches));
    let parsed = parsed.map_err(|error| explained(&error, &origins).unwrap_or_else(|| error.exit()))?;
    Ok((parsed, origins))
}

/// The subcommand that was given, and its matches.
fn innermost<'a>(command: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    let found = matches.subcommand().and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches)));
    found.map_or((command, matches), |(command, matches)| innermost(command, matches))
}

/// Arguments from one place, with their values.
type Layer<'a> = Vec<(&'a Arg, Vec<OsString>, Origin)>;

/// A command line that is being completed.
struct Layers {
    given: Vec<OsString>,
    /// Flags from elsewhere.
    added: Vec<OsString>,
    positional: Vec<OsString>,
    origins: Origins,
}

impl Layers {
    fn add_all(
        &mut self,
        command: &Command,
        matches: &ArgMatches,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(), Failure> {
        let id = |arg: &&Arg| matches.try_contains_id(arg.get_id().as_str()).unwrap_or(false);
        for arg in command.get_arguments().filter(id) {
            if matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
                let name = arg.get_long().map_or_else(|| arg.get_id().to_string(), |long| format!("--{long}"));
                self.origins.0.insert(key_of(arg), Origin::CommandLine(name));
            }
        }
        let mut layer = Vec::new();
        for arg in command.get_arguments().filter(|arg| !NEVER.contains(&arg.get_id().as_str())) {
            let Some(name) = arg.get_long().map(variable_of) else { continue };
            // An empty variable is as good as none.
            if let Some(text) = variable(&name).filter(|text| !text.is_empty()) {
                layer.push((arg, vec![text], Origin::Environment(name)));
            }
        }
        self.add(command, layer)?;
        let config = command.get_arguments().any(|arg| arg.get_id() == CONFIG);
        if let Some(path) = config.then(|| matches.get_one::<PathBuf>(CONFIG)).flatten() {
            self.add(command, of_file(command, path)?)?;
        }
        Ok(())
    }

    /// Adds the arguments that were not given before, and do not conflict with one that was.
    fn add(&mut self, command: &Command, layer: Layer) -> Result<(), Failure> {
        let before = self.origins.0.clone();
        let conflict =
            |a: &Arg, b: &Arg| command.get_arg_conflicts_with(a).iter().any(|arg| arg.get_id() == b.get_id());
        for (arg, values, origin) in layer {
            let mut given = command.get_arguments().filter(|other| before.contains_key(&key_of(other)));
            if given.any(|other| other.get_id() == arg.get_id() || conflict(arg, other) || conflict(other, arg)) {
                continue;
            }
            for value in values {
                self.push(arg, value)
                    .map_err(|expected| Failure::Usage(format!("{origin}: {}: expected {expected}", key_of(arg))))?;
            }
            self.origins.0.insert(key_of(arg), origin);
        }
        Ok(())
    }

    /// Adds a value of an argument; the error says what was expected.
    fn push(&mut self, arg: &Arg, value: OsString) -> Result<(), &'static str> {
        let Some(long) = arg.get_long() else {
            self.positional.push(value);
            return Ok(());
        };
        let mut flag = OsString::from(format!("--{long}"));
        match (arg.get_action(), value.to_str()) {
            (ArgAction::Set | ArgAction::Append, _) => {
                flag.push("=");
                flag.push(value);
            }
            (_, Some("true")) => {}
            (_, Some("false")) => return Ok(()),
            _ => return Err("true or false"),
        }
        self.added.push(flag);
        Ok(())
    }

    /// The whole command line: flags come before `--`, if there is one.
    fn finish(self) -> (Vec<OsString>, Origins) {
        let Self { given: mut line, added, positional, origins } = self;
        let end = line.iter().position(|token| token == "--");
        let at = end.unwrap_or(line.len());
        line.splice(at..at, added);
        if end.is_none() && !positional.is_empty() {
            line.push("--".into());
        }
        line.extend(positional);
        (line, origins)
    }
}

/// The arguments in a file.
fn of_file<'a>(command: &'a Command, path: &Path) -> Result<Layer<'a>, Failure> {
    let failed = |what: String| Failure::Failed(format!("{}: {what}", path.display()));
    let table = read_toml(path)?;
    let mut layer = Layer::new();
    for (key, value) in table {
        let arg = find(command, &key).map_err(&failed)?;
        let texts = texts(&value).ok_or_else(|| {
            failed(format!(
                "{key}: expected a text, a number, true or false, or a list of them, found {}",
                value.type_str()
            ))
        })?;
        let one_by_one = arg.get_long().is_none() || matches!(arg.get_action(), ArgAction::Append);
        let texts = if one_by_one { texts } else { vec![texts.join(",")] };
        if layer.iter().any(|(other, ..)| other.get_id() == arg.get_id()) {
            return Err(failed(format!("{key} is there twice")));
        }
        layer.push((arg, texts.into_iter().map(OsString::from).collect(), Origin::File(path.to_owned())));
    }
    Ok(layer)
}

/// Reads a TOML file.
///
/// # Errors
/// If it cannot be read, is longer than a megabyte, or is not TOML: the line, and what is wrong
/// with it.
pub(crate) fn read_toml(path: &Path) -> Result<toml::Table, Failure> {
    let failed = |what: String| Failure::Failed(format!("{}: {what}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(format!("expected at most {MAX_FILE} bytes")));
    }
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(String::new(), |before| format!("line {}: ", before.matches('\n').count() + 1));
        failed(format!("{line}{}", error.message()))
    })
}

/// The argument of a key; the error says that there is none.
fn find<'a>(command: &'a Command, key: &str) -> Result<&'a Arg, String> {
    let flag = key.replace('_', "-");
    let named = |arg: &&Arg| {
        let aliases = arg.get_visible_aliases().unwrap_or_default();
        arg.get_long() == Some(&flag) || aliases.contains(&flag.as_str()) || arg.get_id() == key
    };
    let possible = || command.get_arguments().filter(|arg| !NEVER.contains(&arg.get_id().as_str()));
    possible().find(named).ok_or_else(|| {
        let keys = possible().map(key_of);
        let near = keys.map(|name| (strsim::jaro(&name, &key.replace('-', "_")), name));
        let near = near.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
        let advice = near.map_or(String::new(), |(_, name)| format!(" (is it {name}?)"));
        let name = command.get_bin_name().unwrap_or("simcse");
        format!("expected the names of flags of `{name}`, found {}{advice}", excerpt(key, 100))
    })
}

/// A value as a flag's text, or several; `None` if no flag has such a value.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Some(vec![value.to_string()]),
        Value::Array(values) => {
            let each = values.iter().map(|value| if value.is_array() { None } else { texts(value) });
            Some(each.collect::<Option<Vec<_>>>()?.concat())
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

/// The key of an argument in a file.
fn key_of(arg: &Arg) -> String {
    arg.get_long().unwrap_or(arg.get_id().as_str()).replace('-', "_")
}

/// The environment variable of a flag.
fn variable_of(long: &str) -> String {
    format!("{PREFIX}{}", long.replace('-', "_").to_uppercase())
}

/// What is wrong with a value from the environment or from a file; `None` if the command line is to
/// blame.
fn explained(error: &clap::Error, origins: &Origins) -> Option<Failure> {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = arg.trim_start_matches(['-', '<', '[']);
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).unwrap_or(name.len());
    let key = name[..end].replace('-', "_").to_lowercase();
    let origin = origins.of(&key).filter(|origin| !matches!(origin, Origin::CommandLine(_)))?;
    let text = error.to_string();
    let line = text.lines().next()?.trim_start_matches("error: ");
    Some(Failure::Usage(format!("{origin}: {line}")))
}
