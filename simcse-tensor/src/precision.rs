//! What the operands of the large matrix products are rounded to.

use crate::named::Named;
use crate::simd::has_bf16;

/// What the operands of the large matrix products are rounded to. Sums are f32 in either case.
///
/// ```
/// use simcse_tensor::{Named, Precision};
///
/// let precision = Precision::fastest();
/// assert!(precision.is_available());
/// assert_eq!(Precision::from_name(precision.name()), Ok(precision));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// No rounding.
    #[default]
    F32,
    /// bfloat16, rounded to nearest even; only on processors with instructions for it.
    Bf16,
}

impl Named for Precision {
    const ALL: &'static [Self] = &[Self::F32, Self::Bf16];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl Precision {
    /// Whether this processor can compute in this precision with the instruction set in use (see
    /// [`Isa::detected`](crate::Isa::detected)).
    pub fn is_available(self) -> bool {
        self == Self::F32 || has_bf16()
    }

    /// The fastest available precision.
    pub fn fastest() -> Self {
        if has_bf16() { Self::Bf16 } else { Self::F32 }
    }
}
