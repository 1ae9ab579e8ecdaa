//! What a sweep runs: the combinations of the values in its file.
//!
//! This file knows the format of that file. It must not know processes.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use crate::error::Failure;

/// The key whose values are repetitions of the same run.
pub(super) const SEED: &str = "seed";
/// The most runs of a sweep.
const MOST: usize = 10_000;

/// The file of a sweep.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SweepFile {
    /// What all runs have: flags of `simcse train`.
    #[serde(default)]
    settings: Table,
    /// The values that are combined, by flag; or tables of flags that go together, under any name.
    vary: Table,
    /// The figures of the table, such as `eval_map`; by default, the first one of each kind.
    #[serde(default)]
    pub(super) figures: Vec<String>,
    pub(super) published: Option<Published>,
}

/// Figures from elsewhere, to stand beside those of the sweep.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Published {
    /// The figure that they compare with.
    pub(super) figure: String,
    /// Who published them.
    pub(super) source: String,
    /// Flags, and the figure under `value`.
    values: Vec<Table>,
}

impl Published {
    /// Each value with the flags that it belongs to.
    pub(super) fn values(&self) -> impl Iterator<Item = (Table, f64)> {
        self.values.iter().filter_map(|entry| {
            let mut flags = entry.clone();
            let value = flags.remove("value")?;
            Some((flags, value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?))
        })
    }
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// The name of its directory.
    pub(super) name: String,
    /// What distinguishes it from the others.
    pub(super) varied: Table,
    /// Everything that it is given, as a file for `--config`.
    pub(super) arguments: Table,
}

impl Run {
    /// What distinguishes it from the others, apart from the seed.
    pub(super) fn group(&self) -> Table {
        self.varied.iter().filter(|(key, _)| *key != SEED).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl SweepFile {
    /// The runs, in the order in which they are done: the last flag of `[vary]` changes fastest.
    ///
    /// # Errors
    /// If there is nothing to vary, or too much, or two runs would be the same.
    pub(super) fn runs(&self, file: &str) -> Result<Vec<Run>, Failure> {
        let failed = |what: String| Failure::Failed(format!("{file}: {what}"));
        let mut combined = vec![Table::new()];
        for (key, values) in &self.vary {
            let values = values.as_array().filter(|values| !values.is_empty());
            let values = values.ok_or_else(|| failed(format!("vary.{key}: expected a list of values")))?;
            if combined.len().saturating_mul(values.len()) > MOST {
                return Err(failed(format!("expected at most {MOST} runs")));
            }
            let with = |base: &Table, value: &Value| {
                let mut run = base.clone();
                match value {
                    Value::Table(flags) => run.extend(flags.clone()),
                    value => run.extend([(key.clone(), value.clone())]),
                }
                run
            };
            combined = combined.iter().flat_map(|base| values.iter().map(|value| with(base, value))).collect();
        }
        let mut names = HashSet::new();
        let run = |varied: Table| {
            let name = name_of(&varied);
            if !names.insert(name.clone()) {
                return Err(failed(format!("two runs would be called {name}: expected different values")));
            }
            let mut arguments = self.settings.clone();
            arguments.extend(varied.clone());
            if arguments.contains_key("output_dir") || arguments.contains_key("output-dir") {
                return Err(failed("output_dir: each run has its own, below that of the sweep".to_owned()));
            }
            Ok(Run { name, varied, arguments })
        };
        combined.into_iter().map(run).collect()
    }
}

/// A value as tables show it: of a path, its last part.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let name = Path::new(text).file_name().map(|name| name.to_string_lossy().into_owned());
            name.unwrap_or_else(|| text.clone())
        }
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// The name of a run's directory: `batch_size-128_seed-1`.
fn name_of(varied: &Table) -> String {
    let plain = |text: String| -> String {
        text.chars().map(|c| if c.is_alphanumeric() || "-.+".contains(c) { c } else { '-' }).collect()
    };
    let parts = varied.iter().map(|(key, value)| format!("{}-{}", key.replace('-', "_"), plain(shown(value))));
    let name: String = parts.collect::<Vec<_>>().join("_");
    name.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> Result<Vec<Run>, Failure> {
        toml::from_str::<SweepFile>(text).unwrap().runs("s.toml")
    }

    fn names(text: &str) -> Vec<String> {
        runs(text).unwrap().into_iter().map(|run| run.name).collect()
    }

    #[test]
    fn all_combinations_are_run() {
        let found = names("settings.epochs = 2\nvary.model = [\"a/b\", \"c\"]\nvary.seed = [1, 2]");
        assert_eq!(found, ["model-b_seed-1", "model-b_seed-2", "model-c_seed-1", "model-c_seed-2"]);
        let all = runs("settings.epochs = 2\nvary.epochs = [1, 3]").unwrap();
        assert_eq!(all[1].arguments, "epochs = 3".parse().unwrap());
    }

    #[test]
    fn flags_can_vary_together() {
        let found =
            names("[vary]\nsize = [{batch_size = 64, learning_rate = 1e-5}, {batch_size = 512, learning_rate = 3e-5}]");
        assert_eq!(found, ["batch_size-64_learning_rate-0.00001", "batch_size-512_learning_rate-0.00003"]);
    }

    #[test]
    fn runs_that_cannot_be_told_apart_are_refused() {
        for (text, expected) in [
            ("vary.seed = [1, 1]", "s.toml: two runs would be called seed-1: expected different values"),
            ("vary.model = [\"a/m\", \"b/m\"]", "s.toml: two runs would be called model-m: expected different values"),
            ("vary.seed = 1", "s.toml: vary.seed: expected a list of values"),
            ("vary.seed = []", "s.toml: vary.seed: expected a list of values"),
            ("vary.output_dir = [\"a\"]", "s.toml: output_dir: each run has its own, below that of the sweep"),
        ] {
            let Err(Failure::Failed(message)) = runs(text) else { panic!("{text}") };
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn presets_are_sweeps() {
        for (name, text) in super::super::PRESETS {
            let file: SweepFile = toml::from_str(text).unwrap();
            let runs = file.runs(name).unwrap();
            let published = file.published.unwrap();
            assert!(runs.len() >= 9, "{name}");
            // Every published figure has its runs.
            for (flags, value) in published.values() {
                assert!((0.5..0.6).contains(&value), "{name}");
                assert_eq!(runs.iter().filter(|run| run.group() == flags).count(), 3, "{name}");
            }
        }
    }
}
