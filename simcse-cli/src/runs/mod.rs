//! Runs on disk: what they were made of, what they have logged, and where they are.
//!
//! `find` finds runs below directories; a `Run` has its settings as names and texts, its figures,
//! and how far it is.
//!
//! This room knows the files of a run. It must not know how a run is carried out, nor how it is
//! shown.

pub(crate) mod columns;
pub(crate) mod figures;
pub(crate) mod find;
pub(crate) mod log;
pub(crate) mod record;
pub(crate) mod run;
