//! Files of embeddings: NumPy, safetensors, JSON lines.
//!
//! Rows are written as they are computed. The header's length does not depend on their number, so
//! the header is overwritten at the end, when the number is known.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use ndarray::ArrayView2;
use same_file::Handle;
use serde::Serialize;
use serde_json::json;
use simcse_model::io::{is_standard_input, write_atomically};

use crate::error::Failure;
use crate::report::STANDARD_OUTPUT;

/// The value of `--output`.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    /// `-`: JSON lines.
    StandardOutput,
    File(PathBuf, Format),
}

/// The format that an extension selects.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    /// NumPy's format, version 1.0: `<f4`, C order.
    Npy,
    /// One object with `text` and `embedding` per line.
    Jsonl,
    /// One tensor, `embeddings`.
    Safetensors,
}

/// A line of JSON lines.
#[derive(Serialize)]
struct Record<'a> {
    text: &'a str,
    embedding: &'a [f32],
}

impl Output {
    /// For the argument parser.
    pub(crate) fn parse(output: OsString) -> Result<Self, String> {
        if output == "-" {
            return Ok(Self::StandardOutput);
        }
        let path = PathBuf::from(output);
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Format::Npy,
            Some("jsonl") => Format::Jsonl,
            Some("safetensors") => Format::Safetensors,
            _ => return Err("expected a name ending in .npy, .jsonl or .safetensors, or -".to_owned()),
        };
        if path.is_dir() {
            return Err("expected a file, found a directory".to_owned());
        }
        Ok(Self::File(path, format))
    }

    /// Refuses to overwrite the input while it is read, or to append to it forever.
    pub(crate) fn refuse(&self, input: &Path) -> Result<(), Failure> {
        let input = if is_standard_input(input) { Handle::stdin() } else { regular(input) };
        let output = match self {
            Self::StandardOutput => Handle::stdout(),
            Self::File(path, _) => regular(path),
        };
        let (Ok(input), Ok(output)) = (input, output) else {
            return Ok(()); // a missing or unreadable file is reported elsewhere
        };
        let is_file = output.as_file().metadata().is_ok_and(|metadata| metadata.is_file());
        if !is_file || input != output {
            return Ok(());
        }
        let name = match self {
            Self::StandardOutput => STANDARD_OUTPUT.to_owned(),
            Self::File(path, _) => path.display().to_string(),
        };
        Err(Failure::Usage(format!("--output: expected a file other than the input, found the input: {name}")))
    }
}

/// A handle of a regular file: opening anything else could block until it has a writer.
fn regular(path: &Path) -> io::Result<Handle> {
    if fs::metadata(path)?.is_file() { Handle::from_path(path) } else { Err(io::Error::other("not a regular file")) }
}

impl Format {
    /// The bytes in front of `rows` embeddings of `dimension` values.
    fn header(self, rows: usize, dimension: usize) -> Vec<u8> {
        /// NumPy requires a multiple of 64, safetensors of 8; the largest numbers fit.
        const LEN: usize = 192;
        match self {
            Self::Jsonl => Vec::new(),
            Self::Npy => {
                let prefix = b"\x93NUMPY\x01\x00";
                let text = LEN - prefix.len() - size_of::<u16>();
                let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}");
                let header = format!("{header:<width$}\n", width = text - 1);
                [&prefix[..], &(text as u16).to_le_bytes(), header.as_bytes()].concat()
            }
            Self::Safetensors => {
                let text = LEN - size_of::<u64>();
                let bytes = rows * dimension * size_of::<f32>();
                let tensor = json!({ "dtype": "F32", "shape": [rows, dimension], "data_offsets": [0, bytes] });
                let header = format!("{:<text$}", json!({ "embeddings": tensor }).to_string());
                [&(text as u64).to_le_bytes(), header.as_bytes()].concat()
            }
        }
    }

    /// Writes `embeddings`, (S, C), of `texts`, (S).
    pub(crate) fn write_rows(
        self,
        out: &mut impl Write,
        texts: &[String],
        embeddings: ArrayView2<f32>,
    ) -> io::Result<()> {
        for (text, row) in texts.iter().zip(embeddings.rows()) {
            match self {
                Self::Jsonl => {
                    let embedding = row.as_slice().expect("rows in C order");
                    serde_json::to_writer(&mut *out, &Record { text, embedding })?;
                    out.write_all(b"\n")?;
                }
                Self::Npy | Self::Safetensors => {
                    row.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
                }
            }
        }
        out.flush()
    }
}

/// Writes a file of embeddings that is either complete or not there. `write` writes the rows and
/// returns their number.
pub(crate) fn write_file(
    path: &Path,
    format: Format,
    dimension: usize,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<usize, Failure>,
) -> Result<usize, Failure> {
    let mut result = Ok(0);
    let written = write_atomically(path, |file| {
        file.write_all(&format.header(0, dimension))?;
        result = write(file);
        let Ok(rows) = result else {
            return Err(io::Error::other("no rows")); // removes the file; `result` says why
        };
        file.rewind()?;
        file.write_all(&format.header(rows, dimension))
    });
    let rows = result?;
    written.map_err(|error| Failure::Failed(format!("cannot write {error}")))?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_equally_long_for_any_number_of_rows() {
        for format in [Format::Npy, Format::Jsonl, Format::Safetensors] {
            let most = format.header(usize::MAX >> 17, 1 << 14);
            assert_eq!(most.len(), format.header(0, 1).len());
            assert_eq!(most.len() % 64, 0);
        }
    }
}
