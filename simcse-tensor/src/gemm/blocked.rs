//! The blocked product over any micro-kernel: five loops with the packing in between.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use crate::buffers::pages::Aligned;
use crate::buffers::scratch;
use crate::gemm::addend::Addend;
use crate::gemm::block_sizes::{BlockSizes, KC};
use crate::gemm::micro_kernel::{Accumulators, MicroKernel};
use crate::gemm::prefetch::Prefetch;
use crate::gemm::row_sums::add_column_sums;
use crate::gemm::tile::{Target, Tile};
use crate::gemm::words::Words;
use crate::simd::{KernelOn, Simd};

/// The ranges between `ends`, those longer than `limit` cut into equal parts.
///
/// Equal parts, rather than full blocks and a short rest: every block costs a pass over C, and a
/// short one repays it with little work.
pub(super) fn k_blocks(ends: &[usize], limit: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts
        .zip(ends)
        .flat_map(|(start, &end)| {
            let parts = (end - start).div_ceil(limit).max(1);
            let part = (end - start).div_ceil(parts).max(1);
            (start..end).step_by(part).map(move |k| k..(k + part).min(end))
        })
        .collect()
}

/// Cuts blocks of K into slabs: runs of blocks with at most [`KC`] words together, or a single
/// block.
///
/// Blocks are shorter than `KC` words where the caller's partial sums are. A tile of C then gets
/// the sums of a whole slab one after another, while it is in L1.
fn slabs<M: MicroKernel>(mut blocks: &[Range<usize>]) -> Vec<&[Range<usize>]> {
    let mut slabs = Vec::new();
    while !blocks.is_empty() {
        let fits = |&last: &usize| words::<M>(&blocks[..=last]) <= KC;
        let (slab, rest) = blocks.split_at(1 + (1..blocks.len()).take_while(fits).count());
        slabs.push(slab);
        blocks = rest;
    }
    slabs
}

/// How C is divided among tasks: into rows, and where there are few of them, also into columns.
///
/// Which task computes an element does not change its bits, so the division may depend on the
/// number of threads.
struct Tasks {
    m: usize,
    n: usize,
    /// Rows of a micro-panel of A.
    mr: usize,
    /// Micro-panels of A.
    panels: usize,
    row_tasks: usize,
    column_tasks: usize,
    /// Columns of a task.
    nc: usize,
}

impl Tasks {
    fn new<M: MicroKernel>(sizes: BlockSizes, m: usize, n: usize) -> Self {
        let threads = rayon::current_num_threads();
        // Panels of equal height: after whole ones, a last one of few rows would take as long as
        // they do. 15 rows are two panels of 8.
        let equal = m.div_ceil(m.div_ceil(M::MR));
        let mr = M::HEIGHTS.iter().copied().find(|&height| height >= equal).unwrap_or(M::MR);
        let panels = m.div_ceil(mr);
        // As few tasks over rows as `mc` allows, because each of them reads all of packed B. Their
        // number is rounded up to a multiple of the threads, so that every thread gets equally
        // many; of three tasks on two threads, the last one would leave a thread idle. A task has
        // at least one panel.
        let row_tasks = m.div_ceil(sizes.mc).next_multiple_of(threads).min(panels);
        // At least four tasks per thread, so that a thread that started late or shares its core
        // with another process holds up the others by a quarter of its share at most. Where the
        // rows do not give that many, the columns are divided as well; each of their tasks packs
        // the same rows of A again, which is why rows come first.
        let column_tasks = (4 * threads).div_ceil(row_tasks);
        let nc = n.next_multiple_of(M::NR).div_ceil(column_tasks).next_multiple_of(M::NR);
        // Rounding `nc` up to whole panels may have left nothing for the last tasks.
        let column_tasks = n.div_ceil(nc);
        Self { m, n, mr, panels, row_tasks, column_tasks, nc }
    }

