//! The tape's buffer pool. After the first pieces nothing large is allocated, and the pool holds
//! what the largest piece needs, whatever the order in which pieces come.
//!
//! Every piece of a batch takes matrices of the same widths in the same order. Only their heights
//! differ: they are numbers of tokens or of sentences. So each buffer is allocated with the height
//! that it would have in the largest piece, and then fits every other piece.

use ndarray::{Array1, Array2, s};

use crate::buffers::pages::{self, LINE};

/// A pool of buffers, which a [`Tape`](crate::Tape) takes from and gives back to.
///
/// ```
/// use simcse_tensor::BufferPool;
///
/// let mut pool = BufferPool::new();
/// let matrix = pool.take(3, 5);
/// assert_eq!(matrix.dim(), (3, 5));
/// pool.give(matrix);
/// let again = pool.take(3, 5);
/// assert_eq!(pool.allocations(), 1);
/// # drop(again);
/// ```
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Vec<Vec<f32>>,
    /// The tokens of the largest piece that the buffers are made for.
    room: usize,
    /// The tokens of the current piece; 0 if there is none.
    tokens: usize,
    allocations: usize,
}

impl BufferPool {
    /// Room grows by one part in `SPARE` more than a piece needs. New longest batches keep turning
    /// up during a run, each usually only slightly longer than the last; the margin absorbs them.
    const SPARE: usize = 8;
    /// Heights are rounded up to shares of the room. The ratio of sentences to tokens varies from
    /// piece to piece, and exact heights would vary with it, so that hardly any buffer would fit
    /// again. Rounded, nearly equal ratios take the same buffers, at the price of at most one share
    /// of the room each.
    const SHARES: usize = 16;

    /// An empty pool, whose buffers grow with the pieces.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty pool for pieces of at most `tokens` tokens; a longer piece makes it grow.
    pub fn with_room(tokens: usize) -> Self {
        Self { room: tokens, ..Self::default() }
    }

    /// Begins a piece. If it is larger than the room, all free buffers are dropped and the room
    /// grows.
    pub(crate) fn begin(&mut self, tokens: usize) {
        // Buffers of the old room would never be taken again, because sizes must match exactly (a
        // larger buffer would do, but then a small matrix could occupy a large buffer, and what the
        // pool holds would depend on the order of pieces).
        if tokens > self.room {
            self.free.clear();
            self.room = tokens + tokens / Self::SPARE;
        }
        self.tokens = tokens;
    }

    /// A `rows × cols` matrix of unspecified values, aligned to a cache line.
    pub fn take(&mut self, rows: usize, cols: usize) -> Array2<f32> {
        let size = self.height(rows) * cols + LINE;
        let mut buffer = match self.free.iter().position(|buffer| buffer.capacity() == size) {
            Some(i) => self.free.swap_remove(i),
            None => {
                self.allocations += 1;
                pages::with_capacity(size)
            }
        };
        let start = pages::first_line(&buffer);
        // A used buffer keeps its old values; only what is past their end is written.
        buffer.resize(start + rows * cols, 0.0);
        // In this crate's tests, an operation that reads what it should have written gets NaN.
        if cfg!(test) {
            buffer.fill(f32::NAN);
        }
        // The slice keeps the whole buffer, with its capacity, inside the array: `give` gets it
        // back.
        let values = Array1::from(buffer).slice_move(s![start..]);
        values.into_shape_with_order((rows, cols)).expect("the buffer has the shape's length")
    }

    /// The rows of the buffer for a matrix of `rows` rows: as many as the largest piece would need,
    /// assuming the same number of rows per token.
    fn height(&self, rows: usize) -> usize {
        match self.tokens {
            0 => rows,
            tokens => ((Self::SHARES * rows).div_ceil(tokens) * self.room).div_ceil(Self::SHARES),
        }
    }

    /// Takes a buffer back.
    pub fn give(&mut self, array: Array2<f32>) {
        let (buffer, _) = array.into_raw_vec_and_offset();
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
    }

    /// The bytes of all free buffers: those given back and not taken again.
    pub fn free_bytes(&self) -> usize {
        self.free.iter().map(Vec::capacity).sum::<usize>() * size_of::<f32>()
    }

    /// How many buffers have been allocated so far.
    pub fn allocations(&self) -> usize {
        self.allocations
    }
}

#[cfg(test)]
mod tests {
    use super::BufferPool;

    /// Takes matrices of tokens and of sentences of 12 to 14 tokens each, and gives them back.
    fn piece(pool: &mut BufferPool, tokens: usize) -> (usize, usize) {
        pool.begin(tokens);
        let sentences = tokens / (12 + tokens % 3);
        let arrays: Vec<_> = [(tokens, 9), (tokens, 27), (sentences, 9), (tokens, 9), (tokens, 36)]
            .into_iter()
            .map(|(rows, cols)| pool.take(rows, cols))
            .collect();
        arrays.into_iter().for_each(|array| pool.give(array));
        (pool.allocations(), pool.free_bytes())
    }

    #[test]
    fn pieces_in_any_order_need_what_the_largest_needs() {
        let largest = 1000;
        let expected = piece(&mut BufferPool::with_room(largest), largest);
        assert_eq!(expected.0, 5);
        for first in [largest, 640, 30] {
            let mut pool = BufferPool::with_room(largest);
            for tokens in [first, 300, 700, 81, 450, 1000, 620, 330] {
                assert_eq!(piece(&mut pool, tokens), expected, "{tokens} tokens, {first} first");
            }
        }
    }

    #[test]
    fn batches_of_varying_length_soon_stop_allocating() {
        let mut pool = BufferPool::new();
        piece(&mut pool, 1000);
        let settled = piece(&mut pool, 1060);
        for tokens in [960, 1040, 1100, 930] {
            assert_eq!(piece(&mut pool, tokens), settled);
        }
        let grown = piece(&mut pool, 1300);
        assert_eq!(grown, piece(&mut pool, 1400), "there was room to spare");
        assert_eq!(
            grown.1,
            piece(&mut BufferPool::with_room(1300 + 1300 / 8), 1300).1,
            "the smaller buffers were dropped"
        );
    }
}
