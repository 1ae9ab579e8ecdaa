//! Formats of files of embeddings that are written row by row: NumPy, safetensors, JSON lines.
//!
//! The header's length does not depend on the number of rows: while rows are added, the header is
//! overwritten.

use std::io::{self, Write};

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simcse_eval::{Quantized, Ranges, ValueType};

/// A format that is written row by row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowFormat {
    /// NumPy's format, version 1.0, C order.
    Npy,
    /// One object with `text` and `embedding` per line.
    Jsonl,
    /// One tensor, `embeddings`.
    Safetensors,
}

/// A row in JSON lines.
#[derive(Serialize)]
struct JsonRow<'a> {
    text: &'a str,
    embedding: Quantized,
}

/// A row that was written: its text, if the format has it, and its numbers.
#[derive(Deserialize)]
pub(crate) struct Row {
    pub(crate) text: Option<String>,
    pub(crate) embedding: Vec<f32>,
}

/// The numbers that embeddings are written as, in any format.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) value_type: ValueType,
    /// Those of the values, if the type needs them.
    pub(crate) ranges: Option<Ranges>,
    /// The values of an embedding.
    pub(crate) dimension: usize,
}

impl Numbers {
    /// The numbers of an embedding.
    pub(crate) fn width(&self) -> usize {
        self.value_type.width(self.dimension)
    }

    /// Quantizes an embedding, (C).
    pub(crate) fn quantize(&self, embedding: ArrayView1<f32>) -> Quantized {
        match embedding.as_slice() {
            Some(values) => self.value_type.quantize(values, self.ranges.as_ref()),
            None => self.value_type.quantize(&embedding.to_vec(), self.ranges.as_ref()),
        }
    }
}

/// What a file that is written row by row looks like.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) format: RowFormat,
    pub(crate) numbers: Numbers,
}

impl Layout {
    /// NumPy requires a multiple of 64, safetensors of 8; the largest numbers fit.
    const HEADER: usize = 192;

    /// The bytes in front of the rows.
    pub(crate) fn header_bytes(&self) -> usize {
        match self.format {
            RowFormat::Jsonl => 0,
            RowFormat::Npy | RowFormat::Safetensors => Self::HEADER,
        }
    }

    /// The bytes of a row; `None` if they depend on it.
    pub(crate) fn row_bytes(&self) -> Option<usize> {
        match self.format {
            RowFormat::Jsonl => None,
            RowFormat::Npy | RowFormat::Safetensors => Some(self.numbers.width() * self.numbers.value_type.bytes()),
        }
    }

    /// What is in front of `rows` rows.
    pub(crate) fn header(&self, rows: usize) -> Vec<u8> {
        let (width, value_type) = (self.numbers.width(), self.numbers.value_type);
        match self.format {
            RowFormat::Jsonl => Vec::new(),
            RowFormat::Npy => {
                let prefix = b"\x93NUMPY\x01\x00";
                let text = Self::HEADER - prefix.len() - size_of::<u16>();
                let descr = match value_type {
                    ValueType::F32 => "<f4",
                    ValueType::F16 => "<f2",
                    ValueType::Int8 | ValueType::Binary => "|i1",
                    ValueType::Uint8 | ValueType::Ubinary => "|u1",
                };
                let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
                let header = format!("{header:<width$}\n", width = text - 1);
                [&prefix[..], &(text as u16).to_le_bytes(), header.as_bytes()].concat()
            }
            RowFormat::Safetensors => {
                let text = Self::HEADER - size_of::<u64>();
                let dtype = match value_type {
                    ValueType::F32 => "F32",
                    ValueType::F16 => "F16",
                    ValueType::Int8 | ValueType::Binary => "I8",
                    ValueType::Uint8 | ValueType::Ubinary => "U8",
                };
                let bytes = rows * width * value_type.bytes();
                let tensor = json!({ "dtype": dtype, "shape": [rows, width], "data_offsets": [0, bytes] });
                let header = format!("{:<text$}", json!({ "embeddings": tensor }).to_string());
                [&(text as u64).to_le_bytes(), header.as_bytes()].concat()
            }
        }
    }

    /// The number of rows that a header states, if it is a header of this layout.
    pub(crate) fn rows_of(&self, header: &[u8]) -> Option<usize> {
        let rows = match self.format {
            RowFormat::Jsonl => 0,
            RowFormat::Npy => {
                let text = String::from_utf8_lossy(header);
                text.split_once("'shape': (")?.1.split_once(',')?.0.parse().ok()?
            }
            RowFormat::Safetensors => {
                let header: Value = serde_json::from_slice(header.get(size_of::<u64>()..)?).ok()?;
                header["embeddings"]["shape"][0].as_u64()?.try_into().ok()?
            }
        };
        (rows < 1 << 40 && self.header(rows) == header).then_some(rows)
    }

    /// Writes the row of a text.
    pub(crate) fn write(&self, out: &mut impl Write, text: &str, embedding: ArrayView1<f32>) -> io::Result<()> {
        let embedding = self.numbers.quantize(embedding);
        match self.format {
            RowFormat::Jsonl => {
                serde_json::to_writer(&mut *out, &JsonRow { text, embedding })?;
                out.write_all(b"\n")
            }
            RowFormat::Npy | RowFormat::Safetensors => out.write_all(&embedding.to_bytes()),
        }
    }

    /// The row that [`write`](Self::write) has written as `bytes`; `None` if it is none.
    pub(crate) fn read(&self, bytes: &[u8]) -> Option<Row> {
        match self.format {
            RowFormat::Jsonl => serde_json::from_slice(bytes).ok(),
            RowFormat::Npy | RowFormat::Safetensors => {
                Some(Row { text: None, embedding: self.numbers.value_type.read(bytes).to_f32() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use simcse_model::Named;

    use super::*;

    #[test]
    fn headers_are_equally_long_for_any_number_of_rows_and_say_it() {
        for format in [RowFormat::Npy, RowFormat::Jsonl, RowFormat::Safetensors] {
            for &value_type in ValueType::ALL {
                let numbers = |dimension| Numbers { value_type, ranges: None, dimension };
                let layout = Layout { format, numbers: numbers(1 << 14) };
                let rows = (1 << 40) - 1;
                let most = layout.header(rows);
                assert_eq!(most.len(), layout.header_bytes());
                assert_eq!(most.len() % 64, 0);
                let Some(row) = layout.row_bytes() else { continue };
                assert_eq!(layout.rows_of(&most), Some(rows));
                assert_eq!(layout.rows_of(&most[1..]), None);
                let narrow = Layout { format, numbers: numbers(1 << 12) };
                assert!(narrow.row_bytes() < Some(row) && narrow.rows_of(&most).is_none());
            }
        }
    }
}
