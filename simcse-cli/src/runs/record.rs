//! `run.toml`, as names and texts.

use std::io::ErrorKind;
use std::path::Path;

use toml::{Table, Value};

use crate::error::Failure;

/// The name of the file in a run's directory.
pub(super) const RECORD: &str = "run.toml";

/// What a run was made of. A record of another version is read as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Record(Table);

impl Record {
    /// Reads the record in `output`; nothing if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is not TOML.
    pub(crate) fn read(output: &Path) -> Result<Self, Failure> {
        let path = output.join(RECORD);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?,
        };
        let table = text.parse().map_err(|error: toml::de::Error| {
            let found = error.message().trim_end();
            Failure::Failed(format!("{}: expected the record of a run, found invalid TOML: {found}", path.display()))
        });
        table.map(Self)
    }

    /// Whether it says what a run was made of.
    pub(super) fn is_of_a_run(&self) -> bool {
        self.table("settings").is_some()
    }

    /// Steps of the whole run, if it says so.
    pub(super) fn total_steps(&self) -> Option<u64> {
        let recorded = self.0.get("total_steps").and_then(Value::as_integer).filter(|&steps| steps > 0);
        let set = || self.table("settings")?.get("max_steps")?.as_integer();
        recorded.or_else(set).and_then(|steps| u64::try_from(steps).ok())
    }

    /// What was chosen for the run, in order: the model, what it was trained on, and all settings.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let of = |section: &str, name: &str| Some(shown(self.table(section)?.get(name)?));
        let chosen = [
            ("model", of("model", "name")),
            ("sentences", of("data", "name")),
            ("text_columns", of("inputs", "text_columns")),
            ("min_length", of("inputs", "min_length")),
            ("hold_out", of("inputs", "hold_out")),
        ];
        let chosen = chosen.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
        let settings = self.table("settings").into_iter().flatten();
        chosen.chain(settings.map(|(name, value)| (name.clone(), shown(value)))).collect()
    }

    /// The value of a setting, as text.
    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        self.settings().into_iter().find_map(|(found, text)| (found == name).then_some(text))
    }

    /// What identifies the development and test sets, and what is held out.
    pub(crate) fn evaluation(&self) -> [Option<&Value>; 2] {
        let held_out = || self.table("inputs")?.get("hold_out").and(self.table("data")?.get("sha256"));
        [self.0.get("evaluation"), held_out()]
    }

    /// Everything, section by section: names and texts.
    pub(crate) fn sections(&self) -> Vec<(String, Vec<(String, String)>)> {
        let mut sections = Vec::new();
        add_section("run", &self.0, &mut sections);
        sections
    }

    fn table(&self, name: &str) -> Option<&Table> {
        self.0.get(name)?.as_table()
    }
}

fn add_section(title: &str, table: &Table, sections: &mut Vec<(String, Vec<(String, String)>)>) {
    let tables = |value: &Value| -> Vec<Table> {
        match value {
            Value::Table(table) => vec![table.clone()],
            Value::Array(values) => values.iter().filter_map(Value::as_table).cloned().collect(),
            _ => Vec::new(),
        }
    };
    let plain = table.iter().filter(|(_, value)| tables(value).is_empty() && !value.is_table());
    let rows: Vec<_> = plain.map(|(name, value)| (name.clone(), shown(value))).collect();
    if !rows.is_empty() {
        sections.push((title.to_owned(), rows));
    }
    for (name, value) in table {
        let title = if title == "run" { name.clone() } else { format!("{title}.{name}") };
        tables(value).iter().for_each(|table| add_section(&title, table, sections));
    }
}

/// A value as flags have it: texts without quotes, lists with commas.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => {
            let text = format!("{number:?}");
            text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
        }
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "id = \"7\"\n[model]\nname = \"bert = [a]\"\n[data]\nname = \"in.txt\"\nsha256 = \"x\"\n\
                        [[evaluation.sets]]\nflag = \"--eval-sts\"\n[[evaluation.sets]]\nflag = \"--eval-rerank\"\n\
                        [settings]\nscale = 20.0\nadam_epsilon = 0.00000001\ndirections = [\"a\", \"b\"]\n\
                        prompt = \"\"\"two\nlines = here\"\"\"\nmax_steps = 9\n";

    #[test]
    fn a_record_is_read_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Record::read(dir.path()).unwrap().sections().is_empty());
        std::fs::write(dir.path().join(RECORD), TEXT).unwrap();
        let record = Record::read(dir.path()).unwrap();
        let titles: Vec<_> = record.sections().into_iter().map(|(title, _)| title).collect();
        assert_eq!(titles, ["run", "model", "data", "evaluation.sets", "evaluation.sets", "settings"]);
        let settings = record.settings();
        let settings: Vec<_> = settings.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(
            settings,
            [
                ("model", "bert = [a]"),
                ("sentences", "in.txt"),
                ("scale", "20"),
                ("adam_epsilon", "1e-8"),
                ("directions", "a,b"),
                ("prompt", "two\nlines = here"),
                ("max_steps", "9"),
            ]
        );
        assert_eq!((record.total_steps(), record.setting("scale").as_deref()), (Some(9), Some("20")));
        std::fs::write(dir.path().join(RECORD), "[settings\n").unwrap();
        let Err(Failure::Failed(message)) = Record::read(dir.path()) else { panic!("expected an error") };
        assert!(message.contains("run.toml: expected the record of a run, found invalid TOML: "), "{message}");
    }
}
