//! The kernels that are bound by memory rather than by matrix products, at the base models' width,
//! on all threads.
//!
//! Speeds are in GB/s: the bytes that must be read and written, counting each once, divided by the
//! time of the best run. GELU is followed by a product with a single column. The loss, which is
//! mostly products, is in GFLOP/s.

#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis, s};
use simcse_benches::{Amount, Bench, SHAPES, Shape, check, matrix, peak, titles, values};
use simcse_tensor::profile::record;
use simcse_tensor::rng::Philox;
use simcse_tensor::{
    Activation, BufferPool, Dropout, Grads, Layout, Lookup, Norm, Params, Pooling, Precision, Rows, Slot, Tape, Var,
    softmax,
};
use simcse_train::optim::adamw::{AdamW, clip_scale, gradient_norm};
use simcse_train::{ContrastiveLoss, Objective};

/// A batch, and parameters: γ and β, the product after GELU, a table of embeddings.
struct Model {
    rows: Arc<Rows>,
    params: Params,
    norm: Norm,
    column: [Slot; 2],
    table: Slot,
    pool: BufferPool,
}

/// An operation's output, and the times of its forward and backward.
struct Done {
    y: Array2<f32>,
    forward: Duration,
    backward: Duration,
}

const VOCABULARY: usize = 4096;

impl Model {
    fn new(rows: Arc<Rows>, hidden: usize, intermediate: usize) -> Self {
        let mut layout = Layout::default();
        let [gamma, beta] = ["gamma", "beta"].map(|name| layout.push(name, &[hidden], false, true));
        let norm = Norm { gamma, beta: Some(beta), eps: 1e-12 };
        let column = [layout.push("weight", &[1, intermediate], true, true), layout.push("bias", &[1], false, true)];
        let table = layout.push("table", &[VOCABULARY, hidden], true, true);
        let mut params = Params::zeros(Arc::new(layout));
        params.slice_mut(gamma).fill(1.0);
        params.slice_mut(column[0]).fill(1.0);
        params.slice_mut(table).copy_from_slice(values(&matrix(VOCABULARY, hidden)));
        Self { rows, params, norm, column, table, pool: BufferPool::new() }
    }

    /// Runs forward and backward of the operation that `build` does with inputs.
    fn run(&mut self, inputs: &[&Array2<f32>], build: impl Fn(&mut Tape, &[Var]) -> Var) -> Done {
        let mut tape = Tape::new(&self.params, &mut self.pool, self.rows.clone(), true);
        let inputs: Vec<Var> = inputs.iter().map(|&input| tape.input(input.clone())).collect();
        let (var, forward) = record(|| build(&mut tape, &inputs));
        let y = tape.value(var).clone();
        let mut grads = Grads::zeros(self.params.layout().clone());
        let (_, backward) = record(|| tape.backward(&[(var, y.view())], &mut grads));
        Done { y, forward: forward.total(), backward: backward.total() }
    }
}

