//! Vectors of length 1, kept in as little memory as wished.

use std::ops::Range;

use half::f16;
use ndarray::ArrayView2;
use simcse_model::Named;
use simcse_tensor::StoredRows;

use crate::metrics::unit_rows::unit_rows;

/// How a value of a vector is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// 32 bits.
    #[default]
    F32,
    /// Half precision, 16 bits: cosines change by less than 0.001.
    F16,
    /// 8 bits, and a scale for each row: its largest value becomes 127.
    Int8,
}

impl Named for Storage {
    const ALL: &'static [Self] = &[Self::F32, Self::F16, Self::Int8];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

impl Storage {
    /// The bytes of a vector of `width` values.
    #[must_use]
    pub fn bytes(self, width: usize) -> usize {
        match self {
            Self::F32 => 4 * width,
            Self::F16 => 2 * width,
            Self::Int8 => width + size_of::<f32>(),
        }
    }
}

/// Rows of unit length. A row of zeros stays zero: it has similarity 0 to everything.
///
/// ```
/// use ndarray::array;
/// use simcse_eval::{Storage, Vectors};
///
/// let mut vectors = Vectors::new(Storage::Int8, 2);
/// vectors.push(array![[3.0, 4.0], [0.0, 2.0]].view());
/// assert_eq!(vectors.len(), 2);
/// assert_eq!(vectors.to_bytes(0..1).len(), Storage::Int8.bytes(2));
/// ```
#[derive(Clone, Debug)]
pub struct Vectors {
    width: usize,
    rows: Rows,
}

#[derive(Clone, Debug)]
enum Rows {
    F32(Vec<f32>),
    F16(Vec<u16>),
    Int8 { values: Vec<i8>, scales: Vec<f32> },
}

impl Vectors {
    /// No rows of `width` values yet.
    ///
    /// # Panics
    /// If `width` is 0.
    #[must_use]
    pub fn new(storage: Storage, width: usize) -> Self {
        assert!(width > 0, "vectors have values");
        let rows = match storage {
            Storage::F32 => Rows::F32(Vec::new()),
            Storage::F16 => Rows::F16(Vec::new()),
            Storage::Int8 => Rows::Int8 { values: Vec::new(), scales: Vec::new() },
        };
        Self { width, rows }
    }

    /// The values of a vector, `C`.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How the values are stored.
    #[must_use]
    pub fn storage(&self) -> Storage {
        match self.rows {
            Rows::F32(_) => Storage::F32,
            Rows::F16(_) => Storage::F16,
            Rows::Int8 { .. } => Storage::Int8,
        }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stored().len(self.width)
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows as they are stored.
    pub(crate) fn stored(&self) -> StoredRows<'_> {
        match &self.rows {
            Rows::F32(values) => StoredRows::F32(values),
            Rows::F16(values) => StoredRows::F16(values),
            Rows::Int8 { values, scales } => StoredRows::Int8 { values, scales },
        }
    }

    /// Prepares for `count` more rows.
    pub fn reserve(&mut self, count: usize) {
        let more = count * self.width;
        match &mut self.rows {
            Rows::F32(values) => values.reserve_exact(more),
            Rows::F16(values) => values.reserve_exact(more),
            Rows::Int8 { values, scales } => {
                values.reserve_exact(more);
                scales.reserve_exact(count);
            }
        }
    }

    /// Adds embeddings, (rows, C), scaled to unit length.
    ///
    /// # Panics
    /// If they have another width.
    pub fn push(&mut self, embeddings: ArrayView2<f32>) {
        assert_eq!(embeddings.ncols(), self.width, "vectors of the same width");
        let unit = unit_rows(embeddings);
        for row in unit.rows() {
            match &mut self.rows {
                Rows::F32(values) => values.extend(row),
                Rows::F16(values) => values.extend(row.iter().map(|&value| f16::from_f32(value).to_bits())),
                Rows::Int8 { values, scales } => {
                    let largest = row.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
                    let scale = largest / 127.0;
                    let rounded = |&value: &f32| if scale > 0.0 { (value / scale).round() as i8 } else { 0 };
                    values.extend(row.iter().map(rounded));
                    scales.push(scale);
                }
            }
        }
    }

    /// The rows of `range` as bytes, one row after the other: values in little-endian order; of
    /// int8, first the scale.
    ///
    /// # Panics
    /// If there are fewer rows.
    #[must_use]
    pub fn to_bytes(&self, range: Range<usize>) -> Vec<u8> {
        let of = range.start * self.width..range.end * self.width;
        match &self.rows {
            Rows::F32(values) => values[of].iter().flat_map(|value| value.to_le_bytes()).collect(),
            Rows::F16(values) => values[of].iter().flat_map(|value| value.to_le_bytes()).collect(),
            Rows::Int8 { values, scales } => {
                let rows = values[of].chunks_exact(self.width).zip(&scales[range]);
                rows.flat_map(|(row, scale)| scale.to_le_bytes().into_iter().chain(row.iter().map(|&v| v as u8)))
                    .collect()
            }
        }
    }

    /// Adds rows that [`to_bytes`](Self::to_bytes) has written.
    ///
    /// # Panics
    /// If a row is incomplete.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        let size = self.storage().bytes(self.width);
        assert_eq!(bytes.len() % size, 0, "vectors: whole rows");
        match &mut self.rows {
            Rows::F32(values) => {
                values.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            }
            Rows::F16(values) => {
                values.extend(bytes.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes)));
            }
            Rows::Int8 { values, scales } => {
                for row in bytes.chunks_exact(size) {
                    let (scale, row) = row.split_first_chunk().expect("a row begins with its scale");
                    scales.push(f32::from_le_bytes(*scale));
                    values.extend(row.iter().map(|&byte| byte as i8));
                }
            }
        }
    }

    /// Whether all values are finite: of what was read from a file, this is not certain.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        match &self.rows {
            Rows::F32(values) => values.iter().all(|value| value.is_finite()),
            Rows::F16(values) => values.iter().all(|&bits| f16::from_bits(bits).is_finite()),
            Rows::Int8 { scales, .. } => scales.iter().all(|scale| scale.is_finite()),
        }
    }

    /// The values of the rows of `range`, (rows, C).
    ///
    /// # Panics
    /// If there are fewer rows.
    #[must_use]
    pub fn decoded(&self, range: Range<usize>) -> ndarray::Array2<f32> {
        let (rows, mut values) = (range.len(), Vec::new());
        self.decode(range, &mut values);
        ndarray::Array2::from_shape_vec((rows, self.width), values).expect("whole rows")
    }

    /// Overwrites `values` with those of the rows of `range`, row after row.
    pub(super) fn decode(&self, range: Range<usize>, values: &mut Vec<f32>) {
        values.resize(range.len() * self.width, 0.0);
        self.stored().slice(range, self.width).decode(self.width, values);
    }
}

/// A range of rows in parts of at most `size`.
pub(super) fn parts(rows: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(size).map(move |start| start..end.min(start + size))
}
