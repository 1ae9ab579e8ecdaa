//! A pass over an input: what encodes its sentences, chunk by chunk.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;
use std::{panic, thread};

use indicatif::ProgressBar;
use ndarray::{Array2, s};
use simcse_eval::metrics::unit_rows;
use simcse_model::{BufferPool, Prompt, SentenceEncoder};

use crate::commands::encode::input::{Chunk, Input};
use crate::error::Failure;
use crate::stop;

/// How often to check for a stop while waiting for a pipe.
const PAUSE: Duration = Duration::from_millis(50);

/// How sentences become embeddings.
pub(crate) struct Encoding<'a> {
    pub(crate) encoder: &'a SentenceEncoder,
    pub(crate) prompt: Prompt<'a>,
    /// The values that are kept of each embedding.
    pub(crate) dimension: usize,
    pub(crate) normalize: bool,
    pub(crate) pool: BufferPool,
    /// Sentences longer than the model's maximum length.
    pub(crate) cut: usize,
}

impl Encoding<'_> {
    /// Gives `each` the sentences of an input and their embeddings, (S, C), in order, without the
    /// first `skipped`.
    pub(crate) fn pass(
        &mut self,
        input: &Input,
        skipped: usize,
        bar: &ProgressBar,
        mut each: impl FnMut(&Chunk, Array2<f32>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (sender, chunks) = sync_channel(1);
        // On its own thread, because reading a pipe may block forever.
        let reader = thread::spawn({
            let input = input.clone();
            move || input.send(skipped, &sender)
        });
        loop {
            if stop::requested() {
                return Err(Failure::Stopped("stopped".to_owned()));
            }
            match chunks.recv_timeout(PAUSE) {
                Ok(chunk) => {
                    let embeddings = self.encode(input, &chunk)?;
                    each(&chunk, embeddings)?;
                    bar.inc(chunk.texts.len() as u64);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let warnings = reader.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        input.warn_late(&warnings);
        Ok(())
    }

    fn encode(&mut self, input: &Input, Chunk { texts, lines }: &Chunk) -> Result<Array2<f32>, Failure> {
        let tokens = self.encoder.tokenize_with_prompt(self.prompt, texts)?;
        let embeddings = self.encoder.encode_tokens_after(self.prompt.excluded, &tokens.ids, &mut self.pool);
        if let Some(row) = embeddings.rows().into_iter().position(|row| row.iter().any(|value| !value.is_finite())) {
            return Err(Failure::Failed(format!(
                "{}, line {}: the model gives an embedding with NaN or infinite values: its weights are damaged or \
                 too large",
                input.name(),
                lines[row]
            )));
        }
        self.cut += tokens.cut;
        let kept = embeddings.slice(s![.., ..self.dimension]);
        Ok(if self.normalize { unit_rows(kept) } else { kept.to_owned() })
    }
}
