//! `report.html`: one page that shows a run, from the files in its output directory.
//!
//! The page needs nothing but itself: no network, no script or style from elsewhere. Whatever comes
//! from outside, such as sentences and names, is text on it and nothing else.
//!
//! This room knows the files of a run and HTML. It must not know how a run is carried out.

mod charts;
mod html;
pub(crate) mod log;
pub(crate) mod pictures;
pub(crate) mod report;
mod sections;
