//! `simcse train`: resolves the settings, and watches and scores the run.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use simcse_eval::{Reranking, Split, Sts};
use simcse_model::{Pooling, SentenceEncoder};
use simcse_train::{
    BatchSampler, DataSource, Error, Evaluation, Host, ModelSource, Provenance, RunDirectory, Sentences, Settings,
    StepRecord, Summary,
};

use super::load;
use crate::args::JsonArgs;
use crate::error::Failure;
use crate::report::{self, counted};

const HELP: &str = "\
Every sentence is encoded twice under dropout; its two embeddings are pulled together and pushed from those of the other
sentences of the batch (SimCSE, Gao et al. 2021). The output directory is one that sentence-transformers loads.

Example:
  simcse train sentences.txt --model path/to/bert --output-dir output/my-model --eval-rerank dev.jsonl --eval-steps 100";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct TrainArgs {
    /// Text to train on, one sentence a line, UTF-8, plain or .gz; - is standard input
    sentences: PathBuf,
    /// The model to tune: a directory of Hugging Face or sentence-transformers
    #[arg(long, value_name = "DIR")]
    model: String,
    /// Where the model and its checkpoints go [default: output/simcse-<model>-<time>]
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Lines of fewer characters are skipped
    #[arg(long, value_name = "N", default_value_t = 10)]
    min_length: usize,
    #[command(flatten)]
    settings: SettingArgs,
    /// Score this reranking set before, while and after training: a .jsonl of {"query", "positive", "negative"}, or a
    /// directory like github.com/taolei87/askubuntu
    #[arg(long, value_name = "PATH")]
    eval_rerank: Option<PathBuf>,
    /// Score this semantic textual similarity set before, while and after training
    #[arg(long, value_name = "FILE")]
    eval_sts: Option<PathBuf>,
    #[command(flatten)]
    json: JsonArgs,
}

/// Settings that replace the defaults.
#[derive(Debug, Args)]
struct SettingArgs {
    /// Sentences in a batch; each is the others' negative [default: 128]
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Tokens at which a sentence is cut [default: 32]
    #[arg(long, value_name = "N")]
    max_seq_length: Option<usize>,
    /// Passes over the sentences [default: 1]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Steps of the run, instead of epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    max_steps: Option<u64>,
    /// How tokens become an embedding: mean, cls or max [default: the model's, or mean]
    #[arg(long, value_name = "MODE")]
    pooling: Option<Pooling>,
    /// Cosines are multiplied by this: the inverse of the temperature [default: 20]
    #[arg(long, value_name = "X")]
    scale: Option<f32>,
    /// AdamW's peak learning rate [default: 5e-5]
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// AdamW's weight decay; none on biases and LayerNorm [default: 0]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Share of the steps in which the learning rate rises from 0 [default: 0.1]
    #[arg(long, value_name = "X")]
    warmup_ratio: Option<f64>,
    /// Gradients longer than this are scaled down to it [default: 1]
    #[arg(long, value_name = "X")]
    max_grad_norm: Option<f64>,
    /// Dropout of everything but the attention probabilities [default: the model's]
    #[arg(long, value_name = "P")]
    hidden_dropout: Option<f32>,
    /// Dropout of the attention probabilities [default: the model's]
    #[arg(long, value_name = "P")]
    attention_dropout: Option<f32>,
    /// no-duplicates: equal sentences never meet in a batch; batch: as sentence-transformers' default
    /// [default: no-duplicates]
    #[arg(long, value_name = "NAME")]
    batch_sampler: Option<BatchSampler>,
    /// Seed of the order of the sentences and of dropout [default: 42]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Steps between checkpoints; there is one at the last step, too [default: 500]
    #[arg(long, value_name = "N")]
    save_steps: Option<u64>,
    /// Keep only so many checkpoints, the newest
    #[arg(long, value_name = "N")]
    save_total_limit: Option<usize>,
    /// Steps between evaluations while training
    #[arg(long, value_name = "N")]
    eval_steps: Option<u64>,
    /// Make the best evaluated model the final one
    #[arg(long)]
    load_best_model_at_end: bool,
}

