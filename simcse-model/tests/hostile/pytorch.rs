//! Broken and hostile `pytorch_model.bin`: damage to files that PyTorch wrote, and handmade
//! pickles.

use std::fs;
use std::path::{Path, PathBuf};

use simcse_model::WeightsFile;

use crate::every_bit::each_damage;
use crate::{alone, assert_refused, bounded};

/// What the handmade files are read as having: names and shapes.
const TENSORS: [(&str, &[usize]); 2] = [("w", &[2]), ("v", &[2, 2])];

/// Reads a file, and takes those of the tensors that it has. Values must be finite.
fn read(path: &Path, tensors: &[(&str, &[usize])]) -> simcse_model::Result<()> {
    let mut weights = WeightsFile::read(path)?;
    for (name, shape) in tensors {
        let mut values = vec![f32::NAN; shape.iter().product()];
        if weights.contains(name) {
            weights.take(name, shape, &mut values)?;
            assert!(values.iter().all(|value| value.is_finite()), "{name}: {values:?}");
        }
    }
    Ok(())
}

/// The old format around a dictionary's pickle: the names of storages, and their values.
fn old(pickle: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    file.extend(pickle);
    file.extend(b"\x80\x02](");
    for (key, _) in storages {
        file.extend(text(key));
    }
    file.extend(b"e.");
    for (_, values) in storages {
        file.extend((values.len() as u64).to_le_bytes());
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    file
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// An integer of four bytes.
fn int(value: i32) -> Vec<u8> {
    [b"J", &value.to_le_bytes()[..]].concat()
}

fn ints(values: &[i32]) -> Vec<u8> {
    [&b"("[..], &values.iter().flat_map(|value| int(*value)).collect::<Vec<_>>(), b"t"].concat()
}

/// A view of storage `key`, said to have `length` values of type `class`.
fn view(class: &str, key: &str, length: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    [
        &b"ctorch._utils\n_rebuild_tensor_v2\n(("[..],
        &text("storage"),
        format!("ctorch\n{class}\n").as_bytes(),
        &text(key),
        &text("cpu"),
        &int(length),
        b"NtQ",
        &int(offset),
        &ints(shape),
        &ints(strides),
        b"\x89}tR",
    ]
    .concat()
}

fn floats(offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    view("FloatStorage", "0", 4, offset, shape, strides)
}

/// A dictionary's pickle.
fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|(name, value)| [text(name), value.clone()].concat()).collect();
    [&b"\x80\x02}("[..], &items, b"u."].concat()
}

