//! Masked language modeling with a sentence encoder: its head, and the hidden states of masked
//! tokens.
//!
//! The head is kept in a file of its own, `mlm_head.safetensors`, next to the encoder's weights:
//! training can resume from it, and sentence-transformers does not read it.

use std::sync::Arc;

use ndarray::ArrayView2;
use simcse_tensor::{Slot, Tape, Var};

use crate::directory::ModelDirectory;
use crate::directory::encoder_tensors::EncoderTensors;
use crate::encoder::Encoder;
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::DropoutPlan;
use crate::error::Result;
use crate::network::{Network, Parts};
use crate::sentence_encoder::SentenceEncoder;

/// A file with a head.
enum StoredHead {
    /// A file of its own, which this program wrote.
    Alone,
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
        if self.network.mlm_head.is_some() {
            return Ok(());
        }
        self.directory.require_tied_head()?;
        let parts = Parts { mlm_head: true, ..self.parts() };
        let (network, layout) = Network::new(&self.directory, parts);
        let first = &layout.parameters()[network.head_tensors.start].name;
        let stored = self.stored_head(first)?;
        self.rebuild(parts, seed);
        match stored {
            Some(StoredHead::Alone) => self.load_mlm_head(&self.directory.transformer.clone())?,
            Some(StoredHead::WithEncoder(mut file)) => {
                let layout = self.params.layout().clone();
                for tensor in &layout.parameters()[self.network.head_tensors.clone()] {
                    file.take_head(&tensor.name, &tensor.shape, &mut self.params.values_mut()[tensor.range()])?;
                }
            }
            None => {}
        }
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
            return Ok(Some(StoredHead::Alone));
        }
        let (_, needed) = Encoder::new(self.config().clone(), false);
        let file = EncoderTensors::find(self.directory.weights()?, needed.parameters())?;
        Ok(file.has_head(first).then_some(StoredHead::WithEncoder(file)))
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
        let head = self.network.mlm_head.as_ref().expect("the model has a head for masked language modeling");
        let hidden = self.hidden_states(tape, batch, dropout);
        let selected = tape.select(hidden, selected);
        tape.keep_only(&[selected]);
        head.forward(tape, selected)
    }

    /// Where the vocabulary's embeddings (V, C) and biases (V) are in the parameters.
    ///
    /// # Panics
    /// If the model has no head.
    pub fn vocabulary(&self) -> [Slot; 2] {
        let head = self.network.mlm_head.as_ref().expect("the model has a head for masked language modeling");
        [self.network.encoder.word_embeddings, head.bias]
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