impl SettingArgs {
    /// The defaults, or the model's own values, under the flags.
    fn resolve(&self, encoder: &SentenceEncoder) -> Settings {
        let defaults = Settings::default();
        let config = encoder.config();
        Settings {
            batch_size: self.batch_size.unwrap_or(defaults.batch_size),
            max_seq_length: self.max_seq_length.unwrap_or(defaults.max_seq_length),
            epochs: self.epochs.unwrap_or(defaults.epochs),
            max_steps: self.max_steps,
            pooling: self.pooling.unwrap_or(encoder.directory.pooling),
            scale: self.scale.unwrap_or(defaults.scale),
            learning_rate: self.learning_rate.unwrap_or(defaults.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(defaults.weight_decay),
            warmup_ratio: self.warmup_ratio.unwrap_or(defaults.warmup_ratio),
            max_grad_norm: self.max_grad_norm.unwrap_or(defaults.max_grad_norm),
            hidden_dropout: self.hidden_dropout.unwrap_or(config.hidden_dropout_prob),
            attention_dropout: self.attention_dropout.unwrap_or(config.attention_probs_dropout_prob),
            batch_sampler: self.batch_sampler.unwrap_or(defaults.batch_sampler),
            seed: self.seed.unwrap_or(defaults.seed),
            save_steps: self.save_steps.unwrap_or(defaults.save_steps),
            save_total_limit: self.save_total_limit,
            eval_steps: self.eval_steps,
            load_best_model_at_end: self.load_best_model_at_end,
        }
    }
}

pub(crate) fn run(args: TrainArgs) -> Result<(), Failure> {
    let output = args.output_dir.clone().unwrap_or_else(|| default_output(&args.model));
    RunDirectory::check_free(&output)?;
    let scorer = Scorer::read(args.eval_rerank.as_deref(), args.eval_sts.as_deref())?;
    if scorer.is_empty() && (args.settings.eval_steps.is_some() || args.settings.load_best_model_at_end) {
        let message = "--eval-steps and --load-best-model-at-end want a development set: --eval-rerank or --eval-sts";
        return Err(Failure::Usage(message.to_owned()));
    }
    let mut encoder = load(&args.model)?;
    let settings = args.settings.resolve(&encoder);
    settings.check()?;
    apply(&settings, &mut encoder)?;
    let sentences = Sentences::read(&args.sentences, args.min_length)?;
    let total_steps = simcse_train::total_steps(&settings, &sentences)?;

    report::note(&format!(
        "{}: {}, {} too short and skipped, {} equal to an earlier one",
        sentences.name(),
        counted(sentences.len(), "sentence", "sentences"),
        sentences.skipped(),
        sentences.duplicates()
    ));
    if encoder.directory.is_sentence_transformers {
        report::note(&format!(
            "warning: {} already is a sentence-embedding model; unsupervised SimCSE usually lowers such a model's scores",
            args.model
        ));
    }
    report::note(&format!(
        "{} of {} sentences, into {}",
        counted(total_steps as usize, "step", "steps"),
        settings.batch_size,
        output.display()
    ));

    let provenance = provenance(&args.model, &encoder, &sentences, settings.clone());
    let mut run = RunDirectory::create(&output, provenance)?;
    let mut host = Watcher { scorer, bar: report::steps_bar(total_steps) };
    let summary = simcse_train::train(&mut encoder, &sentences, &settings, &mut run, &mut host)?;
    host.bar.finish_and_clear();
    finish(&args, &output, &settings, &summary)
}

/// `output/simcse-<model>-<seconds since 1970>`.
fn default_output(model: &str) -> PathBuf {
    let name = Path::new(model).file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    PathBuf::from(format!("output/simcse-{name}-{}", now.as_secs()))
}

/// Gives the model what the settings say of it.
fn apply(settings: &Settings, encoder: &mut SentenceEncoder) -> Result<(), Failure> {
    let most = encoder.config().max_tokens();
    if settings.max_seq_length > most {
        let message =
            format!("--max-seq-length: expected at most {most} for this model, found {}", settings.max_seq_length);
        return Err(Failure::Failed(message));
    }
    encoder.directory.max_seq_length = settings.max_seq_length;
    encoder.directory.pooling = settings.pooling;
    Ok(())
}

fn provenance(model: &str, encoder: &SentenceEncoder, sentences: &Sentences, settings: Settings) -> Provenance {
    let mut digest = Sha256::new();
    for values in encoder.params.values().chunks(1 << 16) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(bytes);
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instruction_set: simcse_model::instruction_set().to_owned(),
        model: ModelSource { name: model.to_owned(), sha256: hex(&digest.finalize()) },
        data: DataSource {
            name: sentences.name().to_owned(),
            sentences: sentences.len(),
            skipped: sentences.skipped(),
            duplicates: sentences.duplicates(),
            sha256: sentences.sha256(),
        },
        settings,
    }
}

