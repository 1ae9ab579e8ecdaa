use simcse_model::Architecture;

use super::*;
use crate::testing::{batch, encoder};

/// What a few batches leave in a workspace is what one sentence foretells.
#[test]
fn activations_are_foretold() {
    for (architecture, layers, width) in
        [(Architecture::Bert, 1, 32), (Architecture::DistilBert, 3, 64), (Architecture::Roberta, 6, 32)]
    {
        let encoder = encoder(architecture, layers, width);
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let settings = Settings::default();
        let per_token = Probe::of(&encoder, &settings, 12).training;
        for mini_batch_tokens in [None, Some(1200)] {
            let mut workspace = Workspace::new(mini_batch_tokens);
            let mut longest = 0;
            for step in 0..8 {
                let sentences = batch(160, step);
                longest = longest.max(2 * sentences.iter().map(Vec::len).sum::<usize>());
                let dropout = settings.dropout(step, 0);
                accumulate_gradient(&encoder, &sentences, Some(&dropout), 20.0, &mut workspace, &mut grads);
            }
            let demand = Demand { per_token, batch_tokens: longest, ..demand() };
            let tokens = mini_batch_tokens.map_or(longest, |tokens| demand.piece(tokens));
            let (found, foretold) = (workspace.activation_bytes() as u64, per_token * tokens as u64);
            let name = format!("{architecture:?}, {mini_batch_tokens:?}: {found} bytes, foretold {foretold}");
            // A piece may be a block longer than its share, and a shorter one may borrow buffers that are a third larger.
            let (above, below) = if mini_batch_tokens.is_none() { (1.05, 1.15) } else { (1.25, 1.5) };
            assert!(found as f64 <= above * foretold as f64 && foretold as f64 <= below * found as f64, "{name}");
        }
    }
}

/// A run of 1 GB whatever the batch, 1 MB a sentence and 100 kB a token: 1.5 GB at batch 100 with pieces of 4,000 tokens.
fn demand() -> Demand {
    Demand {
        fixed: 1_000_000_000,
        per_sentence: 1_000_000,
        per_token: 100_000,
        batch_tokens: 4000,
        block_tokens: Rows::BLOCK,
    }
}

fn settings(mini_batch_tokens: Option<usize>) -> Settings {
    Settings { batch_size: 100, mini_batch_tokens, ..Settings::default() }
}

#[test]
fn whole_batches_go_through_where_they_fit() {
    let demand = demand();
    let peak = demand.peak(100, 4000);
    assert_eq!(demand.fit(&settings(None), peak).unwrap(), (None, peak));
    let (pieces, less) = demand.fit(&settings(None), peak - 1).unwrap();
    assert_eq!((pieces, less), (Some(2000), demand.peak(100, 2512)));
    assert_eq!(demand.fit(&settings(Some(1000)), peak).unwrap().0, Some(1000), "as asked");
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    let demand = demand();
    let advice = |mini_batch_tokens, limit| match demand.fit(&settings(mini_batch_tokens), limit) {
        Err(Error::Memory { needed, limit, advice }) => {
            assert!(needed > limit);
            advice
        }
        other => panic!("{other:?}"),
    };
    let limit = demand.peak(100, 1512);
    assert_eq!(advice(Some(3000), limit), "the largest that fits is --mini-batch-tokens 1000");
    assert!(demand.fit(&settings(Some(1000)), limit).is_ok());
    let limit = demand.peak(90, demand.piece(Rows::BLOCK));
    let found = advice(None, limit);
    assert_eq!(found, "the largest that fits is --batch-size 90 with --mini-batch-tokens 512");
    assert!(advice(None, 1_000_000_000).starts_with("no batch fits"));
}
