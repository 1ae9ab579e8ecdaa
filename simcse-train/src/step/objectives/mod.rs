//! What a step minimizes: functions of the embeddings of a whole batch.
//!
//! One file per objective. An objective knows embeddings alone; it must not know the encoder that made them, nor how the
//! batch was cut into pieces.

mod contrastive;
mod objective;

pub use contrastive::Contrastive;
pub use objective::Objective;
