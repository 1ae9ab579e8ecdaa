//! Weights as training wrappers leave them: under a prefix, with heads of their own, in other
//! precisions. The embeddings are those of the bare model, what was left out is reported once, and
//! what the encoder needs is missed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use simcse_model::{Architecture, ModelConfig, ModelDirectory, Named, Pooling, SentenceEncoder, Tokenizer};

const WORDS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps"];
const SENTENCES: [&str; 2] = ["the cat sleeps", "cat"];

/// Type, shape, and bytes.
type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// A saved model whose weights can be rewritten.
struct Model {
    dir: tempfile::TempDir,
    tensors: BTreeMap<String, Stored>,
    embeddings: ndarray::Array2<f32>,
}

fn config(architecture: Architecture) -> ModelConfig {
    let defaults = ModelConfig::defaults(architecture);
    ModelConfig {
        vocab_size: WORDS.len(),
        hidden_size: 4,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 8,
        max_position_embeddings: 12,
        initializer_range: 0.5,
        pad_token_id: defaults.pad_token_id.min(1),
        ..defaults
    }
}

impl Model {
    fn new(architecture: Architecture) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = Tokenizer::word_piece(&WORDS, true).unwrap();
        let directory = ModelDirectory::new(config(architecture), tokenizer, Pooling::Mean, 10).unwrap();
        let encoder = SentenceEncoder::random(directory, 7);
        encoder.save(dir.path()).unwrap();
        Self { tensors: read(dir.path()), embeddings: encoder.encode(&SENTENCES).unwrap(), dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("model.safetensors")
    }

    /// Rewrites the weights with other names and with more tensors, and loads the model.
    fn load(
        &self,
        rename: impl Fn(&str) -> String,
        more: &[(&str, &[usize])],
    ) -> simcse_model::Result<SentenceEncoder> {
        let mut tensors: BTreeMap<_, _> =
            self.tensors.iter().map(|(name, tensor)| (rename(name), tensor.clone())).collect();
        for (name, shape) in more {
            let values: usize = shape.iter().product();
            tensors.insert((*name).to_owned(), (Dtype::F32, shape.to_vec(), vec![0; 4 * values]));
        }
        write(&self.path(), &tensors);
        SentenceEncoder::load(self.dir.path())
    }

    #[track_caller]
    fn assert_same(&self, encoder: &SentenceEncoder) {
        assert_eq!(encoder.encode(&SENTENCES).unwrap(), self.embeddings);
    }
}

