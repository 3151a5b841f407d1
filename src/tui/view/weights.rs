//! The weights over training: norms and updates, angles between updates, how sharp each update was.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Widget};

use crate::plot::axis::short;
use crate::plot::{AxisSide, Curve, Graph, Mark, Stroke, matrix, title};
use crate::session::Snapshot;

use super::super::state::App;
use super::super::state::choice::WeightsTab;
use super::{
    enclosed, facts, frame_of_analysis, padded, paint, render_refusal, render_sentence, stability,
};

/// Least rows with the matrix and the layers below the graphs.
const ROOM_FOR_MATRIX: u16 = 18;
/// Characters of the first and last norm in columns; a longer name needs their room, and they move together.
const NORMS_IN_COLUMNS: usize = 17;

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let snapshot = app.snapshot();
    let inner = enclosed(
        &frame_of_analysis(app, title_of(app.weights_tab()), area.width),
        area,
        buffer,
    );
    let count = snapshot
        .trajectory
        .as_ref()
        .map_or(0, |path| path.steps.len());
    if count < 2 {
        return render_sentence(
            app,
            "Norms and updates begin with the second checkpoint.",
            inner,
            buffer,
        );
    }
    match app.weights_tab() {
        WeightsTab::Histogram => return render_histogram(app, snapshot, inner, buffer),
        WeightsTab::Stability => return stability::render(app, inner, buffer),
        WeightsTab::Norms => {}
    }
    if inner.height < ROOM_FOR_MATRIX {
        return render_norms(app, snapshot, inner, buffer);
    }
    let [upper, lower] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(inner);
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [norms, sharpness] = Layout::horizontal(halves).spacing(2).areas(upper);
    let [angles, layers] = Layout::horizontal(halves).spacing(2).areas(lower);
    render_norms(app, snapshot, norms, buffer);
    render_sharpness(app, snapshot, sharpness, buffer);
    render_cosines(app, snapshot, angles, buffer);
    render_layers(app, snapshot, layers, buffer);
}

/// Names what a picture of the weights shows.
fn title_of(tab: WeightsTab) -> &'static str {
    match tab {
        WeightsTab::Norms => "weights over training · norms, updates, angles",
        WeightsTab::Histogram => "weights over training · histogram",
        WeightsTab::Stability => "weights over training · log and stability",
    }
}

/// Draws the weights of the newest checkpoint over those of the first.
fn render_histogram(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let Some(overlay) = &snapshot.overlay else {
        let why = "Histograms need two checkpoints, of at most 50 million weights; others, and single layers: \
                   isoloss weights RUN --histogram";
        return render_sentence(app, why, area, buffer);
    };
    let middles: Vec<f64> = overlay
        .edges
        .windows(2)
        .map(|edge| f64::midpoint(edge[0], edge[1]))
        .collect();
    let shares = overlay.histograms.each_ref().map(|histogram| -> Vec<f64> {
        let share = |count: &u64| 100.0 * *count as f64 / histogram.count.max(1) as f64;
        histogram.counts.iter().map(share).collect()
    });
    let strokes = [Stroke::Dashed, Stroke::Solid];
    let curves = shares.iter().zip(strokes).map(|(y, stroke)| Curve {
        x: &middles,
        y,
        side: AxisSide::Left,
        stroke,
    });
    let [first, newest] = overlay
        .histograms
        .each_ref()
        .map(|histogram| short(histogram.std));
    let title = format!("weights in a bin, % · now — σ {newest} · first - - σ {first}");
    let graph = Graph {
        title: &title,
        right: "",
        curves: curves.collect(),
        largest: [f64::INFINITY; 2],
        marks: Vec::new(),
        ticks: true,
        marker: app.appearance().marker,
        palette: app.theme().palette(),
    };
    paint(
        &graph.draw(area.width.into(), area.height.into()),
        area,
        buffer,
    );
}

fn render_norms(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let Some(trajectory) = &snapshot.trajectory else {
        return;
    };
    let steps = facts::steps(snapshot);
    // The first checkpoint has no update behind it.
    let mut updates = trajectory.update_norm.clone();
    updates
        .iter_mut()
        .take(1)
        .for_each(|first| *first = f64::NAN);
    let on = |y, side, stroke| Curve {
        x: &steps,
        y,
        side,
        stroke,
    };
    let marks = facts::drop_marks(snapshot);
    let title = with_drops("norm —", &marks);
    let graph = Graph {
        title: &title,
        right: "update - -",
        curves: vec![
            on(&trajectory.norm, AxisSide::Left, Stroke::Solid),
            on(&updates, AxisSide::Right, Stroke::Dashed),
        ],
        largest: [f64::INFINITY; 2],
        marks,
        ticks: true,
        marker: app.appearance().marker,
        palette: app.theme().palette(),
    };
    paint(
        &graph.draw(area.width.into(), area.height.into()),
        area,
        buffer,
    );
}

