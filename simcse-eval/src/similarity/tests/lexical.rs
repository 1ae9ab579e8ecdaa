use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn words_have_neither_case_nor_punctuation() {
    assert_eq!(words("I can\'t, \"Ünicode\"-24.04?").collect::<Vec<_>>(), ["i", "cant", "ünicode", "24", "04"]);
    assert_eq!(words(" ?! ").count(), 0);
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// How many times `word` occurs in `text`, whose words are separated by spaces.
fn occurrences(word: &str, text: &str) -> f64 {
    text.split(' ').filter(|other| *other == word).count() as f64
}

fn idf(word: &str, corpus: &[&str]) -> f64 {
    let with = corpus.iter().filter(|document| occurrences(word, document) > 0.0).count() as f64;
    (1.0 + (corpus.len() as f64 - with + 0.5) / (with + 0.5)).ln()
}

/// The formulas at the head of the module, word by word, in f64.
fn naive(weighting: Weighting, query: &str, document: &str, corpus: &[&str]) -> f64 {
    let vocabulary: BTreeSet<&str> = query.split(' ').chain(document.split(' ')).filter(|w| !w.is_empty()).collect();
    let sum = |f: &dyn Fn(&str) -> f64| vocabulary.iter().map(|word| f(word)).sum::<f64>();
    let length = |text: &str| text.split(' ').filter(|word| !word.is_empty()).count() as f64;
    match weighting {
        Weighting::TfIdf => {
            let weight = |word: &str, text: &str| occurrences(word, text) * idf(word, corpus);
            let norm = |text: &str| sum(&|word| weight(word, text).powi(2)).sqrt();
            let norms = norm(query) * norm(document);
            if norms == 0.0 { 0.0 } else { sum(&|word| weight(word, query) * weight(word, document)) / norms }
        }
        Weighting::Bm25 => {
            let mean_length = corpus.iter().map(|text| length(text)).sum::<f64>() / corpus.len() as f64;
            let damping = 1.2 * (0.25 + 0.75 * length(document) / mean_length);
            sum(&|word| {
                let n = occurrences(word, document);
                if n == 0.0 { 0.0 } else { occurrences(word, query) * idf(word, corpus) * n / (n + damping) }
            })
        }
    }
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    let text = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "dd", "ee", "f"]), 0..6);
    prop::collection::vec(text.prop_map(|words| words.join(" ")), 2..8)
}

proptest! {
    #[test]
    fn similarities_are_the_formulas(texts in texts()) {
        let pairs: Vec<[usize; 2]> =
            (0..texts.len()).flat_map(|a| (0..texts.len()).map(move |b| [a, b])).collect();
        let corpus: BTreeSet<&str> = texts.iter().map(String::as_str).collect();
        let corpus: Vec<&str> = corpus.into_iter().collect();
        for (mut lexical, weighting) in [(Lexical::tf_idf(), Weighting::TfIdf), (Lexical::bm25(), Weighting::Bm25)] {
            for relation in [Relation::QueryDocument, Relation::Symmetric] {
                let found = lexical.pairs(&texts, relation, &pairs).unwrap().unwrap();
                let one_way = |a: usize, b: usize| naive(weighting, &texts[a], &texts[b], &corpus);
                for (&[a, b], found) in pairs.iter().zip(&found) {
                    let expected = match relation {
                        Relation::QueryDocument => one_way(a, b),
                        Relation::Symmetric => (one_way(a, b) + one_way(b, a)) / 2.0,
                    };
                    prop_assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
                }
                // A search finds what has a similarity, in the order of the similarities.
                let hits = lexical.nearest(&texts, &texts, relation, texts.len()).unwrap().unwrap();
                for (query, hits) in hits.iter().enumerate() {
                    let of_query = &found[query * texts.len()..][..texts.len()];
                    prop_assert_eq!(hits.len(), of_query.iter().filter(|score| **score > 0.0).count());
                    prop_assert!(hits.iter().all(|hit| (hit.score - of_query[hit.index]).abs() < 1e-5));
                    prop_assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
                }
            }
        }
    }
}

#[test]
fn statistics_are_those_of_the_documents() {
    // "wifi" is in one of two documents, however many queries have it.
    let texts = owned(&["wifi", "wifi slow", "the wifi", "the sound"]);
    let pairs = [[0, 2], [0, 3], [1, 2], [1, 3]];
    let found = Lexical::bm25().pairs(&texts, Relation::QueryDocument, &pairs).unwrap().unwrap();
    let expected = naive(Weighting::Bm25, "wifi", "the wifi", &["the wifi", "the sound"]) as f32;
    assert!((found[0] - expected).abs() < 1e-6 && found[1] == 0.0 && found[2] == found[0]);
    let fitted = Lexical::bm25().fitted_on(["wifi", "wifi a", "b", "c d e"]);
    let found = fitted.clone().pairs(&texts, Relation::QueryDocument, &pairs).unwrap().unwrap();
    let expected = naive(Weighting::Bm25, "wifi", "the wifi", &["wifi", "wifi a", "b", "c d e"]) as f32;
    assert!((found[0] - expected).abs() < 1e-6);
}
