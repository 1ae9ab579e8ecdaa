//! The same bits: a trained model's do not depend on the number of threads, on the run, or on how
//! batches are split into pieces; an embedding's do not depend on what it is encoded together with.

mod common {
    include!("common/stop_after.rs");
}

use rayon::ThreadPoolBuilder;
use simcse_model::{
    AlternatingAttention, Architecture, ModelConfig, ModelDirectory, Named, PooledLayers, Pooling, Precision,
    SentenceEncoder, Tokenizer, WordWeighting,
};
use simcse_tensor::Hardness;
use simcse_train::data::builder::ExamplesBuilder;
use simcse_train::{Checkpoint, Direction, Examples, Mlp, OutputDirectory, Settings, Trainer};

use common::StopAfter;

const THREADS: [usize; 5] = [1, 2, 3, 4, 8];

/// Distinct sentences of 3 to 14 words. A batch of them has more tokens than one block.
fn texts() -> Vec<String> {
    let words = [
        "open", "a", "file", "in", "the", "terminal", "without", "mouse", "and", "print", "it", "twice", "on", "paper",
    ];
    let text = |i: usize| {
        let some: Vec<_> = words.iter().cycle().skip(i % 11).take(2 + i % 12).copied().collect();
        format!("{i} {}", some.join(" "))
    };
    (0..120).map(text).collect()
}

fn encoder(texts: &[String], precision: Precision) -> SentenceEncoder {
    encoder_of(Architecture::Bert, texts, precision)
}

fn encoder_of(architecture: Architecture, texts: &[String], precision: Precision) -> SentenceEncoder {
    let tokenizer = Tokenizer::byte_level_bpe(texts, 300).unwrap();
    let defaults = ModelConfig::defaults(architecture);
    let config = ModelConfig {
        // The second layer's windows are shorter than sentences.
        alternating_attention: defaults.alternating_attention.map(|attention| AlternatingAttention {
            global_every: 2,
            local_attention: 16,
            ..attention
        }),
        vocab_size: tokenizer.max_id() as usize + 1,
        hidden_size: 24, // not a multiple of any instruction set's tile
        num_hidden_layers: 2,
        num_attention_heads: 3,
        intermediate_size: 40,
        embedding_size: (architecture == Architecture::Electra).then_some(16),
        max_position_embeddings: 70,
        pad_token_id: defaults.pad_token_id.min(1),
        initializer_range: 0.05,
        ..defaults
    };
    let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 64).unwrap();
    let mut encoder = SentenceEncoder::random(directory, 1);
    encoder.precision = precision;
    encoder
}

/// Batches of more than one block.
fn settings(steps: u64, precision: Precision) -> Settings {
    Settings { batch_size: 48, max_seq_length: 64, max_steps: Some(steps), precision, ..Settings::default() }
}

/// The bits of all weights after a run on sentences.
fn trained(threads: usize, settings: &Settings) -> Vec<u32> {
    trained_on(&Examples::from_texts("sentences", texts(), 1).unwrap(), threads, settings)
}

/// The bits of all weights after a run.
fn trained_on(examples: &Examples, threads: usize, settings: &Settings) -> Vec<u32> {
    trained_from(encoder(&texts(), Precision::F32), examples, threads, settings)
}

fn trained_from(encoder: SentenceEncoder, examples: &Examples, threads: usize, settings: &Settings) -> Vec<u32> {
    let before = encoder.params.values().to_vec();
    let dir = tempfile::tempdir().unwrap();
    let trainer = Trainer::new(encoder, examples, settings.clone(), dir.path().join("run")).unwrap();
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let encoder = pool.install(|| trainer.train(&mut ())).unwrap().encoder;
    assert_ne!(encoder.params.values()[..before.len()], before);
    encoder.params.values().iter().map(|value| value.to_bits()).collect()
}

fn precisions() -> impl Iterator<Item = Precision> {
    [Precision::F32, Precision::Bf16].into_iter().filter(|precision| precision.is_available())
}

