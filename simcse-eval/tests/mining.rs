//! Hard negatives, compared with those of sentence-transformers.

use ndarray::Array2;
use serde::Deserialize;
use serde_json::{Map, Value};
use simcse_eval::{Mining, Storage, Triplet, Vectors};

#[derive(Deserialize)]
struct Golden {
    queries: Vec<Vec<f32>>,
    documents: Vec<Vec<f32>>,
    pairs: Vec<[usize; 2]>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    arguments: Map<String, Value>,
    /// Query, positive, negative, and their scores.
    triplets: Vec<(usize, usize, usize, f32, f32)>,
}

fn vectors(rows: &[Vec<f32>]) -> Vectors {
    let width = rows[0].len();
    let mut vectors = Vectors::new(Storage::F32, width);
    vectors.push(Array2::from_shape_vec((rows.len(), width), rows.concat()).unwrap().view());
    vectors
}

fn mining(arguments: &Map<String, Value>) -> Mining {
    let whole = |name: &str| arguments.get(name).map(|value| value.as_u64().unwrap() as usize);
    let real = |name: &str| arguments.get(name).map(|value| value.as_f64().unwrap() as f32);
    let default = Mining::default();
    Mining {
        num_negatives: whole("num_negatives").unwrap_or(default.num_negatives),
        range_min: whole("range_min").unwrap_or(default.range_min),
        range_max: whole("range_max"),
        max_score: real("max_score"),
        min_score: real("min_score"),
        absolute_margin: real("absolute_margin"),
        relative_margin: real("relative_margin"),
        ..default
    }
}

#[test]
fn triplets_are_those_of_sentence_transformers() {
    let golden: Golden = serde_json::from_str(include_str!("goldens/mining.json")).unwrap();
    let (queries, documents) = (vectors(&golden.queries), vectors(&golden.documents));
    let mut positives = vec![Vec::new(); queries.len()];
    let mut pairs = vec![0; queries.len()];
    for [query, document] in golden.pairs {
        pairs[query] += 1;
        if !positives[query].contains(&document) {
            positives[query].push(document);
        }
    }
    let most = pairs.into_iter().max().unwrap();
    for case in golden.cases {
        let mining = mining(&case.arguments);
        let excluded = vec![None; queries.len()];
        let mined = mining.mine(&queries, &documents, &positives, &excluded, most, |_| true).unwrap();
        assert_eq!(mined.triplets.len(), case.triplets.len(), "{:?}", case.arguments);
        for (found, expected) in mined.triplets.iter().zip(case.triplets) {
            let Triplet { query, positive, negative, positive_score, negative_score } = *found;
            assert_eq!((query, positive, negative), (expected.0, expected.1, expected.2), "{:?}", case.arguments);
            assert!((positive_score - expected.3).abs() < 1e-6 && (negative_score - expected.4).abs() < 1e-6);
        }
    }
}
