//! `simcse train`: from the arguments to a run, and what came out.

mod embedded;
mod settings;
mod task;
mod watcher;

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use simcse_train::memory::{self, peak_memory};
use simcse_train::{DataSource, Evaluation, MemoryPlan, ModelSource, Provenance, RunDirectory, Settings, Summary};

use crate::args::{JsonArgs, size};
use crate::error::Failure;
use crate::report::{self, counted};
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
  simcse train titles.txt --model path/to/bert --eval-rerank dev.jsonl --eval-steps 100";

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
    #[arg(long, value_name = "KEY", requires = "data")]
    exclude_by: Option<ExcludeBy>,
    /// The model to tune: a directory of Hugging Face or sentence-transformers, or a name on the hub
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// Where the model and its checkpoints go [default: output/simcse-<model>-<time>]
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Lines of fewer characters are skipped
    #[arg(long, value_name = "N", default_value_t = 10)]
    min_length: usize,
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

pub(crate) fn run(args: TrainArgs) -> Result<(), Failure> {
    let output = args.output_dir.clone().unwrap_or_else(|| default_output(args.model.as_deref()));
    RunDirectory::check_free(&output)?;
    let mut task = Task::read(&args)?;
    let total_steps = simcse_train::total_steps(&task.settings, &task.sentences)?;
    let evaluated = task.scorer.texts();
    let Task { encoder, settings, sentences, .. } = &mut task;
    let plan = simcse_train::plan_memory(settings, encoder, sentences, total_steps, evaluated, args.memory_limit)?;
    announce(&task, total_steps, &output);
    report::note(&memory_note(&plan, task.settings.mini_batch_tokens));

    let mut run = RunDirectory::create(&output, provenance(&task))?;
    let mut host = Watcher { scorer: task.scorer, bar: report::steps_bar(total_steps) };
    let summary = simcse_train::train(&mut task.encoder, &task.sentences, &task.settings, &mut run, &mut host)?;
    host.bar.finish_and_clear();
    let outcome = Outcome { output, settings: task.settings, summary, baseline: task.baseline, plan };
    if args.json.json { report::print_json(&outcome.json()) } else { report::print(&outcome.text()) }
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
    if encoder.directory.is_sentence_transformers {
        report::note(&format!(
            "warning: {model} already is a sentence-embedding model; unsupervised SimCSE usually lowers such a model's scores"
        ));
    }
    let config = encoder.config();
    report::note(&format!(
        "{model}: {}, {} wide with {} heads, feed-forward {}, {} tokens in the vocabulary",
        counted(config.num_hidden_layers, "layer", "layers"),
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.vocab_size
    ));
    let untrained = encoder.params.layout().tensors().iter().filter(|tensor| !tensor.trainable);
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
        settings.pooling,
        settings.max_seq_length,
        settings.precision,
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
    let limit = plan.limit.map(|limit| format!(" of {}", memory::size(limit))).unwrap_or_default();
    let pieces = mini_batch_tokens.zip(plan.whole_batch).map(|(tokens, whole)| {
        format!(
            "; batches go through in pieces of about {tokens} tokens (GradCache), whole they would take {}",
            memory::size(whole)
        )
    });
    format!("memory: at most {}{limit}{}", memory::size(plan.peak), pieces.unwrap_or_default())
}

fn provenance(task: &Task) -> Provenance {
    let Task { model, encoder, settings, sentences, exclude_by, .. } = task;
    let mut digest = Sha256::new();
    for values in encoder.params.values().chunks(1 << 16) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(bytes);
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instruction_set: simcse_model::instruction_set().to_owned(),
        model: ModelSource { name: model.clone(), sha256: hex(&digest.finalize()) },
        data: DataSource {
            name: sentences.name().to_owned(),
            sentences: sentences.len(),
            skipped: sentences.skipped(),
            duplicates: sentences.duplicates(),
            exclude_by: exclude_by.map(|by| by.name().to_owned()),
            sha256: sentences.sha256(),
        },
        settings: settings.clone(),
    }
}

/// What came out of a run.
struct Outcome {
    output: PathBuf,
    settings: Settings,
    summary: Summary,
    baseline: Option<Map<String, Value>>,
    plan: MemoryPlan,
}

impl Outcome {
    fn sentences_per_second(&self) -> f64 {
        self.summary.steps as f64 * self.settings.sentences_per_step() as f64 / self.summary.train_seconds
    }

    fn json(&self) -> Value {
        let figures = |evaluation: &Option<Evaluation>| evaluation.as_ref().map(|e| e.figures.clone());
        let Summary { steps, train_loss, cut, train_seconds, before, after, test, best_step } = &self.summary;
        json!({
            "output_dir": self.output,
            "steps": steps,
            "train_loss": train_loss,
            "cut": cut,
            "train_seconds": train_seconds,
            "sentences_per_second": self.sentences_per_second(),
            "predicted_memory_bytes": self.plan.peak,
            "peak_memory_bytes": peak_memory(),
            "best_step": best_step,
            "before": figures(before),
            "after": figures(after),
            "test": figures(test),
            "tf_idf": self.baseline,
        })
    }

    fn text(&self) -> String {
        let Summary { steps, train_loss, cut, train_seconds, best_step, .. } = &self.summary;
        let speed = self.sentences_per_second();
        let memory = peak_memory().map(|bytes| format!(", at most {} of memory", memory::size(bytes)));
        let mut text = format!(
            "{steps} steps in {train_seconds:.0} s ({speed:.1} sentences/s), mean loss {train_loss:.4}{}\n",
            memory.unwrap_or_default()
        );
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
        fn figures(evaluation: &Option<Evaluation>) -> Map<String, Value> {
            evaluation.as_ref().map(|evaluation| evaluation.figures.clone()).unwrap_or_default()
        }
        let Summary { before, after, test, .. } = &self.summary;
        let (before, after, test) = (figures(before), figures(after), figures(test));
        let figure = |figures: &Map<String, Value>, name: &String| figures.get(name).and_then(Value::as_f64);
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
