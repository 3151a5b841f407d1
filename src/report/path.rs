//! A path as `surface` and `compare` report it.

use serde::Serialize;

use super::npz::Array;

/// A checkpoint of the path on the plane.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PathPoint {
    /// Training step.
    pub step: u64,
    /// α of its projection.
    pub x: f64,
    /// β of its projection.
    pub y: f64,
    /// Share of its distance from the origin that is off the plane.
    pub residual: f64,
    /// Loss of the checkpoint itself.
    pub loss: f64,
    /// Loss of its projection.
    pub plane_loss: f64,
}

/// Returns the training steps of some points of a path.
pub(super) fn steps(path: &[PathPoint], at: &[usize]) -> Vec<u64> {
    let steps = at.iter().filter_map(|at| path.get(*at));
    steps.map(|point| point.step).collect()
}

/// The arrays of a path, the names of which begin with `prefix`.
pub(super) fn arrays(prefix: &str, path: &[PathPoint]) -> Vec<Array> {
    let each = |name: &str, value: fn(&PathPoint) -> f64| {
        Array::row(format!("{prefix}{name}"), path.iter().map(value))
    };
    let places: Vec<[f64; 2]> = path.iter().map(|point| [point.x, point.y]).collect();
    let places = places.iter().map(|place| &place[..]);
    vec![
        Array::steps(
            format!("{prefix}steps"),
            path.iter().map(|point| point.step),
        ),
        Array::rows(format!("{prefix}path"), 2, places),
        each("path_loss", |point| point.loss),
        each("path_plane_loss", |point| point.plane_loss),
        each("path_residual", |point| point.residual),
    ]
}
