//! How the views of a sentence differ, apart from dropout.
//!
//! This file knows token ids and settings. It must not know how views are encoded or compared.

use rayon::prelude::*;
use simcse_model::SentenceEncoder;
use simcse_tensor::rng::Philox;

use crate::error::Result;
use crate::settings::Settings;
use crate::step::batch::TokenizedBatch;

/// Where dropout's counters have the number of a place in the model: one that no model has.
const SITE: u32 = u16::MAX as u32 - 1;

/// The views of a run's sentences. Whatever they draw at random is a function of the seed, the
/// epoch and the example.
#[derive(Clone, Debug)]
pub(crate) struct Views {
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
        let repetition = Repetition {
            dup_rate: settings.dup_rate,
            special: tokenizer.special_ids().to_vec(),
            around: tokenizer.tokens_around(&settings.prompt, max_seq_length)?,
            max_seq_length,
            philox: Philox::new(settings.seed),
        };
        let repetition = (settings.dup_rate > 0.0).then_some(repetition);
        Ok(Self { repetition, undropped: settings.off_dropout })
    }

    /// Gives a batch, the examples with these numbers, its views in `epoch`.
    pub(crate) fn batch(&self, epoch: u32, numbers: &[u32], batch: TokenizedBatch) -> TokenizedBatch {
        let batch = match &self.repetition {
            None => batch,
            Some(repetition) => {
                let repeated = |(ids, &number): (&Vec<u32>, &u32)| repetition.apply(ids, epoch, number);
                let second = batch.texts().par_iter().zip(numbers).map(repeated).collect();
                batch.with_second_views(second)
            }
        };
        if self.undropped { batch.with_undropped_views() } else { batch }
    }
}

/// Word repetition of ESimCSE (Wu et al. 2022, section 3.1), on subwords: of a sentence's N
/// tokens, `dup_len` are there twice. The number is uniform in `0..=max(2, int(dup_rate·N))`, and
/// the tokens are a uniform choice. Special tokens and those of prompt and template are never
/// repeated and do not count. If the maximum length leaves room for fewer, fewer are repeated.
///
/// The random numbers are blocks of Philox at the counter `(b, example, SITE · 2¹⁶, epoch)`: that
/// with `b = 0` draws the number, that with `b = 1 + p` the rank of the token at position `p`.
#[derive(Clone, Debug)]
struct Repetition {
    dup_rate: f64,
    special: Vec<u32>,
    /// How many tokens in front of a text, and behind it, are not its own.
    around: (usize, usize),
    max_seq_length: usize,
    philox: Philox,
}

impl Repetition {
    fn apply(&self, ids: &[u32], epoch: u32, number: u32) -> Vec<u32> {
        let draw = |block: usize| self.philox.block([block as u32, number, SITE << 16, epoch])[0];
        let own = self.around.0..ids.len() - self.around.1;
        let mut positions: Vec<usize> = own.filter(|&p| !self.special.contains(&ids[p])).collect();
        let most = ((self.dup_rate * positions.len() as f64) as usize).max(2) as u64;
        let drawn = (u64::from(draw(0)) * (most + 1)) >> 32;
        let room = self.max_seq_length.saturating_sub(ids.len());
        positions.sort_unstable_by_key(|&p| (draw(1 + p), p));
        positions.truncate(room.min(drawn as usize));

        let mut repeated = Vec::with_capacity(ids.len() + positions.len());
        for (position, &id) in ids.iter().enumerate() {
            repeated.push(id);
            if positions.contains(&position) {
                repeated.push(id);
            }
        }
        repeated
    }
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

    const SPECIAL: u32 = 9;

    fn repetition(dup_rate: f64) -> Repetition {
        Repetition {
            dup_rate,
            special: vec![0, 1, SPECIAL],
            around: (1, 1),
            max_seq_length: 64,
            philox: Philox::new(5),
        }
    }

    /// `[CLS]`, the numbers 10, 11, … and `[SEP]`.
    fn sentence(tokens: u32) -> Vec<u32> {
        [0].into_iter().chain(10..10 + tokens).chain([1]).collect()
    }

    /// The tokens that are there twice in the second view of example `number`.
    fn repeated(repetition: &Repetition, ids: &[u32], number: u32) -> Vec<u32> {
        let found = repetition.apply(ids, 0, number);
        let mut deduplicated = found.clone();
        deduplicated.dedup();
        assert_eq!(deduplicated, ids, "each copy is next to its original");
        found.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }

    /// Over 20,000 examples, each number is drawn equally often, and so is each token: within five
    /// standard errors.
    #[test]
    fn numbers_and_tokens_are_uniform() {
        const EXAMPLES: u32 = 20_000;
        for (tokens, most) in [(12, 3), (4, 2)] {
            let ids = sentence(tokens);
            let mut numbers = vec![0; most + 1];
            let mut of_token = vec![0; tokens as usize];
            for number in 0..EXAMPLES {
                let drawn = repeated(&repetition(0.32), &ids, number);
                numbers[drawn.len()] += 1;
                drawn.iter().for_each(|&id| of_token[id as usize - 10] += 1);
            }
            let near = |found: i32, share: f64| {
                let expected = f64::from(EXAMPLES) * share;
                assert!(
                    (f64::from(found) - expected).abs() < 5.0 * (expected * (1.0 - share)).sqrt(),
                    "{found}, {expected}"
                );
            };
            numbers.iter().for_each(|&found| near(found, 1.0 / (most + 1) as f64));
            of_token.iter().for_each(|&found| near(found, most as f64 / 2.0 / f64::from(tokens)));
        }
    }

    #[test]
    fn a_second_view_is_a_function_of_seed_epoch_and_example() {
        let ids = sentence(20);
        let of = |seed, epoch, number| {
            Repetition { philox: Philox::new(seed), ..repetition(0.5) }.apply(&ids, epoch, number)
        };
        assert_eq!(of(1, 0, 0), of(1, 0, 0));
        for other in [of(2, 0, 0), of(1, 1, 0), of(1, 0, 1)] {
            assert_ne!(of(1, 0, 0), other);
        }
    }

    #[test]
    fn special_tokens_and_what_is_around_a_text_are_never_repeated() {
        let ids = [0, 10, 11, SPECIAL, 12, 13, 14, 1];
        let prompted = Repetition { around: (3, 2), ..repetition(1.0) };
        let drawn: Vec<_> = (0..200).flat_map(|number| repeated(&prompted, &ids, number)).collect();
        assert!(drawn.contains(&12) && drawn.contains(&13));
        assert!(drawn.iter().all(|id| [12, 13].contains(id)), "{drawn:?}");
        assert_eq!(repeated(&repetition(1.0), &[0, 1], 3), [0; 0]);
    }

    #[test]
    fn no_view_is_longer_than_the_maximum() {
        let ids = sentence(10);
        let lengths = |max_seq_length| {
            let short = Repetition { max_seq_length, ..repetition(1.0) };
            (0..200).map(|number| repeated(&short, &ids, number).len()).max().unwrap()
        };
        assert_eq!((lengths(12), lengths(13), lengths(99)), (0, 1, 10));
    }

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
