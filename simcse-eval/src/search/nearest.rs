//! The most similar rows, by comparing every query with every row.

use std::ops::Range;

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;
use simcse_tensor::{Addend, Precision, gemm};

use crate::error::Error;
use crate::metrics::unit_rows::unit_rows;
use crate::search::index::Index;
use crate::search::vectors::{Vectors, parts};
use crate::similarity::judge::Hit;
use crate::similarity::top::{GLANCE, Top};

/// With at most this many queries, rows are compared as they are stored: reading them is what takes
/// time. With more, they are decoded and multiplied.
const FEW: usize = 4;
/// Rows that are compared at a time: of few queries by a thread, of many by all of them.
const ROWS: usize = 4096;
/// Queries that are compared at a time, if they are many.
const QUERIES: usize = 1024;

/// Which rows of a corpus may be found.
pub type Filter<'a> = &'a (dyn Fn(usize) -> bool + Sync);

/// For each of `queries`, (Q, C), the `k` rows of `vectors` with the highest cosine similarity,
/// best first; of equally similar ones, the first. `filter`, if there is one, says which rows
/// count. `first` is the number of the first row, for corpora that are searched in parts.
///
/// sentence-transformers: `util.semantic_search` with `cos_sim`.
///
/// ```
/// use ndarray::array;
/// use simcse_eval::{Storage, Vectors, nearest};
///
/// let mut vectors = Vectors::new(Storage::F32, 2);
/// vectors.push(array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]].view());
/// let hits = nearest(&vectors, array![[0.0, 5.0]].view(), 2, None);
/// assert_eq!(hits[0].iter().map(|hit| hit.index).collect::<Vec<_>>(), [1, 2]);
/// assert_eq!(hits[0][0].score, 1.0);
/// ```
///
/// # Panics
/// If the queries have another width.
#[must_use]
pub fn nearest(vectors: &Vectors, queries: ArrayView2<f32>, k: usize, filter: Option<Filter>) -> Vec<Vec<Hit>> {
    let mut search = Search::new(queries, k);
    search.add(vectors, filter);
    search.finish()
}

/// A search over a corpus that comes in parts.
#[derive(Debug)]
pub struct Search {
    /// Of unit length, (Q, C).
    queries: ndarray::Array2<f32>,
    tops: Vec<Top>,
    /// Whether queries are so few that rows are compared as they are stored.
    are_few: bool,
    /// Rows that were compared.
    done: usize,
}

impl Search {
    /// Searches the `k` most similar rows for each of `queries`, (Q, C).
    #[must_use]
    pub fn new(queries: ArrayView2<f32>, k: usize) -> Self {
        let are_few = queries.nrows() <= FEW;
        Self { queries: unit_rows(queries), tops: vec![Top::new(k); queries.nrows()], are_few, done: 0 }
    }

    /// Multiplies matrices even for a few queries, which is slower, but gives a query's scores the
    /// same bits whatever other queries there are.
    #[must_use]
    pub fn by_products(self) -> Self {
        Self { are_few: false, ..self }
    }

    /// Compares the next rows of the corpus; `filter` gets numbers that count from its first row.
    ///
    /// # Panics
    /// If the queries have another width.
    pub fn add(&mut self, vectors: &Vectors, filter: Option<Filter>) {
        assert_eq!(self.queries.ncols(), vectors.width(), "queries and rows of the same width");
        if self.are_few {
            self.add_few(vectors, filter)
        } else {
            self.add_many(vectors, filter)
        }
        self.done += vectors.len();
    }

    /// The hits for each query, best first.
    #[must_use]
    pub fn finish(self) -> Vec<Vec<Hit>> {
        self.tops.into_par_iter().map(Top::into_sorted).collect()
    }

