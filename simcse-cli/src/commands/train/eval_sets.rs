//! The flags of the development sets: one for each kind, such as `--eval-rerank`.
//!
//! This file knows flags and names. It must not know what the sets contain.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use simcse_eval::SetKind;
use simcse_eval::data::ColumnList;
use simcse_eval::sets::OpenOptions;
use simcse_model::Named;
use simcse_train::SetInput;

use crate::error::Failure;

/// The flags of the columns and the split of similarity sets.
const COLUMNS: &str = "columns";
const SPLIT: &str = "split";

/// The development sets that are given as flags, in the order of their kinds.
#[derive(Clone, Debug, Default)]
pub(crate) struct EvalSetArgs(pub(super) Vec<EvalSet>);

/// A development set as a flag names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EvalSet {
    pub(super) kind: SetKind,
    /// What the names of its figures begin with; empty for none.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// The columns of its table, as given.
    pub(super) columns: Option<String>,
    /// Its split.
    pub(super) split: Option<String>,
}

impl EvalSet {
    /// The set of `--data`, or of the program's own example.
    pub(super) fn unnamed(kind: SetKind, path: &Path) -> Self {
        Self { kind, name: String::new(), path: path.to_owned(), columns: None, split: None }
    }

    /// The flag, as a user would write it, for messages.
    pub(super) fn flag(&self) -> String {
        let kind = self.kind.name();
        if self.name.is_empty() || self.name == kind {
            flag(self.kind)
        } else {
            format!("{} {}", flag(self.kind), self.name)
        }
    }

    /// What the names of its figures begin with in `metrics.jsonl`: `eval_` or `eval_<name>_`.
    pub(super) fn prefix(&self) -> String {
        if self.name.is_empty() { "eval".to_owned() } else { format!("eval_{}", self.name) }
    }

    /// For `run.toml`.
    pub(super) fn input(&self, absolute: impl Fn(&Path) -> String) -> SetInput {
        SetInput {
            kind: self.kind.name().to_owned(),
            name: self.name.clone(),
            path: absolute(&self.path),
            columns: self.columns.clone(),
            split: self.split.clone(),
        }
    }

    /// From `run.toml`.
    pub(super) fn recorded(input: &SetInput) -> Option<Self> {
        let SetInput { kind, name, path, columns, split } = input.clone();
        Some(Self { kind: SetKind::from_name(&kind).ok()?, name, path: PathBuf::from(path), columns, split })
    }

    /// How to read it.
    pub(super) fn options(&self) -> OpenOptions {
        let columns = self.columns.as_ref().and_then(|columns| columns.parse().ok());
        OpenOptions { kind: Some(self.kind), columns, split: self.split.clone() }
    }
}

/// Checks that no two sets have the same name, for their figures would have, too. A reranking set
/// and a similarity set may both have none.
pub(super) fn check_names<'a>(sets: impl Iterator<Item = &'a EvalSet> + Clone) -> Result<(), Failure> {
    for (index, set) in sets.clone().enumerate() {
        let same = |other: &EvalSet| other.name == set.name && (!set.name.is_empty() || other.kind == set.kind);
        if sets.clone().take(index).any(same) {
            let given = set.path.display();
            let flag = flag(set.kind);
            let name = if set.name.is_empty() { "no name" } else { &set.name };
            return Err(Failure::Usage(format!(
                "{flag} {given}: another set has {name}, too: write {flag} NAME={given}, with another name for each"
            )));
        }
    }
    Ok(())
}

/// A flag's value: a path, or a name and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    name: Option<String>,
    path: PathBuf,
}

impl FromStr for Value {
    type Err = String;

    /// `NAME=PATH`, unless there is a file of that name.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
            !name.is_empty() && name.chars().all(allowed)
        };
        let named = text.split_once('=').filter(|(name, _)| is_name(name) && !Path::new(text).exists());
        let (name, path) = match named {
            Some((name, path)) => (Some(name.to_owned()), path),
            None => (None, text),
        };
        if path.is_empty() {
            return Err("expected a path, or NAME=PATH".to_owned());
        }
        Ok(Self { name, path: PathBuf::from(path) })
    }
}

