//! The result of an evaluation: named figures, each with the values that it is computed from.
//!
//! This file knows numbers and names. It must not know files or models.

use std::fmt;

use serde_json::{Map, Value, json};
use simcse_model::io::counted;

use crate::similarity::judge::Similarity;
use crate::statistics::sample::Sample;

/// What the entries of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Queries with candidates.
    Queries,
    /// Pairs of sentences.
    Pairs,
    /// Anchors with a positive and a negative.
    Triplets,
    /// Single texts.
    Texts,
}

impl Unit {
    /// The name of their number in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Queries => "queries",
            Self::Pairs => "pairs",
            Self::Triplets => "triplets",
            Self::Texts => "texts",
        }
    }

    /// One of them.
    #[must_use]
    pub fn one(self) -> &'static str {
        match self {
            Self::Queries => "query",
            Self::Pairs => "pair",
            Self::Triplets => "triplet",
            Self::Texts => "text",
        }
    }

    /// A number of them in words.
    #[must_use]
    pub fn counted(self, count: usize) -> String {
        counted(count, self.one(), self.key())
    }
}

/// A figure and what it is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name in JSON, such as `spearman_cosine`.
    pub name: &'static str,
    /// Its name in a table, such as `Spearman`.
    pub label: &'static str,
    /// The values that it is computed from.
    pub sample: Sample,
}

/// The figures of one set and one judge of similarity.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// The figures; the first one is what models are compared by.
    pub figures: Vec<Figure>,
    /// How many entries were scored.
    pub count: usize,
    /// What the entries are.
    pub unit: Unit,
    /// What a reader of the figures must know, one line each.
    pub warnings: Vec<String>,
}

impl Scores {
    /// Figures over `count` entries, with the warnings of the judge that they come from.
    ///
    /// # Panics
    /// If there are no figures.
    pub fn new(figures: Vec<Figure>, count: usize, unit: Unit, similarity: &mut dyn Similarity) -> Self {
        assert!(!figures.is_empty(), "an evaluation has at least one figure");
        Self { figures, count, unit, warnings: similarity.take_warnings() }
    }

    /// The figure that models are compared by.
    #[must_use]
    pub fn main(&self) -> &Figure {
        &self.figures[0]
    }

    /// The value of the figure of this name; `None` if it is undefined or there is no such figure.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name)?.sample.value()
    }

    /// The figures as a JSON object, with the number of entries. Each figure `x` has its interval
    /// `x_interval: [low, high]`. What is undefined is `null`.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        for Figure { name, sample, .. } in &self.figures {
            let interval = sample.interval().map(|interval| [interval.low, interval.high]);
            object.insert((*name).to_owned(), json!(sample.value()));
            object.insert(format!("{name}_interval"), json!(interval));
        }
        object.insert(self.unit.key().to_owned(), json!(self.count));
        object
    }
}

/// One line, such as `MAP 0.6696, MRR@10 0.7038 (200 queries)`.
impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Figure { label, sample, .. } in &self.figures {
            match sample.value() {
                Some(value) => write!(f, "{label} {value:.4}, ")?,
                None => write!(f, "{label} undefined, ")?,
            }
        }
        write!(f, "{}", self.unit.counted(self.count))
    }
}
