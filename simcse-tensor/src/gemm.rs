//! `C = A·B`, `C = A·B + bias` and `C += A·B` with f32 sums, for the products of training: `y = x·Wᵀ + b`, `dx = dy·W`,
//! `dW += dyᵀ·x`.
//!
//! Blocking after BLIS (Van Zee and van de Geijn 2015), with A and B exchanged, for C is row-major here: a [`MicroKernel`] keeps
//! `MR × NR` sums in registers over `KC` words; a micro-panel of A (`MR × KC`) stays in L1, a block of B (`KC × NC`) in L2, from
//! which it streams while the next block is asked for. Unlike BLIS, all of B is packed before the first product (up to
//! `PACKED_B` words at a time), so that threads meet only there; each then packs the rows of A that it multiplies, `MC` at a time.
//!
//! Every element of C is a sum over blocks of K whose borders the caller fixes, each block's products added in order:
//! its bits depend neither on its place in C, nor on the other rows and columns, nor on the number of threads.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use crate::micro_kernel;
use crate::micro_kernel::{Accumulators, MicroKernel, Next};
use crate::scratch;
use crate::simd::{Isa, KernelOn, Simd};
use crate::tile::{Target, Tile};
use crate::words::{Precision, Words};

/// Words of B packed at a time, 16 MiB, or the words of one block along K if these are more.
pub const PACKED_B: usize = 4 << 20;
/// Words along K in a block.
pub const KC: usize = 512;
/// Rows in a task of the portable path.
const PORTABLE_MC: usize = 96;

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
    if m * n == 0 || k == 0 {
        return initialise(init, c, n.max(1));
    }
    match (Isa::detected(), precision) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        (Isa::Amx, Precision::Bf16) => blocked::<micro_kernel::AmxBf16>(a, b, init, k_ends, c),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, Precision::Bf16) => blocked::<micro_kernel::Avx512Bf16>(a, b, init, k_ends, c),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Amx, Precision::F32) => blocked::<micro_kernel::Avx512F32>(a, b, init, k_ends, c),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, Precision::F32) => blocked::<micro_kernel::Avx2F32>(a, b, init, k_ends, c),
        (_, Precision::F32) => portable(a, b, init, k_ends, c),
        (isa, Precision::Bf16) => panic!("gemm: no products of bf16 on {}", isa.name()),
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

/// The blocked product by one micro-kernel.
fn blocked<M: MicroKernel>(a: ArrayView2<f32>, b: ArrayView2<f32>, init: Init, k_ends: &[usize], c: &mut [f32]) {
    let (m, n) = (a.nrows(), b.ncols());
    let target = Target::new(c, n);
    let width = n.next_multiple_of(M::NR); // of a packed row of B
    let blocks = k_blocks(k_ends, KC * M::W::DEPTH);
    // As many tasks for each thread, of nearly as many panels.
    let (panels, threads) = (m.div_ceil(M::MR), rayon::current_num_threads());
    let row_tasks = m.div_ceil(M::MC).next_multiple_of(threads).min(panels);
    let first_row = |task: usize| (task * panels / row_tasks * M::MR).min(m);
    let column_tasks = (4 * threads).div_ceil(row_tasks);
    let nc = width.div_ceil(column_tasks).next_multiple_of(M::NR);
    let column_tasks = n.div_ceil(nc);

    let mut first = 0;
    while first < blocks.len() {
        let fits = |last: &usize| *last == first || words::<M>(&blocks[first..=*last]) * width <= PACKED_B;
        let last = (first..blocks.len()).take_while(fits).last().unwrap_or(first);
        let group = &blocks[first..=last];
        let init = if first == 0 { init } else { Init::Keep };
        scratch::with(words::<M>(group) * width, |packed| {
            pack_b::<M>(b, group, packed);
            let packed = &*packed;
            (0..row_tasks * column_tasks).into_par_iter().for_each(|task| {
                let (i, j) = (task / column_tasks, task % column_tasks * nc);
                let (rows, cols) = (first_row(i)..first_row(i + 1), j..(j + nc).min(n));
                M::S::call(Task::<M> { a, packed_b: packed, n, init, group, rows, cols, target, of: PhantomData });
            });
        });
        first = last + 1;
    }
}

/// Words along K in a packed block.
fn kc<M: MicroKernel>(block: &Range<usize>) -> usize {
    block.len().div_ceil(M::W::DEPTH).next_multiple_of(M::STEP)
}

fn words<M: MicroKernel>(blocks: &[Range<usize>]) -> usize {
    blocks.iter().map(kc::<M>).sum()
}

/// Packs the rows of B that `group` spans, block after block.
fn pack_b<M: MicroKernel>(b: ArrayView2<f32>, group: &[Range<usize>], packed: &mut [f32]) {
    const PANELS: usize = 8; // in a task
    let n = b.ncols();
    let mut rest = packed;
    let mut tasks = Vec::new();
    for block in group {
        for j in (0..n).step_by(PANELS * M::NR) {
            let columns = j..(j + PANELS * M::NR).min(n);
            let (to, tail) = rest.split_at_mut(kc::<M>(block) * columns.len().next_multiple_of(M::NR));
            rest = tail;
            tasks.push((b.slice(s![block.clone(), columns]), to));
        }
    }
    tasks.into_par_iter().for_each(|(from, to)| M::S::call(Pack::<M> { from, to, of: PhantomData }));
}

