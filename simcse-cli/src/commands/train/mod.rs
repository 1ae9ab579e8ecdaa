//! `simcse train`: from the arguments to a run, and what came out.

mod embedded;
mod resume;
mod settings;
mod task;
mod watcher;

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PathBufValueParser};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simcse_model::io::is_standard_input;
use simcse_model::io::{format_bytes, hexadecimal};
use simcse_model::{Isa, Named, SentenceEncoder};
use simcse_train::memory::peak_memory;
use simcse_train::{
    DataSource, Error, Figures, Inputs, MemoryPlan, ModelSource, Provenance, RunDirectory, Settings, Summary,
};

use crate::args::{JsonArgs, named, size};
use crate::error::Failure;
use crate::report::{self, counted};
use crate::stop;
use settings::SettingArgs;
use task::{ExcludeBy, Task};
use watcher::Watcher;

const HELP: &str = "\
Every sentence is encoded twice under dropout; its two embeddings are pulled together and pushed from those of the other
sentences of the batch (SimCSE, Gao et al. 2021). The output directory is one that sentence-transformers loads.

Without SENTENCES, --data and --model, a small model with random weights is trained on sentences in the binary, in about a
minute, and scored before and after.

Examples:
  simcse train
  simcse train titles.txt --model distilroberta-base --output-dir output/my-model
  simcse train --data askubuntu --model distilroberta-base --recipe st-2021
  simcse train titles.txt --model path/to/bert --eval-rerank dev.jsonl --eval-steps 100
  simcse train --resume-from-checkpoint auto --output-dir output/my-model";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct TrainArgs {
    /// Text to train on, one sentence a line, UTF-8, plain or .gz; - is standard input
    sentences: Option<PathBuf>,
    /// Train on the titles of a directory like github.com/taolei87/askubuntu without the questions of its development and
    /// test sets, and score on these; `askubuntu` is the one that `simcse fetch askubuntu` fetches
    #[arg(long, value_name = "DIR", conflicts_with = "sentences")]
    data: Option<PathBuf>,
    /// Leave out the held-out questions of --data by `id`, or also others with their `text`
    /// [default: text, with --recipe st-2021 id]
    #[arg(long, value_name = "KEY", requires = "data", value_parser = named::<ExcludeBy>)]
    exclude_by: Option<ExcludeBy>,
    /// The model to tune: a directory of Hugging Face or sentence-transformers, or a name on the hub
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// Where the model and its checkpoints go [default: output/simcse-<model>-<time>]
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Go on from a checkpoint directory, or, with `auto`, from the newest complete one in --output-dir. Sentences, model and
    /// settings are the run's own: what is given beside it must agree, but --epochs and --max-steps may be raised
    #[arg(long, value_name = "DIR", value_parser = PathBufValueParser::new())]
    resume_from_checkpoint: Option<PathBuf>,
    /// Lines of fewer characters are skipped [default: 10]
    #[arg(long, value_name = "N")]
    min_length: Option<usize>,
    #[command(flatten)]
    settings: SettingArgs,
    /// The most memory that the run may take, such as 3.5GB or 800MB; larger batches go through in pieces (see
    /// --mini-batch-tokens), and what cannot fit is refused with the largest setting that does [default: what is available]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory_limit: Option<u64>,
    /// Score this reranking set before, while and after training: a .jsonl of {"query", "positive", "negative"}, or a
    /// directory like github.com/taolei87/askubuntu
    #[arg(long, value_name = "PATH", requires = "sentences")]
    eval_rerank: Option<PathBuf>,
    /// Score this semantic textual similarity set before, while and after training
    #[arg(long, value_name = "FILE")]
    eval_sts: Option<PathBuf>,
    #[command(flatten)]
    json: JsonArgs,
}

impl TrainArgs {
    fn min_length(&self) -> usize {
        self.min_length.unwrap_or(10)
    }
}

/// A run about to begin, or to go on.
struct Job {
    task: Task,
    run: RunDirectory,
    /// Steps done.
    done: u64,
    total_steps: u64,
    plan: MemoryPlan,
}

pub(crate) fn run(args: TrainArgs) -> Result<(), Failure> {
    let json = args.json.json;
    let Job { mut task, mut run, done, total_steps, plan } = match &args.resume_from_checkpoint {
        None => begin(&args)?,
        Some(from) => resume::resume(&from.clone(), args)?,
    };
    let mut host = Watcher { scorer: task.scorer, bar: report::steps_bar(total_steps).with_position(done) };
    let trained = {
        let _deferred = stop::defer();
        let workspace = plan.workspace(&task.settings);
        simcse_train::train(&mut task.encoder, &task.sentences, &task.settings, workspace, &mut run, &mut host)
    };
    host.bar.finish_and_clear();
    let summary = trained.map_err(|error| match error {
        Error::Stopped { .. } => Failure::Stopped(error.to_string()),
        error => error.into(),
    })?;
    let outcome =
        Outcome { output: run.path().to_path_buf(), settings: task.settings, summary, baseline: task.baseline, plan };
    if json { report::print_json(&outcome.json()) } else { report::print(&outcome.text()) }
}

