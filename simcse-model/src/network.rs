//! The network of a sentence encoder: the encoder, pooling, dense layers and normalization, and
//! where their parameters are.
//!
//! This file knows shapes and the tape. It must not know files.

use std::ops::Range;

use simcse_tensor::{DenseActivation, Layout, Pooling, Slot, Tape, Var};

use crate::directory::ModelDirectory;
use crate::directory::dense::DenseModule;
use crate::encoder::Encoder;
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::DropoutPlan;
use crate::encoder::mlm_head::MlmHead;

/// The parameters of a dense layer on sentence embeddings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense {
    /// (out, in).
    pub(crate) weight: Slot,
    /// (out), if there is one.
    pub(crate) bias: Option<Slot>,
    activation: DenseActivation,
}

impl Dense {
    /// Adds the parameters of a layer to the layout.
    fn push(layout: &mut Layout, name: &str, module: &DenseModule) -> Self {
        let DenseModule { in_features, out_features, bias, activation, .. } = *module;
        let weight = layout.push(format!("{name}.weight"), &[out_features, in_features], true, true);
        let bias = bias.then(|| layout.push(format!("{name}.bias"), &[out_features], false, true));
        Self { weight, bias, activation }
    }

    /// (S, in) to (S, out).
    fn forward(self, tape: &mut Tape, x: Var) -> Var {
        tape.dense(x, self.weight, self.bias, self.activation)
    }
}

/// What one pass computes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pass<'a> {
    /// How many leading tokens of each sentence pooling leaves out.
    pub(crate) excluded: usize,
    pub(crate) dropout: Option<&'a DropoutPlan>,
    /// Whether the layer that only training uses is applied.
    pub(crate) in_training: bool,
    /// Whether the directory's word weights count.
    pub(crate) word_weights: bool,
}

/// Where the parameters of a sentence encoder are in the flat buffers.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) encoder: Encoder,
    /// The number of the encoder's tensors, which come first.
    pub(crate) encoder_tensors: usize,
    /// One for each of the directory's dense layers.
    pub(crate) dense: Vec<Dense>,
    /// The head of masked language modeling.
    pub(crate) mlm_head: Option<MlmHead>,
    /// The layer that only training uses.
    pub(crate) training_mlp: Option<Dense>,
    /// Which tensors are the head's, and which that layer's.
    pub(crate) head_tensors: Range<usize>,
    pub(crate) mlp_tensors: Range<usize>,
}

/// What a network may have besides what its directory says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    /// The encoder's own pooler, which is neither computed nor trained.
    pub(crate) pooler: bool,
    /// The head of masked language modeling.
    pub(crate) mlm_head: bool,
    /// SimCSE's layer for training alone, with the names of its authors' implementation.
    pub(crate) training_mlp: bool,
}

impl Network {
    /// The network of a model, and the table of its parameters.
    pub(crate) fn new(directory: &ModelDirectory, parts: Parts) -> (Self, Layout) {
        let (encoder, mut layout) = Encoder::new(directory.config.clone(), parts.pooler);
        let encoder_tensors = layout.parameters().len();
        let modules = directory.dense().iter().enumerate();
        let dense = modules.map(|(i, dense)| Dense::push(&mut layout, &format!("dense.{i}.linear"), dense)).collect();
        let head = layout.parameters().len();
        let mlm_head = parts.mlm_head.then(|| MlmHead::push(&mut layout, &directory.config));
        let mlp = layout.parameters().len();
        let module = DenseModule::new(directory.dimension(), directory.dimension(), DenseActivation::Tanh);
        let training_mlp = parts.training_mlp.then(|| Dense::push(&mut layout, "mlp.dense", &module));
        let mlp_tensors = mlp..layout.parameters().len();
        let network =
            Self { encoder, encoder_tensors, dense, mlm_head, training_mlp, head_tensors: head..mlp, mlp_tensors };
        (network, layout)
    }

    /// The embeddings of a batch, one row per sentence, (S, C).
    pub(crate) fn forward(&self, directory: &ModelDirectory, tape: &mut Tape, batch: &TokenBatch, pass: Pass) -> Var {
        let hidden = self.encoder.forward_mixed(directory.layer_mix.as_ref(), tape, batch, pass.dropout);
        let word_weights = directory.word_weights.as_ref().filter(|_| pass.word_weights);
        let pooled = match word_weights {
            None => tape.pooling_after(pass.excluded, hidden, directory.pooling),
            Some(weights) => {
                assert_eq!(directory.pooling, Pooling::Mean, "word weights: pooling");
                let shares = weights.shares(&batch.ids, batch.rows.iter(), pass.excluded);
                tape.weighted_pooling(hidden, shares)
            }
        };
        let in_training = self.training_mlp.filter(|_| pass.in_training);
        let embedded = self.dense.iter().copied().chain(in_training).fold(pooled, |x, dense| dense.forward(tape, x));
        if directory.normalize { tape.normalize(embedded) } else { embedded }
    }
}