    fn count(&self) -> usize {
        self.row_tasks * self.column_tasks
    }

    /// The first row of a row task. Tasks differ by one panel at most, and only the last panel of
    /// the matrix is cut.
    fn first_row(&self, row_task: usize) -> usize {
        (row_task * self.panels / self.row_tasks * self.mr).min(self.m)
    }

    /// The rows and columns of a task.
    fn part(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let i = task / self.column_tasks;
        let j = task % self.column_tasks * self.nc;
        (self.first_row(i)..self.first_row(i + 1), j..(j + self.nc).min(self.n))
    }
}

/// The blocked product with one micro-kernel. `row_sums`, if given, are increased by the sums of
/// A's rows, with one partial sum per block of K.
pub(super) fn gemm<M: MicroKernel>(
    sizes: BlockSizes,
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    addend: Addend,
    k_ends: &[usize],
    mut row_sums: Option<&mut [f32]>,
    c: &mut [f32],
) {
    let n = b.ncols();
    let width = n.next_multiple_of(M::NR); // words in a packed row of B
    let blocks = k_blocks(k_ends, KC * M::W::DEPTH);

    // Packing B whole is best for `y = x·Wᵀ`, whose K is a layer's width. In `dW += dyᵀ·x`,
    // however, K is the number of tokens, without limit, so blocks are packed and multiplied in
    // groups of at most `packed_b` words. The first group starts from the caller's addend, the
    // others from what the groups before have left in C: the same sums in the same order as without
    // groups.
    let mut first = 0;
    while first < blocks.len() {
        let fits = |last: &usize| *last == first || words::<M>(&blocks[first..=*last]) * width <= sizes.packed_b;
        let last = (first..blocks.len()).take_while(fits).last().unwrap_or(first);
        let group = &blocks[first..=last];
        let addend = if first == 0 { addend } else { Addend::Existing };
        scratch::with(words::<M>(group) * width, |packed_b| {
            pack_b::<M>(b, group, packed_b);
            multiply::<M>(sizes, a, packed_b, addend, group, row_sums.as_deref_mut(), c);
        });
        first = last + 1;
    }
}

/// B as [`product_with_packed`] takes it: packed whole.
pub(super) fn pack<M: MicroKernel>(b: ArrayView2<f32>) -> Aligned {
    let blocks = k_blocks(&[b.nrows()], KC * M::W::DEPTH);
    let width = b.ncols().next_multiple_of(M::NR);
    let mut packed = Aligned::zeros(words::<M>(&blocks) * width, std::iter::empty());
    pack_b::<M>(b, &blocks, &mut packed);
    packed
}

/// The product with a packed B; K is one range of partial sums.
pub(super) fn product_with_packed<M: MicroKernel>(a: ArrayView2<f32>, packed_b: &[f32], addend: Addend, c: &mut [f32]) {
    let blocks = k_blocks(&[a.ncols()], KC * M::W::DEPTH);
    multiply::<M>(BlockSizes::of::<M>(), a, packed_b, addend, &blocks, None, c);
}

/// Multiplies with a packed group of blocks.
fn multiply<M: MicroKernel>(
    sizes: BlockSizes,
    a: ArrayView2<f32>,
    packed_b: &[f32],
    addend: Addend,
    group: &[Range<usize>],
    mut row_sums: Option<&mut [f32]>,
    c: &mut [f32],
) {
    let n = c.len() / a.nrows();
    let target = Target::new(c, n);
    let tasks = Tasks::new::<M>(sizes, a.nrows(), n);
    let slabs = &slabs::<M>(group);
    let of_task = |task| {
        let (rows, cols) = tasks.part(task);
        // Several tasks pack the same rows; the first of them also sums them.
        let sums = row_sums.as_mut().filter(|_| cols.start == 0);
        let row_sums = sums.and_then(|sums| sums.split_off_mut(..rows.len()));
        let (mr, nc) = (tasks.mr, sizes.nc.min(tasks.nc));
        TileTask::<M> { a, packed_b, n, addend, slabs, row_sums, mr, rows, nc, cols, target, of: PhantomData }
    };
    let tasks: Vec<_> = (0..tasks.count()).map(of_task).collect();
    // LOOP 5 of BLIS, over rows of C because A and B are exchanged: in parallel. Each task can be
    // taken over by another thread; by default, rayon would run some in one piece.
    tasks.into_par_iter().with_max_len(1).for_each(M::S::call);
}

