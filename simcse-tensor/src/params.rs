//! One table of parameters, and the flat buffers that share it: values, gradients, and whatever
//! the optimizer keeps.

use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::buffers::pages::Aligned;

/// Values in one parallel task of a pass over a whole buffer.
const CHUNK: usize = 1 << 16;

/// One named tensor of a [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in weights files.
    pub name: String,
    /// Its shape: one or two dimensions.
    pub shape: Vec<usize>,
    /// The index of its first value in the flat buffers.
    pub start: usize,
    /// Whether weight decay applies to it (it does not to biases and LayerNorm).
    pub decay: bool,
    /// Whether the loss depends on it. Parameters that are not trainable never change.
    pub trainable: bool,
}

impl Parameter {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The indices of its values in the flat buffers.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len()
    }
}

/// A section of the flat buffers, viewed as a matrix: one tensor, or several adjacent ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    start: usize,
    rows: usize,
    cols: usize,
}

impl Slot {
    /// This slot and the one right after it, as one matrix with the rows of both.
    ///
    /// # Panics
    /// If `next` does not start where this slot ends, or has another width.
    pub fn join(self, next: Slot) -> Slot {
        let adjacent = self.start + self.rows * self.cols == next.start && self.cols == next.cols;
        assert!(adjacent, "cannot join slots that are not adjacent or differ in width: {self:?} and {next:?}");
        Slot { rows: self.rows + next.rows, ..self }
    }

    /// The number of rows; the length of a vector.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// The number of columns; 1 for a vector.
    pub fn cols(self) -> usize {
        self.cols
    }

    fn range(self) -> std::ops::Range<usize> {
        self.start..self.start + self.rows * self.cols
    }
}

/// The table of parameters: names, shapes and positions.
///
/// All buffers of one layout have the same length and order, so a pass over two of them needs no
/// names.
///
/// ```
/// use std::sync::Arc;
/// use simcse_tensor::{Grads, Layout, Params};
///
/// let mut layout = Layout::default();
/// let weight = layout.push("dense.weight", &[2, 3], true, true);
/// let bias = layout.push("dense.bias", &[2], false, true);
/// assert_eq!(layout.len(), 8);
/// assert_eq!(layout.parameters()[1].range(), 6..8);
///
/// let mut params = Params::zeros(Arc::new(layout));
/// params.slice_mut(bias).copy_from_slice(&[0.5, -0.5]);
/// assert_eq!(params.values(), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, -0.5]);
/// assert_eq!(params.matrix(weight).dim(), (2, 3));
///
/// let grads = Grads::zeros(params.layout().clone());
/// assert_eq!(grads.slice(bias), [0.0, 0.0]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    parameters: Vec<Parameter>,
    len: usize,
}

impl Layout {
    /// Appends a tensor. A vector of `n` values becomes an `n × 1` slot.
    ///
    /// # Panics
    /// If `shape` has neither one nor two dimensions.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize], decay: bool, trainable: bool) -> Slot {
        let (rows, cols) = match *shape {
            [n] => (n, 1),
            [rows, cols] => (rows, cols),
            _ => panic!("a parameter has one or two dimensions, not the shape {shape:?}"),
        };
        let start = self.len;
        self.parameters.push(Parameter { name: name.into(), shape: shape.to_vec(), start, decay, trainable });
        self.len += rows * cols;
        Slot { start, rows, cols }
    }

    /// The parameters, in the order of the buffers.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The number of values in a buffer of this layout.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A flat buffer with one value for each value of a [`Layout`]; `Of` says what the values are.
///
/// [`Params`] and [`Grads`] are two types, so that one cannot be passed for the other.
#[derive(Clone, Debug)]
pub struct Flat<Of> {
    layout: Arc<Layout>,
    values: Aligned,
    of: PhantomData<Of>,
}

/// Marks a buffer of parameter values.
#[derive(Clone, Debug)]
pub enum ParamValue {}

/// Marks a buffer of gradients.
#[derive(Clone, Debug)]
pub enum ParamGradient {}

/// The parameters' values. Forward and backward only read them.
pub type Params = Flat<ParamValue>;

/// The parameters' gradients. Backward passes add to them.
pub type Grads = Flat<ParamGradient>;

impl<Of> Flat<Of> {
    /// A buffer of zeros.
    pub fn zeros(layout: Arc<Layout>) -> Self {
        let values = Aligned::zeros(layout.len());
        Self { layout, values, of: PhantomData }
    }

    /// The table of the buffer's parameters.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, mutable.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Sets all values to 0.
    pub fn clear(&mut self) {
        self.values.par_chunks_mut(CHUNK).for_each(|chunk| chunk.fill(0.0));
    }

    /// Multiplies all values by `factor`.
    pub fn scale(&mut self, factor: f32) {
        self.values.par_chunks_mut(CHUNK).for_each(|chunk| chunk.iter_mut().for_each(|value| *value *= factor));
    }

    /// The first parameter with a value that is not finite, and that value.
    pub fn first_not_finite(&self) -> Option<(&Parameter, f32)> {
        let place = self.values.iter().position(|value| !value.is_finite())?;
        let parameter = self.layout.parameters().iter().find(|parameter| parameter.range().contains(&place))?;
        Some((parameter, self.values[place]))
    }

    /// The values of one slot, row after row.
    pub fn slice(&self, slot: Slot) -> &[f32] {
        &self.values[slot.range()]
    }

    /// The values of one slot, row after row, mutable.
    pub fn slice_mut(&mut self, slot: Slot) -> &mut [f32] {
        &mut self.values[slot.range()]
    }

    /// The values of one slot, as a matrix.
    pub fn matrix(&self, slot: Slot) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((slot.rows, slot.cols), self.slice(slot)).expect("a slot's length is that of its shape")
    }
}