/// For each case, a name, the bytes, and part of the message.
fn rows() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    const FOUR: &[(&str, &[f32])] = &[("0", &[1.0, 2.0, 3.0, 4.0])];
    let w = |view: Vec<u8>| old(&dict(&[("w", view)]), FOUR);
    let raw = |pickle: &[u8]| old(&[b"\x80\x02", pickle].concat(), &[]);
    let doubled = [&b"N\x85q\0"[..], &b"h\0h\0\x86q\0".repeat(1000), b"."].concat();
    vec![
        // Pickles that would run something, or that would take all memory.
        ("a call of os.system", raw(b"cos\nsystem\n(X\x04\0\0\0truetR."), "the global os.system, which"),
        ("a call of eval", raw(b"c__builtin__\neval\n(X\x01\0\0\x001tR."), "the global __builtin__.eval, which"),
        ("an instance", raw(b"(ios\nsystem\n."), "the opcode INST, which"),
        ("a class by name on the stack", raw(b"X\x02\0\0\0osX\x06\0\0\0system\x93."), "the opcode STACK_GLOBAL, which"),
        ("an extension", raw(b"\x82\x01."), "the opcode EXT1, which"),
        ("a name with an escape", raw(b"c\x1b[2J\nx\n."), r"the global \u{1b}[2J.x, which"),
        ("a list that holds itself", raw(b"]q\0h\0a."), "found: a list"),
        ("a dictionary that holds itself", raw(b"}q\0X\x01\0\0\0wh\0s."), "tensor w: expected a tensor, found a dict"),
        ("tuples in tuples", raw(&[&b"N"[..], &b"\x85".repeat(500_000), b"."].concat()), "found: a tuple"),
        ("2^1000 values", raw(&doubled), "found: a tuple"),
        ("marks", raw(&b"(".repeat(1 << 20)), "a pickle of more values than any model has tensors"),
        ("text of 4 GiB", raw(b"X\xff\xff\xff\xffa."), "a pickle that does not end"),
        ("a pickle beyond 2 MiB", raw(&text(&"x".repeat(3 << 20))), "a pickle that does not end"),
        ("a key that is a number", raw(b"}K\x01K\x01s."), "a number as the name of a tensor"),
        // Storages.
        ("no storages", old(&dict(&[("w", floats(0, &[2], &[1]))]), &[]), "a file without storage 0"),
        ("no list", [&old(b"\x80\x02}.", &[])[..29], b"\x80\x02}.\x80\x02}."].concat(), "no list of storages"),
        ("an unknown one", old(&dict(&[]), FOUR), "a storage that no tensor has"),
        (
            "a longer one",
            w(view("FloatStorage", "0", 5, 0, &[2], &[1])),
            "storage 0 of 4 values where the dictionary says 5",
        ),
        (
            "a negative length",
            w(view("FloatStorage", "0", -1, 0, &[2], &[1])),
            "a persistent id that is not of a storage",
        ),
        ("of a wider type", w(view("DoubleStorage", "0", 4, 0, &[2], &[1])), "storage 0 of 16 bytes for 4 values"),
        (
            "of two types",
            {
                let both = [("w", floats(0, &[2], &[1])), ("v", view("IntStorage", "0", 4, 0, &[2], &[1]))];
                old(&dict(&both), FOUR)
            },
            "storage 0 as two different ones",
        ),
        (
            "of integers",
            w(view("IntStorage", "0", 4, 0, &[2], &[1])),
            "expected type F64, F32, F16 or BF16, found type I32",
        ),
        // Views.
        ("beyond the end", w(floats(3, &[2], &[1])), "tensor w: expected a view of 4 values without overlap"),
        ("a large stride", w(floats(0, &[2], &[i32::MAX])), "expected a view of 4 values without overlap"),
        ("a large shape", w(floats(0, &[i32::MAX, i32::MAX, i32::MAX], &[0, 0, 0])), "without overlap"),
        ("a large shape without values", w(floats(0, &[i32::MAX, i32::MAX, i32::MAX, 0], &[1; 4])), "without overlap"),
        ("no stride", w(floats(0, &[2], &[])), "without overlap, found shape [2] with strides [] at 0"),
        ("a stride of 0", w(floats(0, &[2], &[0])), "without overlap"),
        ("overlapping rows", w(floats(0, &[2, 2], &[1, 1])), "without overlap"),
        ("a negative offset", w(floats(-1, &[2], &[1])), "a tensor with a negative offset"),
        ("a negative size", w(floats(0, &[-2], &[1])), "a tensor without a shape"),
        ("a negative stride", w(floats(1, &[2], &[-1])), "a tensor without strides"),
        ("65 dimensions", w(floats(0, &[1; 65], &[1; 65])), "a tensor without a shape"),
        ("another shape", w(floats(0, &[4], &[1])), "tensor w: expected shape [2], found shape [4]"),
        // Archives.
        ("an empty archive", b"PK\x05\x06".iter().copied().chain([0; 18]).collect(), "neither a zip archive nor"),
        ("the beginning of an archive", b"PK\x03\x04".repeat(100), "a damaged zip archive: "),
        ("empty", vec![], "neither a zip archive nor the pickles of older versions"),
    ]
}

#[test]
fn bad_files_are_refused_by_name() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pytorch_model.bin");
    assert_refused(rows().into_iter().map(|(case, bytes, message)| {
        fs::write(&path, &bytes).unwrap();
        let found = bounded(case, dir.path(), bytes.len(), || read(&path, &TENSORS));
        (case.to_owned(), found, message.to_owned())
    }));
}

