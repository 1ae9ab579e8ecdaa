//! One file or folder for each subcommand: its arguments, its help, and what it does.
//!
//! A command knows the libraries and the files of this crate that commands share. It must not know
//! another command, except for `pretrain`, whose runs are runs of `train` with another objective,
//! and `sweep`, which starts processes of `train`.

pub(crate) mod bench;
pub(crate) mod encode;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod index;
pub(crate) mod manuals;
pub(crate) mod mine;
pub(crate) mod paraphrases;
pub(crate) mod pretrain;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod similarity;
pub(crate) mod sweep;
pub(crate) mod train;
