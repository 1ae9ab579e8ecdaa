//! Unsupervised SimCSE training: sentences, contrastive loss, AdamW, checkpoints and the loop.

pub mod data;
pub mod memory;
pub mod optim;

mod error;
mod evaluation;
mod measure;
mod run;
mod settings;
mod step;
mod steps;
#[cfg(test)]
mod testing;
mod trainer;

pub use data::batches::BatchSampler;
pub use data::sentences::Sentences;
pub use error::{Error, Result};
pub use evaluation::{Evaluation, Figures, Host};
pub use measure::{Measured, PARTS, measure_steps};
pub use memory::{MemoryPlan, plan_memory};
pub use optim::schedule::Warmup;
pub use run::RunDirectory;
pub use run::checkpoint::Checkpoint;
pub use run::metrics::StepRecord;
pub use run::output::{OutputDirectory, check_space};
pub use run::provenance::{DataSource, EvaluationSource, Inputs, ModelSource, Provenance};
pub use run::summary::Summary;
pub use settings::Settings;
pub use settings::recipe::Recipe;
pub use simcse_tensor::peak_flops;
pub use simcse_tensor::profile::Part;
pub use step::contrastive::contrastive;
pub use step::gradient::{Workspace, accumulate_gradient, mean_gradient};
pub use step::gradient_flow::check_gradient_flow;
pub use steps::total_steps;
pub use trainer::train;
