//! Rows about the path: its plane, distances from that, and checkpoints that are no part of it.

use crate::session::size_in_words;
use crate::weights::Trajectory;

use super::super::super::state::App;
use super::super::facts;
use super::Row;

/// Returns the share of the path that lies in the plane, and how far it lies from that.
pub(super) fn plane(app: &App, trajectory: &Trajectory) -> Vec<Row> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let mut rows = Vec::new();
    if let Some((label, share, null)) = facts::explained(snapshot) {
        let style = if share > null {
            theme.strong()
        } else {
            theme.warn()
        };
        let walk = format!(" (random walk {:.0} %)", null * 100.0);
        rows.push(Row::new(label, facts::percent(share), style).with([walk]));
    }
    rows.extend(held(app));
    rows.extend(distances(app, trajectory));
    if let [first, second, ..] = trajectory.lissajous[..]
        && trajectory.looks_random()
    {
        let row = Row::new("shape", "random walk", theme.warn());
        rows.push(row.with([format!(", R² {first:.2}/{second:.2}")]));
    }
    rows
}

/// Says of which checkpoints the plane is, if newer ones were only projected onto it.
fn held(app: &App) -> Vec<Row> {
    let Some(plane) = &app.snapshot().plane else {
        return Vec::new();
    };
    let all = app.checkpoints();
    if plane.checkpoints >= all {
        return Vec::new();
    }
    let of = format!("of {} of {all} checkpoints", plane.checkpoints);
    let newest = facts::whole_percent(plane.newest);
    vec![
        Row::new("plane", of, app.theme().strong()),
        Row::new("", format!("to step {}", plane.origin), app.theme().faint())
            .with([format!(", newest {newest} off")]),
    ]
}

/// Returns the distances of the checkpoints from the plane, as shares of the path's extent.
fn distances(app: &App, trajectory: &Trajectory) -> Vec<Row> {
    let theme = app.theme();
    let shares = facts::distances(trajectory);
    let Some([median, most]) = facts::median_and_most(&shares) else {
        return Vec::new();
    };
    let [median, most] = [median, most].map(facts::whole_percent);
    // Nobody asks about the newest by itself: it has a row of its own where it is not on the plane.
    let last = shares.len().saturating_sub(1);
    let selected = app.selected().filter(|selected| *selected < last);
    if let Some(here) = selected.and_then(|selected| shares.get(selected)) {
        let row = Row::new("off plane", facts::whole_percent(*here), theme.strong());
        let others = format!("median {median}, most {most}");
        return vec![
            row.with([" of extent here".into()]),
            Row::new("", others, theme.faint()),
        ];
    }
    let row = Row::new("off plane", median, theme.strong());
    vec![row.with([" of extent".into(), format!(", most {most}")])]
}

/// Returns the copies of checkpoints that are kept, and how much of the path lies on disk.
pub(super) fn kept(app: &App) -> Vec<Row> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let mut rows = Vec::new();
    if let Some(kept) = snapshot.kept.as_ref().filter(|kept| kept.checkpoints > 0) {
        // `2 GiB` says as much as `2.00 GiB`, and leaves the row its room.
        let words = |bytes| size_in_words(bytes).replace(".00 ", " ");
        let room = kept.room.map(|room| format!(" of {}", words(room)));
        let copies = if kept.checkpoints == 1 {
            "copy"
        } else {
            "copies"
        };
        let details = [Some(format!(" {copies}, {}", words(kept.bytes))), room];
        let row = Row::new("kept", kept.checkpoints.to_string(), theme.strong());
        rows.push(row.with(details.into_iter().flatten()));
    }
    let gone = facts::gone(snapshot);
    let count = gone.iter().filter(|gone| **gone).count();
    if count > 0 {
        let row = Row::new("deleted", count.to_string(), theme.strong());
        rows.push(row.with([format!(" of {} checkpoints", gone.len())]));
    }
    rows
}

/// Returns the row which says that the path was thinned, because there is no room for more copies.
pub(super) fn thinned(app: &App) -> Option<Row> {
    let kept = app.snapshot().kept.as_ref();
    let count = kept.map(|kept| kept.thinned).filter(|count| *count > 0)?;
    let row = Row::new("thinned", count.to_string(), app.theme().warn());
    Some(row.with([", copies are full".into(), " (--keep)".into()]))
}

/// Returns the numbers of checkpoints that cannot be read and that are left out, with the newest
/// reasons.
pub(super) fn missing(app: &App) -> Vec<Row> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let (count, _) = facts::missing(snapshot);
    let unreadable = facts::unreadable(snapshot).map(|reason| {
        (
            format!("{count} unreadable"),
            ", retried",
            theme.warn(),
            reason,
        )
    });
    let left_out = facts::left_out(snapshot)
        .filter(|_| snapshot.trouble.is_none())
        .map(|(count, reason)| (format!("{count} left out"), "", theme.strong(), reason));
    let all = unreadable.into_iter().chain(left_out);
    all.flat_map(|(count, more, style, reason)| {
        [
            Row::new("not shown", count, style).with([more.into()]),
            Row::new("", reason, theme.faint()),
        ]
    })
    .collect()
}
