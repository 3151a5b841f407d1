//! Training's own log beside what was measured, and how near λmax is to the edge where the optimizer
//! becomes unstable.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};

use crate::landscape::worker::protocol::CURVATURE_SAMPLES;
use crate::plot::axis::short;
use crate::plot::{AxisSide, Curve, Graph, Mark, Stroke};
use crate::run::{LogClock, Optimizer, Series};
use crate::session::{Analysis, Snapshot};

use super::super::state::App;
use super::{facts, paint, render_foot, render_refusal};

/// Least rows for both graphs.
const ROOM_FOR_BOTH: u16 = 12;

/// Draws both graphs, one above the other; where there is no room, or neither a log nor data, that of the
/// curvature.
pub(super) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let snapshot = app.snapshot();
    let nothing = snapshot.training.is_none() && facts::refusal(snapshot).is_some();
    if area.height < ROOM_FOR_BOTH || nothing {
        return render_edge(app, area, buffer);
    }
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [upper, lower] = Layout::vertical(halves).areas(area);
    render_log(app, upper, buffer);
    render_edge(app, lower, buffer);
}

/// A curve: its places and values.
type Line = [Vec<f64>; 2];

/// Draws the logged loss and learning rate as curves, the measured losses as points.
fn render_log(app: &App, area: Rect, buffer: &mut Buffer) {
    let snapshot = app.snapshot();
    let steps = facts::steps(snapshot);
    let measured = facts::of_path(snapshot, |line| Some(line.truth?.loss));
    let columns = usize::from(area.width);
    let logged = |of: fn(&crate::run::log::TrainingLog) -> &Series| {
        let log = snapshot.training.as_deref().zip(snapshot.clock);
        log.map_or_else(Line::default, |(log, clock)| curve(of(log), clock, columns))
    };
    let [train, eval, rate] = [
        logged(|log| &log.train),
        logged(|log| &log.eval),
        logged(|log| &log.rate),
    ];
    let measured = [steps, measured];
    let curves = [
        (&rate, AxisSide::Right, Stroke::Steps),
        (&eval, AxisSide::Left, Stroke::Dashed),
        (&train, AxisSide::Left, Stroke::Solid),
        (&measured, AxisSide::Left, Stroke::Points),
    ];
    let curves = curves.into_iter().filter(|(line, ..)| !line[0].is_empty());
    let names = [
        (!measured[1].iter().all(|loss| loss.is_nan())).then_some("measured ●"),
        (!train[0].is_empty()).then_some("logged —"),
        (!eval[0].is_empty()).then_some("evaluated - -"),
    ];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    let title = if names.is_empty() {
        "loss".into()
    } else {
        format!("loss: {}", names.join(", "))
    };
    let area = match unmatched(snapshot) {
        Some(why) => render_foot(why, app.theme().faint(), area, buffer),
        None => area,
    };
    let right = if rate[0].is_empty() { "" } else { "lr" };
    draw(
        app,
        &title,
        right,
        curves.collect(),
        Vec::new(),
        area,
        buffer,
    );
}

/// Returns the reason why no log is drawn.
fn unmatched(snapshot: &Snapshot) -> Option<&'static str> {
    match (&snapshot.training, snapshot.clock) {
        (None, _) => Some(
            "no log of training: trainer_state.json, metrics.csv or TensorBoard's files in the run's folder are read",
        ),
        (_, None) => Some(
            "the log counts something else than the checkpoints' names do: call them step=N or epoch=N",
        ),
        _ => None,
    }
}

/// Draws λmax at the checkpoints against the edge of stability there.
fn render_edge(app: &App, area: Rect, buffer: &mut Buffer) {
    if render_refusal(app, "λmax", area, buffer) {
        return;
    }
    let snapshot = app.snapshot();
    let steps = facts::steps(snapshot);
    let edge: Vec<f64> = (0..steps.len())
        .map(|member| snapshot.edge(member).unwrap_or(f64::NAN))
        .collect();
    let known = snapshot.lambda_max.iter();
    let lambda_max: Line = [
        known.clone().map(|(step, _)| *step as f64).collect(),
        known.map(|(_, value)| *value).collect(),
    ];
    let foot = verdict(app, &edge);
    let picture = render_foot(&foot, app.theme().strong(), area, buffer);
    let edge = [steps, edge];
    let curves = vec![
        (&edge, AxisSide::Left, Stroke::DashedSteps),
        (&lambda_max, AxisSide::Left, Stroke::Solid),
        (&lambda_max, AxisSide::Left, Stroke::Points),
    ];
    let has_edge = curves[0].0[1].iter().any(|edge| edge.is_finite());
    let formula = formula(snapshot);
    let means = match snapshot.optimizer() {
        Some(Optimizer::Scaled) => "no edge: steps are scaled",
        Some(Optimizer::Grouped) => "no edge: groups have rates of their own",
        Some(Optimizer::Other) => "no edge known of this optimizer",
        _ => "unstable above",
    };
    let edge = has_edge.then(|| format!("{formula} - -, {means}"));
    let edge = edge.as_deref().into_iter();
    // The number of samples first, because it alone may change a value by a third.
    let samples = format!("λmax ● of {CURVATURE_SAMPLES} samples");
    let known = (!lambda_max[1].is_empty()).then_some(samples.as_str());
    let title: Vec<&str> = known.into_iter().chain(edge).collect();
    let title = title.join(" · ");
    let marks = facts::drop_marks(snapshot);
    draw(app, &title, "", curves, marks, picture, buffer);
}

