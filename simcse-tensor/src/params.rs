//! One table of parameters, and the flat buffers that share it: values, gradients, and whatever
//! the optimizer keeps.
//!
//! This file knows names, shapes and places. It must not know what a parameter is for.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::buffers::pages::Aligned;
use crate::gemm::packed::PackedMatrix;
use crate::packed_weights::PackedWeights;
use crate::precision::Precision;

/// Values in one parallel task of a pass over a whole buffer.
const CHUNK: usize = 1 << 16;

/// Values that are touched, or not, together: a page of most systems' memory.
pub const PAGE: usize = 4096 / size_of::<f32>();

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
    /// Whether its rows are looked up: a step touches only some of them.
    pub is_table: bool,
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
    pub fn range(&self) -> Range<usize> {
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

    /// The indices of row `row` in the flat buffers.
    pub(crate) fn row(self, row: usize) -> Range<usize> {
        self.start + row * self.cols..self.start + (row + 1) * self.cols
    }

    /// The indices of its values in the flat buffers.
    pub(crate) fn range(self) -> Range<usize> {
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
/// assert_eq!(layout.within(bias).collect::<Vec<_>>(), [&layout.parameters()[1]]);
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
        let shape = shape.to_vec();
        self.parameters.push(Parameter { name: name.into(), shape, start, decay, trainable, is_table: false });
        self.len += rows * cols;
        Slot { start, rows, cols }
    }

    /// Appends a trainable table, whose rows are looked up. Buffers of gradients and moments take
    /// memory only for the pages with rows that have been touched.
    pub fn push_table(&mut self, name: impl Into<String>, [rows, cols]: [usize; 2]) -> Slot {
        let slot = self.push(name, &[rows, cols], true, true);
        self.parameters.last_mut().expect("the table").is_table = true;
        slot
    }

    /// The parameters, in the order of the buffers.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The parameters in a section.
    pub fn within(&self, slot: Slot) -> impl Iterator<Item = &Parameter> {
        let section = slot.range();
        self.parameters.iter().filter(move |parameter| {
            let range = parameter.range();
            section.start <= range.start && range.end <= section.end
        })
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
///
/// A buffer knows which of its pages have been touched; the values of the others are 0, and passes
/// over the buffer leave them out.
#[derive(Debug)]
pub struct Flat<Of> {
    layout: Arc<Layout>,
    values: Aligned,
    /// Whether each [`PAGE`] may have a value other than 0.
    touched: Vec<bool>,
    /// What is packed of the values, if it is kept. Whoever changes values clears it.
    packed: Option<PackedWeights>,
    of: PhantomData<Of>,
}

/// A copy keeps nothing packed.
impl<Of> Clone for Flat<Of> {
    fn clone(&self) -> Self {
        let Self { layout, values, touched, packed: _, of } = self;
        Self { layout: layout.clone(), values: values.clone(), touched: touched.clone(), packed: None, of: *of }
    }
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
        let tables = layout.parameters().iter().filter(|parameter| parameter.is_table).map(Parameter::range);
        let values = Aligned::zeros(layout.len(), tables);
        let touched = vec![false; layout.len().div_ceil(PAGE)];
        Self { layout, values, touched, packed: None, of: PhantomData }
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
        self.values_change();
        self.touched.fill(true);
        &mut self.values
    }

    /// Several sections, mutable. Only these are touched.
    ///
    /// # Panics
    /// If the ranges are not in ascending order, or overlap.
    pub fn sections_mut(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) -> Vec<&mut [f32]> {
        self.values_change();
        let mut rest = &mut self.values[..];
        let mut next = 0; // the index at which `rest` starts
        let mut sections = Vec::new();
        for range in ranges {
            self.touched[pages(&range)].fill(true);
            let (_, tail) = rest.split_at_mut(range.start - next);
            let (section, tail) = tail.split_at_mut(range.len());
            rest = tail;
            next = range.end;
            sections.push(section);
        }
        sections
    }

    /// Sets the values of a section. Pages where they are 0 stay untouched if they are.
    ///
    /// # Panics
    /// If there is not one value for each index.
    pub fn set(&mut self, range: Range<usize>, values: &[f32]) {
        assert_eq!(range.len(), values.len(), "values of a section");
        let differs = |page: usize| {
            let part = part(&range, page);
            self.touched[page]
                || values[part.start - range.start..part.end - range.start].iter().any(|x| x.to_bits() != 0)
        };
        let runs = runs(&range, differs);
        let sections = self.sections_mut(runs.iter().cloned());
        for (section, run) in sections.into_iter().zip(runs) {
            section.copy_from_slice(&values[run.start - range.start..run.end - range.start]);
        }
    }

    /// The parts of a section that have been touched in this buffer or in `other`, in ascending
    /// order, in pieces for parallel tasks. Everything else is 0 in both.
    pub fn touched<Other>(&self, other: &Flat<Other>, range: Range<usize>) -> Vec<Range<usize>> {
        runs(&range, |page| self.touched[page] || other.touched[page])
    }

    /// Whether each [`PAGE`] has been touched.
    pub fn touched_pages(&self) -> &[bool] {
        &self.touched
    }

    /// Touches the chosen pages, too; their values stay as they are.
    pub fn touch(&mut self, chosen: impl Fn(usize) -> bool) {
        self.touched.iter_mut().enumerate().for_each(|(page, touched)| *touched |= chosen(page));
    }

    /// Whether everything in a section is 0 because it has not been touched.
    pub fn is_untouched(&self, range: Range<usize>) -> bool {
        !self.touched[pages(&range)].contains(&true)
    }

    /// Sets all values to 0.
    pub fn clear(&mut self) {
        self.for_each_touched(|values| values.fill(0.0));
        self.touched.fill(false);
    }

    /// Multiplies all values by `factor`.
    pub fn scale(&mut self, factor: f32) {
        self.for_each_touched(|values| values.iter_mut().for_each(|value| *value *= factor));
    }

    fn for_each_touched(&mut self, pass: impl Fn(&mut [f32]) + Send + Sync) {
        let runs = self.touched(self, 0..self.values.len());
        self.sections_mut(runs).into_par_iter().for_each(pass);
    }

    /// The first parameter with a value that is not finite, and that value.
    pub fn first_not_finite(&self) -> Option<(&Parameter, f32)> {
        let touched = self.touched(self, 0..self.values.len());
        let place = touched.into_iter().flatten().find(|&place| !self.values[place].is_finite())?;
        let parameter = self.layout.parameters().iter().find(|parameter| parameter.range().contains(&place))?;
        Some((parameter, self.values[place]))
    }

    /// The values of one slot, row after row.
    pub fn slice(&self, slot: Slot) -> &[f32] {
        &self.values[slot.range()]
    }

    /// The values of one slot, row after row, mutable.
    pub fn slice_mut(&mut self, slot: Slot) -> &mut [f32] {
        let [values] = self.slices_mut([slot]);
        values
    }

    /// The values of different slots, row after row, mutable.
    pub(crate) fn slices_mut<const N: usize>(&mut self, slots: [Slot; N]) -> [&mut [f32]; N] {
        self.values_change();
        for slot in slots {
            self.touched[pages(&slot.range())].fill(true);
        }
        self.values.get_disjoint_mut(slots.map(Slot::range)).expect("slots do not overlap")
    }

    /// What is packed of the values is about to be wrong.
    fn values_change(&mut self) {
        if let Some(packed) = &mut self.packed {
            packed.clear();
        }
    }

    /// The values of one slot, as a matrix.
    pub fn matrix(&self, slot: Slot) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((slot.rows, slot.cols), self.slice(slot)).expect("a slot's length is that of its shape")
    }
}

