//! What a session has found when it ends: the map and a few sentences.

use std::fmt::Write;

use crate::session::agenda::whole_path;
use crate::session::snapshot::{CheckpointState, Snapshot};

use super::map::{self, PrintedMap};
use super::{loss, percent};

/// The map of the whole path, steps seen, loss at the end and lowest loss found.
#[must_use]
pub fn text(snapshot: &Snapshot) -> String {
    let on_path = snapshot
        .checkpoints
        .iter()
        .filter(|line| line.state == CheckpointState::OnPath);
    let lines: Vec<_> = on_path.collect();
    let (Some(trajectory), Some(last)) = (&snapshot.trajectory, lines.last()) else {
        return format!("{}: no checkpoint was read\n", snapshot.run.display());
    };
    let mut text = String::new();
    let surface = snapshot
        .map
        .as_ref()
        .filter(|map| !map.stale)
        .map(|map| &map.surface);
    if trajectory.singular.len() >= 2 {
        let window = whole_path(&trajectory.coordinates);
        text += &map::text(&PrintedMap {
            surface,
            window: [window.x, window.y],
            path: &trajectory.coordinates,
            current: trajectory.steps.len() - 1,
            axes: ["PC1", "PC2"],
            explained: Some([trajectory.explained[0], trajectory.explained[1]]),
        });
        let share = |values: &[f64]| percent(values.iter().take(2).sum());
        let (explained, null) = (
            share(&trajectory.explained),
            share(&trajectory.explained_null),
        );
        let _ = writeln!(
            text,
            "PC1 and PC2 hold {explained} of the path's variance; a random walk has {null}."
        );
    }
    let (first, end) = (
        trajectory.steps[0],
        trajectory.steps[trajectory.steps.len() - 1],
    );
    let _ = write!(text, "{} checkpoints, steps {first} to {end}.", lines.len());
    if let Some(truth) = last.truth {
        let _ = write!(
            text,
            " The last has loss {}, accuracy {}.",
            loss(truth.loss),
            percent(truth.accuracy)
        );
    }
    if let Some((x, y, lowest)) = surface.and_then(|surface| surface.lowest()) {
        let _ = write!(
            text,
            " The lowest loss on the plane is {} at {x:.3}, {y:.3}.",
            loss(lowest.loss)
        );
    }
    text.push('\n');
    text
}