/// A new run.
fn begin(args: &TrainArgs) -> Result<Job, Failure> {
    let output = args.output_dir.clone().unwrap_or_else(|| default_output(args.model.as_deref()));
    RunDirectory::check_free(&output)?;
    let mut task = Task::read(args, None)?;
    let total_steps = simcse_train::total_steps(&task.settings, &task.sentences)?;
    let plan = task.plan_memory(total_steps, args.memory_limit)?;
    announce(&task, total_steps, &output);
    if task.encoder.directory.is_sentence_transformers {
        report::note(&format!(
            "warning: {} already is a sentence-embedding model; unsupervised SimCSE usually lowers such a model's scores",
            task.model
        ));
    }
    report::note(&memory_note(&plan, task.settings.mini_batch_tokens));
    simcse_train::check_space(&output, &task.encoder)?;
    let provenance = Provenance {
        id: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instruction_set: Isa::detected().name().to_owned(),
        inputs: inputs(args),
        model: model_source(&task.model, &task.encoder),
        data: data_source(&task),
        evaluation: task.scorer.source()?,
        settings: task.settings.clone(),
    };
    let (run, aside) = RunDirectory::create(&output, provenance)?;
    if !aside.is_empty() {
        let names: Vec<_> = aside.iter().map(|path| path.display().to_string()).collect();
        report::note(&format!("a run that ended here before its first checkpoint is kept as {}", names.join(" and ")));
    }
    Ok(Job { task, run, done: 0, total_steps, plan })
}

/// `output/simcse-<model>-<seconds since 1970>`.
fn default_output(model: Option<&str>) -> PathBuf {
    let model = model.unwrap_or("default");
    let name = Path::new(model).file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    PathBuf::from(format!("output/simcse-{name}-{}", now.as_secs()))
}

/// Tells what is about to be done.
fn announce(task: &Task, total_steps: u64, output: &Path) {
    let Task { model, encoder, settings, sentences, .. } = task;
    report::note(&format!(
        "{}: {}, {} too short and skipped, {} equal to an earlier one",
        sentences.name(),
        counted(sentences.len(), "sentence", "sentences"),
        sentences.skipped(),
        sentences.duplicates()
    ));
    let config = encoder.config();
    report::note(&format!(
        "{model}: {}, {} wide with {} heads, feed-forward {}, {} tokens in the vocabulary",
        counted(config.num_hidden_layers, "layer", "layers"),
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.vocab_size
    ));
    let untrained = encoder.params.layout().parameters().iter().filter(|tensor| !tensor.trainable);
    let untrained: Vec<_> = untrained.map(|tensor| tensor.name.as_str()).collect();
    if !untrained.is_empty() {
        report::note(&format!("not trained, as no sentence embedding depends on them: {}", untrained.join(", ")));
    }
    report::note(&format!(
        "learning rate {}, warm-up {}, weight decay {}, gradients up to {}, dropout {} (attention {}), scale {}, {} pooling, \
         at most {} tokens, {} products, seed {}",
        settings.learning_rate,
        settings.warmup,
        settings.weight_decay,
        settings.max_grad_norm,
        settings.hidden_dropout,
        settings.attention_dropout,
        settings.scale,
        settings.pooling.name(),
        settings.max_seq_length,
        settings.precision.name(),
        settings.seed
    ));
    report::note(&format!(
        "{} of {}, into {}",
        counted(total_steps as usize, "step", "steps"),
        settings.step_size(),
        output.display()
    ));
}

/// What the run takes of memory, and whether batches go through in pieces for it.
fn memory_note(plan: &MemoryPlan, mini_batch_tokens: Option<usize>) -> String {
    let limit = plan.limit.map(|limit| format!(" of {}", format_bytes(limit))).unwrap_or_default();
    let pieces = mini_batch_tokens.zip(plan.whole_batch).map(|(tokens, whole)| {
        format!(
            "; batches go through in pieces of at most {tokens} tokens (GradCache), whole they would take {}",
            format_bytes(whole)
        )
    });
    format!("memory: at most {}{limit}{}", format_bytes(plan.peak), pieces.unwrap_or_default())
}

