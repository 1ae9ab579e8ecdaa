//! The blocked product over any micro-kernel: five loops, with the packing in between.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use crate::buffers::scratch;
use crate::gemm::addend::Addend;
use crate::gemm::micro_kernel::{Accumulators, MicroKernel};
use crate::gemm::prefetch::Prefetch;
use crate::gemm::tile::{Target, Tile};
use crate::gemm::words::Words;
use crate::simd::{KernelOn, Simd};

/// Words of B packed at a time, 16 MiB, or the words of one block along K if these are more.
const PACKED_B: usize = 4 << 20;
/// Words along K in a block.
pub(super) const KC: usize = 512;

/// The runs between `ends`, those longer than `limit` in equal parts.
pub(super) fn k_blocks(ends: &[usize], limit: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts
        .zip(ends)
        .flat_map(|(start, &end)| {
            let part = (end - start).div_ceil((end - start).div_ceil(limit).max(1)).max(1);
            (start..end).step_by(part).map(move |k| k..(k + part).min(end))
        })
        .collect()
}

/// The blocked product by one micro-kernel.
pub(super) fn gemm<M: MicroKernel>(
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    addend: Addend,
    k_ends: &[usize],
    c: &mut [f32],
) {
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
        let addend = if first == 0 { addend } else { Addend::Existing };
        scratch::with(words::<M>(group) * width, |packed| {
            pack_b::<M>(b, group, packed);
            let packed = &*packed;
            (0..row_tasks * column_tasks).into_par_iter().for_each(|task| {
                let (i, j) = (task / column_tasks, task % column_tasks * nc);
                let (rows, cols) = (first_row(i)..first_row(i + 1), j..(j + nc).min(n));
                M::S::call(TileTask::<M> {
                    a,
                    packed_b: packed,
                    n,
                    addend,
                    group,
                    rows,
                    cols,
                    target,
                    of: PhantomData,
                });
            });
        });
        first = last + 1;
    }
}

/// Words of scratch memory for a B of K × N: the packed group of its blocks, and each thread's packed block of A.
pub(super) fn scratch<M: MicroKernel>(k: usize, n: usize) -> usize {
    let blocks = k_blocks(&[k], KC * M::W::DEPTH);
    let width = n.next_multiple_of(M::NR);
    let deepest = blocks.iter().map(kc::<M>).max().unwrap_or(0);
    let packed_b = (words::<M>(&blocks) * width).min(PACKED_B.max(deepest * width));
    let packed_a = M::MC.div_ceil(M::MR) * M::MR_PACKED * deepest;
    packed_b + rayon::current_num_threads() * packed_a
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
    tasks.into_par_iter().for_each(|(from, to)| M::S::call(PackTask::<M> { from, to, of: PhantomData }));
}

/// One task of [`pack_b`].
struct PackTask<'a, M> {
    from: ArrayView2<'a, f32>,
    to: &'a mut [f32],
    of: PhantomData<M>,
}

impl<M: MicroKernel> KernelOn<M::S> for PackTask<'_, M> {
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
struct TileTask<'a, M> {
    a: ArrayView2<'a, f32>,
    packed_b: &'a [f32],
    n: usize,
    addend: Addend<'a>,
    group: &'a [Range<usize>],
    rows: Range<usize>,
    cols: Range<usize>,
    target: Target,
    of: PhantomData<M>,
}

impl<M: MicroKernel> KernelOn<M::S> for TileTask<'_, M> {
    type Output = ();

    /// Room for a packed block of A.
    fn scratch(&self) -> usize {
        let kc = self.group.iter().map(kc::<M>).max().unwrap_or(0);
        self.rows.len().div_ceil(M::MR) * M::MR_PACKED * kc
    }

    #[inline(always)]
    fn run(self, s: M::S, packed_a: &mut [f32]) {
        let Self { a, packed_b, n, addend, group, rows, cols, target, of: _ } = self;
        let width = n.next_multiple_of(M::NR);
        let first_row = rows.start;
        let micro_kernel = M::begin(s);
        let mut acc = Accumulators([0.0; 32 * 32]);
        let mut packed_b = packed_b;
        for (index, block) in group.iter().enumerate() {
            let addend = if index == 0 { addend } else { Addend::Existing };
            let kc = kc::<M>(block);
            let (block_of_b, rest) = packed_b.split_at(width * kc);
            packed_b = rest;
            M::pack_a(s, a.slice(s![rows.clone(), block.clone()]).reversed_axes(), packed_a);
            for jc in cols.clone().step_by(M::NC) {
                // The words behind this block are the next one's. A share of them goes to L2 with each tile.
                let behind = block_of_b.as_ptr().wrapping_add((jc + M::NC) * kc);
                let share = (M::NR * M::STEP).div_ceil(rows.len().div_ceil(M::MR));
                let mut next = Prefetch { address: behind, words_per_step: share };
                for i in (0..rows.len()).step_by(M::MR) {
                    let panel_a = &packed_a[i / M::MR * M::MR_PACKED * kc..][..M::MR_PACKED * kc];
                    for j in (jc..(jc + M::NC).min(cols.end)).step_by(M::NR) {
                        let panel_b = &block_of_b[j * kc..][..M::NR * kc];
                        let (rows, columns) = (M::MR.min(rows.len() - i), M::NR.min(n - j));
                        let tile = Tile { target, i: first_row + i, j, rows, columns };
                        tile.prefetch(s);
                        // SAFETY: the panels have `kc` words for each row and column of a tile.
                        unsafe { micro_kernel.multiply(kc, panel_a.as_ptr(), panel_b.as_ptr(), next, &mut acc) };
                        next.address = next.address.wrapping_add(kc / M::STEP * share);
                        // SAFETY: the tile lies inside C, and no other task writes its rows and columns.
                        unsafe { tile.update(s, &acc, M::NR, addend) };
                    }
                }
            }
        }
        micro_kernel.end();
    }
}
