//! The optimizer and the learning-rate schedule.
//!
//! This room knows flat buffers, step numbers and the file of its own moments. It must not know the
//! model, the sentences or the run's other files.

pub mod adamw;
pub mod schedule;
