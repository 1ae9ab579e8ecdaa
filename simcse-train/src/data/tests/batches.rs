use std::collections::HashSet;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::data::builder::ExamplesBuilder;

fn sentences(texts: &[u8]) -> Examples {
    Examples::from_texts("test", texts.iter().map(|text| format!("sentence {text}")), 1).unwrap()
}

/// Each batch scans all sentences that are left, in order.
fn naive(order: &[u32], texts: &[u8], batch_size: usize) -> Vec<Vec<u32>> {
    let mut waiting = order.to_vec();
    let mut batches = Vec::new();
    loop {
        let mut batch = Vec::new();
        let mut seen = HashSet::new();
        waiting.retain(|&index| {
            let taken = batch.len() < batch_size && seen.insert(texts[index as usize]);
            if taken {
                batch.push(index);
            }
            !taken
        });
        if batch.len() < batch_size {
            return batches;
        }
        batches.push(batch);
    }
}

/// Batches of `texts` in the first epoch, if sentences with the same remainder of their texts by
/// `classes` have the same key, and the number of keys that were computed.
fn distinct(texts: &[u8], classes: u8, batching: Batching) -> (Vec<Vec<u32>>, usize) {
    let mut batches = batching.batches(&sentences(texts), 0);
    let mut computed = 0;
    let mut keys = |indices: &[u32]| {
        computed += indices.len();
        Ok::<_, Infallible>(indices.iter().map(|&index| texts[index as usize] % classes).collect())
    };
    let next = || batches.next_distinct(&mut keys).unwrap();
    (std::iter::from_fn(next).collect(), computed)
}

/// Also across the parts in which random numbers are drawn.
#[test]
fn the_order_is_a_fisher_yates_shuffle() {
    for n in 1..40 {
        let philox = Philox::new(7);
        let mut expected: Vec<u32> = (0..n).collect();
        for last in (1..n).rev() {
            let [low, high, ..] = philox.block([last, 0, 3, ORDER_STREAM]);
            let random = u128::from(high) << 32 | u128::from(low);
            expected.swap(last as usize, ((random * u128::from(last + 1)) >> 64) as usize);
        }
        assert_eq!(shuffled(n, 7, 3), expected, "{n} examples");
    }
}

#[test]
fn what_is_kept_of_one_epoch_is_not_taken_for_another() {
    let texts: Vec<u8> = (0..60).map(|text| text % 23).collect();
    let kept = sentences(&texts);
    let epochs = [(1, 0, 4), (1, 1, 4), (2, 1, 4), (2, 1, 7), (1, 0, 7), (1, 0, 4)];
    for (seed, epoch, batch_size) in epochs {
        let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size, seed };
        let fresh = sentences(&texts);
        assert_eq!(batching.count(&kept, epoch), batching.batches(&fresh, epoch).count());
        assert!(batching.batches(&kept, epoch).eq(batching.batches(&fresh, epoch)));
    }
}

/// Examples of as many texts as each has.
fn examples<const COLUMNS: usize>(texts: &[[u8; COLUMNS]]) -> Examples {
    let mut builder = ExamplesBuilder::of_columns(COLUMNS, 1);
    texts.iter().for_each(|example| builder.push_example(&example.map(|text| format!("text {text}"))));
    builder.finish("test").unwrap()
}

/// Each batch scans all examples that are left, in order, as sentence-transformers'
/// `NoDuplicatesBatchSampler` does.
fn naive_examples<const COLUMNS: usize>(order: &[u32], texts: &[[u8; COLUMNS]], batch_size: usize) -> Vec<Vec<u32>> {
    let mut waiting = order.to_vec();
    let mut batches = Vec::new();
    loop {
        let mut batch = Vec::new();
        let mut seen = HashSet::new();
        waiting.retain(|&index| {
            let example = texts[index as usize];
            let taken = batch.len() < batch_size && example.iter().all(|text| !seen.contains(text));
            if taken {
                seen.extend(example);
                batch.push(index);
            }
            !taken
        });
        if batch.len() < batch_size {
            return batches;
        }
        batches.push(batch);
    }
}

