//! Embeddings with smaller values, as sentence-transformers makes them.

use half::f16;
use ndarray::ArrayView2;
use serde::{Serialize, Serializer};
use simcse_model::Named;

/// What an embedding's values become: the `precision` of `quantize_embeddings` in
/// sentence-transformers, and half precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueType {
    /// As they are.
    #[default]
    F32,
    /// Half precision, the nearest.
    F16,
    /// −128 to 127: the 256th part of a dimension's [`Ranges`] in which the value lies.
    Int8,
    /// The same from 0 to 255.
    Uint8,
    /// One bit, whether the value is positive; eight of them, the first one highest, as a number
    /// from which 128 is subtracted. The last number is filled up with zeros.
    Binary,
    /// The same without the subtraction.
    Ubinary,
}

impl Named for ValueType {
    const ALL: &'static [Self] = &[Self::F32, Self::F16, Self::Int8, Self::Uint8, Self::Binary, Self::Ubinary];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Binary => "binary",
            Self::Ubinary => "ubinary",
        }
    }
}

impl ValueType {
    /// Reads what [`Quantized::to_bytes`] has written.
    ///
    /// # Panics
    /// If a number is incomplete.
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> Quantized {
        assert_eq!(bytes.len() % self.bytes(), 0, "whole numbers");
        match self {
            Self::F32 => Quantized::F32(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
            Self::F16 => Quantized::F16(bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes)).collect()),
            Self::Int8 | Self::Binary => Quantized::I8(bytes.iter().map(|&byte| byte as i8).collect()),
            Self::Uint8 | Self::Ubinary => Quantized::U8(bytes.to_vec()),
        }
    }

    /// Whether quantization needs the [`Ranges`] of embeddings.
    #[must_use]
    pub fn needs_ranges(self) -> bool {
        matches!(self, Self::Int8 | Self::Uint8)
    }

    /// The numbers that `dimension` values become.
    #[must_use]
    pub fn width(self, dimension: usize) -> usize {
        match self {
            Self::Binary | Self::Ubinary => dimension.div_ceil(8),
            _ => dimension,
        }
    }

    /// The bytes of a number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            _ => 1,
        }
    }

    /// Quantizes an embedding, (C).
    ///
    /// sentence-transformers: `quantize_embeddings(embedding, precision, ranges)`; of f16, NumPy's
    /// `astype(numpy.float16)`.
    ///
    /// ```
    /// use simcse_eval::{Quantized, ValueType};
    ///
    /// let bits = ValueType::Ubinary.quantize(&[0.5, -0.1, 0.0, 2.0], None);
    /// assert_eq!(bits, Quantized::U8(vec![0b1001_0000]));
    /// ```
    ///
    /// # Panics
    /// If ranges are needed and not there, or of another width.
    #[must_use]
    pub fn quantize(self, embedding: &[f32], ranges: Option<&Ranges>) -> Quantized {
        match self {
            Self::F32 => Quantized::F32(embedding.to_vec()),
            Self::F16 => Quantized::F16(embedding.iter().map(|&value| f16::from_f32(value)).collect()),
            Self::Int8 | Self::Uint8 => {
                let buckets = ranges.expect("ranges of the values").buckets(embedding);
                if self == Self::Uint8 { Quantized::U8(buckets) } else { signed(buckets) }
            }
            Self::Binary | Self::Ubinary => {
                let eight = |values: &[f32]| (0..8).fold(0, |byte, at| 2 * byte + positive(values.get(at)));
                let bytes = embedding.chunks(8).map(eight).collect();
                if self == Self::Ubinary { Quantized::U8(bytes) } else { signed(bytes) }
            }
        }
    }
}

/// 1 for a positive value.
fn positive(value: Option<&f32>) -> u8 {
    value.is_some_and(|&value| value > 0.0).into()
}

/// Numbers minus 128.
fn signed(bytes: Vec<u8>) -> Quantized {
    Quantized::I8(bytes.into_iter().map(|byte| (byte ^ 0x80) as i8).collect())
}

/// A quantized embedding; as JSON, a list of numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Quantized {
    /// Of [`ValueType::F32`].
    F32(Vec<f32>),
    /// Of [`ValueType::F16`].
    F16(#[serde(serialize_with = "as_f32")] Vec<f16>),
    /// Of [`ValueType::Int8`] and [`ValueType::Binary`].
    I8(Vec<i8>),
    /// Of [`ValueType::Uint8`] and [`ValueType::Ubinary`].
    U8(Vec<u8>),
}

fn as_f32<S: Serializer>(values: &[f16], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|value| value.to_f32()))
}

impl Quantized {
    /// Adds the numbers of another embedding at the end.
    ///
    /// # Panics
    /// If they are of another type.
    pub fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::F32(values), Self::F32(more)) => values.extend(more),
            (Self::F16(values), Self::F16(more)) => values.extend(more),
            (Self::I8(values), Self::I8(more)) => values.extend(more),
            (Self::U8(values), Self::U8(more)) => values.extend(more),
            _ => panic!("numbers of the same type"),
        }
    }

    /// The numbers.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::F16(values) => values.iter().map(|value| value.to_f32()).collect(),
            Self::I8(values) => values.iter().map(|&value| value.into()).collect(),
            Self::U8(values) => values.iter().map(|&value| value.into()).collect(),
        }
    }

    /// The numbers in little-endian order, one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I8(values) => values.iter().map(|&value| value as u8).collect(),
            Self::U8(values) => values.clone(),
        }
    }
}

/// The smallest and the largest value of each dimension, over some embeddings.
///
/// ```
/// use ndarray::array;
/// use simcse_eval::{Quantized, Ranges, ValueType};
///
/// let mut ranges = Ranges::default();
/// ranges.add(array![[0.0, -1.0], [255.0, 1.0]].view());
/// let quantized = ValueType::Int8.quantize(&[127.5, 9.0], Some(&ranges));
/// assert_eq!(quantized, Quantized::I8(vec![-1, 127]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// Smallest and largest; empty before the first embedding.
    of_dimensions: Vec<(f32, f32)>,
    count: usize,
}

impl Ranges {
    /// Extends the ranges to embeddings, (N, C).
    ///
    /// # Panics
    /// If they have another width than those before.
    pub fn add(&mut self, embeddings: ArrayView2<f32>) {
        if self.of_dimensions.is_empty() {
            self.of_dimensions = vec![(f32::INFINITY, f32::NEG_INFINITY); embeddings.ncols()];
        }
        assert_eq!(self.of_dimensions.len(), embeddings.ncols(), "embeddings of the same width");
        for (range, values) in self.of_dimensions.iter_mut().zip(embeddings.columns()) {
            *range = values.iter().fold(*range, |(least, most), &value| (value.min(least), value.max(most)));
        }
        self.count += embeddings.nrows();
    }

    /// The number of embeddings that the ranges are those of.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    fn buckets(&self, embedding: &[f32]) -> Vec<u8> {
        assert_eq!(embedding.len(), self.of_dimensions.len(), "ranges of the same width");
        let bucket = |(&value, &(least, most)): (&f32, &(f32, f32))| {
            let step = (most - least) / 255.0;
            let step = if step == 0.0 { 1.0 } else { step };
            ((value - least) / step).floor().clamp(0.0, 255.0) as u8
        };
        embedding.iter().zip(&self.of_dimensions).map(bucket).collect()
    }
}
