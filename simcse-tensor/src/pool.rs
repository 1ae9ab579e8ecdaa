//! Buffers that go round: after the first steps nothing large is allocated, and not much more is held than is needed at once.

use ndarray::Array2;

use crate::pages;

/// Free buffers, handed out and given back by the tape.
#[derive(Debug, Default)]
pub struct Pool {
    free: Vec<Vec<f32>>,
    /// Values in the buffers that are handed out, and the most that ever were.
    lent: usize,
    most_lent: usize,
    allocations: usize,
}

impl Pool {
    /// One part in so many of what is needed at once may be held in sizes that are not asked for right now; without it,
    /// small buffers of odd sizes would drive out large ones.
    const ODD: usize = 4;

    /// A new buffer is larger than was asked for by one part in so many.
    const SPARE: usize = 8;

    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// A `rows × cols` matrix of unspecified values (NaN in this crate's own tests).
    ///
    /// The smallest free buffer that holds it and is at most a third larger serves. Where none does, a new one is made that
    /// is somewhat larger than asked for: batches vary in length, and so the buffers grow to the longest batch's size within
    /// a few steps.
    pub fn take(&mut self, rows: usize, cols: usize) -> Array2<f32> {
        let len = rows * cols;
        let fitting = self.free_where(|size| len <= size && size <= len + len / 3).min();
        let mut buffer = match fitting {
            Some((_, i)) => self.free.swap_remove(i),
            None => self.allocate(len + len / Self::SPARE),
        };
        self.lent += buffer.capacity();
        self.most_lent = self.most_lent.max(self.lent);
        buffer.resize(len, 0.0);
        if cfg!(test) {
            buffer.fill(f32::NAN);
        }
        Array2::from_shape_vec((rows, cols), buffer).expect("the buffer has the shape's length")
    }

    /// A new buffer, for which free ones are let go until all together hold not much more than was lent at once: the next
    /// smaller ones, then larger ones.
    fn allocate(&mut self, size: usize) -> Vec<f32> {
        let most = self.most_lent.max(self.lent + size);
        while self.lent + self.free.iter().map(Vec::capacity).sum::<usize>() + size > most + most / Self::ODD {
            let smaller = self.free_where(|free| free < size).max();
            let Some((_, i)) = smaller.or_else(|| self.free_where(|_| true).min()) else { break };
            self.free.swap_remove(i);
        }
        self.allocations += 1;
        pages::with_capacity(size)
    }

    /// Sizes and places of the free buffers of certain sizes.
    fn free_where(&self, wanted: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, usize)> {
        self.free.iter().map(Vec::capacity).zip(0..).filter(move |&(size, _)| wanted(size))
    }

    /// Takes a buffer back.
    pub fn give(&mut self, array: Array2<f32>) {
        let (buffer, _) = array.into_raw_vec_and_offset();
        if buffer.capacity() > 0 {
            self.lent = self.lent.saturating_sub(buffer.capacity()); // it may come from elsewhere
            self.free.push(buffer);
        }
    }

    /// The most bytes that were lent at once. Spare room counts: on huge pages most of it is there.
    pub fn most_bytes(&self) -> usize {
        self.most_lent * size_of::<f32>()
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

    #[test]
    fn no_more_is_held_than_is_needed_at_once() {
        let mut pool = Pool::new();
        for n in [1000, 300, 700, 80, 450, 1000, 620, 330] {
            let arrays: Vec<_> = [3 * n, n, n, 4 * n].iter().map(|&rows| pool.take(rows, 9)).collect();
            arrays.into_iter().for_each(|a| pool.give(a));
            let held: usize = pool.free.iter().map(Vec::capacity).sum();
            assert!(held <= pool.most_lent + pool.most_lent / Pool::ODD, "{n}: {held} of {}", pool.most_lent);
        }
        assert_eq!(pool.most_bytes(), 9 * 9 * 1000 * 4 * 9 / 8);
    }
}
