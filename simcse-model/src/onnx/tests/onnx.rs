//! Graphs of every family: whole, with the weights in them, and as `onnx` would write them. What
//! they compute, ONNX Runtime says (`tools/peer/onnx_export.py`).

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use simcse_tensor::{Activation, DenseActivation, Layout, Named, Params, Pooling};

use super::*;
use crate::architecture::Architecture;
use crate::directory::ModelDirectory;
use crate::directory::config::ModelConfig;
use crate::directory::dense::DenseModule;
use crate::directory::layer_mix::PooledLayers;
use crate::encoder::Encoder;
use crate::onnx::graph::{Attribute, Graph};
use crate::onnx::messages::{DataLocation, Extent, GraphProto, ModelProto, TensorProto};
use crate::tokenizer::encode::Tokenizer;

const WORDS: [&str; 7] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"];

fn config(architecture: Architecture) -> ModelConfig {
    ModelConfig {
        vocab_size: WORDS.len(),
        hidden_size: 8,
        embedding_size: (architecture == Architecture::Electra).then_some(6),
        num_hidden_layers: 4,
        num_attention_heads: 2,
        intermediate_size: 12,
        max_position_embeddings: 9,
        pad_token_id: 0,
        ..ModelConfig::defaults(architecture)
    }
}

fn sentence_encoder(config: ModelConfig) -> SentenceEncoder {
    let tokenizer = Tokenizer::word_piece(&WORDS, true).unwrap();
    SentenceEncoder::random(ModelDirectory::new(config, tokenizer, Pooling::Cls, 8).unwrap(), 1)
}

/// Parameters of which no two values are equal.
fn counting(layout: Layout) -> Params {
    let mut params = Params::zeros(Arc::new(layout));
    params.values_mut().iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
    params
}

/// What is in the file of an encoder, and the number of its bytes.
fn written(
    encoder: &Encoder,
    layers: PooledLayers,
    params: &Params,
    largest: usize,
    dir: &Path,
) -> (ModelProto, usize) {
    let mix = layers.mix(encoder.config().num_hidden_layers);
    let (graph, hidden) = EncoderGraph::build(encoder, mix.as_ref(), params);
    let (graph, tensors) = graph.finish(hidden, OUTPUT, encoder.config().hidden_size);
    let path = dir.join(FILE);
    file::write(&path, &graph, tensors, largest).unwrap();
    read(&path)
}