/// Where the arguments say the inputs are, for a resume from any directory.
fn inputs(args: &TrainArgs) -> Inputs {
    let absolute = |path: &Option<PathBuf>| path.as_deref().map(absolute);
    Inputs {
        sentences: absolute(&args.sentences),
        data: absolute(&args.data),
        min_length: args.min_length(),
        eval_rerank: absolute(&args.eval_rerank),
        eval_sts: absolute(&args.eval_sts),
    }
}

/// The path as it is from any directory; a name that stands for something (`-`, `askubuntu`) as it is.
fn absolute(path: &Path) -> String {
    let kept = is_standard_input(path) || !path.exists();
    let absolute = if kept { None } else { std::path::absolute(path).ok() };
    absolute.as_deref().unwrap_or(path).to_string_lossy().into_owned()
}

fn model_source(name: &str, encoder: &SentenceEncoder) -> ModelSource {
    let mut digest = Sha256::new();
    for values in encoder.params.values().chunks(1 << 16) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(bytes);
    }
    ModelSource { name: name.to_owned(), sha256: hexadecimal(digest.finalize()) }
}

fn data_source(task: &Task) -> DataSource {
    let Task { sentences, exclude_by, .. } = task;
    DataSource {
        name: sentences.name().to_owned(),
        sentences: sentences.len(),
        skipped: sentences.skipped(),
        duplicates: sentences.duplicates(),
        exclude_by: exclude_by.map(|by| by.name().to_owned()),
        sha256: sentences.sha256(),
    }
}

/// What came out of a run.
struct Outcome {
    output: PathBuf,
    settings: Settings,
    summary: Summary,
    baseline: Option<Figures>,
    plan: MemoryPlan,
}

impl Outcome {
    fn sentences_per_second(&self) -> f64 {
        self.summary.steps as f64 * self.settings.sentences_per_step() as f64 / self.summary.train_seconds
    }

    fn json(&self) -> Value {
        let Summary { steps, skipped, train_loss, cut, train_seconds, before, after, test, best_step } = &self.summary;
        json!({
            "output_dir": self.output,
            "steps": steps,
            "skipped_updates": skipped,
            "train_loss": train_loss,
            "cut": cut,
            "train_seconds": train_seconds,
            "sentences_per_second": self.sentences_per_second(),
            "predicted_memory_bytes": self.plan.peak,
            "peak_memory_bytes": peak_memory(),
            "best_step": best_step,
            "before": before,
            "after": after,
            "test": test,
            "tf_idf": self.baseline,
        })
    }

    fn text(&self) -> String {
        let Summary { steps, skipped, train_loss, cut, train_seconds, best_step, .. } = &self.summary;
        let speed = self.sentences_per_second();
        let memory = peak_memory().map(|bytes| format!(", at most {} of memory", format_bytes(bytes)));
        let mut text = format!(
            "{steps} steps in {train_seconds:.0} s ({speed:.1} sentences/s), mean loss {train_loss:.4}{}\n",
            memory.unwrap_or_default()
        );
        if *skipped > 0 {
            text += &format!("{skipped} of the steps had no finite loss or gradient, and no update\n");
        }
        if *cut > 0 {
            let (drawn, most) = (steps * self.settings.batch_size as u64, self.settings.max_seq_length);
            text += &format!("{cut} of {drawn} sentences drawn were longer than {most} tokens and cut\n");
        }
        if let Some(table) = self.table() {
            text += &format!("\n{table}\n\n");
        }
        if self.baseline.is_some() {
            text += &format!("{}\n\n", embedded::MEANING);
        }
        if let Some(step) = best_step {
            text += &format!("the best evaluated model is that of step {step}\n");
        }
        format!("{text}model: {}", self.output.display())
    }

    /// The figures of the development sets before and after, with the baseline's if there is one, and of the test set.
    fn table(&self) -> Option<String> {
        let Summary { before, after, test, .. } = self.summary.clone();
        let [before, after, test] = [before, after, test].map(Option::unwrap_or_default);
        let figure = |figures: &Figures, name: &String| figures.get(name).and_then(Value::as_f64);
        match &self.baseline {
            _ if after.is_empty() => None,
            Some(baseline) => {
                let names = after.keys().map(|name| (plain(name), name));
                let row = |(shown, name)| (shown, [&before, &after, baseline].map(|figures| figure(figures, name)));
                Some(report::table(["before", "after", "TF-IDF"], &names.map(row).collect::<Vec<_>>()))
            }
            None => {
                let names =
                    after.keys().map(|name| (plain(name), name)).chain(test.keys().map(|name| (&name[..], name)));
                let after = |name| figure(&after, name).or_else(|| figure(&test, name));
                let row = |(shown, name)| (shown, [figure(&before, name), after(name)]);
                Some(report::table(["before", "after"], &names.map(row).collect::<Vec<_>>()))
            }
        }
    }
}

fn plain(name: &str) -> &str {
    name.trim_start_matches("eval_")
}
