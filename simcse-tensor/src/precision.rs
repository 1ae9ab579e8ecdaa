//! What the operands of the large matrix products are rounded to.
//!
//! This file knows two formats. It must not know which products are computed in them.

use crate::named::{Named, UnknownName};
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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

    /// The precision of this name, whether or not it is available; `auto` is the fastest one that
    /// is.
    ///
    /// ```
    /// use simcse_tensor::Precision;
    ///
    /// assert_eq!(Precision::from_name_or_auto("bf16"), Ok(Precision::Bf16));
    /// assert_eq!(Precision::from_name_or_auto("auto"), Ok(Precision::fastest()));
    /// let error = Precision::from_name_or_auto("f16").unwrap_err();
    /// assert_eq!(error.to_string(), "expected f32, bf16 or auto, found f16");
    /// ```
    ///
    /// # Errors
    /// [`UnknownName`], which lists the known names.
    pub fn from_name_or_auto(name: &str) -> Result<Self, UnknownName> {
        match name {
            "auto" => Ok(Self::fastest()),
            _ => Self::from_name(name)
                .map_err(|unknown| UnknownName { expected: "f32, bf16 or auto".to_owned(), ..unknown }),
        }
    }

    /// The fastest available precision.
    pub fn fastest() -> Self {
        if has_bf16() { Self::Bf16 } else { Self::F32 }
    }
}
