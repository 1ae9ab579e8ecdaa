//! `C = A·B`, `C = A·B + bias` and `C += A·B` with f32 sums, for the products of training: `y = x·Wᵀ + b`, `dx = dy·W`,
//! `dW += dyᵀ·x`.
//!
//! Blocking after BLIS (Van Zee and van de Geijn 2015): `MR × NR` registers accumulate over `KC` words (see [`words`]); a
//! micro-panel of B (`KC × NR`) stays in L1, a block of A (`MC × KC`) in L2. Unlike BLIS, all of B is packed before the first
//! product (up to `PACKED_B` words at a time), so that threads meet only there.
//!
//! Every element of C is a sum over blocks of K whose borders the caller fixes, each block's products added in order:
//! its bits depend neither on its place in C, nor on the other rows and columns, nor on the number of threads.
//!
//! [`words`]: crate::words

#![allow(unsafe_code)]

use std::ops::Range;

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::scratch;
use crate::simd::{Isa, Simd};
use crate::words::{Precision, WordKernel, Words, dispatch_words};

/// Words along K in a block.
const KC: usize = 512;
const MC: usize = 96;
/// Columns of C in one task.
const NC: usize = 768;
/// Words of B packed at a time, 16 MiB.
const PACKED_B: usize = 4 << 20;

/// What C holds before the products are added.
#[derive(Clone, Copy, Debug)]
pub enum Init<'a> {
    /// Zeros; C's contents are ignored.
    Zero,
    /// One value per column in every row; C's contents are ignored.
    Bias(&'a [f32]),
    /// C's own contents: the product is added.
    Keep,
}

/// `C = init + A·B` with A (M × K) and B (K × N), of contiguous rows or columns and rounded to `precision`, and C (M × N)
/// row-major.
///
/// A partial sum over K ends at each of `k_ends` (ascending, the last one K), and is added to C there; runs longer than
/// the cache block are cut into equal parts.
///
/// # Panics
/// If the shapes do not agree, neither rows nor columns are contiguous, or the precision is not available.
pub fn gemm(precision: Precision, a: ArrayView2<f32>, b: ArrayView2<f32>, init: Init, k_ends: &[usize], c: &mut [f32]) {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    assert_eq!(k, b.nrows(), "gemm: A is {m} × {k}, B is {} × {n}", b.nrows());
    assert_eq!(c.len(), m * n, "gemm: C has {} values, A·B is {m} × {n}", c.len());
    assert_eq!(k_ends.last().copied().unwrap_or(0), k, "gemm: blocks of K end at {k_ends:?}, K is {k}");
    if let Init::Bias(bias) = init {
        assert_eq!(bias.len(), n, "gemm: the bias has {} values, A·B is {m} × {n}", bias.len());
    }
    let blocks = k_blocks(k_ends, KC * precision.depth());
    match Isa::detected() {
        _ if m * n == 0 => {}
        _ if blocks.is_empty() => initialise(init, c, n),
        Isa::Avx512 => blocked::<12, 2, 32>(precision, a, b, init, &blocks, c),
        Isa::Avx2 => blocked::<6, 2, 16>(precision, a, b, init, &blocks, c),
        Isa::Portable => portable(a, b, init, &blocks, c),
    }
}

/// The runs between `ends`, those longer than `limit` in equal parts.
fn k_blocks(ends: &[usize], limit: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts
        .zip(ends)
        .flat_map(|(start, &end)| {
            let part = (end - start).div_ceil((end - start).div_ceil(limit).max(1)).max(1);
            (start..end).step_by(part).map(move |k| k..(k + part).min(end))
        })
        .collect()
}

fn initialise(init: Init, c: &mut [f32], n: usize) {
    match init {
        Init::Zero => c.fill(0.0),
        Init::Bias(bias) => c.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(bias)),
        Init::Keep => {}
    }
}

