//! The flags of the settings, generated from the table of settings.

use std::marker::PhantomData;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use simcse_model::{Named, Precision};
use simcse_train::{Recipe, Setting, Settings};

use crate::error::Failure;

/// A command that has settings as flags.
pub(crate) trait HasSettings {
    /// Whether the command has this one.
    fn has(name: &str) -> bool;
}

/// `simcse train`: the objective is its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfTraining;

impl HasSettings for OfTraining {
    fn has(name: &str) -> bool {
        name != "objective"
    }
}

/// `simcse pretrain`: without what concerns embeddings alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfPretraining;

impl HasSettings for OfPretraining {
    fn has(name: &str) -> bool {
        OfTraining::has(name) && !Settings::is_of_embeddings(name)
    }
}

/// `simcse bench`, which measures the steps of both.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfBench;

impl HasSettings for OfBench {
    fn has(_: &str) -> bool {
        true
    }
}

/// The settings that are given as flags of a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingArgs<C> {
    /// Names and values as text, in the order of the table.
    given: Vec<(&'static str, String)>,
    of: PhantomData<C>,
}

impl<C: HasSettings> SettingArgs<C> {
    /// The same flags as those of `simcse train`.
    pub(crate) fn of_training(self) -> SettingArgs<OfTraining> {
        SettingArgs { given: self.given, of: PhantomData }
    }

    fn table() -> impl Iterator<Item = &'static Setting<Settings>> {
        Settings::TABLE.iter().filter(|setting| C::has(setting.name))
    }

    /// The value that is given for a setting, as text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, text)| text.as_str())
    }

    /// The recipe, if one is given.
    pub(crate) fn recipe(&self) -> Option<Recipe> {
        Recipe::from_name(self.get("recipe")?).ok()
    }

    /// The given precision, or the default.
    pub(crate) fn precision(&self) -> Precision {
        self.get("precision").and_then(|name| Precision::from_name_or_auto(name).ok()).unwrap_or_default()
    }

    /// `base`, overridden by the recipe if one is given, and then by the other flags.
    pub(crate) fn over(&self, base: Settings) -> Result<Settings, Failure> {
        let mut settings = match self.recipe() {
            Some(recipe) => base.with_recipe(recipe),
            None => base,
        };
        for (name, text) in &self.given {
            settings.set(name, text)?;
        }
        Ok(settings)
    }
}

impl<C: HasSettings> Args for SettingArgs<C> {
    fn augment_args(command: Command) -> Command {
        Self::table().fold(command, |command, setting| command.arg(flag(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<C: HasSettings> FromArgMatches for SettingArgs<C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self { given: Vec::new(), of: PhantomData };
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let text = |setting: &Setting<Settings>| matches.get_one::<String>(setting.name).cloned();
        self.given = Self::table().filter_map(|setting| Some((setting.name, text(setting)?))).collect();
        Ok(())
    }
}

/// The flag of a setting.
fn flag(setting: &'static Setting<Settings>) -> Arg {
    let flag = Arg::new(setting.name).long(setting.flag()).help(help(setting));
    let flag = flag.value_parser(move |text: &str| {
        setting.accepts(text).map(|()| text.to_owned()).map_err(|expected| format!("expected {expected}"))
    });
    let flag = match setting.is_switch() {
        true => flag.value_name("false").num_args(0..=1).require_equals(true).default_missing_value("true"),
        false => flag.value_name(setting.value_name),
    };
    let flag = match setting.replaces {
        Some(replaced) => flag.conflicts_with(replaced),
        None => flag,
    };
    if setting.name == "recipe" { flag.requires("model") } else { flag }
}

fn help(setting: &Setting<Settings>) -> String {
    let help = setting.help.trim();
    match setting.default().filter(|_| !setting.is_switch()) {
        Some(default) => format!("{help} [default: {default}]"),
        None => help.to_owned(),
    }
}
