//! Prompts: which one goes in front of a text, and what pooling does with its tokens.

use ndarray::{Array1, Axis, s};
use simcse_model::{
    Architecture, BufferPool, ModelConfig, ModelDirectory, Named, Pooling, SentenceEncoder, TokenBatch, Tokenizer,
};

const WORDS: [&str; 9] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", "how", "to", "boot"];

/// A model of random weights with prompts, loaded from a directory.
fn encoder(pooling: Pooling, include_prompt: bool) -> SentenceEncoder {
    let config = ModelConfig {
        vocab_size: WORDS.len(),
        hidden_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 8,
        max_position_embeddings: 12,
        initializer_range: 0.5,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let tokenizer = Tokenizer::word_piece(&WORDS, true).unwrap();
    let directory = ModelDirectory::new(config, tokenizer, pooling, 8).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut encoder = SentenceEncoder::random(directory, 1);
    encoder.directory.include_prompt = include_prompt;
    encoder.save(dir.path()).unwrap();
    let prompts = r#"{"prompts": {"query": "query ", "a": "how to "}, "default_prompt_name": "a"}"#;
    std::fs::write(dir.path().join("config_sentence_transformers.json"), prompts).unwrap();
    SentenceEncoder::load(dir.path()).unwrap()
}

#[test]
fn encoding_uses_the_default_prompt_and_queries_and_documents_their_own() {
    let encoder = encoder(Pooling::Mean, true);
    let encode = |text: &str| encoder.encode_with_prompt("", &[text]).unwrap();
    assert_eq!(encoder.encode(&["boot"]).unwrap(), encode("how to boot"));
    assert_eq!(encoder.encode_while(&["boot"], |_| true).unwrap().unwrap(), encode("how to boot"));
    assert_eq!(encoder.encode_query(&["boot"]).unwrap(), encode("query boot"));
    assert_eq!(encoder.encode_document(&["boot"]).unwrap(), encode("boot"));
    assert_eq!(encoder.encode_with_prompt("to ", &["boot"]).unwrap(), encode("to boot"));
    // Training adds no prompt.
    assert_eq!(encoder.tokenize(&["boot"]).unwrap().ids, [[2, 8, 3]]);
}

/// `Pooling.forward` of sentence-transformers with the prompt's tokens masked.
fn pooled_after(encoder: &SentenceEncoder, ids: &[u32], excluded: usize) -> Array1<f32> {
    let batch = TokenBatch::new(encoder.config(), &[ids], vec![0]);
    let mut buffers = BufferPool::new();
    let mut tape = encoder.tape(&mut buffers, &batch, false);
    let hidden = encoder.hidden_states(&mut tape, &batch, None);
    let rest = tape.value(hidden).slice(s![excluded.., ..]).to_owned();
    match encoder.directory.pooling {
        Pooling::Mean => rest.mean_axis(Axis(0)).unwrap(),
        Pooling::Cls => rest.row(0).to_owned(),
        Pooling::Max => rest.fold_axis(Axis(0), f32::NEG_INFINITY, |&a, &b| a.max(b)),
        Pooling::MeanSqrtLen => rest.sum_axis(Axis(0)) / (rest.nrows() as f32).sqrt(),
        Pooling::WeightedMean => {
            let weights = Array1::from_shape_fn(rest.nrows(), |token| (excluded + token + 1) as f32);
            weights.dot(&rest) / weights.sum()
        }
        Pooling::LastToken => rest.row(rest.nrows() - 1).to_owned(),
    }
}

#[test]
fn a_models_pooling_may_leave_the_prompt_out() {
    for &pooling in Pooling::ALL {
        let encoder = encoder(pooling, false);
        let close = |found: &Array1<f32>, expected: &Array1<f32>| (found - expected).iter().all(|gap| gap.abs() < 1e-6);
        let encode = |prompt, text| encoder.encode_with_prompt(prompt, &[text]).unwrap().row(0).to_owned();
        // [CLS] and the prompt's words are left out, its [SEP] is not there.
        let expected = pooled_after(&encoder, &[2, 6, 7, 8, 3], 3);
        assert!(close(&encode("how to ", "boot"), &expected), "{pooling:?}");
        assert!(close(&encode("", "how to boot"), &pooled_after(&encoder, &[2, 6, 7, 8, 3], 0)), "{pooling:?}");
        // A prompt that fills the length leaves the last token alone.
        let long = "how to how to how to how to ";
        let expected = pooled_after(&encoder, &[2, 6, 7, 6, 7, 6, 7, 3], 7);
        assert!(close(&encode(long, "boot"), &expected), "{pooling:?}");
        assert_eq!(encoder.prompt("how to ").unwrap().excluded, 3);
    }
}

#[test]
fn what_pooling_does_with_prompts_survives_saving() {
    let dir = tempfile::tempdir().unwrap();
    let first = encoder(Pooling::Mean, false);
    first.save(dir.path()).unwrap();
    let again = SentenceEncoder::load(dir.path()).unwrap();
    let texts = ["boot", "", "to boot to"];
    assert_eq!(again.encode(&texts).unwrap(), first.encode(&texts).unwrap());
    assert_eq!(again.encode_query(&texts).unwrap(), first.encode_query(&texts).unwrap());
}
