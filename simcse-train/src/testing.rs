//! For tests: a small model with random weights, and batches of random token ids.

use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use simcse_tensor::rng::Philox;

use crate::step::batch::TokenizedBatch;

const VOCABULARY: usize = 300;
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// An encoder with `layers` layers of hidden size `width`, and heads of size 16.
pub(crate) fn encoder(architecture: Architecture, layers: usize, width: usize) -> SentenceEncoder {
    let config = ModelConfig {
        vocab_size: VOCABULARY,
        hidden_size: width,
        num_hidden_layers: layers,
        num_attention_heads: width / 16,
        intermediate_size: 4 * width,
        max_position_embeddings: 64,
        pad_token_id: 0,
        initializer_range: 0.05,
        ..ModelConfig::defaults(architecture)
    };
    let words: Vec<String> = (SPECIAL.len()..VOCABULARY).map(|id| format!("word{id}")).collect();
    let words: Vec<&str> = SPECIAL.into_iter().chain(words.iter().map(String::as_str)).collect();
    let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
    SentenceEncoder::random(ModelDirectory::new(config, tokenizer, Pooling::Mean, 32).unwrap(), 1)
}

/// A batch of `size` sentences of 3 to 12 tokens each.
pub(crate) fn batch(size: usize, seed: u64) -> TokenizedBatch {
    let random = |i, j| Philox::new(seed).block([i, j, 0, 0])[0];
    let sentence = |i| (0..3 + random(i, 0) % 10).map(|j| 5 + random(i, j + 1) % (VOCABULARY as u32 - 5)).collect();
    TokenizedBatch::new(1, (0..size as u32).map(sentence).collect())
}