fn read(path: &Path) -> (ModelProto, usize) {
    let bytes = fs::read(path).unwrap();
    (ModelProto::decode(&bytes[..]).unwrap(), bytes.len())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// Everything that a node reads is an input, an initializer, or the output of an earlier node; every
/// name is given once; and everything is read, the output by the user.
fn check_whole(graph: &GraphProto, what: &str) {
    let inputs = graph.input.iter().map(|input| &input.name);
    let mut known: HashSet<&String> = HashSet::new();
    let mut used: HashSet<&String> = graph.output.iter().map(|output| &output.name).collect();
    for name in inputs.chain(graph.initializer.iter().map(|tensor| &tensor.name)) {
        assert!(known.insert(name), "{what}: {name} twice");
    }
    for node in &graph.node {
        for input in &node.input {
            assert!(known.contains(input), "{what}: {} reads {input}", node.name);
            used.insert(input);
        }
        for output in &node.output {
            assert!(known.insert(output), "{what}: {output} twice");
        }
    }
    let unused: Vec<_> = known.difference(&used).collect();
    assert!(unused.is_empty() && used.is_subset(&known), "{what}: {unused:?}");
}

/// Every parameter is there, as it is or transposed, and nothing else but constants.
fn check_weights(graph: &GraphProto, params: &Params, values: impl Fn(&TensorProto) -> Vec<f32>) {
    let weights = graph.initializer.iter().filter(|tensor| !tensor.name.starts_with("constant_"));
    let mut weights: Vec<_> = weights.collect();
    for parameter in params.layout().parameters() {
        let of =
            |tensor: &&TensorProto| tensor.name.strip_suffix(".transposed").unwrap_or(&tensor.name) == parameter.name;
        let place = weights.iter().position(of).unwrap_or_else(|| panic!("{}: missing", parameter.name));
        let tensor = weights.swap_remove(place);
        let shape: Vec<_> = parameter.shape.iter().map(|&size| size as i64).collect();
        let expected = &params.values()[parameter.range()];
        if tensor.name == parameter.name {
            assert_eq!((&tensor.dims, &values(tensor)[..]), (&shape, expected), "{}", tensor.name);
        } else {
            let (rows, columns) = (parameter.shape[0], parameter.shape[1]);
            let transposed: Vec<_> = (0..rows * columns).map(|i| expected[i % rows * columns + i / rows]).collect();
            assert_eq!((&tensor.dims[..], values(tensor)), (&[shape[1], shape[0]][..], transposed), "{}", tensor.name);
        }
    }
    assert!(weights.is_empty(), "{:?}", weights.iter().map(|tensor| &tensor.name).collect::<Vec<_>>());
}

#[test]
fn graphs_of_all_families_are_whole_and_have_their_weights() {
    let dir = tempfile::tempdir().unwrap();
    for &architecture in Architecture::ALL {
        for &hidden_act in Activation::ALL {
            for &layers in PooledLayers::ALL {
                let what = format!("{}, {}, {}", architecture.name(), hidden_act.name(), layers.name());
                let (encoder, layout) = Encoder::new(ModelConfig { hidden_act, ..config(architecture) }, false);
                let params = counting(layout);
                let (model, bytes) = written(&encoder, layers, &params, file::LARGEST, dir.path());
                assert_eq!(model.encoded_len(), bytes, "{what}");
                let graph = model.graph.unwrap();
                check_whole(&graph, &what);
                check_weights(&graph, &params, |tensor| floats(&tensor.raw_data));
            }
        }
    }
}

#[test]
fn inputs_and_output_are_those_of_optimum() {
    let dir = tempfile::tempdir().unwrap();
    let with_types = ["input_ids", "attention_mask", "token_type_ids"];
    for &architecture in Architecture::ALL {
        // As in published models: RoBERTa and its relatives have one type.
        let family = architecture.family();
        let type_vocab_size = match (family.has_token_types, family.positions) {
            (false, _) => 0,
            (true, crate::architecture::Positions::AfterPadding) => 1,
            (true, _) => 2,
        };
        let (encoder, layout) = Encoder::new(ModelConfig { type_vocab_size, ..config(architecture) }, false);
        let (model, _) = written(&encoder, PooledLayers::Last, &counting(layout), file::LARGEST, dir.path());
        let graph = model.graph.unwrap();
        let names: Vec<_> = graph.input.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, with_types[..if type_vocab_size > 1 { 3 } else { 2 }], "{}", architecture.name());
        let [output] = &graph.output[..] else { panic!("one output") };
        let tensor = output.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
        let dims: Vec<_> = tensor.shape.as_ref().unwrap().dim.iter().map(|dim| dim.value.clone().unwrap()).collect();
        let tokens = ["batch_size", "sequence_length"].map(|name| Extent::DimParam(name.to_owned()));
        assert_eq!(
            (output.name.as_str(), &dims[..2], &dims[2]),
            ("last_hidden_state", &tokens[..], &Extent::DimValue(8))
        );
    }
}

#[test]
fn the_bytes_are_those_of_onnx() {
    /// Written by onnx 1.23.2: `helper.make_graph` of `Gather(table, input_ids)`, `Transpose(…,
    /// perm=[0, 2, 1])` and `LayerNormalization(…, scale, axis=-1, epsilon=0.5)`, with a `table` of
    /// [[1, -2]] and a `scale` of [3, 4] as raw data.
    const PEER: &str = concat!(
        "0808120c73696d6373652d6d6f64656c1a05302e312e303aed030a440a057461626c650a09696e7075745f6964731213656d62656464",
        "696e67732f4761746865725f301a13656d62656464696e67732f4761746865725f3022064761746865720a610a13656d62656464696e",
        "67732f4761746865725f301216656d62656464696e67732f5472616e73706f73655f311a16656d62656464696e67732f5472616e7370",
        "6f73655f3122095472616e73706f73652a0f0a047065726d400040024001a001070a90010a16656d62656464696e67732f5472616e73",
        "706f73655f310a057363616c6512116c6173745f68696464656e5f73746174651a1f656d62656464696e67732f4c617965724e6f726d",
        "616c697a6174696f6e5f3222124c617965724e6f726d616c697a6174696f6e2a140a046178697318ffffffffffffffffff01a001022a",
        "110a07657073696c6f6e150000003fa001011207656e636f6465722a1708010802100142057461626c654a080000803f000000c02a15",
        "0802100142057363616c654a0800004040000080405a340a09696e7075745f69647312270a25080712210a0c120a62617463685f7369",
        "7a650a11120f73657175656e63655f6c656e67746862400a116c6173745f68696464656e5f7374617465122b0a29080112250a0c120a",
        "62617463685f73697a650a11120f73657175656e63655f6c656e6774680a02080242040a001012",
    );
    let bytes: Vec<u8> =
        (0..PEER.len()).step_by(2).map(|at| u8::from_str_radix(&PEER[at..at + 2], 16).unwrap()).collect();
    let expected = ModelProto::decode(&bytes[..]).unwrap();

    let mut layout = Layout::default();
    let [table, scale] = [layout.push("table", &[1, 2], true, true), layout.push("scale", &[2], true, true)];
    let mut params = Params::zeros(Arc::new(layout));
    params.values_mut().copy_from_slice(&[1.0, -2.0, 3.0, 4.0]);
    let mut graph = Graph::new(&params);
    let ids = graph.input("input_ids");
    graph.enter("embeddings");
    let [table, scale] = [table, scale].map(|slot| graph.weights(slot));
    let rows = graph.op("Gather", [table, ids]);
    let columns = graph.transpose(rows, &[0, 2, 1]);
    let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", 0.5)];
    let normed = graph.op_with("LayerNormalization", &[columns, scale], &attributes);
    let dir = tempfile::tempdir().unwrap();
    let (graph, tensors) = graph.finish(normed, OUTPUT, 2);
    file::write(&dir.path().join(FILE), &graph, tensors, file::LARGEST).unwrap();
    let (model, _) = read(&dir.path().join(FILE));
    assert_eq!(model, ModelProto { producer_version: env!("CARGO_PKG_VERSION").to_owned(), ..expected });
}

