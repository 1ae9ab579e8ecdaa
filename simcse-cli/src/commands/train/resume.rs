//! `--resume-from-checkpoint`: a run that goes on as what it began as.

use std::path::{Path, PathBuf};

use simcse_model::{Isa, Named};
use simcse_train::optim::schedule::LinearSchedule;
use simcse_train::{Checkpoint, Error, OutputDirectory, Provenance, RunDirectory, Settings};

use super::task::{ExcludeBy, Task};
use super::{Job, TrainArgs, announce, data_source, embedded, memory_note, model_source};
use crate::commands::load;
use crate::error::Failure;
use crate::report;

/// Goes on `from` a checkpoint directory, or `auto`. Nothing is written before all has been checked.
pub(super) fn resume(from: &Path, mut args: TrainArgs) -> Result<Job, Failure> {
    let (output, checkpoint) = open(from, args.output_dir.as_deref())?;
    let recorded = &checkpoint.provenance;
    take_over(&mut args, recorded)?;
    let settings = settings(&args, &recorded.settings)?;
    let mut task = Task::read(&args, Some(&checkpoint))?;
    recorded.check_same_data(&data_source(&task))?;
    recorded.check_same_evaluation(&task.scorer.source()?)?;

    let total_steps = simcse_train::total_steps(&settings, &task.sentences)?;
    let before = simcse_train::total_steps(&recorded.settings, &task.sentences)?;
    if total_steps < before {
        recorded.settings.check_same(&settings)?; // which they are not
    }
    let done = checkpoint.step();
    let plan = task.plan_memory(total_steps, args.memory_limit)?;
    announce(&task, total_steps, output.path());
    report::note(&memory_note(&plan, task.settings.mini_batch_tokens));
    report::note(&format!("resuming from {} after step {done}", checkpoint.path().display()));
    if total_steps > before {
        report::note(&new_schedule(&settings, before, total_steps, done));
    }
    warn_of_other_bits(recorded);

    let provenance = Provenance { settings: task.settings.clone(), ..recorded.clone() };
    let (run, aside) = RunDirectory::resume(output, checkpoint, provenance)?;
    for path in aside {
        report::note(&format!("a later checkpoint is now {}: the run will make it again", path.display()));
    }
    Ok(Job { task, run, done, total_steps, plan })
}

/// The run's directory, locked, and the checkpoint.
fn open(from: &Path, output_dir: Option<&Path>) -> Result<(OutputDirectory, Checkpoint), Failure> {
    if from == Path::new("auto") {
        let Some(output) = output_dir else {
            let message = "--resume-from-checkpoint auto: name the run with --output-dir";
            return Err(Failure::Usage(message.to_owned()));
        };
        let output = OutputDirectory::lock_existing(output)?;
        let (checkpoint, rejected) = Checkpoint::newest(output.path())?;
        for error in rejected {
            report::note(&format!("warning: {error}: falling back to {}", checkpoint.path().display()));
        }
        return Ok((output, checkpoint));
    }
    let parent = from.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Some(output) = output_dir.filter(|output| output.canonicalize().ok() != parent.canonicalize().ok()) {
        return Err(Failure::Usage(format!(
            "--output-dir: a run goes on where its checkpoints are, in {}, found {}",
            parent.display(),
            output.display()
        )));
    }
    let checkpoint = Checkpoint::open(from)?;
    Ok((OutputDirectory::lock_existing(parent)?, checkpoint))
}

/// Completes the arguments by what the run has recorded; what is given must agree.
fn take_over(args: &mut TrainArgs, recorded: &Provenance) -> Result<(), Failure> {
    let Provenance { inputs, model, data, .. } = recorded;
    if let Some(given) = &args.model {
        recorded.check_same_model(&model_source(given, &load(given, &args.settings.precision)?))?;
    }
    args.model = (model.name != embedded::MODEL).then(|| model.name.clone());
    if args.sentences.is_none() && args.data.is_none() {
        // Sentences and development sets are compared by what they are, not by where they lie.
        args.sentences = inputs.sentences.as_ref().map(PathBuf::from);
        args.data = inputs.data.as_ref().map(PathBuf::from);
    }
    let min_length = args.min_length.map(|length| length.to_string());
    agreed("--min-length", min_length, Some(&inputs.min_length.to_string()))?;
    args.min_length = Some(inputs.min_length);
    let exclude_by = args.exclude_by.map(|by| by.name().to_owned());
    let exclude_by = agreed("--exclude-by", exclude_by, data.exclude_by.as_ref())?;
    args.exclude_by = exclude_by.and_then(|name| ExcludeBy::from_name(&name).ok());
    for (given, recorded) in [(&mut args.eval_rerank, &inputs.eval_rerank), (&mut args.eval_sts, &inputs.eval_sts)] {
        *given = given.take().or_else(|| recorded.as_ref().map(PathBuf::from));
    }
    Ok(())
}

/// What is recorded, if what is given is nothing else.
fn agreed(flag: &str, given: Option<String>, recorded: Option<&String>) -> Result<Option<String>, Failure> {
    match given {
        Some(given) if Some(&given) != recorded => {
            let recorded = recorded.map_or("nothing".to_owned(), String::clone);
            Err(Error::Changed { what: flag.to_owned(), recorded, given }.into())
        }
        _ => Ok(recorded.cloned()),
    }
}

/// The recorded settings, with the epochs or steps that are given, and the pieces, which change no bit of the result.
fn settings(args: &TrainArgs, recorded: &Settings) -> Result<Settings, Failure> {
    let given = args.settings.over(recorded.clone());
    let Settings { epochs, max_steps, mini_batch_tokens, .. } = given;
    Settings { epochs, max_steps, mini_batch_tokens, ..recorded.clone() }.check_same(&given)?;
    if given.precision.is_available() {
        return Ok(given);
    }
    Err(Failure::Failed(format!(
        "the run began with --precision {0}, which this processor does not have",
        given.precision.name()
    )))
}

/// What more steps do to the learning rate.
fn new_schedule(settings: &Settings, before: u64, total_steps: u64, done: u64) -> String {
    let rate = |total| settings.learning_rate * LinearSchedule::new(settings.warmup, total).factor(done);
    format!(
        "{total_steps} steps instead of {before}: the learning rate goes on at {:.2e} instead of {:.2e} and falls to 0 at \
         step {total_steps}; the steps so far had the rates of the shorter run, so this is not what a run begun with \
         {total_steps} steps comes to",
        rate(total_steps),
        rate(before)
    )
}

fn warn_of_other_bits(recorded: &Provenance) {
    let isa = Isa::detected().name();
    if recorded.instruction_set != isa {
        report::note(&format!(
            "warning: the run began on {}, this is {isa}: the result will differ in its last bits",
            recorded.instruction_set
        ));
    }
    let version = env!("CARGO_PKG_VERSION");
    if recorded.version != version {
        report::note(&format!(
            "warning: the run began under version {}, this is {version}: the result may differ",
            recorded.version
        ));
    }
}