/// A matrix that several tasks write, each its own part.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: the tasks of `blocked` write disjoint tiles.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// The blocked product with `MR × NR` accumulators, `NR` being `NV` vectors of the detected instruction set.
fn blocked<const MR: usize, const NV: usize, const NR: usize>(
    precision: Precision,
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    init: Init,
    blocks: &[Range<usize>],
    c: &mut [f32],
) {
    let (m, n) = (a.nrows(), b.ncols());
    let width = n.next_multiple_of(NR); // of a packed row of B
    let words = |group: &[Range<usize>]| group.iter().map(|k| k.len().div_ceil(precision.depth())).sum::<usize>();
    let c = Shared(c.as_mut_ptr());
    let (row_tasks, column_tasks) = (m.div_ceil(MC), n.div_ceil(NC));

    let mut first = 0;
    while first < blocks.len() {
        let fits = |last: &usize| *last == first || words(&blocks[first..=*last]) * width <= PACKED_B;
        let last = (first..blocks.len()).take_while(fits).last().unwrap_or(first);
        let group = &blocks[first..=last];
        let init = if first == 0 { init } else { Init::Keep };
        scratch::with(words(group) * width, |packed| {
            pack_b::<NR>(precision, b, group, packed);
            let packed = &*packed;
            (0..row_tasks * column_tasks).into_par_iter().for_each(|task| {
                let (i, j) = (task % row_tasks * MC, task / row_tasks * NC);
                let (rows, cols) = (i..(i + MC).min(m), j..(j + NC).min(n));
                dispatch_words(precision, Tile::<MR, NV, NR> { a, packed_b: packed, n, init, group, rows, cols, c });
            });
        });
        first = last + 1;
    }
}

/// Packs the rows of B that `group` spans: for each block of K, panel after panel of `NR` columns, word after word; columns
/// behind the last are zero.
fn pack_b<const NR: usize>(precision: Precision, b: ArrayView2<f32>, group: &[Range<usize>], packed: &mut [f32]) {
    const PANELS: usize = 8; // in a task
    let width = b.ncols().next_multiple_of(NR);
    let mut rest = packed;
    let mut tasks = Vec::with_capacity(group.len() * width.div_ceil(PANELS * NR));
    for block in group {
        for j in (0..width).step_by(PANELS * NR) {
            let columns = j..(j + PANELS * NR).min(width);
            let (to, tail) = rest.split_at_mut(block.len().div_ceil(precision.depth()) * columns.len());
            rest = tail;
            tasks.push((block.clone(), j..columns.end.min(b.ncols()), to));
        }
    }
    tasks.into_par_iter().for_each(|(block, columns, to)| {
        dispatch_words(precision, Pack::<NR> { from: b.slice(ndarray::s![block, columns]), to });
    });
}

/// One task of [`pack_b`].
struct Pack<'a, const NR: usize> {
    from: ArrayView2<'a, f32>,
    to: &'a mut [f32],
}

impl<const NR: usize> WordKernel for Pack<'_, NR> {
    #[inline(always)]
    fn run<S: Simd, W: Words<S>>(self, s: S, _: &mut [f32]) {
        pack::<S, W, NR>(s, self.from, self.to);
    }
}

/// Packs a matrix of at most 256 columns into panels of `NR` columns, each of them row after row of words; columns behind the last are zero.
#[inline(always)]
fn pack<S: Simd, W: Words<S>, const NR: usize>(s: S, from: ArrayView2<f32>, to: &mut [f32]) {
    const AHEAD: isize = 8; // rows that are asked for before their turn
    const SIDE: usize = 16; // of the squares in which contiguous columns become rows
    let (kc, n) = (from.nrows().div_ceil(W::DEPTH), from.ncols());
    if !n.is_multiple_of(NR) {
        to[n / NR * NR * kc..].fill(0.0);
    }
    if rows_are_contiguous(&from) {
        static BEHIND: [f32; 256] = [0.0; 256]; // of which `n` values stand for the row behind the last
        let row = |k: usize| match k < from.nrows() {
            true => from.row(k).to_slice().expect("rows are contiguous"),
            false => &BEHIND[..n],
        };
        for k in 0..kc {
            let [first, second] = [row(k * W::DEPTH), row(k * W::DEPTH + W::DEPTH - 1)];
            for row in (0..W::DEPTH).map(|d| AHEAD + d as isize) {
                prefetch(s, first.as_ptr().wrapping_offset(row * from.strides()[0]), n);
            }
            for j in (0..n).step_by(NR) {
                let to = &mut to[j * kc + k * NR..][..NR];
                match n - j >= NR {
                    true => W::across(s, [&first[j..j + NR], &second[j..j + NR]], to), // of a length known here
                    false => W::across(s, [&first[j..], &second[j..]], to),
                }
            }
        }
    } else {
        let mut square = [[0.0; SIDE]; SIDE];
        for j in (0..n).step_by(NR).flat_map(|panel| (panel..(panel + NR).min(n)).step_by(SIDE)) {
            let end = (j + SIDE).min(j / NR * NR + NR).min(n);
            let column = |c: usize| from.column((j + c).min(end - 1)).to_slice().expect("columns are contiguous");
            let columns: [&[f32]; SIDE] = std::array::from_fn(column);
            for k in (0..kc).step_by(SIDE) {
                for (column, words) in columns.iter().zip(&mut square).take(end - j) {
                    W::along(s, &column[k * W::DEPTH..((k + SIDE) * W::DEPTH).min(from.nrows())], words);
                }
                let to = &mut to[j / NR * NR * kc + k * NR + j % NR..];
                for (k, to) in to.chunks_mut(NR).take(SIDE.min(kc - k)).enumerate() {
                    (0..end - j).for_each(|c| to[c] = square[c][k]);
                }
            }
        }
    }
}

