//! `simcse train`: from the arguments to a run and its results.
//!
//! This room knows arguments, what runs are trained and scored on, and how to report a run. It must
//! not know how a run is carried out or recorded: that is simcse-train's.

mod announce;
mod args;
mod data;
mod divided;
mod dry_run;
mod embedded;
mod eval_sets;
mod follow;
mod new_model;
mod outcome;
mod prepared;
mod resume;
mod scorer;
mod time_left;
mod watcher;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use simcse_model::{Named, SentenceEncoder};
use simcse_train::ranks::Ranks;
use simcse_train::{Error, RunDirectory, Settings, Sources, Trained, Trainer, Training};

use crate::error::Failure;
use crate::inputs::load;
use crate::origins::Origins;
use crate::report::{Message, Verbosity, counted};
use crate::stop;
use crate::{progress, ranks, report};
use announce::announce;
pub(crate) use args::TrainArgs;
use data::Data;
pub(crate) use eval_sets::EvalSetArgs;
use follow::Follow;
pub(crate) use new_model::NewModel;
use outcome::Outcome;
use prepared::Prepared;
use scorer::Scorer;
use time_left::TimeLeft;
use watcher::Watcher;

/// Trains embeddings.
pub(crate) fn run(args: TrainArgs, origins: &Origins) -> Result<(), Failure> {
    if args.resume_from_checkpoint.is_none() {
        check_usage(&args)?;
    }
    run_with(args, origins, Training::Contrastive, &embedded::Embedded)
}

/// Trains a language model: `new`, unless the arguments name one.
pub(crate) fn run_pretraining(args: TrainArgs, origins: &Origins, new: &dyn NewModel) -> Result<(), Failure> {
    run_with(args, origins, Training::Mlm, new)
}

fn run_with(args: TrainArgs, origins: &Origins, training: Training, new: &dyn NewModel) -> Result<(), Failure> {
    let ranks = ranks::join(args.ranks)?;
    let ended = run_on(&ranks, args, origins, training, new);
    if matches!(ended, Ok(()) | Err(Failure::Stopped(_))) {
        ranks::leave();
    }
    ended
}

fn run_on(
    ranks: &Ranks,
    args: TrainArgs,
    origins: &Origins,
    training: Training,
    new: &dyn NewModel,
) -> Result<(), Failure> {
    if args.dry_run && ranks.size() > 1 {
        return Err(Failure::Usage("--dry-run: start one process, without a launcher".to_owned()));
    }
    let json = args.json.json;
    let is_dry_run = args.dry_run;
    let memory_limit = args.memory_limit;
    let Prepared { data, mut trainer, notes } = match args.resume_from_checkpoint.clone() {
        None => prepare(ranks, &args, training, new)?,
        Some(from) => resume::prepare(ranks, &from, args, training)?,
    };
    let follow = Follow::new(&trainer);
    let plan = trainer.plan_memory(data.scorer.texts().max(follow.texts()), memory_limit)?;
    announce(&trainer, &plan);
    if report::prints(Verbosity::Verbose) {
        let settings = dry_run::resolved(trainer.settings(), origins, trainer.done() > 0);
        dry_run::table(&settings).lines().for_each(report::note);
    }
    notes.iter().for_each(Message::print);
    let examples = trainer.examples().clone();
    for warning in examples.warnings() {
        report::warn(&format!("{}: {warning}", examples.name()));
    }
    if is_dry_run {
        trainer.warnings()?.iter().for_each(|warning| report::warn(&warning.to_string()));
        return dry_run::run(trainer, &data.scorer, &plan, origins, json);
    }

    let output = trainer.output().to_path_buf();
    let settings = trainer.settings().clone();
    let bar = progress::steps_bar(trainer.total_steps()).with_position(trainer.done());
    let masking = trainer.masking()?;
    let choose_best_by = settings.choose_best_by.clone();
    let scorer = Scorer { choose_best_by, masking, ranks: ranks.clone(), ..data.scorer };
    let mut watcher = Watcher::new(scorer, follow, bar, TimeLeft::new(trainer.total_steps(), &settings));
    let trained = {
        let _deferred = stop::defer();
        trainer.train(&mut watcher)
    };
    watcher.bar.finish_and_clear();
    if let Ok(Trained { encoder, summary }) = &trained
        && let Some(best) = summary.best_step.filter(|&best| best != summary.steps)
    {
        watcher.follow.probe(encoder, best)?;
    }
    watcher.write_page();
    let failure = watcher.failure.take();
    let trained = trained.map_err(|error| match (error, failure) {
        (Error::Stopped { .. }, Some(failure)) => failure.into(),
        (error @ Error::Stopped { .. }, None) => Failure::Stopped(error.to_string()),
        (error, _) => error.into(),
    })?;

    let Trained { summary, .. } = trained;
    let outcome = Outcome {
        output,
        settings,
        columns: examples.columns(),
        summary,
        baseline: data.baseline,
        plan,
        history: watcher.history,
    };
    if json { report::print_json(&outcome.json()) } else { report::print(&outcome.text()) }
}

