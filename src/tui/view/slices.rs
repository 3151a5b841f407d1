//! Slices of loss and accuracy through the current checkpoint, along both axes of the plane.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Text;
use ratatui::widgets::{Paragraph, Widget, Wrap};

use crate::landscape::surface::Measure;
use crate::plot::graph::{Curve as Line, Graph, Mark, Side, Stroke};
use crate::session::snapshot::{Finding, Slice};

use super::super::app::App;
use super::{enclosed, facts, frame, padded, paint};

/// From this width on the two axes stand side by side.
const SIDE_BY_SIDE: u16 = 56;
/// Least rows of a chart; where there are fewer, accuracy gives way to loss.
const CHART: u16 = 4;

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let step = app
        .snapshot()
        .trajectory
        .as_ref()
        .and_then(|path| path.steps.last());
    let title = step.map_or("slices".into(), |step| {
        format!("slices through step {step}")
    });
    let inner = enclosed(&frame(app, &title), area, buffer);
    let slices = &app.snapshot().slices;
    if slices.is_empty() {
        let text = Text::styled(why_none(app), app.theme().faint());
        Paragraph::new(text)
            .wrap(Wrap { trim: true })
            .render(padded(inner), buffer);
        return;
    }
    let each = vec![Constraint::Fill(1); slices.len()];
    let areas = if inner.width >= SIDE_BY_SIDE {
        Layout::horizontal(each).spacing(2).split(inner)
    } else {
        Layout::vertical(each).split(inner)
    };
    for (slice, area) in slices.iter().zip(areas.iter()) {
        render_slice(app, slice, *area, buffer);
    }
}

/// Why there are no slices.
fn why_none(app: &App) -> String {
    let snapshot = app.snapshot();
    match (&snapshot.model, &snapshot.data) {
        (Finding::Not(_), _) | (_, Finding::Not(_)) => "no loss to slice: see the map".into(),
        _ if facts::axes(snapshot) == 0 => "slices begin with the second checkpoint".into(),
        _ => "not measured yet".into(),
    }
}

/// What is drawn of a measurement, and its name.
type Curve = (&'static str, fn(&Measure) -> f64);

/// Loss above accuracy.
fn render_slice(app: &App, slice: &Slice, area: Rect, buffer: &mut Buffer) {
    let axis = format!("PC{}", slice.axis + 1);
    let curves: [Curve; 2] = [("loss", |m| m.loss), ("accuracy %", |m| m.accuracy * 100.0)];
    let shown = if area.height >= 2 * CHART { 2 } else { 1 };
    let areas = Layout::vertical(vec![Constraint::Fill(1); shown]).split(area);
    for (i, ((name, value), area)) in curves.iter().zip(areas.iter()).enumerate() {
        let values: Vec<f64> = slice
            .values
            .iter()
            .map(|measure| measure.as_ref().map_or(f64::NAN, value))
            .collect();
        let chart = Graph {
            title: &format!("{name} along {axis}"),
            right: "",
            curves: vec![Line {
                x: &slice.offset,
                y: &values,
                side: Side::Left,
                stroke: Stroke::Solid,
            }],
            // The middle is the checkpoint itself.
            marks: vec![Mark {
                at: 0.0,
                label: "0".into(),
            }],
            ticks: i + 1 == shown,
            marker: app.look().marker,
            tints: app.theme().tints(),
        };
        paint(
            &chart.draw(area.width.into(), area.height.into()),
            *area,
            buffer,
        );
    }
}
