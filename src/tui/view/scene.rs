//! The scene of a session's map: window, surface, path and titles of the axes.

use crate::landscape::{Estimate, Surface};
use crate::plot::{AxisTitle, Extras, MapScene, SurfaceLayer, Uncertainty};
use crate::session::{AnalysisResult, PlaneWindow, Snapshot};
use crate::weights::Trajectory;

use super::super::state::App;
use super::super::state::choice::ShownPlane;
use super::super::state::navigation::RANDOM_WINDOW;
use super::facts;

/// Returns the scene of the random plane.
pub(super) fn of_random_plane<'a>(
    app: &App,
    snapshot: &'a Snapshot,
    trajectory: &'a Trajectory,
) -> MapScene<'a> {
    let analysis = snapshot.analysis.as_ref();
    let plane = analysis.and_then(AnalysisResult::plane);
    let path = snapshot
        .random_projection
        .as_ref()
        .map_or(&[][..], |projection| &projection.coordinates);
    let random = |name: &str| AxisTitle {
        name: name.into(),
        share: None,
    };
    let backdrop = |surface| SurfaceLayer {
        surface,
        stale: false,
    };
    MapScene {
        backdrop: plane.map(backdrop),
        path: so_far(app, path),
        axes: [random("random 1"), random("random 2")],
        extras: Extras {
            uncertainty: uncertainty(snapshot, plane, None),
            ..Extras::default()
        },
        ..of_session(app, snapshot, trajectory, RANDOM_WINDOW)
    }
}

/// Returns the scene of the map that the view shows; `None` without a path.
pub(super) fn shown(app: &App) -> Option<MapScene<'_>> {
    let snapshot = app.snapshot();
    let trajectory = snapshot.trajectory.as_ref()?;
    match app.plane() {
        ShownPlane::Principal => Some(of_session(app, snapshot, trajectory, app.window()?)),
        ShownPlane::Random => Some(of_random_plane(app, snapshot, trajectory)),
    }
}

/// Returns the path up to the checkpoint that a film is at; all of it without one.
fn so_far<'a>(app: &App, path: &'a [[f64; 2]]) -> &'a [[f64; 2]] {
    let seen = app.selected().filter(|_| app.is_filming());
    seen.and_then(|seen| path.get(..=seen)).unwrap_or(path)
}

/// Returns the scene of a session's map.
pub(super) fn of_session<'a>(
    app: &App,
    snapshot: &'a Snapshot,
    trajectory: &'a Trajectory,
    window: PlaneWindow,
) -> MapScene<'a> {
    let look = app.appearance();
    let title = |k: usize| AxisTitle {
        name: format!("PC{}", k + 1),
        share: trajectory.explained.get(k).copied(),
    };
    MapScene {
        x: window.x,
        y: window.y,
        // Where no loss can be had the path stands alone.
        backdrop: (snapshot.map.as_ref())
            .filter(|_| facts::refusal(snapshot).is_none())
            .map(|map| SurfaceLayer {
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
        palette: app.theme().palette(),
        extras: Extras {
            uncertainty: uncertainty(
                snapshot,
                snapshot.map.as_ref().map(|map| &map.surface),
                snapshot.progress.error,
            ),
            ..Extras::default()
        },
    }
}

/// Returns the error of the losses of a surface: between its points, which is estimated where it is not known, and by
/// its samples.
fn uncertainty(snapshot: &Snapshot, surface: Option<&Surface>, error: Option<f64>) -> Uncertainty {
    let Some(surface) = surface else {
        return Uncertainty::default();
    };
    let error = error.or_else(|| Estimate::of(surface).expected());
    let lowest = surface.lowest().map(|(_, _, measure)| measure);
    let samples = lowest.zip(facts::measured_samples(snapshot));
    let sampling = samples.map(|(measure, samples)| {
        facts::loss_error(snapshot.score(), measure, samples) / measure.loss
    });
    Uncertainty {
        between: error.map_or(0.0, |error| error * surface.extent()),
        sampling: sampling.filter(|share| share.is_finite()).unwrap_or(0.0),
    }
}
