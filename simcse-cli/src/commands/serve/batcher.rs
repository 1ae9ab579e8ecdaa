//! Texts of all requests, encoded together.
//!
//! Requests go to one queue, and one thread computes: it takes all that waits, up to
//! [`BATCH_TOKENS`], and encodes it in one pass without padding. While it computes, the next batch
//! gathers, so batches grow with the load, and a request that comes alone does not wait for
//! company. Requests take turns of a few texts: a short one does not wait for all of a long one.
//!
//! An embedding's bits depend on its text alone, so answers do not depend on what else there is.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use ndarray::{Array2, s};
use rayon::prelude::*;
use simcse_model::{BufferPool, Prompt, SentenceEncoder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::commands::serve::errors::{ApiError, ErrorKind};
use crate::commands::serve::metrics::Metrics;

/// Tokens that are encoded together, unless one text has more. Larger batches are not faster, but
/// whoever comes meanwhile waits longer.
pub(crate) const BATCH_TOKENS: usize = 1024;
/// Tokens after which the next request has its turn: a few short texts are done at once.
const TURN_TOKENS: usize = 64;
/// Bytes of text that are tokenized between two batches.
const TOKENIZED_BYTES: usize = 1 << 20;

/// Where requests hand in their texts.
#[derive(Debug)]
pub(crate) struct Batcher {
    sender: Sender<Job>,
    /// Texts that may still be handed in.
    places: Arc<Semaphore>,
    most: usize,
    thread: JoinHandle<()>,
}

/// Texts to encode.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) texts: Vec<String>,
    /// What is put in front of each.
    pub(crate) prompt: String,
    /// As in [`Prompt`].
    pub(crate) excluded: usize,
    /// Whether texts that are too long are cut, or refused.
    pub(crate) truncate: bool,
}

/// The embeddings of a request's texts.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// (S, C)
    pub(crate) embeddings: Array2<f32>,
    pub(crate) tokens: usize,
}

/// A request in the queue.
struct Job {
    texts: Texts,
    answer: Answer,
}

/// Where the answer to a request goes.
struct Answer {
    sender: oneshot::Sender<Result<Encoded, ApiError>>,
    _places: OwnedSemaphorePermit,
}

impl Batcher {
    /// Starts the thread. It ends when this is dropped.
    pub(crate) fn start(encoder: Arc<SentenceEncoder>, most: usize, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let mut compute = Compute::new(encoder, receiver, metrics);
        let thread = thread::Builder::new().name("compute".to_owned()).spawn(move || compute.run())?;
        Ok(Self { sender, places: Arc::new(Semaphore::new(most)), most, thread })
    }

    /// Whether texts are still encoded.
    pub(crate) fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// How many texts wait or are being encoded.
    pub(crate) fn queued(&self) -> usize {
        self.most - self.places.available_permits()
    }

    /// The embeddings of texts. Whoever drops this no longer wants them: what has not begun is not
    /// computed.
    pub(crate) async fn encode(&self, texts: Texts) -> Result<Encoded, ApiError> {
        let places = u32::try_from(texts.texts.len()).map_err(|_| ApiError::overloaded())?;
        let places = self.places.clone().try_acquire_many_owned(places).map_err(|_| ApiError::overloaded())?;
        let (sender, receiver) = oneshot::channel();
        let job = Job { texts, answer: Answer { sender, _places: places } };
        // A thread that has ended, or dropped the job, leaves no answer.
        let _ = self.sender.send(job);
        let failed = || ApiError::new(ErrorKind::Backend, "the model failed; the server's messages say how");
        receiver.await.unwrap_or_else(|_| Err(failed()))
    }
}

/// A request whose texts are being encoded.
struct Running {
    /// Token ids of each text; those that are encoded are empty.
    ids: Vec<Vec<u32>>,
    /// The first text that is not encoded yet.
    next: usize,
    excluded: usize,
    encoded: Encoded,
    answer: Answer,
}

/// What the thread works on.
struct Compute {
    encoder: Arc<SentenceEncoder>,
    receiver: Receiver<Job>,
    metrics: Arc<Metrics>,
    pool: BufferPool,
    running: VecDeque<Running>,
}

impl Compute {
    fn new(encoder: Arc<SentenceEncoder>, receiver: Receiver<Job>, metrics: Arc<Metrics>) -> Self {
        let mut pool = BufferPool::with_room(BATCH_TOKENS);
        // Packs the weights, so that the first request does not wait for it.
        encoder.encode_tokens(&[vec![0]], &mut pool);
        Self { encoder, receiver, metrics, pool, running: VecDeque::new() }
    }

    fn run(&mut self) {
        loop {
            let mut arrived = Vec::new();
            if self.running.is_empty() {
                match self.receiver.recv() {
                    Ok(job) => arrived.push(job),
                    Err(_) => return,
                }
            }
            // A panic, which the standard library reports, costs the requests that are there, not
            // the thread.
            if catch_unwind(AssertUnwindSafe(|| self.round(arrived))).is_err() {
                self.running.clear();
                self.pool = BufferPool::with_room(BATCH_TOKENS);
            }
        }
    }