#[test]
fn what_is_too_large_for_a_file_is_next_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (encoder, layout) = Encoder::new(config(Architecture::Mpnet), false);
    let params = counting(layout);
    let (whole, bytes) = written(&encoder, PooledLayers::Last, &params, file::LARGEST, dir.path());
    assert_eq!(written(&encoder, PooledLayers::Last, &params, bytes, dir.path()), (whole.clone(), bytes));
    let data = dir.path().join("model.onnx_data");
    assert!(!data.exists());

    let (model, less) = written(&encoder, PooledLayers::Last, &params, bytes - 1, dir.path());
    assert!(less < bytes);
    let data = fs::read(data).unwrap();
    let (whole, graph) = (whole.graph.unwrap(), model.graph.unwrap());
    assert_eq!(graph.node, whole.node);
    let field = |tensor: &TensorProto, key: &str| {
        let entry = tensor.external_data.iter().find(|entry| entry.key == key);
        entry.unwrap_or_else(|| panic!("{}: no {key}", tensor.name)).value.clone()
    };
    check_weights(&graph, &params, |tensor| {
        assert_eq!((tensor.data_location(), tensor.raw_data.len()), (DataLocation::External, 0));
        assert_eq!(field(tensor, "location"), "model.onnx_data");
        let [offset, length] = ["offset", "length"].map(|key| field(tensor, key).parse::<usize>().unwrap());
        assert_eq!(offset % 4096, 0);
        floats(&data[offset..offset + length])
    });
    for (tensor, inside) in graph.initializer.iter().zip(&whole.initializer) {
        assert_eq!(tensor.name.starts_with("constant_"), tensor == inside, "{}", tensor.name);
    }
}

#[test]
fn a_directory_has_all_but_the_encoders_weights() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut encoder = sentence_encoder(config(Architecture::Bert));
    encoder.add_dense(DenseModule::new(8, 3, DenseActivation::Tanh), 2);
    encoder.directory.layer_mix = PooledLayers::AvgFirstLast.mix(4);
    let path = encoder.export_onnx(&out).unwrap();
    assert_eq!(path, out.join("onnx/model.onnx"));
    let modules = fs::read_to_string(out.join("modules.json")).unwrap();
    assert!(modules.contains("2_Dense") && !modules.contains("WeightedLayerPooling"), "{modules}");
    for file in ["config.json", "tokenizer.json", "1_Pooling/config.json", "2_Dense/model.safetensors"] {
        assert!(out.join(file).exists(), "{file}");
    }
    assert!(!out.join("model.safetensors").exists());
    let graph = read(&path).0.graph.unwrap();
    assert!(graph.node.iter().any(|node| node.name.starts_with("mix/")), "the mix is part of the graph");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["out"], "nothing else is left");
}

#[test]
fn what_is_there_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let [file, full, empty] = ["file", "full", "empty"].map(|name| dir.path().join(name));
    fs::write(&file, "x").unwrap();
    fs::create_dir_all(full.join("notes")).unwrap();
    fs::create_dir(&empty).unwrap();
    let expected = "expected a directory that is empty or does not exist yet, found";
    for (path, found) in [(&file, "a file"), (&full, "one with notes")] {
        let error = sentence_encoder(config(Architecture::Bert)).export_onnx(path).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {expected}: {found}", path.display()));
    }
    assert_eq!(fs::read(&file).unwrap(), b"x");
    sentence_encoder(config(Architecture::Bert)).export_onnx(&empty).unwrap();
    assert!(empty.join("onnx/model.onnx").exists());
}