#[test]
fn weights_have_the_same_bits_for_any_number_of_threads_and_in_every_run() {
    for precision in precisions() {
        let settings = settings(100, precision);
        let expected = trained(THREADS[0], &settings);
        for threads in THREADS.into_iter().cycle().skip(1).take(9) {
            assert!(trained(threads, &settings) == expected, "{threads} threads give other bits in {precision:?}");
        }
    }
}

#[test]
fn weights_have_the_same_bits_for_pieces_of_any_size() {
    for precision in precisions() {
        for &pooling in Pooling::ALL {
            let plain = Settings { pooling, ..settings(20, precision) };
            let expected = trained(2, &plain);
            for (tokens, threads) in [(512, 1), (700, 2), (1024, 3), (1500, 2)] {
                let cached = Settings { mini_batch_tokens: Some(tokens), ..plain.clone() };
                let same = trained(threads, &cached) == expected;
                assert!(same, "pieces of {tokens} tokens give other bits with {pooling:?} pooling in {precision:?}");
            }
        }
    }
}

/// ELECTRA's projection, ModernBERT's windows, and MPNet's table of positions, which all layers and
/// sentences add to.
#[test]
fn every_family_gives_the_same_bits_for_any_threads_and_pieces() {
    let examples = Examples::from_texts("sentences", texts(), 1).unwrap();
    for precision in precisions() {
        for &architecture in Architecture::ALL {
            let run = |tokens, threads| {
                let settings = Settings { mini_batch_tokens: tokens, ..settings(6, precision) };
                let encoder = encoder_of(architecture, &texts(), Precision::F32);
                trained_from(encoder, &examples, threads, &settings)
            };
            let expected = run(None, 2);
            for (tokens, threads) in [(None, 1), (Some(512), 3), (Some(1024), 2)] {
                let same = run(tokens, threads) == expected;
                assert!(same, "{architecture:?}: pieces of {tokens:?} tokens on {threads} threads give other bits");
            }
        }
    }
}

#[test]
fn every_family_resumes_with_the_same_bits() {
    let examples = Examples::from_texts("sentences", texts(), 1).unwrap();
    let settings = settings(5, Precision::F32);
    for &architecture in Architecture::ALL {
        let encoder = || encoder_of(architecture, &texts(), Precision::F32);
        let expected = trained_from(encoder(), &examples, 2, &settings);
        let dir = tempfile::tempdir().unwrap();
        let trainer = Trainer::new(encoder(), &examples, settings.clone(), dir.path()).unwrap();
        trainer.train(&mut StopAfter { steps: 3, done: 0 }).unwrap_err();
        let output = OutputDirectory::lock_existing(dir.path()).unwrap();
        let checkpoint = Checkpoint::open(&dir.path().join("checkpoint-3")).unwrap();
        let trainer = Trainer::resume(output, checkpoint, &examples, settings.clone()).unwrap();
        let resumed = trainer.train(&mut ()).unwrap().encoder;
        let bits: Vec<u32> = resumed.params.values().iter().map(|value| value.to_bits()).collect();
        assert!(bits == expected, "{architecture:?}: a resumed run gives other bits");
    }
}

#[test]
fn dense_layers_and_mixed_layers_give_the_same_bits_for_any_threads_and_pieces() {
    for precision in precisions() {
        for (mlp, layers) in [(Mlp::Always, PooledLayers::AvgTop2), (Mlp::OnlyTrain, PooledLayers::AvgFirstLast)] {
            let plain = Settings { mlp, pooled_layers: Some(layers), ..settings(12, precision) };
            let expected = trained(2, &plain);
            for (tokens, threads) in [(None, 1), (Some(512), 3), (Some(1024), 2)] {
                let cached = Settings { mini_batch_tokens: tokens, ..plain.clone() };
                let same = trained(threads, &cached) == expected;
                assert!(same, "pieces of {tokens:?} tokens on {threads} threads give other bits in {precision:?}");
            }
        }
    }
}

