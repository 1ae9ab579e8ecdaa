use proptest::prelude::*;

use super::*;
use crate::similarity::given::Given;

/// Counts how often each text is embedded. A text of digits is embedded as these numbers.
#[derive(Debug, Default)]
struct Digits {
    roles: bool,
    embedded: Vec<String>,
}

impl Embedder for Digits {
    fn width(&self) -> usize {
        3
    }

    fn has_roles(&self) -> bool {
        self.roles
    }

    fn embed(&mut self, role: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error> {
        self.embedded.extend(texts.iter().map(|text| format!("{role:?} {text}")));
        let values = |text: &&str| text.chars().map(|c| c.to_digit(10).unwrap() as f32).collect::<Vec<_>>();
        let values: Vec<f32> = texts.iter().flat_map(values).collect();
        Ok(Some(Array2::from_shape_vec((texts.len(), 3), values).unwrap()))
    }
}

fn expected(a: &str, b: &str) -> f64 {
    let values = |text: &str| text.chars().map(|c| f64::from(c.to_digit(10).unwrap())).collect::<Vec<_>>();
    let [a, b] = [values(a), values(b)];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = (dot(&a, &a) * dot(&b, &b)).sqrt();
    if norms == 0.0 { 0.0 } else { dot(&a, &b) / norms }
}

proptest! {
    #[test]
    fn each_text_is_embedded_once_and_compared_with_all(
        queries in prop::collection::vec("[0-3]{3}", 1..12),
        corpus in prop::collection::vec("[0-3]{3}", 1..12),
        k in 1usize..15,
    ) {
        let mut judge = Cosine::of(Digits::default());
        let hits = judge.nearest(&queries, &corpus, Relation::QueryDocument, k).unwrap().unwrap();
        for (query, hits) in queries.iter().zip(&hits) {
            prop_assert_eq!(hits.len(), k.min(corpus.len()));
            let mut best: Vec<f64> = corpus.iter().map(|text| expected(query, text)).collect();
            for hit in hits {
                prop_assert!((f64::from(hit.score) - best[hit.index]).abs() < 1e-6);
            }
            best.sort_by(|a, b| b.total_cmp(a));
            prop_assert!(hits.iter().zip(best).all(|(hit, best)| (f64::from(hit.score) - best).abs() < 1e-6));
            prop_assert!(hits.windows(2).all(|w| w[0].score > w[1].score || w[0].index < w[1].index));
        }
        let texts = [queries.clone(), corpus.clone()].concat();
        let pairs: Vec<_> = (0..texts.len()).map(|b| [0, b]).collect();
        for ([_, b], found) in pairs.iter().zip(judge.pairs(&texts, Relation::Symmetric, &pairs).unwrap().unwrap()) {
            prop_assert!((f64::from(found) - expected(&texts[0], &texts[*b])).abs() < 1e-6);
        }
        let distinct: HashSet<&String> = texts.iter().collect();
        prop_assert_eq!(judge.embedder.embedded.len(), distinct.len());
    }
}

/// SMTeuroparl of STS12 has 65 pairs of equal sentences: rounding must not rank them.
#[test]
fn equal_texts_have_similarity_one_and_zeros_have_none() {
    let texts: Vec<String> = ["123", "113", "331", "222", "000"].map(str::to_owned).to_vec();
    let pairs: Vec<_> = (0..texts.len()).map(|text| [text, text]).collect();
    let found = Cosine::of(Digits::default()).pairs(&texts, Relation::Symmetric, &pairs).unwrap().unwrap();
    assert_eq!(found, [1.0, 1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn a_text_in_two_roles_is_embedded_twice() {
    let texts = ["100", "010"].map(str::to_owned);
    let mut judge = Cosine::of(Digits { roles: true, ..Digits::default() });
    judge.pairs(&texts, Relation::QueryDocument, &[[0, 1], [1, 0], [0, 0]]).unwrap();
    assert_eq!(judge.embedder.embedded, ["Query 100", "Query 010", "Document 010", "Document 100"]);
}

/// A corpus over the limit is embedded in parts that are not kept.
#[test]
fn a_large_corpus_is_searched_in_parts() {
    let corpus: Vec<String> = (0..KEPT + 100).map(|i| format!("{}", 100_000 + i)).collect();
    let embeddings = Array2::from_shape_fn((corpus.len(), 2), |(i, column)| {
        let angle = (i as f32 * 7.0) % (corpus.len() as f32) / corpus.len() as f32;
        if column == 0 { angle.cos() } else { angle.sin() }
    });
    let mut judge = Cosine::of(Given::new(&corpus, embeddings.view()));
    let queries = vec![corpus[3].clone(), corpus[KEPT + 50].clone()];
    let hits = judge.nearest(&queries, &corpus, Relation::Symmetric, 3).unwrap().unwrap();
    for (query, hits) in [3, KEPT + 50].into_iter().zip(hits) {
        let exact: Vec<f32> = embeddings.rows().into_iter().map(|row| row.dot(&embeddings.row(query))).collect();
        let mut best = exact.clone();
        best.sort_by(|a, b| b.total_cmp(a));
        for (hit, best) in hits.iter().zip(best) {
            assert!((hit.score - best).abs() < 1e-6 && (exact[hit.index] - best).abs() < 1e-6);
        }
    }
    assert!(judge.stores[0].find(&corpus[10]).is_none(), "only the queries are kept");
}

#[test]
fn odd_embeddings_are_warned_about() {
    let texts = ["100", "010", "000"].map(str::to_owned);
    let mut judge = Cosine::of(Digits::default());
    let found = judge.pairs(&texts, Relation::Symmetric, &[[0, 2], [2, 2], [0, 0]]).unwrap().unwrap();
    assert_eq!(found, [0.0, 0.0, 1.0]);
    assert_eq!(judge.take_warnings(), ["texts whose embedding is zero, with similarity 0 to every other: 1"]);
    let mut judge = Cosine::of(Digits::default());
    judge.pairs(&texts, Relation::Symmetric, &[[0, 1], [1, 0]]).unwrap();
    assert_eq!(judge.take_warnings(), ["similarities are all equal (0.0000): the embeddings have collapsed"]);
    assert!(judge.take_warnings().is_empty());
}
