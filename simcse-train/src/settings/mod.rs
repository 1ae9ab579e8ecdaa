//! The settings of a run, each declared once.
//!
//! This room knows names, defaults, ranges, how a setting is written in `run.toml`, and which
//! settings concern the model. It must not know how a run is carried out; other rooms ask it for
//! the values that they need. Names and defaults are those of the Hugging Face Trainer and of
//! sentence-transformers.

mod checks;
mod derived;
mod format;
mod recipe;
mod setting;
mod table;
mod values;

pub use recipe::Recipe;
pub use setting::Setting;
pub use table::Settings;
pub use values::{Direction, Mlp, ReportTo, Rounding, Training};

#[cfg(test)]
#[path = "tests/settings.rs"]
mod tests;
