//! The tape: records operations in the order in which they are done, and goes back over them for
//! the gradients.
//!
//! This room knows the operations, the parameters and the buffers between them; it decides which
//! buffer is read, taken over or given back, and whose gradient goes where. It must not know any
//! arithmetic, which is in [`ops`](crate::ops), nor any model or objective.
//!
//! `forward` has a method for each operation, `backward` the one `match` that undoes them. An
//! operation without an arm there does not compile.

mod backward;
mod forward;
mod gradients;
mod node;

pub use forward::Tape;
pub use gradients::NodeGradients;
pub use node::Var;
