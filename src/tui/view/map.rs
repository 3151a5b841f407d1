//! The map pane: the loss around the path, or in its place the reason why there is none.

use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Position, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget, Wrap};

use crate::plot::map as plot;
use crate::plot::{Extras, MapScene};
use crate::report::condition;
use crate::session::{AnalysisResult, Finding, Snapshot};

use super::super::state::App;
use super::super::state::choice::{ShownPlane, View};
use super::{
    above_foot, cursor, enclosed, facts, frame, frame_of_analysis, padded, paint, render_foot,
    render_refusal, render_sentence, rows_for, scene,
};

/// Draws the pane with its frame: the plane of the path, or a random one.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    if app.plane() == ShownPlane::Random && app.view() == View::Map {
        return render_random(app, area, buffer);
    }
    let mut frame = frame(app, &title(app, area.width), area.width);
    let reading = cursor::line(app, area.width.saturating_sub(4));
    if reading.is_none() && app.snapshot().map.is_some() {
        let look = app.appearance();
        let names = [
            look.layers.name(),
            look.scale.name(),
            look.marker.name(),
            app.theme().name(),
        ];
        let caption = names.join(" · ");
        let caption = Line::styled(format!(" {caption} "), app.theme().faint());
        frame = frame.title_bottom(caption.right_aligned());
    }
    if let Some(reading) = reading {
        frame = frame.title_bottom(reading);
    }
    let inner = enclosed(&frame, area, buffer);
    render_plane(app, inner, buffer);
}

/// Draws the loss on two random filter-normalized directions around the newest checkpoint, with the projection
/// of the path.
fn render_random(app: &App, area: Rect, buffer: &mut Buffer) {
    let snapshot = app.snapshot();
    let mut frame = frame_of_analysis(app, "random plane · filter-normalized", area.width);
    if let Some(reading) = cursor::line(app, area.width.saturating_sub(4)) {
        frame = frame.title_bottom(reading);
    }
    let inner = enclosed(&frame, area, buffer);
    let plane = snapshot.analysis.as_ref().and_then(AnalysisResult::plane);
    if render_refusal(app, "loss surface", inner, buffer) {
        return;
    }
    let (Some(_), Some(trajectory)) = (plane, &snapshot.trajectory) else {
        let why = match &snapshot.trajectory {
            None => "The random plane begins with the first checkpoint.",
            // The picture stands still, and what was asked for since is not in it.
            Some(_) if app.lag().is_some() => "The random plane is not in the frozen picture.",
            Some(_) => "The random plane is not measured yet.",
        };
        return render_sentence(app, why, inner, buffer);
    };
    let gone = facts::gone(snapshot);
    let scene = scene::of_random_plane(app, snapshot, trajectory);
    let extras = Extras {
        gone: &gone,
        ..scene.extras
    };
    let scene = MapScene { extras, ..scene };
    paint(&app.pictures().map(&scene, inner), inner, buffer);
    cursor::mark(app, &scene, inner, buffer);
}

fn title(app: &App, width: u16) -> String {
    let snapshot = app.snapshot();
    let stale = snapshot.map.as_ref().is_some_and(|map| map.stale);
    let window = match facts::axes(snapshot) {
        0 | 1 => "no plane yet",
        _ if app.is_whole_path() => "PCA plane",
        _ => "PCA plane, window",
    };
    let plane = format!("landscape · {window}");
    let earlier = if stale { " · earlier surface" } else { "" };
    let Finding::Is(data) = &snapshot.data else {
        return first_that_fits([format!("{plane}{earlier}"), "landscape".into()], width);
    };
    let samples = snapshot.map_samples();
    let samples = samples.unwrap_or_else(|| format!("{} samples", data.samples));
    let loss = format!("{} loss, {samples}", data.split.name());
    let batch_norm = facts::batch_norm(snapshot);
    let batch_norm = batch_norm.map_or(String::new(), |mode| format!(", batch norm {mode}"));
    let brief = if stale {
        "landscape · earlier surface".to_owned()
    } else {
        loss.clone()
    };
    let forms = [
        format!("{plane} · {loss}{batch_norm}{earlier}"),
        format!("{plane} · {loss}{earlier}"),
        format!("landscape · {loss}{earlier}"),
        brief,
        "landscape".into(),
    ];
    first_that_fits(forms, width)
}

/// Returns the first of the titles that has room in a frame; the last where none has.
fn first_that_fits(titles: impl IntoIterator<Item = String>, width: u16) -> String {
    let mut last = String::new();
    for title in titles {
        if title.chars().count() + 6 <= width.into() {
            return title;
        }
        last = title;
    }
    last
}

/// Draws the map alone, with a sentence below it where something cannot be had.
pub(crate) fn render_plane(app: &App, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let snapshot = app.snapshot();
    let (Some(trajectory), Some(window)) = (&snapshot.trajectory, app.window()) else {
        return render_empty(app, area, buffer);
    };
    let is_wrong = is_refused(snapshot) || condition::doubt(snapshot).is_some();
    let style = if is_wrong {
        app.theme().warn()
    } else {
        app.theme().faint()
    };
    let map = match missing(snapshot) {
        Some(sentence) => render_foot(&sentence, style, area, buffer),
        None => area,
    };
    let (doubts, drops) = (facts::doubts(snapshot), snapshot.drops());
    let (gone, old_branches) = (facts::gone(snapshot), facts::old_branches(app));
    let scene = scene::of_session(app, snapshot, trajectory, window);
    let extras = Extras {
        doubts: &doubts,
        drops: &drops,
        gone: &gone,
        old_branches: &old_branches,
        ..scene.extras
    };
    let scene = MapScene { extras, ..scene };
    paint(&app.pictures().map(&scene, map), map, buffer);
    cursor::mark(app, &scene, map, buffer);
}

