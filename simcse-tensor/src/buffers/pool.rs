//! Buffers that go round: after the first pieces nothing large is allocated, and what is held is what the largest piece needs,
//! whatever the order in which pieces come.
//!
//! Every piece asks for matrices of the same widths in the same order; only their heights differ, which are numbers of tokens
//! or of sentences. So a buffer is as high as that of the largest piece would be, and fits all others.

use ndarray::{Array1, Array2, s};

use crate::buffers::pages::{self, LINE};

/// Free buffers, handed out and given back by the tape.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Vec<Vec<f32>>,
    /// Tokens of the largest piece.
    room: usize,
    /// Tokens of the piece at work; 0 if there is none.
    tokens: usize,
    allocations: usize,
}

impl BufferPool {
    /// Room grows by one part in so many more than a piece needs: batches vary in length.
    const SPARE: usize = 8;
    /// Heights come in shares of the room, so that pieces of nearly as many sentences per token ask for the same.
    const SHARES: usize = 16;

    /// An empty pool, whose buffers grow with the pieces.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty pool for pieces of at most `tokens` tokens; longer ones let it grow.
    pub fn with_room(tokens: usize) -> Self {
        Self { room: tokens, ..Self::default() }
    }

    /// Begins a piece. If it is larger than all before, their buffers are let go.
    pub(crate) fn begin(&mut self, tokens: usize) {
        if tokens > self.room {
            self.free.clear();
            self.room = tokens + tokens / Self::SPARE;
        }
        self.tokens = tokens;
    }

    /// A `rows × cols` matrix of unspecified values (NaN in this crate's own tests), which begins with a cache line.
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
        buffer.resize(start + rows * cols, 0.0);
        if cfg!(test) {
            buffer.fill(f32::NAN);
        }
        let values = Array1::from(buffer).slice_move(s![start..]);
        values.into_shape_with_order((rows, cols)).expect("the buffer has the shape's length")
    }

    /// Rows of the buffer for a matrix of `rows` rows: as many as the largest piece would ask for.
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

    /// The bytes of all buffers that are not handed out.
    pub fn free_bytes(&self) -> usize {
        self.free.iter().map(Vec::capacity).sum::<usize>() * size_of::<f32>()
    }

    /// How many buffers were ever allocated.
    pub fn allocations(&self) -> usize {
        self.allocations
    }
}

#[cfg(test)]
mod tests {
    use super::BufferPool;

    /// Takes matrices over tokens and sentences of 12 to 14 tokens, and gives them back.
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
    fn pieces_of_any_order_take_what_the_largest_does() {
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
    fn batches_of_varying_length_settle() {
        let mut pool = BufferPool::new();
        piece(&mut pool, 1000);
        let settled = piece(&mut pool, 1060);
        for tokens in [960, 1040, 1100, 930] {
            assert_eq!(piece(&mut pool, tokens), settled);
        }
        let grown = piece(&mut pool, 1300);
        assert_eq!(grown, piece(&mut pool, 1400), "with room to spare");
        assert_eq!(grown.1, piece(&mut BufferPool::with_room(1300 + 1300 / 8), 1300).1, "smaller buffers are let go");
    }
}
