//! A warning.

/// Something that is wrong with a run, and what to do about it.
///
/// ```
/// use simcse_train::Warning;
///
/// let warning = Warning { name: "many-cut", text: "half of the texts are truncated".to_owned() };
/// assert_eq!(warning.to_string(), "half of the texts are truncated [many-cut]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What is wrong, in a word or two: `collapse`. A run gives each warning once.
    pub name: &'static str,
    /// What is wrong and what to do, in a sentence.
    pub text: String,
}

impl Warning {
    pub(crate) fn new(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, text: text.into() }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} [{}]", self.text, self.name)
    }
}
