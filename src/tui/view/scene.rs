//! What a map shows of a session: window, surface, path and titles of the axes.

use crate::plot::map::{AxisTitle, Backdrop, Extras, MapScene};
use crate::session::snapshot::{Map, Snapshot, Window};
use crate::weights::trajectory::Trajectory;

use super::super::state::App;
use super::super::state::choice::Plane;
use super::super::state::navigation::RANDOM_WINDOW;

/// What the map of the random plane shows.
pub(super) fn of_random_plane<'a>(
    app: &App,
    snapshot: &'a Snapshot,
    trajectory: &'a Trajectory,
) -> MapScene<'a> {
    let study = snapshot.study.as_ref();
    let plane = study.and_then(|study| study.plane.as_ref());
    let path = snapshot
        .random_projection
        .as_ref()
        .map_or(&[][..], |projection| &projection.coordinates);
    let random = |name: &str| AxisTitle {
        name: name.into(),
        share: None,
    };
    let backdrop = |surface| Backdrop {
        surface,
        shift: [0.0, 0.0],
        stale: false,
    };
    MapScene {
        backdrop: plane.map(backdrop),
        path: so_far(app, path),
        axes: [random("random 1"), random("random 2")],
        ..of_session(app, snapshot, trajectory, RANDOM_WINDOW)
    }
}

/// What the map shows, as the view has it; none without a path.
pub(super) fn shown(app: &App) -> Option<MapScene<'_>> {
    let snapshot = app.snapshot();
    let trajectory = snapshot.trajectory.as_ref()?;
    match app.plane() {
        Plane::Principal => Some(of_session(app, snapshot, trajectory, app.window()?)),
        Plane::Random => Some(of_random_plane(app, snapshot, trajectory)),
    }
}

/// The path up to the checkpoint that a film is at; all of it without one.
fn so_far<'a>(app: &App, path: &'a [[f64; 2]]) -> &'a [[f64; 2]] {
    let seen = app.selected().filter(|_| app.is_filming());
    seen.and_then(|seen| path.get(..=seen)).unwrap_or(path)
}

/// What the map of a session shows.
pub(super) fn of_session<'a>(
    app: &App,
    snapshot: &'a Snapshot,
    trajectory: &'a Trajectory,
    window: Window,
) -> MapScene<'a> {
    let look = app.appearance();
    let title = |k: usize| AxisTitle {
        name: format!("PC{}", k + 1),
        share: trajectory.explained.get(k).copied(),
    };
    MapScene {
        x: window.x,
        y: window.y,
        backdrop: snapshot.map.as_ref().map(|map| backdrop(map, trajectory)),
        path: so_far(app, &trajectory.coordinates),
        selected: app
            .selected()
            .unwrap_or(0)
            .min(trajectory.steps.len().saturating_sub(1)),
        axes: [title(0), title(1)],
        scale: look.scale,
        layers: look.layers,
        marker: look.marker,
        tints: app.theme().tints(),
        extras: Extras::default(),
    }
}

/// A surface of an earlier plane is drawn where the checkpoints that both paths have lie on average:
/// the origin is the last checkpoint and moves with it.
fn backdrop<'a>(map: &'a Map, now: &Trajectory) -> Backdrop<'a> {
    let then = &map.trajectory;
    let moves = then
        .steps
        .iter()
        .zip(&then.coordinates)
        .filter_map(|(step, from)| {
            let to = now.coordinates.get(now.steps.binary_search(step).ok()?)?;
            Some([to[0] - from[0], to[1] - from[1]])
        });
    let (count, sum) = moves.fold((0, [0.0, 0.0]), |(count, sum), by| {
        (count + 1, [sum[0] + by[0], sum[1] + by[1]])
    });
    let mean = |total: f64| total / f64::from(count.max(1));
    Backdrop {
        surface: &map.surface,
        shift: if map.stale { sum.map(mean) } else { [0.0, 0.0] },
        stale: map.stale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_surface_moves_with_the_checkpoints_that_both_paths_have() {
        let path = |steps: &[u64], coordinates: &[[f64; 2]]| Trajectory {
            steps: steps.to_vec(),
            coordinates: coordinates.to_vec(),
            ..Trajectory::default()
        };
        let then = path(&[0, 10], &[[3.0, 1.0], [0.0, 0.0]]);
        let now = path(&[0, 10, 20], &[[4.5, 1.5], [1.5, 0.5], [0.0, 0.0]]);
        let mut map = Map {
            surface: crate::landscape::surface::Surface::new(vec![], vec![]),
            fidelity: None,
            stale: true,
            trajectory: then.into(),
        };
        assert_eq!(backdrop(&map, &now).shift, [1.5, 0.5]);
        map.stale = false;
        assert_eq!(backdrop(&map, &now).shift, [0.0, 0.0]);
    }
}
