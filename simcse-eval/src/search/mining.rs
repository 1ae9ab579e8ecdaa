//! Hard negatives: texts that are similar to a query and do not answer it.

use std::collections::HashSet;

use simcse_model::Named;
use simcse_tensor::rng::Philox;

use crate::search::nearest::nearest;
use crate::search::vectors::{Vectors, parts};
use crate::similarity::judge::Hit;

/// Queries that are compared with the corpus at a time.
const QUERIES: usize = 1024;

/// Which of the candidates become negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// The most similar ones.
    #[default]
    Top,
    /// Any of them, drawn by [`Mining::seed`].
    Random,
}

impl Named for Sampling {
    const ALL: &'static [Self] = &[Self::Top, Self::Random];

    fn name(self) -> &'static str {
        match self {
            Self::Top => "top",
            Self::Random => "random",
        }
    }
}

/// How hard negatives are chosen. Scores are cosine similarities to the query.
///
/// sentence-transformers: the arguments of `mine_hard_negatives`, with the same names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Mining {
    /// Negatives for each query, at most.
    pub num_negatives: usize,
    /// Candidates that are left out, the most similar ones: they may be positives without a label.
    pub range_min: usize,
    /// Candidates that are looked at. By default, as many as are needed; with a bound or a margin,
    /// ten times as many.
    pub range_max: Option<usize>,
    /// The highest score of a negative.
    pub max_score: Option<f32>,
    /// The lowest score of a negative.
    pub min_score: Option<f32>,
    /// By how much a negative's score must be below that of the query's worst positive.
    pub absolute_margin: Option<f32>,
    /// The same as a share of the positive's score: 0.05 for at most 95 % of it.
    pub relative_margin: Option<f32>,
    /// Which of the remaining candidates are taken.
    pub sampling: Sampling,
    /// Of [`Sampling::Random`].
    pub seed: u64,
}

impl Default for Mining {
    fn default() -> Self {
        Self {
            num_negatives: 3,
            range_min: 0,
            range_max: None,
            max_score: None,
            min_score: None,
            absolute_margin: None,
            relative_margin: None,
            sampling: Sampling::Top,
            seed: 42,
        }
    }
}

/// A query with one of its positives and one of its negatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triplet {
    /// The number of the query.
    pub query: usize,
    /// The row of the corpus that answers it.
    pub positive: usize,
    /// The row of the corpus that does not.
    pub negative: usize,
    /// The positive's cosine similarity to the query.
    pub positive_score: f32,
    /// The negative's.
    pub negative_score: f32,
}

/// What was mined, and why it was not more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mined {
    /// By query, then by positive, then by the negatives' scores, highest first.
    pub triplets: Vec<Triplet>,
    /// Candidates within a margin of the worst positive.
    pub within_margin: usize,
    /// Candidates outside of the allowed scores.
    pub out_of_bounds: usize,
    /// Queries with fewer than [`Mining::num_negatives`].
    pub queries_short_of_negatives: usize,
}

impl Mining {
    /// How many candidates are looked at for each query.
    ///
    /// `most_positives` is the number of pairs of the query with the most of them.
    #[must_use]
    pub fn candidates(&self, most_positives: usize) -> usize {
        let is_bounded =
            [self.max_score, self.absolute_margin, self.relative_margin].iter().any(|bound| bound.is_some());
        let needed = if is_bounded { 10 * self.num_negatives } else { self.num_negatives };
        self.range_max.unwrap_or(self.range_min + needed + most_positives)
    }