/// Checks the batches of examples, whose texts have the same key if their remainders by `classes`
/// are equal.
fn check_examples<const COLUMNS: usize>(texts: &[[u8; COLUMNS]], classes: u8, batching: Batching) {
    let order = shuffled(texts.len() as u32, batching.seed, 0);
    let expected = naive_examples(&order, texts, batching.batch_size);
    let examples = examples(texts);
    assert_eq!(batching.batches(&examples, 0).collect::<Vec<_>>(), expected);
    assert_eq!(batching.count(&examples, 0), expected.len());

    let key = |text: u8| text % classes;
    let of_example = |&index: &u32| texts[index as usize].map(key);
    let keys = |indices: &[u32]| Ok::<_, Infallible>(indices.iter().flat_map(of_example).collect());
    let mut batches = batching.batches(&examples, 0);
    let found: Vec<_> = std::iter::from_fn(|| batches.next_distinct(keys).unwrap()).collect();
    let mut indices = HashSet::new();
    for batch in &found {
        assert_eq!(batch.len(), batching.batch_size);
        assert!(batch.iter().all(|&index| indices.insert(index)), "once per epoch");
        let of_examples = batch.iter().map(|index| HashSet::<u8>::from_iter(of_example(index)));
        let apart: usize = of_examples.map(|keys| keys.len()).sum();
        let together: HashSet<u8> = batch.iter().flat_map(of_example).collect();
        assert_eq!(together.len(), apart, "no two examples have a text in common");
    }
    if classes == u8::MAX {
        assert_eq!(found, expected, "keys that are as different as the texts change nothing");
    }
}

proptest! {
    #[test]
    fn examples_with_a_text_in_common_do_not_meet(
        pairs in prop::collection::vec([0u8..30, 0u8..30], 1..80),
        triplets in prop::collection::vec([0u8..60, 0u8..9, 0u8..60], 1..80),
        classes in prop_oneof![Just(u8::MAX), 5u8..50],
        batch_size in 1usize..6,
        seed: u64,
    ) {
        let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size, seed };
        check_examples(&pairs, classes, batching);
        check_examples(&triplets, classes, batching);
    }

    #[test]
    fn what_keys_show_counts_as_if_the_texts_were_equal(
        texts in prop::collection::vec(0u8..40, 1..80),
        classes in 1u8..40,
        batch_size in 1usize..9,
        seed: u64,
    ) {
        let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size, seed };
        let (batches, computed) = distinct(&texts, classes, batching);
        for batch in &batches {
            let keys: HashSet<_> = batch.iter().map(|&index| texts[index as usize] % classes).collect();
            prop_assert_eq!(keys.len(), batch_size, "no two are equal");
        }
        let mut indices = HashSet::new();
        prop_assert!(batches.concat().into_iter().all(|index| indices.insert(index)), "once per epoch");

        let known: Vec<_> = texts.iter().map(|text| text % classes).collect();
        prop_assert_eq!(&batches, &naive(&shuffled(texts.len() as u32, seed, 0), &known, batch_size));
        let as_texts = batching.batches(&sentences(&known), 0).collect::<Vec<_>>();
        prop_assert_eq!(batches, as_texts);
        let different: HashSet<_> = texts.iter().collect();
        prop_assert!(computed <= texts.len() + different.len(), "{} keys", computed);
    }

    #[test]
    fn keys_change_nothing_where_only_equal_texts_share_one(
        texts in prop::collection::vec(0u8..40, 1..80),
        batch_size in 1usize..9,
        seed: u64,
    ) {
        for sampler in [BatchSampler::NoDuplicates, BatchSampler::Batch] {
            let batching = Batching { sampler, batch_size, seed };
            let without = batching.batches(&sentences(&texts), 0).collect::<Vec<_>>();
            let (batches, computed) = distinct(&texts, 40, batching);
            prop_assert_eq!(&batches, &without);
            prop_assert!(computed >= batch_size * batches.len() && computed <= texts.len());
        }
        let batching = Batching { sampler: BatchSampler::Batch, batch_size, seed };
        let parts = shuffled(texts.len() as u32, seed, 0);
        let parts: Vec<_> = parts.chunks_exact(batch_size).map(<[u32]>::to_vec).collect();
        prop_assert_eq!(distinct(&texts, 1, batching).0, parts, "equal sentences may meet");
    }

    #[test]
    fn no_duplicates_equals_the_naive_scan(
        texts in prop::collection::vec(0u8..20, 1..80),
        batch_size in 1usize..9,
        seed: u64,
        epoch: u32,
    ) {
        let sentences = sentences(&texts);
        let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size, seed };
        let batches: Vec<_> = batching.batches(&sentences, epoch).collect();
        prop_assert_eq!(&batches, &naive(&shuffled(texts.len() as u32, seed, epoch), &texts, batch_size));
        prop_assert_eq!(batches.len(), batching.count(&sentences, epoch));
        let mut indices = HashSet::new();
        for batch in &batches {
            prop_assert!(batch.iter().all(|&index| indices.insert(index)), "once per epoch");
            let distinct: HashSet<_> = batch.iter().map(|&index| sentences.get(index as usize, 0)).collect();
            prop_assert_eq!(distinct.len(), batch_size);
        }
        let resumed: Vec<_> = batching.batches(&sentences, epoch).skip(1).collect();
        prop_assert_eq!(&resumed[..], batches.get(1..).unwrap_or_default());
    }

    #[test]
    fn batches_are_consecutive_parts_of_the_order(n in 1u8..99, batch_size in 1usize..9, seed: u64, epoch: u32) {
        let order = shuffled(u32::from(n), seed, epoch);
        let expected: Vec<_> = order.chunks_exact(batch_size).map(<[u32]>::to_vec).collect();
        let equal = sentences(&vec![7; n.into()]);
        let different = sentences(&(0..n).collect::<Vec<_>>());
        for (sampler, sentences) in [(BatchSampler::Batch, equal), (BatchSampler::NoDuplicates, different)] {
            let batching = Batching { sampler, batch_size, seed };
            prop_assert_eq!(&batching.batches(&sentences, epoch).collect::<Vec<_>>(), &expected);
            prop_assert_eq!(batching.count(&sentences, epoch), expected.len());
        }
    }

    #[test]
    fn orders_are_permutations_that_depend_on_seed_and_epoch(seed: u64, epoch in 0u32..99) {
        let order = shuffled(50, seed, epoch);
        prop_assert_ne!(&order, &shuffled(50, seed, epoch + 1));
        prop_assert_ne!(&order, &shuffled(50, seed ^ 1, epoch));
        let mut sorted = order;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn all_permutations_are_equally_likely() {
    let mut counts = std::collections::HashMap::new();
    (0..24_000).for_each(|epoch| *counts.entry(shuffled(4, 42, epoch)).or_insert(0.0) += 1.0);
    let chi_squared: f64 = counts.values().map(|count: &f64| (count - 1000.0).powi(2) / 1000.0).sum();
    assert_eq!(counts.len(), 24);
    assert!(chi_squared < 49.7, "{chi_squared}: 23 degrees of freedom, p = 0.001");
}

/// Sentence by sentence, a group of 100,000 is found out.
#[test]
fn many_different_texts_with_the_same_key_are_batched_in_linear_time() {
    let texts = (0..200_000).map(|i| format!("sentence {i}"));
    let sentences = Examples::from_texts("test", texts, 1).unwrap();
    let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 64, seed: 1 };
    let mut batches = batching.batches(&sentences, 0);
    let mut computed = 0;
    let mut keys = |indices: &[u32]| {
        computed += indices.len();
        let key = |&index: &u32| if index.is_multiple_of(2) { 0 } else { index };
        Ok::<_, Infallible>(indices.iter().map(key).collect())
    };
    let count = std::iter::from_fn(|| batches.next_distinct(&mut keys).unwrap()).count();
    assert_eq!(count, 100_000 / 63);
    assert!(computed < 300_000, "{computed}");
}

