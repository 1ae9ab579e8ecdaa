//! Cosine similarity of embeddings.

use std::collections::{HashMap, HashSet};

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use crate::error::Error;
use crate::similarity::judge::{Hit, Relation, Role, Similarity};
use crate::similarity::store::{Store, checked_unit_rows};
use crate::similarity::top::Top;
use crate::statistics::sample::EQUAL;

/// How many texts are embedded at a time.
const PART: usize = 4096;
/// A corpus of at most this many texts is kept, so that it is embedded only once.
const KEPT: usize = 4 * PART;

/// Something that makes vectors of texts. The vector of a text must not depend on the texts that it
/// is embedded with.
pub trait Embedder {
    /// The number of values in a vector, `C`.
    fn width(&self) -> usize;

    /// Whether the vector of a text depends on its role.
    fn has_roles(&self) -> bool;

    /// The vectors of texts, (texts, C); `None` if it was stopped.
    ///
    /// # Errors
    /// Whatever keeps a text from being embedded.
    fn embed(&mut self, role: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error>;
}

/// Cosine similarity of an embedder's vectors. Every distinct text is embedded once, and a vector
/// of zeros has similarity 0 to everything. PyTorch: `normalize` with its default `eps`.
#[derive(Debug)]
pub struct Cosine<E> {
    embedder: E,
    /// For each role: what has been embedded. Without roles, everything is in the first.
    stores: [Store; 3],
    range: Range,
    /// Vectors of zeros that were not kept.
    zeros: usize,
}

/// The lowest and the highest of the similarities so far, and their number.
#[derive(Debug, Clone, Copy)]
struct Range {
    lowest: f32,
    highest: f32,
    count: usize,
}

impl Range {
    const EMPTY: Self = Self { lowest: f32::INFINITY, highest: f32::NEG_INFINITY, count: 0 };

    fn of(similarities: impl Iterator<Item = f32>) -> Self {
        similarities.fold(Self::EMPTY, |range, value| range.join(Self { lowest: value, highest: value, count: 1 }))
    }

    fn join(self, other: Self) -> Self {
        Self {
            lowest: self.lowest.min(other.lowest),
            highest: self.highest.max(other.highest),
            count: self.count + other.count,
        }
    }
}

impl<E: Embedder> Cosine<E> {
    /// Cosine similarity of the vectors of `embedder`.
    pub fn of(embedder: E) -> Self {
        Self { embedder, stores: Default::default(), range: Range::EMPTY, zeros: 0 }
    }

    fn store_of(&self, role: Role) -> usize {
        match role {
            Role::Query if self.embedder.has_roles() => 1,
            Role::Document if self.embedder.has_roles() => 2,
            _ => 0,
        }
    }

    /// Embeds those of `texts` that are not kept yet, and keeps them. Returns whether it went to
    /// the end.
    fn keep<'t>(&mut self, role: Role, texts: impl Iterator<Item = &'t str>) -> Result<bool, Error> {
        let store = self.store_of(role);
        let mut seen = HashSet::new();
        let missing: Vec<&str> =
            texts.filter(|text| self.stores[store].find(text).is_none() && seen.insert(*text)).collect();
        self.stores[store].reserve(missing.len(), self.embedder.width());
        for part in missing.chunks(PART) {
            let Some(embeddings) = self.embedder.embed(role, part)? else { return Ok(false) };
            self.stores[store].add(part, embeddings.view())?;
        }
        Ok(true)
    }

    /// The rows of kept texts, (texts, C).
    fn kept(&self, role: Role, texts: &[&str]) -> Array2<f32> {
        let store = &self.stores[self.store_of(role)];
        let mut rows = Array2::zeros((texts.len(), self.embedder.width()));
        for (mut row, text) in rows.rows_mut().into_iter().zip(texts) {
            row.assign(&store.row(store.find(text).expect("a text that is kept")));
        }
        rows
    }

