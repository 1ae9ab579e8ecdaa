//! Contrastive losses: [`ContrastiveLoss`] of embeddings of any length.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, arr2};
use simcse_tensor::{BufferPool, ContrastiveLoss, Grads, Noise, Params, Precision, Rows, Tape};

use crate::step::objectives::objective::Objective;

impl Objective for ContrastiveLoss {
    fn loss_and_gradient(
        &self,
        embeddings: Array2<f32>,
        examples: Range<usize>,
        batch: u32,
        precision: Precision,
        buffers: &mut BufferPool,
    ) -> (f32, Array2<f32>) {
        let loss = Self { noise: self.noise.map(|noise| Noise { batch, ..noise }), ..*self };
        let no_parameters = Arc::default();
        let params = Params::zeros(Arc::clone(&no_parameters));
        let mut tape = Tape::new(&params, buffers, Arc::new(Rows::default()), true).with_precision(precision);
        let input = tape.input(embeddings);
        let z = tape.normalize(input);
        let loss = tape.contrastive(z, &loss, examples);
        let value = tape.value(loss)[[0, 0]];
        let mut gradients = tape.backward(&[(loss, arr2(&[[1.0]]).view())], &mut Grads::zeros(no_parameters));
        (value, gradients.take(input))
    }
}
