use super::*;

fn refused<T: std::fmt::Debug>(result: Result<T>, message: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn a_line_is_a_word_whatever_is_on_it() {
    let words = lines(Path::new(WORDS), "a\r\nb \u{3000}\n\na\n\n".as_bytes()).unwrap();
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_unstable();
    // The blank lines are the word of no letter, and the last of equals counts.
    assert_eq!(words, [(String::new(), 4), ("a".to_owned(), 3), ("b".to_owned(), 1)]);
    refused(lines(Path::new(WORDS), b"\xff"), "vocab.txt: expected UTF-8 text");
}

#[test]
fn merges_are_pairs_with_one_space() {
    let read = |text: &str| pairs(Path::new(MERGES), text.as_bytes());
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(read("#version: 0.2\na b\r\n# #\n").unwrap(), [pair("a", "b"), pair("#", "#")]);
    for (text, line) in [("a b\n\nc d\n", 2), ("a b c\n", 1), ("ab\n", 1), ("a  b\n", 1)] {
        refused(read(text), &format!("merges.txt: line {line}: expected two tokens with a space between"));
    }
}

#[test]
fn merges_of_a_tokenizer_have_two_forms() {
    let read = |merges: &str| {
        let json = format!(r#"{{"model": {{"vocab": {{"a": 0}}, "merges": {merges}}}}}"#);
        merges_of_tokenizer(&Files::new().with(TOKENIZER, json.into_bytes()))
    };
    assert_eq!(
        read(r#"["a b", ["c d", "e"]]"#).unwrap().1,
        [("a", "b"), ("c d", "e")].map(|(a, b)| (a.into(), b.into()))
    );
    refused(read(r#"["a b c"]"#), "tokenizer.json: merges: expected two tokens with a space between, found a b c");
    refused(read("[7]"), "tokenizer.json: expected a tokenizer");
}
