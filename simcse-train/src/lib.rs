//! Unsupervised SimCSE training: sentences, contrastive loss, AdamW, checkpoints and the loop.

pub mod adamw;
pub mod batches;
pub mod data;
mod error;
mod gradient_flow;
pub mod loss;
mod measure;
pub mod memory;
mod model_card;
mod recipe;
mod run;
pub mod schedule;
mod settings;
mod step;
#[cfg(test)]
mod testing;
mod trainer;

pub use batches::BatchSampler;
pub use data::Sentences;
pub use error::{Error, Result};
pub use gradient_flow::check_gradient_flow;
pub use measure::{Measured, measure_steps};
pub use memory::{MemoryPlan, plan_memory};
pub use recipe::Recipe;
pub use run::{DataSource, ModelSource, Provenance, RunDirectory, StepRecord};
pub use schedule::Warmup;
pub use settings::Settings;
pub use simcse_tensor::peak_flops;
pub use simcse_tensor::profile::Part;
pub use step::{Workspace, accumulate_gradient, mean_gradient};
pub use trainer::{Evaluation, Host, Summary, total_steps, train};