/// Asks for the cache lines of `n` values.
#[inline(always)]
fn prefetch<S: Simd>(s: S, first: *const f32, n: usize) {
    const LINE: usize = 16;
    (0..n).step_by(LINE).for_each(|i| s.prefetch(first.wrapping_add(i)));
}

fn rows_are_contiguous(matrix: &ArrayView2<f32>) -> bool {
    matrix.strides()[1] == 1 || matrix.ncols() <= 1
}

/// One task: the product for `rows × cols` of C over one group of blocks of K.
struct Tile<'a, const MR: usize, const NV: usize, const NR: usize> {
    a: ArrayView2<'a, f32>,
    packed_b: &'a [f32],
    n: usize,
    init: Init<'a>,
    group: &'a [Range<usize>],
    rows: Range<usize>,
    cols: Range<usize>,
    c: Shared,
}

impl<const MR: usize, const NV: usize, const NR: usize> WordKernel for Tile<'_, MR, NV, NR> {
    /// Room for a packed block of A.
    fn scratch(&self) -> usize {
        self.rows.len().next_multiple_of(MR) * KC
    }

    #[inline(always)]
    fn run<S: Simd, W: Words<S>>(self, s: S, packed_a: &mut [f32]) {
        let Self { a, packed_b, n, init, group, rows, cols, c } = self;
        assert_eq!(NV * S::LANES, NR, "gemm: {NV} vectors of {} lanes are not {NR} columns", S::LANES);
        let panels = n.div_ceil(NR);
        let mut packed_b = packed_b;
        for (index, block) in group.iter().enumerate() {
            let init = if index == 0 { init } else { Init::Keep };
            let kc = block.len().div_ceil(W::DEPTH);
            let (block_of_b, rest) = packed_b.split_at(panels * NR * kc);
            packed_b = rest;
            let block_of_a = a.slice(ndarray::s![rows.clone(), block.clone()]);
            // Contiguous rows become rows of words. Of contiguous columns, panels of `MR` rows are packed, word after word.
            let by_rows = rows_are_contiguous(&block_of_a);
            if by_rows {
                for (row, to) in block_of_a.outer_iter().zip(packed_a.chunks_exact_mut(kc)) {
                    W::along(s, row.to_slice().expect("rows are contiguous"), to);
                }
            } else {
                pack::<S, W, MR>(s, block_of_a.reversed_axes(), packed_a);
            }
            for j in cols.clone().step_by(NR) {
                let panel_b = &block_of_b[j / NR * NR * kc..][..kc * NR];
                for i in (0..rows.len()).step_by(MR) {
                    let live = MR.min(rows.len() - i);
                    (0..MR).for_each(|r| prefetch(s, c.0.wrapping_add((rows.start + i + r) * n + j), NR));
                    let panel_a = &packed_a[i * kc..];
                    let row = |r: usize| if by_rows { &panel_a[r.min(live - 1) * kc..] } else { &panel_a[r..] };
                    let a_rows = std::array::from_fn(|r| row(r).as_ptr());
                    // SAFETY: the block has rows `i .. i + live` of `kc` words, one behind the other, or a panel of them, in
                    // which a row's words lie `MR` apart. `panel_b` has `kc·NR` words.
                    let acc = unsafe {
                        let step = if by_rows { 1 } else { MR };
                        micro_kernel::<S, W, MR, NV>(s, kc, a_rows, step, panel_b.as_ptr())
                    };
                    // SAFETY: the tile lies inside C, and no other task writes its rows and columns.
                    unsafe { update::<S, MR, NV>(s, &acc, init, c, n, rows.start + i, live, j) };
                }
            }
        }
    }
}

