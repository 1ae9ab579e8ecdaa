use simcse_model::Architecture;
use simcse_tensor::rng::Philox;

use super::*;
use crate::memory::longest::estimated_batch;
use crate::testing::{batch, encoder};

/// The activations of batches, whole or in pieces, take what the probe of one sentence predicts.
#[test]
fn activations_are_predicted() {
    for (architecture, layers, width) in
        [(Architecture::Bert, 1, 32), (Architecture::DistilBert, 3, 64), (Architecture::Roberta, 6, 32)]
    {
        let encoder = encoder(architecture, layers, width);
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let settings = Settings::default();
        let per_token = Probe::of(&encoder, &settings, 12).training;
        let batches: Vec<_> = (0..4).map(|seed| batch(160, seed)).collect();
        let tokens = |batch: &TokenizedBatch| 2 * batch.texts().iter().map(Vec::len).sum::<usize>();
        let longest = batches.iter().map(tokens).max().unwrap();
        for mini_batch_tokens in [None, Some(1200)] {
            let demand = Demand { batch_tokens: longest, block_tokens: Rows::BLOCK, ..demand() };
            let piece = demand.piece(mini_batch_tokens);
            let mut buffers = StepBuffers::new(mini_batch_tokens).with_room(piece);
            for batch in &batches {
                accumulate_gradient(
                    &encoder,
                    batch,
                    Some(&settings.dropout(1, 0)),
                    &*settings.objective_of_embeddings(1),
                    &mut buffers,
                    &mut grads,
                );
            }
            let found = buffers.activation_bytes() as f64;
            let predicted = (per_token * piece as u64) as f64;
            let name = format!("{architecture:?}, {mini_batch_tokens:?}: {found} bytes, predicted {predicted}");
            assert!((found / predicted - 1.0).abs() < 0.02, "{name}");
        }
    }
}

/// A run of 1 GB plus 100 kB per token. The model is so wide that the number of sentences matters.
fn demand() -> Demand {
    Demand {
        fixed: 1_000_000_000,
        per_token: 100_000,
        hidden_size: 100_000,
        embedding_width: 100_000,
        dimension: 100_000,
        intermediate_size: 1,
        precision: Precision::F32,
        vocabulary: 0,
        loss: Some(ContrastiveLoss::simcse(20.0)),
        embeddings: 2,
        batch_tokens: 4000,
        block_tokens: 500,
    }
}

fn settings(mini_batch_tokens: Option<usize>) -> Settings {
    Settings { batch_size: 100, mini_batch_tokens, ..Settings::default() }
}

#[test]
fn batches_stay_whole_if_they_fit() {
    let demand = demand();
    let peak = demand.peak(100, 4000);
    assert_eq!(demand.fit(&settings(None), peak).unwrap(), (None, peak));
    let (pieces, less) = demand.fit(&settings(None), peak - 1).unwrap();
    assert_eq!((pieces, less), (Some(7 * 512), demand.peak(100, 7 * 500)));
    assert_eq!(demand.fit(&settings(Some(1000)), peak).unwrap().0, Some(1000), "as requested");
}

#[test]
fn a_run_that_does_not_fit_is_refused_with_the_largest_setting_that_does() {
    let demand = demand();
    let advice = |mini_batch_tokens, limit| match demand.fit(&settings(mini_batch_tokens), limit) {
        Err(Error::Memory { needed, limit, advice }) => {
            assert!(needed > limit);
            advice
        }
        other => panic!("{other:?}"),
    };
    let limit = demand.peak(100, 1500);
    assert_eq!(advice(Some(3000), limit), "the largest that fits is --mini-batch-tokens 1536");
    assert!(demand.fit(&settings(Some(1536)), limit).is_ok());
    let limit = demand.peak(90, demand.piece(Some(Rows::BLOCK)));
    let found = advice(None, limit);
    assert_eq!(found, "the largest that fits is --batch-size 90 with --mini-batch-tokens 512");
    assert!(advice(None, 1_000_000_000).starts_with("no batch fits"));
}

/// Lengths of 3 to 31 tokens with a peak in the middle, like those of titles.
#[test]
fn the_longest_batch_is_estimated_from_a_sample() {
    let philox = Philox::new(11);
    let length = |index: u64| {
        let [a, b, ..] = philox.block([index as u32, (index >> 32) as u32, 0, 0]);
        3 + (a % 15 + b % 15) as usize
    };
    let sample: Vec<f64> = (0..SAMPLE as u64).map(|index| length(index) as f64).collect();
    for (size, batches) in [(128, 300), (32, 3000), (1024, 40)] {
        let batch = |number: u64| 2 * (0..size).map(|i| length(1_000_000 + number * size + i)).sum::<usize>();
        let longest = (0..batches).map(batch).max().unwrap() as f64;
        let estimated = estimated_batch(&sample, 2, size as usize, batches as f64) as f64;
        let ratio = estimated / longest;
        assert!((0.98..1.06).contains(&ratio), "{batches} batches of {size}: {estimated} for {longest}");
    }
}
