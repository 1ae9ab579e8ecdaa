//! What an operation may use of its tape.

use crate::params::Params;
use crate::precision::Precision;
use crate::rows::Rows;

/// What an operation may use of its tape, forward and backward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// The parameters' values.
    pub(crate) params: &'a Params,
    /// Where the sentences are.
    pub(crate) rows: &'a Rows,
    /// What the operands of the large matrix products are rounded to.
    pub(crate) precision: Precision,
}