/// Returns a title that says what the marks are, if there are any.
fn with_drops(title: &str, marks: &[Mark]) -> String {
    let drops = if marks.is_empty() {
        ""
    } else {
        " · ● lr falls"
    };
    format!("{title}{drops}")
}

/// Draws the critical sharpness 2/s along each update.
fn render_sharpness(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
    if render_refusal(app, "critical sharpness", area, buffer) {
        return;
    }
    let steps = facts::steps(snapshot);
    let sharpness = facts::of_path(snapshot, |line| Some(line.critical?.sharpness()));
    let ends: Vec<f64> = [steps.first(), steps.last()]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    // An update that is longer than the critical step makes the loss larger: 2 is the edge.
    let edge = vec![2.0; ends.len()];
    let on = |x, y, stroke| Curve {
        x,
        y,
        side: AxisSide::Left,
        stroke,
    };
    let is_known = sharpness.iter().any(|sharpness| sharpness.is_finite());
    let edge = is_known.then(|| on(&ends, &edge, Stroke::Dashed));
    let curve = on(&steps, &sharpness, Stroke::Solid);
    let marks = facts::drop_marks(snapshot);
    let title = if is_known {
        with_drops("critical sharpness — · unstable above 2 - -", &marks)
    } else {
        "critical sharpness".into()
    };
    let graph = Graph {
        title: &title,
        right: "",
        curves: edge.into_iter().chain([curve]).collect(),
        largest: [f64::INFINITY; 2],
        marks,
        ticks: true,
        marker: app.appearance().marker,
        palette: app.theme().palette(),
    };
    paint(
        &graph.draw(area.width.into(), area.height.into()),
        area,
        buffer,
    );
}

fn render_cosines(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let Some(dynamics) = &snapshot.dynamics else {
        return;
    };
    let rows = [
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [title, picture, legend] = Layout::vertical(rows).areas(area);
    let mean = mean(&dynamics.successive());
    let text = format!("cosine of updates · to the next {}", short(mean));
    let text = title::fit(&text, " · ", usize::from(padded(title).width));
    Paragraph::new(Line::raw(text)).render(padded(title), buffer);
    render_cosine_legend(app, padded(legend), buffer);
    let picture = padded(picture);
    let palette = app.theme().palette();
    let drawn = matrix::draw(
        &dynamics.cosines,
        palette,
        app.appearance().marker,
        picture.width.into(),
        picture.height.into(),
    );
    paint(&drawn, picture, buffer);
}

/// Draws the colours or signs of the cosines from −1 to 1.
fn render_cosine_legend(app: &App, area: Rect, buffer: &mut Buffer) {
    let (palette, marker) = (app.theme().palette(), app.appearance().marker);
    let scale = matrix::legend(palette, marker);
    let [before, after] = ["cosine −1 ", " 1"];
    let at = area.x + before.chars().count() as u16;
    let end = at + scale.width() as u16;
    if end + 2 > area.right() {
        return;
    }
    let faint = app.theme().faint();
    buffer.set_string(area.x, area.y, before, faint);
    let place = Rect {
        x: at,
        width: scale.width() as u16,
        ..area
    };
    paint(&scale, place, buffer);
    buffer.set_string(end, area.y, after, faint);
}

/// Returns the mean of what is finite.
fn mean(values: &[f64]) -> f64 {
    let finite: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    finite.iter().sum::<f64>() / finite.len() as f64
}

/// Draws the layers that grew most.
fn render_layers(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let Some(dynamics) = &snapshot.dynamics else {
        return;
    };
    let ends = dynamics.layers.iter().filter_map(|layer| {
        let (first, last) = (*layer.norm.first()?, *layer.norm.last()?);
        Some((layer.name.as_str(), first, last))
    });
    let mut rows: Vec<(&str, f64, f64)> = ends.collect();
    let change = |row: &(&str, f64, f64)| (row.2 - row.1).abs();
    rows.sort_by(|a, b| change(b).total_cmp(&change(a)));
    let head = "norm of layers · most changed first";
    let head = title::fit(head, " · ", padded(area).width.into());
    let mut lines = vec![Line::styled(head, app.theme().faint())];
    rows.truncate(usize::from(area.height.saturating_sub(1)));
    let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let longest = names.iter().map(|name| name.chars().count()).max();
    let in_columns = longest.unwrap_or_default() + NORMS_IN_COLUMNS + 3 <= area.width.into();
    let numbers = |(_, first, last): &(&str, f64, f64)| {
        let [first, last] = [first, last].map(|norm| short(*norm));
        if in_columns {
            format!("{first:>7} → {last:<7}")
        } else {
            format!("{first}→{last}")
        }
    };
    let numbers: Vec<String> = rows.iter().map(numbers).collect();
    let taken = numbers.iter().map(|text| text.chars().count()).max();
    let width = usize::from(area.width).saturating_sub(taken.unwrap_or_default() + 3);
    for (name, numbers) in title::names(&names, width).into_iter().zip(numbers) {
        lines.push(Line::raw(format!("{name:width$} {numbers}")));
    }
    Paragraph::new(Text::from(lines)).render(padded(area), buffer);
}
