//! The figures of a sweep: one row for runs that differ in the seed alone.

use serde_json::{Map, Value as Json, json};
use toml::Table;

use crate::commands::sweep::plan::{Run, SEED, SweepFile, shown};

/// A figure of several runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) values: Vec<f64>,
}

impl Cell {
    pub(super) fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The standard deviation of a sample; `None` of a single value.
    pub(super) fn deviation(&self) -> Option<f64> {
        let mean = self.mean();
        let squares: f64 = self.values.iter().map(|value| (value - mean).powi(2)).sum();
        (self.values.len() > 1).then(|| (squares / (self.values.len() - 1) as f64).sqrt())
    }
}

/// A column of figures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    /// Its heading.
    pub(super) heading: String,
    /// The part of a run's results, and the name there.
    part: &'static str,
    name: String,
}

/// Runs that differ in the seed alone.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The values of [`Results::keys`]; empty if there is none.
    pub(super) labels: Vec<String>,
    /// How many of the runs are done, and how many there are.
    pub(super) done: usize,
    pub(super) runs: usize,
    /// In the order of the columns.
    pub(super) cells: Vec<Option<Cell>>,
    pub(super) published: Option<f64>,
}

/// The figures of a sweep.
#[derive(Clone, Debug)]
pub(super) struct Results {
    /// The flags that vary, except for the seed.
    pub(super) keys: Vec<String>,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// The heading of the published figures.
    pub(super) published: Option<String>,
}

impl Results {
    /// The figures of runs, each with what it printed if it is done.
    pub(super) fn of(runs: &[(&Run, Option<Json>)], file: &SweepFile) -> Self {
        let mut keys: Vec<String> = Vec::new();
        for key in runs.iter().flat_map(|(run, _)| run.varied.keys()).filter(|key| *key != SEED) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        let columns = columns(runs.iter().find_map(|(_, results)| results.as_ref()), &file.figures);
        let mut groups: Vec<Table> = Vec::new();
        for (run, _) in runs {
            if !groups.contains(&run.group()) {
                groups.push(run.group());
            }
        }
        let published: Vec<_> = file.published.iter().flat_map(|published| published.values()).collect();
        let value_of = |group: &Table| published.iter().find(|(flags, _)| flags == group).map(|(_, value)| *value);
        let labels = |group: &Table| keys.iter().map(|key| group.get(key).map_or(String::new(), shown)).collect();
        let mut rows: Vec<Row> =
            groups.iter().map(|group| row(runs, group, labels(group), &columns, value_of(group))).collect();
        // What others have published without a run of our own.
        for (flags, value) in published.iter().filter(|(flags, _)| !groups.contains(flags)) {
            let cells = vec![None; columns.len()];
            rows.push(Row { labels: labels(flags), done: 0, runs: 0, cells, published: Some(*value) });
        }
        let heading = file.published.as_ref().map(|published| format!("{} ({})", published.figure, published.source));
        Self { keys, columns, rows, published: heading }
    }

    pub(super) fn json(&self) -> Json {
        let row = |row: &Row| {
            let mut object: Map<String, Json> =
                self.keys.iter().cloned().zip(row.labels.iter().map(|label| label.clone().into())).collect();
            object.insert("runs".to_owned(), row.done.into());
            for (column, cell) in self.columns.iter().zip(&row.cells) {
                let cell = cell
                    .as_ref()
                    .map(|cell| json!({ "mean": cell.mean(), "deviation": cell.deviation(), "values": cell.values }));
                object.insert(column.heading.clone(), json!(cell));
            }
            object.insert("published".to_owned(), json!(row.published));
            Json::Object(object)
        };
        json!({ "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

/// The columns: each figure before and after training, and that of the test set; by default, the
/// first figure of the development sets and the first of the test set.
fn columns(results: Option<&Json>, figures: &[String]) -> Vec<Column> {
    let first = |part: &str| {
        let figures = results.and_then(|results| results[part].as_object());
        figures.and_then(|figures| figures.keys().find(|name| !name.ends_with("_interval")).cloned())
    };
    let chosen = match figures {
        [] => ["after", "test"].into_iter().filter_map(first).collect(),
        figures => figures.to_vec(),
    };
    let mut columns = Vec::new();
    for name in chosen {
        if name.starts_with("test_") {
            columns.push(Column { heading: name.clone(), part: "test", name });
            continue;
        }
        columns.push(Column { heading: format!("{name} before"), part: "before", name: name.clone() });
        columns.push(Column { heading: name.clone(), part: "after", name });
    }
    columns
}

fn row(
    runs: &[(&Run, Option<Json>)],
    group: &Table,
    labels: Vec<String>,
    columns: &[Column],
    published: Option<f64>,
) -> Row {
    let of_group: Vec<_> = runs.iter().filter(|(run, _)| run.group() == *group).collect();
    let cell = |column: &Column| {
        let results = of_group.iter().filter_map(|(_, results)| results.as_ref());
        let values: Vec<f64> = results.filter_map(|results| results[column.part][&column.name].as_f64()).collect();
        (!values.is_empty()).then_some(Cell { values })
    };
    let done = of_group.iter().filter(|(_, results)| results.is_some()).count();
    Row { labels, done, runs: of_group.len(), cells: columns.iter().map(cell).collect(), published }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sweep::table::{csv, markdown};

    const FILE: &str = "
        vary.batch_size = [64, 128]
        vary.seed = [1, 2]
        [published]
        figure = \"test_map\"
        source = \"them\"
        values = [{ batch_size = 64, value = 0.25 }, { batch_size = 512, value = 0.75 }]
    ";

    fn results() -> Results {
        let file: SweepFile = toml::from_str(FILE).unwrap();
        let runs = file.runs("s.toml").unwrap();
        let outcome = |map: f64, test: f64| {
            json!({
                "before": {"eval_map": 0.5, "eval_mrr": 0.1},
                "after": {"eval_map": map, "eval_map_interval": [0, 1]},
                "test": {"test_map": test},
            })
        };
        let done = [Some(outcome(0.5, 0.25)), Some(outcome(0.75, 0.75)), Some(outcome(0.125, 0.5)), None];
        Results::of(&runs.iter().zip(done).collect::<Vec<_>>(), &file)
    }

    #[test]
    fn runs_of_other_seeds_are_one_row() {
        let expected = "\
| batch_size | runs | eval_map before | eval_map | test_map | test_map (them) |
|---|---|---|---|---|---|
| 64 | 2 | 0.5000 ± 0.0000 | 0.6250 ± 0.1768 | 0.5000 ± 0.3536 | 0.2500 |
| 128 | 1 of 2 | 0.5000 | 0.1250 | 0.5000 | – |
| 512 | 0 | – | – | – | 0.7500 |";
        assert_eq!(markdown(&results()), expected);
    }

    #[test]
    fn the_table_of_numbers_has_means_and_deviations() {
        let expected = "\
batch_size,runs,eval_map before,eval_map before sd,eval_map,eval_map sd,test_map,test_map sd,test_map (them)
64,2,0.5,0,0.625,0.1767766952966369,0.5,0.3535533905932738,0.25
128,1,0.5,,0.125,,0.5,,
512,0,,,,,,,0.75
";
        assert_eq!(csv(&results()).unwrap(), expected);
    }

    #[test]
    fn the_picture_has_every_row() {
        let svg = crate::commands::sweep::picture::svg(&results());
        for label in ["64", "128", "512", "test_map"] {
            assert!(svg.contains(label), "{label} in {svg}");
        }
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }
}
