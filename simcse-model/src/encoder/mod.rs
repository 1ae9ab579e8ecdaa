//! The encoder: token ids to hidden states, by embeddings and a stack of Transformer layers.
//!
//! transformers: `BertModel`, `RobertaModel` and others (see
//! [`Architecture`](crate::Architecture)), without their pooler, which sentence embeddings do not
//! use.
//!
//! This room knows simcse-tensor's tape and a [`ModelConfig`]. It must not know files, tokenizers,
//! or how a sentence embedding is pooled: weights reach it as a flat buffer that its [`Layout`]
//! describes.

pub(crate) mod batch;
pub(crate) mod distances;
pub(crate) mod dropout;
pub(crate) mod layer;
pub(crate) mod mlm_head;
pub(crate) mod work;

use simcse_tensor::{Layout, Lookup, Norm, RelativeBias, Slot, Tape, Var};

use crate::architecture::Positions;
use crate::directory::config::ModelConfig;
use crate::directory::layer_mix::LayerMix;
use crate::encoder::batch::TokenBatch;
use crate::encoder::distances::Distances;
use crate::encoder::dropout::{DropoutPlan, Site};
use crate::encoder::layer::{Dense, Layer, push_norm};

/// Where the encoder's parameters are in the flat buffers.
///
/// ```
/// use simcse_model::{Architecture, Encoder, ModelConfig};
///
/// let (_, layout) = Encoder::new(ModelConfig::defaults(Architecture::DistilBert), false);
/// assert_eq!(layout.len(), 66_362_880);
/// assert_eq!(layout.parameters()[0].name, "embeddings.word_embeddings.weight");
/// ```
#[derive(Clone, Debug)]
pub struct Encoder {
    config: ModelConfig,
    pub(crate) word_embeddings: Slot,
    /// Families with rotary positions have none.
    pub(crate) position_embeddings: Option<Slot>,
    /// Every token is of type 0; some families have none.
    pub(crate) token_type_embeddings: Option<Slot>,
    pub(crate) embeddings_norm: Norm,
    /// From the embeddings' width to that of the layers, if they differ.
    pub(crate) embeddings_project: Option<Dense>,
    /// The table of relative positions, (buckets, H), in families that have one.
    pub(crate) relative_attention_bias: Option<Slot>,
    pub(crate) layers: Vec<Layer>,
    /// In families with LayerNorm first.
    pub(crate) final_norm: Option<Norm>,
}

impl Encoder {
    /// The encoder and the table of its parameters, named as in the bare model's `state_dict`.
    ///
    /// `with_pooler` adds the pooler to the table if the architecture has one, so that a model that
    /// came with it is saved with it. The pooler is neither computed nor trained.
    pub fn new(config: ModelConfig, with_pooler: bool) -> (Self, Layout) {
        let mut layout = Layout::default();
        let family = config.architecture.family();
        let names = &family.parameters;
        let [c, e] = [config.hidden_size, config.embedding_width()];
        let mut table = |name: &str, rows| layout.push_table(format!("{name}.weight"), [rows, e]);
        let word_embeddings = table(names.word_embeddings, config.vocab_size);
        let position_embeddings = (family.positions != Positions::Rotary)
            .then(|| table("embeddings.position_embeddings", config.max_position_embeddings));
        let token_type_embeddings =
            (config.type_vocab_size > 0).then(|| table("embeddings.token_type_embeddings", config.type_vocab_size));
        let embeddings_norm = push_norm(&mut layout, &config, names.embeddings_norm, e);
        let embeddings_project =
            (e != c).then(|| Dense::push(&mut layout, &config, &["embeddings_project".to_owned()], c, e));
        // All layers add to its gradient, so it is finished after theirs.
        let relative_attention_bias = family.has_relative_attention.then(|| {
            let shape = [RelativeBias::BUCKETS, config.num_attention_heads];
            layout.push("encoder.relative_attention_bias.weight", &shape, true, true)
        });
        let layers = (0..config.num_hidden_layers).map(|number| Layer::push(&mut layout, &config, number)).collect();
        let final_norm = family.norm_first.then(|| push_norm(&mut layout, &config, names.final_norm, c));
        if with_pooler && family.has_pooler {
            layout.push("pooler.dense.weight", &[c, c], true, false);
            layout.push("pooler.dense.bias", &[c], false, false);
        }
        let encoder = Self {
            config,
            word_embeddings,
            position_embeddings,
            token_type_embeddings,
            embeddings_norm,
            embeddings_project,
            relative_attention_bias,
            layers,
            final_norm,
        };
        (encoder, layout)
    }

