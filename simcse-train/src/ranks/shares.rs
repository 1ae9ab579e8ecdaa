//! Who does what: consecutive parts of something, one for each rank.

use std::ops::Range;

/// Consecutive sentences for each of `size` ranks, with nearly the same number of tokens: the first
/// ranks' parts end with the last sentence that ends within their share of all tokens.
pub(super) fn by_length(lengths: impl IntoIterator<Item = usize>, size: usize) -> Vec<Range<usize>> {
    let mut total = 0;
    let ends: Vec<usize> = lengths
        .into_iter()
        .map(|length| {
            total += length;
            total
        })
        .collect();
    let end = |rank: usize| ends.partition_point(|&end| end * size <= total * rank);
    (0..size).map(|rank| end(rank)..end(rank + 1)).collect()
}

/// Parts of `0..count` whose lengths differ by at most 1.
pub(super) fn equal(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..size).map(move |rank| count * rank / size..count * (rank + 1) / size)
}

/// Where rank `rank`'s part is, if the parts have these lengths.
pub(super) fn at(counts: &[usize], rank: usize) -> Range<usize> {
    let start = counts[..rank].iter().sum();
    start..start + counts[rank]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_get_as_many_tokens_as_sentences_allow() {
        assert_eq!(by_length([5, 5, 5, 5], 2), [0..2, 2..4]);
        assert_eq!(by_length([9, 1, 1, 9], 2), [0..2, 2..4]);
        assert_eq!(by_length([2; 7], 3), [0..2, 2..4, 4..7]);
        // Fewer sentences than ranks: some have nothing to do.
        assert_eq!(by_length([4], 3), [0..0, 0..0, 0..1]);
        assert_eq!(by_length([], 2), [0..0, 0..0]);
        let lengths: Vec<usize> = (0..1000).map(|i| 3 + i * 7 % 40).collect();
        let tokens = |share: &Range<usize>| lengths[share.clone()].iter().sum::<usize>();
        let mean = lengths.iter().sum::<usize>() / 7;
        for share in by_length(lengths.iter().copied(), 7) {
            assert!(tokens(&share).abs_diff(mean) <= 43, "{} tokens, {mean} on average", tokens(&share));
        }
    }

    #[test]
    fn equal_parts_cover_everything() {
        assert_eq!(equal(7, 3).collect::<Vec<_>>(), [0..2, 2..4, 4..7]);
        assert_eq!(equal(1, 2).collect::<Vec<_>>(), [0..0, 0..1]);
    }
}
