//! Weights packed for products once and for all, while they do not change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::ArrayView2;

use crate::gemm::packed::PackedMatrix;
use crate::precision::Precision;

/// Where weights start among all values, their shape, and what they are rounded to.
type Key = (usize, (usize, usize), Precision);

/// The packed right operands `Wᵀ` of `y = x·Wᵀ`, each packed when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct PackedWeights(Mutex<HashMap<Key, Arc<PackedMatrix>>>);

impl PackedWeights {
    /// `Wᵀ` of the weights `w`, which start at `start`; `None` if products are computed without
    /// packing here.
    pub(crate) fn transposed(
        &self,
        start: usize,
        precision: Precision,
        w: ArrayView2<f32>,
    ) -> Option<Arc<PackedMatrix>> {
        let key = (start, w.dim(), precision);
        let map = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = map().get(&key) {
            return Some(Arc::clone(found));
        }
        // Not under the lock: packing waits for rayon's tasks, and a thread that waits for them may
        // take on another task that needs the lock. At worst, two threads pack the same weights.
        let packed = Arc::new(PackedMatrix::new(precision, w.reversed_axes())?);
        Some(Arc::clone(map().entry(key).or_insert(packed)))
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
