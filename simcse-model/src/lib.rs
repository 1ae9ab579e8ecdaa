//! BERT, RoBERTa and DistilBERT sentence encoders on simcse-tensor, read from and written to
//! sentence-transformers directories.

pub mod hub;
pub mod io;

mod directory;
mod encoder;
mod error;
mod sentence_encoder;
mod tokenizer;

pub use directory::ModelDirectory;
pub use directory::config::{Architecture, ModelConfig};
pub use directory::prompts::Prompts;
pub use directory::weights::{CarriedTensor, WeightsFile, write_safetensors};
pub use encoder::Encoder;
pub use encoder::batch::TokenBatch;
pub use encoder::dropout::{DropoutPlan, Site};
pub use encoder::work::Work;
pub use error::{Error, Result};
pub use sentence_encoder::{Prompt, SentenceEncoder};
pub use simcse_tensor::{BufferPool, Isa, Named, Pooling, Precision, UnknownName, names_of};
pub use tokenizer::encode::{Tokenizer, Tokens};
