//! Handmade bad `model.safetensors`. Each contains, or should contain, a tensor `w` of two values.

use std::fs;

use half::{bf16, f16};
use safetensors::SafeTensors;
use simcse_model::WeightsFile;

use crate::every_bit::same_reading;
use crate::{alone, assert_refused, bounded, load, model};

const GOOD: &str = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
const NOT: &str = "model.safetensors: expected a safetensors file, found: ";

/// A file with this header, followed by `data`.
fn file(header: impl AsRef<[u8]>, data: &[u8]) -> Vec<u8> {
    let header = header.as_ref();
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

/// A file of one tensor `w` with these fields, followed by `data` zero bytes.
fn tensor(dtype: &str, shape: &str, offsets: &str, data: usize) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}"#);
    file(header, &vec![0; data])
}

/// A file of two tensors of two values each at these offsets, followed by `data` zero bytes.
fn two(names: [&str; 2], offsets: [&str; 2], data: usize) -> Vec<u8> {
    let tensor = |i: usize| format!(r#""{}":{{"dtype":"F32","shape":[2],"data_offsets":{}}}"#, names[i], offsets[i]);
    file(format!("{{{},{}}}", tensor(0), tensor(1)), &vec![0; data])
}

fn floats(values: [f32; 2]) -> Vec<u8> {
    file(GOOD, &values.map(f32::to_le_bytes).concat())
}

fn halves(dtype: &str, values: [[u8; 2]; 2]) -> Vec<u8> {
    file(format!(r#"{{"w":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,4]}}}}"#), &values.concat())
}

/// For each case, a name, the bytes, and part of the message.
fn rows() -> Vec<(&'static str, Vec<u8>, String)> {
    let wv = ["w", "v"];
    let nested = |open: &str, close: &str| format!(r#"{{"w":{}{}}}"#, open.repeat(9999), close.repeat(9999));
    let long = format!(r#"{{"w":{}{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#, " ".repeat(2 << 20));
    let is_not = |found: &str| format!("{NOT}{found}");
    let of_w = |found: &str| format!("tensor w: expected {found}");
    vec![
        // Lengths of the header.
        ("empty", vec![], is_not("failed to fill whole buffer")),
        ("four bytes", vec![0; 4], is_not("failed to fill whole buffer")),
        ("seven bytes", vec![0; 7], is_not("failed to fill whole buffer")),
        ("no header", vec![0; 8], is_not("EOF while parsing")),
        ("length 2^64 - 1", vec![255; 8], is_not("a header of 18446744073709551615 bytes in a file of 8")),
        ("length 2^63", (1u64 << 63).to_le_bytes().to_vec(), is_not("a header of 9223372036854775808 bytes")),
        (
            "length 1 too much",
            [&[3, 0, 0, 0, 0, 0, 0, 0][..], b"{}"].concat(),
            is_not("a header of 3 bytes in a file of 10"),
        ),
        ("length 1 too little", [&[1, 0, 0, 0, 0, 0, 0, 0][..], b"{}"].concat(), is_not("EOF while parsing")),
        ("a header beyond 2 MiB", file(long, &[0; 8]), is_not("a header of 20972")),
        // Headers that are none.
        ("words", file("hello", &[]), is_not("expected value")),
        ("a list", file("[]", &[]), is_not("invalid")),
        ("a number", file("8", &[]), is_not("invalid type: integer")),
        ("null", file("null", &[]), is_not("invalid type: null")),
        ("a string", file(r#""w""#, &[]), is_not("invalid type: string")),
        ("spaces only", file("   ", &[]), is_not("EOF while parsing")),
        ("not UTF-8", file(b"{\"\xff\":1}", &[]), is_not("invalid unicode code point")),
        ("a trailing comma", file(GOOD.replace("}}", "},}"), &[0; 8]), is_not("trailing comma")),
        ("two objects", file(format!("{GOOD}{{}}"), &[0; 8]), is_not("trailing characters")),
        ("nested lists", file(nested("[", "]"), &[]), is_not("recursion limit exceeded")),
        ("nested objects", file(nested(r#"{"w":"#, "}"), &[]), is_not("recursion limit exceeded")),
        (
            "numbers in __metadata__",
            file(GOOD.replacen('{', r#"{"__metadata__":{"a":1},"#, 1), &[0; 8]),
            is_not("invalid type: integer `1`, expected a string"),
        ),
        ("a list as __metadata__", file(GOOD.replacen('{', r#"{"__metadata__":[1],"#, 1), &[0; 8]), is_not("invalid")),
        (
            "a pickle",
            b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00".to_vec(),
            is_not("a zip archive, as PyTorch's files are: if it is one, rename it to pytorch_model.bin"),
        ),
        (
            "an old pickle",
            b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(),
            is_not("a pickle of PyTorch: rename it to pytorch_model.bin"),
        ),
        (
            "a pointer of Git LFS",
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            is_not("a pointer of Git LFS"),
        ),
        // Shapes.
        ("NaN", tensor(r#""F32""#, "[NaN]", "[0,8]", 8), is_not("expected value")),
        ("negative", tensor(r#""F32""#, "[-2]", "[0,8]", 8), is_not("invalid value: integer `-2`")),
        ("a float", tensor(r#""F32""#, "[2.0]", "[0,8]", 8), is_not("invalid type: floating point `2.0`")),
        ("a string", tensor(r#""F32""#, r#"["2"]"#, "[0,8]", 8), is_not("invalid type: string")),
        ("1e999", tensor(r#""F32""#, "[1e999]", "[0,8]", 8), is_not("number out of range")),
        ("2^64", tensor(r#""F32""#, "[18446744073709551616]", "[0,8]", 8), is_not("invalid type: floating point")),
        ("an object", tensor(r#""F32""#, "{}", "[0,8]", 8), is_not("invalid type: map")),
        ("a number alone", tensor(r#""F32""#, "2", "[0,8]", 8), is_not("invalid type: integer")),
        (
            "a product of 2^64",
            tensor(r#""F32""#, "[4611686018427387904,4]", "[0,8]", 8),
            is_not("overflow computing buffer size"),
        ),
        (
            "a product of 2^64, times 0",
            tensor(r#""F32""#, "[4611686018427387904,4,0]", "[0,0]", 0),
            is_not("overflow computing buffer size"),
        ),
        (
            "2^62 values of 32 bits",
            tensor(r#""F32""#, "[4611686018427387904]", "[0,8]", 8),
            is_not("overflow computing buffer size"),
        ),
        (
            "2^40 values",
            tensor(r#""F32""#, "[1099511627776]", "[0,4398046511104]", 8),
            is_not("94 bytes where the header calls for 4398046511190"),
        ),
        ("fewer than the bytes", tensor(r#""F32""#, "[1]", "[0,8]", 8), is_not("invalid shape, data type, or offset")),
        ("more than the bytes", tensor(r#""F32""#, "[3]", "[0,8]", 8), is_not("invalid shape, data type, or offset")),
        ("two dimensions", tensor(r#""F32""#, "[1,2]", "[0,8]", 8), of_w("shape [2], found shape [1, 2]")),
        ("a scalar", tensor(r#""F32""#, "[]", "[0,4]", 4), of_w("shape [2], found shape []")),
        (
            "a thousand dimensions",
            tensor(r#""F32""#, &format!("[2{}]", ",1".repeat(999)), "[0,8]", 8),
            of_w("shape [2], found shape [2, 1, 1"),
        ),
        ("none", file(r#"{"w":{"dtype":"F32","data_offsets":[0,8]}}"#, &[0; 8]), is_not("missing field `shape`")),
        // Types.
        ("no type", file(r#"{"w":{"shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]), is_not("missing field `dtype`")),
        ("F31", tensor(r#""F31""#, "[2]", "[0,8]", 8), is_not("unknown variant `F31`")),
        ("f32", tensor(r#""f32""#, "[2]", "[0,8]", 8), is_not("unknown variant `f32`")),
        ("a number as type", tensor("32", "[2]", "[0,8]", 8), is_not("invalid type: integer `32`")),
        ("I64", tensor(r#""I64""#, "[2]", "[0,16]", 16), of_w("type F64, F32, F16 or BF16, found type I64")),
        ("BOOL", tensor(r#""BOOL""#, "[2]", "[0,2]", 2), of_w("type F64, F32, F16 or BF16, found type BOOL")),
        ("F8", tensor(r#""F8_E4M3""#, "[2]", "[0,2]", 2), of_w("type F64, F32, F16 or BF16, found type F8_E4M3")),
        ("half a byte", tensor(r#""F4""#, "[3]", "[0,2]", 2), is_not("The slice is slicing for subbytes dtypes")),
        // Offsets.
        ("no offsets", file(r#"{"w":{"dtype":"F32","shape":[2]}}"#, &[0; 8]), is_not("missing field `data_offsets`")),
        ("one", tensor(r#""F32""#, "[2]", "[8]", 8), is_not("invalid length 1")),
        ("three", tensor(r#""F32""#, "[2]", "[0,4,8]", 8), is_not("invalid length 3")),
        ("negative", tensor(r#""F32""#, "[2]", "[-8,0]", 8), is_not("invalid value: integer `-8`")),
        ("reversed", tensor(r#""F32""#, "[2]", "[8,0]", 8), is_not("invalid offset for tensor `w`")),
        ("beyond the end", tensor(r#""F32""#, "[2]", "[0,16]", 8), is_not("invalid shape, data type, or offset")),
        (
            "2^63",
            tensor(r#""F32""#, "[2]", "[9223372036854775808,9223372036854775816]", 8),
            is_not("invalid offset for tensor `w`"),
        ),
        ("a beginning left out", tensor(r#""F32""#, "[2]", "[4,12]", 12), is_not("invalid offset for tensor `w`")),
        ("overlapping", two(wv, ["[0,8]", "[4,12]"], 12), is_not("invalid offset for tensor `v`")),
        ("a gap", two(wv, ["[0,8]", "[12,20]"], 20), is_not("invalid offset for tensor `v`")),
        // Either of the two may be named.
        ("the same twice", two(wv, ["[0,8]", "[0,8]"], 8), is_not("invalid offset for tensor `")),
        (
            "out of order, one left over",
            two(wv, ["[8,16]", "[0,8]"], 16),
            "tensor v: expected only the tensors that are needed, found 1 more".to_owned(),
        ),
        ("a byte too much", tensor(r#""F32""#, "[2]", "[0,8]", 9), is_not("71 bytes where the header calls for 70")),
        ("a byte too little", tensor(r#""F32""#, "[2]", "[0,8]", 7), is_not("69 bytes where the header calls for 70")),
        ("no data", tensor(r#""F32""#, "[2]", "[0,8]", 0), is_not("62 bytes where the header calls for 70")),
        // Names.
        ("a name twice", two(["w", "w"], ["[0,8]", "[8,16]"], 16), is_not("invalid offset for tensor `w`")),
        ("no tensor", file("{}", &[]), of_w("shape [2], found no such tensor")),
        ("another name", file(GOOD.replace('w', "W"), &[0; 8]), of_w("shape [2], found no such tensor")),
        (
            "left over",
            two(wv, ["[0,8]", "[8,16]"], 16),
            "tensor v: expected only the tensors that are needed, found 1 more".to_owned(),
        ),
        (
            "control characters",
            two(["w", r"\u001b[2J\n"], ["[0,8]", "[8,16]"], 16),
            r"tensor \u{1b}[2J\n: expected only".to_owned(),
        ),
        // Values.
        ("NaN first", floats([f32::NAN, 1.0]), of_w("finite values, found NaN")),
        ("NaN last", floats([1.0, -f32::NAN]), of_w("finite values, found NaN")),
        ("infinity", floats([1.0, f32::INFINITY]), of_w("finite values, found inf")),
        ("-infinity", floats([f32::NEG_INFINITY, 1.0]), of_w("finite values, found -inf")),
        ("NaN in F16", halves("F16", [f16::ONE, f16::NAN].map(f16::to_le_bytes)), of_w("finite values, found NaN")),
        (
            "infinity in BF16",
            halves("BF16", [bf16::INFINITY, bf16::ONE].map(bf16::to_le_bytes)),
            of_w("finite values, found inf"),
        ),
    ]
}

#[test]
fn bad_files_are_refused_as_by_the_reference_or_for_a_reason_of_our_own() {
    let _alone = alone();
    let rows = rows();
    assert!(rows.len() >= 40);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    assert_refused(rows.into_iter().map(|(case, bytes, message)| {
        fs::write(&path, &bytes).unwrap();
        let read = bounded(case, dir.path(), bytes.len(), || {
            let mut weights = WeightsFile::read(&path)?;
            weights.take("w", &[2], &mut [0.0; 2])?;
            weights.finish()
        });
        // What we do not accept as a safetensors file, the reference does not either, except that
        // it reads longer headers.
        let none = read.as_ref().is_err_and(|found| found.contains(NOT) && !found.contains("a header of 20972"));
        assert!(!none || SafeTensors::deserialize(&bytes).is_err(), "{case}: the reference reads it");
        (case.to_owned(), read.map(drop), message)
    }));
}

#[test]
fn odd_files_are_read_as_by_the_reference() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    for (case, bytes) in [
        ("spaces around the header", file(format!("  {GOOD}  "), &[1; 8])),
        ("an unknown field", file(GOOD.replacen("\"dtype\"", "\"more\":[1],\"dtype\"", 1), &[1; 8])),
        ("out of order", two(["w", "v"], ["[8,16]", "[0,8]"], 16)),
        ("doubles", tensor(r#""F64""#, "[2]", "[0,16]", 16)),
        ("metadata", file(GOOD.replacen('{', r#"{"__metadata__":{"format":"pt"},"#, 1), &[1; 8])),
        ("no tensors", file("{}", &[])),
        ("no values", tensor(r#""F32""#, "[0,7]", "[0,0]", 0)),
        ("a name with an escape", file(GOOD.replace('w', r"\u0077"), &[1; 8])),
        ("an empty name", file(GOOD.replace('w', ""), &[1; 8])),
    ] {
        fs::write(&path, &bytes).unwrap();
        let weights = bounded(case, dir.path(), bytes.len(), || WeightsFile::read(&path)).unwrap();
        same_reading(case, weights, &bytes);
    }
}

/// The longest headers that are read, made of whatever takes the most memory.
#[test]
fn the_longest_headers_fit_in_the_memory() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let limit = (2 << 20) - 200;
    let shape = |piece: &str| {
        format!(r#"{{"w":{{"dtype":"F32","shape":[0{}],"data_offsets":[0,0]}}}}"#, piece.repeat(limit / piece.len()))
    };
    let tensors: Vec<_> =
        (0..limit / 60).map(|i| format!(r#""{i:06}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    for (case, header) in [
        ("many dimensions", shape(",1")),
        ("many lists", shape(",[]")),
        ("many tensors", format!("{{{}}}", tensors.join(","))),
    ] {
        let bytes = file(header, &[]);
        fs::write(&path, &bytes).unwrap();
        let _ = bounded(case, dir.path(), bytes.len(), || WeightsFile::read(&path));
    }
}

/// A file in which thousands of tensors could be the beginning of the encoder.
#[test]
fn many_beginnings_of_an_encoder_are_searched_in_time() {
    let _alone = alone();
    let dir = model();
    let path = dir.path().join("model.safetensors");
    let named = |i: usize, name: &str, shape: &str, offset: usize, size: usize| {
        format!(
            r#""{i:05}.embeddings.{name}.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[{offset},{}]}}"#,
            offset + size
        )
    };
    let begin = |i: usize| {
        let words = named(i, "word_embeddings", "[8,4]", 320 * i, 128);
        let positions = named(i, "position_embeddings", "[12,4]", 320 * i + 128, 192);
        format!("{words},{positions}")
    };
    let count = 8000;
    let header = format!("{{{}}}", (0..count).map(begin).collect::<Vec<_>>().join(","));
    assert!(header.len() > 1 << 20);
    fs::write(&path, file(header, &vec![0; 320 * count])).unwrap();
    let message = load("many beginnings", dir.path()).map(drop).unwrap_err();
    assert!(
        message.contains("embeddings.token_type_embeddings.weight: expected shape [2, 4], found no such"),
        "{message}"
    );
}
