//! BERT, RoBERTa, and DistilBERT sentence encoders on simcse-tensor, read from and written to
//! sentence-transformers directories.
//!
//! Loading and encoding take two lines. A model is a directory, or a name on the Hugging Face hub:
//!
//! ```no_run
//! use simcse_model::SentenceEncoder;
//!
//! let encoder = SentenceEncoder::load("sentence-transformers/all-MiniLM-L6-v2")?;
//! let embeddings = encoder.encode(&["the cat sleeps", "a dog barks"])?; // one row per sentence
//! # Ok::<(), simcse_model::Error>(())
//! ```
//!
//! A model can also be made from a vocabulary and random weights, for training from scratch or, as
//! here, for a program that needs no files:
//!
//! ```
//! use simcse_model::{Architecture, ModelConfig, ModelDirectory};
//! use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
//!
//! let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps", "barks"];
//! let tokenizer = Tokenizer::word_piece(&words, true)?;
//! let config = ModelConfig {
//!     vocab_size: words.len(),
//!     hidden_size: 8,
//!     num_hidden_layers: 1,
//!     num_attention_heads: 2,
//!     intermediate_size: 16,
//!     max_position_embeddings: 16,
//!     ..ModelConfig::defaults(Architecture::Bert)
//! };
//! let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16)?;
//! let encoder = SentenceEncoder::random(directory, 42);
//!
//! let embeddings = encoder.encode(&["the cat sleeps", "The cat sleeps", "the cat barks"])?;
//! assert_eq!(embeddings.dim(), (3, 8));
//! assert_eq!(embeddings.row(0), embeddings.row(1));
//! assert_ne!(embeddings.row(0), embeddings.row(2));
//! # Ok::<(), simcse_model::Error>(())
//! ```
//!
//! # Rooms
//!
//! [`SentenceEncoder`] is at the top. Below it, each room knows only what is listed here:
//!
//! - `encoder`: token ids to hidden states, on simcse-tensor's tape. It knows a [`ModelConfig`] and
//!   nothing else of this crate, neither files nor texts.
//! - `tokenizer`: texts to token ids, as transformers would compute them.
//! - `directory`: the files of a model directory, with `config.json` and the weights.
//! - `onnx`: the encoder as a graph of ONNX.
//! - [`hub`]: models by name.
//! - [`io`]: files, lines of text, and foreign text in messages. It knows nothing of models.

pub mod hub;
pub mod io;

mod architecture;
mod directory;
mod encode;
mod encoder;
mod error;
mod export;
mod masked_lm;
mod network;
mod onnx;
mod random;
mod saving;
mod sentence_encoder;
mod tokenizer;

pub use architecture::Architecture;
pub use directory::ModelDirectory;
pub use directory::alternating::AlternatingAttention;
pub use directory::config::ModelConfig;
pub use directory::dense::DenseModule;
pub use directory::layer_mix::{LayerMix, PooledLayers};
pub use directory::prompts::{Prompt, Prompts};
pub use directory::sizes::ModelSize;
pub use directory::weights::file::WeightsFile;
pub use directory::weights::write::{CarriedTensor, WeightType, write_safetensors};
pub use directory::word_weights::{WordWeighting, WordWeights};
pub use encoder::Encoder;
pub use encoder::batch::TokenBatch;
pub use encoder::dropout::{DropoutPlan, Site};
pub use encoder::work::Work;
pub use error::{Error, Result};
pub use sentence_encoder::SentenceEncoder;
pub use simcse_tensor::{
    Activation, BufferPool, DenseActivation, Isa, Named, Pooling, Precision, UnknownName, names_of,
};
pub use tokenizer::encode::{Tokenizer, TokenizerKind, Tokens};
pub use tokenizer::template::{TEMPLATE_MASK, TEMPLATE_TEXT};
