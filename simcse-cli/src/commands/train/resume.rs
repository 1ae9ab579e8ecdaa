//! `--resume-from-checkpoint`: completes the arguments from the run's record, and checks that
//! nothing has changed.

use std::path::{Path, PathBuf};

use simcse_model::{Isa, ModelDirectory, Named};
use simcse_train::optim::schedule::LinearSchedule;
use simcse_train::ranks::Ranks;
use simcse_train::{
    Checkpoint, Error, ModelSource, OutputDirectory, Provenance, Settings, Trainer, Training, total_steps,
};

use crate::commands::train::args::{ExcludeBy, TrainArgs};
use crate::commands::train::data::Data;
use crate::commands::train::embedded;
use crate::commands::train::eval_sets::EvalSet;
use crate::commands::train::prepared::Prepared;
use crate::error::Failure;
use crate::inputs::load;
use crate::report::{self, Message, counted};

/// Resumes `from` a checkpoint directory, or `auto`. Everything is checked before anything is
/// written.
pub(super) fn prepare(
    ranks: &Ranks,
    from: &Path,
    mut args: TrainArgs,
    training: Training,
) -> Result<Prepared, Failure> {
    let (output, checkpoint) = open(ranks, from, args.output_dir.as_deref())?;
    let recorded = checkpoint.provenance.clone();
    let path = checkpoint.path().to_path_buf();
    check_command(training, recorded.settings.objective, &path)?;
    take_over(&mut args, &recorded)?;
    let mut settings = args.settings.over(recorded.settings.clone())?;
    if args.prompt_name.is_some() {
        args.set_prompt(&mut settings, &ModelDirectory::read(&path)?.prompts)?;
    }
    let data = Data::read(&args)?;
    recorded.check_same_evaluation(&data.scorer.source()?)?;
    let before = total_steps(&recorded.settings, &data.examples)?;

    let mut trainer = Trainer::resume(output, checkpoint, &data.examples, settings)?;
    trainer.ranks = ranks.clone();
    let resuming = format!("resuming from {} after step {}", path.display(), trainer.done());
    let mut notes = vec![Message::Note(resuming)];
    if trainer.total_steps() > before {
        let schedule = new_schedule(trainer.settings(), before, trainer.total_steps(), trainer.done());
        notes.push(Message::Note(schedule));
    }
    notes.extend(other_bits(&recorded, ranks.size()).into_iter().map(Message::Warning));
    Ok(Prepared { data, trainer, notes })
}

/// Checks that the run is one of this command.
fn check_command(given: Training, recorded: Training, path: &Path) -> Result<(), Failure> {
    let command = |training| if training == Training::Mlm { "simcse pretrain" } else { "simcse train" };
    if given == recorded {
        return Ok(());
    }
    let message = format!(
        "--resume-from-checkpoint: {} is of a run of `{}`: resume it with that command",
        path.display(),
        command(recorded)
    );
    Err(Failure::Usage(message))
}

/// The run's locked directory, and the checkpoint.
fn open(ranks: &Ranks, from: &Path, output_dir: Option<&Path>) -> Result<(OutputDirectory, Checkpoint), Failure> {
    let lock = |path: &Path| match ranks.is_first() {
        true => OutputDirectory::lock_existing(path),
        false => Ok(OutputDirectory::follow(path)),
    };
    if from == Path::new("auto") {
        let Some(output) = output_dir else {
            let message = "--resume-from-checkpoint auto: say which run with --output-dir";
            return Err(Failure::Usage(message.to_owned()));
        };
        let output = lock(output)?;
        let (checkpoint, rejected) = Checkpoint::newest(output.path())?;
        for error in rejected {
            report::warn(&format!("{error}: falling back to {}", checkpoint.path().display()));
        }
        return Ok((output, checkpoint));
    }
    let parent = from.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Some(output) = output_dir.filter(|output| output.canonicalize().ok() != parent.canonicalize().ok()) {
        return Err(Failure::Usage(format!(
            "--output-dir: expected the directory of the checkpoint's run, {}, found {}",
            parent.display(),
            output.display()
        )));
    }
    let checkpoint = Checkpoint::open(from)?;
    Ok((lock(parent)?, checkpoint))
}

