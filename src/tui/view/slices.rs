//! Slices of loss and score through the current checkpoint, along both axes of the plane.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};

use crate::landscape;
use crate::landscape::surface::Measure;
use crate::loss::Score;
use crate::plot::axis::short;
use crate::plot::graph::{Curve as Line, Graph, Mark, Side, Stroke};
use crate::session::snapshot::Slice;
use crate::session::study::{LineCurve, Study};

use super::super::state::App;
use super::super::state::choice::SliceKind;
use super::{enclosed, facts, frame, paint, render_refusal, render_sentence};

/// From this width on the two axes stand side by side.
const SIDE_BY_SIDE: u16 = 56;
/// Least rows of a chart; where there are fewer, the score gives way to loss.
const CHART: u16 = 4;

/// Draws the pane: what the user chose to slice along.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    if app.slice_kind() == SliceKind::Components {
        render_components(app, area, buffer);
    } else {
        render_lines(app, area, buffer);
    }
}

/// Random directions overlaid, the last update, or the line from the first checkpoint.
fn render_lines(app: &App, area: Rect, buffer: &mut Buffer) {
    let title = match app.slice_kind() {
        SliceKind::Random => "slices · 3 random directions · filter-normalized · d: next",
        SliceKind::Update => "slices · along the last update · -1: before it · d: next",
        _ => "line · A first, B current checkpoint · d: next",
    };
    let inner = enclosed(&frame(app, title, area.width), area, buffer);
    if render_refusal(app, "slices", inner, buffer) {
        return;
    }
    let Some(study) = app
        .snapshot()
        .study
        .as_ref()
        .filter(|study| !study.lines.is_empty())
    else {
        let why = match app.slice_kind() {
            SliceKind::Random => "slices begin with the first checkpoint",
            _ => "this line begins with the second checkpoint",
        };
        return render_sentence(app, why, inner, buffer);
    };
    let alone = study.study != Study::Random;
    let score = app.snapshot().score();
    let values = |line: &LineCurve, value: &dyn Fn(&Measure) -> f64| -> Vec<f64> {
        let of = |measure: &Option<Measure>| measure.as_ref().map_or(f64::NAN, value);
        line.values.iter().map(of).collect()
    };
    let drawn: Vec<(&LineCurve, [Vec<f64>; 2])> = (study.lines.iter())
        .map(|line| {
            (
                line,
                [
                    values(line, &|m| m.loss),
                    values(line, &|m| {
                        score.map_or(f64::NAN, |score| score.on_scale(m.score))
                    }),
                ],
            )
        })
        .collect();
    let mut curves = Vec::new();
    for (line, [loss, beside]) in &drawn {
        let stroke = if line.split == drawn[0].0.split {
            Stroke::Solid
        } else {
            Stroke::Dashed
        };
        let on = |y, side| Line {
            x: &line.alpha,
            y,
            side,
            stroke,
        };
        curves.push(on(loss, Side::Left));
        if alone && score.is_some() {
            curves.push(on(beside, Side::Right));
        }
    }
    let ends: &[(f64, &str)] = match study.study {
        Study::Line => &[(0.0, "A"), (1.0, "B")],
        Study::Update => &[(-1.0, "before"), (0.0, "now")],
        _ => &[(0.0, "now")],
    };
    let splits: Vec<&str> = drawn.iter().map(|(line, _)| line.split.name()).collect();
    let barrier = drawn
        .first()
        .filter(|_| study.study == Study::Line)
        .and_then(barrier);
    let strokes = match splits[..] {
        [solid, dashed] if alone => format!("{solid} —, {dashed} - -"),
        _ => splits.first().copied().unwrap_or_default().into(),
    };
    let items = [Some("loss".into()), barrier, Some(strokes)];
    let title = items.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let graph = Graph {
        title: &title,
        right: score.map_or("", Score::scale),
        curves,
        marks: ends
            .iter()
            .map(|&(at, label)| Mark {
                at,
                label: label.into(),
            })
            .collect(),
        ticks: true,
        marker: app.appearance().marker,
        tints: app.theme().tints(),
    };
    paint(
        &graph.draw(inner.width.into(), inner.height.into()),
        inner,
        buffer,
    );
}

/// The hill between both ends of a line, once all between them is measured.
fn barrier((line, [loss, _]): &(&LineCurve, [Vec<f64>; 2])) -> Option<String> {
    let at = |end: f64| Some(loss[line.alpha.iter().position(|alpha| *alpha == end)?]);
    let ends = [at(0.0)?, at(1.0)?];
    let mut points = line.alpha.iter().zip(&line.values);
    if points.any(|(alpha, value)| (0.0..=1.0).contains(alpha) && value.is_none()) {
        return None;
    }
    let height = landscape::line::barrier(&line.alpha, loss, ends).height;
    Some(format!("barrier {}", short(height)))
}

/// Slices along both principal components.
pub(crate) fn render_components(app: &App, area: Rect, buffer: &mut Buffer) {
    let step = app
        .snapshot()
        .trajectory
        .as_ref()
        .and_then(|path| path.steps.last());
    let mut title = step.map_or("slices".into(), |step| {
        format!("slices through step {step}")
    });
    if let Some(samples) = app.snapshot().slice_samples() {
        title = format!("{title} · {samples}");
    }
    let inner = enclosed(&frame(app, &title, area.width), area, buffer);
    if render_refusal(app, "slices", inner, buffer) {
        return;
    }
    let slices = &app.snapshot().slices;
    if slices.is_empty() {
        let why = match facts::axes(app.snapshot()) {
            0 => "slices begin with the second checkpoint",
            _ => "not measured yet",
        };
        return render_sentence(app, why, inner, buffer);
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

/// Loss above the score.
fn render_slice(app: &App, slice: &Slice, area: Rect, buffer: &mut Buffer) {
    let axis = format!("PC{}", slice.axis + 1);
    let score = app.snapshot().score();
    let curves = [None, score]
        .into_iter()
        .take(1 + usize::from(score.is_some()));
    let shown = match score {
        Some(_) if area.height >= 2 * CHART => 2,
        _ => 1,
    };
    let areas = Layout::vertical(vec![Constraint::Fill(1); shown]).split(area);
    for (i, (curve, area)) in curves.zip(areas.iter()).enumerate() {
        let name = curve.map_or("loss", Score::scale);
        let value =
            |measure: &Measure| curve.map_or(measure.loss, |score| score.on_scale(measure.score));
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
            marker: app.appearance().marker,
            tints: app.theme().tints(),
        };
        paint(
            &chart.draw(area.width.into(), area.height.into()),
            *area,
            buffer,
        );
    }
}