/// Tells what came out.
fn finish(args: &TrainArgs, output: &Path, settings: &Settings, summary: &Summary) -> Result<(), Failure> {
    let sentences_per_second = summary.steps as f64 * settings.batch_size as f64 / summary.train_seconds;
    let figures = |evaluation: &Option<Evaluation>| evaluation.as_ref().map(|e| e.figures.clone());
    if args.json.json {
        return report::print_json(&json!({
            "output_dir": output,
            "steps": summary.steps,
            "train_loss": summary.train_loss,
            "train_seconds": summary.train_seconds,
            "sentences_per_second": sentences_per_second,
            "best_step": summary.best_step,
            "before": figures(&summary.before),
            "after": figures(&summary.after),
        }));
    }
    let mut text = format!(
        "{} steps in {:.0} s ({sentences_per_second:.1} sentences/s), mean loss {:.4}\n",
        summary.steps, summary.train_seconds, summary.train_loss
    );
    if let (Some(before), Some(after)) = (&summary.before, &summary.after) {
        let figure = |map: &Map<String, Value>, name: &String| map.get(name).and_then(Value::as_f64);
        let names = after.figures.keys();
        let rows: Vec<_> = names
            .map(|name| {
                (name.trim_start_matches("eval_"), [figure(&before.figures, name), figure(&after.figures, name)])
            })
            .collect();
        text += &format!("\n{}\n\n", report::table(["before", "after"], &rows));
    }
    if let Some(step) = summary.best_step {
        text += &format!("the best evaluated model is that of step {step}\n");
    }
    report::print(&format!("{text}model: {}", output.display()))
}

/// The development sets.
struct Scorer {
    rerank: Option<Reranking>,
    sts: Option<Sts>,
}

impl Scorer {
    fn read(rerank: Option<&Path>, sts: Option<&Path>) -> Result<Self, Failure> {
        let rerank = rerank.map(|path| Reranking::read(path, Split::Dev)).transpose()?;
        Ok(Self { rerank, sts: sts.map(Sts::read).transpose()? })
    }

    fn is_empty(&self) -> bool {
        self.rerank.is_none() && self.sts.is_none()
    }

    /// Figures under `eval_…`; models are compared by MAP, or by Spearman without a reranking set.
    fn score(&self, encoder: &SentenceEncoder) -> Result<Option<Evaluation>, simcse_eval::Error> {
        let (mut figures, mut objective) = (Map::new(), None);
        if let Some(rerank) = &self.rerank {
            let scores = rerank.evaluate(encoder)?;
            objective = Some(scores.map);
            add(&mut figures, &json!(scores), "queries");
        }
        if let Some(sts) = &self.sts {
            let scores = sts.evaluate(encoder)?;
            objective = objective.or(Some(scores.spearman_cosine));
            add(&mut figures, &json!(scores), "pairs");
        }
        Ok(objective.map(|objective| Evaluation { figures, objective }))
    }
}

/// Adds the fields of `scores` but `count`, which does not change.
fn add(figures: &mut Map<String, Value>, scores: &Value, count: &str) {
    let fields = scores.as_object().into_iter().flatten().filter(|(name, _)| *name != count);
    figures.extend(fields.map(|(name, value)| (format!("eval_{name}"), value.clone())));
}

/// Shows the run and scores its model.
struct Watcher {
    scorer: Scorer,
    bar: ProgressBar,
}

impl Host for Watcher {
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        let evaluation = self.scorer.score(encoder).map_err(|error| Error::Evaluation(Box::new(error)))?;
        if let Some(evaluation) = &evaluation {
            let figures = evaluation.figures.iter().filter_map(|(name, value)| {
                Some(format!("{} {:.4}", name.trim_start_matches("eval_"), value.as_f64()?))
            });
            let figures: Vec<_> = figures.collect();
            self.tell(&format!("step {}: {}", self.bar.position(), figures.join(", ")));
        }
        Ok(evaluation)
    }

    fn stepped(&mut self, record: &StepRecord, total_steps: u64) {
        let StepRecord { step, loss, learning_rate, sentences_per_second, .. } = record;
        let text = format!("loss {loss:.4}, learning rate {learning_rate:.2e}, {sentences_per_second:.1} sentences/s");
        self.bar.set_position(*step);
        self.bar.set_message(text.clone());
        let every = (total_steps / 10).max(1);
        if self.bar.is_hidden() && (step.is_multiple_of(every) || *step == 1) {
            self.tell(&format!("step {step}/{total_steps}: {text}"));
        }
    }

    fn saved(&mut self, checkpoint: &Path) {
        self.tell(&format!("saved {}", checkpoint.display()));
    }
}

impl Watcher {
    fn tell(&self, text: &str) {
        self.bar.suspend(|| report::note(text));
    }
}
