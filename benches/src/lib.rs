//! What the benches share: the shapes of the published models, and inputs.

use ndarray::Array2;

/// A model's sizes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The published model that has them.
    pub name: &'static str,
    /// `C`.
    pub hidden: usize,
    /// `F`.
    pub intermediate: usize,
    /// `H`.
    pub heads: usize,
}

/// bert-base, roberta-base, distilbert-base and distilroberta-base have the same layer; MiniLM's is half as wide.
pub const SHAPES: [Shape; 2] = [
    Shape { name: "base", hidden: 768, intermediate: 3072, heads: 12 },
    Shape { name: "MiniLM", hidden: 384, intermediate: 1536, heads: 12 },
];

/// Lengths in tokens of a batch's sentences, both views: like AskUbuntu titles, 4 to 32 and 14.9 on average.
pub fn title_lengths(sentences: usize) -> Vec<usize> {
    (0..sentences).map(|i| 6 + [4, 11, 7, 20, 2, 9, 13, 5][i % 8]).collect()
}

/// A matrix of varied values in −1..1.
pub fn matrix(rows: usize, cols: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, cols), |(i, j)| ((i * 31 + j * 17) % 127) as f32 / 63.5 - 1.0)
}

/// The largest difference between two buffers, relative to the largest value.
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    let largest = b.iter().fold(1e-30f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / largest
}