    /// The negatives of all queries. `positives` are the rows of `corpus` that answer each query;
    /// `excluded`, if there is one, is a row that is no candidate: the query's own text. `go_on`
    /// gets the number of queries that are done; if it returns `false`, there is no result.
    ///
    /// sentence-transformers: `mine_hard_negatives`, which does not exclude the query's own text.
    ///
    /// ```
    /// use ndarray::array;
    /// use simcse_eval::{Mining, Storage, Vectors};
    ///
    /// let unit = |rows: ndarray::Array2<f32>| {
    ///     let mut vectors = Vectors::new(Storage::F32, 2);
    ///     vectors.push(rows.view());
    ///     vectors
    /// };
    /// let corpus = unit(array![[1.0, 0.1], [1.0, 0.2], [0.0, 1.0]]);
    /// let mining = Mining { num_negatives: 1, ..Mining::default() };
    /// let query = unit(array![[1.0, 0.0]]);
    /// let mined = mining.mine(&query, &corpus, &[vec![0]], &[None], 1, |_| true);
    /// assert_eq!(mined.expect("it went on").triplets[0].negative, 1);
    /// ```
    ///
    /// # Panics
    /// If there is not one entry for each query, a query has no positive, or widths differ.
    #[must_use]
    pub fn mine(
        &self,
        queries: &Vectors,
        corpus: &Vectors,
        positives: &[Vec<usize>],
        excluded: &[Option<usize>],
        most_positives: usize,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Option<Mined> {
        assert_eq!(positives.len(), queries.len(), "positives of each query");
        assert_eq!(excluded.len(), queries.len(), "an excluded row or none for each query");
        let candidates = self.candidates(most_positives);
        let mut mined = Mined::default();
        for block in parts(0..queries.len(), QUERIES) {
            let embeddings = queries.decoded(block.clone());
            let found = nearest(corpus, embeddings.view(), candidates + most_positives, None);
            for ((query, hits), embedding) in block.clone().zip(found).zip(embeddings.rows()) {
                let score = |row: usize| corpus.decoded(row..row + 1).row(0).dot(&embedding);
                let scores: Vec<f32> = positives[query].iter().map(|&row| score(row)).collect();
                let worst = scores.iter().copied().reduce(f32::min).expect("a query has a positive");
                let own = excluded[query];
                let none = |hit: &Hit| Some(hit.index) != own && !positives[query].contains(&hit.index);
                let hits = hits.into_iter().filter(none).collect();
                let kept = self.chosen(query, self.allowed(hits, worst, candidates, &mut mined));
                mined.queries_short_of_negatives += usize::from(kept.len() < self.num_negatives);
                for (&positive, &positive_score) in positives[query].iter().zip(&scores) {
                    mined.triplets.extend(kept.iter().map(|negative| Triplet {
                        query,
                        positive,
                        negative: negative.index,
                        positive_score,
                        negative_score: negative.score,
                    }));
                }
            }
            if !go_on(block.end) {
                return None;
            }
        }
        Some(mined)
    }

    /// The candidates within margins, bounds and ranks, best first.
    fn allowed(&self, mut hits: Vec<Hit>, worst: f32, candidates: usize, mined: &mut Mined) -> Vec<Hit> {
        let before = hits.len();
        hits.retain(|hit| {
            let absolute = self.absolute_margin.is_none_or(|margin| hit.score + margin <= worst);
            absolute && self.relative_margin.is_none_or(|margin| hit.score <= worst - worst.abs() * margin)
        });
        mined.within_margin += before - hits.len();
        let before = hits.len();
        hits.retain(|hit| {
            let low_enough = self.max_score.is_none_or(|most| hit.score <= most);
            low_enough && self.min_score.is_none_or(|least| hit.score >= least)
        });
        mined.out_of_bounds += before - hits.len();
        hits.truncate(candidates);
        hits.drain(..self.range_min.min(hits.len()));
        hits
    }

    /// The negatives among what is allowed, best first.
    fn chosen(&self, query: usize, mut hits: Vec<Hit>) -> Vec<Hit> {
        if self.sampling == Sampling::Random && hits.len() > self.num_negatives {
            // Floyd's algorithm: every subset is equally likely.
            let philox = Philox::new(self.seed);
            let mut drawn = HashSet::new();
            for (draw, last) in (hits.len() - self.num_negatives..hits.len()).enumerate() {
                let word = philox.block([draw as u32, query as u32, 0, 0])[0];
                let one = (u64::from(word) * (last as u64 + 1)) >> 32;
                if !drawn.insert(one as usize) {
                    drawn.insert(last);
                }
            }
            let mut row = 0..;
            hits.retain(|_| row.next().is_some_and(|row| drawn.contains(&row)));
        }
        hits.truncate(self.num_negatives);
        hits
    }
}

#[cfg(test)]
#[path = "tests/mining.rs"]
mod tests;
