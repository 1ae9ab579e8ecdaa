//! The arguments of `simcse train`.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PathBufValueParser};
use simcse_model::io::is_standard_input;
use simcse_model::{Named, Prompts};
use simcse_train::{Inputs, Settings};

use crate::args::{ConfigArgs, JsonArgs, named, size};
use crate::commands::train::eval_sets::EvalSetArgs;
use crate::ranks::RankArgs;
use crate::setting_args::{OfTraining, SettingArgs};

const HELP: &str = "\
Every sentence is encoded twice under dropout; its two embeddings are pulled together and pushed away
from those of the other sentences in the batch (SimCSE, Gao et al. 2021). A table with columns such as
anchor and positive, or sent0, sent1 and hard_neg, trains on its pairs or triplets instead.
sentence-transformers can load the output directory.

Without SENTENCES, --data and --model, a small model with random weights is trained on sentences
embedded in the binary, in about half a minute, and scored before and after.

Examples:
  simcse train
  simcse train titles.txt --model distilroberta-base --output-dir output/my-model
  simcse train --data askubuntu --model distilroberta-base --recipe st-2021
  simcse train nli_triplets.csv --model bert-base-uncased --recipe princeton-sup-bert
  simcse train titles.txt --model path/to/bert --eval-rerank dev.jsonl --eval-steps 100
  simcse train --resume-from-checkpoint auto --output-dir output/my-model";

#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct TrainArgs {
    /// Text to train on: one sentence per line, UTF-8, plain or .gz, or a table of sentences, pairs
    /// or triplets: .csv, .tsv or .jsonl; - is standard input. Several files, and those in a
    /// directory, are read in order as if they were one
    pub(crate) sentences: Vec<PathBuf>,
    /// Column of a table that holds the sentences, or columns, separated by commas, that hold the
    /// anchor, its positive and its hard negatives: each a name in the first line, a JSON key, or a
    /// number from 1 [default: anchor,positive,negative or sent0,sent1,hard_neg as far as there are
    /// such columns, or else the one named text, sentence, title or the like]
    #[arg(long, value_name = "COLUMN,…", requires = "sentences", value_delimiter = ',')]
    #[arg(value_parser = NonEmptyStringValueParser::new(), visible_alias = "text-columns")]
    pub(crate) text_column: Vec<String>,
    /// Train on the titles in a directory like github.com/taolei87/askubuntu, except for the
    /// questions of its development and test sets, and score on those sets; `askubuntu` stands for
    /// the directory that `simcse fetch askubuntu` downloads
    #[arg(long, value_name = "DIR", conflicts_with = "sentences")]
    pub(crate) data: Option<PathBuf>,
    /// Exclude the held-out questions of --data by `id`, or also all questions with the same `text`
    /// [default: text; with --recipe st-2021, id]
    #[arg(long, value_name = "KEY", requires = "data", value_parser = named::<ExcludeBy>)]
    pub(crate) exclude_by: Option<ExcludeBy>,
    /// The model to train: a Hugging Face or sentence-transformers directory, or a name on the hub
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,
    /// Directory for the model and its checkpoints [default: output/simcse-MODEL-TIME]
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Resume from a checkpoint directory or, with `auto`, from the newest complete one in
    /// --output-dir. Sentences, model and settings are the run's own; flags that are given must
    /// agree with them, except that --epochs and --max-steps may be raised, and --report-to may
    /// change
    #[arg(long, value_name = "DIR", value_parser = PathBufValueParser::new())]
    pub(crate) resume_from_checkpoint: Option<PathBuf>,
    /// Skip sentences of fewer than N characters, and pairs and triplets with such a text [default:
    /// 10 for sentences; otherwise 1, so that only those with an empty text are skipped]
    #[arg(long, value_name = "N")]
    pub(crate) min_length: Option<usize>,
    /// Use the model's prompt of this name (query, document, or a name in its
    /// config_sentence_transformers.json) as the --prompt
    #[arg(long, value_name = "NAME", conflicts_with = "prompt")]
    pub(crate) prompt_name: Option<String>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs<OfTraining>,
    /// Use at most this much memory, such as 3.5GB or 800MB. If batches would need more, they are
    /// encoded in pieces (see --mini-batch-tokens); if that is not enough, the run is refused, with
    /// the largest setting that fits [default: what is available]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory_limit: Option<u64>,
    #[command(flatten)]
    pub(crate) eval_sets: EvalSetArgs,
    /// Hold out N different sentences (of pairs and triplets, anchors), and score models on them
    /// without labels: alignment and uniformity, and how well a sentence is recognized under
    /// dropout and from a corrupted copy
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) hold_out: Option<u32>,
    /// Say what the run would do, and do not do it: every setting and where it comes from, steps,
    /// memory, what will be written, and the time, for which two steps are measured
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) ranks: RankArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

impl TrainArgs {
    /// The minimum length of a text in examples of `columns` texts, in characters.
    pub(super) fn min_length(&self, columns: usize) -> usize {
        self.min_length.unwrap_or(if columns == 1 { 10 } else { 1 })
    }

    /// Sets the prompt that is given by name, one of a model's `prompts`.
    pub(super) fn set_prompt(&self, settings: &mut Settings, prompts: &Prompts) -> simcse_model::Result<()> {
        if let Some(name) = &self.prompt_name {
            settings.prompt = prompts.resolve(None, Some(name))?.to_owned();
        }
        Ok(())
    }

    /// Where the inputs are, so that the run can be resumed from any working directory. Examples
    /// have `columns` texts.
    pub(super) fn inputs(&self, columns: usize) -> Inputs {
        Inputs {
            sentences: self.sentences.iter().map(|path| absolute_path(path)).collect(),
            text_columns: self.text_column.clone(),
            data: self.data.as_deref().map(absolute_path),
            min_length: self.min_length(columns),
            hold_out: self.hold_out.map(|count| count as usize),
            sets: self.eval_sets.0.iter().map(|set| set.input(absolute_path)).collect(),
        }
    }

    /// The directory of a new run. Unless one is given, it is `output/simcse-<model>-<seconds since
    /// 1970>`.
    pub(super) fn output(&self) -> PathBuf {
        if let Some(output) = &self.output_dir {
            return output.clone();
        }
        let model = Path::new(self.model.as_deref().unwrap_or("default"));
        let name = model.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        PathBuf::from(format!("output/simcse-{name}-{}", now.as_secs()))
    }
}

/// The absolute path. Names that are not paths (`-`, `askubuntu`) are unchanged.
fn absolute_path(path: &Path) -> String {
    let kept = is_standard_input(path) || !path.exists();
    let absolute = if kept { None } else { std::path::absolute(path).ok() };
    absolute.as_deref().unwrap_or(path).to_string_lossy().into_owned()
}

/// What identifies a held-out question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExcludeBy {
    /// Its id; other questions with the same title are trained on. As in the script of
    /// sentence-transformers 1.2.
    Id,
    /// Its title. As in `train_askubuntu_simcse.py` of sentence-transformers 6.2.
    Text,
}

impl Named for ExcludeBy {
    const ALL: &'static [Self] = &[Self::Id, Self::Text];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Text => "text",
        }
    }
}