    /// The rows of texts that may be kept or not, (texts, C), in the order of `texts`.
    fn rows(&mut self, role: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error> {
        let store = self.store_of(role);
        let missing: Vec<&str> = texts.iter().copied().filter(|text| self.stores[store].find(text).is_none()).collect();
        if missing.is_empty() {
            return Ok(Some(self.kept(role, texts)));
        }
        let Some(embeddings) = self.embedder.embed(role, &missing)? else { return Ok(None) };
        let new = checked_unit_rows(&missing, embeddings.view())?;
        self.zeros += new.rows().into_iter().filter(|row| row.iter().all(|&value| value == 0.0)).count();
        let mut new = new.rows().into_iter();
        let store = &self.stores[store];
        let mut rows = Array2::zeros((texts.len(), self.embedder.width()));
        for (mut row, text) in rows.rows_mut().into_iter().zip(texts) {
            match store.find(text) {
                Some(kept) => row.assign(&store.row(kept)),
                None => row.assign(&new.next().expect("a row for each missing text")),
            }
        }
        Ok(Some(rows))
    }
}

impl<E: Embedder> Similarity for Cosine<E> {
    fn pairs(&mut self, texts: &[String], relation: Relation, pairs: &[[usize; 2]]) -> Result<Option<Vec<f32>>, Error> {
        let roles = relation.roles();
        for (side, role) in roles.into_iter().enumerate() {
            if !self.keep(role, pairs.iter().map(|pair| texts[pair[side]].as_str()))? {
                return Ok(None);
            }
        }
        let [left, right] = roles.map(|role| &self.stores[self.store_of(role)]);
        let row_of = |store: &Store, text: usize| store.find(&texts[text]).expect("a text that is kept");
        let similarity = |&[a, b]: &[usize; 2]| cosine(left.row(row_of(left, a)), right.row(row_of(right, b)));
        let similarities: Vec<f32> = pairs.iter().map(similarity).collect();
        self.range = self.range.join(Range::of(similarities.iter().copied()));
        Ok(Some(similarities))
    }

    fn nearest(
        &mut self,
        queries: &[String],
        corpus: &[String],
        relation: Relation,
        k: usize,
    ) -> Result<Option<Vec<Vec<Hit>>>, Error> {
        let [left, right] = relation.roles();
        if !self.keep(left, queries.iter().map(String::as_str))? {
            return Ok(None);
        }
        let distinct = Distinct::of(corpus);
        if distinct.texts.len() <= KEPT && !self.keep(right, distinct.texts.iter().copied())? {
            return Ok(None);
        }
        let queries = self.kept(left, &queries.iter().map(String::as_str).collect::<Vec<_>>());
        let mut tops = vec![Top::new(k); queries.nrows()];
        for (part, texts) in distinct.texts.chunks(PART).enumerate() {
            let Some(documents) = self.rows(right, texts)? else { return Ok(None) };
            let range = rank(queries.view(), documents.view(), part * PART, &distinct, &mut tops);
            self.range = self.range.join(range);
        }
        Ok(Some(tops.into_par_iter().map(Top::into_sorted).collect()))
    }

    fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        let Range { lowest, highest, count } = std::mem::replace(&mut self.range, Range::EMPTY);
        let zeros = std::mem::take(&mut self.zeros) + self.stores.iter().map(Store::zeros).sum::<usize>();
        if zeros > 0 {
            warnings.push(format!("texts whose embedding is zero, with similarity 0 to every other: {zeros}"));
        }
        if count > 1 && highest - lowest < EQUAL {
            warnings.push(format!("similarities are all equal ({lowest:.4}): the embeddings have collapsed"));
        }
        warnings
    }
}

/// The cosine of two rows of length 1, or of zeros. Equal rows have exactly 1: a product of theirs
/// is 1 but for its rounding, by which pairs of equal texts would be ranked.
fn cosine(a: ArrayView1<f32>, b: ArrayView1<f32>) -> f32 {
    if a == b && a.iter().any(|&value| value != 0.0) { 1.0 } else { a.dot(&b) }
}

/// The distinct texts of a corpus, and where each of them is.
struct Distinct<'a> {
    texts: Vec<&'a str>,
    places: Vec<Vec<usize>>,
}

impl<'a> Distinct<'a> {
    fn of(corpus: &'a [String]) -> Self {
        let mut numbers = HashMap::new();
        let mut texts = Vec::new();
        let mut places: Vec<Vec<usize>> = Vec::new();
        for (place, text) in corpus.iter().enumerate() {
            let number = *numbers.entry(text.as_str()).or_insert(texts.len());
            if number == texts.len() {
                texts.push(text.as_str());
                places.push(Vec::new());
            }
            places[number].push(place);
        }
        Self { texts, places }
    }
}

/// Offers a part of the corpus, whose first text has the number `first`, to every query. A block of
/// queries at a time, so that the similarities take little memory.
fn rank(
    queries: ArrayView2<f32>,
    documents: ArrayView2<f32>,
    first: usize,
    distinct: &Distinct,
    tops: &mut [Top],
) -> Range {
    const BLOCK: usize = 256;
    let blocks = queries.axis_chunks_iter(Axis(0), BLOCK).zip(tops.chunks_mut(BLOCK)).collect::<Vec<_>>();
    let of_block = |(queries, tops): (ArrayView2<f32>, &mut [Top])| {
        let similarities = queries.dot(&documents.t());
        for (top, row) in tops.iter_mut().zip(similarities.rows()) {
            for (number, &score) in row.iter().enumerate() {
                distinct.places[first + number].iter().for_each(|&index| top.push(Hit { index, score }));
            }
        }
        Range::of(similarities.iter().copied())
    };
    blocks.into_par_iter().map(of_block).reduce(|| Range::EMPTY, Range::join)
}

#[cfg(test)]
#[path = "tests/cosine.rs"]
mod tests;
