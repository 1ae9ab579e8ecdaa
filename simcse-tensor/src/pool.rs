//! Buffers that go round: after the first steps nothing large is allocated.

use ndarray::Array2;

use crate::pages;

/// Free buffers, handed out and given back by the tape.
#[derive(Debug, Default)]
pub struct Pool {
    free: Vec<Vec<f32>>,
    allocations: usize,
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// A `rows × cols` matrix of unspecified values (NaN in this crate's own tests).
    ///
    /// The smallest free buffer that holds it and is at most twice as large serves. Where none does, the next smaller one is
    /// let go and a new one made an eighth larger than asked for: batches vary in length, and so the buffers grow to the
    /// longest batch's size within a few steps and their number stays.
    pub fn take(&mut self, rows: usize, cols: usize) -> Array2<f32> {
        let len = rows * cols;
        let sized = self.free.iter().map(Vec::capacity).enumerate();
        let fitting = sized.clone().filter(|&(_, size)| len <= size && size <= 2 * len).min_by_key(|&(_, size)| size);
        let mut buffer = match fitting {
            Some((i, _)) => self.free.swap_remove(i),
            None => {
                let smaller = sized.filter(|&(_, size)| len / 2 < size && size < len).max_by_key(|&(_, size)| size);
                if let Some((i, _)) = smaller {
                    self.free.swap_remove(i);
                }
                self.allocations += 1;
                pages::with_capacity(len + len / 8)
            }
        };
        buffer.resize(len, 0.0);
        if cfg!(test) {
            buffer.fill(f32::NAN);
        }
        Array2::from_shape_vec((rows, cols), buffer).expect("the buffer has the shape's length")
    }

    /// Takes a buffer back.
    pub fn give(&mut self, array: Array2<f32>) {
        let (buffer, _) = array.into_raw_vec_and_offset();
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
    }

    /// How many buffers were ever allocated.
    pub fn allocations(&self) -> usize {
        self.allocations
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;

    #[test]
    fn batches_of_varying_length_settle() {
        let mut pool = Pool::new();
        let mut step = |n: usize| {
            let arrays: Vec<_> = [3 * n, n, n, 4 * n].iter().map(|&rows| pool.take(rows, 8)).collect();
            arrays.into_iter().for_each(|a| pool.give(a));
            (pool.allocations(), pool.free.len())
        };
        step(1000);
        let (settled, buffers) = step(1060);
        for n in [960, 1040, 1100, 930] {
            assert_eq!(step(n), (settled, buffers));
        }
    }
}
