//! Masked language modeling with a sentence encoder: its head, and the hidden states of masked
//! tokens.
//!
//! The head is kept in a file of its own, `mlm_head.safetensors`, next to the encoder's weights:
//! training can resume from it, and sentence-transformers does not read it.

use std::sync::Arc;

use ndarray::ArrayView2;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::rngs::StdRng;
use ndarray_rand::rand_distr::Normal;
use simcse_tensor::{Layout, Parameter, Params, Slot, Tape, Var};

use crate::directory::ModelDirectory;
use crate::directory::encoder_tensors::EncoderTensors;
use crate::directory::weights::WeightsFile;
use crate::encoder::Encoder;
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::DropoutPlan;
use crate::encoder::mlm_head::MlmHead;
use crate::error::Result;
use crate::random::draw;
use crate::sentence_encoder::SentenceEncoder;

/// A file with a head.
enum StoredHead {
    /// A file of its own, which this program wrote.
    Alone(WeightsFile),
    /// The weights of one of transformers' `…ForMaskedLM` classes.
    WithEncoder(EncoderTensors),
}

impl SentenceEncoder {
    /// Gives the model a head for masked language modeling, unless it has one: the one in the
    /// directory that it was loaded from, or else one with random weights, drawn as in
    /// [`random`](Self::random).
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) and [`Error::Format`](crate::Error::Format) if the
    /// files have a head that does not fit; [`Error::Field`](crate::Error::Field) if the
    /// configuration does not tie it to the word embeddings.
    pub fn add_mlm_head(&mut self, seed: u64) -> Result<()> {
        if self.mlm_head.is_some() {
            return Ok(());
        }
        self.directory.require_tied_head()?;
        let mut layout = Layout::clone(self.params.layout());
        let encoder = layout.len();
        let before = layout.parameters().len();
        let head = MlmHead::push(&mut layout, self.config());
        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        params.values_mut()[..encoder].copy_from_slice(self.params.values());

        let added = &layout.parameters()[before..];
        let values = &mut params.values_mut()[encoder..];
        let own = |tensor: &Parameter| tensor.start - encoder..tensor.start - encoder + tensor.len();
        match self.stored_head(&added[0].name)? {
            Some(StoredHead::Alone(mut file)) => {
                for tensor in added {
                    file.take(&tensor.name, &tensor.shape, &mut values[own(tensor)])?;
                }
                file.finish()?;
            }
            Some(StoredHead::WithEncoder(mut file)) => {
                for tensor in added {
                    file.take_head(&tensor.name, &tensor.shape, &mut values[own(tensor)])?;
                }
            }
            None => {
                let mut rng = StdRng::seed_from_u64(seed);
                let normal = Normal::new(0.0, self.config().initializer_range).expect("a checked configuration");
                added.iter().for_each(|tensor| draw(tensor, normal, &mut rng, &mut values[own(tensor)]));
            }
        }
        self.params = params;
        self.mlm_head = Some(head);
        Ok(())
    }

    /// The head in the directory that the model was loaded from, if there is one; `first` is the
    /// name of its first tensor.
    fn stored_head(&self, first: &str) -> Result<Option<StoredHead>> {
        let directory = &self.directory.transformer;
        if directory.as_os_str().is_empty() {
            return Ok(None); // the model was not loaded
        }
        let path = ModelDirectory::mlm_head_path(directory);
        if path.exists() {
            return Ok(Some(StoredHead::Alone(WeightsFile::read(&path)?)));
        }
        let (_, needed) = Encoder::new(self.config().clone(), false);
        let file = EncoderTensors::find(self.directory.weights()?, needed.parameters())?;
        Ok(file.has_head(first).then_some(StoredHead::WithEncoder(file)))
    }

    /// The number of parameters that are not the head's.
    pub(crate) fn encoder_parameters(&self) -> usize {
        let parameters = self.params.layout().parameters();
        match &self.mlm_head {
            None => parameters.len(),
            Some(_) => parameters.len() - MlmHead::PARAMETERS,
        }
    }

    /// The states from which the tokens `selected` of a batch are predicted, (M, C), given the rows
    /// of these tokens in ascending order (M). Their products with
    /// [`vocabulary`](Self::vocabulary) are the logits.
    ///
    /// # Panics
    /// If the model has no head.
    pub fn masked_states(
        &self,
        tape: &mut Tape,
        batch: &TokenBatch,
        selected: Arc<[u32]>,
        dropout: Option<&DropoutPlan>,
    ) -> Var {
        let head = self.mlm_head.as_ref().expect("the model has a head for masked language modeling");
        let hidden = self.hidden_states(tape, batch, dropout);
        let selected = tape.select(hidden, selected);
        tape.keep_only(selected);
        head.forward(self.config(), tape, selected)
    }

    /// Where the vocabulary's embeddings (V, C) and biases (V) are in the parameters.
    ///
    /// # Panics
    /// If the model has no head.
    pub fn vocabulary(&self) -> [Slot; 2] {
        let head = self.mlm_head.as_ref().expect("the model has a head for masked language modeling");
        [self.encoder().word_embeddings(), head.bias]
    }

    /// The embeddings and biases themselves.
    ///
    /// # Panics
    /// If the model has no head.
    pub fn vocabulary_values(&self) -> (ArrayView2<'_, f32>, &[f32]) {
        let [embeddings, bias] = self.vocabulary();
        (self.params.matrix(embeddings), self.params.slice(bias))
    }
}
