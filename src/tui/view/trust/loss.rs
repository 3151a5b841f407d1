//! Rows about the loss: the checkpoint's own beside the map's, what they rest on, and how well they are known.

use ratatui::style::Style;

use crate::landscape::Assumed;
use crate::loss::Score;
use crate::plot::axis::{self, short};
use crate::plot::title;
use crate::report::condition;
use crate::session::{Fidelity, Snapshot};

use super::super::super::state::App;
use super::super::facts;
use super::{LABEL, Row};

/// Rows that assumptions may take.
const ROWS: usize = 3;

/// Returns the checkpoint's own loss beside that of its place on the map, and everything that it rests on.
pub(super) fn losses(app: &App, width: usize) -> Vec<Row> {
    let theme = app.theme();
    let line = facts::selected(app);
    let (truth, map) = (line.and_then(|l| l.truth), line.and_then(|l| l.on_plane));
    let word = word(app.snapshot());
    let pair = |label: &str, truth: String, map: String| {
        let row = Row::new(label, truth, theme.strong());
        row.with([format!(" {word}"), format!(", map {map}")])
    };
    let mut rows = vec![pair("loss", facts::loss(truth), facts::loss(map))];
    rows.extend(app.snapshot().score().map(|score| {
        let [truth, map] = [truth, map].map(|measure| facts::score(score, measure));
        let name = Some(score.name()).filter(|name| name.chars().count() < LABEL);
        pair(name.unwrap_or(score.short()), truth, map)
    }));
    rows.extend(assumed(app, width));
    rows.extend(logged(app));
    rows.extend(test(app));
    rows.extend(average(app));
    rows.extend(error(app));
    rows.extend(fidelity(app));
    rows
}

/// Returns the word for the loss of a checkpoint itself: no truth until the path was asked which function was
/// minimized, nor if it does not follow the gradient of any, or that of several.
pub(super) fn word(snapshot: &Snapshot) -> &'static str {
    match &snapshot.assumed {
        _ if condition::doubt(snapshot).is_some() => "doubtful",
        Some(assumed) if assumed.is_known() => "true",
        _ => "assumed",
    }
}

/// Returns the assumptions about the model, and the evidence for them.
fn assumed(app: &App, width: usize) -> Vec<Row> {
    let theme = app.theme();
    let Some(assumed) = &app.snapshot().assumed else {
        return Vec::new();
    };
    let taken = condition::assumptions(app.snapshot()).join(", ");
    let room = width.saturating_sub(LABEL);
    let lines = title::lines(&taken, ", ", room, ROWS).into_iter();
    let labels = std::iter::once("assumed").chain(std::iter::repeat(""));
    let lines = lines.filter(|line| !line.is_empty()).zip(labels);
    let mut rows: Vec<Row> = lines
        .map(|(line, label)| Row::new(label, line, Style::new()))
        .collect();
    rows.extend(alternatives(app, assumed, room));
    if let (Some(cosine), Some(error)) = (assumed.cosine, assumed.cosine_error) {
        let style = if assumed.doubtful || cosine <= error {
            theme.warn()
        } else {
            theme.strong()
        };
        let row = Row::new("cosine", format!("{cosine:.2}"), style);
        let updates = format!(", {} updates", assumed.intervals);
        rows.push(row.with([format!(" ± {error:.2}"), updates]));
    }
    rows
}

/// Returns the losses under readings that the path cannot tell from the assumed one, where the checkpoint is the one at
/// which they were measured; elsewhere the readings alone, because a loss of another step would be taken for this one's.
fn alternatives(app: &App, assumed: &Assumed, room: usize) -> Vec<Row> {
    let at = facts::selected(app).and_then(|line| line.step);
    let is_asked_there = at.is_some() && at == assumed.asked_at;
    let each = assumed.alternatives.iter().filter(|_| is_asked_there);
    let each: Vec<String> = each
        .map(|other| format!("{} if {}", short(other.loss), other.reading))
        .collect();
    let (label, said) = if each.is_empty() {
        ("or", assumed.tied.join(", "))
    } else {
        ("or loss", each.join(", ").replace(" and ", ", "))
    };
    let labels = [label, ""].into_iter();
    let lines = title::lines(&said, ", ", room, 2).into_iter();
    let lines = lines.filter(|line| !line.is_empty()).zip(labels);
    lines
        .map(|(line, label)| Row::new(label, line, Style::new()))
        .collect()
}

/// Returns the values that training logged itself at the checkpoint: `0.312 eval 0.33 lr 0.001`.
fn logged(app: &App) -> Option<Row> {
    let logged = facts::logged(app);
    let value = logged.train.or(logged.eval)?;
    let eval = logged.eval.filter(|_| logged.train.is_some());
    let details = [("eval", eval), ("lr", logged.rate)];
    let details = details
        .into_iter()
        .filter_map(|(name, value)| Some(format!(" {name} {}", short(value?))));
    Some(Row::new("logged", short(value), app.theme().strong()).with(details))
}

/// Returns the current checkpoint on test samples.
fn test(app: &App) -> Option<Row> {
    let test = app.snapshot().test?;
    let score = app.snapshot().score().map(|score| {
        let value = facts::score(score, Some(test));
        match score {
            Score::Accuracy => format!(", {value} right"),
            _ => format!(", {} {value}", score.name()),
        }
    });
    let row = Row::new("test", facts::loss(Some(test)), app.theme().strong());
    Some(row.with(std::iter::once(" loss".into()).chain(score)))
}

/// Returns the expected error of the map between the points that were measured.
fn error(app: &App) -> Option<Row> {
    let snapshot = app.snapshot();
    let points = snapshot.map.as_ref()?.surface.measured();
    let value = facts::error(snapshot.progress.error?);
    let row = Row::new("map error", value, Style::new());
    Some(row.with([format!(", {points} points")]))
}

/// Returns on which samples the map was measured, where these are not all everywhere.
fn fidelity(app: &App) -> Option<Row> {
    let map = app.snapshot().map.as_ref()?;
    let (few, rest) = match map.fidelity? {
        Fidelity::Few(few) => (few, " alone so far".into()),
        Fidelity::Estimate { few, points, .. } => (few, format!(", all at {points}")),
    };
    Some(Row::new("map of", format!("{few} samples"), Style::new()).with([rest]))
}

/// Returns the change of the loss by averaging the last checkpoints: the best of several numbers of them.
fn average(app: &App) -> Option<Row> {
    let snapshot = app.snapshot();
    let mut lines = snapshot.checkpoints.iter().rev();
    let now = lines.find_map(|line| line.truth)?;
    let averages = snapshot.averages.iter();
    let averages = averages.filter(|average| average.1.loss.is_finite());
    let (count, best) = averages.min_by(|a, b| a.1.loss.total_cmp(&b.1.loss))?;
    let difference = best.loss - now.loss;
    // The digits of the loss as it is shown, and three decimals at least.
    let digits = if now.loss < 0.1 {
        short(now.loss)
    } else {
        format!("{:.3}", now.loss)
    };
    let Some(told) = axis::change(difference, &digits) else {
        let row = Row::new("average", "no better", Style::new());
        return Some(row.with([format!(", last {count}")]));
    };
    let style = if difference < 0.0 {
        app.theme().strong()
    } else {
        Style::new()
    };
    let row = Row::new("average", told.replace('-', "−"), style);
    Some(row.with([" loss".into(), format!(", last {count}")]))
}
