//! The scene of a session's map: window, surface, path and titles of the axes.

use crate::plot::map::{AxisTitle, Backdrop, Extras, MapScene};
use crate::session::snapshot::{Snapshot, Window};
use crate::weights::trajectory::Trajectory;

use super::super::state::App;
use super::super::state::choice::Plane;
use super::super::state::navigation::RANDOM_WINDOW;

/// Returns the scene of the random plane.
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
        stale: false,
    };
    MapScene {
        backdrop: plane.map(backdrop),
        path: so_far(app, path),
        axes: [random("random 1"), random("random 2")],
        ..of_session(app, snapshot, trajectory, RANDOM_WINDOW)
    }
}

/// Returns the scene of the map that the view shows; `None` without a path.
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

/// Returns the scene of a session's map.
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
        backdrop: snapshot.map.as_ref().map(|map| Backdrop {
            surface: &map.surface,
            stale: map.stale,
        }),
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
