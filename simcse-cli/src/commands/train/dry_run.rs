//! `--dry-run`: what a run would do, without doing it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use serde_json::{Value, json};
use simcse_model::io::{excerpt, format_bytes};
use simcse_train::{MemoryPlan, Setting, Settings, Trainer, Training, checkpoint_size};

use crate::commands::train::scorer::Scorer;
use crate::commands::train::time_left::TimeLeft;
use crate::error::Failure;
use crate::origins::Origins;
use crate::report::{self, counted};

/// Steps that are timed.
const STEPS: u32 = 2;
/// Texts that are encoded to tell how long evaluations take.
const ENCODED: usize = 128;
/// The longest value that is shown, in characters.
const VALUE: usize = 40;

/// A setting of a run, its value, and where that comes from.
pub(super) struct Resolved {
    name: &'static str,
    value: String,
    origin: String,
}

/// The settings of a run that have a value. What no one gave comes from the recipe, from the run's
/// record if it is resumed, or from the model; or it is the default.
pub(super) fn resolved(settings: &Settings, origins: &Origins, is_resumed: bool) -> Vec<Resolved> {
    let defaults = Settings::default();
    let recipe = |name: &str| settings.recipe.filter(|recipe| recipe.values().iter().any(|(of, _)| *of == name));
    let origin = |setting: &Setting<Settings>, value: &str| match (origins.of(setting.name), recipe(setting.name)) {
        (Some(origin), _) => origin.to_string(),
        _ if is_resumed => "the run".to_owned(),
        (None, Some(_)) => "--recipe".to_owned(),
        // The plan for the memory sets it.
        _ if setting.name == "mini_batch_tokens" => "--memory-limit".to_owned(),
        _ if setting.value(&defaults).as_deref() == Some(value) => "default".to_owned(),
        _ => "the model".to_owned(),
    };
    let settings = Settings::TABLE.iter().filter_map(|setting| Some((setting, setting.value(settings)?)));
    settings.map(|(setting, value)| Resolved { name: setting.name, origin: origin(setting, &value), value }).collect()
}

/// One line for each setting: its name, its value and where that comes from.
pub(super) fn table(settings: &[Resolved]) -> String {
    let shown = |setting: &Resolved| excerpt(&setting.value, VALUE);
    let names = settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
    let values = settings.iter().map(|setting| shown(setting).chars().count()).max().unwrap_or(0);
    let line = |setting: &Resolved| format!("{:names$}  {:values$}  {}", setting.name, shown(setting), setting.origin);
    settings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What a run would take.
struct Forecast {
    steps: u64,
    step_seconds: f64,
    seconds: f64,
    /// How many checkpoints there will be in the end.
    checkpoints: u64,
    checkpoint_bytes: u64,
    model_bytes: u64,
}

impl Forecast {
    /// Times a few steps, and how long it takes to encode texts.
    fn of(trainer: Trainer, scorer: &Scorer) -> Result<Self, Failure> {
        let encoder = trainer.encoder();
        let texts: Vec<_> = trainer.examples().texts().take(ENCODED).collect();
        let started = Instant::now();
        encoder.encode(&texts)?;
        let text_seconds = started.elapsed().as_secs_f64() / texts.len().max(1) as f64;

        let settings = trainer.settings().clone();
        let (steps, done) = (trainer.total_steps(), trainer.done());
        let (checkpoint_bytes, model_bytes) = (checkpoint_size(encoder), encoder.size_on_disk());
        let measured = trainer.rehearse(STEPS)?;
        // Gradients of several batches are added before an update.
        let batches = settings.gradient_accumulation_steps as f64;
        let step_seconds = measured.time.as_secs_f64() / f64::from(STEPS) * batches;

        let mut left = TimeLeft::new(steps, &settings);
        let evaluation = scorer.developed_texts() as f64 * text_seconds;
        left.on_step(step_seconds);
        left.on_evaluation(evaluation);
        let before = if done == 0 { evaluation } else { 0.0 };
        let test = scorer.tested_texts() as f64 * text_seconds;
        let seconds = left.after(done).unwrap_or_default().as_secs_f64() + before + test;
        let checkpoints = steps.div_ceil(settings.save_steps);
        let kept = settings.save_total_limit.map_or(checkpoints, |limit| checkpoints.min(limit as u64));
        Ok(Self { steps: steps - done, step_seconds, seconds, checkpoints: kept, checkpoint_bytes, model_bytes })
    }
}

/// Says what the run would do.
pub(super) fn run(
    trainer: Trainer,
    scorer: &Scorer,
    plan: &MemoryPlan,
    origins: &Origins,
    json: bool,
) -> Result<(), Failure> {
    let settings = resolved(trainer.settings(), origins, trainer.done() > 0);
    let output = trainer.output().display().to_string();
    let size = trainer.settings().step_size(trainer.examples().columns());
    let contrastive = trainer.settings().objective == Training::Contrastive;
    let forecast = Forecast::of(trainer, scorer)?;
    if json {
        return report::print_json(&forecast.json(&settings, plan, &output));
    }
    let Forecast { steps, step_seconds, seconds, checkpoints, checkpoint_bytes, model_bytes } = forecast;
    let duration = |seconds| HumanDuration(Duration::from_secs_f64(seconds));
    let limit = plan.limit.map(|limit| format!(" of {}", format_bytes(limit))).unwrap_or_default();
    let mut text = table(&settings);
    let _ = write!(
        text,
        "\n\nsteps   {steps} of {size}\n\
         time    about {}; a step takes {step_seconds:.2} s (measured on {STEPS})\n\
         memory  at most {}{limit}\n\
         writes  {output}: the model ({}), {} ({} each), run.toml, metrics.jsonl{}",
        duration(seconds),
        format_bytes(plan.peak),
        format_bytes(model_bytes),
        counted(checkpoints as usize, "checkpoint", "checkpoints"),
        format_bytes(checkpoint_bytes),
        if contrastive { ", probe.json, report.html" } else { ", report.html" },
    );
    report::print(&text)
}

impl Forecast {
    fn json(&self, settings: &[Resolved], plan: &MemoryPlan, output: &str) -> Value {
        let settings = settings
            .iter()
            .map(|setting| (setting.name.to_owned(), json!({ "value": setting.value, "from": setting.origin })));
        json!({
            "output_dir": output,
            "steps": self.steps,
            "step_seconds": self.step_seconds,
            "seconds": self.seconds,
            "predicted_memory_bytes": plan.peak,
            "checkpoints": self.checkpoints,
            "disk_bytes": self.checkpoints * self.checkpoint_bytes + self.model_bytes,
            "settings": settings.collect::<serde_json::Map<_, _>>(),
        })
    }
}
