//! Findings of a session when it ends: the map and a few sentences.

use std::fmt::Write;

use crate::session::Snapshot;

use super::map::{self, PrintedMap};
use super::{PAGE, condition, loss, percent, score};

/// Returns the map of the whole path, steps seen, loss at the end and lowest loss found.
#[must_use]
pub fn text(snapshot: &Snapshot) -> String {
    let Some(trajectory) = &snapshot.trajectory else {
        return sentence(snapshot) + "\n";
    };
    let mut text = String::new();
    let surface = snapshot
        .map
        .as_ref()
        .filter(|map| !map.stale)
        .map(|map| &map.surface);
    if trajectory.singular.len() >= 2 {
        let explained = Some([trajectory.explained[0], trajectory.explained[1]]);
        let map = PrintedMap {
            surface,
            ..PrintedMap::of_path(&trajectory.coordinates, ["PC1", "PC2"], explained)
        };
        text += &map::text(&map, PAGE);
        let share = |values: &[f64]| percent(values.iter().take(2).sum());
        let (explained, null) = (
            share(&trajectory.explained),
            share(&trajectory.explained_walk()),
        );
        let _ = writeln!(
            text,
            "PC1 and PC2 hold {explained} of the path's variance; a random walk has {null}."
        );
    }
    text + &sentence(snapshot) + "\n"
}

/// Returns the steps seen, loss at the end and the lowest loss found, in a line.
#[must_use]
pub fn sentence(snapshot: &Snapshot) -> String {
    let steps = snapshot
        .trajectory
        .as_ref()
        .map_or(&[][..], |trajectory| &trajectory.steps);
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return format!("{}: no checkpoint was read", snapshot.run.display());
    };
    let mut text = match steps.len() {
        1 => format!("1 checkpoint, step {first}."),
        count => format!("{count} checkpoints, steps {first} to {last}."),
    };
    let line = snapshot
        .checkpoints
        .iter()
        .find(|line| line.step == Some(*last));
    if let Some(truth) = line.and_then(|line| line.truth) {
        let _ = write!(
            text,
            " The last has loss {}{}{}.",
            loss(truth.loss),
            score::behind(snapshot.score(), truth.score),
            condition::of_loss(snapshot)
                .map_or(String::new(), |condition| format!(" ({condition})"))
        );
    }
    let map = snapshot.map.as_ref().filter(|map| !map.stale);
    let samples = (snapshot.map_samples()).map_or(String::new(), |samples| format!(", {samples}"));
    if let Some((x, y, lowest)) = map.and_then(|map| map.surface.lowest()) {
        let _ = write!(
            text,
            " The lowest loss on the plane is {} at {x:.3}, {y:.3}{samples}.",
            loss(lowest.loss)
        );
    }
    text
}