/// Returns the point of the plane that a cell of the screen shows, if [`render_plane`] draws into this area;
/// `None` beside the map.
pub(crate) fn point(app: &App, area: Rect, at: Position) -> Option<[f64; 2]> {
    let snapshot = app.snapshot();
    let scene = scene::of_session(app, snapshot, snapshot.trajectory.as_ref()?, app.window()?);
    let map = missing(snapshot).map_or(area, |sentence| above_foot(&sentence, area)[0]);
    let cell = [at.x.checked_sub(map.x)?, at.y.checked_sub(map.y)?];
    let size = [map.width, map.height];
    plot::point(&scene, size.map(usize::from), cell.map(usize::from))
}

/// Says what cannot be had, and why; `None` if the surface is there.
pub(super) fn missing(snapshot: &Snapshot) -> Option<String> {
    let refused = facts::refusal(snapshot).map(refused);
    let count = snapshot
        .trajectory
        .as_ref()
        .map_or(0, |path| path.steps.len());
    match (count, facts::axes(snapshot)) {
        (1, _) => {
            Some("One checkpoint is a point. The second makes a line, the third a plane.".into())
        }
        (2, 1) => Some(
            "Two checkpoints are a line. The plane, and the loss on it, begin with the third."
                .into(),
        ),
        (_, 0) => Some(format!(
            "All {count} checkpoints are the same point: nothing has moved yet."
        )),
        (_, 1) => Some(format!(
            "All {count} checkpoints are on one line: there is no plane yet."
        )),
        _ if refused.is_some() => refused,
        _ if snapshot.map.is_some() => {
            condition::doubt(snapshot).map(|doubt| format!("Doubtful: {doubt}"))
        }
        _ => Some("The first points of the surface are being measured.".into()),
    }
}

/// Returns why there is no loss in a sentence, and in a second line what to do next.
fn refused(reason: &str) -> String {
    // Examples of unknown names are for `isoloss inspect`.
    let short = |why: &str| why.split(", e.g. ").next().unwrap_or(why).to_owned();
    let next = reason.rsplit_once("; ");
    match next.filter(|(_, next)| !next.starts_with("or ")) {
        Some((why, next)) => format!("no loss surface: {}\nnext: {next}", short(why)),
        None => format!("no loss surface: {reason}"),
    }
}

fn is_refused(snapshot: &Snapshot) -> bool {
    facts::axes(snapshot) == 2 && facts::refusal(snapshot).is_some()
}

/// Draws what there is before there is a path, or where none of what is there is usable.
fn render_empty(app: &App, area: Rect, buffer: &mut Buffer) {
    let area = padded(area);
    let lines = emptiness(app);
    let rows = (lines.iter()).map(|line| rows_for(&line.to_string(), area.width + 2));
    let top = area.height.saturating_sub(rows.sum()) / 3;
    let lower = Rect {
        y: area.y + top,
        height: area.height - top,
        ..area
    };
    Paragraph::new(lines)
        .alignment(Alignment::Center)
        .wrap(Wrap { trim: true })
        .render(lower, buffer);
}

/// Returns the lines in the place of a path.
fn emptiness(app: &App) -> Vec<Line<'static>> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let title = |text: &'static str| Line::styled(text, theme.strong());
    let next_of = |text: String| Line::styled(text, theme.faint());
    let next = |text: &'static str| next_of(text.into());
    // The sentence has the folder, and counts what is there.
    if let Some(trouble) = &snapshot.trouble {
        // A run that has not begun is nothing wrong.
        if snapshot.checkpoints.is_empty() {
            return vec![
                title("No checkpoint yet"),
                next_of(trouble.clone()),
                next("The first one appears here once it is saved."),
            ];
        }
        return vec![
            title("No path yet"),
            Line::styled(trouble.clone(), theme.warn()),
            next("The path begins with the first that is usable."),
        ];
    }
    let run = snapshot.run.display().to_string();
    let mut lines = vec![title("No checkpoint yet"), Line::styled(run, theme.faint())];
    let (unreadable, waiting) = facts::missing(snapshot);
    let (left_out, why) = facts::left_out(snapshot).unwrap_or_default();
    let settled = (snapshot.checkpoints.len()).saturating_sub(unreadable + waiting + left_out);
    let counts = [
        (settled, "being read"),
        (waiting, "still being written"),
        (unreadable, "unreadable, retried"),
        (left_out, "left out"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        lines.push(Line::styled(format!("{count} {what}"), theme.faint()));
    }
    let reasons = (facts::unreadable(snapshot).into_iter()).chain((left_out > 0).then_some(why));
    lines.extend(reasons.map(|reason| Line::styled(reason.to_owned(), theme.warn())));
    if snapshot.checkpoints.is_empty() {
        lines.push(next("The first one appears here once it is saved."));
    }
    lines
}
