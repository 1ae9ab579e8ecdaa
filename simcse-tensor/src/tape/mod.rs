//! The tape: records operations as they run, then runs backward over them to compute gradients.
//!
//! This room knows the operations, the parameters and the buffers between them; it decides which
//! buffer is read, taken over or given back, and whose gradient goes where. It must not know any
//! arithmetic, which is in [`ops`](crate::ops), nor any model or objective.
//!
//! `forward` has a method for each operation on tokens, `sentences` for each on sentences,
//! `backward` the one `match` with an arm for each. An operation without an arm there does not
//! compile.

mod backward;
mod forward;
mod gradients;
mod node;
mod sentences;

pub use forward::Tape;
pub use gradients::NodeGradients;
pub use node::Var;
