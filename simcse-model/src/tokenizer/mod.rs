//! The tokenizer of a model directory: exactly the one that transformers builds from its files, or
//! an error.
//!
//! This room knows tokenizer files and transformers' rules for them: which class a directory names,
//! which file takes precedence, which tokens are added. It may read `config.json` for the class
//! alone; it must not know the encoder, pooling or any other file of a model.
//!
//! Source: transformers' `AutoTokenizer` and its classes (version 5), and sentence-transformers'
//! `Transformer`, which encodes with `truncation="longest_first"`.

mod build;
mod caught;
mod class;
pub(crate) mod encode;
pub(crate) mod files;
mod made;
mod patterns;
mod pipeline;
mod settings;
mod special_tokens;
pub(crate) mod template;
mod token;
mod token_files;
mod vocabulary;