/// Returns the formula of the edge of stability for the run's optimizer.
fn formula(snapshot: &Snapshot) -> String {
    let plain = || "2/lr".into();
    (snapshot.optimizer()).map_or_else(plain, |optimizer| optimizer.formula("lr"))
}

/// Says how near the checkpoint that is looked at is to the edge, or what is missing to know.
fn verdict(app: &App, edge: &[f64]) -> String {
    let snapshot = app.snapshot();
    let step = facts::selected_step(app).unwrap_or_default();
    let known = (snapshot.lambda_max.iter()).find(|(known, _)| *known == step);
    let edge = app.selected().and_then(|at| edge.get(at)).copied();
    let analysis = snapshot.analysis.as_ref();
    let left =
        analysis.filter(|analysis| analysis.analysis == Analysis::Stability && analysis.left > 0);
    let left = left.map_or_else(String::new, |analysis| {
        let time = analysis.seconds_left.map(facts::duration);
        let time = time.map_or_else(String::new, |time| format!(", {time}"));
        format!(" · {} more to measure{time}", analysis.left)
    });
    let rate = app.selected().and_then(|at| snapshot.rate(at));
    let is_still = rate == Some(0.0);
    let said = match (known, edge.filter(|edge| edge.is_finite())) {
        (Some((_, value)), Some(edge)) => format!(
            "step {step}: λmax {} is {} of {}, {}",
            short(*value),
            short(*value / edge),
            formula(snapshot),
            short(edge)
        ),
        (Some((_, value)), None) if is_still => format!(
            "step {step}: λmax {}; at the learning rate 0 there is no edge",
            short(*value)
        ),
        (Some((_, value)), None) => format!(
            "step {step}: λmax {}; 2/lr needs a learning rate, in the checkpoints or in a log",
            short(*value)
        ),
        (None, _) => format!("step {step}: λmax not measured yet"),
    };
    said + &left
}

fn draw(
    app: &App,
    title: &str,
    right: &str,
    curves: Vec<(&Line, AxisSide, Stroke)>,
    marks: Vec<Mark>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let curves = curves
        .into_iter()
        .map(|([x, y], side, stroke)| Curve { x, y, side, stroke });
    let graph = Graph {
        title,
        right,
        curves: curves.collect(),
        largest: [f64::INFINITY; 2],
        marks,
        ticks: true,
        marker: app.appearance().marker,
        palette: app.theme().palette(),
    };
    let picture = graph.draw(area.width.into(), area.height.into());
    paint(&picture, area, buffer);
}

/// Returns a series as at most `points` points: the mean of what falls into each.
fn curve(series: &Series, clock: LogClock, points: usize) -> Line {
    let entries = series.entries();
    let each = entries.len().div_ceil(points.max(1)).max(1);
    let means = entries.chunks(each).map(|chunk| {
        let finite = chunk.iter().filter(|entry| entry.value.is_finite());
        let sum: f64 = finite.clone().map(|entry| entry.value).sum();
        let place = chunk.last().map_or(f64::NAN, |entry| clock.place(entry));
        (place, sum / finite.count() as f64)
    });
    let (x, y) = means.filter(|(place, _)| place.is_finite()).unzip();
    [x, y]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_drawn_by_its_means() {
        let values = [f64::NAN, f64::NAN, 2.0, f64::NAN, 4.0, 6.0, 7.0];
        let series: Series = (0..).zip(values).collect();
        let [x, y] = curve(&series, LogClock::Steps, 4);
        assert_eq!(x, [1.0, 3.0, 5.0, 6.0]);
        assert!(y[0].is_nan());
        assert_eq!(y[1..], [2.0, 5.0, 7.0]);
        assert!(curve(&series, LogClock::Epochs, 4)[0].is_empty());
    }
}