/// Tensors that all share one storage are read once for each.
#[test]
fn a_small_file_is_not_a_large_model() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pytorch_model.bin");
    let values = vec![1.0; 10_000];
    // One tensor, remembered, under many names.
    let tied = |count: usize| {
        let names: Vec<u8> = (0..count).flat_map(|i| [text(&format!("t{i}")), b"h\0".to_vec()].concat()).collect();
        let tensor = view("FloatStorage", "0", 10_000, 0, &[10_000], &[1]);
        let pickle = [&b"\x80\x02}("[..], &text("w"), &tensor, b"q\0", &names, b"u."].concat();
        old(&pickle, &[("0", &values)])
    };
    for (count, expected) in [(2, Ok(())), (100, Err("found: tensors of 4040000 bytes in a file of 4"))] {
        let bytes = tied(count);
        fs::write(&path, &bytes).unwrap();
        let found = bounded("tied", dir.path(), bytes.len(), || read(&path, &[("w", &[10_000]), ("t1", &[10_000])]));
        match expected {
            Ok(()) => found.unwrap(),
            Err(message) => assert!(found.as_ref().is_err_and(|found| found.contains(message)), "{found:?}"),
        }
    }
}

/// The longest pickles that are read, made of whatever takes the most memory.
#[test]
fn the_longest_pickles_fit_in_the_memory() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pytorch_model.bin");
    let limit = 2 << 20;
    let repeated = |piece: &[u8]| [b"\x80\x02", &piece.repeat(limit / piece.len())[..]].concat();
    let memos: Vec<u8> = (0..(limit / 6) as u32).flat_map(|i| [b"Nr", &i.to_le_bytes()[..]].concat()).collect();
    let named = |i: usize| [text(&format!("{i:06}")), b"h\0s".to_vec()].concat();
    let begin = [&b"\x80\x02}"[..], &text("w"), &floats(0, &[2], &[1]), b"q\0s"].concat();
    let names: Vec<u8> = (0..100_000).flat_map(named).collect();
    // One view after the other, into a list.
    let parts = [text("storage"), text("0"), text("cpu")];
    let storage = [&b"("[..], &parts[0], b"ctorch\nFloatStorage\n", &parts[1], &parts[2], b"K\x04NtQ"].concat();
    let sixty_four = [&b"("[..], &b"K\x01".repeat(64), b"t"].concat();
    let arguments = [&b"("[..], &storage, b"K\0", &sixty_four, &sixty_four, b"\x89}tq\x02"].concat();
    let views = [&b"\x80\x02]q\0ctorch._utils\n_rebuild_tensor_v2\nq\x01"[..], &arguments, b"]"].concat();
    for (case, pickle) in [
        ("tuples", repeated(b"N\x85\x85\x85")),
        ("lists", repeated(b"]Na")),
        ("dictionaries", repeated(b"}NNs")),
        ("memos", memos),
        ("names", [&begin[..], &names, b"."].concat()),
        ("views", [&views[..], &b"h\x01h\x02Ra".repeat(300_000)].concat()),
    ] {
        let bytes = old(&pickle, &[("0", &[1.0, 2.0, 3.0, 4.0])]);
        fs::write(&path, &bytes).unwrap();
        let _ = bounded(case, dir.path(), bytes.len(), || WeightsFile::read(&path));
    }
}

/// Files that PyTorch wrote, truncated at every byte and with every single bit flipped.
#[test]
fn damaged_files_are_read_or_refused() {
    let _alone = alone();
    const SHAPES: [(&str, &[usize]); 11] = [
        ("whole", &[3, 4]),
        ("shared", &[3, 4]),
        ("transposed", &[4, 3]),
        ("sliced", &[2, 2]),
        ("row", &[4]),
        ("column", &[3]),
        ("cube", &[2, 2, 3]),
        ("parameter", &[3]),
        ("scalar", &[]),
        ("empty", &[0, 3]),
        ("none", &[1]),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pytorch_model.bin");
    for name in ["archive.bin", "old.bin"] {
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/weights").join(name);
        let bytes = fs::read(from).unwrap();
        let (mut good, mut refused) = (0, 0);
        each_damage(&bytes, bytes.len(), |case, bytes| {
            // A new file each time: ext4 waits for the disk where an old one is overwritten.
            let _ = fs::remove_file(&path);
            fs::write(&path, bytes).unwrap();
            match bounded(&format!("{name}: {case}"), dir.path(), bytes.len(), || read(&path, &SHAPES)) {
                Ok(()) => good += 1,
                Err(_) => refused += 1,
            }
        });
        assert!(good > 500 && refused > 3000, "{name}: {good} read, {refused} refused");
    }
}
