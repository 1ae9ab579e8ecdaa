//! Which texts are equal to one another.

use std::hash::{BuildHasher, RandomState};

use rayon::prelude::*;

/// Text `index` of those that end at `ends`.
pub(crate) fn slice<'a>(text: &'a str, ends: &[u64], index: usize) -> &'a str {
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &text[start as usize..ends[index] as usize]
}

/// The texts that are equal to others.
#[derive(Debug)]
pub(crate) struct EqualTexts {
    /// For each text, the index of the first text that is equal to it.
    pub(crate) groups: Vec<u32>,
    /// The texts that are equal to another one.
    pub(crate) repeated: TextSet,
    /// The number of texts that are equal to an earlier one.
    pub(crate) duplicates: usize,
}

impl EqualTexts {
    /// Finds them among the texts that end at `ends`.
    ///
    /// Sorts all texts by 32 bits of their hashes, in parallel, and compares those with the same
    /// bits. So nearly every text is read once and in order, while a hash table would wait for
    /// memory several times per text. It takes 8 bytes per text, and 8 to 16 per duplicate.
    pub(crate) fn of(text: &str, ends: &[u64]) -> Self {
        let hasher = RandomState::new();
        let mut sorted: Vec<u64> = (0..ends.len())
            .into_par_iter()
            .map(|index| hasher.hash_one(slice(text, ends, index)) & !u64::from(u32::MAX) | index as u64)
            .collect();
        sorted.par_sort_unstable();
        let same_hash = sorted.par_chunk_by(|a, b| a >> 32 == b >> 32).filter(|texts| texts.len() > 1);
        let pairs: Vec<[u32; 2]> = same_hash.flat_map_iter(|texts| later_and_first(text, ends, texts)).collect();
        drop(sorted);

        let mut groups: Vec<u32> = (0..ends.len() as u32).collect();
        let mut repeated = TextSet::empty(ends.len());
        for &[later, first] in &pairs {
            groups[later as usize] = first;
            repeated.insert(later);
            repeated.insert(first);
        }
        Self { groups, repeated, duplicates: pairs.len() }
    }
}

/// For each of `texts` that is equal to an earlier one of them, its index and that of the first one
/// that it is equal to. Indices are in the lower halves, ascending.
fn later_and_first(text: &str, ends: &[u64], texts: &[u64]) -> Vec<[u32; 2]> {
    let mut firsts: Vec<u32> = Vec::new();
    let mut found = Vec::new();
    for index in texts.iter().map(|&text| text as u32) {
        let this = slice(text, ends, index as usize);
        match firsts.iter().find(|&&first| slice(text, ends, first as usize) == this) {
            Some(&first) => found.push([index, first]),
            None => firsts.push(index),
        }
    }
    found
}

/// A set of texts: a bit for each.
#[derive(Debug, Clone)]
pub(crate) struct TextSet(Vec<u64>);

impl TextSet {
    /// An empty set, with room for `texts` texts.
    fn empty(texts: usize) -> Self {
        Self(vec![0; texts.div_ceil(64)])
    }

    pub(crate) fn insert(&mut self, text: u32) {
        self.0[text as usize / 64] |= 1 << (text % 64);
    }

    pub(crate) fn contains(&self, text: u32) -> bool {
        self.0[text as usize / 64] & 1 << (text % 64) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_the_same_hash_may_differ() {
        let text = "onetwoonetwothree";
        let ends = [3, 6, 9, 12, 17];
        // As if all five had one hash.
        assert_eq!(later_and_first(text, &ends, &[0, 1, 2, 3, 4]), [[2, 0], [3, 1]]);
        let found = EqualTexts::of(text, &ends);
        assert_eq!((found.groups, found.duplicates), (vec![0, 1, 0, 1, 4], 2));
        assert_eq!([0, 1, 2, 3, 4].map(|text| found.repeated.contains(text)), [true, true, true, true, false]);
    }
}
