//! How the views of a sentence differ, apart from dropout.
//!
//! This room knows token ids and settings. It must not know how views are encoded or compared.

mod deletion;
mod repetition;

use rayon::prelude::*;
use simcse_model::SentenceEncoder;
use simcse_tensor::rng::Philox;

use crate::error::Result;
use crate::settings::Settings;
use crate::step::batch::TokenizedBatch;
use crate::step::own_tokens::OwnTokens;
use crate::views::deletion::Deletion;
use crate::views::repetition::Repetition;

/// The views of a run's sentences. Whatever they draw at random is a function of the seed, the
/// epoch and the example.
#[derive(Clone, Debug)]
pub(crate) struct Views {
    deletion: Option<Deletion>,
    repetition: Option<Repetition>,
    /// Whether there is a third view, without dropout.
    undropped: bool,
}

impl Views {
    /// The views that the settings request.
    ///
    /// # Errors
    /// What the tokenizer reports of the prompt.
    pub(crate) fn of(settings: &Settings, encoder: &SentenceEncoder) -> Result<Self> {
        let tokenizer = &encoder.directory.tokenizer;
        let max_seq_length = encoder.directory.max_seq_length;
        let own = OwnTokens::of(tokenizer, &settings.prompt, max_seq_length)?;
        let philox = Philox::new(settings.seed);
        let deletion = (settings.word_deletion > 0.0).then(|| Deletion {
            probability: settings.word_deletion,
            own: own.clone(),
            continues: tokenizer.continue_words(),
            philox,
        });
        let repetition = (settings.dup_rate > 0.0).then_some(Repetition {
            dup_rate: settings.dup_rate,
            own,
            max_seq_length,
            philox,
        });
        Ok(Self { deletion, repetition, undropped: settings.off_dropout })
    }

    /// Gives a batch, the examples with these numbers, its views in `epoch`.
    pub(crate) fn batch(&self, epoch: u32, numbers: &[u32], mut batch: TokenizedBatch) -> TokenizedBatch {
        if let Some(deletion) = &self.deletion {
            for view in 0..2 {
                batch = changed(batch, view, numbers, |ids, number| deletion.apply(ids, epoch, number, view));
            }
        }
        if let Some(repetition) = &self.repetition {
            batch = changed(batch, 1, numbers, |ids, number| repetition.apply(ids, epoch, number));
        }
        if self.undropped { batch.with_undropped_views() } else { batch }
    }
}

/// A batch of the examples with these numbers, with one view of each changed.
fn changed(
    batch: TokenizedBatch,
    view: usize,
    numbers: &[u32],
    change: impl Fn(&[u32], u32) -> Vec<u32> + Sync,
) -> TokenizedBatch {
    let changed = batch.view(view).par_iter().zip(numbers).map(|(ids, &number)| change(ids, number)).collect();
    batch.with_view(view, changed)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ops::Range;

    use ndarray::{Array2, s};
    use simcse_model::{Architecture, DropoutPlan, Precision};
    use simcse_tensor::{BufferPool, Grads};

    use super::*;
    use crate::step::buffers::StepBuffers;
    use crate::step::gradient::accumulate_gradient;
    use crate::step::objectives::Objective;
    use crate::testing::{batch, encoder};

    /// Keeps the embeddings of a batch; its gradient is 0.
    #[derive(Default)]
    struct Keep(RefCell<Array2<f32>>);

    impl Objective for Keep {
        fn loss_and_gradient(
            &self,
            embeddings: Array2<f32>,
            _: Range<usize>,
            _: u32,
            _: Precision,
            _: &mut BufferPool,
        ) -> (f32, Array2<f32>) {
            let gradient = Array2::zeros(embeddings.dim());
            self.0.replace(embeddings);
            (0.0, gradient)
        }
    }

    #[test]
    fn the_third_view_has_no_dropout_and_leaves_the_masks_of_the_others_alone() {
        let encoder = encoder(Architecture::Bert, 2, 32);
        let dropout = DropoutPlan { hidden: 0.2, attention: 0.2, seed: 42, step: 3 };
        let embeddings = |batch: &TokenizedBatch, mini_batch_tokens| {
            let keep = Keep::default();
            let mut buffers = StepBuffers::new(mini_batch_tokens);
            let mut grads = Grads::zeros(encoder.params.layout().clone());
            accumulate_gradient(&encoder, batch, Some(&dropout), &keep, &mut buffers, &mut grads);
            keep.0.take()
        };
        let sentences = batch(90, 1);
        let size = sentences.len();
        let two = embeddings(&sentences, None);
        let undropped = encoder.encode_tokens_after(0, sentences.texts(), &mut BufferPool::new());
        for mini_batch_tokens in [None, Some(512)] {
            let three = embeddings(&sentences.clone().with_undropped_views(), mini_batch_tokens);
            assert_eq!(three.slice(s![..2 * size, ..]), two);
            assert_eq!(three.slice(s![2 * size.., ..]), undropped);
        }
        assert_ne!(two.slice(s![..size, ..]), undropped);
    }
}
