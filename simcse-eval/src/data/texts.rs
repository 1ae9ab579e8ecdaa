//! The distinct texts of a data set, so that each is encoded once, and the digest of a data set.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use simcse_model::io::hexadecimal;

/// Numbers texts in the order of their first appearance; equal texts share a number.
#[derive(Default)]
pub(crate) struct DistinctTexts {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl DistinctTexts {
    pub(crate) fn number(&mut self, text: &str) -> usize {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.texts.len();
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }

    /// The distinct texts; a text's number is its index.
    pub(crate) fn into_vec(self) -> Vec<String> {
        self.texts
    }
}

/// SHA-256 of the values as JSON lines, in hexadecimal.
pub(crate) fn sha256(values: impl Iterator<Item = Value>) -> String {
    let digest = values.fold(Sha256::new(), |digest, value| digest.chain_update(format!("{value}\n")));
    hexadecimal(digest.finalize())
}
