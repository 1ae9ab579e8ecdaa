//! Figures of a model from sentences alone, without labels.
//!
//! Alignment and uniformity are those of Wang & Isola 2020, "Understanding Contrastive
//! Representation Learning through Alignment and Uniformity on the Hypersphere"; the others ask how
//! well a sentence is recognized again: under dropout, or from a corrupted copy.
//!
//! This room knows sentences and encoders. It must not know files.

mod corruption;
mod probe;
mod scores;
mod view;

pub use corruption::Corruption;
pub use probe::{Counterparts, Neighbor, Picture, Probe, ProbeScores};
pub use scores::{Unlabeled, UnlabeledScores};
