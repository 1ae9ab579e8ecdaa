//! What `simcse train` without arguments does: it trains a small BERT with random weights on
//! sentences embedded in the binary, and scores it on questions that share no intent with any of
//! them.

use simcse_eval::{EvaluationSet, Lexical, Reranking, Scores};
use simcse_model::{Architecture, ModelConfig, ModelDirectory, SentenceEncoder, Tokenizer};
use simcse_train::{Examples, Settings};

use crate::commands::train::new_model::NewModel;
use crate::error::Failure;

const SENTENCES: &str = include_str!("../../default/sentences.txt");
const RERANK: &str = include_str!("../../default/rerank.jsonl");

/// The names of the model and of the data in `run.toml`.
pub(super) const MODEL: &str = "a small BERT with random weights";
const DATA: &str = "the sentences embedded in simcse";

/// The vocabulary size of the tokenizer that is trained on the sentences, at most.
const VOCABULARY: usize = 4000;

/// What the figures mean, printed at the end of the run.
pub(super) const MEANING: &str = "\
A rise in MAP shows that training without labels teaches a random model to see past the wording of
questions, although these share no intent with the sentences that it was trained on. Both come from one
small grammar, and counting shared rare words (TF-IDF) still does better. The figures say nothing about
text that people wrote: for that, train a pretrained --model.";

/// The sentences in the binary.
pub(super) fn sentences(min_length: usize) -> Result<Examples, Failure> {
    Ok(Examples::from_texts(DATA, SENTENCES.lines(), min_length)?)
}

/// The held-out questions in the binary.
pub(super) fn rerank() -> Result<Reranking, Failure> {
    Ok(Reranking::from_jsonl(RERANK, "the questions embedded in simcse")?)
}

/// The model of the run.
pub(super) struct Embedded;

impl NewModel for Embedded {
    fn name(&self) -> String {
        MODEL.to_owned()
    }

    /// The settings of the run. They were chosen by MAP on other questions of the same grammar,
    /// about 180 intents whose sentences were excluded from training for that purpose; the
    /// questions in the binary played no part in the choice. A model with random weights needs a
    /// higher learning rate and temperature than a pretrained one.
    fn settings(&self) -> Settings {
        Settings { epochs: 7, learning_rate: 2e-3, scale: 10.0, ..Settings::default() }
    }

    /// A model with random weights and a tokenizer trained on `sentences`.
    fn build(&self, sentences: &Examples, settings: &Settings) -> Result<SentenceEncoder, Failure> {
        let texts: Vec<_> = sentences.texts().collect();
        let tokenizer = Tokenizer::byte_level_bpe(&texts, VOCABULARY)?;
        let config = ModelConfig {
            vocab_size: tokenizer.max_id() as usize + 1,
            hidden_size: 128,
            num_hidden_layers: 1,
            num_attention_heads: 4,
            intermediate_size: 512,
            max_position_embeddings: 64,
            hidden_dropout_prob: settings.hidden_dropout,
            attention_probs_dropout_prob: settings.attention_dropout,
            ..ModelConfig::defaults(Architecture::Bert)
        };
        let directory = ModelDirectory::new(config, tokenizer, settings.pooling, settings.max_seq_length)?;
        Ok(SentenceEncoder::random(directory, settings.seed))
    }
}

/// The figures of TF-IDF with cosine similarity; document frequencies are those of the training
/// sentences.
pub(super) fn baseline(sentences: &Examples, rerank: &Reranking) -> Result<Scores, Failure> {
    let scores = rerank.score(&mut Lexical::tf_idf().fitted_on(sentences.texts()))?;
    Ok(scores.expect("nothing stops it"))
}
