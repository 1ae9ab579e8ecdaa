//! A batch of examples, as a step takes it.

use simcse_tensor::Rows;

/// The token ids of a batch of examples, and how its texts are encoded.
///
/// Examples of several texts are encoded text by text. A sentence, an example of one text, is
/// encoded twice: its two views differ by dropout and, by option, in their tokens. By option, it is
/// encoded a third time, without dropout. So each example has two or more *views*.
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
    /// What is encoded as the first and as the second view of each sentence; empty if it is the
    /// sentence itself.
    changed: [Vec<Vec<u32>>; 2],
    /// Whether sentences have a third view, without dropout.
    undropped: bool,
}

impl TokenizedBatch {
    /// A batch of examples of `columns` texts, one example after another.
    ///
    /// # Panics
    /// If `columns` is 0, or the number of texts is not a multiple of it.
    #[must_use]
    pub fn new(columns: usize, texts: Vec<Vec<u32>>) -> Self {
        assert!(columns > 0 && texts.len().is_multiple_of(columns), "{} texts in {columns} columns", texts.len());
        Self { columns, texts, changed: [Vec::new(), Vec::new()], undropped: false }
    }

    /// The same, with these token ids as the first (0) or second (1) views of the sentences.
    ///
    /// # Panics
    /// If examples are not sentences, or their number is not that of the views.
    #[must_use]
    pub fn with_view(mut self, view: usize, ids: Vec<Vec<u32>>) -> Self {
        assert!(self.columns == 1 && ids.len() == self.len(), "{} views of {}", ids.len(), self.len());
        self.changed[view] = ids;
        self
    }

    /// The token ids of the first (0) or second (1) views of sentences.
    pub(crate) fn view(&self, view: usize) -> &[Vec<u32>] {
        if self.changed[view].is_empty() { &self.texts } else { &self.changed[view] }
    }

    /// The same, with each sentence once more as a third view, without dropout.
    ///
    /// # Panics
    /// If examples are not sentences.
    #[must_use]
    pub fn with_undropped_views(self) -> Self {
        assert_eq!(self.columns, 1, "texts per example");
        Self { undropped: true, ..self }
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
        self.columns.max(2) + usize::from(self.undropped)
    }

    /// The rows that are encoded: the first views of all examples, then the second ones, and so on.
    /// Each has its token ids and the stream of its dropout masks, which is `views · i + v` for
    /// view `v` of example `i`; a view without dropout does not count.
    pub(crate) fn rows(&self) -> (Vec<&[u32]>, Vec<u32>) {
        let views = self.views();
        let dropped = self.columns.max(2);
        let numbers = || (0..views).flat_map(|view| (0..self.len()).map(move |example| (example, view)));
        let text = |(example, view): (usize, usize)| match (self.columns, view) {
            (1, 0 | 1) => &*self.view(view)[example],
            // A sentence has one text, but several views.
            (1, _) => &*self.texts[example],
            (columns, _) => &*self.texts[columns * example + view],
        };
        let stream = |(example, view): (usize, usize)| match view < dropped {
            true => (dropped * example + view) as u32,
            false => Rows::UNDROPPED,
        };
        (numbers().map(text).collect(), numbers().map(stream).collect())
    }

    /// [`rows`](Self::rows) without those that are encoded without dropout.
    pub(crate) fn dropped_rows(&self) -> (Vec<&[u32]>, Vec<u32>) {
        let (mut rows, mut streams) = self.rows();
        rows.truncate(self.columns.max(2) * self.len());
        streams.truncate(rows.len());
        (rows, streams)
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
        let count = count.min(self.len());
        let texts = self.texts[..self.columns * count].to_vec();
        let changed = self.changed.each_ref().map(|ids| ids.iter().take(count).cloned().collect());
        Self { texts, changed, ..*self }
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

    #[test]
    fn a_sentence_may_have_another_second_view_and_one_without_dropout() {
        let ids = |first: u32| (first..first + 3).map(|id| vec![id]).collect::<Vec<_>>();
        let sentences = TokenizedBatch::new(1, ids(0)).with_view(1, ids(7)).with_undropped_views();
        assert_eq!((sentences.len(), sentences.views()), (3, 3));
        let rows: Vec<&[u32]> = vec![&[0], &[1], &[2], &[7], &[8], &[9], &[0], &[1], &[2]];
        let none = Rows::UNDROPPED;
        assert_eq!(sentences.rows(), (rows, vec![0, 2, 4, 1, 3, 5, none, none, none]));
        let rows: Vec<&[u32]> = vec![&[0], &[7], &[0]];
        assert_eq!(sentences.first(1).rows(), (rows, vec![0, 1, none]));
    }
}
