//! A batch of examples, as a step takes it.

/// The token ids of a batch of examples, and how its texts are encoded.
///
/// Examples of several texts are encoded text by text. A sentence, an example of one text, is
/// encoded twice: its two views differ by dropout. So each example has two or more *views*.
///
/// ```
/// use simcse_train::TokenizedBatch;
///
/// let sentences = TokenizedBatch::new(1, vec![vec![2, 9, 3], vec![2, 8, 3]]);
/// assert_eq!((sentences.len(), sentences.views()), (2, 2));
///
/// let triplet = TokenizedBatch::new(3, vec![vec![2, 9, 3], vec![2, 8, 3], vec![2, 7, 3]]);
/// assert_eq!((triplet.len(), triplet.views()), (1, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedBatch {
    columns: usize,
    texts: Vec<Vec<u32>>,
}

impl TokenizedBatch {
    /// A batch of examples of `columns` texts, one example after another.
    ///
    /// # Panics
    /// If `columns` is 0, or the number of texts is not a multiple of it.
    #[must_use]
    pub fn new(columns: usize, texts: Vec<Vec<u32>>) -> Self {
        assert!(columns > 0 && texts.len().is_multiple_of(columns), "{} texts in {columns} columns", texts.len());
        Self { columns, texts }
    }

    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len() / self.columns
    }

    /// Whether there are no examples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The texts, one example after another.
    #[must_use]
    pub fn texts(&self) -> &[Vec<u32>] {
        &self.texts
    }

    /// The number of texts in an example.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The number of views of an example.
    #[must_use]
    pub fn views(&self) -> usize {
        self.columns.max(2)
    }

    /// The rows that are encoded: the first views of all examples, then the second ones, and so on.
    /// Each has its token ids and the stream of its dropout masks, which is `views · i + v` for
    /// view `v` of example `i`.
    pub(crate) fn rows(&self) -> (Vec<&[u32]>, Vec<u32>) {
        let views = self.views();
        let numbers = || (0..views).flat_map(|view| (0..self.len()).map(move |example| (example, view)));
        // A sentence has one text, but two views.
        let text = |(example, view): (usize, usize)| &*self.texts[self.columns * example + view.min(self.columns - 1)];
        let stream = |(example, view): (usize, usize)| (views * example + view) as u32;
        (numbers().map(text).collect(), numbers().map(stream).collect())
    }

    /// [`rows`](Self::rows) with each text once: all first texts, then all second ones, and so on.
    pub(crate) fn single_rows(&self) -> (Vec<&[u32]>, Vec<u32>) {
        let (mut rows, mut streams) = self.rows();
        rows.truncate(self.texts.len());
        streams.truncate(self.texts.len());
        (rows, streams)
    }

    /// The first `count` examples, or all if there are fewer.
    pub(crate) fn first(&self, count: usize) -> Self {
        let texts = self.texts[..self.columns * count.min(self.len())].to_vec();
        Self { columns: self.columns, texts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_column_by_column_and_streams_example_by_example() {
        let ids = |count: u32| (0..count).map(|id| vec![id]).collect::<Vec<_>>();
        let sentences = TokenizedBatch::new(1, ids(3));
        let rows: Vec<&[u32]> = vec![&[0], &[1], &[2], &[0], &[1], &[2]];
        assert_eq!(sentences.rows(), (rows, vec![0, 2, 4, 1, 3, 5]));

        let triplets = TokenizedBatch::new(3, ids(6));
        let rows: Vec<&[u32]> = vec![&[0], &[3], &[1], &[4], &[2], &[5]];
        assert_eq!(triplets.rows(), (rows, vec![0, 3, 1, 4, 2, 5]));
        assert_eq!(triplets.first(1), TokenizedBatch::new(3, ids(3)));
    }
}
