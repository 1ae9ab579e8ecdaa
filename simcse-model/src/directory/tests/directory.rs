use simcse_tensor::{DenseActivation, Named};

use super::*;
use crate::architecture::Architecture;

const TRANSFORMER: &str = r#"{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}"#;
const POOLING: &str = r#"{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}"#;

/// A directory with the files of a BERT eight wide, without weights.
fn plain() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(&dir, "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat");
    let config = r#"{"model_type": "bert", "vocab_size": 6, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 20}"#;
    put(&dir, "config.json", config);
    dir
}

/// [`plain`] with modules.json and mean pooling.
fn classic() -> tempfile::TempDir {
    let dir = plain();
    put(&dir, "modules.json", &format!("[{TRANSFORMER}, {POOLING}]"));
    put(&dir, "1_Pooling/config.json", r#"{"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true}"#);
    dir
}

fn put(dir: &tempfile::TempDir, name: &str, content: &str) {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// The error of the classic directory after one file got another content.
#[track_caller]
fn refused(name: &str, content: &str, message: &str) {
    let dir = classic();
    put(&dir, name, content);
    let error = ModelDirectory::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn a_plain_directory_is_pooled_by_mean_and_keeps_its_length() {
    let dir = plain();
    put(&dir, "sentence_bert_config.json", r#"{"max_seq_length": 5}"#); // not looked at without modules.json
    let model = ModelDirectory::read(dir.path()).unwrap();
    assert_eq!((model.pooling, model.normalize, model.max_seq_length), (Pooling::Mean, false, 20));
    assert!(!model.is_sentence_transformers);
    put(&dir, "tokenizer_config.json", r#"{"model_max_length": 12}"#);
    assert_eq!(ModelDirectory::read(dir.path()).unwrap().max_seq_length, 12);
    put(&dir, "tokenizer_config.json", r#"{"model_max_length": 1000000000000000019884624838656}"#);
    assert_eq!(ModelDirectory::read(dir.path()).unwrap().max_seq_length, 20);
}

/// The maximum length of a model with 20 positions, and its warning without the directory.
fn length(is_roberta: bool, name: &str, content: &str) -> (usize, Option<String>) {
    let dir = classic();
    if is_roberta {
        let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
        put(&dir, "config.json", &config.replace("\"bert\"", "\"roberta\", \"pad_token_id\": 1"));
        put(&dir, "vocab.json", r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5}"#);
        put(&dir, "merges.txt", "");
    }
    put(&dir, name, content);
    let model = ModelDirectory::read(dir.path()).unwrap();
    let prefix = format!("{}/", dir.path().display());
    (model.max_seq_length, model.length_warning().map(|warning| warning.replace(&prefix, "")))
}

#[test]
fn a_length_beyond_the_positions_is_cut_with_a_warning() {
    let warning = |place: &str, most: usize| {
        Some(format!("{place}, but the model has positions for {most} tokens; longer texts are truncated to {most}"))
    };
    let settings = |tokens: usize| format!(r#"{{"max_seq_length": {tokens}}}"#);
    for name in ["sentence_bert_config.json", "sentence_roberta_config.json"] {
        assert_eq!(length(false, name, &settings(20)), (20, None));
        assert_eq!(length(false, name, &settings(21)), (20, warning(&format!("{name}: max_seq_length is 21"), 20)));
        // RoBERTa's first position comes after its padding index.
        assert_eq!(length(true, name, &settings(18)), (18, None));
        assert_eq!(length(true, name, &settings(20)), (18, warning(&format!("{name}: max_seq_length is 20"), 18)));
    }
}

#[test]
fn a_length_of_the_tokenizer_beyond_the_positions_warns_where_the_reference_would_not_cut() {
    const NAME: &str = "tokenizer_config.json";
    let settings = |tokens: usize| format!(r#"{{"model_max_length": {tokens}}}"#);
    // sentence-transformers cuts at the rows of the position embeddings, which are BERT's limit.
    assert_eq!(length(false, NAME, &settings(512)), (20, None));
    assert_eq!(length(true, NAME, &settings(18)), (18, None));
    for tokens in [19, 20, 512] {
        let (most, warning) = length(true, NAME, &settings(tokens));
        assert_eq!(most, 18);
        assert!(warning.unwrap().starts_with(&format!("{NAME}: model_max_length is {tokens}, but")));
    }
    assert_eq!(length(true, NAME, &settings(10_usize.pow(18))), (18, None), "no length is stated");
    assert_eq!(length(true, NAME, "{}"), (18, None));
}

#[test]
fn both_layouts_of_sentence_transformers_are_read() {
    let dir = classic();
    put(&dir, "sentence_bert_config.json", r#"{"max_seq_length": 9, "do_lower_case": true}"#);
    let model = ModelDirectory::read(dir.path()).unwrap();
    assert!(model.is_sentence_transformers && model.do_lower_case);
    assert_eq!(model.max_seq_length, 9);

    // As saved by sentence-transformers 6.2.0.
    let modules = r#"[
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling",
         "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize",
         "type": "sentence_transformers.base.modules.normalize.Normalize"}]"#;
    put(&dir, "modules.json", modules);
    let pooling = r#"{"embedding_dimension": 8, "pooling_mode": "cls", "include_prompt": true}"#;
    put(&dir, "1_Pooling/config.json", pooling);
    let text = r#"{"transformer_task": "feature-extraction", "modality_config": {"text": {"method": "forward",
        "method_output_name": "last_hidden_state"}}, "module_output_name": "token_embeddings"}"#;
    put(&dir, "sentence_bert_config.json", text);
    put(&dir, "tokenizer_config.json", r#"{"model_max_length": 11}"#);
    let model = ModelDirectory::read(dir.path()).unwrap();
    assert_eq!((model.pooling, model.normalize, model.max_seq_length), (Pooling::Cls, true, 11));
}

#[test]
fn the_transformer_may_lie_in_a_directory_of_its_own() {
    let dir = classic();
    put(&dir, "modules.json", &format!("[{}, {POOLING}]", TRANSFORMER.replace(r#""path": """#, r#""path": "0_T""#)));
    for name in ["config.json", "vocab.txt"] {
        std::fs::create_dir_all(dir.path().join("0_T")).unwrap();
        std::fs::rename(dir.path().join(name), dir.path().join("0_T").join(name)).unwrap();
    }
    assert_eq!(ModelDirectory::read(dir.path()).unwrap().transformer, dir.path().join("0_T"));
}

#[test]
fn what_is_written_is_read_back_even_if_the_base_has_gone() {
    let dir = classic();
    let prompts = r#"{"prompts": {"query": "q: "}, "default_prompt_name": null, "similarity_fn_name": "dot"}"#;
    put(&dir, "config_sentence_transformers.json", prompts);
    let mut model = ModelDirectory::read(dir.path()).unwrap();
    (model.pooling, model.normalize, model.max_seq_length) = (Pooling::Max, true, 7);
    let config = std::fs::read(dir.path().join("config.json")).unwrap();
    drop(dir);

    let out = tempfile::tempdir().unwrap();
    model.write(out.path()).unwrap();
    let read = |name: &str| std::fs::read(out.path().join(name)).unwrap();
    let json = |name: &str| serde_json::from_slice::<Value>(&read(name)).unwrap();
    assert_eq!(read("config.json"), config);
    assert_eq!(
        json("1_Pooling/config.json"),
        json!({"word_embedding_dimension": 8, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": false,
            "pooling_mode_max_tokens": true, "pooling_mode_mean_sqrt_len_tokens": false})
    );
    assert_eq!(json("sentence_bert_config.json"), json!({"max_seq_length": 7, "do_lower_case": false}));
    assert_eq!(json("modules.json")[2]["type"], "sentence_transformers.models.Normalize");
    let settings = json("config_sentence_transformers.json");
    assert_eq!(settings["similarity_fn_name"], "cosine");
    assert_eq!(settings["prompts"], json!({"query": "q: "}));

    let again = ModelDirectory::read(out.path()).unwrap();
    assert_eq!((again.pooling, again.normalize, again.max_seq_length), (Pooling::Max, true, 7));
    assert_eq!(again.config, model.config);
}

#[test]
fn the_configuration_says_which_type_the_weights_are_written_in() {
    let dir = plain();
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    put(&dir, "config.json", &config.replacen('{', r#"{"torch_dtype": "float16", "#, 1));
    let out = tempfile::tempdir().unwrap();
    let model = ModelDirectory::read(dir.path()).unwrap();
    let written = || std::fs::read_to_string(out.path().join("config.json")).unwrap();
    model.write(out.path()).unwrap();
    assert!(written().contains(r#""torch_dtype": "float32""#), "{}", written());
    model.write_with(out.path(), WeightType::F16).unwrap();
    assert!(written().contains(r#""torch_dtype": "float16""#), "{}", written());
}

#[test]
fn a_model_made_here_is_written_and_read() {
    let config = ModelConfig::read(&plain().path().join("config.json")).unwrap();
    assert_eq!(config.architecture, Architecture::Bert);
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat"];
    let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
    let model = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16).unwrap();
    let out = tempfile::tempdir().unwrap();
    model.write(out.path()).unwrap();
    let again = ModelDirectory::read(out.path()).unwrap();
    assert_eq!((&again.config, again.max_seq_length), (&model.config, 16));
    assert_eq!(again.tokenizer.encode_batch(&["Cat"], 9).unwrap().ids, [[2, 5, 3]]);
}

#[test]
fn the_length_never_exceeds_the_positions() {
    let dir = classic();
    put(&dir, "sentence_bert_config.json", r#"{"max_seq_length": 512}"#);
    assert_eq!(ModelDirectory::read(dir.path()).unwrap().max_seq_length, 20);
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    put(&dir, "config.json", &config.replace("bert", "roberta"));
    put(&dir, "tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer"}"#);
    assert_eq!(ModelDirectory::read(dir.path()).unwrap().max_seq_length, 18);
}

#[test]
fn modules_that_cannot_be_honoured_are_named() {
    let module = |class: &str| POOLING.replace("Pooling\"}", &format!("{class}\"}}"));
    for (class, message) in [("Dropout", "found sentence_transformers.models.Dropout"), ("CNN", "models.CNN")] {
        refused("modules.json", &format!("[{TRANSFORMER}, {POOLING}, {}]", module(class)), message);
    }
    let [dense, normalize, mix] = ["Dense", "Normalize", "WeightedLayerPooling"].map(module);
    for (rest, kinds) in [
        (format!("{POOLING}, {normalize}, {dense}"), "Transformer, Pooling, Normalize, Dense"),
        (format!("{POOLING}, {mix}"), "Transformer, Pooling, WeightedLayerPooling"),
        (format!("{mix}, {mix}, {POOLING}"), "Transformer, WeightedLayerPooling, WeightedLayerPooling, Pooling"),
        (dense.clone(), "Transformer, Dense"),
    ] {
        refused("modules.json", &format!("[{TRANSFORMER}, {rest}]"), &format!("in this order, found {kinds}"));
    }
    let custom = TRANSFORMER.replace("sentence_transformers.models", "custom_st");
    refused("modules.json", &format!("[{custom}, {POOLING}]"), "found custom_st.Transformer");
    refused("modules.json", &format!("[{POOLING}, {TRANSFORMER}]"), "found Pooling, Transformer");
    refused(
        "modules.json",
        "[]",
        "expected a Transformer, perhaps a WeightedLayerPooling, perhaps a WordWeights, a Pooling, any number",
    );
    refused("modules.json", "{}", "modules.json: expected a list of modules");
    let weights = POOLING.replace("1_Pooling", "1_WordWeights").replace("models.Pooling", "models.WordWeights");
    refused("modules.json", &format!("[{TRANSFORMER}, {weights}, {POOLING}]"), "1_WordWeights/config.json");
    for path in ["/etc", "../other", "a/../..", "..\\\\other"] {
        let leaves = POOLING.replace("1_Pooling", path);
        refused("modules.json", &format!("[{TRANSFORMER}, {leaves}]"), "path: expected a path inside");
    }
}

#[test]
fn dense_layers_are_read_in_both_layouts() {
    let module = |index: usize, class: &str| {
        let name = class.rsplit('.').next().unwrap();
        format!(r#"{{"idx": {index}, "name": "{index}", "path": "{index}_{name}", "type": "{class}"}}"#)
    };
    let dir = classic();
    let first = module(2, "sentence_transformers.models.Dense");
    let second = module(3, "sentence_transformers.base.modules.dense.Dense");
    put(&dir, "modules.json", &format!("[{TRANSFORMER}, {POOLING}, {first}, {second}]"));
    // As in the files of LaBSE, ...
    let labse = r#"{"in_features": 8, "out_features": 5, "bias": true,
        "activation_function": "torch.nn.modules.activation.Tanh"}"#;
    put(&dir, "2_Dense/config.json", labse);
    // ... and as saved by sentence-transformers 6.2.0.
    let new = r#"{"in_features": 5, "out_features": 7, "bias": false,
        "activation_function": "torch.nn.modules.linear.Identity",
        "module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}"#;
    put(&dir, "3_Dense/config.json", new);
    let model = ModelDirectory::read(dir.path()).unwrap();
    let [first, second] = model.dense() else { panic!("{:?}", model.dense()) };
    assert_eq!((first.out_features, first.bias, first.activation), (5, true, DenseActivation::Tanh));
    assert_eq!((second.out_features, second.bias, second.activation), (7, false, DenseActivation::Identity));
    assert_eq!(model.dimension(), 7);
    put(&dir, "2_Dense/config.json", r#"{"in_features": 8, "out_features": 5}"#);
    let defaults = ModelDirectory::read(dir.path()).unwrap();
    assert_eq!((defaults.dense()[0].bias, defaults.dense()[0].activation), (true, DenseActivation::Tanh));
}

#[test]
fn every_pooling_is_read_as_it_was_written() {
    for &pooling in Pooling::ALL {
        let mut model = ModelDirectory::read(classic().path()).unwrap();
        model.pooling = pooling;
        let dir = classic();
        model.write(dir.path()).unwrap();
        assert_eq!(ModelDirectory::read(dir.path()).unwrap().pooling, pooling);
        // The layout of sentence-transformers 5.4 and later.
        let mode = format!(r#"{{"embedding_dimension": 8, "pooling_mode": "{}"}}"#, pooling.name());
        put(&dir, "1_Pooling/config.json", &mode);
        assert_eq!(ModelDirectory::read(dir.path()).unwrap().pooling, pooling);
    }
}

#[test]
fn poolings_that_cannot_be_honoured_are_named() {
    let refused = |fields: &str, message| {
        refused("1_Pooling/config.json", &format!(r#"{{"word_embedding_dimension": 8, {fields}}}"#), message);
    };
    refused(r#""pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true"#, "found cls and mean");
    refused(r#""pooling_mode_lasttoken": true, "pooling_mode_cls_token": true"#, "found cls and lasttoken");
    refused(r#""pooling_mode": "avg_top2""#, "found avg_top2");
    refused(r#""pooling_mode": ["cls", "max"]"#, r#"found ["cls","max"]"#);
    refused(r#""embedding_dimension": 9"#, "embedding_dimension: expected 8, found 9");
    refused(r#""pooling_mode_cls_token": 1"#, "expected true or false, found 1");
    refused(r#""include_prompt": "no""#, r#"include_prompt: expected true or false, found "no""#);
    refused(r#""pooling_mode_first_token": true"#, "pooling_mode_first_token: expected no such field");
}

#[test]
fn the_files_that_modules_json_names_are_there() {
    let file = "1_Pooling/config.json";
    refused(file, "{}", "1_Pooling/config.json: expected an object with fields, found: an empty one");
    refused(file, "", "1_Pooling/config.json: expected a JSON object, found: EOF");
    refused(file, r#"{"pooling_mode": "cls"}"#, "word_embedding_dimension: expected 8, found nothing");
    refused("sentence_bert_config.json", "", "sentence_bert_config.json: expected a JSON object");
    let dir = classic();
    std::fs::remove_file(dir.path().join(file)).unwrap();
    let error = ModelDirectory::read(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("1_Pooling/config.json: not found: modules.json names a Pooling module there"), "{error}");

    let dir = classic();
    let normalize = POOLING.replace("1_Pooling", "2_Normalize").replace("Pooling\"}", "Normalize\"}");
    put(&dir, "modules.json", &format!("[{TRANSFORMER}, {POOLING}, {normalize}]"));
    assert!(ModelDirectory::read(dir.path()).unwrap().normalize, "the classic layout has no file for it");
    put(&dir, "2_Normalize/config.json", r#"{"module_input_name": "token_embeddings"}"#);
    let error = ModelDirectory::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains(r#"module_input_name: expected "sentence_embedding""#), "{error}");
}

#[test]
fn settings_that_cannot_be_honoured_are_named() {
    let file = "sentence_bert_config.json";
    refused(file, r#"{"max_seq_length": 0}"#, "max_seq_length");
    refused(file, r#"{"max_seq_length": -1}"#, "max_seq_length");
    refused(file, r#"{"transformer_task": "fill-mask"}"#, "transformer_task");
    refused(file, r#"{"processing_kwargs": {"text": {"max_length": 3}}}"#, "processing_kwargs: expected {}");
    refused(file, r#"{"query_length": 3}"#, "query_length: expected null (what it asks for is not supported), found 3");
    refused(file, r#"{"tokenizer_name_or_path": "other"}"#, "tokenizer_name_or_path: expected no such field");
    let file = "config_sentence_transformers.json";
    refused(file, r#"{"truncate_dim": 4}"#, "truncate_dim: expected null (what it asks for is not supported), found 4");
    refused(file, r#"{"prompts": {}, "default_prompt_name": "q"}"#, "default_prompt_name");
    refused(file, r#"{"prompts": 1}"#, "prompts: expected an object");
    refused(file, r#"{"model_type": "SparseEncoder"}"#, r#"found "SparseEncoder""#);
    refused("config.json", r#"{"model_type": "t5"}"#, "config.json: model_type");
    refused("vocab.txt", "1\n2\n3\n4\n5\n[CLS]\n[SEP]", "vocab_size 6, found 6");
}

#[test]
fn what_would_make_another_model_is_named() {
    refused("adapter_config.json", "{}", "adapter_config.json: expected no adapter");
    for field in [r#""auto_map": {"AutoModel": "x.Y"}"#, r#""quantization_config": {"bits": 4}"#] {
        let dir = plain();
        let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
        put(&dir, "config.json", &config.replacen('{', &format!("{{{field}, "), 1));
        let error = ModelDirectory::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is not supported), found {"), "{error}");
    }
    let dir = plain();
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    put(&dir, "config.json", &config.replacen('{', r#"{"architectures": ["BertForCausalLM"], "#, 1));
    let error = ModelDirectory::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("architectures: expected a model that is not causal"), "{error}");
}

#[test]
fn a_vocabulary_may_be_larger_than_the_model() {
    let dir = plain();
    put(&dir, "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\ndog\n\n");
    let model = ModelDirectory::read(dir.path()).unwrap();
    assert_eq!(model.tokenizer.encode_batch(&["cat"], 9).unwrap().ids, [[2, 5, 3]]);
    model.tokenizer.encode_batch(&["dog"], 9).unwrap_err();
}

#[test]
fn prompts_and_what_pooling_does_with_them_survive_saving() {
    let dir = classic();
    let settings = r#"{"prompts": {"q": "q: ", "document": "d: "}, "default_prompt_name": "q"}"#;
    put(&dir, "config_sentence_transformers.json", settings);
    put(&dir, "1_Pooling/config.json", r#"{"word_embedding_dimension": 8, "include_prompt": false}"#);
    let model = ModelDirectory::read(dir.path()).unwrap();
    let out = tempfile::tempdir().unwrap();
    model.write(out.path()).unwrap();
    let again = ModelDirectory::read(out.path()).unwrap();
    for model in [model, again] {
        assert!(!model.include_prompt);
        assert_eq!(model.prompts.default_prompt(), "q: ");
        assert_eq!((model.prompts.query(), model.prompts.document()), ("", "d: "));
    }
}

#[test]
fn a_missing_directory_or_configuration_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = |path: &Path| ModelDirectory::read(path).unwrap_err().to_string();
    assert!(message(&dir.path().join("none")).contains("expected a model directory"));
    assert!(message(dir.path()).contains("config.json: not found"));
}
