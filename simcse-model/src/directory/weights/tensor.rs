//! Where in a file the values of a tensor are, and reading them in pieces.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use half::{bf16, f16};
use safetensors::Dtype;

use crate::error::{Error, Result};

/// Bytes read at a time, a multiple of the width of every type.
pub(crate) const CHUNK: usize = 1 << 20;

/// An open file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

/// A tensor in a file. Whoever makes one has checked that all its values are inside the file.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    pub(crate) source: Arc<Source>,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Where its first value is, in bytes from the beginning of the file.
    pub(crate) begin: u64,
    /// For each dimension, the distance in values between neighbors in the file; empty if the
    /// values are in row-major order without gaps.
    pub(crate) strides: Vec<usize>,
}

/// A dimension, or several that can be walked as one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Dimension {
    size: usize,
    /// The distance in values between neighbors in the file.
    stride: usize,
    /// The same in row-major order.
    row_major: usize,
}

/// Equally spaced values in a file, as many as fit into a chunk.
struct Piece<'a> {
    /// The bytes from the first value on.
    bytes: &'a [u8],
    /// The distance between values in `bytes`, in values.
    stride: usize,
    /// The place of the first value in row-major order.
    first: usize,
    /// The distance between values in row-major order.
    step: usize,
    count: usize,
}

impl StoredTensor {
    /// The number of its values.
    pub(crate) fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Reads the values into `out`, as f32 and in row-major order. Types that are not of
    /// floating-point numbers have been refused.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn read(&self, out: &mut [f32]) -> Result<()> {
        self.pieces(|piece| match self.dtype {
            Dtype::F64 => decode(&piece, out, |eight| f64::from_le_bytes(eight) as f32),
            Dtype::F16 => decode(&piece, out, |two| f16::from_le_bytes(two).to_f32()),
            Dtype::BF16 => decode(&piece, out, |two| bf16::from_le_bytes(two).to_f32()),
            _ => decode(&piece, out, f32::from_le_bytes),
        })
    }

    /// Reads the values unchanged, in row-major order.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn read_bytes(&self) -> Result<Vec<u8>> {
        let mut out = vec![0; self.values() * self.dtype.bitsize() / 8];
        if self.strides.is_empty() {
            // Not in pieces, because the values of some types are less than a byte.
            self.read_at(self.begin, &mut out)?;
            return Ok(out);
        }
        let width = self.width();
        self.pieces(|piece| {
            for i in 0..piece.count {
                let value = &piece.bytes[i * piece.stride * width..][..width];
                out[(piece.first + i * piece.step) * width..][..width].copy_from_slice(value);
            }
        })?;
        Ok(out)
    }

    fn width(&self) -> usize {
        self.dtype.bitsize() / 8
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        let mut file = &self.source.file;
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(bytes));
        read.map_err(Error::io(&self.source.path))
    }

    /// Reads the tensor in the order of the file, a chunk at a time, so that a large tensor is
    /// never in memory both as bytes and as values.
    fn pieces(&self, mut each: impl FnMut(Piece)) -> Result<()> {
        if self.values() == 0 {
            return Ok(());
        }
        let dimensions = dimensions(&self.shape, &self.strides);
        let (inner, outer) = match &dimensions[..] {
            [outer @ .., inner] => (*inner, outer),
            [] => (Dimension { size: 1, stride: 1, row_major: 1 }, &[][..]),
        };
        let width = self.width();
        let last: usize = dimensions.iter().map(|dimension| (dimension.size - 1) * dimension.stride).sum();
        let end = self.begin + ((last + 1) * width) as u64;
        let mut chunk = vec![0; CHUNK.min((last + 1) * width)];
        // What of the file is in `chunk`.
        let mut held = 0..0;

        for run in 0..outer.iter().map(|dimension| dimension.size).product() {
            let (start, first) = place(outer, run);
            let mut done = 0;
            while done < inner.size {
                let at = self.begin + ((start + done * inner.stride) * width) as u64;
                if !held.contains(&at) {
                    held = at..end.min(at + chunk.len() as u64);
                    self.read_at(at, &mut chunk[..(held.end - at) as usize])?;
                }
                let bytes = &chunk[(at - held.start) as usize..(held.end - held.start) as usize];
                let fit = bytes.len().div_ceil(inner.stride * width).min(inner.size - done);
                let first = first + done * inner.row_major;
                each(Piece { bytes, stride: inner.stride, first, step: inner.row_major, count: fit });
                done += fit;
            }
        }
        Ok(())
    }
}

