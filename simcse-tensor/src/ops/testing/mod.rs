//! Tests only: checks an operation on the tape against a naive f64 oracle.
//!
//! The forward is compared directly, the backward with central differences of the oracle, for
//! random shapes and random upstream gradients. An operation's own test, at the foot of its file,
//! is a call of [`check`]; `edges` has the numerical edges of all of them.
//!
//! This room knows the tape and may use everything. Nothing outside of tests may use it.

mod edges;

use std::sync::Arc;

use ndarray::{Array2, Zip};
use proptest::prelude::*;

use crate::rng::Philox;
use crate::{BufferPool, Grads, Layout, Params, Rows, Slot, Tape, Var};

/// A random instance: sentences, the shapes of inputs and parameters, and the seed of their values.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) rows: Arc<Rows>,
    pub(crate) inputs: Vec<(usize, usize)>,
    pub(crate) params: Vec<(usize, usize)>,
    pub(crate) seed: u64,
}

/// Up to 40 sentences (more than two blocks of gradients) of 0 to 4 tokens, or one or two longer
/// ones.
pub(crate) fn sentences() -> impl Strategy<Value = Arc<Rows>> {
    let lengths = prop_oneof![prop::collection::vec(0..5usize, 1..40), prop::collection::vec(1..20usize, 1..3)];
    lengths.prop_map(|lengths| {
        let streams = (0..lengths.len() as u32).collect();
        Arc::new(Rows::new(lengths, streams))
    })
}

/// A random permutation of an even grid on −1..1 that leaves out 0. No two values are so close that
/// a maximum could move to the other one within a difference quotient.
fn random((rows, cols): (usize, usize), philox: Philox, stream: u32) -> Array2<f32> {
    let n = (rows * cols) as u32;
    let mut order: Vec<u32> = (0..n).collect();
    order.sort_by_key(|&i| philox.block([i, stream, 0, 0])[0]);
    let values = order.into_iter().map(|i| (i as f32 + 0.7) * 2.0 / n as f32 - 1.0).collect();
    Array2::from_shape_vec((rows, cols), values).unwrap()
}

/// The values of a case's input `i`.
pub(crate) fn input(case: &Case, i: usize) -> Array2<f32> {
    random(case.inputs[i], Philox::new(case.seed), i as u32)
}

type Matrices = Vec<Array2<f64>>;

/// Checks an operation: `build` does it on the tape, given inputs and parameters; `oracle` in f64.
pub(crate) fn check(
    case: &Case,
    build: impl Fn(&mut Tape, &[Var], &[Slot]) -> Var,
    oracle: impl Fn(&[Array2<f64>], &[Array2<f64>]) -> Array2<f64>,
) {
    // Gradients of parameters must be added to what is there, not written over it.
    const GRADIENTS_BEFORE: f32 = 0.5;
    let philox = Philox::new(case.seed);
    let mut layout = Layout::default();
    let slots: Vec<Slot> = case.params.iter().map(|&(rows, cols)| layout.push("", &[rows, cols], true, true)).collect();
    let mut params = Params::zeros(Arc::new(layout));
    for (i, (&slot, &shape)) in slots.iter().zip(&case.params).enumerate() {
        params.slice_mut(slot).copy_from_slice(random(shape, philox, 1000 + i as u32).as_slice().unwrap());
    }
    let inputs: Vec<_> = (0..case.inputs.len()).map(|i| input(case, i)).collect();

    // Both runs share a pool, so that the second one gets used buffers.
    let mut pool = BufferPool::new();
    let mut run = |recording| {
        let mut tape = Tape::new(&params, &mut pool, case.rows.clone(), recording);
        let vars: Vec<Var> = inputs.iter().map(|input| tape.input(input.clone())).collect();
        let y = build(&mut tape, &vars, &slots);
        let value = tape.value(y).clone();
        if !recording {
            return (value, None);
        }
        let dy = random(value.dim(), philox, 2000);
        let mut grads = Grads::zeros(params.layout().clone());
        grads.values_mut().fill(GRADIENTS_BEFORE);
        let mut gradients = tape.backward(&[(y, dy.view())], &mut grads);
        let dinputs: Vec<_> = vars.iter().map(|&var| gradients.take(var)).collect();
        (value, Some((dy, grads, dinputs)))
    };
    let (unrecorded, _) = run(false);
    let (value, Some((dy, grads, dinputs))) = run(true) else { unreachable!() };
    assert_eq!(unrecorded, value, "recording changes the forward");

    let f64s = |matrix: &Array2<f32>| matrix.mapv(f64::from);
    let mut inputs: Matrices = inputs.iter().map(f64s).collect();
    let mut values: Matrices = slots.iter().map(|&slot| f64s(&params.matrix(slot).to_owned())).collect();
    assert_close("forward", &value, &oracle(&inputs, &values));

    let dy = f64s(&dy);
    let objective = |inputs: &Matrices, values: &Matrices| (oracle(inputs, values) * &dy).sum();
    for (i, dinput) in dinputs.iter().enumerate() {
        let numeric = central_differences(&mut inputs, i, |inputs| objective(inputs, &values));
        assert_close(&format!("gradient of input {i}"), dinput, &numeric);
    }
    for (i, &slot) in slots.iter().enumerate() {
        let numeric = central_differences(&mut values, i, |values| objective(&inputs, values));
        let added = grads.matrix(slot).mapv(|g| g - GRADIENTS_BEFORE);
        assert_close(&format!("gradient of parameter {i}"), &added, &numeric);
    }
}

/// `(f(x + h) − f(x − h)) / 2h` for every value of matrix `i`.
fn central_differences(matrices: &mut Matrices, i: usize, f: impl Fn(&Matrices) -> f64) -> Array2<f64> {
    const H: f64 = 1e-5;
    let mut gradient = Array2::zeros(matrices[i].dim());
    for at in ndarray::indices(matrices[i].dim()) {
        let x = matrices[i][at];
        matrices[i][at] = x + H;
        let above = f(matrices);
        matrices[i][at] = x - H;
        gradient[at] = (above - f(matrices)) / (2.0 * H);
        matrices[i][at] = x;
    }
    gradient
}

fn assert_close(what: &str, found: &Array2<f32>, expected: &Array2<f64>) {
    const TOLERANCE: f64 = 2e-5;
    assert_eq!(found.dim(), expected.dim(), "{what}: shape");
    let largest = expected.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
    Zip::indexed(found).and(expected).for_each(|at, &found, &expected| {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= TOLERANCE * largest, "{what}{at:?}: {found}, expected {expected}");
    });
}