/// `acc[r][v] = Σ_k a[r][k] · b[k][v]`: `MR` rows by `NV` vectors in registers.
///
/// # Safety
/// Each of `a_rows` is readable at `0, step, …, (kc − 1)·step`, and `b` has `kc` rows of `NV` vectors.
#[inline(always)]
unsafe fn micro_kernel<S: Simd, W: Words<S>, const MR: usize, const NV: usize>(
    s: S,
    kc: usize,
    a_rows: [*const f32; MR],
    step: usize,
    b: *const f32,
) -> [[S::F32; NV]; MR] {
    let mut acc = [[s.splat(0.0); NV]; MR];
    for k in 0..kc {
        let mut b_row = [s.splat(0.0); NV];
        for (v, b_row) in b_row.iter_mut().enumerate() {
            // SAFETY: row `k` of `b` has `NV` vectors.
            *b_row = s.load(unsafe { std::slice::from_raw_parts(b.add((k * NV + v) * S::LANES), S::LANES) });
        }
        for (acc, a) in acc.iter_mut().zip(a_rows) {
            // SAFETY: `k < kc`.
            let a = s.splat(unsafe { *a.add(k * step) });
            for v in 0..NV {
                acc[v] = W::multiply_add(s, a, b_row[v], acc[v]);
            }
        }
    }
    acc
}

/// Adds the accumulators to rows `i .. i + live` and columns `j ..` of C, which is `n` wide.
///
/// # Safety
/// Those rows and columns (as far as there are columns) lie inside C, and nothing else accesses them.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn update<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    acc: &[[S::F32; NV]; MR],
    init: Init,
    c: Shared,
    n: usize,
    i: usize,
    live: usize,
    j: usize,
) {
    let width = (NV * S::LANES).min(n - j);
    for (r, acc) in acc.iter().enumerate() {
        if r >= live {
            break; // not `take(live)`, which would keep the loop from being unrolled and the sums from staying in registers
        }
        // SAFETY: row `i + r` and the columns from `j` on are inside C.
        let c = unsafe { std::slice::from_raw_parts_mut(c.0.add((i + r) * n + j), width) };
        for (v, &acc) in acc.iter().enumerate() {
            let at = v * S::LANES;
            if at >= width {
                break;
            }
            let sum = match init {
                Init::Zero => acc,
                Init::Bias(bias) => s.add(s.load_padded(&bias[j + at..], 0.0), acc),
                Init::Keep => s.add(s.load_padded(&c[at..], 0.0), acc),
            };
            s.store_fitting(sum, &mut c[at..]);
        }
    }
}

