//! Values chosen by name: on the command line, in an environment variable, in a file.
//!
//! This file knows names. It must not know where they are read from.

use std::fmt;

/// A type whose values have names.
///
/// ```
/// use simcse_tensor::{Named, Precision};
///
/// assert_eq!(Precision::from_name("bf16"), Ok(Precision::Bf16));
/// let error = Precision::from_name("f16").unwrap_err();
/// assert_eq!(error.to_string(), "expected f32 or bf16, found f16");
/// ```
pub trait Named: Copy + 'static {
    /// Every value, in the order in which messages list them.
    const ALL: &'static [Self];

    /// The value's name.
    fn name(self) -> &'static str;

    /// The value with this name.
    ///
    /// # Errors
    /// [`UnknownName`], which lists the known names.
    fn from_name(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.iter().copied().find(|value| value.name() == name);
        found.ok_or_else(|| UnknownName { expected: names_of::<Self>(), found: name.to_owned() })
    }
}

/// The names of a type's values, listed as in a sentence: `portable, avx2 or avx512`.
pub fn names_of<T: Named>() -> String {
    let names: Vec<_> = T::ALL.iter().map(|value| value.name()).collect();
    match &names[..] {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The error for a name that no value of a [`Named`] type has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The known names, as [`names_of`] lists them.
    pub expected: String,
    /// The name that was given.
    pub found: String,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl std::error::Error for UnknownName {}
