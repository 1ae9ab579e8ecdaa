//! What a product is added to.

/// What `A·B` is added to in `C = addend + A·B`.
#[derive(Clone, Copy, Debug)]
pub enum Addend<'a> {
    /// Nothing; the contents of C are ignored.
    Zero,
    /// One value per column, the same in every row; the contents of C are ignored.
    Bias(&'a [f32]),
    /// The contents of C: the product accumulates.
    Existing,
}

impl Addend<'_> {
    /// Overwrites `c`, rows of `n` values, with the addend.
    pub(crate) fn write(self, c: &mut [f32], n: usize) {
        match self {
            Self::Zero => c.fill(0.0),
            Self::Bias(bias) => c.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(bias)),
            Self::Existing => {}
        }
    }
}