/// `Φ(x)` by the series `½ + φ(x)·(x + x³/3 + x⁵/15 + …)` (Marsaglia 2004).
fn cdf(x: f64) -> f64 {
    let series = (1..40).scan(x, |term, k| Some(std::mem::replace(term, *term * x * x / f64::from(2 * k + 1))));
    0.5 + series.sum::<f64>() * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

fn normalized(x: &Array2<f32>) -> Array2<f32> {
    let mut y = x.clone();
    for mut row in y.outer_iter_mut() {
        row -= row.mean().expect("a row has columns");
        row /= row.mapv(|x| x * x).mean().expect("a row has columns").sqrt();
    }
    y
}

fn on_the_tape(criterion: &mut Criterion) {
    let Shape { hidden, intermediate, .. } = SHAPES[0];
    let rows = titles(256);
    let tokens = rows.tokens();
    let mut model = Model::new(rows.clone(), hidden, intermediate);
    let norm = model.norm;
    let column = model.column;
    let x = matrix(tokens, hidden);
    let r = x.mapv(|x| x * x);
    let h = matrix(tokens, intermediate);
    let dropout = |rate| Dropout { rate, philox: Philox::new(1), step: 0, site: 0 };
    let bytes = |matrices: usize| Amount::Bytes(matrices * 4 * tokens * hidden);
    let wide = Amount::Bytes(2 * 4 * tokens * intermediate);
    let mut bench = Bench::new(criterion, "kernels".to_owned(), 0);

    let layer_norm =
        |rate| move |tape: &mut Tape, x: &[Var]| tape.layer_norm(x[0], Some(x[1]), Some(dropout(rate)), norm);
    check("LayerNorm", values(&model.run(&[&x, &r], layer_norm(0.0)).y), values(&normalized(&(&x + &r))), 1e-5);
    bench.timed_case("LayerNorm with residual and dropout", bytes(4), || model.run(&[&x, &r], layer_norm(0.1)).forward);
    bench.timed_case("its backward", bytes(4), || model.run(&[&x, &r], layer_norm(0.1)).backward);

    let activated =
        |activation| move |tape: &mut Tape, h: &[Var]| tape.activation_linear(h[0], activation, column[0], column[1]);
    let gelu = activated(Activation::Gelu);
    let sums = h.mapv(|h| h * cdf(h.into()) as f32).sum_axis(Axis(1)).insert_axis(Axis(1));
    check("GELU", values(&model.run(&[&h], gelu).y), values(&sums), 1e-4);
    bench.timed_case("GELU", wide, || model.run(&[&h], gelu).forward);
    bench.timed_case("GELU backward", wide, || model.run(&[&h], gelu).backward);
    let tanh = activated(Activation::GeluNew);
    check("GELU by tanh", values(&model.run(&[&h], tanh).y), values(&sums), 2e-3);
    bench.timed_case("GELU by tanh", wide, || model.run(&[&h], tanh).forward);
    bench.timed_case("GELU by tanh, backward", wide, || model.run(&[&h], tanh).backward);

    let drop = |tape: &mut Tape, x: &[Var]| tape.dropout(x[0], dropout(0.1));
    let y = model.run(&[&x], drop).y;
    let kept = ndarray::Zip::from(&y).and(&x).fold(0, |kept, &y, &x| {
        assert!(y == 0.0 || (y - x / 0.9).abs() < 1e-6, "dropout: {x} became {y}");
        kept + usize::from(y != 0.0)
    });
    assert!((0.87..0.91).contains(&(kept as f64 / y.len() as f64)), "dropout: kept {kept} of {}", y.len());
    bench.timed_case("dropout", bytes(2), || model.run(&[&x], drop).forward);

    let mean = |tape: &mut Tape, x: &[Var]| tape.pooling(x[0], Pooling::Mean);
    let y = model.run(&[&x], mean).y;
    let last = x.slice(s![rows.sentence(255), ..]).mean_axis(Axis(0)).expect("a sentence has tokens");
    check("pooling", &values(&y)[255 * hidden..], last.as_slice().expect("one row"), 1e-5);
    bench.timed_case("mean pooling", bytes(1), || model.run(&[&x], mean).forward);
    bench.timed_case("mean pooling backward", bytes(1), || model.run(&[&x], mean).backward);

    let index: Arc<[u32]> = (0..tokens).map(|i| (i * 7919 % VOCABULARY) as u32).collect();
    let table = model.table;
    let lookup =
        |tape: &mut Tape, _: &[Var]| tape.embedding(vec![Lookup { table, index: index.clone(), padding: None }; 2]);
    let indices: Vec<usize> = index.iter().map(|&i| i as usize).collect();
    let twice = 2.0 * &model.params.matrix(table).select(Axis(0), &indices);
    check("embedding", values(&model.run(&[], lookup).y), values(&twice), 1e-6);
    bench.timed_case("embedding of two tables", bytes(3), || model.run(&[], lookup).forward);
    bench.timed_case("embedding of two tables, backward", bytes(6), || model.run(&[], lookup).backward);
}

/// The softmax alone, of rows as wide as a block of the loss.
fn softmax_of_rows(criterion: &mut Criterion) {
    let rows = 4096;
    let width = 512;
    let scale = 20.0;
    let x = matrix(rows, width);
    let mut expected = x.mapv(|x| f64::from(scale * x).exp());
    expected.outer_iter_mut().for_each(|mut row| row /= row.sum());
    let mut p = x.clone();
    softmax(scale, &mut p);
    check("softmax", values(&p), values(&expected.mapv(|p| p as f32)), 1e-5);
    let mut bench = Bench::new(criterion, "kernels".to_owned(), 0);
    bench.case("softmax", Amount::Bytes(2 * 4 * rows * width), || softmax(scale, &mut p));
}

/// The optimizer over as many values as a layer of the base models has. Clipping and the update
/// each read the gradient; parameters and moments are read and written.
fn adamw(criterion: &mut Criterion) {
    const VALUES: usize = 7 << 20;
    let mut layout = Layout::default();
    layout.push("weight", &[VALUES], true, true);
    let mut params = Params::zeros(Arc::new(layout));
    let mut grads = Grads::zeros(params.layout().clone());
    grads.values_mut().copy_from_slice(values(&matrix(VALUES, 1)));
    let mut optimizer = AdamW::new(params.layout(), 0.0, 1e-8);
    // Without clipping, the first update moves every parameter against its gradient, by the
    // learning rate.
    optimizer.update(&mut params, &grads, 1e-3, 1.0);
    let expected: Vec<f32> = grads.values().iter().map(|g| if *g == 0.0 { 0.0 } else { -1e-3 * g.signum() }).collect();
    check("AdamW", params.values(), &expected, 1e-3);
    let mut bench = Bench::new(criterion, "kernels".to_owned(), 0);
    bench.case("AdamW with clipping", Amount::Bytes(8 * 4 * VALUES), || {
        optimizer.update(&mut params, &grads, 1e-3, clip_scale(gradient_norm(&grads), 1.0));
    });
}

/// The loss and its gradient for 128 sentences of 768 values: three products.
fn loss(criterion: &mut Criterion) {
    let batch = 128;
    let hidden = SHAPES[0].hidden;
    let embeddings = matrix(2 * batch, hidden);
    let mut unit = embeddings.clone();
    unit.outer_iter_mut().for_each(|mut row| row /= row.dot(&row).sqrt());
    let z1 = unit.slice(s![..batch, ..]);
    let z2 = unit.slice(s![batch.., ..]);
    let logits = 20.0 * z1.dot(&z2.t());
    let log_sum_exp = |row: ndarray::ArrayView1<f32>| row.mapv(|x| f64::from(x).exp()).sum().ln();
    let losses = logits.outer_iter().enumerate().map(|(i, row)| log_sum_exp(row) - f64::from(row[i]));
    let expected = losses.sum::<f64>() as f32 / batch as f32;
    let mut pool = BufferPool::new();
    let objective = ContrastiveLoss::simcse(20.0);
    let (value, _) = objective.loss_and_gradient(embeddings.clone(), 0..batch, 0, Precision::F32, &mut pool);
    check("loss", &[value], &[expected], 1e-4);
    let flop = (3 * 2 * batch * batch * hidden) as f64;
    let mut bench = Bench::new(criterion, "kernels".to_owned(), 0);
    bench.case("loss", Amount::Flop(flop, peak(Precision::F32, 0)), || {
        objective.loss_and_gradient(embeddings.clone(), 0..batch, 0, Precision::F32, &mut pool);
    });
}

criterion_group!(benches, on_the_tape, softmax_of_rows, adamw, loss);
criterion_main!(benches);
