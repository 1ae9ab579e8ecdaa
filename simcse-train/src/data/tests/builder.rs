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
