//! Sentences laid end to end: one row per token, no padding.
//!
//! This file knows lengths. It must not know tokens or what a row holds.

use std::ops::Range;

/// Where each sentence of a batch starts, and which stream of random numbers it draws from.
///
/// ```
/// use simcse_tensor::Rows;
///
/// // Three sentences of 4, 2 and 3 tokens, each with a stream of its own.
/// let rows = Rows::new([4, 2, 3], vec![0, 1, 2]);
/// assert_eq!(rows.sentences(), 3);
/// assert_eq!(rows.tokens(), 9);
/// assert_eq!(rows.sentence(1), 4..6);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    offsets: Vec<usize>, // (S + 1)
    streams: Vec<u32>,   // (S)
}

impl Rows {
    /// The tokens that a block of consecutive sentences may hold; a block has at least one
    /// sentence, however long.
    ///
    /// Parameter gradients are sums with one partial sum per block. A batch that is cut into
    /// pieces at block boundaries therefore gives the same bits as the whole.
    // Tests use small blocks: with 512 tokens, their few short sentences would all be in one block,
    // and no test would see a partial sum that is lost or added in the wrong order.
    pub const BLOCK: usize = if cfg!(test) { 24 } else { 512 };

    /// Sentences of the given lengths in tokens. `streams[s]` is the coordinate of sentence `s` in
    /// dropout masks; sentences that must not share masks need different streams.
    ///
    /// # Panics
    /// If the numbers of lengths and streams differ.
    pub fn new(lengths: impl IntoIterator<Item = usize>, streams: Vec<u32>) -> Self {
        let mut offsets = Vec::with_capacity(streams.len() + 1);
        offsets.push(0);
        offsets.extend(lengths.into_iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        }));
        let sentences = offsets.len() - 1;
        assert_eq!(sentences, streams.len(), "lengths of {sentences} sentences, streams of {}", streams.len());
        Self { offsets, streams }
    }

    /// The number of sentences, `S`.
    pub fn sentences(&self) -> usize {
        self.streams.len()
    }

    /// The number of tokens, `N`.
    pub fn tokens(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// The rows of sentence `s`.
    pub fn sentence(&self, s: usize) -> Range<usize> {
        self.offsets[s]..self.offsets[s + 1]
    }

    /// The rows of every sentence, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|w| w[0]..w[1])
    }

    /// The coordinate of sentence `s` in dropout masks.
    pub fn stream(&self, s: usize) -> u32 {
        self.streams[s]
    }

    /// The sentences of every block, in order. Blocks depend on the lengths alone.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut start = 0;
        std::iter::from_fn(move || {
            let fits = |&s: &usize| s == start || self.span(&(start..s + 1)).len() <= Self::BLOCK;
            let end = (start..self.sentences()).take_while(fits).last()? + 1;
            Some(std::mem::replace(&mut start, end)..end)
        })
    }

    /// The rows of a range of consecutive sentences.
    pub fn span(&self, sentences: &Range<usize>) -> Range<usize> {
        self.offsets[sentences.start]..self.offsets[sentences.end]
    }

    /// The end (exclusive) of every block's rows, in order.
    pub fn block_ends(&self) -> Vec<usize> {
        self.blocks().map(|block| self.span(&block).end).collect()
    }

    /// The end (exclusive) of every block's sentences, in order: [`block_ends`](Self::block_ends)
    /// of a matrix with a row per sentence.
    pub(crate) fn block_sentence_ends(&self) -> Vec<usize> {
        self.blocks().map(|block| block.end).collect()
    }

    /// Splits a row-major buffer, `width` values per row, into one mutable slice per block.
    pub(crate) fn split_blocks<'a, T>(&self, buffer: &'a mut [T], width: usize) -> Vec<&'a mut [T]> {
        split(buffer, self.blocks().map(|block| self.span(&block).len() * width))
    }

    /// Splits a row-major buffer, `width` values per row, into one mutable slice per sentence.
    pub(crate) fn split_sentences<'a, T>(&self, buffer: &'a mut [T], width: usize) -> Vec<&'a mut [T]> {
        split(buffer, self.iter().map(|sentence| sentence.len() * width))
    }
}

fn split<T>(mut buffer: &mut [T], lengths: impl Iterator<Item = usize>) -> Vec<&mut [T]> {
    lengths
        .map(|length| {
            let (head, tail) = std::mem::take(&mut buffer).split_at_mut(length);
            buffer = tail;
            head
        })
        .collect()
}
