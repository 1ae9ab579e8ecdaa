//! How several runs are told apart: by color, by dashes and by marks.
//!
//! Charts are drawn in placeholders, which the style sheet turns into colors for light and for dark
//! screens.

use std::fmt::Write;

use plotters::style::RGBColor;

/// How many colors the style sheet has. This and the number of dashes have no common divisor, so
/// that 40 runs look different.
const COLORS: usize = 8;
/// Patterns of dashes, in the units of charts, in which lines are 20 wide.
const DASHES: [&str; 5] = ["none", "90 45", "25 35", "140 40 25 40", "220 70"];

/// The style of a line and its marks.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) color: RGBColor,
    pub(super) marker: Marker,
}

/// The shape of a mark.
#[derive(Clone, Copy)]
pub(super) enum Marker {
    Circle,
    Square,
    Up,
    Down,
    Diamond,
}

impl Style {
    /// That of a line which is alone on its chart.
    pub(super) const ONE: Self = Self { color: RGBColor(3, 3, 3), marker: Marker::Circle };

    /// That of run `number`.
    pub(super) fn of(number: usize) -> Self {
        let markers = [Marker::Circle, Marker::Square, Marker::Up, Marker::Diamond, Marker::Down];
        // The second five runs have other pairs of dashes and marks than the first five.
        let marker = markers[(number + number / markers.len()) % markers.len()];
        Self { color: RGBColor(16, (number / 240) as u8, (number % 240) as u8), marker }
    }

    /// The color's name in charts.
    pub(super) fn placeholder(self) -> String {
        let RGBColor(r, g, b) = self.color;
        format!("#{r:02X}{g:02X}{b:02X}")
    }
}

/// The style sheet of `count` runs. A run whose box in the legend is not checked is not shown.
pub(super) fn style_sheet(count: usize) -> String {
    let mut style = String::from("\n");
    for number in 0..count {
        let name = Style::of(number).placeholder();
        let (color, dashes) = (number % COLORS, DASHES[number % DASHES.len()]);
        let _ = write!(
            style,
            "[stroke=\"{name}\"] {{ stroke: var(--run-{color}); }}\n\
             polyline[stroke=\"{name}\"] {{ stroke-dasharray: {dashes}; }}\n\
             [fill=\"{name}\"] {{ fill: var(--run-{color}); }}\n\
             body:has(#run-{number}:not(:checked)) .chart :is([stroke=\"{name}\"], [fill=\"{name}\"]) {{ display: none; }}\n"
        );
    }
    style
}
