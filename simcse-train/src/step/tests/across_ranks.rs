//! What several ranks compute together is what one computes alone.

use simcse_model::{Architecture, DropoutPlan, Precision, SentenceEncoder};
use simcse_tensor::{Grads, Hardness};

use crate::ranks::{Ranks, on_threads};
use crate::settings::{Direction, Settings, Training};
use crate::step::batch::TokenizedBatch;
use crate::step::buffers::StepBuffers;
use crate::step::gradient::{StepLoss, mean_gradient};
use crate::testing::{batch, encoder};

/// The largest relative error of a gradient (L2), and of the loss.
const BOUND: f64 = 1e-6;

struct Case {
    name: &'static str,
    settings: Settings,
    batches: Vec<TokenizedBatch>,
}

fn cases() -> Vec<Case> {
    let usual = Settings::default();
    let triplets = |size: usize| TokenizedBatch::new(3, batch(3 * size, 7).texts().to_vec());
    let case = |name, settings, batches| Case { name, settings, batches };
    vec![
        case("sentences", usual.clone(), vec![batch(100, 1)]),
        case("two batches", usual.clone(), vec![batch(40, 2), batch(40, 3)]),
        case("fewer rows than ranks", usual.clone(), vec![batch(2, 4)]),
        case(
            "triplets",
            Settings {
                directions: vec![Direction::QueryToDoc, Direction::QueryToQuery, Direction::DocToDoc],
                hardness_mode: Hardness::HardNegatives,
                hardness_strength: 5.0,
                matryoshka_dims: vec![32, 9],
                ..usual.clone()
            },
            vec![triplets(45)],
        ),
        case(
            "noise and a view without dropout",
            Settings { off_dropout: true, noise_negatives: 50, focal_m: Some(0.3), ..usual.clone() },
            vec![batch(60, 5).with_undropped_views()],
        ),
        case("with masked tokens", Settings { mlm_weight: 0.1, ..usual.clone() }, vec![batch(60, 6)]),
        case(
            "masked tokens alone",
            Settings { objective: Training::Mlm, mlm_weight: 1.0, ..usual },
            vec![batch(80, 8), batch(80, 9)],
        ),
    ]
}

fn model(settings: &Settings) -> SentenceEncoder {
    let mut encoder = encoder(Architecture::Bert, 2, 32);
    settings.add_mlm_head(&mut encoder).unwrap();
    encoder
}

/// The gradient and the figures of a step on one rank.
fn step(case: &Case, ranks: Ranks, mini_batch_tokens: Option<usize>, precision: Precision) -> (Vec<f32>, StepLoss) {
    let mut encoder = model(&case.settings);
    encoder.precision = precision;
    let columns = case.batches[0].columns();
    let objectives = case.settings.objectives(&encoder.directory.tokenizer, columns).unwrap();
    let dropout = |batch| DropoutPlan { hidden: 0.1, attention: 0.1, seed: 42, step: 3 + batch as u32 };
    let mut buffers = StepBuffers::new(mini_batch_tokens).across(ranks);
    let mut grads = Grads::zeros(encoder.params.layout().clone());
    let found = mean_gradient(&encoder, &case.batches, dropout, &objectives, &mut buffers, &mut grads);
    (grads.values().to_vec(), found)
}

/// The same on each of several ranks.
fn steps(
    case: &Case,
    size: usize,
    mini_batch_tokens: Option<usize>,
    precision: Precision,
) -> Vec<(Vec<f32>, StepLoss)> {
    on_threads(size, |ranks| step(case, ranks, mini_batch_tokens, precision))
}

fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

#[test]
fn the_gradient_is_that_of_the_whole_batch_on_one_rank() {
    for case in cases() {
        let (expected, alone) = step(&case, Ranks::default(), None, Precision::F32);
        let norm = length(expected.iter().map(|&g| g.into()));
        assert!(norm > 1e-3, "{}", case.name);
        for size in [2, 3, 5] {
            for (gradient, found) in steps(&case, size, None, Precision::F32) {
                let differences = gradient.iter().zip(&expected).map(|(&g, &e)| f64::from(g) - f64::from(e));
                let error = length(differences) / norm;
                assert!(error <= BOUND, "{} on {size} ranks: the gradient is off by {error:.1e}", case.name);
                let error = f64::from((found.loss - alone.loss).abs() / alone.loss);
                assert!(error <= BOUND, "{} on {size} ranks: loss {}, not {}", case.name, found.loss, alone.loss);
                // Every rank sees all embeddings, to the bit.
                assert_eq!(found.in_batch_accuracy, alone.in_batch_accuracy, "{}", case.name);
                let tokens = |found: StepLoss| found.masked_lm.map(|figures| (figures.tokens, figures.accuracy));
                assert_eq!(tokens(found), tokens(alone), "{}", case.name);
            }
        }
    }
}

#[test]
fn every_rank_has_the_same_bits_in_every_run_and_for_pieces_of_every_size() {
    let precisions = [Precision::F32, Precision::Bf16];
    for precision in precisions.into_iter().filter(|precision| precision.is_available()) {
        for case in cases() {
            for size in [2, 3] {
                let expected = steps(&case, size, None, precision).swap_remove(0);
                for mini_batch_tokens in [None, Some(512)] {
                    let same = steps(&case, size, mini_batch_tokens, precision).iter().all(|rank| *rank == expected);
                    assert!(same, "{} on {size} ranks in {precision:?}, pieces of {mini_batch_tokens:?}", case.name);
                }
            }
        }
    }
}
