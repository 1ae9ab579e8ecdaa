//! Reads TensorBoard's event files by the wire format alone, without the program's own code.

use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Scalar(f32),
    Text(String),
}

/// The event files in a directory, in the order in which TensorBoard reads them.
pub(crate) fn event_files(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().contains("tfevents")).collect();
    paths.sort();
    paths
}

/// The named values of all files: their step, their tag, and what they are.
pub(crate) fn values(directory: &Path) -> Vec<(i64, String, Value)> {
    let events = event_files(directory).into_iter().flat_map(|path| events(&path));
    let values = events.flat_map(|event| {
        let step = whole(&event, 2).unwrap_or(0) as i64;
        let summary =
            bytes(&event, 5).into_iter().flat_map(|summary| all_bytes(&fields(summary), 1)).collect::<Vec<_>>();
        summary.into_iter().map(move |value| {
            let value = fields(&value);
            let tag = String::from_utf8(bytes(&value, 1).unwrap().to_vec()).unwrap();
            (step, tag, read_value(&value))
        })
    });
    values.collect()
}

/// The steps from which on a file replaces earlier ones.
pub(crate) fn starts(directory: &Path) -> Vec<u64> {
    let events = event_files(directory).into_iter().flat_map(|path| events(&path));
    let started = events.filter(|event| bytes(event, 7).is_some_and(|log| whole(&fields(log), 1) == Some(1)));
    started.map(|event| whole(&event, 2).unwrap_or(0)).collect()
}

fn read_value(value: &[(u32, Field)]) -> Value {
    if let Some((_, Field::Fixed32(bits))) = value.iter().find(|(number, _)| *number == 2) {
        return Value::Scalar(f32::from_bits(*bits));
    }
    let plugin = fields(bytes(&fields(bytes(value, 9).unwrap()), 1).unwrap());
    assert_eq!(bytes(&plugin, 1), Some(&b"text"[..]));
    let tensor = fields(bytes(value, 8).unwrap());
    assert_eq!(whole(&tensor, 1), Some(7), "DT_STRING");
    Value::Text(String::from_utf8(bytes(&tensor, 8).unwrap().to_vec()).unwrap())
}

/// The events of a file, the first of which must say its version.
fn events(path: &Path) -> Vec<Vec<(u32, Field)>> {
    let file = fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(rest[8..12], checksum(&rest[..8]));
        let data = &rest[12..12 + length];
        assert_eq!(rest[12 + length..16 + length], checksum(data));
        events.push(fields(data));
        rest = &rest[16 + length..];
    }
    assert_eq!(bytes(&events[0], 3), Some(&b"brain.Event:2"[..]));
    events
}

/// The masked CRC-32C, bit by bit.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[derive(Clone, Debug)]
pub(crate) enum Field {
    Varint(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(Vec<u8>),
}

/// The fields of a message, with their numbers.
fn fields(message: &[u8]) -> Vec<(u32, Field)> {
    let mut rest = message;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut rest)),
            1 => {
                rest = &rest[8..];
                Field::Fixed64
            }
            2 => {
                let length = varint(&mut rest) as usize;
                let (bytes, after) = rest.split_at(length);
                rest = after;
                Field::Bytes(bytes.to_vec())
            }
            5 => {
                let (bits, after) = rest.split_at(4);
                rest = after;
                Field::Fixed32(u32::from_le_bytes(bits.try_into().unwrap()))
            }
            kind => panic!("a field of kind {kind}"),
        };
        fields.push(((key >> 3) as u32, field));
    }
    fields
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, after) = rest.split_first().unwrap();
        *rest = after;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            break;
        }
    }
    value
}

fn whole(fields: &[(u32, Field)], number: u32) -> Option<u64> {
    fields.iter().find_map(|(found, field)| match field {
        Field::Varint(value) if *found == number => Some(*value),
        _ => None,
    })
}

fn bytes(fields: &[(u32, Field)], number: u32) -> Option<&[u8]> {
    fields.iter().find_map(|(found, field)| match field {
        Field::Bytes(bytes) if *found == number => Some(&bytes[..]),
        _ => None,
    })
}

fn all_bytes(fields: &[(u32, Field)], number: u32) -> Vec<Vec<u8>> {
    let all = fields.iter().filter_map(|(found, field)| match field {
        Field::Bytes(bytes) if *found == number => Some(bytes.clone()),
        _ => None,
    });
    all.collect()
}