/// Where run number `run` of the inner dimension begins, in the file and in row-major order.
fn place(outer: &[Dimension], mut run: usize) -> (usize, usize) {
    let mut place = (0, 0);
    for dimension in outer.iter().rev() {
        let i = run % dimension.size;
        run /= dimension.size;
        place.0 += i * dimension.stride;
        place.1 += i * dimension.row_major;
    }
    place
}

/// The dimensions in the order of the file, the last one with the nearest neighbors; those that are
/// adjacent in both orders are one, and those of size 1 are none.
fn dimensions(shape: &[usize], strides: &[usize]) -> Vec<Dimension> {
    if strides.is_empty() {
        return vec![Dimension { size: shape.iter().product(), stride: 1, row_major: 1 }];
    }
    let mut row_major = 1;
    let mut dimensions = Vec::new();
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size != 1 {
            dimensions.push(Dimension { size, stride, row_major });
        }
        row_major *= size;
    }
    dimensions.sort_by_key(|dimension| dimension.stride);
    let mut merged: Vec<Dimension> = Vec::new();
    for dimension in dimensions {
        match merged.last_mut() {
            Some(inner) if adjacent(inner, &dimension) => inner.size *= dimension.size,
            _ => merged.push(dimension),
        }
    }
    merged.reverse();
    merged
}

fn adjacent(inner: &Dimension, outer: &Dimension) -> bool {
    outer.stride == inner.size * inner.stride && outer.row_major == inner.size * inner.row_major
}

/// What [`StoredTensor::strides`] is for a view of a storage of `length` values that begins at
/// `offset`; `None` if the view leaves the storage, if two of its places are the same value, or if
/// it does not have one stride for each dimension.
pub(crate) fn checked_strides(length: usize, offset: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<usize>> {
    if shape.len() != strides.len() {
        return None;
    }
    if shape.iter().try_fold(1_usize, |values, size| values.checked_mul(*size))? == 0 {
        return Some(Vec::new());
    }
    let mut by_stride: Vec<_> = shape.iter().zip(strides).filter(|(size, _)| **size != 1).collect();
    by_stride.sort_by_key(|(_, stride)| **stride);
    // How far the dimensions so far reach. The next one must step over all of it.
    let mut reach = 1_usize;
    for (size, stride) in by_stride {
        if *stride < reach {
            return None;
        }
        reach = (size - 1).checked_mul(*stride)?.checked_add(reach)?;
    }
    if offset.checked_add(reach)? > length {
        return None;
    }
    let is_row_major = matches!(dimensions(shape, strides)[..], [] | [Dimension { stride: 1, row_major: 1, .. }]);
    Some(if is_row_major { Vec::new() } else { strides.to_vec() })
}

fn decode<const WIDTH: usize>(piece: &Piece, out: &mut [f32], convert: impl Fn([u8; WIDTH]) -> f32) {
    let stored = piece.bytes.as_chunks().0;
    let out = &mut out[piece.first..];
    if piece.stride == 1 && piece.step == 1 {
        for (value, bytes) in out[..piece.count].iter_mut().zip(stored) {
            *value = convert(*bytes);
        }
    } else {
        for i in 0..piece.count {
            out[i * piece.step] = convert(stored[i * piece.stride]);
        }
    }
}

#[cfg(test)]
#[path = "tests/tensor.rs"]
mod tests;
