//! Files of Apache Arrow's IPC file format: a column `text` and a column `embedding` of lists of
//! one length.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, RecordBatch, StringArray};
use arrow_array::{Float16Array, Float32Array, Int8Array, UInt8Array};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema};
use ndarray::ArrayView2;
use simcse_eval::{Quantized, ValueType};

use crate::commands::encode::format::Numbers;

/// A file that is being written. It is none before [`finish`](Self::finish).
pub(crate) struct ArrowFile {
    writer: FileWriter<BufWriter<File>>,
    schema: Arc<Schema>,
    numbers: Numbers,
    /// The numbers of a list.
    item: FieldRef,
    width: i32,
}

impl ArrowFile {
    pub(crate) fn create(file: BufWriter<File>, numbers: Numbers) -> io::Result<Self> {
        let data_type = match numbers.value_type {
            ValueType::F32 => DataType::Float32,
            ValueType::F16 => DataType::Float16,
            ValueType::Int8 | ValueType::Binary => DataType::Int8,
            ValueType::Uint8 | ValueType::Ubinary => DataType::UInt8,
        };
        let width = i32::try_from(numbers.width()).map_err(io::Error::other)?;
        let item = Arc::new(Field::new("item", data_type, false));
        let list = DataType::FixedSizeList(item.clone(), width);
        let fields = vec![Field::new("text", DataType::Utf8, false), Field::new("embedding", list, false)];
        let schema = Arc::new(Schema::new(fields));
        let writer = FileWriter::try_new(file, &schema).map_err(error)?;
        Ok(Self { writer, schema, numbers, item, width })
    }

    /// Writes the rows of `texts`, (S), as one batch: `embeddings`, (S, C).
    pub(crate) fn write(&mut self, texts: &[String], embeddings: ArrayView2<f32>) -> io::Result<()> {
        let rows = embeddings.rows().into_iter().map(|row| self.numbers.quantize(row));
        let numbers = rows.reduce(|mut all, row| {
            all.append(row);
            all
        });
        let Some(numbers) = numbers else { return Ok(()) };
        let numbers: ArrayRef = match numbers {
            Quantized::F32(values) => Arc::new(Float32Array::from(values)),
            Quantized::F16(values) => Arc::new(Float16Array::from(values)),
            Quantized::I8(values) => Arc::new(Int8Array::from(values)),
            Quantized::U8(values) => Arc::new(UInt8Array::from(values)),
        };
        let lists = FixedSizeListArray::try_new(self.item.clone(), self.width, numbers, None);
        let texts: StringArray = texts.iter().map(Some).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), vec![Arc::new(texts), Arc::new(lists.map_err(error)?)]);
        self.writer.write(&batch.map_err(error)?).map_err(error)
    }

    /// Completes the file.
    pub(crate) fn finish(&mut self) -> io::Result<&File> {
        self.writer.finish().map_err(error)?;
        Ok(self.writer.get_ref().get_ref())
    }
}

fn error(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}
