//! SimCSE training (Gao et al. 2021), unsupervised and supervised: examples, objectives, AdamW,
//! checkpoints and the training loop.
//!
//! A [`Trainer`] takes a model, [`Examples`] and [`Settings`], and writes a directory that
//! sentence-transformers can load:
//!
//! ```no_run
//! use simcse_model::SentenceEncoder;
//! use simcse_train::{Examples, Settings, Trainer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let encoder = SentenceEncoder::load("path/to/bert")?;
//! let sentences = Examples::read("titles.txt", 10)?;
//! let settings = Settings { batch_size: 64, ..Settings::for_model(&encoder) };
//! let trained = Trainer::new(encoder, &sentences, settings, "output/my-model")?.train(&mut ())?;
//! println!("mean loss {:.4}", trained.summary.train_loss);
//! # Ok(())
//! # }
//! ```
//!
//! [`Callbacks`] add scores during training, progress and a way to stop. To resume a run, open its
//! [`Checkpoint`] and call [`Trainer::resume`]. For a training loop of your own, the parts are
//! public: [`data`] forms batches, [`mean_gradient`] computes a step's gradient, [`optim`] updates
//! the weights.
//!
//! The crate knows nothing of evaluation sets or command lines.

pub mod data;
pub mod memory;
pub mod optim;
pub mod ranks;

mod callbacks;
mod draws;
mod error;
mod evaluation;
mod measure;
mod run;
mod scoring;
mod settings;
mod start;
mod step;
#[cfg(test)]
mod testing;
mod trainer;
mod views;
mod warnings;

pub use callbacks::Callbacks;
pub use data::batches::BatchSampler;
pub use data::examples::Examples;
pub use draws::total_steps;
pub use error::{Error, Result};
pub use evaluation::{Evaluation, Figures, Probed};
pub use measure::{Measured, PARTS, measure_steps};
pub use memory::MemoryPlan;
pub use run::RunDirectory;
pub use run::checkpoint::Checkpoint;
pub use run::metrics::StepRecord;
pub use run::output::{OutputDirectory, checkpoint_size};
pub use run::provenance::{EvaluationSource, Inputs, ModelSource, Provenance, SetDigest, SetInput, Sources};
pub use run::summary::Summary;
pub use settings::{Direction, Mlp, Recipe, ReportTo, Rounding, Setting, Settings, Training};
pub use simcse_tensor::peak_flops;
pub use simcse_tensor::profile::Part;
pub use simcse_tensor::{ContrastiveLoss, Directions, Hardness, Noise, Partition};
pub use step::batch::TokenizedBatch;
pub use step::buffers::StepBuffers;
pub use step::gradient::{Objectives, StepLoss, accumulate_gradient, mean_gradient};
pub use step::gradient_flow::check_gradient_flow;
pub use step::masked_lm::{MaskedFigures, MaskedLm, MaskedTexts, accumulate_masked_gradient, score_masked_lm};
pub use step::masking::{Masked, Masking};
pub use step::objectives::{Matryoshka, Objective};
pub use trainer::{Trained, Trainer};
pub use warnings::warning::Warning;