/// The words of scratch memory that a product with a B of K × N needs: the packed group of its
/// blocks, and each thread's packed block of A.
pub(super) fn scratch<M: MicroKernel>(k: usize, n: usize) -> usize {
    let sizes = BlockSizes::of::<M>();
    let blocks = k_blocks(&[k], KC * M::W::DEPTH);
    let width = n.next_multiple_of(M::NR);
    let deepest = blocks.iter().map(kc::<M>).max().unwrap_or(0);
    let packed_b = (words::<M>(&blocks) * width).min(sizes.packed_b.max(deepest * width));
    let packed_a = sizes.mc / M::MR * M::MR_PACKED * words::<M>(&blocks).min(KC);
    packed_b + rayon::current_num_threads() * packed_a
}

/// The words along K in a packed block.
fn kc<M: MicroKernel>(block: &Range<usize>) -> usize {
    block.len().div_ceil(M::W::DEPTH).next_multiple_of(M::STEP)
}

/// The words along K in packed blocks.
fn words<M: MicroKernel>(blocks: &[Range<usize>]) -> usize {
    blocks.iter().map(kc::<M>).sum()
}

/// Packs the rows of B that `group` spans, block after block, in parallel.
fn pack_b<M: MicroKernel>(b: ArrayView2<f32>, group: &[Range<usize>], packed: &mut [f32]) {
    const PANELS_PER_TASK: usize = 8;
    let n = b.ncols();
    let mut rest = packed;
    let mut tasks = Vec::new();
    for block in group {
        for j in (0..n).step_by(PANELS_PER_TASK * M::NR) {
            let columns = j..(j + PANELS_PER_TASK * M::NR).min(n);
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

/// A block of a slab of K, packed.
struct Block<'a> {
    /// Its words along K.
    kc: usize,
    /// The task's rows of A.
    a: &'a [f32],
    /// All columns of B.
    b: &'a [f32],
    /// What its sums are added to.
    addend: Addend<'a>,
    /// What the product of the next tile prefetches.
    next: Prefetch,
}

/// One task of [`gemm`]: `rows × cols` of C over one group of blocks of K.
struct TileTask<'a, M> {
    a: ArrayView2<'a, f32>,
    packed_b: &'a [f32],
    n: usize,
    addend: Addend<'a>,
    slabs: &'a [&'a [Range<usize>]],
    /// Of the task's rows of A, unless they are not wanted or another task sums them.
    row_sums: Option<&'a mut [f32]>,
    /// Rows of a micro-panel of A.
    mr: usize,
    rows: Range<usize>,
    /// Columns of a block of B.
    nc: usize,
    cols: Range<usize>,
    target: Target,
    of: PhantomData<fn() -> M>,
}

