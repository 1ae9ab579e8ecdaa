//! `simcse eval compare`: is one model better than another, and how sure is that?

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};
use simcse_eval::sets::{OpenOptions, open};
use simcse_eval::statistics::{Change, Difference, changes, differences};
use simcse_eval::{ColumnList, EvaluationSet, Scores, SetKind};
use simcse_model::io::excerpt;

use crate::args::{JsonArgs, ModelArgs, PromptArgs, named};
use crate::commands::eval::judge::{score, warn};
use crate::error::Failure;
use crate::figures::{difference_json, difference_line, figure_table};
use crate::inputs::{load_to_encode, set_path};
use crate::report;

/// The longest piece of a text that is listed, in characters.
const SHOWN: usize = 70;

const HELP: &str = "\
Both models are scored on the same queries, pairs or texts. Each difference has the 95% interval \
of a paired bootstrap (1,000 resamples) and the p-value of a paired permutation test (10,000 \
permutations). A difference whose interval contains 0, or with p of 0.05 or more, is none that the data can show.

Examples:
  simcse eval compare --model output/my-model --against distilroberta-base --data dev.jsonl
  simcse eval compare --model output/m/checkpoint-500 --against output/m --data sts.csv";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The model to compare it with
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    against: String,
    /// An evaluation set of any kind: what the other commands of `simcse eval` read, also
    /// `askubuntu` and `senteval`
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// What kind of set it is: rerank, sts, pairs, triplets, retrieval or labels [default: the only
    /// one that it can be read as]
    #[arg(long, value_name = "KIND", value_parser = named::<SetKind>)]
    kind: Option<SetKind>,
    /// Columns to read from a table, in the order of the kind's fields
    #[arg(long, value_name = "A,B…", value_parser = str::parse::<ColumnList>)]
    columns: Option<ColumnList>,
    /// Split to score
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// List at most this many queries, pairs or texts that got better, and as many that got worse
    #[arg(long, value_name = "N", default_value_t = 5)]
    show: usize,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn compare(args: &CompareArgs) -> Result<(), Failure> {
    let options = OpenOptions { kind: args.kind, columns: args.columns.clone(), split: args.split.clone() };
    let set = open(set_path(&args.data)?, &options)?;
    let scores_of = |name: &str| {
        let scores = score(&*set, &load_to_encode(name, args.model.precision.get())?, &args.prompt)?;
        warn(&scores);
        Ok::<_, Failure>(scores)
    };
    let model = scores_of(&args.model.model)?;
    let against = scores_of(&args.against)?;
    let comparison = Comparison {
        set: &*set,
        differences: differences(&model, &against),
        changes: changes(&model, &against),
        model,
        against,
        show: args.show,
    };
    if args.json.json { report::print_json(&comparison.json()) } else { report::print(&comparison.text()) }
}

struct Comparison<'a> {
    set: &'a dyn EvaluationSet,
    model: Scores,
    against: Scores,
    differences: Vec<Difference>,
    changes: Vec<Change>,
    /// How many changes of each direction to list.
    show: usize,
}

impl Comparison<'_> {
    fn better(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.gain() > 0.0)
    }

    fn worse(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.gain() < 0.0)
    }

    fn json(&self) -> Map<String, Value> {
        let listed = |change: &Change| {
            let Change { entry, model, against } = *change;
            json!({ "texts": self.set.entry(entry), "model": model, "against": against })
        };
        let mut against = self.against.to_json();
        against.shift_remove(self.against.unit.key());
        let mut object = self.model.to_json();
        object.insert("left_out".to_owned(), self.set.left_out().to_json().into());
        object.insert("against".to_owned(), against.into());
        object.insert("difference".to_owned(), difference_json(&self.differences).into());
        object.insert("better".to_owned(), self.better().count().into());
        object.insert("worse".to_owned(), self.worse().count().into());
        object.insert("got_better".to_owned(), self.better().take(self.show).map(listed).collect());
        object.insert("got_worse".to_owned(), self.worse().take(self.show).map(listed).collect());
        object
    }

    fn text(&self) -> String {
        let Self { model, against, .. } = self;
        let mut text = format!(
            "{} scored\n\n{}\n\ndifference [95% interval]\n",
            model.unit.counted(model.count),
            figure_table(&[("model", model), ("against", against)])
        );
        let width = self.differences.iter().map(|difference| difference.label.chars().count()).max().unwrap_or(0);
        for difference in &self.differences {
            text += &format!("{:width$}  {}\n", difference.label, difference_line(difference, model));
        }
        if model.main().sample.entries().is_some() {
            let [better, worse] = [self.better().count(), self.worse().count()];
            text += &format!("\n{} of {}: {better} better, {worse} worse\n", model.unit.key(), model.count);
            text += &self.listed("better", self.better());
            text += &self.listed("worse", self.worse());
        }
        text.trim_end().to_owned()
    }

    fn listed<'c>(&self, direction: &str, changes: impl Iterator<Item = &'c Change>) -> String {
        let line = |change: &Change| {
            let texts = self.set.entry(change.entry);
            let texts: Vec<_> = texts.iter().map(|text| excerpt(text, SHOWN)).collect();
            format!("  {:.4} → {:.4}  {}\n", change.against, change.model, texts.join(" | "))
        };
        let lines: String = changes.take(self.show).map(line).collect();
        if lines.is_empty() { lines } else { format!("{direction} (against → model):\n{lines}") }
    }
}
