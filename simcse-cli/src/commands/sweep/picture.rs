//! The table of a sweep as a picture: a row for each group of runs, a dot for each of them, and the
//! mean with its standard deviation.

use plotters::prelude::*;

use crate::commands::sweep::results::{Results, Row};
use crate::commands::sweep::table;

const WIDTH: u32 = 900;
/// The height of a row, and of the heading and the axis together.
const ROW: u32 = 34;
const REST: u32 = 100;
/// The width of the labels.
const LABELS: u32 = 300;

const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const OURS: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const THEIRS: RGBColor = RGBColor(0xb4, 0x50, 0x0f);

/// The last figure of the table, by row; without one, a picture of no rows.
pub(super) fn svg(results: &Results) -> String {
    let mut svg = String::new();
    // Drawing into memory cannot fail.
    let _ = draw(results, &mut svg);
    svg
}

fn draw(results: &Results, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let column = results.columns.len().saturating_sub(1);
    let figure = results.columns.last().map_or("no figures yet", |column| &column.heading);
    let cell = |row: &Row| row.cells.get(column).cloned().flatten();
    let count = results.rows.len();
    let root = SVGBackend::with_string(svg, (WIDTH, REST + ROW * count.max(1) as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let published = results.published.as_ref().map(|source| format!("; ◇ {source}")).unwrap_or_default();
    let title = format!("{figure}: ● mean ± standard deviation, ○ runs{published}");

    let values = results.rows.iter().flat_map(|row| {
        let spread = cell(row).map(|cell| (cell.mean(), cell.deviation().unwrap_or(0.0), cell.values));
        let ours = spread.into_iter().flat_map(|(mean, sd, values)| [mean - sd, mean + sd].into_iter().chain(values));
        ours.chain(row.published).collect::<Vec<_>>()
    });
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let (low, high) = if low < high { (low, high) } else { (low.min(1.0) - 0.05, high.max(0.0) + 0.05) };
    let margin = 0.08 * (high - low);
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption(title, ("sans-serif", 16).into_font().color(&INK))
        .x_label_area_size(30)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(low - margin..high + margin, (0..count.max(1)).into_segmented())?;
    let label = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(row) => results.rows.get(*row).map_or(String::new(), |row| row.labels.join(", ")),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(("sans-serif", 14).into_font().color(&INK))
        .y_labels(count.max(1))
        .y_label_formatter(&label)
        .x_label_formatter(&|value| format!("{value:.3}"))
        .draw()?;
    for (index, row) in results.rows.iter().enumerate() {
        let at = |x: f64| (x, SegmentValue::CenterOf(index));
        if let Some(cell) = cell(row) {
            let (mean, deviation) = (cell.mean(), cell.deviation().unwrap_or(0.0));
            let bar = PathElement::new(vec![at(mean - deviation), at(mean + deviation)], OURS.stroke_width(2));
            chart.draw_series([bar])?;
            chart.draw_series(cell.values.iter().map(|&value| Circle::new(at(value), 4, OURS.stroke_width(1))))?;
            chart.draw_series([Circle::new(at(mean), 5, OURS.filled())])?;
            let style = ("sans-serif", 12).into_font().color(&INK);
            chart.draw_series([EmptyElement::at(at(mean)) + Text::new(table::text(&cell), (-40, -20), style)])?;
        }
        if let Some(value) = row.published {
            let diamond = vec![(0, -6), (6, 0), (0, 6), (-6, 0), (0, -6)];
            chart.draw_series([EmptyElement::at(at(value)) + PathElement::new(diamond, THEIRS.stroke_width(2))])?;
        }
    }
    root.present()?;
    Ok(())
}
