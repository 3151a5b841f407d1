//! Projection of a path on a random plane: how little of it two random directions explain, and why paths are
//! drawn on their own principal plane (Li et al. 2018, Figure 8; docs/math.md 9).

use crate::run::Checkpoint;

use super::WeightsError;
use super::direction;
use super::normalize::{Ignore, Norm, dot, normalize};
use super::plane::{Metric, expected_cosine, expected_cosine_of, extent};
use super::run_checkpoint::{RunCheckpoint, RunShape};

/// A path on a plane of two random filter-normalized directions through its last checkpoint.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RandomProjection {
    /// Seed of the directions.
    pub seed: u64,
    /// Coordinates of θ_t − θ_last, one a checkpoint.
    pub coordinates: Vec<[f64; 2]>,
    /// Share of the path's variance that the plane explains.
    #[serde(rename = "caught")]
    pub explained: f64,
    /// Cosine of the angle between the directions.
    pub cosine: f64,
    /// Mean |cosine| of two random directions: √(2/(πn)).
    pub expected_cosine: f64,
    /// The same for directions that are as long in each filter as these; `None` in recordings of earlier versions.
    #[serde(default, rename = "expected_cosine_normalized")]
    pub expected_normalized: Option<f64>,
}

impl RandomProjection {
    /// Returns the mean |cosine| to compare with.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.expected_normalized.unwrap_or(self.expected_cosine)
    }
}

/// Projects a path; `singular` are the singular values of its centred checkpoints.
///
/// # Errors
/// A checkpoint cannot be read any more.
pub fn of(
    shape: &RunShape,
    members: &[Checkpoint],
    singular: &[f64],
    seed: u64,
) -> Result<RandomProjection, WeightsError> {
    let layout = &shape.layout;
    let count = layout.parameters();
    let Some(last) = members.last() else {
        return Ok(RandomProjection::default());
    };
    let origin = direction::flat(layout, &RunCheckpoint::open(last, shape)?)?;
    let mut pair = direction::random(layout, seed);
    for direction in &mut pair {
        normalize(direction, &origin, layout, Norm::Filter, Ignore::Biasbn);
    }
    let [x, y] = pair.each_ref().map(|direction| &direction[..count]);
    let metric = Metric::of(x, y);
    let mut coordinates = Vec::with_capacity(members.len());
    for member in members {
        let mut delta = direction::flat(layout, &RunCheckpoint::open(member, shape)?)?;
        delta
            .iter_mut()
            .zip(&origin)
            .for_each(|(value, origin)| *value -= origin);
        coordinates.push(metric.coordinates(dot(x, &delta[..count]), dot(y, &delta[..count])));
    }
    let whole: f64 = singular.iter().map(|sigma| sigma * sigma).sum();
    Ok(RandomProjection {
        seed,
        explained: if whole > 0.0 {
            variance(&metric, &coordinates) / whole
        } else {
            0.0
        },
        coordinates,
        cosine: metric.cosine(),
        expected_cosine: expected_cosine(extent(x, y)),
        expected_normalized: Some(expected_cosine_of(x, y)),
    })
}

/// Returns Σ‖c − mean‖² of points given by their coordinates on a plane.
fn variance(metric: &Metric, coordinates: &[[f64; 2]]) -> f64 {
    let count = coordinates.len() as f64;
    let mean = [0, 1].map(|k| coordinates.iter().map(|at| at[k]).sum::<f64>() / count);
    let square = |at: &[f64; 2]| {
        let [a, b] = [at[0] - mean[0], at[1] - mean[1]];
        a * a * metric.xx + 2.0 * a * b * metric.xy + b * b * metric.yy
    };
    coordinates.iter().map(square).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_on_a_skew_plane_is_that_of_the_points() {
        // x = (2, 0), y = (1, 1): the points (0, 0), (2, 0), (3, 1), (1, 1) of a square around (1.5, 0.5).
        let metric = Metric {
            xx: 4.0,
            xy: 2.0,
            yy: 2.0,
        };
        let points = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        let exact: f64 = [[0.0, 0.0], [2.0, 0.0], [3.0, 1.0], [1.0, 1.0]]
            .iter()
            .map(|[a, b]: &[f64; 2]| (a - 1.5).powi(2) + (b - 0.5).powi(2))
            .sum();
        assert!((variance(&metric, &points) - exact).abs() < 1e-12);
    }
}