    /// Tokenizes what has arrived and encodes a batch.
    fn round(&mut self, mut arrived: Vec<Job>) {
        let size = |job: &Job| job.texts.texts.iter().map(String::len).sum::<usize>();
        let mut bytes: usize = arrived.iter().map(size).sum();
        while bytes < TOKENIZED_BYTES
            && let Ok(job) = self.receiver.try_recv()
        {
            bytes += size(&job);
            arrived.push(job);
        }
        let encoder = &self.encoder;
        let tokenized: Vec<_> =
            arrived.into_par_iter().filter(is_wanted).filter_map(|job| tokenized(encoder, job)).collect();
        self.running.extend(tokenized);
        self.running.retain(|running| !running.answer.sender.is_closed());
        if !self.running.is_empty() {
            self.encode_batch();
        }
    }

    /// Encodes the next batch, and answers requests that it completes.
    fn encode_batch(&mut self) {
        let excluded = self.running[0].excluded;
        let shares = shares(&self.running);
        let taken = self.running.iter_mut().zip(&shares);
        let ids: Vec<Vec<u32>> = taken
            .flat_map(|(running, &share)| running.ids[running.next..][..share].iter_mut().map(mem::take))
            .collect();
        self.metrics.encoded(ids.len(), ids.iter().map(Vec::len).sum());
        let embeddings = self.encoder.encode_tokens_after(excluded, &ids, &mut self.pool);

        let mut first = 0;
        for share in shares {
            let mut running = self.running.pop_front().expect("a share for each");
            let rows = embeddings.slice(s![first..first + share, ..]);
            first += share;
            if rows.iter().any(|value| !value.is_finite()) {
                running.answer.send(Err(ApiError::new(
                    ErrorKind::Backend,
                    "the model gives an embedding with NaN or infinite values: its weights are damaged or too large",
                )));
                continue;
            }
            let next = running.next + share;
            running.encoded.embeddings.slice_mut(s![running.next..next, ..]).assign(&rows);
            running.next = next;
            if next == running.ids.len() {
                running.answer.send(Ok(running.encoded));
            } else {
                self.running.push_back(running);
            }
        }
    }
}

impl Answer {
    /// Answers, if the client is still there.
    fn send(self, answer: Result<Encoded, ApiError>) {
        let _ = self.sender.send(answer);
    }
}

fn is_wanted(job: &Job) -> bool {
    !job.answer.sender.is_closed()
}

/// A job with its token ids, or `None` if it was answered with an error.
fn tokenized(encoder: &SentenceEncoder, Job { texts, answer }: Job) -> Option<Running> {
    let Texts { texts, prompt, excluded, truncate } = texts;
    let prompt = Prompt { text: &prompt, excluded };
    let tokens = match encoder.tokenize_with_prompt(prompt, &texts) {
        Ok(tokens) if tokens.cut > 0 && !truncate => {
            let most = encoder.directory.max_seq_length;
            let message = format!(
                "`inputs` must have at most {most} tokens each: {} of {} have more, and `truncate` is false",
                tokens.cut,
                texts.len()
            );
            answer.send(Err(ApiError::new(ErrorKind::Validation, message)));
            return None;
        }
        Ok(tokens) => tokens,
        Err(error) => {
            answer.send(Err(ApiError::new(ErrorKind::Tokenizer, error.to_string())));
            return None;
        }
    };
    let encoded = Encoded {
        embeddings: Array2::zeros((tokens.ids.len(), encoder.dimension())),
        tokens: tokens.ids.iter().map(Vec::len).sum(),
    };
    Some(Running { ids: tokens.ids, next: 0, excluded, encoded, answer })
}

/// How many texts of each request the next batch takes: in turns of [`TURN_TOKENS`], until it is
/// full. Only requests with as many excluded tokens as the first one can join it.
fn shares(running: &VecDeque<Running>) -> Vec<usize> {
    let mut shares = vec![0; running.len()];
    let mut tokens = 0;
    loop {
        let before = tokens;
        for (request, share) in running.iter().zip(&mut shares) {
            if request.excluded != running[0].excluded {
                continue;
            }
            let begin = tokens;
            while let Some(ids) = request.ids.get(request.next + *share)
                && tokens < begin + TURN_TOKENS
            {
                if tokens > 0 && tokens + ids.len() > BATCH_TOKENS {
                    return shares;
                }
                tokens += ids.len();
                *share += 1;
            }
        }
        if tokens == before {
            return shares;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request whose texts have as many tokens.
    fn request(tokens: &[usize], excluded: usize) -> Running {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let answer = Answer { sender: oneshot::channel().0, _places: permit };
        let ids = tokens.iter().map(|&tokens| vec![0; tokens]).collect();
        let encoded = Encoded { embeddings: Array2::zeros((tokens.len(), 1)), tokens: 0 };
        Running { ids, next: 0, excluded, encoded, answer }
    }

    #[test]
    fn requests_take_turns() {
        let long = BATCH_TOKENS / 4;
        let running = VecDeque::from([request(&[long; 9], 0), request(&[5; 3], 0), request(&[7; 40], 0)]);
        assert_eq!(shares(&running), [3, 3, 30], "three turns; the fourth text of the first does not fit");
        let running = VecDeque::from([request(&[3 * BATCH_TOKENS], 0), request(&[5], 0)]);
        assert_eq!(shares(&running), [1, 0], "a text that is longer than a batch is one");
    }

    #[test]
    fn a_batch_excludes_as_many_tokens_of_each_text() {
        let running = VecDeque::from([request(&[5], 2), request(&[5], 0), request(&[5], 2)]);
        assert_eq!(shares(&running), [1, 0, 1]);
    }
}
