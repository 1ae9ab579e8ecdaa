//! Charts as inline SVG, drawn by plotters.
//!
//! Colors are names of roles, which the page's style sheet turns into colors for light and for dark
//! screens; no fonts are needed to draw. Everything is drawn ten times as large as it is shown,
//! because plotters rounds to whole pixels.

use std::ops::Range;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use simcse_model::io::figure;

use crate::page::html::escaped;
use crate::page::styles::{Marker, Style};

const SCALE: u32 = 10;
const WIDTH: u32 = 480 * SCALE;
const HEIGHT: u32 = 270 * SCALE;
/// The side of a map.
const SIDE: u32 = 420 * SCALE;
const FONT: u32 = 19 * SCALE;

/// The colors that the style sheet replaces.
const TEXT: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
const SECOND: RGBColor = RGBColor(4, 4, 4);

/// The most points of a line: more cannot be told apart.
const POINTS: usize = 400;
/// A line that is alone has a mark at every point, unless it has more points than this.
const MARKED: usize = 30;
/// How many marks each of several lines has.
const MARKS: usize = 6;

/// Points (x, y).
pub(super) type Points = [(f64, f64)];

/// A line of a chart. `intervals` are drawn as bars: (step, low, high).
pub(super) struct Line<'a> {
    pub(super) points: &'a Points,
    pub(super) intervals: &'a [(f64, f64, f64)],
    pub(super) style: Style,
}

/// How the values of a chart are laid out.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Axis {
    Linear,
    /// From 0 to 1.
    Share,
    /// Ratios have the same length, where all values are positive and far apart.
    Logarithmic,
}

/// One quantity, step by step.
pub(super) fn lines(title: &str, lines: &[Line], axis: Axis) -> String {
    let thin: Vec<_> = lines.iter().map(|line| thinned(line.points)).collect();
    let thin: Vec<_> = lines.iter().zip(&thin).map(|(line, points)| Line { points, ..*line }).collect();
    let points = || thin.iter().flat_map(|line| line.points);
    let ends = || thin.iter().flat_map(|line| line.intervals).flat_map(|&(_, low, high)| [low, high]);
    let values = || points().map(|&(_, y)| y).chain(ends());
    let x = range(points().map(|&(x, _)| x));
    let lowest = values().fold(f64::INFINITY, f64::min);
    let highest = values().fold(0.0, f64::max);
    let draw = |svg: &mut String| match axis {
        Axis::Logarithmic if lowest > 0.0 && highest > 10.0 * lowest => {
            draw_lines(svg, &thin, x.clone(), (0.8 * lowest..1.25 * highest).log_scale())
        }
        Axis::Share => draw_lines(svg, &thin, x.clone(), 0.0..1.05),
        _ => draw_lines(svg, &thin, x.clone(), padded(range(values()))),
    };
    finished(title, draw)
}

fn draw_lines<Y>(svg: &mut String, lines: &[Line], x: Range<f64>, y: Y) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = axes(svg, x, y, &|step| format!("{step:.0}"))?;
    for (number, Line { points, intervals, style }) in lines.iter().enumerate() {
        let bars =
            intervals.iter().map(|&(x, low, high)| PathElement::new(vec![(x, low), (x, high)], stroke(style.color, 2)));
        chart.draw_series(bars)?;
        chart.draw_series(LineSeries::new(points.iter().copied(), stroke(style.color, 2)))?;
        draw_marks(&mut chart, marked(points, number, lines.len()), 3, *style)?;
    }
    chart.plotting_area().present()?;
    Ok(())
}

/// A short piece of a line with a mark, for a legend.
pub(super) fn swatch(style: Style) -> String {
    let draw = |svg: &mut String| -> Drawn {
        let root = SVGBackend::with_string(svg, (44 * SCALE, 14 * SCALE)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root).build_cartesian_2d(-1.0..1.0, -1.0..1.0)?;
        chart.draw_series([PathElement::new(vec![(-1.0, 0.0), (1.0, 0.0)], stroke(style.color, 2))])?;
        draw_marks(&mut chart, std::iter::once((0.0, 0.0)), 3, style)?;
        root.present()?;
        Ok(())
    };
    finished("", draw).replacen(
        "class=\"chart\" role=\"img\" aria-label=\"\"",
        "class=\"swatch\" aria-hidden=\"true\"",
        1,
    )
}

/// The ways of two quantities, from an open circle to a large mark.
pub(super) fn paths(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| line.points);
    let x = padded(range(points().map(|&(x, _)| x)));
    let y = padded(range(points().map(|&(_, y)| y)));
    finished(title, |svg| {
        let mut chart = axes(svg, x.clone(), y.clone(), &|value| short(*value))?;
        for (number, Line { points, style, .. }) in lines.iter().enumerate() {
            chart.draw_series(LineSeries::new(points.iter().copied(), stroke(style.color, 2)))?;
            draw_marks(&mut chart, marked(points, number, lines.len()).skip(1), 3, *style)?;
            let first = points.first().map(|&at| Circle::new(at, 6 * SCALE, stroke(style.color, 2)));
            chart.draw_series(first)?;
            draw_marks(&mut chart, points.last().copied().into_iter(), 6, *style)?;
        }
        chart.plotting_area().present()?;
        Ok(())
    })
}