/// The same sums by the crate matrixmultiply.
fn portable(a: ArrayView2<f32>, b: ArrayView2<f32>, init: Init, blocks: &[Range<usize>], c: &mut [f32]) {
    let n = b.ncols();
    c.par_chunks_mut(MC * n).zip(a.axis_chunks_iter(ndarray::Axis(0), MC).into_par_iter()).for_each(|(c, a)| {
        initialise(init, c, n);
        for block in blocks {
            let (a, b) = (a.slice(ndarray::s![.., block.clone()]), b.slice(ndarray::s![block.clone(), ..]));
            let (sa, sb) = (a.strides(), b.strides());
            // SAFETY: the pointers and strides are those of views of the shapes given; C is row-major.
            unsafe {
                let (pa, pb, pc) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                matrixmultiply::sgemm(
                    a.nrows(),
                    block.len(),
                    n,
                    1.0,
                    pa,
                    sa[0],
                    sa[1],
                    pb,
                    sb[0],
                    sb[1],
                    1.0,
                    pc,
                    n as isize,
                    1,
                );
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ShapeBuilder};
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: usize, cols: usize, transposed: bool) -> impl Strategy<Value = Array2<f32>> {
        prop::collection::vec(-1.0f32..1.0, rows * cols)
            .prop_map(move |v| Array2::from_shape_vec((rows, cols).set_f(transposed), v).unwrap())
    }

    fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
        let side = prop_oneof![0..40usize, Just(96), Just(97), Just(200)];
        let depth = prop_oneof![0..40usize, Just(KC), Just(KC + 1), Just(2 * KC + 3)];
        (side.clone(), depth, side)
    }

    fn case() -> impl Strategy<Value = (Array2<f32>, Array2<f32>, Vec<usize>)> {
        (sizes(), any::<(bool, bool)>(), 1..50usize).prop_flat_map(|((m, k, n), (ta, tb), run)| {
            let ends = (0..k).step_by(run).skip(1).chain([k]).collect();
            (matrix(m, k, ta), matrix(k, n, tb), Just(ends))
        })
    }

    fn precision() -> impl Strategy<Value = Precision> {
        prop_oneof![Just(Precision::F32), Just(Precision::Bf16)]
            .prop_filter("needs a processor that has it", |precision| precision.is_available())
    }

    /// `x` as an operand, by the definition of bf16: the upper half of an f32, rounded to nearest even.
    fn operand(precision: Precision, x: f32) -> f64 {
        let bits = x.to_bits();
        f64::from(match precision {
            Precision::F32 => x,
            Precision::Bf16 => f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000),
        })
    }

    /// `A·B` in f64 at one place, and the sum of the products' magnitudes, which bounds the error.
    fn oracle(precision: Precision, a: &Array2<f32>, b: &Array2<f32>, i: usize, j: usize) -> (f64, f64) {
        let products = (0..a.ncols()).map(|k| operand(precision, a[[i, k]]) * operand(precision, b[[k, j]]));
        products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()))
    }

    proptest! {
        #[test]
        fn equals_the_naive_product((a, b, ends) in case(), precision in precision(), mode in 0..3, by_matrixmultiply: bool) {
            let (m, n) = (a.nrows(), b.ncols());
            let bias: Vec<f32> = (0..n).map(|j| j as f32 / 7.0).collect();
            let (init, before) = match mode {
                0 => (Init::Zero, f32::NAN),
                1 => (Init::Bias(&bias), f32::NAN),
                _ => (Init::Keep, 0.5),
            };
            let mut c = vec![before; m * n];
            match k_blocks(&ends, KC).as_slice() {
                blocks if precision == Precision::F32 && by_matrixmultiply && !blocks.is_empty() && m * n > 0 => portable(a.view(), b.view(), init, blocks, &mut c),
                _ => gemm(precision, a.view(), b.view(), init, &ends, &mut c),
            }
            for (at, &c) in c.iter().enumerate() {
                let (i, j) = (at / n, at % n);
                let (sum, size) = oracle(precision, &a, &b, i, j);
                let expected = sum + match mode { 0 => 0.0, 1 => f64::from(bias[j]), _ => 0.5 };
                prop_assert!((f64::from(c) - expected).abs() <= 1e-6 * (size + 1.0 + expected.abs()), "C[{i}, {j}] = {c}, not {expected}");
            }
        }

        /// A row's bits depend on nothing but that row, and the pieces of K may come in several calls.
        #[test]
        fn bits_depend_on_the_row_alone((a, b, ends) in case(), precision in precision(), threads in 1..4usize) {
            let (m, n) = (a.nrows(), b.ncols());
            let mut whole = vec![0.0; m * n];
            gemm(precision, a.view(), b.view(), Init::Keep, &ends, &mut whole);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for i in (0..m).step_by(17) {
                let mut row = vec![f32::NAN; n];
                pool.install(|| gemm(precision, a.slice(ndarray::s![i..=i, ..]), b.view(), Init::Zero, &ends, &mut row));
                prop_assert_eq!(&row[..], &whole[i * n..][..n]);
            }
            let mut pieces = vec![0.0; m * n];
            for k in k_blocks(&ends, KC * precision.depth()) {
                let (a, b) = (a.slice(ndarray::s![.., k.clone()]), b.slice(ndarray::s![k.clone(), ..]));
                gemm(precision, a, b, Init::Keep, &[k.len()], &mut pieces);
            }
            prop_assert_eq!(pieces, whole);
        }
    }
}