impl Args for EvalSetArgs {
    fn augment_args(command: Command) -> Command {
        SetKind::ALL
            .iter()
            .fold(command, |command, &kind| {
                let arg = Arg::new(id(kind)).long(id(kind)).value_name("[NAME=]PATH").action(ArgAction::Append);
                command.arg(arg.value_parser(Value::from_str).help(help(kind)))
            })
            .arg(
                Arg::new(COLUMNS)
                    .long(COLUMNS)
                    .value_name("SCORE,A,B")
                    .requires(id(SetKind::Sts))
                    .value_parser(|text: &str| text.parse::<ColumnList>().map(|_| text.to_owned()))
                    .help("Columns of --eval-sts that hold the score and the two sentences, as in `simcse eval sts`"),
            )
            .arg(
                Arg::new(SPLIT)
                    .long(SPLIT)
                    .value_name("NAME")
                    .requires(id(SetKind::Sts))
                    .help("Split of --eval-sts to score, as in `simcse eval sts`"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for EvalSetArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let of_kind = |&kind: &SetKind| {
            let option = |id| matches.get_one::<String>(id).filter(|_| kind == SetKind::Sts).cloned();
            let columns = option(COLUMNS);
            let split = option(SPLIT);
            let values = matches.get_many::<Value>(id(kind)).into_iter().flatten().cloned();
            values.map(move |Value { name, path }| EvalSet {
                kind,
                name: name.unwrap_or(default_name(kind)),
                path,
                columns: columns.clone(),
                split: split.clone(),
            })
        };
        self.0 = SetKind::ALL.iter().flat_map(of_kind).collect();
        Ok(())
    }
}

/// The flag's name without hyphens in front.
fn id(kind: SetKind) -> &'static str {
    match kind {
        SetKind::Rerank => "eval-rerank",
        SetKind::Sts => "eval-sts",
        SetKind::Pairs => "eval-pairs",
        SetKind::Triplets => "eval-triplets",
        SetKind::Retrieval => "eval-retrieval",
        SetKind::Labels => "eval-labels",
    }
}

fn flag(kind: SetKind) -> String {
    format!("--{}", id(kind))
}

/// The name of a set that is given without one. Figures of reranking and of similarity have names
/// that differ, so they need none.
fn default_name(kind: SetKind) -> String {
    match kind {
        SetKind::Rerank | SetKind::Sts => String::new(),
        kind => kind.name().to_owned(),
    }
}

fn help(kind: SetKind) -> &'static str {
    match kind {
        SetKind::Rerank => {
            "Score this reranking set before, during and after training: a .jsonl file of {\"query\", \"positive\", \
             \"negative\"}, or a directory like github.com/taolei87/askubuntu. This flag and those of the other kinds \
             may be given several times; NAME goes into the names of the figures"
        }
        SetKind::Sts => "Score this set of semantic textual similarity: pairs of sentences with a score",
        SetKind::Pairs => "Score these pairs of texts that belong together: how well one finds the other",
        SetKind::Triplets => "Score these triplets of anchor, positive and negative",
        SetKind::Retrieval => "Search this directory in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/",
        SetKind::Labels => "Score these texts with labels: how often the nearest neighbors have the same one",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        text.parse().unwrap()
    }

    #[test]
    fn a_value_may_have_a_name() {
        let named = |name: &str, path: &str| Value { name: Some(name.to_owned()), path: path.into() };
        assert_eq!(value("android=data/android"), named("android", "data/android"));
        assert_eq!(value("a-1=b=c"), named("a-1", "b=c"));
        for path in ["data/dev.jsonl", "a/b=c", "A=b", "=b"] {
            assert_eq!(value(path), Value { name: None, path: path.into() });
        }
        assert!("name=".parse::<Value>().is_err() && "".parse::<Value>().is_err());

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x=y");
        std::fs::write(&file, "").unwrap();
        let text = file.to_str().unwrap();
        assert_eq!(value(text), Value { name: None, path: file.clone() });
    }

    #[test]
    fn names_differ() {
        let set = |kind, name: &str| EvalSet { name: name.to_owned(), ..EvalSet::unnamed(kind, Path::new("dev")) };
        let unnamed = set(SetKind::Rerank, "");
        assert!(check_names([unnamed.clone(), set(SetKind::Rerank, "other")].iter()).is_ok());
        assert!(check_names([unnamed.clone(), set(SetKind::Sts, "")].iter()).is_ok());
        assert!(check_names([unnamed.clone(), unnamed].iter()).is_err());
        assert!(check_names([set(SetKind::Sts, "a"), set(SetKind::Rerank, "a")].iter()).is_err());
        assert_eq!(set(SetKind::Retrieval, "android").prefix(), "eval_android");
        assert_eq!(set(SetKind::Retrieval, "android").flag(), "--eval-retrieval android");
    }
}