/// The points of a line that get a mark. Those of several lines are at different places, so that
/// one does not hide the other.
fn marked(points: &Points, number: usize, lines: usize) -> impl Iterator<Item = (f64, f64)> {
    let (first, every) = match (lines, points.len()) {
        (1, 0..=MARKED) => (0, 1),
        (1, count) => (count, 1),
        (_, count) if count <= 2 * MARKS => (0, 1),
        (_, count) => (count / MARKS * number / lines, count / MARKS),
    };
    points.iter().copied().skip(first).step_by(every)
}

/// Marks of a line, of about this radius.
fn draw_marks<'a, Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, Y>,
    points: impl Iterator<Item = (f64, f64)>,
    size: u32,
    Style { color, marker }: Style,
) -> Drawn {
    let corners: &[(i32, i32)] = match marker {
        Marker::Circle => {
            chart.draw_series(points.map(|at| Circle::new(at, size * SCALE, color.filled())))?;
            return Ok(());
        }
        Marker::Square => &[(-1, -1), (1, -1), (1, 1), (-1, 1)],
        Marker::Up => &[(0, -2), (2, 1), (-2, 1)],
        Marker::Down => &[(0, 2), (2, -1), (-2, -1)],
        Marker::Diamond => &[(0, -2), (2, 0), (0, 2), (-2, 0)],
    };
    let radius = (size * SCALE) as i32;
    let corners: Vec<_> = corners.iter().map(|&(x, y)| (x * radius, y * radius)).collect();
    chart.draw_series(points.map(|at| EmptyElement::at(at) + Polygon::new(corners.clone(), color.filled())))?;
    Ok(())
}

/// Two histograms over the same range, as outlines: counts in equally wide ranges of `x`.
pub(super) fn histograms(title: &str, x: Range<f64>, before: &[u64], after: &[u64]) -> String {
    let highest = before.iter().chain(after).copied().max().unwrap_or(1).max(1) as f64;
    // What is empty on both sides says nothing.
    let filled = |index: &usize| [before, after].iter().any(|bars| bars.get(*index).is_some_and(|&count| count > 0));
    let bars = before.len().max(after.len());
    let width = (x.end - x.start) / bars.max(1) as f64;
    let first = (0..bars).find(filled).unwrap_or(0);
    let last = (0..bars).rev().find(filled).unwrap_or(bars);
    let shown = x.start + width * first as f64 - width..x.start + width * (last + 1) as f64 + width;
    let outline = |bars: &[u64]| -> Vec<(f64, f64)> {
        let edge = |index: usize| x.start + width * index as f64;
        let steps = bars
            .iter()
            .enumerate()
            .flat_map(|(index, &count)| [(edge(index), count as f64), (edge(index + 1), count as f64)]);
        steps.filter(|(at, _)| (shown.start - 1e-9..=shown.end + 1e-9).contains(at)).collect()
    };
    finished(title, |svg| {
        let mut chart = axes(svg, shown.clone(), 0.0..1.05 * highest, &|value| short(*value))?;
        for (bars, color) in [(before, SECOND), (after, Style::ONE.color)] {
            chart.draw_series(LineSeries::new(outline(bars), stroke(color, 2)))?;
        }
        chart.plotting_area().present()?;
        Ok(())
    })
}

/// Points of the plane, each with a text that is shown when the pointer is over it.
pub(super) fn map(title: &str, points: &[[f64; 2]], texts: &[String]) -> String {
    let largest = points.iter().flatten().fold(1e-9, |largest: f64, at| largest.max(at.abs())) * 1.08;
    let svg = finished(title, |svg| {
        let root = SVGBackend::with_string(svg, (SIDE, SIDE)).into_drawing_area();
        let mut chart =
            ChartBuilder::on(&root).margin(4 * SCALE).build_cartesian_2d(-largest..largest, -largest..largest)?;
        let through = [vec![(-largest, 0.0), (largest, 0.0)], vec![(0.0, -largest), (0.0, largest)]];
        chart.draw_series(through.map(|line| PathElement::new(line, stroke(GRID, 1))))?;
        chart.draw_series(
            points.iter().map(|&[x, y]| Circle::new((x, y), 5 * SCALE, Style::ONE.color.mix(0.75).filled())),
        )?;
        root.present()?;
        Ok(())
    });
    titled(&svg.replacen("class=\"chart\"", "class=\"chart map\" tabindex=\"0\"", 1), texts)
}

/// Gives each circle, in order, a number and a text.
fn titled(svg: &str, texts: &[String]) -> String {
    let mut parts = svg.split("<circle ");
    let mut html = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        let text = texts.get(index).map(|text| escaped(text)).unwrap_or_default();
        let circle = part.replacen("/>", &format!("><title>{text}</title></circle>"), 1);
        html += &format!("<circle data-i=\"{index}\" {circle}");
    }
    html
}

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Chart<'a, Y> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>;

