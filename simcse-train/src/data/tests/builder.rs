use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8], suffix: &str) -> Result<Examples, DataError> {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Examples::read(file.path(), 3)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn all(sentences: &Examples) -> Vec<&str> {
    sentences.texts().collect()
}

const TEXT: &[u8] = "\u{feff}äöü\r\n\u{3000} one two \t\n\nab\näöü\nlast".as_bytes();

#[test]
fn lines_are_trimmed_and_short_ones_counted() {
    for bytes in [TEXT.to_vec(), gzip(TEXT), [gzip(&TEXT[..9]), gzip(&TEXT[9..])].concat()] {
        let sentences = read(&bytes, ".txt").unwrap();
        assert_eq!(all(&sentences), ["äöü", "one two", "äöü", "last"]);
        assert_eq!((sentences.skipped(), sentences.duplicates()), (2, 1));
        assert_eq!(sentences.groups(), [0, 1, 0, 3]);
    }
}

#[test]
fn the_digest_is_that_of_the_lines() {
    // printf 'one two\nlast\n' | sha256sum
    let sentences = Examples::from_texts("test", ["one two", "la", "last "], 3).unwrap();
    assert_eq!(sentences.sha256(), "322bf37e27931251dbc7c4eafd21890c0b95d076d5f7105193c0c7d676bf2d4f");
}

proptest! {
    #[test]
    fn groups_are_the_first_equal_sentences(texts in prop::collection::vec("[ab]{0,3}", 1..40)) {
        let Ok(sentences) = Examples::from_texts("test", &texts, 1) else { return Ok(()) };
        let kept: Vec<_> = texts.iter().filter(|text| !text.is_empty()).collect();
        prop_assert_eq!(&all(&sentences), &kept);
        for (index, &group) in sentences.groups().iter().enumerate() {
            prop_assert_eq!(kept.iter().position(|text| *text == kept[index]), Some(group as usize));
        }
    }
}

/// Five pairs: the first two have an anchor in common, the next two a positive and an anchor.
fn pairs() -> Examples {
    let mut builder = ExamplesBuilder::of_columns(2, 1);
    for pair in [["one", "two"], ["one", "three"], ["four", "five"], ["five", "six"], ["seven", "eight"]] {
        builder.push_example(&pair);
    }
    builder.push_example(&["nine", " "]);
    builder.finish("pairs").unwrap()
}

#[test]
fn examples_of_several_texts_are_counted_and_compared_by_all_of_them() {
    let pairs = pairs();
    assert_eq!((pairs.len(), pairs.columns(), pairs.skipped()), (5, 2, 1));
    assert_eq!(pairs.groups(), [0, 1, 0, 3, 4, 5, 5, 7, 8, 9]);
    assert_eq!((pairs.duplicates(), pairs.distinct()), (2, 3));
    assert_eq!(pairs.get(3, 1), "six");
    assert_eq!(pairs.select(&[4, 1]), ["seven", "eight", "one", "three"]);
    let same = Examples::from_texts("texts", pairs.texts(), 1).unwrap();
    assert_eq!(same.sha256(), pairs.sha256());
    assert_ne!((same.len(), same.columns()), (pairs.len(), pairs.columns()));
}

#[test]
fn no_example_with_a_held_out_anchor_remains() {
    for seed in 0..20 {
        let (rest, held_out) = pairs().hold_out(1, seed).unwrap();
        assert!(rest.texts().all(|text| text != held_out[0]), "{held_out:?}");
        let has = |pair: &[&str]| pair.contains(&&*held_out[0]);
        let expected = 5 - (0..5).filter(|&index| has(&pairs().select(&[index]))).count();
        assert_eq!((rest.len(), rest.columns(), rest.skipped()), (expected, 2, 1));
    }
    let error = pairs().hold_out(3, 1).unwrap_err().to_string();
    assert_eq!(error, "pairs: expected at least 5 different sentences, found 3");
}

#[test]
fn a_file_of_incomplete_rows_is_refused() {
    let error = read(b"anchor,positive\none,\n,two\n", ".csv").unwrap_err().to_string();
    assert!(error.ends_with("expected rows of 2 texts of at least 3 characters, found none (left out: 2)"), "{error}");
}
