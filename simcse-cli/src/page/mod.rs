//! `report.html`: one page that shows a run, from the files in its output directory.

pub(crate) mod pictures;