/// An empty chart with a grid and labels.
fn axes<'a, Y>(
    svg: &'a mut String,
    x: Range<f64>,
    y: Y,
    x_label: &dyn Fn(&f64) -> String,
) -> Result<Chart<'a, Y::CoordDescType>, Box<dyn std::error::Error>>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(8 * SCALE)
        .margin_right(18 * SCALE)
        .x_label_area_size(30 * SCALE)
        .y_label_area_size(64 * SCALE)
        .build_cartesian_2d(x, y)?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(stroke(GRID, 1))
        .axis_style(stroke(GRID, 1))
        .label_style(("sans-serif", FONT).into_font().color(&TEXT))
        .set_all_tick_mark_size(5 * SCALE)
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(x_label)
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    Ok(chart)
}

fn stroke(color: RGBColor, width: u32) -> ShapeStyle {
    color.stroke_width(width * SCALE)
}

/// The SVG that `draw` draws, as an image with a name.
fn finished(title: &str, draw: impl FnOnce(&mut String) -> Drawn) -> String {
    let mut svg = String::new();
    // Drawing into memory cannot fail; a chart without data has nothing to draw.
    if draw(&mut svg).is_err() {
        return String::new();
    }
    let Some((_, rest)) = svg.split_once("viewBox") else { return String::new() };
    format!("<svg class=\"chart\" role=\"img\" aria-label=\"{}\" viewBox{rest}", escaped(title))
}

/// A number on an axis.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{:.1}M", value / 1e6),
        size if size >= 1e4 => format!("{:.0}k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size < 0.01 => format!("{value:.1e}").replace(".0e", "e"),
        _ => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// At most [`POINTS`] points: the means of as many stretches.
fn thinned(points: &Points) -> Vec<(f64, f64)> {
    let stretch = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &Points| {
        let sum = part.iter().fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunks(stretch).map(mean).collect()
}

fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    match (low.is_finite() && high.is_finite(), low < high) {
        (true, true) => low..high,
        (true, false) => low - 0.5..low + 0.5,
        (false, _) => 0.0..1.0,
    }
}

fn padded(Range { start, end }: Range<f64>) -> Range<f64> {
    let margin = 0.06 * (end - start);
    start - margin..end + margin
}

/// Some of the points as rows of a table, for those who do not see the chart.
pub(super) fn rows(points: &Points) -> Vec<Vec<String>> {
    const ROWS: usize = 20;
    let every = points.len().div_ceil(ROWS).max(1);
    let last = points.len().saturating_sub(1);
    let shown = points.iter().enumerate().filter(|(index, _)| index % every == 0 || *index == last);
    shown.map(|(_, &(x, y))| vec![format!("{x:.0}"), figure(y)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_of_any_numbers_are_drawn() {
        let cases: [&Points; 5] =
            [&[], &[(1.0, 0.0)], &[(0.0, 5.0), (1.0, 5.0)], &[(0.0, 1e-9), (9.0, 1e9)], &[(0.0, -1.0), (1e7, 2e12)]];
        for points in cases {
            let one = || Line { points, intervals: &[], style: Style::ONE };
            for axis in [Axis::Linear, Axis::Share, Axis::Logarithmic] {
                let svg = lines("a < b", &[one()], axis);
                assert!(svg.starts_with("<svg class=\"chart\" role=\"img\" aria-label=\"a &lt; b\""), "{svg}");
                assert!(svg.trim_end().ends_with("</svg>"), "{points:?}");
            }
            assert!(paths("way", &[one()]).contains("</svg>"));
        }
        assert!(histograms("none", -1.0..1.0, &[], &[]).contains("</svg>"));
        let many: Vec<_> = (0..100_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        let line = |number| Line { points: &many, intervals: &[], style: Style::of(number) };
        assert!(lines("many", &[line(0)], Axis::Linear).len() < 20_000);
        let svg = lines("ten", &(0..10).map(line).collect::<Vec<_>>(), Axis::Linear);
        assert!(svg.len() < 100_000, "{} bytes", svg.len());
        for number in 0..10 {
            let color = Style::of(number).placeholder();
            assert!(
                svg.contains(&format!("stroke=\"{color}\"")) && svg.contains(&format!("fill=\"{color}\"")),
                "{color}"
            );
        }
    }

    #[test]
    fn points_of_a_map_carry_their_texts() {
        let svg = map("places", &[[0.0, 1.0], [1.0, 0.0]], &["one".to_owned(), "</title><script>".to_owned()]);
        assert_eq!(svg.matches("<circle data-i=").count(), 2);
        assert!(svg.contains("<title>one</title></circle>"), "{svg}");
        assert!(svg.contains("<title>&lt;/title&gt;&lt;script&gt;</title>") && !svg.contains("<script>"), "{svg}");
    }
}
