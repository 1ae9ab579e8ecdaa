//! Writes a model's file, one tensor at a time: never more than a tensor of it is in memory besides
//! the weights themselves.
//!
//! A message inside another is preceded by its length, so the lengths are computed first, and the
//! messages are written around the weights. A protocol buffer has at most 2 GiB. Where a file would
//! be larger, the weights go into a file next to it, as ONNX's external data.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use prost::Message;

use crate::directory::weights::write::write_floats;
use crate::error::Result;
use crate::io::files::write_atomically;
use crate::onnx::graph::Data;
use crate::onnx::messages::{
    DataLocation, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
};

/// The version of ONNX's operators: optimum's default. The version of the format is the one that
/// came with it.
pub(super) const OPSET: i64 = 18;
const IR: i64 = 8;
/// The largest protocol buffer that is read everywhere, in bytes.
pub(super) const LARGEST: usize = i32::MAX as usize;
/// External data begin at multiples of a page, so that they can be mapped.
const PAGE: usize = 4096;

/// Writes the file `path`, and, if it would have more than `largest` bytes, the weights as
/// `path` + `_data`: the name that optimum looks for.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub(super) fn write(
    path: &Path,
    graph: &GraphProto,
    mut tensors: Vec<(TensorProto, Data)>,
    largest: usize,
) -> Result<()> {
    if encoded_len(graph, &tensors) > largest {
        let data_path = with_suffix(path, "_data");
        place(&mut tensors, &data_path);
        write_atomically(&data_path, |writer| {
            tensors.iter().filter(|(tensor, _)| is_external(tensor)).try_for_each(|(_, data)| {
                data.write(writer)?;
                let gap = data.size().next_multiple_of(PAGE) - data.size();
                writer.write_all(&vec![0; gap])
            })
        })?;
    }
    write_atomically(path, |writer| {
        writer.write_all(&head().encode_to_vec())?;
        start_message(writer, ModelProto::GRAPH, graph_len(graph, &tensors))?;
        writer.write_all(&graph.encode_to_vec())?;
        tensors.iter().try_for_each(|(tensor, data)| {
            start_message(writer, GraphProto::INITIALIZER, tensor_len(tensor, data))?;
            writer.write_all(&tensor.encode_to_vec())?;
            if is_external(tensor) {
                return Ok(());
            }
            start_message(writer, TensorProto::RAW_DATA, data.size())?;
            data.write(writer)
        })
    })
}

/// A model without its graph.
fn head() -> ModelProto {
    ModelProto {
        ir_version: IR,
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: None,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Gives all weights a place in an external file. Constants stay in the graph, because the shapes
/// of other values may depend on them.
fn place(tensors: &mut [(TensorProto, Data)], path: &Path) {
    let mut offset = 0;
    let location = path.file_name().unwrap_or_default().to_string_lossy();
    for (tensor, data) in tensors.iter_mut().filter(|(_, data)| !matches!(data, Data::Constant(_))) {
        let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.to_owned(), value };
        let entries =
            [("location", location.to_string()), ("offset", offset.to_string()), ("length", data.size().to_string())];
        tensor.external_data = entries.into_iter().map(entry).collect();
        tensor.data_location = DataLocation::External.into();
        offset += data.size().next_multiple_of(PAGE);
    }
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location() == DataLocation::External
}

/// The bytes of the whole file.
fn encoded_len(graph: &GraphProto, tensors: &[(TensorProto, Data)]) -> usize {
    head().encoded_len() + delimited_len(graph_len(graph, tensors))
}

/// The bytes of the graph with its tensors.
fn graph_len(graph: &GraphProto, tensors: &[(TensorProto, Data)]) -> usize {
    let tensors = tensors.iter().map(|(tensor, data)| delimited_len(tensor_len(tensor, data)));
    graph.encoded_len() + tensors.sum::<usize>()
}

/// The bytes of a tensor with its values.
fn tensor_len(tensor: &TensorProto, data: &Data) -> usize {
    let values = if is_external(tensor) { 0 } else { delimited_len(data.size()) };
    tensor.encoded_len() + values
}

/// The bytes of a field of `len` bytes, with its number and its length.
fn delimited_len(len: usize) -> usize {
    1 + prost::length_delimiter_len(len) + len
}

/// Writes the number of a field below 16, and the length of what follows.
fn start_message(writer: &mut impl Write, field: u8, len: usize) -> io::Result<()> {
    const LENGTH_DELIMITED: u8 = 2;
    let mut bytes = vec![field << 3 | LENGTH_DELIMITED];
    prost::encode_length_delimiter(len, &mut bytes)?;
    writer.write_all(&bytes)
}

impl Data<'_> {
    /// The number of bytes.
    fn size(&self) -> usize {
        match self {
            Self::Weights(values) | Self::Transposed(values, _) => size_of_val(*values),
            Self::Constant(bytes) => bytes.len(),
        }
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        match *self {
            Self::Constant(ref bytes) => writer.write_all(bytes),
            Self::Weights(values) => write_floats(writer, values),
            Self::Transposed(values, columns) => {
                let transposed: Vec<f32> =
                    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect();
                write_floats(writer, &transposed)
            }
        }
    }
}
