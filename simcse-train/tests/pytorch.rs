//! The same numbers as PyTorch: hidden states, embeddings, loss, gradients and ten optimizer steps
//! of each kind of encoder, compared with what `tools/generate/goldens.py` computed in f64,
//! without dropout and with our generator's masks.
//!
//! To compare models of published sizes, set `SIMCSE_GOLDENS` to a directory that
//! `tools/generate/goldens.py --live` wrote.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;
use simcse_model::{DropoutPlan, Named, Pooling, SentenceEncoder, TokenBatch};
use simcse_tensor::{BufferPool, Grads};
use simcse_train::optim::adamw::{AdamW, clip_scale, gradient_norm};
use simcse_train::optim::schedule::LinearSchedule;
use simcse_train::{ContrastiveLoss, Settings, StepBuffers, TokenizedBatch, accumulate_gradient};

/// Largest absolute errors of hidden states, unit embeddings and the loss; relative L2 error of a
/// tensor's gradient.
const BOUNDS: Errors = Errors { hidden: 2e-5, unit: 1e-5, loss: 1e-5, gradient: f64::INFINITY, worst_gradient: 3e-5 };
/// The same for ten steps: each step's loss, what the steps added to all weights together, and what
/// they added to the worst tensor. The last may be exceeded where PyTorch's own error is large:
/// AdamW divides small gradients by their size, and with them their errors.
const TRAINING_BOUNDS: TrainingErrors = TrainingErrors { loss: 1e-4, update: 1e-3, worst_update: 1e-3 };
/// Bound on the error of all gradients together (the median over the batches) and of the worst
/// update, as a multiple of the error of PyTorch in f32.
const TIMES_TORCH: f64 = 2.0;

/// `golden.json`.
#[derive(Deserialize)]
struct Golden {
    model: PathBuf,
    scale: f32,
    whole: usize,
    stride: usize,
    dropout: Rates,
    training: Training,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Rates {
    hidden: f32,
    attention: f32,
    seed: u64,
}

#[derive(Deserialize)]
struct Case {
    sentences: Vec<Vec<u32>>,
    pooling: String,
    /// The step whose dropout masks are used; `null` means no dropout.
    step: Option<u32>,
    loss: f64,
    torch_f32: Errors,
}

#[derive(Deserialize)]
struct Training {
    learning_rate: f64,
    warmup_ratio: f64,
    weight_decay: f64,
    max_grad_norm: f64,
    losses: Vec<f64>,
    torch_f32: TrainingErrors,
}

/// Distances from the f64 results in one batch.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Errors {
    hidden: f64,
    unit: f64,
    loss: f64,
    /// All gradients together.
    gradient: f64,
    /// The tensor with the largest error.
    worst_gradient: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct TrainingErrors {
    loss: f64,
    update: f64,
    worst_update: f64,
}

impl Errors {
    fn max(self, other: Self) -> Self {
        Self {
            hidden: self.hidden.max(other.hidden),
            unit: self.unit.max(other.unit),
            loss: self.loss.max(other.loss),
            gradient: self.gradient.max(other.gradient),
            worst_gradient: self.worst_gradient.max(other.worst_gradient),
        }
    }
}

impl Golden {
    fn read(dir: &Path) -> Self {
        serde_json::from_slice(&std::fs::read(dir.join("golden.json")).unwrap()).unwrap()
    }

    fn dropout(&self, step: u32) -> DropoutPlan {
        let Rates { hidden, attention, seed } = self.dropout;
        DropoutPlan { hidden, attention, seed, step }
    }

    /// The values that the file holds of an array: all of them, or a sample of a large array.
    fn sample(&self, values: &[f32], case: usize) -> Vec<f32> {
        let (first, stride) = if values.len() <= self.whole { (0, 1) } else { (case, self.stride) };
        values.iter().skip(first).step_by(stride).copied().collect()
    }
}

/// What PyTorch computed.
struct Expected<'a>(SafeTensors<'a>);

