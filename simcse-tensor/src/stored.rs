//! Rows as a search stores them, and their dot products with queries.
//!
//! A search reads every row once for a few queries, so its time is that of reading memory. Rows of
//! fewer bits are read faster; they are decoded on the way, in registers or in L1.
//!
//! This file knows numbers and vectors. It must not know what the rows are, or files.

use crate::simd::{Kernel, Simd, dispatch};

/// Rows of `C` values, row-major.
#[derive(Clone, Copy, Debug)]
pub enum StoredRows<'a> {
    /// Values as they are.
    F32(&'a [f32]),
    /// Values in half precision: IEEE 754 binary16, as bits.
    F16(&'a [u16]),
    /// Values divided by the scale of their row, rounded to −127..=127. `scales` has one for each
    /// row.
    Int8 {
        /// The rounded values.
        values: &'a [i8],
        /// What they are multiplied with.
        scales: &'a [f32],
    },
}

impl<'a> StoredRows<'a> {
    /// The number of rows of `width` values.
    ///
    /// # Panics
    /// If a row is incomplete, or there is not one scale for each row.
    #[must_use]
    pub fn len(&self, width: usize) -> usize {
        let values = match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Int8 { values, .. } => values.len(),
        };
        let rows = values.checked_div(width).unwrap_or(0);
        assert_eq!(rows * width, values, "stored rows: {values} values are not rows of {width}");
        if let Self::Int8 { scales, .. } = self {
            assert_eq!(scales.len(), rows, "stored rows: one scale for each row");
        }
        rows
    }

    /// The rows of `range`, each of `width` values.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn slice(self, range: std::ops::Range<usize>, width: usize) -> Self {
        let of = range.start * width..range.end * width;
        match self {
            Self::F32(values) => Self::F32(&values[of]),
            Self::F16(values) => Self::F16(&values[of]),
            Self::Int8 { values, scales } => Self::Int8 { values: &values[of], scales: &scales[range] },
        }
    }

    /// Writes the rows' values to `out`, (rows, C).
    ///
    /// # Panics
    /// If `out` has another number of values, or `width` is 0.
    pub fn decode(self, width: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.len(width) * width, "stored rows: one place for each value");
        dispatch(Decode { rows: self, width, out });
    }

    /// The dot products of every row with each of `queries`, (queries, C), into `out`, (queries,
    /// rows). On one thread; meant for a few queries. For many, decode the rows and use
    /// [`gemm`](crate::gemm()).
    ///
    /// # Panics
    /// If the sizes do not agree, or `width` is 0.
    pub fn dot(self, width: usize, queries: &[f32], out: &mut [f32]) {
        let rows = self.len(width);
        let count = queries.len() / width;
        assert_eq!(queries.len(), count * width, "stored rows: queries of {width} values");
        assert_eq!(out.len(), count * rows, "stored rows: one place for each query and row");
        dispatch(Dots { rows: self, width, queries, out });
    }
}

/// Decodes rows.
struct Decode<'a> {
    rows: StoredRows<'a>,
    width: usize,
    out: &'a mut [f32],
}

impl Kernel for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S, _: &mut [f32]) {
        let Self { rows, width, out } = self;
        match rows {
            StoredRows::F32(values) => out.copy_from_slice(values),
            StoredRows::F16(values) => decode_f16(values, out),
            StoredRows::Int8 { values, scales } => {
                for ((values, out), &scale) in values.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(scales) {
                    decode_int8(values, out);
                    for value in out {
                        *value *= scale;
                    }
                }
            }
        }
    }
}

/// Dot products of rows with a few queries.
struct Dots<'a> {
    rows: StoredRows<'a>,
    width: usize,
    queries: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Dots<'_> {
    type Output = ();

    fn scratch(&self, _: usize) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, scratch: &mut [f32]) {
        let Self { rows, width, queries, out } = self;
        let count = rows.len(width);
        for row in 0..count {
            let (values, scale): (&[f32], f32) = match rows {
                StoredRows::F32(values) => (&values[row * width..][..width], 1.0),
                StoredRows::F16(values) => {
                    decode_f16(&values[row * width..][..width], &mut scratch[..width]);
                    (&scratch[..width], 1.0)
                }
                StoredRows::Int8 { values, scales } => {
                    decode_int8(&values[row * width..][..width], &mut scratch[..width]);
                    (&scratch[..width], scales[row])
                }
            };
            let mut query = 0;
            while query * width < queries.len() {
                out[query * count + row] = scale * dot(s, values, &queries[query * width..][..width]);
                query += 1;
            }
        }
    }
}

