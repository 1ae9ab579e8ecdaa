//! Sentences laid end to end: one row a token, no padding.

use std::ops::Range;

/// Where each sentence of a batch begins, and which stream of random numbers it draws from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    offsets: Vec<usize>, // (S + 1)
    streams: Vec<u32>,   // (S)
}

impl Rows {
    /// Parameter gradients are sums of one partial sum per block of consecutive sentences, so a batch that is cut into
    /// pieces at block boundaries gives the same bits. A block has as many sentences as fit into this many tokens, but one
    /// at least.
    pub const BLOCK: usize = if cfg!(test) { 24 } else { 512 };

    /// Sentences of the given lengths in tokens. `streams[s]` is sentence `s`'s coordinate in dropout masks; sentences
    /// that must not share masks need different streams.
    ///
    /// # Panics
    /// If the two do not give the same number of sentences.
    pub fn new(lengths: impl IntoIterator<Item = usize>, streams: Vec<u32>) -> Self {
        let mut offsets = Vec::with_capacity(streams.len() + 1);
        offsets.push(0);
        offsets.extend(lengths.into_iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        }));
        assert_eq!(
            offsets.len(),
            streams.len() + 1,
            "lengths of {} sentences, streams of {}",
            offsets.len() - 1,
            streams.len()
        );
        Self { offsets, streams }
    }

    /// Number of sentences, `S`.
    pub fn sentences(&self) -> usize {
        self.streams.len()
    }

    /// Number of tokens, `N`.
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

    /// Sentence `s`'s coordinate in dropout masks.
    pub fn stream(&self, s: usize) -> u32 {
        self.streams[s]
    }

    /// The sentences of every block, in order.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut start = 0;
        std::iter::from_fn(move || {
            let fits = |&s: &usize| s == start || self.span(&(start..s + 1)).len() <= Self::BLOCK;
            let end = (start..self.sentences()).take_while(fits).last()? + 1;
            Some(std::mem::replace(&mut start, end)..end)
        })
    }

    /// The rows of a run of consecutive sentences.
    pub fn span(&self, sentences: &Range<usize>) -> Range<usize> {
        self.offsets[sentences.start]..self.offsets[sentences.end]
    }

    /// The last row (exclusive) of every block, in order.
    pub fn block_ends(&self) -> Vec<usize> {
        self.blocks().map(|block| self.span(&block).end).collect()
    }

    /// Splits a row-major buffer of `width` values a row into one mutable slice per block of sentences.
    pub(crate) fn split_blocks<'a, T>(&self, buffer: &'a mut [T], width: usize) -> Vec<&'a mut [T]> {
        split(buffer, self.blocks().map(|block| self.span(&block).len() * width))
    }

    /// Splits a row-major buffer of `width` values a row into one mutable slice per sentence.
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
