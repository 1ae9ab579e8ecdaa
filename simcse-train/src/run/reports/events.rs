//! TensorBoard's event files: records of protocol buffers, each with its length and two checksums.
//!
//! A record is the length of its data (u64), the masked CRC-32C of these eight bytes (u32), the
//! data, and their masked CRC-32C (u32), all little-endian. Messages and the numbers of their
//! fields are those of TensorFlow's `event.proto`, `summary.proto` and `tensor.proto`, as far as
//! they are used here.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use prost::Message;

/// The version that every file begins with. Readers of this one purge what an earlier file has of
/// the steps after a [`Status::Start`].
pub(super) const VERSION: &str = "brain.Event:2";
/// TensorFlow's `DT_STRING`.
const STRING: i32 = 7;
/// Longer records are not read; ours have some kilobytes.
const LONGEST: u64 = 1 << 24;

/// Something that happened during a run.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub(super) what: Option<What>,
}

/// What happened.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// The start of a process that goes on with a run.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionLog {
    #[prost(enumeration = "Status", tag = "1")]
    pub(super) status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Status {
    Unspecified = 0,
    Start = 1,
}

/// Named values of one step.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<Tagged>,
}

/// TensorFlow's `Summary.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Tagged {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
    #[prost(oneof = "Content", tags = "2, 8")]
    pub(super) value: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "8")]
    Text(Tensor),
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin: Option<Plugin>,
}

#[derive(Clone, PartialEq, Message)]
struct Plugin {
    #[prost(string, tag = "1")]
    name: String,
}

/// TensorFlow's `TensorProto`, of texts.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(super) texts: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "2")]
    dimensions: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, tag = "1")]
    size: i64,
}

impl Tagged {
    pub(super) fn scalar(tag: String, value: f64) -> Self {
        Self { tag, metadata: None, value: Some(Content::Scalar(value as f32)) }
    }

    /// A text, which TensorBoard shows as Markdown. PyTorch: `SummaryWriter.add_text`.
    pub(super) fn text(tag: &str, text: &str) -> Self {
        let shape = Some(Shape { dimensions: vec![Dimension { size: 1 }] });
        let tensor = Tensor { dtype: STRING, shape, texts: vec![text.as_bytes().to_vec()] };
        let metadata = Metadata { plugin: Some(Plugin { name: "text".to_owned() }) };
        Self { tag: format!("{tag}/text_summary"), metadata: Some(metadata), value: Some(Content::Text(tensor)) }
    }
}

/// An event as a record.
pub(super) fn record(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    let parts = [&length[..], &checksum(&length), &data, &checksum(&data)];
    parts.concat()
}

/// The CRC-32C of `bytes`, masked as in TensorFlow: the checksum of bytes that contain their own
/// checksum would otherwise be a constant.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The events of a file, each with the number of bytes up to its end. They end before the first one
/// that is incomplete or damaged.
pub(super) fn events(path: &Path) -> io::Result<impl Iterator<Item = io::Result<(Event, u64)>>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut end = 0;
    Ok(std::iter::from_fn(move || match read(&mut file) {
        Ok(Some(data)) => {
            end += data.len() as u64 + 16;
            Event::decode(&data[..]).ok().map(|event| Ok((event, end)))
        }
        Ok(None) => None,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
        Err(error) => Some(Err(error)),
    }))
}

/// The data of the next record, or `None` if it is not as it was written.
fn read(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    let mut sum = [0; 4];
    file.read_exact(&mut length)?;
    file.read_exact(&mut sum)?;
    if sum != checksum(&length) || u64::from_le_bytes(length) > LONGEST {
        return Ok(None);
    }
    let mut data = vec![0; u64::from_le_bytes(length) as usize];
    file.read_exact(&mut data)?;
    file.read_exact(&mut sum)?;
    Ok((sum == checksum(&data)).then_some(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `tensorboard.summary.writer.record_writer.RecordWriter` (tensorboard 2.21): an
    /// `Event(wall_time=1.5, step=7)` with a summary of `train/loss` 0.25.
    const PEER: &str =
        "200000000000000029eda95009000000000000f83f10072a130a110a0a747261696e2f6c6f7373150000803ef4985d1a";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn records_are_those_of_tensorboard() {
        let value = vec![Tagged::scalar("train/loss".to_owned(), 0.25)];
        let event = Event { wall_time: 1.5, step: 7, what: Some(What::Summary(Summary { value })) };
        assert_eq!(record(&event), bytes(PEER));
    }

    #[test]
    fn what_is_damaged_and_what_follows_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let event = |step| Event { wall_time: 0.0, step, what: None };
        let whole: Vec<u8> = (1..4).flat_map(|step| record(&event(step))).collect();
        let read = |bytes: &[u8]| -> Vec<(i64, u64)> {
            std::fs::write(&path, bytes).unwrap();
            events(&path).unwrap().map(|found| found.map(|(event, end)| (event.step, end)).unwrap()).collect()
        };
        let each = whole.len() / 3;
        let ends = |count: usize| (1..=count).map(|n| (n as i64, (n * each) as u64)).collect::<Vec<_>>();
        for length in 0..=whole.len() {
            assert_eq!(read(&whole[..length]), ends(length / each));
        }
        for at in 0..each {
            let mut damaged = whole.clone();
            damaged[each + at] ^= 1;
            assert_eq!(read(&damaged), ends(1), "byte {at}");
        }
        assert_eq!(read(&[0; 100]), []);
    }
}
