//! Products in blocks of many sizes, compared with those that suit the processor's caches by
//! `simcse_tensor::block_sizes`: the products of a layer of the base models, all threads.
//!
//! Criterion measures one case after another, which on a machine that others share would compare
//! moments rather than sizes; this measures all sizes in turns, and compares their best times.

#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use simcse_benches::{SHAPES, Shape, matrix, precisions, titles};
use simcse_tensor::{Addend, BlockSizes, Named, Precision, block_sizes, gemm, gemm_in_blocks};

fn main() {
    // `cargo bench -- --test` runs everything once.
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { 9 };
    for precision in precisions() {
        match block_sizes(precision) {
            Some(chosen) => compare(precision, chosen, rounds),
            None => println!("{}: products have no blocks on this processor", precision.name()),
        }
    }
}

/// The chosen sizes, and others: halves, doubles and quadruples of each.
fn grid(chosen: BlockSizes) -> Vec<BlockSizes> {
    let scaled = |size: usize| [size / 2, size, 2 * size, 4 * size];
    let other = scaled(chosen.mc).into_iter().flat_map(|mc| {
        scaled(chosen.nc)
            .into_iter()
            .flat_map(move |nc| [chosen.packed_b / 4, chosen.packed_b].map(|packed_b| BlockSizes { mc, nc, packed_b }))
    });
    std::iter::once(chosen).chain(other.filter(|&sizes| sizes != chosen)).collect()
}

fn compare(precision: Precision, chosen: BlockSizes, rounds: usize) {
    let rows = titles(256);
    let Shape { hidden, intermediate, .. } = SHAPES[0];
    let x = matrix(rows.tokens(), hidden);
    let w = matrix(intermediate, hidden);
    let dy = matrix(rows.tokens(), intermediate);
    let ends = rows.block_ends();
    let products = [
        ("y = x·Wᵀ", x.view(), w.t(), vec![hidden]),
        ("dx = dy·W", dy.view(), w.view(), vec![intermediate]),
        ("dW = dyᵀ·x", dy.t(), x.view(), ends.clone()),
        ("dW of the other map", x.t(), dy.view(), ends),
    ];
    let grid = grid(chosen);
    let mut times = vec![vec![f64::INFINITY; products.len()]; grid.len()];
    let mut c = vec![0.0; rows.tokens() * intermediate];
    for &(name, a, b, ref k_ends) in &products {
        let mut expected = vec![0.0; a.nrows() * b.ncols()];
        gemm(precision, a, b, Addend::Zero, k_ends, &mut expected);
        for &sizes in &grid {
            let c = &mut c[..expected.len()];
            gemm_in_blocks(precision, sizes, a, b, Addend::Zero, k_ends, c);
            assert_eq!(c, expected, "{name} with {sizes:?}");
        }
    }
    for round in 0..rounds {
        // Each round begins with another size, so that none always follows the same one.
        for i in (0..grid.len()).map(|i| (i + round) % grid.len()) {
            let sizes = grid[i];
            for ((_, a, b, k_ends), time) in products.iter().zip(&mut times[i]) {
                let c = &mut c[..a.nrows() * b.ncols()];
                let started = Instant::now();
                gemm_in_blocks(precision, sizes, *a, *b, Addend::Zero, k_ends, black_box(c));
                *time = time.min(started.elapsed().as_secs_f64());
            }
        }
    }
    let totals: Vec<f64> = times.iter().map(|of_products| of_products.iter().sum()).collect();
    println!("{}: the best of {rounds} rounds, in ms", precision.name());
    let mut order: Vec<usize> = (0..grid.len()).collect();
    order.sort_by(|&i, &j| totals[i].total_cmp(&totals[j]));
    for &i in &order {
        let BlockSizes { mc, nc, packed_b } = grid[i];
        let of_products: Vec<String> = times[i].iter().map(|time| format!("{:6.1}", 1e3 * time)).collect();
        let mark = if i == 0 { "  chosen" } else { "" };
        println!(
            "  mc {mc:4}, nc {nc:4}, B {:5.1} MiB: {:7.1} = {}{mark}",
            packed_b as f64 / f64::from(1 << 18),
            1e3 * totals[i],
            of_products.join(" + ")
        );
    }
    let names = products.map(|(name, ..)| name);
    println!("  ({})", names.join(", "));
    println!(
        "{}: the chosen sizes take {:.3} times as long as the best",
        precision.name(),
        totals[0] / totals[order[0]]
    );
}
