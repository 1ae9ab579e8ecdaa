//! Embeddings whose computation several ranks share.

use ndarray::{Array2, s};
use simcse_eval::{Embedder, Error, Role};
use simcse_train::ranks::Ranks;

/// Embeds a share of the texts on each rank, and gives all vectors to all of them: what they would
/// be on one, because the vector of a text does not depend on the others.
pub(super) struct Divided<E> {
    pub(super) embedder: E,
    pub(super) ranks: Ranks,
}

impl<E: Embedder> Embedder for Divided<E> {
    fn width(&self) -> usize {
        self.embedder.width()
    }

    fn has_roles(&self) -> bool {
        self.embedder.has_roles()
    }

    /// Stopped everywhere as soon as it is stopped anywhere.
    fn embed(&mut self, role: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error> {
        let shares = self.ranks.shares(texts.iter().map(|text| text.len()));
        let share = shares[self.ranks.rank()].clone();
        let own = self.embedder.embed(role, &texts[share.clone()])?;
        if self.ranks.any(own.is_none()) {
            return Ok(None);
        }
        let mut vectors = Array2::zeros((texts.len(), self.width()));
        if let Some(own) = own {
            vectors.slice_mut(s![share, ..]).assign(&own);
        }
        self.ranks.gather_rows(&mut vectors, &shares);
        Ok(Some(vectors))
    }
}

#[cfg(test)]
mod tests {
    use simcse_train::ranks::on_threads;

    use super::*;

    /// A text's vector is its length; stopped at texts of more than `longest` bytes.
    struct Lengths {
        longest: usize,
    }

    impl Embedder for Lengths {
        fn width(&self) -> usize {
            2
        }

        fn has_roles(&self) -> bool {
            false
        }

        fn embed(&mut self, _: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error> {
            let fits = texts.iter().all(|text| text.len() <= self.longest);
            Ok(fits.then(|| Array2::from_shape_fn((texts.len(), 2), |(row, _)| texts[row].len() as f32)))
        }
    }

    #[test]
    fn every_rank_gets_all_vectors_or_none() {
        const TEXTS: [&str; 5] = ["a", "bcd", "ef", "ghij", "klmnopq"];
        let embed = |longest, texts: &[&str]| {
            on_threads(3, |ranks| {
                let mut divided = Divided { embedder: Lengths { longest }, ranks };
                divided.embed(Role::Text, texts).unwrap().map(|vectors| vectors.column(1).to_vec())
            })
        };
        assert_eq!(embed(7, &TEXTS), vec![Some(vec![1.0, 3.0, 2.0, 4.0, 7.0]); 3]);
        assert_eq!(embed(6, &TEXTS), vec![None; 3]);
        assert_eq!(embed(7, &TEXTS[..1]), vec![Some(vec![1.0]); 3]);
    }
}
