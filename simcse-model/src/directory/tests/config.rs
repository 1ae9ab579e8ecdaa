use super::*;

fn parse(json: &str) -> Result<ModelConfig> {
    ModelConfig::parse(Path::new("config.json"), json.as_bytes())
}

#[track_caller]
fn refused(json: &str, message: &str) {
    let error = parse(json).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn defaults_are_those_of_transformers() {
    let bert = parse(r#"{"model_type": "bert"}"#).unwrap();
    assert_eq!(bert.vocab_size, 30522);
    assert_eq!(bert.num_hidden_layers, 12);
    assert_eq!(bert.type_vocab_size, 2);

    let roberta = parse(r#"{"model_type": "roberta"}"#).unwrap();
    assert_eq!(roberta.vocab_size, 50265);
    assert_eq!(roberta.pad_token_id, 1);
    assert_eq!(roberta.max_tokens(), 510);

    let distilbert = parse(r#"{"model_type": "distilbert"}"#).unwrap();
    assert_eq!(distilbert.num_hidden_layers, 6);
    assert_eq!(distilbert.type_vocab_size, 0);
    assert_eq!(distilbert.layer_norm_eps, 1e-12);

    let electra = parse(r#"{"model_type": "electra"}"#).unwrap();
    assert_eq!((electra.embedding_width(), electra.hidden_size), (128, 256));
    assert_eq!((electra.num_attention_heads, electra.intermediate_size), (4, 1024));

    let mpnet = parse(r#"{"model_type": "mpnet"}"#).unwrap();
    assert_eq!((mpnet.vocab_size, mpnet.type_vocab_size, mpnet.max_tokens()), (30527, 0, 510));

    for name in ["xlm-roberta", "camembert"] {
        let config = parse(&format!(r#"{{"model_type": "{name}"}}"#)).unwrap();
        assert_eq!((config.vocab_size, config.pad_token_id, config.max_tokens()), (30522, 1, 510));
    }
}

#[test]
fn distilbert_has_names_of_its_own() {
    let json = r#"{"model_type": "distilbert", "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 16,
        "dropout": 0.2, "attention_dropout": 0.3, "sinusoidal_pos_embds": true, "layer_norm_eps": 0.5}"#;
    let config = parse(json).unwrap();
    assert_eq!(config.hidden_size, 8);
    assert_eq!(config.num_hidden_layers, 1);
    assert_eq!(config.num_attention_heads, 2);
    assert_eq!(config.intermediate_size, 16);
    assert_eq!(config.hidden_dropout_prob, 0.2);
    assert_eq!(config.attention_probs_dropout_prob, 0.3);
    assert_eq!(config.layer_norm_eps, 1e-12);
}

#[test]
fn what_is_written_is_read_back() {
    for architecture in Architecture::ALL {
        for activation in Activation::ALL {
            let config = ModelConfig {
                hidden_size: 8,
                num_attention_heads: 2,
                hidden_act: *activation,
                ..ModelConfig::defaults(*architecture)
            };
            assert_eq!(parse(&config.to_json()).unwrap(), config);
        }
    }
}

/// As transformers 5 writes them, and as the versions before did.
#[test]
fn modernberts_layers_are_read_in_both_forms() {
    let newer = r#"{
        "model_type": "modernbert", "num_hidden_layers": 5, "local_attention": 32,
        "layer_types": [
            "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"
        ],
        "rope_parameters": {
            "full_attention": {"rope_theta": 5000.0, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 100, "rope_type": "default"}
        }
    }"#;
    let older = r#"{
        "model_type": "modernbert", "num_hidden_layers": 5, "local_attention": 32, "global_attn_every_n_layers": 2,
        "global_rope_theta": 5000.0, "local_rope_theta": 100.0
    }"#;
    let expected =
        AlternatingAttention { global_every: 2, local_attention: 32, global_theta: 5000.0, local_theta: 100.0 };
    for json in [newer, older] {
        assert_eq!(parse(json).unwrap().alternating_attention, Some(expected), "{json}");
    }
}

#[test]
fn bad_values_are_named() {
    refused(
        "{}",
        "config.json: model_type: expected bert, roberta, xlm-roberta, camembert, distilbert, electra, mpnet or \
         modernbert, found nothing",
    );
    refused(r#"{"model_type": "t5"}"#, r#"found "t5""#);
    refused("[]", "expected a JSON object");
    for (fields, message) in [
        (
            r#""hidden_act": "mish""#,
            "hidden_act: expected gelu, gelu_python, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, silu or relu, \
             found \"mish\"",
        ),
        (r#""position_embedding_type": "relative_key""#, "position_embedding_type"),
        (r#""is_decoder": true"#, "is_decoder: expected false, found true"),
        (r#""add_cross_attention": true"#, "add_cross_attention"),
        (r#""hidden_size": 0"#, "hidden_size: expected an integer from 1 to 65536, found 0"),
        (r#""hidden_size": 768.5"#, "found 768.5"),
        (r#""vocab_size": -1"#, "vocab_size"),
        (r#""vocab_size": 100000000000000000000000"#, "vocab_size"),
        (r#""num_hidden_layers": 4000000000"#, "num_hidden_layers"),
        (r#""num_attention_heads": 7"#, "num_attention_heads: expected a divisor of hidden_size 768, found 7"),
        (r#""hidden_dropout_prob": 1.0"#, "hidden_dropout_prob: expected a probability in [0, 1), found 1.0"),
        (r#""attention_probs_dropout_prob": "x""#, "attention_probs_dropout_prob"),
        (r#""layer_norm_eps": 0"#, "layer_norm_eps: expected a positive number, found 0"),
        (r#""layer_norm_eps": NaN"#, "expected a JSON object"),
        (r#""pad_token_id": 30522"#, "pad_token_id"),
    ] {
        refused(&format!(r#"{{"model_type": "bert", {fields}}}"#), message);
    }
    refused(
        r#"{"model_type": "mpnet", "relative_attention_num_buckets": 64}"#,
        "relative_attention_num_buckets: expected 32, found 64",
    );
    refused(r#"{"model_type": "mpnet", "pad_token_id": 0}"#, "pad_token_id: expected 1, found 0");
    for (fields, message) in [
        (r#""norm_bias": true"#, "norm_bias: expected false, found true"),
        (r#""mlp_dropout": 0.1"#, "embedding_dropout: expected mlp_dropout 0.1, found nothing"),
        (r#""hidden_size": 12, "num_attention_heads": 4"#, "num_attention_heads: expected heads of an even width"),
        (r#""local_rope_theta": null"#, "local_rope_theta: expected a positive number, found null"),
        (r#""rope_scaling": {"type": "linear"}"#, "rope_scaling: expected null"),
        (r#""local_attention": 0"#, "local_attention: expected an integer from 1 to 1048576, found 0"),
        (
            r#""num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]"#,
            r#"layer_types: expected "full_attention" for the first of 2 layers and every n-th after it"#,
        ),
        (
            r#""rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 10000.0}}"#,
            r#"rope_parameters: expected "full_attention" and "sliding_attention", each {"rope_theta": a positive"#,
        ),
    ] {
        refused(&format!(r#"{{"model_type": "modernbert", {fields}}}"#), message);
    }
    refused(r#"{"model_type": "electra", "embedding_size": 0}"#, "embedding_size: expected an integer from 1 to 65536");
    refused(r#"{"model_type": "roberta", "max_position_embeddings": 2}"#, "max_position_embeddings");
}

#[test]
fn a_configuration_that_could_not_be_read_is_refused() {
    let config = ModelConfig { vocab_size: 5, ..ModelConfig::defaults(Architecture::ModernBert) };
    let error = config.check().unwrap_err().to_string();
    assert_eq!(error, "config.json: pad_token_id: expected less than vocab_size 5, found 50283");
    ModelConfig::defaults(Architecture::ModernBert).check().unwrap();
}
