//! `simcse pretrain`: masked language modeling, from a model or from nothing.
//!
//! A run of this command is a run of `simcse train` with another objective: this file translates
//! its arguments, and makes the model that does not exist yet.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PathBufValueParser};
use simcse_model::{ModelDirectory, ModelSize, Named, Pooling, SentenceEncoder, Tokenizer, TokenizerKind};
use simcse_train::{Examples, Settings};

use crate::args::{ConfigArgs, JsonArgs, named, size};
use crate::commands::train::{self, EvalSetArgs, NewModel, TrainArgs};
use crate::error::Failure;
use crate::origins::Origins;
use crate::ranks::RankArgs;
use crate::setting_args::{OfPretraining, SettingArgs};

const HELP: &str = "\
Trains a language model by masked language modeling (BERT, Devlin et al. 2019): 15% of the tokens are
masked, and the model learns to predict them from what is left. Do this before `simcse train`: with
--model, so that a pretrained model knows the words of your field; without it, where there is no model
for your language or field at all. Then a tokenizer is trained on the sentences first, and the model
starts from random weights.

sentence-transformers can load the output directory. The head that predicts tokens is kept next to it
(mlm_head.safetensors), so that `simcse pretrain --model` can continue from there.

Examples:
  simcse pretrain sentences.txt.gz --output-dir output/base
  simcse train sentences.txt.gz --model output/base --output-dir output/search
  simcse pretrain tickets.txt --model distilroberta-base --hold-out 500 --eval-steps 200
  simcse pretrain --resume-from-checkpoint auto --output-dir output/base";

#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct PretrainArgs {
    /// Text to train on, as in `train`: one sentence per line, plain or .gz, or tables; several
    /// files or directories of them
    #[arg(required_unless_present = "resume_from_checkpoint")]
    sentences: Vec<PathBuf>,
    /// Column of a table that holds the sentences: a name in the first line, a JSON key, or a
    /// number from 1
    #[arg(long, value_name = "COLUMN", requires = "sentences", value_parser = NonEmptyStringValueParser::new())]
    text_column: Option<String>,
    /// The model to continue from: a Hugging Face or sentence-transformers directory, or a name on
    /// the hub [default: a new one]
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// Size of a new model: tiny (2 layers, 128 wide), mini (4, 256), small (4, 512), medium (8,
    /// 512) or base (12, 768) [default: mini]
    #[arg(long, value_name = "SIZE", conflicts_with = "model", value_parser = named::<ModelSize>)]
    size: Option<ModelSize>,
    /// Tokens in the vocabulary of a new model, at most [default: 16000]
    #[arg(long, value_name = "N", conflicts_with = "model", value_parser = clap::value_parser!(u32).range(300..=500_000))]
    vocab_size: Option<u32>,
    /// Tokenizer of a new model: bpe, byte pairs, for any language; or wordpiece, parts of words,
    /// as in BERT. Both are trained on the sentences, in lower case [default: bpe]
    #[arg(long, value_name = "KIND", conflicts_with = "model", value_parser = named::<TokenizerKind>)]
    tokenizer: Option<TokenizerKind>,
    /// Directory for the model and its checkpoints [default: output/simcse-MODEL-TIME]
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Resume from a checkpoint directory or, with `auto`, from the newest complete one in
    /// --output-dir, as in `train`
    #[arg(long, value_name = "DIR", value_parser = PathBufValueParser::new())]
    resume_from_checkpoint: Option<PathBuf>,
    /// Skip sentences of fewer than N characters [default: 10]
    #[arg(long, value_name = "N")]
    min_length: Option<usize>,
    #[command(flatten)]
    settings: SettingArgs<OfPretraining>,
    /// Use at most this much memory, such as 3.5GB or 800MB, as in `train` [default: what is
    /// available]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory_limit: Option<u64>,
    #[command(flatten)]
    eval_sets: EvalSetArgs,
    /// Hold out N different sentences, and score models on them without labels: how well masked
    /// tokens are predicted, and what `train --hold-out` reports
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    hold_out: Option<u32>,
    /// Say what the run would do, and do not do it: every setting and where it comes from, steps,
    /// memory, what will be written, and the time, for which two steps are measured
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    ranks: RankArgs,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: PretrainArgs, origins: &Origins) -> Result<(), Failure> {
    let new = Blueprint {
        size: args.size.unwrap_or(ModelSize::Mini),
        vocab_size: args.vocab_size.unwrap_or(16_000) as usize,
        tokenizer: args.tokenizer.unwrap_or(TokenizerKind::Bpe),
    };
    let args = TrainArgs {
        sentences: args.sentences,
        text_column: args.text_column.into_iter().collect(),
        data: None,
        exclude_by: None,
        model: args.model,
        output_dir: args.output_dir,
        resume_from_checkpoint: args.resume_from_checkpoint,
        min_length: args.min_length,
        prompt_name: None,
        settings: args.settings.of_training(),
        memory_limit: args.memory_limit,
        eval_sets: args.eval_sets,
        hold_out: args.hold_out,
        dry_run: args.dry_run,
        ranks: args.ranks,
        config: args.config,
        json: args.json,
    };
    train::run_pretraining(args, origins, &new)
}

/// A model that does not exist yet.
struct Blueprint {
    size: ModelSize,
    vocab_size: usize,
    tokenizer: TokenizerKind,
}

impl NewModel for Blueprint {
    fn name(&self) -> String {
        format!("a new model of size {}", self.size.name())
    }

    fn settings(&self) -> Settings {
        Settings::for_pretraining(None)
    }

    /// A BERT with random weights, and a tokenizer trained on the examples.
    fn build(&self, examples: &Examples, settings: &Settings) -> Result<SentenceEncoder, Failure> {
        let texts: Vec<_> = examples.texts().collect();
        let tokenizer = Tokenizer::train(self.tokenizer, &texts, self.vocab_size)?;
        let config = self.size.config(tokenizer.max_id() as usize + 1, settings.max_seq_length);
        let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, settings.max_seq_length)?;
        Ok(SentenceEncoder::random(directory, settings.seed))
    }
}
