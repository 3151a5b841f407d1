//! Slices of loss and score through the current checkpoint, along both axes of the plane.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};

use crate::landscape;
use crate::loss::Measure;
use crate::loss::Score;
use crate::plot::axis::short;
use crate::plot::graph::Curve as Line;
use crate::plot::{AxisSide, Graph, Mark, Stroke};
use crate::session::{Analysis, Finding, LineCurve, Slice, Snapshot};

use super::super::state::App;
use super::super::state::choice::{SliceKind, View};
use super::{enclosed, facts, frame, frame_of_analysis, paint, render_refusal, render_sentence};

/// From this width on the two axes stand side by side.
const SIDE_BY_SIDE: u16 = 56;
/// Least rows of a chart; where there are fewer, the score gives way to loss.
const CHART: u16 = 4;

/// Words for the band in a title: the standard error is an estimate, as only means of the samples are kept.
const NOISE: &str = "░ ± standard error, estimated";

/// Values along a line.
struct Values(Vec<f64>);

impl Values {
    /// Returns a number of each measure; NaN if it is not known.
    fn of(values: &[Option<Measure>], number: impl Fn(&Measure) -> f64) -> Self {
        let number = |measure: &Option<Measure>| measure.as_ref().map_or(f64::NAN, &number);
        Self(values.iter().map(number).collect())
    }

    /// Returns both edges of the band of a standard error around a number.
    fn band(
        values: &[Option<Measure>],
        number: impl Fn(&Measure) -> f64,
        error: impl Fn(&Measure) -> f64,
        largest: f64,
    ) -> Vec<Self> {
        let edge = |sign: f64| {
            Self::of(values, |measure| {
                let edge = number(measure) + sign * error(measure);
                edge.max(0.0).min(largest)
            })
        };
        vec![edge(-1.0), edge(1.0)]
    }

    fn curve<'a>(&'a self, x: &'a [f64], side: AxisSide, stroke: Stroke) -> Line<'a> {
        Line {
            x,
            y: &self.0,
            side,
            stroke,
        }
    }
}

/// A line with its values, ready to be drawn.
struct Drawn<'a> {
    line: &'a LineCurve,
    loss: Values,
    score: Values,
    /// The edges of the band around the loss; none if its samples are not known.
    noise: Vec<Values>,
    /// Those around the score; none if its error is not known.
    margin: Vec<Values>,
}

impl<'a> Drawn<'a> {
    fn of(app: &App, line: &'a LineCurve) -> Self {
        let snapshot = app.snapshot();
        let score = snapshot.score();
        let on_scale = |m: &Measure| score.map_or(f64::NAN, |score| score.on_scale(m.score));
        let samples = match &snapshot.data {
            Finding::Is(data) => Some(data.samples),
            _ => None,
        };
        let noise = |score| noise(snapshot, score, &line.values, samples);
        Self {
            line,
            loss: Values::of(&line.values, |m| m.loss),
            score: Values::of(&line.values, on_scale),
            noise: noise(None),
            margin: score.map_or_else(Vec::new, |score| noise(Some(score))),
        }
    }
}

/// Draws the pane: what the user chose to slice along.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    if app.slice_kind() == SliceKind::Components {
        render_components(app, area, buffer);
    } else {
        render_lines(app, area, buffer);
    }
}

/// Draws random directions overlaid, the last update, or the line from the first checkpoint.
fn render_lines(app: &App, area: Rect, buffer: &mut Buffer) {
    let title = match app.slice_kind() {
        SliceKind::Random => "slices · random directions, filter-normalized",
        SliceKind::Update => "slices · along the last update",
        _ => "line · from the first checkpoint A to the current one B",
    };
    let inner = enclosed(&frame_of_analysis(app, title, area.width), area, buffer);
    if render_refusal(app, "slices", inner, buffer) {
        return;
    }
    let Some(analysis) = app
        .snapshot()
        .analysis
        .as_ref()
        .filter(|analysis| !analysis.lines().is_empty())
    else {
        let why = match app.slice_kind() {
            SliceKind::Random => "slices begin with the first checkpoint",
            _ => "this line begins with the second checkpoint",
        };
        return render_sentence(app, why, inner, buffer);
    };
    let alone = analysis.analysis != Analysis::Random;
    // What is not measured at all has no place in the title either.
    let begun = |line: &&LineCurve| line.values.iter().any(Option::is_some);
    let score = app.snapshot().score().filter(|_| alone);
    let drawn: Vec<Drawn<'_>> = (analysis.lines().iter().filter(begun))
        .map(|line| Drawn::of(app, line))
        .collect();
    let mut curves = Vec::new();
    // The band of one curve tells how well all are known.
    for noise in drawn.iter().take(1).flat_map(|first| &first.noise) {
        curves.push(noise.curve(&drawn[0].line.alpha, AxisSide::Left, Stroke::Band));
    }
    // Two bands would hide each other: that of the score widens its scale alone.
    let margin = drawn
        .iter()
        .take(1)
        .filter(|_| score.is_some())
        .flat_map(|first| &first.margin);
    curves.extend(
        margin.map(|edge| edge.curve(&drawn[0].line.alpha, AxisSide::Right, Stroke::Margin)),
    );
    for one in &drawn {
        let stroke = if one.line.split == drawn[0].line.split {
            Stroke::Solid
        } else {
            Stroke::Dashed
        };
        let x = &one.line.alpha;
        curves.push(one.loss.curve(x, AxisSide::Left, stroke));
        curves.extend(score.map(|_| one.score.curve(x, AxisSide::Right, stroke)));
    }
    let ends: &[(f64, &str)] = match analysis.analysis {
        Analysis::Line => &[(0.0, "A"), (1.0, "B")],
        Analysis::Update => &[(-1.0, "before"), (0.0, "now")],
        _ => &[(0.0, "now")],
    };
    let title = title_of_lines(analysis.analysis, &drawn);
    let graph = Graph {
        title: &title,
        right: score.map_or("", Score::scale),
        curves,
        largest: [f64::INFINITY, score.map_or(f64::INFINITY, Score::largest)],
        marks: ends
            .iter()
            .map(|&(at, label)| Mark {
                at,
                label: label.into(),
            })
            .collect(),
        ticks: true,
        marker: app.appearance().marker,
        palette: app.theme().palette(),
    };
    paint(
        &graph.draw(inner.width.into(), inner.height.into()),
        inner,
        buffer,
    );
}

