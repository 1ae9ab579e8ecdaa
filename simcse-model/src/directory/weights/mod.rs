//! The weights of a model as people have them: `model.safetensors` or `pytorch_model.bin`, whole or
//! in shards with an index.
//!
//! Every format is reduced to the same table: for each tensor its type, its shape, and where in
//! which file its values are. This table is all that is kept in memory; a tensor is read,
//! converted, and checked when it is taken. What is written is always one `model.safetensors`.
//!
//! This room knows formats, and not what the tensors are for.

pub(crate) mod file;
pub(crate) mod forms;
mod heap;
mod pickle;
mod pytorch;
mod safetensors;
mod state_dict;
mod tensor;
pub(crate) mod write;
