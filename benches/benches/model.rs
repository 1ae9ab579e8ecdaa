//! A training step, encoding, and encoding of one sentence at the shapes of distilbert-base-uncased
//! (six layers of the base models) and of MiniLM, on all threads; one sentence also on one. The share
//! of the peak counts the products that the mathematics needs on real tokens.

#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use simcse_benches::{Amount, Bench, SHAPES, Shape, check, peak, precisions, title_lengths, values};
use simcse_model::{DropoutPlan, ModelDirectory, Named, Pooling, SentenceEncoder, Tokenizer, Work};
use simcse_tensor::Grads;
use simcse_train::optim::adamw::{AdamW, clip_scale, gradient_norm};
use simcse_train::{ContrastiveLoss, Settings, StepBuffers, TokenizedBatch, accumulate_gradient};

const LAYERS: usize = 6;
const BATCH: usize = 32;
const ENCODED: usize = 256;

/// An encoder with random weights and a vocabulary of BERT's size.
fn encoder(shape: Shape) -> SentenceEncoder {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let vocabulary: Vec<String> = special.into_iter().chain((5..30522).map(|i| format!("w{i}"))).collect();
    let tokenizer = Tokenizer::word_piece(&vocabulary, true).expect("the vocabulary is valid");
    let config = shape.config(LAYERS, vocabulary.len());
    let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 32).expect("the model is valid");
    SentenceEncoder::random(directory, 1)
}

/// Sentences with as many tokens as titles.
fn sentences(count: usize) -> Vec<String> {
    let word = |i: usize| format!("w{}", 5 + i * 7919 % 30517);
    let words = |(s, length): (usize, usize)| (0..length - 2).map(|i| word(31 * s + i)).collect::<Vec<_>>().join(" ");
    title_lengths(count).into_iter().enumerate().map(words).collect()
}

fn step(criterion: &mut Criterion) {
    for shape in SHAPES {
        let mut encoder = encoder(shape);
        let tokens = encoder.tokenize(&sentences(BATCH)).expect("the sentences can be tokenized").ids;
        let batch = TokenizedBatch::new(1, tokens);
        let settings = Settings::default();
        let mut optimizer = AdamW::new(encoder.params.layout(), settings.weight_decay, settings.adam_epsilon);
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let mut buffers = StepBuffers::default();
        let objective = ContrastiveLoss::simcse(20.0);
        let mut bench = Bench::new(criterion, format!("step/{}", shape.name), 0);
        let mut number = 0;
        let mut losses = Vec::new();
        for precision in precisions() {
            encoder.precision = precision;
            let flop = 3.0 * Work::forward(encoder.config(), title_lengths(BATCH).repeat(2)).total();
            let mut step = || {
                number += 1;
                let dropout = DropoutPlan { hidden: 0.1, attention: 0.1, seed: 1, step: number };
                grads.clear();
                let loss = accumulate_gradient(&encoder, &batch, Some(&dropout), &objective, &mut buffers, &mut grads);
                optimizer.update(&mut encoder.params, &grads, 0.0, clip_scale(gradient_norm(&grads), 1.0));
                loss
            };
            losses.push(step());
            bench.case(precision.name(), Amount::Flop(flop, peak(precision, 0)), || assert!(step().is_finite()));
        }
        // With random embeddings the loss is near the logarithm of the batch size, whatever the
        // masks.
        losses.iter().for_each(|loss| assert!((0.1..6.0).contains(loss), "{}: loss {loss}", shape.name));
    }
}

fn encode(criterion: &mut Criterion) {
    for shape in SHAPES {
        let mut encoder = encoder(shape);
        let sentences = sentences(ENCODED);
        let alone = encoder.encode(&sentences[..3]).expect("the sentences can be encoded");
        let mut bench = Bench::new(criterion, format!("encode/{}", shape.name), 0);
        for precision in precisions() {
            encoder.precision = precision;
            let flop = Work::forward(encoder.config(), title_lengths(ENCODED)).total();
            let encode = || encoder.encode(&sentences).expect("the sentences can be encoded");
            let together = encode();
            check("embeddings", &values(&together)[..alone.len()], values(&alone), 3e-2);
            bench.case(precision.name(), Amount::Flop(flop, peak(precision, 0)), || _ = encode());
        }
    }
}

/// One sentence, with weights that are packed once, on one thread and on all.
fn one(criterion: &mut Criterion) {
    for shape in SHAPES {
        let mut encoder = encoder(shape);
        encoder.params.keep_packed();
        let sentence = &sentences(1)[..];
        for (threads, what) in [(1, "one thread"), (0, "all threads")] {
            let mut bench = Bench::new(criterion, format!("one/{}/{what}", shape.name), threads);
            for precision in precisions() {
                encoder.precision = precision;
                let flop = Work::forward(encoder.config(), title_lengths(1)).total();
                let encode = || encoder.encode(sentence).expect("the sentence can be encoded");
                let norm = encode().iter().map(|x| x * x).sum::<f32>().sqrt();
                assert!(norm.is_finite() && norm > 0.0, "{}: norm {norm}", shape.name);
                bench.case(precision.name(), Amount::Flop(flop, peak(precision, threads)), || _ = encode());
            }
        }
    }
}

criterion_group!(benches, step, encode, one);
criterion_main!(benches);
