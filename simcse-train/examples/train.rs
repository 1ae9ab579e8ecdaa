//! Trains a model on a file of sentences:
//!
//! ```text
//! cargo run -p simcse-train --example train -- MODEL SENTENCES OUTPUT
//! ```
//!
//! MODEL is a directory, or the name of a model in the Hugging Face cache; SENTENCES is a text file
//! with one sentence per line.
//! Without arguments, a small model with random weights is trained on a few questions, and its
//! directory is deleted at the end.

use std::error::Error;
use std::path::Path;

use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use simcse_train::{Callbacks, Examples, Settings, StepRecord, Trainer};

const QUESTIONS: [&str; 8] = [
    "How do I mount a USB stick?",
    "No sound after the last update",
    "Boot from a USB drive",
    "The screen stays dark after booting",
    "How to install a printer driver",
    "Wifi is slow since the upgrade",
    "Remove a package and its settings",
    "Which kernel version am I running?",
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [model, sentences, output] => {
            let encoder = SentenceEncoder::load(model)?;
            let sentences = Examples::read(sentences, 10)?;
            let settings = Settings::for_model(&encoder);
            train(encoder, &sentences, settings, output.as_ref())
        }
        [] => {
            let encoder = small_model()?;
            let sentences = Examples::from_texts("eight questions", QUESTIONS, 10)?;
            let settings = Settings { batch_size: 4, epochs: 5, learning_rate: 1e-3, ..Settings::for_model(&encoder) };
            let output = tempfile::tempdir()?;
            train(encoder, &sentences, settings, &output.path().join("model"))
        }
        _ => Err("usage: train [MODEL SENTENCES OUTPUT]".into()),
    }
}

fn train(
    encoder: SentenceEncoder,
    sentences: &Examples,
    settings: Settings,
    output: &Path,
) -> Result<(), Box<dyn Error>> {
    let trainer = Trainer::new(encoder, sentences, settings, output)?;
    let trained = trainer.train(&mut Printer)?;
    println!("{} steps, mean loss {:.4}", trained.summary.steps, trained.summary.train_loss);

    let embeddings = trained.encoder.encode(&["mount a usb stick", "no sound"])?;
    println!("embeddings of {} values, model in {}", embeddings.ncols(), output.display());
    Ok(())
}

/// Prints every step.
struct Printer;

impl Callbacks for Printer {
    fn on_step_end(&mut self, record: &StepRecord, total_steps: u64) {
        println!("step {} of {total_steps}: loss {:.4}", record.step, record.loss);
    }
}

/// A BERT of one layer with random weights, and a tokenizer trained on the questions.
fn small_model() -> Result<SentenceEncoder, simcse_model::Error> {
    let tokenizer = Tokenizer::byte_level_bpe(&QUESTIONS, 400)?;
    let config = ModelConfig {
        vocab_size: tokenizer.max_id() as usize + 1,
        hidden_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 64,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 32)?;
    Ok(SentenceEncoder::random(directory, 1))
}
