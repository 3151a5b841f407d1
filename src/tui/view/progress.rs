//! Progress of what is measured: the map's bar to the end of its picture, and that of what is asked for beside it.

use ratatui::text::{Line, Span};

use crate::landscape::Estimate;
use crate::session::{AnalysisPicture, AnalysisResult, Finding, OtherWork, Snapshot};

use super::super::state::App;
use super::super::state::choice::{ShownPlane, View};
use super::facts;
use crate::tui::view::fitted_line::{Piece, fit};

/// Columns of a bar.
const BAR: usize = 12;

/// Returns the map's progress for the status line: one bar to the end of the picture, and the time left.
pub(super) fn of_map(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let progress = &snapshot.progress;
    if app.is_paused() || progress.paused {
        return vec![Piece::new(3, vec![Span::styled("paused", theme.warn())])];
    }
    if snapshot.trajectory.is_none() || facts::refusal(snapshot).is_some() {
        return Vec::new();
    }
    let pending = pending(snapshot);
    if progress.lines.is_none() {
        return Vec::new();
    }
    match pending {
        Some(_) if progress.rests => Vec::new(),
        // What is asked for comes first; its bar stands in its view.
        Some(_) => vec![Piece::new(
            3,
            vec![Span::styled("map waits", theme.faint())],
        )],
        None if progress.rests => {
            let said = progress.other_work.map_or("at rest", other_work);
            vec![Piece::new(3, vec![Span::styled(said, theme.faint())])]
        }
        None => {
            let left = progress.seconds_left;
            let left = left.map(|seconds| format!("{} left", facts::duration(seconds)));
            let left = left.or_else(|| progress.other_work.map(|work| other_work(work).into()));
            let left = left.map(|left| Piece::new(4, vec![Span::raw(left)]));
            let percent = format!("{:.0} %", (100.0 * progress.share).floor());
            let bar = Piece::new(7, bar(app, progress.share));
            let share = Piece::new(3, vec![Span::raw(percent)]);
            [bar, share].into_iter().chain(left).collect()
        }
    }
}

/// Says why measuring is slow while other programs keep the processors busy; `None` if they do not, or nothing is left.
pub(super) fn neighbours(app: &App) -> Option<Piece> {
    let progress = &app.snapshot().progress;
    let has_work = progress.lines.is_some() && !progress.rests || progress.other_work.is_some();
    let is_working = has_work && !(progress.paused || app.is_paused());
    let are_busy = progress.cost.is_some_and(|cost| cost.is_beside_others);
    let said = Span::styled("yields to other programs", app.theme().faint());
    (is_working && are_busy).then(|| Piece::new(5, vec![said]))
}

/// Says what else is being worked at.
fn other_work(work: OtherWork) -> &'static str {
    match work {
        OtherWork::Question => "asking the path",
        OtherWork::Checkpoints => "measuring checkpoints",
    }
}

/// Returns the error that is expected of the surface that is shown, between its points.
pub(super) fn error(app: &App) -> Option<Piece> {
    let snapshot = app.snapshot();
    let shows_plane = app.view() == View::Map && app.plane() == ShownPlane::Random;
    let error = if shows_plane {
        let plane = snapshot.analysis.as_ref().and_then(AnalysisResult::plane);
        plane.and_then(|plane| Estimate::of(plane).expected())
    } else {
        snapshot.progress.error
    };
    let error = error.filter(|_| facts::refusal(snapshot).is_none())?;
    let said = format!("error {}", facts::error(error));
    Some(Piece::new(5, vec![Span::raw(said)]))
}

/// Returns the progress of what is asked for, for the frame of its view; `None` if nothing of it is to come.
pub(super) fn of_analysis(app: &App, width: u16) -> Option<Line<'static>> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let analysis = pending(snapshot)?;
    let done = done(analysis);
    let all = done + analysis.left;
    let mut pieces = vec![
        Piece::new(2, bar(app, done as f64 / all.max(1) as f64)),
        Piece::new(0, vec![Span::raw(format!("{done} of {all} points"))]),
    ];
    let left = if snapshot.progress.paused {
        Some("paused".to_owned())
    } else {
        let left = analysis.seconds_left.map(facts::duration);
        left.map(|left| format!("{left} left"))
    };
    pieces.extend(left.map(|left| Piece::new(1, vec![Span::styled(left, theme.strong())])));
    let mut line = fit(pieces, usize::from(width).saturating_sub(2));
    line.spans.insert(0, Span::raw(" "));
    line.spans.push(Span::raw(" "));
    Some(line)
}

/// Returns the pictures that are asked for and not all measured.
fn pending(snapshot: &Snapshot) -> Option<&AnalysisResult> {
    let is_measured = matches!(snapshot.data, Finding::Is(_));
    let analysis = snapshot.analysis.as_ref().filter(|_| is_measured);
    analysis.filter(|analysis| analysis.left > 0)
}

/// Returns the number of points of an analysis that are measured.
fn done(analysis: &AnalysisResult) -> usize {
    match &analysis.picture {
        AnalysisPicture::Lines(lines) => {
            let values = lines.iter().flat_map(|line| &line.values);
            values.flatten().count()
        }
        AnalysisPicture::Plane(plane) => plane.measured(),
        AnalysisPicture::Curvature(map) => {
            map.values.iter().flatten().count() + usize::from(map.here.is_some())
        }
        AnalysisPicture::Stability(checkpoints) => checkpoints.len().saturating_sub(analysis.left),
    }
}

/// Returns a bar that is filled by this share, 0 to 1; it is full only when all is done.
fn bar(app: &App, share: f64) -> Vec<Span<'static>> {
    let filled = (share.clamp(0.0, 1.0) * BAR as f64) as usize;
    vec![
        Span::styled("█".repeat(filled), app.theme().good()),
        Span::styled("░".repeat(BAR - filled), app.theme().border()),
    ]
}
