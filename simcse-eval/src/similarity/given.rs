//! Embeddings that were computed elsewhere.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView2, Axis};

use crate::error::Error;
use crate::similarity::cosine::Embedder;
use crate::similarity::judge::Role;

/// Embeddings from anywhere, one for each of some texts, whatever their role.
#[derive(Debug)]
pub struct Given<'a> {
    rows: HashMap<&'a str, usize>,
    embeddings: ArrayView2<'a, f32>,
}

impl<'a> Given<'a> {
    /// One row of `embeddings`, (texts, C), for each of `texts`; norms do not matter.
    ///
    /// # Panics
    /// If their numbers differ.
    pub fn new<S: AsRef<str>>(texts: &'a [S], embeddings: ArrayView2<'a, f32>) -> Self {
        assert_eq!(texts.len(), embeddings.nrows(), "one embedding for each text");
        let rows = texts.iter().enumerate().map(|(row, text)| (text.as_ref(), row)).collect();
        Self { rows, embeddings }
    }
}

impl Embedder for Given<'_> {
    fn width(&self) -> usize {
        self.embeddings.ncols()
    }

    fn has_roles(&self) -> bool {
        false
    }

    /// # Panics
    /// If a text has no embedding.
    fn embed(&mut self, _: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error> {
        let rows: Vec<usize> = texts
            .iter()
            .map(|text| *self.rows.get(text).unwrap_or_else(|| panic!("no embedding was given for {text:?}")))
            .collect();
        Ok(Some(self.embeddings.select(Axis(0), &rows)))
    }
}