impl Expected<'_> {
    /// For each value of the array `name`, the difference of `got` from it, and the value itself.
    fn compare(&self, name: &str, got: &[f32]) -> Vec<(f64, f64)> {
        let bytes = self.0.tensor(name).unwrap().data().as_chunks::<4>().0;
        assert_eq!(bytes.len(), got.len(), "{name}");
        let expected = bytes.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes)));
        expected.zip(got).map(|(expected, &got)| (f64::from(got) - expected, expected)).collect()
    }

    fn largest_error(&self, name: &str, got: &[f32]) -> f64 {
        self.compare(name, got).iter().fold(0.0, |largest, (error, _)| f64::max(largest, error.abs()))
    }

    /// Relative L2 errors of a buffer with the layout of the parameters: that of all tensors
    /// together, and that of the worst tensor.
    fn relative_errors(
        &self,
        prefix: &str,
        encoder: &SentenceEncoder,
        sample: impl Fn(&[f32]) -> Vec<f32>,
        buffer: &[f32],
    ) -> (f64, f64) {
        let mut errors = 0.0;
        let mut squares = 0.0;
        let mut worst = 0.0;
        for tensor in encoder.params.layout().parameters().iter().filter(|tensor| tensor.trainable) {
            if ["key.bias", "k_lin.bias", "attn.k.bias"].iter().any(|name| tensor.name.ends_with(name)) {
                continue; // softmax is invariant to it, so its true gradient is 0
            }
            let pairs = self.compare(&format!("{prefix}.{}", tensor.name), &sample(&buffer[tensor.range()]));
            let error: f64 = pairs.iter().map(|(error, _)| error * error).sum();
            let square: f64 = pairs.iter().map(|(_, expected)| expected * expected).sum();
            assert!(error.is_finite() && square > 0.0, "{prefix}.{}: error {error}, length {square}", tensor.name);
            errors += error;
            squares += square;
            worst = f64::max(worst, (error / square).sqrt());
        }
        ((errors / squares).sqrt(), worst)
    }
}

/// One batch: forward, loss and gradients.
fn run_case(encoder: &mut SentenceEncoder, golden: &Golden, number: usize, expected: &Expected) -> Errors {
    let case = &golden.cases[number];
    let plan = case.step.map(|step| golden.dropout(step));
    let half = case.sentences.len() as u32;
    let views: Vec<&Vec<u32>> = case.sentences.iter().chain(&case.sentences).collect();
    let streams = [0, 1].into_iter().flat_map(|view| (0..half).map(move |i| 2 * i + view)).collect();
    let batch = TokenBatch::new(encoder.config(), &views, streams);

    let mut pool = BufferPool::new();
    let mut tape = encoder.tape(&mut pool, &batch, false);
    let hidden = encoder.hidden_states(&mut tape, &batch, plan.as_ref());
    let compare = |name: &str, values: &ndarray::Array2<f32>| {
        let values = values.as_standard_layout();
        let sample = golden.sample(values.as_slice().unwrap(), number);
        expected.largest_error(&format!("{number}.{name}"), &sample)
    };
    let mut errors = Errors { hidden: compare("hidden", tape.value(hidden)), ..Errors::default() };
    for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Max] {
        let pooled = tape.pooling(hidden, pooling);
        let unit = tape.normalize(pooled);
        errors.unit = errors.unit.max(compare(&format!("unit.{}", pooling.name()), tape.value(unit)));
    }
    drop(tape);

    encoder.directory.pooling = Pooling::from_name(&case.pooling).unwrap();
    let mut grads = Grads::zeros(encoder.params.layout().clone());
    let mut buffers = StepBuffers::default();
    let objective = ContrastiveLoss::simcse(golden.scale);
    let batch = TokenizedBatch::new(1, case.sentences.clone());
    let loss = accumulate_gradient(encoder, &batch, plan.as_ref(), &objective, &mut buffers, &mut grads);
    errors.loss = (f64::from(loss) - case.loss).abs();
    let sample = |values: &[f32]| golden.sample(values, number);
    (errors.gradient, errors.worst_gradient) =
        expected.relative_errors(&format!("{number}.gradient"), encoder, sample, grads.values());
    errors
}