impl<M: MicroKernel> KernelOn<M::S> for TileTask<'_, M> {
    type Output = ();

    /// Room for a packed slab of A.
    fn scratch(&self) -> usize {
        let deepest = self.slabs.iter().map(|slab| words::<M>(slab)).max().unwrap_or(0);
        self.rows.len().div_ceil(self.mr) * M::MR_PACKED * deepest
    }

    #[inline(always)]
    fn run(self, s: M::S, packed_a: &mut [f32]) {
        let Self { a, packed_b, n, addend, slabs, mut row_sums, mr, rows, nc, cols, target, of: _ } = self;
        let width = n.next_multiple_of(M::NR);
        let panels = rows.len().div_ceil(mr);
        let micro_kernel = M::begin(s);
        let mut acc = Accumulators([0.0; 32 * 32]);
        let mut packed_b = packed_b;
        // LOOP 4: slabs of K. B's is packed already; this task's rows of A are packed here.
        for (index, slab) in slabs.iter().enumerate() {
            let depth = words::<M>(slab);
            let (slab_of_b, rest) = packed_b.split_at(depth * width);
            packed_b = rest;
            let (mut rest_of_a, mut rest_of_b) = (&mut *packed_a, slab_of_b);
            let mut blocks = Vec::with_capacity(slab.len());
            for block in *slab {
                let kc = kc::<M>(block);
                let addend = if index == 0 && blocks.is_empty() { addend } else { Addend::Existing };
                let (to, rest) = rest_of_a.split_at_mut(panels * M::MR_PACKED * kc);
                rest_of_a = rest;
                let from = a.slice(s![rows.clone(), block.clone()]).reversed_axes();
                M::pack_a(s, mr, from, to);
                if let Some(sums) = &mut row_sums {
                    // What has just been packed is still in L2.
                    add_column_sums(s, from, sums);
                }
                let (b, rest) = rest_of_b.split_at(kc * width);
                rest_of_b = rest;
                // LOOP 3 sets the address.
                let next = Prefetch { address: b.as_ptr(), words_per_step: (M::NR * M::STEP).div_ceil(panels) };
                blocks.push(Block { kc, a: &*to, b, addend, next });
            }
            // LOOP 3: `depth × nc` words of B, which stay in L2 for all rows of this task.
            for jc in cols.clone().step_by(nc) {
                // While this part of B is used, the next one is prefetched into L2: the following
                // columns, or after the task's last ones, its first ones in the next slab. After
                // the last slab, those are the next task's. Of a block, this part has `nc·kc`
                // words, and there are `panels · nc/NR` tiles to share them out over, of `kc/STEP`
                // steps each. So each step prefetches `NR·STEP/panels` words, in an even trickle
                // that the memory bus can keep up with: at most a cache line where the task has
                // many rows.
                let end = (jc + nc).min(cols.end);
                for Block { kc, b, next, .. } in &mut blocks {
                    let goes_on = end < cols.end || index + 1 == slabs.len();
                    let next_part = if goes_on { end * *kc } else { depth * width + cols.start * *kc };
                    next.address = b.as_ptr().wrapping_add(next_part);
                }
                // LOOP 2: micro-panels of A, which stay in L1.
                for panel in 0..panels {
                    // LOOP 1: micro-panels of B, which stream from L2; the loop over `kc` is the
                    // micro-kernel's.
                    for j in (jc..end).step_by(M::NR) {
                        let i = panel * mr;
                        let [tile_rows, columns] = [mr.min(rows.len() - i), M::NR.min(n - j)];
                        let tile = Tile { target, i: rows.start + i, j, rows: tile_rows, columns };
                        // C is needed only after the micro-kernel, by when it has arrived.
                        tile.prefetch(s);
                        for Block { kc, a, b, addend, next } in &mut blocks {
                            let panel_a = a[panel * M::MR_PACKED * *kc..][..M::MR_PACKED * *kc].as_ptr();
                            let panel_b = b[j * *kc..][..M::NR * *kc].as_ptr();
                            // SAFETY: the panels have `kc` words for each row and column of a tile.
                            unsafe { micro_kernel.multiply(mr, *kc, panel_a, panel_b, *next, &mut acc) };
                            next.address = next.address.wrapping_add(*kc / M::STEP * next.words_per_step);
                            // SAFETY: the tile is inside C, and no other task writes its rows and
                            // columns.
                            unsafe { tile.update(s, &acc, M::NR, *addend) };
                        }
                    }
                }
            }
        }
        micro_kernel.end();
    }
}