fn read(dir: &Path) -> BTreeMap<String, Stored> {
    let bytes = fs::read(dir.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let stored = |tensor: TensorView| (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec());
    tensors.tensors().into_iter().map(|(name, tensor)| (name, stored(tensor))).collect()
}

fn write(path: &Path, tensors: &BTreeMap<String, Stored>) {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}

#[test]
fn a_prefix_changes_nothing() {
    let prefixes =
        ["bert.", "roberta.", "distilbert.", "model.", "module.", "encoder.", "auto_model.", "0.auto_model."];
    for architecture in Architecture::ALL {
        let model = Model::new(*architecture);
        for prefix in prefixes.into_iter().chain(["module.bert.", "model.encoder.", "backbone.0."]) {
            let encoder = model.load(|name| format!("{prefix}{name}"), &[]).unwrap();
            model.assert_same(&encoder);
            assert_eq!(encoder.warnings(), [""; 0], "{prefix}");
        }
    }
}

/// princeton-nlp/SimCSE's `BertForCL`.
#[test]
fn the_head_of_a_training_wrapper_is_reported_in_one_warning() {
    let model = Model::new(Architecture::Bert);
    let head: [(&str, &[usize]); 2] = [("mlp.dense.weight", &[4, 4]), ("mlp.dense.bias", &[4])];
    let encoder = model.load(|name| format!("bert.{name}"), &head).unwrap();
    model.assert_same(&encoder);
    assert_eq!(encoder.left_out(), ["mlp.dense.bias", "mlp.dense.weight"]);
    let file = model.path();
    let expected = "left out 2 tensors that the encoder does not use: mlp.dense.bias, mlp.dense.weight";
    assert_eq!(encoder.warnings(), [format!("{}: {expected}", file.display())]);
}

#[test]
fn a_long_warning_is_cut_and_a_hostile_one_is_escaped() {
    let model = Model::new(Architecture::Bert);
    let long = "x".repeat(500);
    let names = ["a\u{1b}[2J", "b", "c", &long, "z"].map(|name| (name, &[1][..]));
    let encoder = model.load(str::to_owned, &names).unwrap();
    let [warning] = &encoder.warnings()[..] else { panic!("one warning") };
    let expected =
        format!(r"left out 5 tensors that the encoder does not use: a\u{{1b}}[2J, b, c, {}…, …", &long[..100]);
    assert!(warning.ends_with(&expected), "{warning}");

    let encoder = model.load(str::to_owned, &[("linear.weight", &[2, 4])]).unwrap();
    assert!(encoder.warnings()[0].ends_with("left out 1 tensor that the encoder does not use: linear.weight"));
}

#[test]
fn known_heads_are_silent() {
    let model = Model::new(Architecture::Bert);
    let heads =
        ["cls.predictions.bias", "lm_head.bias", "classifier.weight", "qa_outputs.bias", "vocab_projector.bias"];
    let encoder = model.load(|name| format!("bert.{name}"), &heads.map(|name| (name, &[2][..]))).unwrap();
    model.assert_same(&encoder);
    assert_eq!(encoder.left_out(), [""; 0]);
}

/// A model that uses only the first layers of its checkpoint, as the reference does.
#[test]
fn layers_beyond_the_configured_ones_are_left_out() {
    let model = Model::new(Architecture::Bert);
    let layer = "encoder.layer.2.output.dense.bias";
    let encoder = model.load(str::to_owned, &[(layer, &[4])]).unwrap();
    model.assert_same(&encoder);
    assert_eq!(encoder.left_out(), [layer]);
}

#[test]
fn a_pooler_is_kept_where_the_architecture_has_one() {
    const POOLER: [(&str, &[usize]); 2] = [("pooler.dense.weight", &[4, 4]), ("pooler.dense.bias", &[4])];
    let saved = |encoder: &SentenceEncoder| {
        let out = tempfile::tempdir().unwrap();
        encoder.save(out.path()).unwrap();
        let tensors = read(out.path());
        assert!(SentenceEncoder::load(out.path()).unwrap().warnings().is_empty());
        tensors
    };
    for architecture in Architecture::ALL {
        let model = Model::new(*architecture);
        let encoder = model.load(str::to_owned, &POOLER).unwrap();
        model.assert_same(&encoder);
        let without = [Architecture::DistilBert, Architecture::Electra, Architecture::ModernBert];
        let kept = !without.contains(architecture);
        assert_eq!(encoder.left_out().is_empty(), kept);
        assert_eq!(saved(&encoder).contains_key("pooler.dense.weight"), kept);
    }
    // Half of a pooler is none.
    let model = Model::new(Architecture::Bert);
    let encoder = model.load(str::to_owned, &POOLER[..1]).unwrap();
    assert_eq!(encoder.left_out(), ["pooler.dense.weight"]);
    assert_eq!(saved(&encoder).len(), model.tensors.len());
}

#[test]
fn what_is_saved_is_the_bare_encoder_and_its_buffers() {
    let mut model = Model::new(Architecture::Bert);
    let positions = (Dtype::I64, vec![1, 12], (0..12_i64).flat_map(i64::to_le_bytes).collect());
    model.tensors.insert("embeddings.position_ids".to_owned(), positions);
    let more: [(&str, &[usize]); 2] = [("mlp.dense.weight", &[4, 4]), ("cls.predictions.bias", &[8])];
    let encoder = model.load(|name| format!("module.bert.{name}"), &more).unwrap();
    let out = tempfile::tempdir().unwrap();
    encoder.save(out.path()).unwrap();
    assert_eq!(read(out.path()), model.tensors);
}

#[test]
fn doubles_are_read() {
    let mut model = Model::new(Architecture::Bert);
    for (dtype, _, bytes) in model.tensors.values_mut() {
        let values = bytes.as_chunks().0.iter().map(|value| f64::from(f32::from_le_bytes(*value)));
        *bytes = values.flat_map(f64::to_le_bytes).collect();
        *dtype = Dtype::F64;
    }
    let encoder = model.load(str::to_owned, &[]).unwrap();
    model.assert_same(&encoder);
}

#[test]
fn what_the_encoder_needs_is_missed_by_name() {
    let mut model = Model::new(Architecture::Bert);
    let (name, bias) = model.tensors.pop_last().unwrap();
    let message = |model: &Model| model.load(|name| format!("bert.{name}"), &[]).unwrap_err().to_string();
    let expected = format!("tensor bert.{name}: expected shape [4, 8], found no such tensor");
    assert!(message(&model).ends_with(&expected), "{}", message(&model));

    model.tensors.insert(name.clone(), bias);
    model.tensors.insert("embeddings.LayerNorm.bias".to_owned(), (Dtype::F32, vec![5], vec![0; 20]));
    let expected = "tensor bert.embeddings.LayerNorm.bias: expected shape [4], found shape [5]";
    assert!(message(&model).ends_with(expected), "{}", message(&model));
}

#[test]
fn two_encoders_are_refused() {
    let mut model = Model::new(Architecture::Bert);
    let twin: Vec<_> =
        model.tensors.iter().map(|(name, tensor)| (format!("momentum.{name}"), tensor.clone())).collect();
    model.tensors.extend(twin);
    let message = model.load(str::to_owned, &[]).unwrap_err().to_string();
    let names = "embeddings.word_embeddings.weight, momentum.embeddings.word_embeddings.weight";
    assert!(message.ends_with(&format!("tensor {names}: expected one encoder in the file, found 2")), "{message}");
}
