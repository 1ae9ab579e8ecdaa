//! `probe.json`: the sentences that a run watches, and what they look like before and after.

use std::path::Path;

use serde::{Deserialize, Serialize};
use simcse_eval::Picture;
use simcse_model::io::write_bytes;

/// The name of the file in a run's output directory.
const FILE: &str = "probe.json";

/// The sentences that a run watches, and what they look like in its models.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pictures {
    pub(crate) sentences: Vec<String>,
    /// Before the first step.
    pub(crate) before: Option<Shot>,
    /// The newest one.
    pub(crate) after: Option<Shot>,
}

/// What the sentences look like in one model of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shot {
    pub(crate) step: u64,
    #[serde(flatten)]
    pub(crate) picture: Picture,
}

impl Pictures {
    /// Pictures of `sentences`: those in `output`, if a run that is resumed has taken them there.
    pub(crate) fn resumed(output: &Path, sentences: &[String]) -> Self {
        match Self::read(output) {
            Some(pictures) if pictures.sentences == sentences => pictures,
            _ => Self { sentences: sentences.to_vec(), ..Self::default() },
        }
    }

    /// What is in `output`; `None` if there is no such file, or if it cannot be read.
    pub(crate) fn read(output: &Path) -> Option<Self> {
        let pictures: Self = serde_json::from_slice(&std::fs::read(output.join(FILE)).ok()?).ok()?;
        pictures.fit().then_some(pictures)
    }

    /// Whether every picture is one of these sentences.
    fn fit(&self) -> bool {
        let count = self.sentences.len();
        self.before.iter().chain(&self.after).all(|Shot { picture, .. }| {
            picture.coordinates.len() == count
                && picture.neighbors.len() <= count
                && picture.neighbors.iter().flatten().all(|neighbor| neighbor.sentence < count)
        })
    }

    /// Adds the picture of a model.
    pub(crate) fn add(&mut self, step: u64, picture: Picture) {
        let shot = Shot { step, picture };
        if step == 0 {
            self.before = Some(shot.clone());
        }
        self.after = Some(shot);
    }

    /// Writes the file.
    pub(crate) fn write(&self, output: &Path) -> simcse_model::Result<()> {
        write_bytes(&output.join(FILE), &serde_json::to_vec(self).expect("pictures are JSON"))
    }
}
