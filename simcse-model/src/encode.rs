//! Texts to embeddings: prompts, token ids, and the encoding of many sentences in parts.

use ndarray::{Array2, Axis, s};
use simcse_tensor::BufferPool;

use crate::directory::ModelDirectory;
use crate::directory::prompts::Prompt;
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::DropoutPlan;
use crate::error::Result;
use crate::sentence_encoder::SentenceEncoder;
use crate::tokenizer::encode::Tokens;

impl SentenceEncoder {
    /// [`encode`](Self::encode) encodes at most this many tokens at a time, unless one sentence is
    /// longer.
    pub const ENCODED_TOKENS: usize = 4096;
    /// [`encode`](Self::encode) tokenizes at most this many sentences at a time.
    pub const ENCODED_SENTENCES: usize = 512;

    /// A prompt for this model: one of its own ([`directory.prompts`](crate::Prompts)) or any other
    /// text.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn prompt<'a>(&self, text: &'a str) -> Result<Prompt<'a>> {
        let ModelDirectory { tokenizer, max_seq_length, include_prompt, .. } = &self.directory;
        let excluded = if *include_prompt { 0 } else { tokenizer.prompt_length(text, *max_seq_length)? };
        Ok(Prompt { text, excluded })
    }

    /// The token ids of each sentence, special tokens included, truncated to the model's maximum
    /// length; without any prompt.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn tokenize<S: AsRef<str> + Sync>(&self, sentences: &[S]) -> Result<Tokens> {
        self.tokenize_with_prompt(Prompt::default(), sentences)
    }

    /// [`tokenize`](Self::tokenize) with a prompt in front of each sentence; it counts toward the
    /// length.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn tokenize_with_prompt<S: AsRef<str> + Sync>(&self, prompt: Prompt, sentences: &[S]) -> Result<Tokens> {
        self.directory.tokenizer.encode_prompted(prompt.text, sentences, self.directory.max_seq_length)
    }

    /// The embeddings of sentences, one row each, (S, C). The model's default prompt, if it has
    /// one, is put in front of them. They are of unit length only if the model has a Normalize
    /// module. The bits of an embedding depend on its sentence alone.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode<S: AsRef<str> + Sync>(&self, sentences: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.default_prompt(), sentences)
    }

    /// [`encode`](Self::encode) with the model's prompt for queries. sentence-transformers:
    /// `encode_query`.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_query<S: AsRef<str> + Sync>(&self, queries: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.query(), queries)
    }

    /// [`encode`](Self::encode) with the model's prompt for documents. sentence-transformers:
    /// `encode_document`.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_document<S: AsRef<str> + Sync>(&self, documents: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.document(), documents)
    }

    /// [`encode`](Self::encode) with `prompt` in front of each sentence instead of the default; an
    /// empty one is none.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_with_prompt<S: AsRef<str> + Sync>(&self, prompt: &str, sentences: &[S]) -> Result<Array2<f32>> {
        let embeddings = self.encode_with_prompt_while(prompt, sentences, |_| true)?;
        Ok(embeddings.expect("nothing stops it"))
    }

    /// [`encode`](Self::encode) that can be stopped: before each
    /// [`ENCODED_SENTENCES`](Self::ENCODED_SENTENCES) sentences, `go_on` gets the number of
    /// sentences done, and the result is `None` if it returns `false`.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_while<S: AsRef<str> + Sync>(
        &self,
        sentences: &[S],
        go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<Array2<f32>>> {
        self.encode_with_prompt_while(self.directory.prompts.default_prompt(), sentences, go_on)
    }

    /// [`encode_while`](Self::encode_while) with `prompt` in front of each sentence.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_with_prompt_while<S: AsRef<str> + Sync>(
        &self,
        prompt: &str,
        sentences: &[S],
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<Array2<f32>>> {
        const PART: usize = SentenceEncoder::ENCODED_SENTENCES;
        let prompt = self.prompt(prompt)?;
        let mut embeddings = Array2::zeros((sentences.len(), self.dimension()));
        let mut pool = BufferPool::with_room(Self::ENCODED_TOKENS.min(sentences.len() * self.directory.max_seq_length));
        for (i, (part, mut rows)) in
            sentences.chunks(PART).zip(embeddings.axis_chunks_iter_mut(Axis(0), PART)).enumerate()
        {
            if !go_on(i * PART) {
                return Ok(None);
            }
            let tokens = self.tokenize_with_prompt(prompt, part)?;
            rows.assign(&self.encode_tokens_after(prompt.excluded, &tokens.ids, &mut pool));
        }
        Ok(Some(embeddings))
    }

    /// The embeddings of sentences given as token ids, special tokens included.
    pub fn encode_tokens(&self, sentences: &[Vec<u32>], pool: &mut BufferPool) -> Array2<f32> {
        self.encode_tokens_after(0, sentences, pool)
    }

    /// [`encode_tokens`](Self::encode_tokens), but pooling excludes the first `excluded` tokens of
    /// each sentence.
    pub fn encode_tokens_after(&self, excluded: usize, sentences: &[Vec<u32>], pool: &mut BufferPool) -> Array2<f32> {
        self.encode_tokens_under(None, excluded, sentences, pool)
    }

    /// [`encode_tokens_after`](Self::encode_tokens_after) under dropout: a plan, and the coordinate
    /// of the first sentence in its masks; those of the others follow.
    pub fn encode_tokens_under(
        &self,
        dropout: Option<(DropoutPlan, u32)>,
        excluded: usize,
        sentences: &[Vec<u32>],
        pool: &mut BufferPool,
    ) -> Array2<f32> {
        // Enters the pool of threads once. Entering it for every operation would nearly double the
        // time of a short sentence.
        rayon::scope(|_| {
            let mut embeddings = Array2::zeros((sentences.len(), self.dimension()));
            let (plan, first_stream) = dropout.unzip();
            let mut first = 0;
            while first < sentences.len() {
                let fits = sentences[first..].iter().scan(0, |tokens, ids| {
                    *tokens += ids.len();
                    (*tokens <= Self::ENCODED_TOKENS).then_some(())
                });
                let next = first + fits.count().max(1);
                let stream = |sentence| first_stream.unwrap_or(0) + sentence as u32;
                let batch =
                    TokenBatch::new(self.config(), &sentences[first..next], (first..next).map(stream).collect());
                let mut tape = self.tape(pool, &batch, false);
                let encoded = self.forward_after(excluded, &mut tape, &batch, plan.as_ref());
                embeddings.slice_mut(s![first..next, ..]).assign(tape.value(encoded));
                first = next;
            }
            embeddings
        })
    }
}
