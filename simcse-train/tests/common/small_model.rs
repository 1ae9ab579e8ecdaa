/// A BERT of one layer with random weights, and a tokenizer trained on `texts`. The documentation's
/// examples include this function.
pub(crate) fn small_model(texts: &[impl AsRef<str> + Sync]) -> simcse_model::SentenceEncoder {
    use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};

    let tokenizer = Tokenizer::byte_level_bpe(texts, 300).unwrap();
    let config = ModelConfig {
        vocab_size: tokenizer.max_id() as usize + 1,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 32,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    SentenceEncoder::random(ModelDirectory::new(config, tokenizer, Pooling::Mean, 32).unwrap(), 1)
}