#[test]
fn a_million_sentences_half_of_them_equal_are_batched_in_linear_time() {
    let half = |i: u32| {
        if i.is_multiple_of(2) { "the same sentence".to_owned() } else { format!("sentence {i}") }
    };
    let sentences = Examples::from_texts("test", (0..1_000_000).map(half), 1).unwrap();
    let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 64, seed: 1 };
    assert_eq!(batching.count(&sentences, 0), 500_000 / 63);
}

/// Of a million texts, a quarter are one anchor and a quarter are another, so that most examples
/// wait for a group, and some for two.
#[test]
fn pairs_with_many_texts_in_common_are_batched_in_linear_time() {
    let mut builder = ExamplesBuilder::of_columns(2, 1);
    for i in 0..500_000_u32 {
        let text = |is_common: bool, name: &str| if is_common { name.to_owned() } else { format!("{name} {i}") };
        let [draw, ..] = Philox::new(5).block([i, 0, 0, 0]);
        builder.push_example(&[text(draw & 1 == 0, "anchor"), text(draw & 2 == 0, "positive")]);
    }
    let pairs = builder.finish("pairs").unwrap();
    let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 64, seed: 1 };
    let started = std::time::Instant::now();
    let count = batching.count(&pairs, 0);
    // A batch has one or two pairs with a common text; 125,000 have none.
    assert!((125_000 / 63..=125_000 / 61).contains(&count), "{count}");
    // A scan of all that wait would look at some 10⁹ pairs.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