    /// The shape of the encoder.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The last hidden states, (N, C).
    ///
    /// # Panics
    /// If a token id is outside the vocabulary, or a sentence has more tokens than the model has
    /// positions.
    pub fn forward(&self, tape: &mut Tape, batch: &TokenBatch, dropout: Option<&DropoutPlan>) -> Var {
        self.forward_mixed(None, tape, batch, dropout)
    }

    /// A mix of the hidden states, (N, C); the last ones for `None`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), or if the mix is for another number of layers.
    pub fn forward_mixed(
        &self,
        mix: Option<&LayerMix>,
        tape: &mut Tape,
        batch: &TokenBatch,
        dropout: Option<&DropoutPlan>,
    ) -> Var {
        let mut shares = mix.map_or_else(Vec::new, |mix| mix.terms().collect());
        shares.reverse(); // the next one is last
        let mut terms: Vec<(Var, f32)> = Vec::new();
        let mut count = |state: usize, x: Var| {
            if let Some((_, share)) = shares.pop_if(|(next, _)| *next == state) {
                terms.push((x, share));
            }
            terms.iter().map(|&(x, _)| x).chain([x]).collect::<Vec<_>>()
        };
        let embedded = tape.embedding(self.lookups(batch));
        let mut x = tape.layer_norm(embedded, None, None, self.embeddings_norm);
        tape.keep_only(&[x]);
        if let Some(plan) = dropout {
            x = tape.dropout(x, plan.at(Site::Embeddings));
        }
        if let Some(project) = self.embeddings_project {
            x = project.forward(tape, x);
        }
        let distances = Distances::new(&self.config, tape, self.relative_attention_bias, &batch.rows);
        count(0, x);
        for (number, layer) in (1..).zip(&self.layers) {
            x = layer.forward(&self.config, tape, x, &distances, dropout);
            // As in transformers, the last hidden states are those after the last LayerNorm.
            if let Some(norm) = self.final_norm.filter(|_| number == self.layers.len()) {
                x = tape.layer_norm(x, None, None, norm);
            }
            // Unless the tape is recording, nothing reads a layer's intermediate values again, so
            // their buffers serve the next layer: encoding needs the memory of one layer, however
            // deep the model, and of what is mixed.
            let mixed = count(number, x);
            tape.keep_only(&mixed.into_iter().chain(distances.bias()).collect::<Vec<_>>());
        }
        assert!(shares.is_empty(), "a mix of the hidden states of another model");
        if terms.is_empty() { x } else { tape.weighted_sum(terms) }
    }

    /// The tables whose rows are summed, in the order in which transformers sums them.
    fn lookups(&self, batch: &TokenBatch) -> Vec<Lookup> {
        // A text may contain the padding token. As with PyTorch's `padding_idx`, it then has an
        // embedding but does not train it. Positions that count from it have a padding row as well.
        let padding = Some(self.config.pad_token_id as u32);
        let position_padding =
            padding.filter(|_| self.config.architecture.family().positions == Positions::AfterPadding);

        let mut lookups = vec![Lookup { table: self.word_embeddings, index: batch.ids.clone(), padding }];
        if let Some(table) = self.token_type_embeddings {
            lookups.push(Lookup { table, index: vec![0; batch.ids.len()].into(), padding: None });
        }
        if let Some(table) = self.position_embeddings {
            lookups.push(Lookup { table, index: batch.positions.clone(), padding: position_padding });
        }
        lookups
    }
}

#[cfg(test)]
#[path = "tests/encoder.rs"]
mod tests;
