//! One table of parameters and flat buffers that share it: values, gradients, and whatever the optimizer keeps.

use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::buffers::pages::Aligned;

/// One named tensor of a [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name under which checkpoints know it.
    pub name: String,
    /// Its shape, one or two dimensions.
    pub shape: Vec<usize>,
    /// Where its values begin in the flat buffers.
    pub start: usize,
    /// Whether weight decay applies (not to biases and LayerNorm).
    pub decay: bool,
    /// Whether the loss can reach it; what it cannot reach is never touched.
    pub trainable: bool,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its place in the flat buffers.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len()
    }
}

/// A place in the flat buffers, seen as a matrix: one tensor, or several that lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    start: usize,
    rows: usize,
    cols: usize,
}

impl Slot {
    /// This slot and the one that lies right behind it, as one matrix with the rows of both.
    ///
    /// # Panics
    /// If they are not neighbors of equal width.
    pub fn join(self, next: Slot) -> Slot {
        let adjacent = self.start + self.rows * self.cols == next.start && self.cols == next.cols;
        assert!(adjacent, "{self:?} and {next:?} do not lie side by side");
        Slot { rows: self.rows + next.rows, ..self }
    }

    /// Number of rows; the length of a vector.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Number of columns; 1 for a vector.
    pub fn cols(self) -> usize {
        self.cols
    }

    fn range(self) -> std::ops::Range<usize> {
        self.start..self.start + self.rows * self.cols
    }
}

/// The table of parameters: names, shapes and places. Buffers of one layout have the same length and order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    parameters: Vec<Parameter>,
    len: usize,
}

impl Layout {
    /// Adds a tensor behind the others. A vector of `n` values is an `n × 1` slot.
    ///
    /// # Panics
    /// If `shape` has neither one nor two dimensions.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize], decay: bool, trainable: bool) -> Slot {
        let (rows, cols) = match *shape {
            [n] => (n, 1),
            [rows, cols] => (rows, cols),
            _ => panic!("a parameter has one or two dimensions, not {shape:?}"),
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

    /// Number of values in a buffer of this layout.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A flat buffer with one value per parameter of a [`Layout`]; `Of` says what the values are.
#[derive(Clone, Debug)]
pub struct Flat<Of> {
    layout: Arc<Layout>,
    values: Aligned,
    of: PhantomData<Of>,
}

/// Marks the buffer of parameter values.
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

    /// The table that says what lies where.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, to change.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Sets all values to 0.
    pub fn clear(&mut self) {
        self.values.par_chunks_mut(1 << 16).for_each(|chunk| chunk.fill(0.0));
    }

    /// Multiplies all values.
    pub fn scale(&mut self, factor: f32) {
        self.values.par_chunks_mut(1 << 16).for_each(|chunk| chunk.iter_mut().for_each(|value| *value *= factor));
    }

    /// The first parameter with a value that is not finite, and that value.
    pub fn first_not_finite(&self) -> Option<(&Parameter, f32)> {
        let place = self.values.iter().position(|value| !value.is_finite())?;
        let parameter = self.layout.parameters().iter().find(|parameter| parameter.range().contains(&place))?;
        Some((parameter, self.values[place]))
    }

    /// The values of one slot, in order.
    pub fn slice(&self, slot: Slot) -> &[f32] {
        &self.values[slot.range()]
    }

    /// The values of one slot, in order, to change.
    pub fn slice_mut(&mut self, slot: Slot) -> &mut [f32] {
        &mut self.values[slot.range()]
    }

    /// The values of one slot, as a matrix.
    pub fn matrix(&self, slot: Slot) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((slot.rows, slot.cols), self.slice(slot)).expect("a slot has its shape")
    }
}
