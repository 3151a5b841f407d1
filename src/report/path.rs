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

/// Returns the step of the checkpoint that is farthest from the plane, and its distance as a share of the path's extent,
/// the largest distance of a checkpoint from the origin; `None` for a path without an extent.
pub(super) fn farthest(path: &[PathPoint]) -> Option<(u64, f64)> {
    let ways = path.iter().map(|point| {
        let along = point.x.hypot(point.y);
        let whole = along / (1.0 - point.residual * point.residual).sqrt();
        (point.step, whole, point.residual * whole)
    });
    let ways: Vec<_> = ways.filter(|(_, whole, _)| whole.is_finite()).collect();
    let extent = ways.iter().map(|way| way.1).fold(0.0, f64::max);
    let (step, _, off) = ways.into_iter().max_by(|a, b| a.2.total_cmp(&b.2))?;
    (extent > 0.0).then(|| (step, off / extent))
}

/// Returns the training steps of some points of a path.
pub(super) fn steps(path: &[PathPoint], at: &[usize]) -> Vec<u64> {
    let steps = at.iter().filter_map(|at| path.get(*at));
    steps.map(|point| point.step).collect()
}

/// Returns the arrays of a path, the names of which begin with `prefix`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_checkpoint_is_told_by_its_distance_and_not_by_its_share() {
        let point = |step, x, y, residual| PathPoint {
            step,
            x,
            y,
            residual,
            loss: 1.0,
            plane_loss: 1.0,
        };
        // 3.75 off the plane at a distance of 6.25; the next one is 0.9 of almost nothing away.
        let path = [
            point(0, 3.0, 4.0, 0.6),
            point(1, 0.01, 0.0, 0.9),
            point(2, 0.0, 0.0, 0.0),
        ];
        let (step, share) = farthest(&path).unwrap_or_default();
        assert_eq!(step, 0);
        assert!((share - 0.6).abs() < 1e-12, "{share}");
        assert_eq!(farthest(&path[2..]), None);
    }
}