/// Returns the title of lines: what is drawn, how high the hill is, which strokes mean what.
fn title_of_lines(analysis: Analysis, drawn: &[Drawn<'_>]) -> String {
    let splits: Vec<&str> = drawn.iter().map(|one| one.line.split.name()).collect();
    let first = drawn.first();
    let is_random = analysis == Analysis::Random;
    let barrier = first
        .filter(|_| analysis == Analysis::Line)
        .and_then(barrier);
    let strokes = match splits[..] {
        [solid, dashed] if !is_random => format!("{solid} —, {dashed} - -"),
        _ => splits.first().copied().unwrap_or_default().into(),
    };
    let directions = is_random.then(|| match drawn.len() {
        1 => "1 direction".into(),
        count => format!("{count} directions"),
    });
    let has_noise = first.is_some_and(|first| !first.noise.is_empty());
    let items = [
        Some("loss".into()),
        barrier,
        Some(strokes).filter(|strokes| !strokes.is_empty()),
        directions,
        has_noise.then(|| NOISE.into()),
    ];
    items.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Returns the hill between both ends of a line, once all between them is measured.
fn barrier(Drawn { line, loss, .. }: &Drawn<'_>) -> Option<String> {
    let loss = &loss.0;
    let at = |end: f64| Some(loss[line.alpha.iter().position(|alpha| *alpha == end)?]);
    let ends = [at(0.0)?, at(1.0)?];
    let mut points = line.alpha.iter().zip(&line.values);
    if points.any(|(alpha, value)| (0.0..=1.0).contains(alpha) && value.is_none()) {
        return None;
    }
    let height = landscape::line::barrier(&line.alpha, loss, ends).height;
    Some(format!("barrier {}", short(height)))
}

/// Draws slices along both principal components.
pub(crate) fn render_components(app: &App, area: Rect, buffer: &mut Buffer) {
    let step = app.snapshot().origin();
    let mut title = step.map_or("slices".into(), |step| {
        format!("slices through step {step}")
    });
    // Beside several runs it must be said whose they are.
    if app.view() == View::Compare {
        title = format!("{} · {title}", facts::name(app.snapshot()));
    }
    if let Some(samples) = app.snapshot().slice_samples() {
        title = format!("{title} · {samples}");
    }
    let inner = enclosed(&frame(app, &title, area.width), area, buffer);
    if render_refusal(app, "slices", inner, buffer) {
        return;
    }
    let slices = &app.snapshot().slices;
    // One value makes no curve.
    let is_begun = |slice: &Slice| slice.values.iter().flatten().nth(1).is_some();
    if !slices.iter().any(is_begun) {
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

/// Draws the loss above the score.
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
        let largest = curve.map_or(f64::INFINITY, Score::largest);
        let value =
            |measure: &Measure| curve.map_or(measure.loss, |score| score.on_scale(measure.score));
        let values = Values::of(&slice.values, value);
        let snapshot = app.snapshot();
        let samples = facts::measured_samples(snapshot);
        let noise = noise(snapshot, curve, &slice.values, samples);
        let band = noise.iter();
        let band = band.map(|edge| edge.curve(&slice.offset, AxisSide::Left, Stroke::Band));
        let known = if noise.is_empty() {
            ""
        } else {
            " · ░ ± std. error"
        };
        let chart = Graph {
            title: &format!("{name} along {axis}{known}"),
            right: "",
            curves: band
                .chain([values.curve(&slice.offset, AxisSide::Left, Stroke::Solid)])
                .collect(),
            // The middle is the checkpoint itself.
            largest: [largest; 2],
            marks: vec![Mark {
                at: 0.0,
                label: "0".into(),
            }],
            ticks: i + 1 == shown,
            marker: app.appearance().marker,
            palette: app.theme().palette(),
        };
        paint(
            &chart.draw(area.width.into(), area.height.into()),
            *area,
            buffer,
        );
    }
}

/// Returns the edges of the band of the standard error around the loss, or around a score, of that many samples; none if
/// it is not known.
fn noise(
    snapshot: &Snapshot,
    score: Option<Score>,
    values: &[Option<Measure>],
    samples: Option<usize>,
) -> Vec<Values> {
    let Some(samples) = samples else {
        return Vec::new();
    };
    match score {
        None => {
            let error = |m: &Measure| facts::loss_error(snapshot.score(), *m, samples);
            Values::band(values, |m| m.loss, error, f64::INFINITY)
        }
        // The kind of score alone decides if there is an estimate.
        Some(score) => {
            let error = |m: &Measure| facts::score_error(score, *m, samples);
            let is_known = values.iter().flatten().any(|m| error(m).is_some());
            let error = |m: &Measure| error(m).unwrap_or(f64::NAN);
            let band = is_known.then(|| {
                let number = |m: &Measure| score.on_scale(m.score);
                Values::band(values, number, error, score.largest())
            });
            band.unwrap_or_default()
        }
    }
}
