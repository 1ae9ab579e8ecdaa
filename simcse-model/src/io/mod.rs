//! Files: bounded reads, atomic writes, lines of text, records of tables, columns of texts, JSON
//! fields, and foreign text in messages.
//!
//! This room knows file systems and bytes. It must not know what a model, a tokenizer, or a run is.
//! Every crate above uses it, so that there is one atomic replace, one line reader, and one way of
//! showing foreign text.
//!
//! ```
//! use simcse_model::io::{Lines, write_bytes};
//!
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("sentences.txt");
//! write_bytes(&path, b"the cat sleeps\nthe dog barks\n")?;
//! let mut lines = Lines::open(&path)?;
//! assert_eq!(lines.next_line()?.map(|line| line.text), Some("the cat sleeps"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod choice;
pub(crate) mod columns;
pub(crate) mod files;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod records;
pub(crate) mod text;

pub use columns::Texts;
pub use files::{
    atomically, create_directory, directory_atomically, sync_parent, uninterrupted, write_atomically, write_bytes,
};
pub use json::json_kind;
pub use lines::{Line, LineError, Lines, MAX_LINE, is_standard_input, source_name};
pub use records::{Record, RecordError, RecordFormat, Records};
pub use text::{counted, excerpt, figure, format_bytes, hexadecimal, printable};