/// The dot product of two vectors: four sums, independent of one another, hide the latency of a
/// multiply-add.
#[inline(always)]
fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let step = 4 * S::LANES;
    let mut at = 0;
    while at + step <= a.len() {
        let mut part = 0;
        while part < 4 {
            let from = at + part * S::LANES;
            sums[part] = s.fma(s.load(&a[from..]), s.load(&b[from..]), sums[part]);
            part += 1;
        }
        at += step;
    }
    while at < a.len() {
        let end = a.len().min(at + S::LANES);
        sums[0] = s.fma(s.load_padded(&a[at..end], 0.0), s.load_padded(&b[at..end], 0.0), sums[0]);
        at = end;
    }
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// The compiler turns this loop into vector instructions of the set that the kernel is compiled
/// for.
#[inline(always)]
fn decode_int8(values: &[i8], out: &mut [f32]) {
    for (out, &value) in out.iter_mut().zip(values) {
        *out = f32::from(value);
    }
}

/// As [`decode_int8`]. Exponent and fraction are moved to their places; the product with 2¹¹² sets
/// the exponent's bias right, also of numbers that are subnormal in half precision.
#[inline(always)]
fn decode_f16(values: &[u16], out: &mut [f32]) {
    const BIAS: f32 = f32::from_bits((127 + 112) << 23);
    for (out, &bits) in out.iter_mut().zip(values) {
        let bits = u32::from(bits);
        let size = f32::from_bits((bits & 0x7fff) << 13) * BIAS;
        *out = f32::from_bits(size.to_bits() | (bits & 0x8000) << 16);
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_finite_number_in_half_precision_is_decoded() {
        let all: Vec<u16> = (0..=u16::MAX).filter(|&bits| f16::from_bits(bits).is_finite()).collect();
        let mut found = vec![f32::NAN; all.len()];
        StoredRows::F16(&all).decode(1, &mut found);
        for (bits, found) in all.iter().zip(found) {
            assert_eq!(found.to_bits(), f16::from_bits(*bits).to_f32().to_bits(), "{bits:#x}");
        }
    }

    proptest! {
        #[test]
        fn dot_products_are_those_of_the_decoded_rows(
            rows in 0..6usize, queries in 1..4usize, width in 1..90usize, seed: u64
        ) {
            let philox = crate::rng::Philox::new(seed);
            let uniform = |stream: u32, count: usize| -> Vec<f32> {
                let word = |index: usize| philox.block([index as u32, stream, 0, 0])[0];
                (0..count).map(|index| word(index) as f32 / 2f32.powi(31) - 1.0).collect()
            };
            let queries_of = uniform(1, queries * width);
            let halves: Vec<u16> = uniform(2, rows * width).into_iter().map(|x| f16::from_f32(x).to_bits()).collect();
            let bytes: Vec<i8> = uniform(3, rows * width).into_iter().map(|x| (x * 127.0) as i8).collect();
            let (scales, values) = (uniform(4, rows), uniform(5, rows * width));
            for stored in [
                StoredRows::F32(&values),
                StoredRows::F16(&halves),
                StoredRows::Int8 { values: &bytes, scales: &scales },
            ] {
                let mut decoded = vec![f32::NAN; rows * width];
                stored.decode(width, &mut decoded);
                let mut found = vec![f32::NAN; queries * rows];
                stored.dot(width, &queries_of, &mut found);
                for (query, found) in queries_of.chunks(width).zip(found.chunks(rows.max(1))) {
                    for (row, found) in decoded.chunks(width).zip(found) {
                        let products = row.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b));
                        let size: f64 = products.clone().map(f64::abs).sum();
                        prop_assert!((products.sum::<f64>() - f64::from(*found)).abs() <= 1e-6 * size + 1e-12);
                    }
                }
                // Any part of the rows gives the same bits.
                if rows > 1 {
                    let part = stored.slice(1..rows, width);
                    let mut of_part = vec![f32::NAN; queries * (rows - 1)];
                    part.dot(width, &queries_of, &mut of_part);
                    let mut whole = vec![f32::NAN; queries * rows];
                    stored.dot(width, &queries_of, &mut whole);
                    for (part, whole) in of_part.chunks(rows - 1).zip(whole.chunks(rows)) {
                        prop_assert_eq!(part, &whole[1..]);
                    }
                }
            }
        }
    }
}
