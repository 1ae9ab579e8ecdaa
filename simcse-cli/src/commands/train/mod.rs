//! `simcse train`: from the arguments to a run, and what came out.

mod announce;
mod args;
mod data;
mod embedded;
mod outcome;
mod resume;
mod scorer;
mod settings;
mod watcher;

use simcse_model::Named;
use simcse_train::{Error, RunDirectory, Settings, Sources, Trainer};

use crate::error::Failure;
use crate::inputs::load;
use crate::stop;
use crate::{progress, report};
use announce::{announce, memory_note};
pub(crate) use args::TrainArgs;
use data::Data;
use outcome::Outcome;
use watcher::Watcher;

pub(crate) fn run(args: TrainArgs) -> Result<(), Failure> {
    let json = args.json.json;
    let (data, mut trainer) = match &args.resume_from_checkpoint {
        None => begin(&args)?,
        Some(from) => resume::resume(&from.clone(), args.clone())?,
    };
    let plan = trainer.plan_memory(data.scorer.texts(), args.memory_limit)?;
    report::note(&memory_note(&plan, trainer.settings().mini_batch_tokens));

    let output = trainer.output().to_path_buf();
    let settings = trainer.settings().clone();
    let bar = progress::steps_bar(trainer.total_steps()).with_position(trainer.done());
    let mut watcher = Watcher { scorer: data.scorer, bar };
    let trained = {
        let _deferred = stop::defer();
        trainer.train(&mut watcher)
    };
    watcher.bar.finish_and_clear();
    let trained = trained.map_err(|error| match error {
        Error::Stopped { .. } => Failure::Stopped(error.to_string()),
        error => error.into(),
    })?;

    let outcome = Outcome { output, settings, summary: trained.summary, baseline: data.baseline, plan };
    if json { report::print_json(&outcome.json()) } else { report::print(&outcome.text()) }
}

/// A new run.
fn begin(args: &TrainArgs) -> Result<(Data, Trainer), Failure> {
    check_usage(args)?;
    let output = args.output();
    RunDirectory::check_free(&output)?;
    let data = Data::read(args)?;
    let (name, encoder, settings) = match &args.model {
        Some(name) => {
            let encoder = load(name, args.settings.precision())?;
            let settings = args.settings.over(Settings::for_model(&encoder))?;
            (name.clone(), encoder, settings)
        }
        None => {
            let settings = args.settings.over(embedded::settings())?;
            settings.check()?;
            let encoder = embedded::encoder(&data.sentences, &settings)?;
            (embedded::MODEL.to_owned(), encoder, settings)
        }
    };
    let is_sentence_model = encoder.directory.is_sentence_transformers;
    let mut trainer = Trainer::new(encoder, &data.sentences, settings, output)?;
    trainer.sources = Sources {
        model: name,
        inputs: args.inputs(),
        exclude_by: data.exclude_by.map(|by| by.name().to_owned()),
        evaluation: data.scorer.source()?,
    };
    announce(&trainer);
    if is_sentence_model {
        report::note(&format!(
            "warning: {} already is a sentence-embedding model; such a model's scores usually get worse under \
             unsupervised training",
            trainer.sources.model
        ));
    }
    Ok((data, trainer))
}

/// Checks that there is a model where there is something to train on, and the other way round.
fn check_usage(args: &TrainArgs) -> Result<(), Failure> {
    let missing = match (args.sentences.is_some() || args.data.is_some(), &args.model) {
        (true, Some(_)) | (false, None) => return Ok(()),
        (false, Some(_)) => "nothing to train on: name a file of sentences, or --data",
        (true, None) => "no model: name one with --model, a directory or a name on the hub",
    };
    let example = "simcse train titles.txt --model distilroberta-base";
    Err(Failure::Usage(format!("{missing}; for example: {example}")))
}