/// Ten steps on the same batches, with dropout.
fn train(encoder: &mut SentenceEncoder, golden: &Golden, expected: &Expected) -> TrainingErrors {
    let Training { learning_rate, warmup_ratio, weight_decay, max_grad_norm, losses, .. } = &golden.training;
    let batches = golden.cases.len() / 2;
    let total_steps = losses.len() as u64;
    let warmup_steps = Settings { warmup_ratio: *warmup_ratio, ..Settings::default() }.warmup_steps_of(total_steps);
    let schedule = LinearSchedule { warmup_steps, total_steps };
    let before = encoder.params.clone();
    let mut optimizer = AdamW::new(before.layout(), *weight_decay, 1e-8);
    let mut grads = Grads::zeros(before.layout().clone());
    let mut buffers = StepBuffers::default();
    let objective = ContrastiveLoss::simcse(golden.scale);
    let mut worst_loss = 0.0;
    encoder.directory.pooling = Pooling::Mean;
    for (step, expected) in losses.iter().enumerate() {
        let batch = TokenizedBatch::new(1, golden.cases[step % batches].sentences.clone());
        let plan = golden.dropout(step as u32);
        grads.clear();
        let loss = accumulate_gradient(encoder, &batch, Some(&plan), &objective, &mut buffers, &mut grads);
        let scale = clip_scale(gradient_norm(&grads), *max_grad_norm);
        optimizer.update(&mut encoder.params, &grads, learning_rate * schedule.factor(step as u64), scale);
        worst_loss = f64::max(worst_loss, (f64::from(loss) - expected).abs());
    }
    let added: Vec<f32> =
        encoder.params.values().iter().zip(before.values()).map(|(after, before)| after - before).collect();
    let (update, worst_update) = expected.relative_errors("update", encoder, |values| golden.sample(values, 0), &added);
    TrainingErrors { loss: worst_loss, update, worst_update }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    (values[middle] + values[values.len() - 1 - middle]) / 2.0
}

/// Runs all cases of a golden directory, prints the errors alongside those of PyTorch in f32, and
/// compares them with the bounds.
fn check(dir: &Path) {
    let golden = Golden::read(dir);
    let bytes = std::fs::read(dir.join("golden.safetensors")).unwrap();
    let expected = Expected(SafeTensors::deserialize(&bytes).unwrap());
    let mut encoder = SentenceEncoder::load(dir.join(&golden.model)).unwrap();
    let name = dir.file_name().unwrap().display();

    let mut failures = Vec::new();
    let mut report = |what: String, ours: f64, theirs: f64, bound: f64| {
        println!("| {name} | {what} | {ours:.1e} | {theirs:.1e} | {bound:.1e} |");
        if ours > bound || ours.is_nan() {
            failures.push(what);
        }
    };
    println!("| model | largest error | ours | PyTorch in f32 | bound |\n|---|---|---|---|---|");
    let half = golden.cases.len() / 2;
    for (with, numbers) in [("", 0..half), (", dropout", half..2 * half)] {
        let errors: Vec<Errors> = numbers.clone().map(|i| run_case(&mut encoder, &golden, i, &expected)).collect();
        let torch_errors: Vec<Errors> = golden.cases[numbers].iter().map(|case| case.torch_f32).collect();
        let [ours, theirs] =
            [&errors, &torch_errors].map(|all| all.iter().copied().fold(Errors::default(), Errors::max));
        report(format!("hidden states{with}"), ours.hidden, theirs.hidden, BOUNDS.hidden);
        report(format!("unit embeddings{with}"), ours.unit, theirs.unit, BOUNDS.unit);
        report(format!("loss{with}"), ours.loss, theirs.loss, BOUNDS.loss);
        report(format!("worst gradient{with}"), ours.worst_gradient, theirs.worst_gradient, BOUNDS.worst_gradient);
        let [ours, theirs] =
            [errors, torch_errors].map(|all| median(all.iter().map(|errors| errors.gradient).collect()));
        report(format!("all gradients (median){with}"), ours, theirs, TIMES_TORCH * theirs);
    }
    let ours = train(&mut encoder, &golden, &expected);
    let theirs = golden.training.torch_f32;
    report("loss, ten steps".to_owned(), ours.loss, theirs.loss, TRAINING_BOUNDS.loss);
    report("update, ten steps".to_owned(), ours.update, theirs.update, TRAINING_BOUNDS.update);
    let bound = TRAINING_BOUNDS.worst_update.max(TIMES_TORCH * theirs.worst_update);
    report("worst update, ten steps".to_owned(), ours.worst_update, theirs.worst_update, bound);
    assert!(failures.is_empty(), "{name}: {}", failures.join("; "));
}

fn committed(name: &str) {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name));
}

#[test]
fn bert() {
    committed("bert");
}

#[test]
fn roberta() {
    committed("roberta");
}

#[test]
fn distilbert() {
    committed("distilbert");
}

#[test]
fn electra() {
    committed("electra");
}

#[test]
fn mpnet() {
    committed("mpnet");
}

#[test]
fn modernbert() {
    committed("modernbert");
}

#[test]
fn published_sizes() {
    let Some(goldens) = std::env::var_os("SIMCSE_GOLDENS") else {
        println!("skipped: SIMCSE_GOLDENS is not set");
        return;
    };
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(goldens).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    assert!(!dirs.is_empty());
    dirs.iter().for_each(|dir| check(dir));
}
