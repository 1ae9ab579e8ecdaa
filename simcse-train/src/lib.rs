//! Unsupervised SimCSE training: sentences, contrastive loss, AdamW, checkpoints and the loop.

pub mod adamw;
pub mod batches;
mod checkpoint;
pub mod data;
mod error;
mod gradient_flow;
pub mod loss;
mod manifest;
mod measure;
pub mod memory;
mod model_card;
mod output;
mod progress;
mod provenance;
mod recipe;
mod rotation;
mod run;
pub mod schedule;
mod settings;
mod step;
mod step_record;
#[cfg(test)]
mod testing;
mod trainer;

pub use batches::BatchSampler;
pub use checkpoint::Checkpoint;
pub use data::Sentences;
pub use error::{Error, Result};
pub use gradient_flow::check_gradient_flow;
pub use measure::{Measured, measure_steps};
pub use memory::{MemoryPlan, plan_memory};
pub use output::{OutputDirectory, check_space};
pub use provenance::{DataSource, EvaluationSource, Inputs, ModelSource, Provenance};
pub use recipe::Recipe;
pub use run::RunDirectory;
pub use schedule::Warmup;
pub use settings::Settings;
pub use simcse_tensor::peak_flops;
pub use simcse_tensor::profile::Part;
pub use step::{Workspace, accumulate_gradient, mean_gradient};
pub use step_record::StepRecord;
pub use trainer::{Evaluation, Figures, Host, Summary, total_steps, train};