/// Completes the arguments from the run's record. Arguments that are given must agree with it.
fn take_over(args: &mut TrainArgs, recorded: &Provenance) -> Result<(), Failure> {
    let Provenance { inputs, model, data, .. } = recorded;
    if let Some(given) = &args.model {
        let encoder = load(given, args.settings.precision())?;
        recorded.check_same_model(&ModelSource::of(given, &encoder))?;
    }
    args.model = (model.name != embedded::MODEL).then(|| model.name.clone());
    if args.sentences.is_empty() && args.data.is_none() {
        // Examples and development sets are compared by their contents, not by where they are.
        args.sentences = inputs.sentences.iter().map(PathBuf::from).collect();
        args.data = inputs.data.as_ref().map(PathBuf::from);
    }
    let columns = (!args.text_column.is_empty()).then(|| args.text_column.join(","));
    let recorded_columns = (!inputs.text_columns.is_empty()).then(|| inputs.text_columns.join(","));
    agreed("--text-column", columns, recorded_columns.as_ref())?;
    args.text_column.clone_from(&inputs.text_columns);
    let min_length = args.min_length.map(|length| length.to_string());
    agreed("--min-length", min_length, Some(&inputs.min_length.to_string()))?;
    args.min_length = Some(inputs.min_length);
    let exclude_by = args.exclude_by.map(|by| by.name().to_owned());
    let exclude_by = agreed("--exclude-by", exclude_by, data.exclude_by.as_ref())?;
    args.exclude_by = exclude_by.and_then(|name| ExcludeBy::from_name(&name).ok());
    let hold_out = args.hold_out.map(|count| count.to_string());
    agreed("--hold-out", hold_out, inputs.hold_out.map(|count| count.to_string()).as_ref())?;
    args.hold_out = inputs.hold_out.and_then(|count| u32::try_from(count).ok());
    if args.eval_sets.0.is_empty() {
        args.eval_sets.0 = inputs.sets.iter().filter_map(EvalSet::recorded).collect();
    }
    Ok(())
}

/// The recorded value, unless another one is given.
fn agreed(flag: &str, given: Option<String>, recorded: Option<&String>) -> Result<Option<String>, Failure> {
    match given {
        Some(given) if Some(&given) != recorded => {
            let recorded = recorded.map_or("nothing".to_owned(), String::clone);
            Err(Error::Changed { what: flag.to_owned(), recorded, given }.into())
        }
        _ => Ok(recorded.cloned()),
    }
}

/// Says what additional steps do to the learning rate.
fn new_schedule(settings: &Settings, before: u64, total_steps: u64, done: u64) -> String {
    let rate = |total_steps| {
        let schedule = LinearSchedule { warmup_steps: settings.warmup_steps_of(total_steps), total_steps };
        settings.learning_rate * schedule.factor(done)
    };
    format!(
        "{total_steps} steps instead of {before}: the learning rate continues at {:.2e} instead of {:.2e} \
         and falls to 0 at step {total_steps}; the steps so far had the rates of the shorter run, so the \
         result differs from that of a run started with {total_steps} steps",
        rate(total_steps),
        rate(before)
    )
}

/// Warnings, if this program, on this number of ranks, will not continue the run to the same bits.
fn other_bits(recorded: &Provenance, ranks: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if recorded.ranks != ranks {
        warnings.push(format!(
            "the run was on {}, this is {}: the result will differ in its last bits",
            counted(recorded.ranks, "rank", "ranks"),
            counted(ranks, "rank", "ranks")
        ));
    }
    let isa = Isa::detected().name();
    if recorded.instruction_set != isa {
        warnings.push(format!(
            "the run started on {}, this is {isa}: the result will differ in its last bits",
            recorded.instruction_set
        ));
    }
    let version = env!("CARGO_PKG_VERSION");
    if recorded.version != version {
        warnings.push(format!(
            "the run started with version {}, this is {version}: the result may differ",
            recorded.version
        ));
    }
    warnings
}
