//! Memory: after the first few steps, a training step makes no large allocation and keeps no
//! memory, and encoding holds the activations of one layer, however many layers there are.

use std::sync::Mutex;

use simcse_model::{
    Architecture, DropoutPlan, Isa, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, TokenBatch, Tokenizer,
};
use simcse_tensor::rng::Philox;
use simcse_tensor::{BufferPool, Grads};
use simcse_testing::observe;
use simcse_train::optim::adamw::{AdamW, clip_scale, gradient_norm};
use simcse_train::{ContrastiveLoss, StepBuffers, TokenizedBatch, accumulate_gradient};

/// The tests observe the whole process, so only one runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

const LARGE: usize = 64 << 10;
const VOCABULARY: usize = 500;
const SENTENCES: usize = 160;

fn encoder(num_hidden_layers: usize) -> SentenceEncoder {
    let config = ModelConfig {
        vocab_size: VOCABULARY,
        hidden_size: 64,
        num_hidden_layers,
        num_attention_heads: 2,
        intermediate_size: 256,
        max_position_embeddings: 16,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let tokenizer = Tokenizer::word_piece(&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], true).unwrap();
    SentenceEncoder::random(ModelDirectory::new(config, tokenizer, Pooling::Mean, 16).unwrap(), 1)
}

/// The sentences of step `step`, of 3 to 12 token ids each.
fn batch(step: u32) -> Vec<Vec<u32>> {
    let random = |i, j| Philox::new(7).block([i, j, step, 0])[0];
    let sentence = |i| (0..3 + random(i, 0) % 10).map(|j| random(i, j + 1) % VOCABULARY as u32).collect();
    (0..SENTENCES as u32).map(sentence).collect()
}

/// Matrix products of the portable path allocate in every call, because the crate matrixmultiply
/// packs into memory of its own.
fn products_allocate() -> bool {
    Isa::detected() == Isa::Portable
}

/// Runs a test on one thread. A second thread's scratch memory would grow whenever it first gets a
/// task of some kind, which may be in a late step.
fn on_one_thread(test: impl FnOnce() + Send) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(test);
}

#[test]
fn a_training_step_makes_no_large_allocation() {
    if products_allocate() {
        return;
    }
    let _alone = ALONE.lock().unwrap();
    on_one_thread(train_and_observe);
}

fn train_and_observe() {
    for (pooling, mini_batch_tokens) in
        [(Pooling::Mean, None), (Pooling::Cls, None), (Pooling::Max, None), (Pooling::Mean, Some(1024))]
    {
        let mut encoder = encoder(2);
        encoder.directory.pooling = pooling;
        let mut optimizer = AdamW::new(encoder.params.layout(), 0.01, 1e-8);
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let mut buffers = StepBuffers::new(mini_batch_tokens);
        let objective = ContrastiveLoss::simcse(20.0);
        let mut kept = 0;
        for step in 0..12 {
            let batch = TokenizedBatch::new(1, batch(step));
            let dropout = DropoutPlan { hidden: 0.1, attention: 0.1, seed: 1, step };
            let ((), memory) = observe(|| {
                grads.clear();
                accumulate_gradient(&encoder, &batch, Some(&dropout), &objective, &mut buffers, &mut grads);
                let norm = gradient_norm(&grads);
                optimizer.update(&mut encoder.params, &grads, 1e-4, clip_scale(norm, 1.0));
            });
            let case = format!("{pooling:?} pooling, pieces of {mini_batch_tokens:?}, step {step}");
            assert!(step < 6 || memory.largest < LARGE, "{case}: {memory:?}");
            kept += if step < 6 { 0 } else { memory.kept };
        }
        assert!(kept < LARGE as isize, "{pooling:?} pooling: six steps kept {kept} bytes");
    }
}

/// The most bytes that a forward pass holds at once, besides the parameters.
fn peak(layers: usize, recording: bool) -> usize {
    let encoder = encoder(layers);
    let batch = TokenBatch::new(encoder.config(), &batch(0), vec![0; SENTENCES]);
    let mut bytes = 0;
    for _ in 0..2 {
        // The first pass also allocates the threads' scratch memory.
        let mut pool = BufferPool::new();
        let forward = || _ = encoder.forward(&mut encoder.tape(&mut pool, &batch, recording), &batch, None);
        bytes = observe(forward).1.peak;
    }
    bytes
}

#[test]
fn encoding_holds_the_activations_of_one_layer() {
    if products_allocate() {
        return;
    }
    let _alone = ALONE.lock().unwrap();
    on_one_thread(|| {
        let shallow = peak(2, false);
        let deep = peak(8, false);
        let recorded = peak(8, true);
        assert!(deep.abs_diff(shallow) < shallow / 50, "2 layers hold {shallow} bytes, 8 layers {deep}");
        assert!(recorded > 5 * deep, "recording holds {recorded} bytes, encoding {deep}");
    });
}
