//! What the benches share: the shapes of published models, inputs, and how a case is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use ndarray::Array2;
use simcse_model::{Architecture, ModelConfig, Precision};
use simcse_tensor::{Rows, peak_flops};

/// A model's sizes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The published model, or family of models, that has them.
    pub name: &'static str,
    /// `C`.
    pub hidden: usize,
    /// `F`.
    pub intermediate: usize,
    /// `H`.
    pub heads: usize,
}

/// bert-base, roberta-base, distilbert-base and distilroberta-base have layers of the same shape;
/// MiniLM's are half as wide.
pub const SHAPES: [Shape; 2] = [
    Shape { name: "base", hidden: 768, intermediate: 3072, heads: 12 },
    Shape { name: "MiniLM", hidden: 384, intermediate: 1536, heads: 12 },
];

impl Shape {
    /// The configuration of a BERT with such layers.
    pub fn config(self, num_hidden_layers: usize, vocab_size: usize) -> ModelConfig {
        ModelConfig {
            vocab_size,
            hidden_size: self.hidden,
            num_hidden_layers,
            num_attention_heads: self.heads,
            intermediate_size: self.intermediate,
            ..ModelConfig::defaults(Architecture::Bert)
        }
    }
}

/// The lengths in tokens of a batch's sentences, both views. They are like those of AskUbuntu
/// titles: 8 to 26, and 14.9 on average.
pub fn title_lengths(sentences: usize) -> Vec<usize> {
    (0..sentences).map(|i| 6 + [4, 11, 7, 20, 2, 9, 13, 5][i % 8]).collect()
}

/// The rows of a batch with [`title_lengths`].
pub fn titles(sentences: usize) -> Arc<Rows> {
    Arc::new(Rows::new(title_lengths(sentences), (0..sentences as u32).collect()))
}

/// A matrix of varied values between −1 and 1.
pub fn matrix(rows: usize, cols: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, cols), |(i, j)| ((i * 31 + j * 17 + i * j % 61) % 127) as f32 / 63.5 - 1.0)
}

/// The values of a matrix, row after row.
pub fn values(matrix: &Array2<f32>) -> &[f32] {
    matrix.as_slice().expect("row-major")
}

/// The precisions available on this processor.
pub fn precisions() -> impl Iterator<Item = Precision> {
    [Precision::F32, Precision::Bf16].into_iter().filter(|precision| precision.is_available())
}

/// Checks a result before it is timed.
///
/// # Panics
/// If the buffers differ by more than `tolerance` times the largest expected value.
pub fn check(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let largest = expected.iter().fold(1e-30f32, |largest, x| largest.max(x.abs()));
    let error = got.iter().zip(expected).fold(0.0f32, |error, (a, b)| error.max((a - b).abs())) / largest;
    assert!(error <= tolerance, "{what}: differs by {error} times the largest value, more than {tolerance}");
}

/// How much a case does, from which its speed is computed.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// FLOP, two per multiply-add, and the peak in FLOP per second. Criterion shows FLOP as
    /// elements, so its `Gelem/s` are GFLOP/s.
    Flop(f64, f64),
    /// The bytes that must be read and written, counting each once.
    Bytes(usize),
}

/// The peak in FLOP per second of `threads` threads; 0 stands for all cores.
pub fn peak(precision: Precision, threads: usize) -> f64 {
    pool(threads).install(|| peak_flops(precision))
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("cannot start threads")
}

/// Runs a group of cases one after another on a pool of threads.
pub struct Bench<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    name: String,
    pool: rayon::ThreadPool,
}

impl<'a> Bench<'a> {
    /// A group of cases on `threads` threads; 0 stands for all cores.
    pub fn new(criterion: &'a mut Criterion, name: String, threads: usize) -> Self {
        let mut group = criterion.benchmark_group(&name);
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
        Self { group, name, pool: pool(threads) }
    }

    /// Measures `run`, and prints the speed of its best run.
    pub fn case(&mut self, case: &str, work: Amount, mut run: impl FnMut() + Send) {
        self.timed_case(case, work, || {
            let started = Instant::now();
            run();
            started.elapsed()
        });
    }

    /// Measures the time that `run` returns.
    pub fn timed_case(&mut self, case: &str, work: Amount, mut run: impl FnMut() -> Duration + Send) {
        let Self { group, name, pool } = self;
        group.throughput(match work {
            Amount::Flop(flop, _) => Throughput::Elements(flop as u64),
            Amount::Bytes(bytes) => Throughput::Bytes(bytes as u64),
        });
        let mut best = Duration::MAX;
        group.bench_function(case, |bencher| {
            bencher.iter_custom(|n| {
                let times = (0..n).map(|_| pool.install(&mut run));
                times.inspect(|&took| best = best.min(took)).sum()
            });
        });
        if best == Duration::MAX {
            return; // excluded by a filter on the command line
        }
        let seconds = best.as_secs_f64();
        match work {
            Amount::Flop(flop, peak) => {
                let speed = flop / seconds;
                println!("{name}/{case}: {:.1} GFLOP/s, {:.1} % of the peak", speed / 1e9, 100.0 * speed / peak);
            }
            Amount::Bytes(bytes) => println!("{name}/{case}: {:.1} GB/s", bytes as f64 / seconds / 1e9),
        }
    }
}
