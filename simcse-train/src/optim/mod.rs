//! The optimizer and the learning rate's schedule.
//!
//! This room knows flat buffers and step numbers. It must not know the model, the sentences or the run's files beyond its
//! own moments.

pub mod adamw;
pub mod schedule;
