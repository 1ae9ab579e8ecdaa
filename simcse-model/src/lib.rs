//! BERT, RoBERTa and DistilBERT sentence encoders on simcse-tensor, read from and written to sentence-transformers directories.

mod batch;
mod caught;
mod config;
mod directory;
mod dropout;
mod encoder;
mod error;
mod files;
mod json;
mod layer;
pub mod lines;
mod message;
mod modules;
mod names;
mod sentence_encoder;
mod tokenizer;
mod vocabulary;
mod weights;
mod work;

pub use batch::TokenBatch;
pub use config::{Architecture, ModelConfig};
pub use directory::ModelDirectory;
pub use dropout::{DropoutPlan, Site};
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use files::{create_directory, sync_parent, uninterrupted, write_atomically, write_bytes};
pub use message::{excerpt, hexadecimal, printable};
pub use sentence_encoder::SentenceEncoder;
pub use simcse_tensor::{Pool, Pooling, Precision};
pub use tokenizer::{Tokenizer, Tokens};
pub use weights::{CarriedTensor, WeightsFile, write_safetensors};
pub use work::Work;

/// The name of the instruction set that the kernels run on; other sets give other bits.
pub fn instruction_set() -> &'static str {
    simcse_tensor::Isa::detected().name()
}