    /// Each thread has its own best rows of its parts of the corpus.
    fn add_few(&mut self, vectors: &Vectors, filter: Option<Filter>) {
        let (width, done) = (vectors.width(), self.done);
        let queries = self.queries.as_slice().expect("unit rows are contiguous");
        let empty = || self.tops.iter().map(Top::like).collect::<Vec<_>>();
        let search = |(mut tops, mut scores): (Vec<Top>, Vec<f32>), rows: Range<usize>| {
            scores.resize(tops.len() * rows.len(), 0.0);
            vectors.stored().slice(rows.clone(), width).dot(width, queries, &mut scores);
            for (top, scores) in tops.iter_mut().zip(scores.chunks(rows.len())) {
                offer(top, scores, done + rows.start, filter);
            }
            (tops, scores)
        };
        let found =
            parts(0..vectors.len(), ROWS).collect::<Vec<_>>().into_par_iter().fold(|| (empty(), Vec::new()), search);
        let join = |mut a: Vec<Top>, b: Vec<Top>| {
            a.iter_mut().zip(b).for_each(|(a, b)| b.into_sorted().into_iter().for_each(|hit| a.push(hit)));
            a
        };
        let found = found.map(|(tops, _)| tops).reduce(empty, join);
        for (top, found) in self.tops.iter_mut().zip(found) {
            found.into_sorted().into_iter().for_each(|hit| top.push(hit));
        }
    }

    fn add_many(&mut self, vectors: &Vectors, filter: Option<Filter>) {
        let (width, done) = (vectors.width(), self.done);
        let (mut decoded, mut scores) = (Vec::new(), Vec::new());
        for rows in parts(0..vectors.len(), ROWS) {
            vectors.decode(rows.clone(), &mut decoded);
            let decoded = ArrayView2::from_shape((rows.len(), width), &decoded).expect("whole rows");
            let blocks = self.queries.axis_chunks_iter(Axis(0), QUERIES).zip(self.tops.chunks_mut(QUERIES));
            for (queries, tops) in blocks {
                scores.resize(tops.len() * rows.len(), 0.0);
                gemm(Precision::F32, queries, decoded.t(), Addend::Zero, &[width], &mut scores);
                let each = tops.par_iter_mut().zip(scores.par_chunks(rows.len()));
                each.for_each(|(top, scores)| offer(top, scores, done + rows.start, filter));
            }
        }
    }
}

impl Index {
    /// For each of `queries`, (Q, C), the `k` rows with the highest cosine similarity, as
    /// [`nearest()`] finds them.
    ///
    /// # Errors
    /// As [`Index::vectors`].
    ///
    /// # Panics
    /// If the queries have another width.
    pub fn nearest(
        &mut self,
        queries: ArrayView2<f32>,
        k: usize,
        filter: Option<Filter>,
    ) -> Result<Vec<Vec<Hit>>, Error> {
        self.search(Search::new(queries, k), filter)
    }

    /// The hits of a search over all rows. Vectors are read and compared part by part, so that
    /// memory does not depend on the number of rows.
    ///
    /// # Errors
    /// As [`Index::vectors`].
    ///
    /// # Panics
    /// If the queries have another width.
    pub fn search(&mut self, mut search: Search, filter: Option<Filter>) -> Result<Vec<Vec<Hit>>, Error> {
        /// Bytes of vectors that are in memory at a time.
        const PART: u64 = 256 << 20;
        let step = ((PART * self.rows() as u64).div_ceil(self.vector_bytes().max(1)) as usize).max(1);
        for rows in parts(0..self.rows(), step) {
            search.add(&self.vectors(rows)?, filter);
        }
        Ok(search.finish())
    }
}

/// Offers the scores of rows, of which the first has the number `first`, to a query.
fn offer(top: &mut Top, scores: &[f32], first: usize, filter: Option<Filter>) {
    for (part, scores) in scores.chunks(GLANCE).enumerate() {
        if !top.may_keep(scores) {
            continue;
        }
        for (index, &score) in (first + part * GLANCE..).zip(scores) {
            if filter.is_none_or(|filter| filter(index)) {
                top.push(Hit { index, score });
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/nearest.rs"]
mod tests;