/// Triplets whose negatives are often equal, so that some have to wait.
fn triplets() -> Examples {
    let texts = texts();
    let mut builder = ExamplesBuilder::of_columns(3, 1);
    for (i, anchor) in texts.iter().enumerate() {
        builder.push_example(&[anchor, &format!("{anchor} too"), &texts[i / 3].to_uppercase()]);
    }
    builder.finish("triplets").unwrap()
}

#[test]
fn triplets_give_the_same_bits_for_any_threads_and_pieces() {
    for precision in precisions() {
        let plain = Settings {
            batch_size: 20,
            directions: vec![Direction::QueryToDoc, Direction::QueryToQuery, Direction::DocToDoc],
            hardness_mode: Hardness::HardNegatives,
            hardness_strength: 5.0,
            hard_negative_weight: 0.5,
            matryoshka_dims: vec![24, 7],
            ..settings(8, precision)
        };
        let expected = trained_on(&triplets(), 2, &plain);
        for (tokens, threads) in [(None, 1), (None, 3), (Some(512), 2), (Some(1024), 1)] {
            let cached = Settings { mini_batch_tokens: tokens, ..plain.clone() };
            let same = trained_on(&triplets(), threads, &cached) == expected;
            assert!(same, "pieces of {tokens:?} tokens on {threads} threads give other bits in {precision:?}");
        }
    }
}

#[test]
fn published_variants_give_the_same_bits_for_any_threads_and_pieces() {
    let repeated = Settings { dup_rate: 0.32, ..Settings::default() };
    let noise = Settings { noise_negatives: 100, noise_weight: 0.5, matryoshka_dims: vec![24, 7], ..repeated.clone() };
    let variants = [
        repeated.clone(),
        Settings { word_deletion: 0.4, ..repeated.clone() },
        Settings { word_weights: Some(WordWeighting::Idf), word_weights_in_training: true, ..Settings::default() },
        Settings { focal_m: Some(0.3), ..noise.clone() },
        Settings { off_dropout: true, pos_ratio: 0.9, ..repeated },
        noise,
    ];
    let usual = settings(6, Precision::F32);
    let plain = trained(2, &usual);
    // Unless they are asked to, word weights leave training alone.
    let idf = Some(WordWeighting::Idf);
    assert!(trained(2, &Settings { word_weights: idf, ..usual.clone() }) == plain);
    for variant in variants {
        let Settings { batch_size, max_seq_length, max_steps, .. } = usual;
        let whole = Settings { batch_size, max_seq_length, max_steps, ..variant };
        let expected = trained(2, &whole);
        assert!(expected != plain, "{:?} change nothing", whole.objective_flags());
        for (tokens, threads) in [(None, 3), (Some(512), 1), (Some(1024), 2)] {
            let cached = Settings { mini_batch_tokens: tokens, ..whole.clone() };
            let same = trained(threads, &cached) == expected;
            assert!(same, "{:?}: pieces of {tokens:?} tokens give other bits", whole.objective_flags());
        }
    }
}

#[test]
fn embeddings_have_the_same_bits_in_any_batch_order_and_number_of_threads() {
    let texts = texts();
    for precision in precisions() {
        let encoder = encoder(&texts, precision);
        let expected = encoder.encode(&texts).unwrap();
        let reversed: Vec<_> = texts.iter().rev().collect();
        for threads in THREADS {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| encoder.encode(&reversed)).unwrap();
            for (found, expected) in found.outer_iter().rev().zip(expected.outer_iter()) {
                assert_eq!(found, expected, "reversed, on {threads} threads in {precision:?}");
            }
        }
        for size in [1, 7] {
            for (texts, expected) in texts.chunks(size).zip(expected.axis_chunks_iter(ndarray::Axis(0), size)) {
                assert_eq!(encoder.encode(texts).unwrap(), expected, "{size} at a time in {precision:?}");
            }
        }
    }
}
