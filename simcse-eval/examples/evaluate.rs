//! Scores a model on a reranking set.
//!
//!     cargo run -p simcse-eval --example evaluate
//!     cargo run -p simcse-eval --example evaluate -- output/my-model dev.jsonl
//!
//! Without arguments it scores a small model with random weights on three queries, and compares it
//! with counting words: no files and no network are needed.

use std::error::Error;
use std::path::Path;

use simcse_eval::{EvaluationSet, Lexical, Reranking, Scores, Split};
use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};

const QUERIES: &str = r#"
{"query": "how to install wifi", "positive": ["install the wifi driver"], "negative": ["slow boot", "no sound"]}
{"query": "boot is slow", "positive": ["slow boot"], "negative": ["install the sound driver", "no wifi"]}
{"query": "no sound", "positive": ["the driver is silent"], "negative": ["no wifi", "boot to install"]}
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => {
            let set = Reranking::from_jsonl(QUERIES, "three queries")?;
            show("random weights", &set.evaluate(&random_encoder()?)?);
            let words = set.score(&mut Lexical::tf_idf())?.expect("nothing stops it");
            show("TF-IDF", &words);
        }
        [model, data] => {
            let encoder = SentenceEncoder::load(Path::new(model))?;
            let set = Reranking::read(data, Split::Dev)?;
            show(model, &set.evaluate(&encoder)?);
        }
        _ => return Err("expected no arguments, or MODEL DATA".into()),
    }
    Ok(())
}

fn show(name: &str, scores: &Scores) {
    println!("{name}: {scores}");
}

/// A small untrained BERT, whose vocabulary is the words of the queries.
fn random_encoder() -> Result<SentenceEncoder, Box<dyn Error>> {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let words = ["how", "to", "install", "the", "wifi", "driver", "slow", "boot", "no", "sound", "is", "silent"];
    let vocabulary = [&special[..], &words[..]].concat();
    let config = ModelConfig {
        vocab_size: vocabulary.len(),
        hidden_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 64,
        max_position_embeddings: 32,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let tokenizer = Tokenizer::word_piece(&vocabulary, true)?;
    let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16)?;
    Ok(SentenceEncoder::random(directory, 42))
}
