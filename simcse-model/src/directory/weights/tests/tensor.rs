use proptest::prelude::*;

use super::*;

/// A file with the values 0, 1, 2, … as f32.
fn counting(length: usize) -> (tempfile::TempDir, Arc<Source>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("values");
    let bytes: Vec<u8> = (0..length).flat_map(|i| (i as f32).to_le_bytes()).collect();
    std::fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    (dir, Arc::new(Source { path, file }))
}

/// The places of a view's values in its storage, in row-major order.
fn places(offset: usize, shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut places = vec![offset];
    for (size, stride) in shape.iter().zip(strides) {
        places = places.iter().flat_map(|place| (0..*size).map(move |i| place + i * stride)).collect();
    }
    places
}

fn read(source: &Arc<Source>, offset: usize, shape: &[usize], strides: Vec<usize>) -> Vec<usize> {
    let begin = 4 * offset as u64;
    let tensor = StoredTensor { source: source.clone(), dtype: Dtype::F32, shape: shape.to_vec(), begin, strides };
    let mut out = vec![-1.0; tensor.values()];
    tensor.read(&mut out).unwrap();
    let bytes: Vec<f32> =
        tensor.read_bytes().unwrap().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    assert_eq!(out, bytes);
    out.iter().map(|value| *value as usize).collect()
}

proptest! {
    /// Any strides: a view is read as the naive computation says, or it is refused because it
    /// leaves the storage or overlaps. (Some views without overlap are refused, too, but none that
    /// slicing and permuting makes.)
    #[test]
    fn views_are_read_or_refused(
        offset in 0..20_usize,
        dimensions in prop::collection::vec((0..5_usize, 0..30_usize), 0..4),
    ) {
        const LENGTH: usize = 100;
        let (_dir, source) = counting(LENGTH);
        let (shape, strides): (Vec<_>, Vec<_>) = dimensions.into_iter().unzip();
        let expected = places(offset, &shape, &strides);
        if let Some(checked) = checked_strides(LENGTH, offset, &shape, &strides) {
            prop_assert_eq!(read(&source, offset, &shape, checked), expected);
        } else {
            let mut unique = expected.clone();
            unique.sort_unstable();
            unique.dedup();
            let mut by_stride: Vec<_> = shape.iter().zip(&strides).filter(|(size, _)| **size > 1).collect();
            by_stride.sort_by_key(|(_, stride)| **stride);
            let interleaved = by_stride.windows(2).any(|pair| (pair[0].0 - 1) * pair[0].1 >= *pair[1].1)
                || by_stride.len() > 2;
            prop_assert!(expected.iter().any(|place| *place >= LENGTH) || unique.len() < expected.len() || interleaved);
        }
    }

    /// What slicing and permuting a matrix of three dimensions makes is never refused.
    #[test]
    fn slices_and_permutations_are_read(
        sizes in prop::array::uniform3(1..5_usize),
        steps in prop::array::uniform3(1..4_usize),
        order in Just([0, 1, 2]).prop_shuffle(),
    ) {
        let whole = [0, 1, 2].map(|i| sizes[i] * steps[i]);
        let strides = [whole[1] * whole[2] * steps[0], whole[2] * steps[1], steps[2]];
        let length = whole.iter().product();
        let (_dir, source) = counting(length);
        let shape = order.map(|i| sizes[i]);
        let strides = order.map(|i| strides[i]);
        let checked = checked_strides(length, 0, &shape, &strides);
        prop_assert!(checked.is_some());
        prop_assert_eq!(read(&source, 0, &shape, checked.unwrap()), places(0, &shape, &strides));
    }
}

#[test]
fn views_longer_than_a_chunk_are_read_whole() {
    let (rows, columns) = (1000, 700);
    let (_dir, source) = counting(rows * columns);
    assert!(rows * columns * 4 > 2 * CHUNK);
    // Transposed, and every third column.
    for (shape, strides) in [([columns, rows], [1, columns]), ([rows, columns / 3], [columns, 3])] {
        let checked = checked_strides(rows * columns, 0, &shape, &strides).unwrap();
        assert_eq!(read(&source, 0, &shape, checked), places(0, &shape, &strides));
    }
}

#[test]
fn row_major_views_have_no_strides() {
    for (shape, strides, expected) in [
        (&[][..], &[][..], Some(vec![])),
        (&[3, 4], &[4, 1], Some(vec![])),
        (&[1, 3, 1, 4], &[999, 4, 7, 1], Some(vec![])),
        (&[0, 4], &[usize::MAX, usize::MAX], Some(vec![])),
        (&[4, 3], &[1, 4], Some(vec![1, 4])),
        (&[3, 2], &[4, 2], Some(vec![4, 2])),
        (&[3], &[4], Some(vec![4])),
        (&[13], &[1], None),
        (&[2], &[usize::MAX], None),
        (&[usize::MAX, usize::MAX, 0], &[1, 1, 1], None),
        (&[2, 2], &[0, 1], None),
        (&[2, 2], &[1, 1], None),
    ] {
        assert_eq!(checked_strides(12, 0, shape, strides), expected, "{shape:?} {strides:?}");
    }
}