/// One task of [`pack_b`].
struct Pack<'a, M> {
    from: ArrayView2<'a, f32>,
    to: &'a mut [f32],
    of: PhantomData<M>,
}

impl<M: MicroKernel> KernelOn<M::S> for Pack<'_, M> {
    type Output = ();

    fn scratch(&self) -> usize {
        0
    }

    #[inline(always)]
    fn run(self, s: M::S, _: &mut [f32]) {
        M::pack_b(s, self.from, self.to);
    }
}

/// One task: `rows × cols` of C over one group of blocks of K.
struct Task<'a, M> {
    a: ArrayView2<'a, f32>,
    packed_b: &'a [f32],
    n: usize,
    init: Init<'a>,
    group: &'a [Range<usize>],
    rows: Range<usize>,
    cols: Range<usize>,
    target: Target,
    of: PhantomData<M>,
}

impl<M: MicroKernel> KernelOn<M::S> for Task<'_, M> {
    type Output = ();

    /// Room for a packed block of A.
    fn scratch(&self) -> usize {
        let kc = self.group.iter().map(kc::<M>).max().unwrap_or(0);
        self.rows.len().div_ceil(M::MR) * M::MR_PACKED * kc
    }

    #[inline(always)]
    fn run(self, s: M::S, packed_a: &mut [f32]) {
        let Self { a, packed_b, n, init, group, rows, cols, target, of: _ } = self;
        let width = n.next_multiple_of(M::NR);
        let first_row = rows.start;
        let micro_kernel = M::begin(s);
        let mut acc = Accumulators([0.0; 32 * 32]);
        let mut packed_b = packed_b;
        for (index, block) in group.iter().enumerate() {
            let init = if index == 0 { init } else { Init::Keep };
            let kc = kc::<M>(block);
            let (block_of_b, rest) = packed_b.split_at(width * kc);
            packed_b = rest;
            M::pack_a(s, a.slice(s![rows.clone(), block.clone()]).reversed_axes(), packed_a);
            for jc in cols.clone().step_by(M::NC) {
                // The words behind this block are the next one's. A share of them goes to L2 with each tile.
                let behind = block_of_b.as_ptr().wrapping_add((jc + M::NC) * kc);
                let share = (M::NR * M::STEP).div_ceil(rows.len().div_ceil(M::MR));
                let mut next = Next { at: behind, share };
                for i in (0..rows.len()).step_by(M::MR) {
                    let panel_a = &packed_a[i / M::MR * M::MR_PACKED * kc..][..M::MR_PACKED * kc];
                    for j in (jc..(jc + M::NC).min(cols.end)).step_by(M::NR) {
                        let panel_b = &block_of_b[j * kc..][..M::NR * kc];
                        let (rows, columns) = (M::MR.min(rows.len() - i), M::NR.min(n - j));
                        let tile = Tile { target, i: first_row + i, j, rows, columns };
                        tile.prefetch(s);
                        // SAFETY: the panels have `kc` words for each row and column of a tile.
                        unsafe { micro_kernel.multiply(kc, panel_a.as_ptr(), panel_b.as_ptr(), next, &mut acc) };
                        next.at = next.at.wrapping_add(kc / M::STEP * share);
                        // SAFETY: the tile lies inside C, and no other task writes its rows and columns.
                        unsafe { tile.update(s, &acc, M::NR, init) };
                    }
                }
            }
        }
        micro_kernel.end();
    }
}

/// The same sums by the crate matrixmultiply.
fn portable(a: ArrayView2<f32>, b: ArrayView2<f32>, init: Init, k_ends: &[usize], c: &mut [f32]) {
    let n = b.ncols();
    let blocks = k_blocks(k_ends, KC);
    c.par_chunks_mut(PORTABLE_MC * n).zip(a.axis_chunks_iter(ndarray::Axis(0), PORTABLE_MC).into_par_iter()).for_each(
        |(c, a)| {
            initialise(init, c, n);
            for block in &blocks {
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
        },
    );
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
            if precision == Precision::F32 && by_matrixmultiply && m * n * a.ncols() > 0 {
                portable(a.view(), b.view(), init, &ends, &mut c);
            } else {
                gemm(precision, a.view(), b.view(), init, &ends, &mut c);
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
            let depth = if precision == Precision::F32 { 1 } else { 2 };
            for k in k_blocks(&ends, KC * depth) {
                let (a, b) = (a.slice(ndarray::s![.., k.clone()]), b.slice(ndarray::s![k.clone(), ..]));
                gemm(precision, a, b, Init::Keep, &[k.len()], &mut pieces);
            }
            prop_assert_eq!(pieces, whole);
        }
    }
}
