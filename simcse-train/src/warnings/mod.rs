//! What goes wrong in a run: what would keep it from learning, found before its first step, and
//! what its figures show while it lasts. Every warning has a name and says what to do.
//!
//! This room knows settings, examples and figures. It must not know how figures are computed, or
//! how warnings are shown.

pub(crate) mod before;
pub(crate) mod warning;
pub(crate) mod watch;
