//! Handmade bad configurations.

use std::fs;

use simcse_model::{ModelDirectory, write_safetensors};

use crate::{alone, assert_refused, bounded, load, model, model_with_dense};

const TRANSFORMER: &str = r#"{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"}"#;
const POOLING: &str = r#"{"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}"#;

/// For each case, a field, which is added to the end of `config.json` and so overrides an earlier
/// one, and part of the message.
const CONFIG: &[(&str, &str)] = &[
    // Kinds of model.
    (
        r#""model_type":"t5""#,
        r#"model_type: expected bert, roberta, xlm-roberta, camembert, distilbert, electra, mpnet or modernbert, found "t5""#,
    ),
    (
        r#""model_type":null"#,
        "model_type: expected bert, roberta, xlm-roberta, camembert, distilbert, electra, mpnet or modernbert, found null",
    ),
    (r#""model_type":7"#, "model_type: expected a string, found 7"),
    (r#""model_type":["bert"]"#, r#"model_type: expected a string, found ["bert"]"#),
    (
        r#""model_type":"BERT""#,
        r#"model_type: expected bert, roberta, xlm-roberta, camembert, distilbert, electra, mpnet or modernbert, found "BERT""#,
    ),
    (r#""model_type":"\u001b[2J\r\n""#, r#"found "\u001b[2J\r\n""#),
    (r#""hidden_act":"GELU""#, r#"silu or relu, found "GELU""#),
    (r#""hidden_act":0"#, "hidden_act: expected a string, found 0"),
    (r#""position_embedding_type":"relative_key""#, r#"expected "absolute", found "relative_key""#),
    (r#""is_decoder":true"#, "is_decoder: expected false, found true"),
    (r#""is_decoder":"false""#, r#"is_decoder: expected false, found "false""#),
    (r#""add_cross_attention":1"#, "add_cross_attention: expected false, found 1"),
    // Sizes.
    (r#""vocab_size":1099511627776"#, "vocab_size: expected an integer from 1 to 16777216, found 1099511627776"),
    (r#""vocab_size":16777216"#, "embeddings.word_embeddings.weight: expected shape [16777216, 4], found shape [8, 4]"),
    (r#""vocab_size":9"#, "embeddings.word_embeddings.weight: expected shape [9, 4], found shape [8, 4]"),
    (r#""vocab_size":7"#, "word_embeddings.weight: expected shape [7, 4], found shape [8, 4]"),
    (r#""vocab_size":0"#, "vocab_size: expected an integer from 1"),
    (r#""vocab_size":-1"#, "vocab_size: expected an integer from 1 to 16777216, found -1"),
    (r#""vocab_size":-0"#, "vocab_size: expected an integer from 1 to 16777216, found -0"),
    (r#""vocab_size":8.0"#, "found 8.0"),
    (r#""vocab_size":"8""#, r#"found "8""#),
    (r#""vocab_size":true"#, "found true"),
    (r#""vocab_size":[8]"#, "found [8]"),
    (r#""vocab_size":{}"#, "found {}"),
    (r#""vocab_size":1e999"#, "expected a JSON object, found: number out of range"),
    (r#""vocab_size":NaN"#, "expected a JSON object, found: expected value"),
    (r#""vocab_size":Infinity"#, "expected a JSON object, found: expected value"),
    (r#""vocab_size":0x8"#, "expected a JSON object, found: expected `,` or `}`"),
    (r#""vocab_size":08"#, "expected a JSON object, found: invalid number"),
    (r#""vocab_size":18446744073709551616"#, "found 1.8446744073709552e+19"),
    (r#""hidden_size":0"#, "hidden_size: expected an integer from 1 to 65536, found 0"),
    (r#""hidden_size":65537"#, "hidden_size: expected an integer from 1 to 65536, found 65537"),
    (r#""hidden_size":65536"#, "word_embedding_dimension: expected 65536, found 4"),
    (r#""hidden_size":5"#, "num_attention_heads: expected a divisor of hidden_size 5, found 2"),
    (r#""hidden_size":1e2"#, "found 100.0"),
    (r#""num_hidden_layers":0"#, "num_hidden_layers: expected an integer from 1 to 1024, found 0"),
    (r#""num_hidden_layers":1025"#, "num_hidden_layers: expected an integer from 1 to 1024, found 1025"),
    (
        r#""num_hidden_layers":1024"#,
        "encoder.layer.1.attention.self.query.weight: expected shape [4, 4], found no such",
    ),
    (r#""num_attention_heads":0"#, "num_attention_heads: expected an integer from 1"),
    (r#""num_attention_heads":3"#, "num_attention_heads: expected a divisor of hidden_size 4, found 3"),
    (r#""num_attention_heads":8"#, "num_attention_heads: expected a divisor of hidden_size 4, found 8"),
    (r#""intermediate_size":0"#, "intermediate_size: expected an integer from 1 to 1048576, found 0"),
    (r#""intermediate_size":1048576"#, "expected shape [1048576, 4], found shape [4, 4]"),
    (r#""intermediate_size":4294967296"#, "intermediate_size: expected an integer from 1 to 1048576"),
    (r#""max_position_embeddings":0"#, "max_position_embeddings: expected an integer from 1"),
    (
        r#""max_position_embeddings":1048576"#,
        "position_embeddings.weight: expected shape [1048576, 4], found shape [12, 4]",
    ),
    (r#""max_position_embeddings":11"#, "position_embeddings.weight: expected shape [11, 4], found shape [12, 4]"),
    (r#""max_position_embeddings":2"#, "position_embeddings.weight: expected shape [2, 4], found shape [12, 4]"),
    (r#""type_vocab_size":0"#, "type_vocab_size: expected an integer from 1"),
    (r#""type_vocab_size":3"#, "token_type_embeddings.weight: expected shape [3, 4], found shape [2, 4]"),
    (r#""pad_token_id":8"#, "pad_token_id: expected less than vocab_size 8, found 8"),
    (r#""pad_token_id":-1"#, "pad_token_id: expected an integer from 0"),
    // Fractions.
    (r#""hidden_dropout_prob":1"#, "hidden_dropout_prob: expected a probability in [0, 1), found 1"),
    (r#""hidden_dropout_prob":-0.1"#, "hidden_dropout_prob: expected a probability in [0, 1), found -0.1"),
    (
        r#""hidden_dropout_prob":0.99999999999"#,
        "hidden_dropout_prob: expected a probability in [0, 1), found 0.99999999999",
    ),
    (r#""hidden_dropout_prob":"0.1""#, r#"hidden_dropout_prob: expected a probability in [0, 1), found "0.1""#),
    (r#""attention_probs_dropout_prob":1e300"#, "attention_probs_dropout_prob: expected a probability"),
    (r#""attention_probs_dropout_prob":NaN"#, "expected a JSON object"),
    (r#""layer_norm_eps":0"#, "layer_norm_eps: expected a positive number, found 0"),
    (r#""layer_norm_eps":-1e-12"#, "layer_norm_eps: expected a positive number, found -1e-12"),
    (r#""layer_norm_eps":1e-60"#, "layer_norm_eps: expected a positive number, found 1e-60"),
    (r#""layer_norm_eps":1e60"#, "layer_norm_eps: expected a positive number, found 1e+60"),
    (r#""initializer_range":0"#, "initializer_range: expected a positive number, found 0"),
    (r#""initializer_range":[]"#, "initializer_range: expected a positive number, found []"),
    // Families.
    (
        r#""model_type":"roberta","pad_token_id":7,"max_position_embeddings":8"#,
        "expected more than pad_token_id + 1, 8",
    ),
    (
        r#""model_type":"roberta","pad_token_id":1,"max_position_embeddings":4"#,
        "expected shape [4, 4], found shape [12, 4]",
    ),
    (r#""model_type":"distilbert","dim":4,"n_heads":3"#, "n_heads: expected a divisor of dim 4, found 3"),
    (r#""model_type":"distilbert","dim":4,"n_heads":2,"n_layers":-1"#, "n_layers: expected an integer from 1"),
    (r#""model_type":"distilbert","dim":4,"n_heads":2,"activation":"mish""#, "activation: expected gelu, gelu_python"),
];

/// For each case, the name and the content of a file, and part of the message.
fn files() -> Vec<(&'static str, String, &'static str)> {
    let modules = |entries: &[&str]| format!("[{}]", entries.join(","));
    let pooling_at = |path: &str| modules(&[TRANSFORMER, &POOLING.replace("1_Pooling", path)]);
    let outside = "modules.json: path: expected a path inside the model directory, found ";
    let text = |content: &str| content.to_owned();
    vec![
        ("config.json", text(""), "config.json: expected a JSON object, found: EOF"),
        ("config.json", text("[]"), "config.json: expected a JSON object, found: invalid type: sequence"),
        ("config.json", text("\u{feff}{}"), "config.json: expected a JSON object, found: expected value"),
        (
            "config.json",
            text("{'model_type':'bert'}"),
            "config.json: expected a JSON object, found: key must be a string",
        ),
        ("config.json", text(r#"{"model_type":"bert"} {}"#), "config.json: expected a JSON object, found: trailing"),
        ("config.json", format!(r#"{{"a":{}"#, "[".repeat(9999)), "recursion limit exceeded"),
        (
            "config.json",
            " ".repeat((1 << 20) + 1),
            "config.json: expected a configuration of at most 1 MiB, found: a larger",
        ),
        ("modules.json", text(""), "modules.json: expected a list of modules, found: EOF"),
        ("modules.json", text("{}"), "modules.json: expected a list of modules"),
        (
            "modules.json",
            text("[]"),
            "expected a Transformer, perhaps a WeightedLayerPooling, perhaps a WordWeights, a",
        ),
        ("modules.json", text("[1]"), "modules.json: expected a list of modules"),
        ("modules.json", text(r#"[{"path":""}]"#), "missing field `type`"),
        ("modules.json", modules(&[POOLING, TRANSFORMER]), "found Pooling, Transformer"),
        ("modules.json", modules(&[TRANSFORMER, POOLING, POOLING]), "found Transformer, Pooling, Pooling"),
        (
            "modules.json",
            modules(&[TRANSFORMER, POOLING, &POOLING.replace("models.Pooling", "models.Dropout")]),
            "WeightedLayerPooling, WordWeights, Pooling, Dense or Normalize, found sentence_transformers.models.Dropout",
        ),
        ("modules.json", modules(&[&TRANSFORMER.replace("sentence_transformers.", "os."), POOLING]), "found os.models"),
        (
            "modules.json",
            modules(&[&TRANSFORMER.replace("\"idx\":0", "\"path\":\"x\""), POOLING]),
            "duplicate field `path`",
        ),
        ("modules.json", pooling_at("/etc"), outside),
        ("modules.json", pooling_at(".."), outside),
        ("modules.json", pooling_at("../other"), outside),
        ("modules.json", pooling_at("a/../.."), outside),
        ("modules.json", pooling_at("a/../1_Pooling"), outside),
        ("modules.json", pooling_at(r"..\\other"), outside),
        ("modules.json", pooling_at(r"a\u0000b"), r"found a\0b"),
        ("modules.json", pooling_at(r"/\u001b[31m"), r"found /\u{1b}[31m"),
        ("modules.json", modules(&[&TRANSFORMER.replace(r#""path":"""#, r#""path":"../x""#), POOLING]), outside),
        ("1_Pooling/config.json", text("[]"), "1_Pooling/config.json: expected a JSON object"),
        ("1_Pooling/config.json", text(""), "1_Pooling/config.json: expected a JSON object, found: EOF"),
        ("1_Pooling/config.json", text("{}"), "1_Pooling/config.json: expected an object with fields, found: an empty"),
        (
            "1_Pooling/config.json",
            text(r#"{"pooling_mode":"cls"}"#),
            "word_embedding_dimension: expected 4, found nothing",
        ),
        ("adapter_config.json", text("{}"), "adapter_config.json: expected no adapter"),
        (
            "1_Pooling/config.json",
            text(r#"{"word_embedding_dimension":5}"#),
            "word_embedding_dimension: expected 4, found 5",
        ),
        ("1_Pooling/config.json", text(r#"{"word_embedding_dimension":4.0}"#), "expected 4, found 4.0"),
        (
            "1_Pooling/config.json",
            text(r#"{"word_embedding_dimension":4,"pooling_mode_cls_token":"true"}"#),
            r#"expected true or false, found "true""#,
        ),
        (
            "1_Pooling/config.json",
            text(r#"{"word_embedding_dimension":4,"pooling_mode":"avg"}"#),
            "expected mean, cls, max, mean_sqrt_len_tokens, weightedmean or lasttoken, found avg",
        ),
        (
            "1_Pooling/config.json",
            text(r#"{"word_embedding_dimension":4,"pooling_mode":[]}"#),
            "pooling_mode: expected mean, cls, max, mean_sqrt_len_tokens, weightedmean or lasttoken, found []",
        ),
        (
            "1_Pooling/config.json",
            text(r#"{"word_embedding_dimension":4,"pooling_mode":3}"#),
            "pooling_mode: expected mean, cls, max, mean_sqrt_len_tokens, weightedmean or lasttoken, found 3",
        ),
        ("sentence_bert_config.json", text(r#"{"max_seq_length":0}"#), "max_seq_length: expected an integer from 1"),
        (
            "sentence_bert_config.json",
            text(r#"{"max_seq_length":1}"#),
            "expected more than the 2 special tokens, found 1",
        ),
        ("sentence_bert_config.json", text(r#"{"max_seq_length":1e3}"#), "max_seq_length: expected an integer from 1"),
        ("sentence_bert_config.json", text(r#"{"do_lower_case":0}"#), "do_lower_case: expected true or false, found 0"),
        (
            "sentence_bert_config.json",
            text(r#"{"transformer_task":"fill-mask"}"#),
            r#"transformer_task: expected "feature-extraction", found "fill-mask""#,
        ),
        ("config_sentence_transformers.json", text(r#"{"prompts":[]}"#), "prompts: expected an object, found []"),
        (
            "config_sentence_transformers.json",
            text(r#"{"default_prompt_name":"q"}"#),
            r#"default_prompt_name: expected one of query, document, found "q""#,
        ),
        ("tokenizer_config.json", text(r#"{"model_max_length":0}"#), "model_max_length: expected an integer from 1"),
        ("tokenizer_config.json", text(r#"{"model_max_length":-5}"#), "model_max_length: expected an integer from 1"),
        (
            "tokenizer_config.json",
            text(r#"{"model_max_length":"512"}"#),
            "model_max_length: expected an integer from 1",
        ),
    ]
}

#[test]
fn bad_configurations_are_named() {
    let _alone = alone();
    const { assert!(CONFIG.len() >= 60) };
    let dir = model();
    let path = dir.path().join("config.json");
    let good = fs::read_to_string(&path).unwrap();
    let good = good.trim_end().trim_end_matches('}').trim_end();
    assert_refused(CONFIG.iter().map(|&(field, message)| {
        fs::write(&path, format!("{good},{field}}}")).unwrap();
        (field.to_owned(), load(field, dir.path()).map(drop), message.to_owned())
    }));
}

#[test]
fn bad_files_are_named() {
    let _alone = alone();
    assert_refused(files().into_iter().map(|(name, content, message)| {
        let dir = model();
        fs::write(dir.path().join(name), &content).unwrap();
        (name.to_owned(), load(name, dir.path()).map(drop), message.to_owned())
    }));
}

/// Changes a file of [`model_with_dense`] and expects a message.
#[test]
fn bad_dense_layers_and_mixes_are_named() {
    const DENSE: &str = "3_Dense/config.json";
    const MIX: &str = "1_WeightedLayerPooling/config.json";
    let dense = |fields: &str| format!(r#"{{"in_features":4,"out_features":3,{fields}}}"#);
    let sizes = |fields: &str| format!("{{{fields}}}");
    let activation = |class: &str| dense(&format!(r#""activation_function":"{class}""#));
    let mix = |fields: &str| format!(r#"{{"word_embedding_dimension":4,{fields}}}"#);
    let known = "activation_function: expected torch.nn.Tanh or torch.nn.Identity, found";
    let rows = vec![
        (DENSE, String::new(), "expected a JSON object, found: EOF"),
        (DENSE, "{}".to_owned(), "expected an object with fields, found: an empty one"),
        (DENSE, sizes(r#""out_features":3"#), "in_features: expected 4, found nothing"),
        (DENSE, sizes(r#""in_features":5,"out_features":3"#), "in_features: expected 4, found 5"),
        (DENSE, sizes(r#""in_features":4.0,"out_features":3"#), "in_features: expected an integer from 1"),
        (DENSE, sizes(r#""in_features":4"#), "out_features: expected an integer, found nothing"),
        (DENSE, sizes(r#""in_features":4,"out_features":0"#), "out_features: expected an integer from 1 to 65536"),
        (DENSE, sizes(r#""in_features":4,"out_features":65537"#), "out_features: expected an integer from 1 to 65536"),
        (
            DENSE,
            sizes(r#""in_features":4,"out_features":65536"#),
            "linear.weight: expected shape [65536, 4], found shape",
        ),
        (DENSE, dense(r#""bias":1"#), "bias: expected true or false, found 1"),
        (DENSE, dense(r#""bias":null"#), "bias: expected true or false, found null"),
        // The file has a bias, so the layer must say so.
        (DENSE, dense(r#""bias":false"#), "linear.bias: expected only the tensors that are needed, found 1 more"),
        (DENSE, activation("torch.nn.modules.activation.ReLU"), known),
        (DENSE, activation("os.Tanh"), known),
        (DENSE, activation("Tanh"), known),
        (DENSE, dense(r#""activation_function":3"#), "activation_function: expected a string, found 3"),
        (DENSE, dense(r#""use_residual":true"#), "use_residual: expected false, found true"),
        (DENSE, dense(r#""module_input_name":"token_embeddings""#), r#"expected "sentence_embedding", found "token"#),
        (DENSE, dense(r#""module_output_name":"other""#), r#"module_output_name: expected "sentence_embedding""#),
        (DENSE, dense(r#""dropout":0.1"#), "dropout: expected no such field"),
        ("3_Dense/model.safetensors", "PK\u{3}\u{4}abcdefgh".to_owned(), "expected a safetensors file"),
        ("3_Dense/model.safetensors", String::new(), "expected a safetensors file"),
        (MIX, String::new(), "expected a JSON object, found: EOF"),
        (MIX, "{}".to_owned(), "expected an object with fields, found: an empty one"),
        (MIX, sizes(r#""layer_start":0,"num_hidden_layers":1"#), "word_embedding_dimension: expected 4, found nothing"),
        (MIX, mix(r#""num_hidden_layers":1"#), "layer_start: expected 1, found nothing"),
        (MIX, mix(r#""layer_start":0"#), "num_hidden_layers: expected 1, found nothing"),
        (MIX, mix(r#""layer_start":0,"num_hidden_layers":2"#), "num_hidden_layers: expected 1, found 2"),
        (MIX, mix(r#""layer_start":2,"num_hidden_layers":1"#), "layer_start: expected an integer from 0 to 1, found 2"),
        (MIX, mix(r#""layer_start":-1,"num_hidden_layers":1"#), "layer_start: expected an integer from 0 to 1"),
        (MIX, mix(r#""layer_start":1,"num_hidden_layers":1"#), "layer_weights: expected shape [1], found shape [2]"),
        (MIX, mix(r#""layer_start":0,"num_hidden_layers":1,"x":0"#), "x: expected no such field"),
        ("1_WeightedLayerPooling/model.safetensors", String::new(), "expected a safetensors file"),
    ];
    let _alone = alone();
    let dir = model_with_dense();
    load("unchanged", dir.path()).unwrap();
    assert_refused(rows.into_iter().map(|(name, content, message)| {
        let dir = model_with_dense();
        fs::write(dir.path().join(name), &content).unwrap();
        (format!("{name}: {content}"), load(name, dir.path()).map(drop), message.to_owned())
    }));
}

#[test]
fn bad_weights_of_dense_layers_and_mixes_are_named() {
    let _alone = alone();
    type Tensor = (&'static str, &'static [usize], &'static [f32]);
    const NAN: [f32; 3] = [f32::NAN, 1.0, 1.0];
    let weights: &[Tensor] = &[("linear.weight", &[3, 4], &[0.5; 12]), ("linear.bias", &[3], &[0.0; 3])];
    let rows: Vec<(&str, Vec<Tensor>, &str)> = vec![
        ("3_Dense", weights[..1].to_vec(), "linear.bias: expected shape [3], found no such tensor"),
        ("3_Dense", weights[1..].to_vec(), "linear.weight: expected shape [3, 4], found no such tensor"),
        ("3_Dense", vec![weights[0], ("linear.bias", &[3], &NAN)], "linear.bias: expected finite values, found NaN"),
        ("3_Dense", [weights, &[("x", &[1], &[1.0])]].concat(), "x: expected only the tensors that are needed"),
        ("1_WeightedLayerPooling", vec![("layer_weights", &[2], &[1.0, -1.0])], "whose sum is not 0, found 0"),
        (
            "1_WeightedLayerPooling",
            vec![("layer_weights", &[2], &[f32::NAN, 1.0])],
            "layer_weights: expected finite values",
        ),
        ("1_WeightedLayerPooling", vec![("w", &[2], &[1.0, 1.0])], "layer_weights: expected shape [2], found no such"),
    ];
    assert_refused(rows.into_iter().map(|(folder, tensors, message)| {
        let dir = model_with_dense();
        write_safetensors(&dir.path().join(folder).join("model.safetensors"), tensors, &[]).unwrap();
        (message.to_owned(), load(folder, dir.path()).map(drop), message.to_owned())
    }));

    for (file, message) in [
        ("3_Dense/config.json", "3_Dense/config.json: not found: modules.json names a Dense module there"),
        ("3_Dense/model.safetensors", "3_Dense/model.safetensors: not found"),
        ("1_WeightedLayerPooling/config.json", "config.json: not found: modules.json names a module there"),
        ("1_WeightedLayerPooling/model.safetensors", "model.safetensors: not found"),
    ] {
        let dir = model_with_dense();
        fs::remove_file(dir.path().join(file)).unwrap();
        let error = load(file, dir.path()).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    // sentence-transformers would silently pool the last layer.
    let dir = model_with_dense();
    let config = dir.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"output_hidden_states\": true", "\"output_hidden_states\": false")).unwrap();
    let error = load("hidden states", dir.path()).unwrap_err();
    assert!(error.contains("output_hidden_states: expected true, because modules.json names"), "{error}");
}

/// The longest configurations that are read, made of whatever takes the most memory.
#[test]
fn the_longest_configurations_fit_in_the_memory() {
    let _alone = alone();
    let limit = (1 << 20) - 300;
    let list = |piece: &str| format!("[0{}]", piece.repeat(limit / piece.len()));
    let fields: String = (0..limit / 11).map(|i| format!(r#""{i:06}":0,"#)).collect();
    let dir = model();
    for value in [list(",[]"), list(",0"), list(",\"\""), list(",{}"), format!(r#"{{{fields}"":0}}"#)] {
        let config = format!(r#"{{"more":{value},"vocab_size":0,"model_type":"bert"}}"#);
        fs::write(dir.path().join("config.json"), &config).unwrap();
        let read = bounded(&config[..20], dir.path(), config.len(), || ModelDirectory::read(dir.path()));
        assert!(read.unwrap_err().contains("vocab_size: expected an integer"));
    }
}

/// A FIFO must be refused, because opening it would block until something writes to it.
#[cfg(unix)]
#[test]
fn fifos_and_directories_are_refused() {
    let _alone = alone();
    for name in ["config.json", "tokenizer.json", "modules.json", "model.safetensors"] {
        let dir = model();
        let path = dir.path().join(name);
        fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let found = load(name, dir.path()).map(drop).unwrap_err();
        assert!(found.ends_with("expected a file, found: a pipe or device"), "{found}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let found = load(name, dir.path()).map(drop).unwrap_err();
        assert!(found.ends_with("expected a file, found: a directory"), "{found}");
    }
}
