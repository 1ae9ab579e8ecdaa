//! Encodes sentences and prints how similar each is to the first.
//!
//! ```text
//! cargo run -p simcse-model --example encode -- MODEL "the cat sleeps" "a dog barks"
//! ```
//!
//! MODEL is a directory, or a name on the Hugging Face hub that is in its cache on this disk (with
//! `--features hub`, it is downloaded). Without arguments, the program makes a small model with
//! random weights and encodes a few sentences of its own.

use std::error::Error;

use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (encoder, sentences) = match arguments.next() {
        Some(model) => (SentenceEncoder::load(model)?, arguments.collect()),
        None => {
            let sentences = ["the cat sleeps", "the dog sleeps", "the dog barks"];
            (small_random_model()?, sentences.map(str::to_owned).to_vec())
        }
    };
    for warning in encoder.warnings() {
        eprintln!("warning: {warning}");
    }

    let embeddings = encoder.encode(&sentences)?;
    let norm = |row: usize| embeddings.row(row).dot(&embeddings.row(row)).sqrt();
    for (row, sentence) in sentences.iter().enumerate() {
        let cosine = embeddings.row(0).dot(&embeddings.row(row)) / (norm(0) * norm(row));
        println!("{cosine:.4}  {sentence}");
    }
    Ok(())
}

fn small_random_model() -> simcse_model::Result<SentenceEncoder> {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sleeps", "barks"];
    let tokenizer = Tokenizer::word_piece(&words, true)?;
    let config = ModelConfig {
        vocab_size: words.len(),
        hidden_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 64,
        max_position_embeddings: 32,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 32)?;
    Ok(SentenceEncoder::random(directory, 42))
}
