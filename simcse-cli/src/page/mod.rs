//! `report.html`: one page that shows a run, from the files in its output directory; and one that
//! shows several runs next to each other.
//!
//! The page needs nothing but itself: no network, no script or style from elsewhere. Whatever comes
//! from outside, such as sentences and names, is text on it and nothing else.
//!
//! This room knows runs on disk and HTML. It must not know how a run is carried out.

mod charts;
pub(crate) mod document;
pub(crate) mod html;
mod measures;
pub(crate) mod pictures;
pub(crate) mod report;
mod sections;
pub(crate) mod several;
mod styles;