impl Params {
    /// From now on, weights are packed for products with them when they are first used, and kept so
    /// until a value changes. This is for encoding few sentences at a time with weights that do not
    /// change: packing costs more than a product of few rows. It takes the weights' memory again;
    /// with bf16, half of it.
    pub fn keep_packed(&mut self) {
        self.packed = Some(PackedWeights::default());
    }

    /// The transpose of the weights at `slot`, packed, if that is kept.
    pub(crate) fn packed_transpose(&self, slot: Slot, precision: Precision) -> Option<Arc<PackedMatrix>> {
        self.packed.as_ref()?.transposed(slot.start, precision, self.matrix(slot))
    }
}

/// The pages that a section is on.
fn pages(range: &Range<usize>) -> Range<usize> {
    range.start / PAGE..range.end.div_ceil(PAGE).max(range.start / PAGE)
}

/// The part of a section that is on one page.
fn part(range: &Range<usize>, page: usize) -> Range<usize> {
    range.start.max(page * PAGE)..range.end.min((page + 1) * PAGE)
}

/// The longest parts of a section whose pages are all chosen, of up to [`CHUNK`] values.
fn runs(range: &Range<usize>, chosen: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for page in pages(range).filter(|&page| chosen(page)) {
        let Range { start, end } = part(range, page);
        match runs.last_mut() {
            Some(run) if run.end == start && end - run.start <= CHUNK => run.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

#[cfg(test)]
#[path = "tests/params.rs"]
mod tests;