/// A new run.
fn prepare(ranks: &Ranks, args: &TrainArgs, training: Training, new: &dyn NewModel) -> Result<Prepared, Failure> {
    let output = args.output();
    // The first rank's default name is everyone's.
    let output = PathBuf::from(OsString::from_vec(ranks.all_gather(output.as_os_str().as_bytes()).swap_remove(0)));
    if ranks.is_first() {
        RunDirectory::check_free(&output)?;
    }
    let data = Data::read(args)?;
    let (name, encoder, mut settings) = match &args.model {
        Some(name) => {
            let encoder = load(name, args.settings.precision())?;
            let base = match training {
                Training::Contrastive => Settings::for_model(&encoder),
                Training::Mlm => Settings::for_pretraining(Some(&encoder)),
            };
            let settings = args.settings.over(base)?;
            (name.clone(), encoder, settings)
        }
        None => {
            let settings = args.settings.over(new.settings())?;
            settings.check()?;
            let encoder = new.build(&data.examples, &settings)?;
            (new.name(), encoder, settings)
        }
    };
    args.set_prompt(&mut settings, &encoder.directory.prompts)?;
    let notes = notes_on_inputs(&name, &encoder, &settings, &data);
    let mut trainer = Trainer::new(encoder, &data.examples, settings, output)?;
    trainer.ranks = ranks.clone();
    trainer.sources = Sources {
        on_hub: args.model.is_some() && !Path::new(&name).is_dir(),
        model: name,
        inputs: args.inputs(data.examples.columns()),
        exclude_by: data.exclude_by.map(|by| by.name().to_owned()),
        evaluation: data.scorer.source()?,
    };
    Ok(Prepared { data, trainer, notes })
}

/// What to tell the user about data and model.
fn notes_on_inputs(name: &str, encoder: &SentenceEncoder, settings: &Settings, data: &Data) -> Vec<Message> {
    let mut notes = Vec::new();
    if let Some(held_out) = &data.scorer.unlabeled {
        let sentences = counted(held_out.texts().len(), "sentence", "sentences");
        notes.push(Message::Note(format!(
            "{sentences} held out, with all that are equal to one of them; models are scored on them"
        )));
    }
    let length = encoder.directory.max_seq_length;
    if data.scorer.texts() > 0 && length > settings.max_seq_length {
        notes.push(Message::Note(format!(
            "texts of development and test sets are truncated to {} tokens, as the final model will do; {name} itself \
             truncates to {length}",
            settings.max_seq_length
        )));
    }
    let is_unsupervised = settings.objective == Training::Contrastive && data.examples.columns() == 1;
    let is_tuned = encoder.directory.is_sentence_transformers && !encoder.directory.has_mlm_head();
    if is_tuned && is_unsupervised {
        notes.push(Message::Warning(format!(
            "{name} is already a sentence-embedding model; the scores of such models usually get worse under \
             unsupervised training"
        )));
    }
    let prompts = &encoder.directory.prompts;
    if let Some(default) = prompts.default_name().filter(|_| {
        settings.objective == Training::Contrastive
            && settings.prompt.is_empty()
            && !prompts.default_prompt().is_empty()
    }) {
        notes.push(Message::Note(format!(
            "{name} puts its prompt {default} in front of texts by default, but training does not; to train with it, \
             give --prompt-name {default}"
        )));
    }
    notes
}

/// Checks that both a model and something to train on are given, or neither.
fn check_usage(args: &TrainArgs) -> Result<(), Failure> {
    let missing = match (!args.sentences.is_empty() || args.data.is_some(), &args.model) {
        (true, Some(_)) | (false, None) => return Ok(()),
        (false, Some(_)) => "nothing to train on: give a file of sentences, or --data",
        (true, None) => "no model: give --model, a directory or a name on the hub",
    };
    let example = "simcse train titles.txt --model distilroberta-base";
    Err(Failure::Usage(format!("{missing}; for example: {example}")))
}
