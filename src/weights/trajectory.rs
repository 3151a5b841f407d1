//! The path of a run: every checkpoint's place on the principal plane of the run itself.

use std::f64::consts::PI;

use nalgebra::DMatrix;

use super::gram::{Gram, ROUNDING, square_between};
use super::pca::Components;

/// Result of the PCA of the checkpoints (docs/math.md 6–8). All vectors but `explained`, `explained_null`,
/// `singular` and `lissajous` have one entry a checkpoint, in the order of `steps`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Trajectory {
    /// Training step of each checkpoint, ascending.
    pub steps: Vec<u64>,
    /// Coordinates of θ_t − θ_last along PC1 and PC2.
    pub coordinates: Vec<[f64; 2]>,
    /// Share of δ = θ_t − θ_last that lies off the plane: ‖δ − αx − βy‖/‖δ‖; 0 for the last.
    pub residual: Vec<f64>,
    /// Distance from the plane, ‖δ − αx − βy‖; empty in recordings of earlier versions.
    #[serde(default)]
    pub distance: Vec<f64>,
    /// ‖θ_t‖.
    pub norm: Vec<f64>,
    /// ‖θ_t − θ_(t−1)‖; 0 for the first.
    pub update_norm: Vec<f64>,
    /// σ_k²/Σσ² for each component.
    pub explained: Vec<f64>,
    /// Shares of a random walk of infinite length: 6/(π²k²).
    pub explained_null: Vec<f64>,
    /// Singular values σ_k of the centred path.
    pub singular: Vec<f64>,
    /// R² of each component's coordinates against the half cosine that a random walk draws.
    pub lissajous: Vec<f64>,
    /// Branches that training has left, on the plane of the path.
    #[serde(default)]
    pub old_branches: Vec<OldBranch>,
}

/// The checkpoints of a branch that a resumed run has left.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OldBranch {
    /// Number of the branch, from 1.
    pub number: usize,
    /// Step of the path's checkpoint at which it was left; `None` if the run was started anew.
    pub from: Option<u64>,
    /// Training step of each checkpoint, ascending.
    pub steps: Vec<u64>,
    /// Coordinates of θ_t − θ_last along PC1 and PC2.
    pub coordinates: Vec<[f64; 2]>,
}

/// From this R² on in both components, a path looks like a random walk.
const LOOKS_RANDOM: f64 = 0.9;
/// Fewer checkpoints lie on a half cosine by chance.
const ENOUGH_TO_JUDGE: usize = 10;

impl Trajectory {
    /// Returns the shares of its variance that a random walk of as many checkpoints has along each component
    /// (docs/math.md 8): short ones have more in two than [`Trajectory::explained_null`], because they have few in all.
    #[must_use]
    pub fn explained_walk(&self) -> Vec<f64> {
        random_walk_shares(self.steps.len())
    }

    /// Returns true if the curve on the plane is what a random walk draws: the plane then shows how principal
    /// components are made rather than what the run did (docs/math.md 8).
    #[must_use]
    pub fn looks_random(&self) -> bool {
        self.steps.len() >= ENOUGH_TO_JUDGE
            && matches!(self.lissajous[..], [x, y, ..] if x.min(y) >= LOOKS_RANDOM)
    }
}

/// Returns the shares of its variance that a random walk of `count` points has along each component (docs/math.md 8).
#[must_use]
pub fn random_walk_shares(count: usize) -> Vec<f64> {
    let points = count as f64;
    let share = |k: usize| {
        let sine = (PI * k as f64 / (2.0 * points)).sin();
        1.5 / ((points * points - 1.0) * sine * sine)
    };
    (1..count).map(share).collect()
}

/// A fitted path, with what it takes to make its plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fit {
    /// The path.
    pub trajectory: Trajectory,
    /// Coefficients a_i of PC1 and PC2, in the order of `trajectory.steps`: pc_k = Σ a_i θ_i.
    pub combinations: [Vec<f64>; 2],
}

/// Fits the path of the checkpoints `rows` of a Gram matrix, given as (step, row) in order of steps.
///
/// Signs: those of `previous` are kept, the best that reflections of the axes can do (Procrustes over
/// the steps that both have); a first fit turns the axes so that the path's first point is positive.
#[must_use]
pub fn fit(gram: &Gram, rows: &[(u64, usize)], previous: Option<&Trajectory>) -> Fit {
    // Nothing has no components, and matrix routines are not to be asked for them.
    if rows.is_empty() {
        return Fit::default();
    }
    let all = gram.path();
    let dots = DMatrix::from_fn(rows.len(), rows.len(), |i, j| all[(rows[i].1, rows[j].1)]);
    let mut components = Components::of(&dots);
    let steps: Vec<u64> = rows.iter().map(|row| row.0).collect();
    for k in 0..2 {
        if turned(&components, k, &steps, previous) {
            components.flip(k);
        }
    }
    let last = rows.len().saturating_sub(1);
    let coordinates: Vec<[f64; 2]> = (0..rows.len())
        .map(|i| [0, 1].map(|k| components.coordinate(i, k) - components.coordinate(last, k)))
        .collect();
    let square = |i: usize, j: usize| square_between(&dots, i, j);
    let norms = gram.norms();
    let trajectory = Trajectory {
        residual: (0..rows.len())
            .map(|i| off_plane(coordinates[i], square(i, last)))
            .collect(),
        distance: (0..rows.len())
            .map(|i| distance(coordinates[i], square(i, last)))
            .collect(),
        coordinates,
        norm: rows.iter().map(|row| norms[row.1]).collect(),
        update_norm: (0..rows.len())
            .map(|i| square(i, i.saturating_sub(1)).sqrt())
            .collect(),
        explained: components.explained(),
        explained_null: (1..=components.singular.len())
            .map(random_walk_share)
            .collect(),
        lissajous: (0..components.singular.len())
            .map(|k| lissajous(&components, k))
            .collect(),
        singular: components.singular.clone(),
        steps,
        old_branches: Vec::new(),
    };
    Fit {
        trajectory,
        combinations: [0, 1].map(|k| components.combination(k)),
    }
}

/// Returns the coordinates of θ − θ_last on the plane of a fit for a row that is not on its path: with pc = Σ a_i θ_i
/// and Σ a_i = 0 they are Σ a_i (θ − θ_last)·θ_i. `order` has the rows of the path.
#[must_use]
pub fn project(gram: &Gram, order: &[usize], combinations: &[Vec<f64>; 2], row: usize) -> [f64; 2] {
    let path = gram.path();
    let Some(&last) = order.last() else {
        return [0.0; 2];
    };
    combinations.each_ref().map(|combination| {
        let terms = order.iter().zip(combination);
        terms
            .map(|(&i, a)| a * (path[(row, i)] - path[(last, i)]))
            .sum()
    })
}

/// Returns the share of a random walk's variance in component `k` (from 1), in the limit of many steps and
/// dimensions: 6/(π²k²) (Antognini and Sohl-Dickstein, NeurIPS 2018).
#[must_use]
pub fn random_walk_share(k: usize) -> f64 {
    6.0 / (PI * k as f64).powi(2)
}

/// Returns ‖δ − αx − βy‖ for orthonormal x and y; 0 where rounding is all that is left of it.
pub(super) fn distance([alpha, beta]: [f64; 2], square: f64) -> f64 {
    let rest = square - alpha * alpha - beta * beta;
    if rest > ROUNDING * square {
        rest.sqrt()
    } else {
        0.0
    }
}

/// Returns ‖δ − αx − βy‖/‖δ‖; 0 when δ is.
pub(super) fn off_plane(at: [f64; 2], square: f64) -> f64 {
    if square > 0.0 {
        distance(at, square) / square.sqrt()
    } else {
        0.0
    }
}

/// Part of the largest coordinate above which another one has a sign.
const SIGNIFICANT: f64 = 1e-6;

/// Returns true if component `k` points the other way than before, or than the rule for a first fit says.
fn turned(components: &Components, k: usize, steps: &[u64], previous: Option<&Trajectory>) -> bool {
    let Some(last) = steps.len().checked_sub(1) else {
        return false;
    };
    let relative = |i: usize| components.coordinate(i, k) - components.coordinate(last, k);
    let common: Vec<(f64, f64)> = previous.map_or_else(Vec::new, |previous| {
        let old = previous.steps.iter().zip(&previous.coordinates);
        old.filter_map(|(step, at)| Some((relative(steps.binary_search(step).ok()?), at[k])))
            .collect()
    });
    let mean =
        |of: fn(&(f64, f64)) -> f64| common.iter().map(of).sum::<f64>() / common.len() as f64;
    let (new_mean, old_mean) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let agreement: f64 = common
        .iter()
        .map(|(new, old)| (new - new_mean) * (old - old_mean))
        .sum();
    if agreement == 0.0 || common.is_empty() {
        let farthest = (0..last).map(|i| relative(i).abs()).fold(0.0, f64::max);
        // The sign of rounding is no sign: a path may end where it began.
        let mut apart = (0..last).map(relative);
        let first = apart.find(|at| at.abs() > SIGNIFICANT * farthest);
        first.is_some_and(|at| at < 0.0)
    } else {
        agreement < 0.0
    }
}

/// Returns R² of the coordinates on component `k` (from 0) against cos(π(k+1)i/(T−1)), the curve that a
/// random walk's component tends to (docs/math.md 8).
fn lissajous(components: &Components, k: usize) -> f64 {
    let count = components.scores.nrows();
    let cosine: Vec<f64> = (0..count)
        .map(|i| (PI * (k + 1) as f64 * i as f64 / (count - 1).max(1) as f64).cos())
        .collect();
    let mean = cosine.iter().sum::<f64>() / count as f64;
    let (mut dot, mut own, mut other) = (0.0, 0.0, 0.0);
    for (i, cosine) in cosine.iter().enumerate() {
        let (a, b) = (components.coordinate(i, k), cosine - mean);
        dot += a * b;
        own += a * a;
        other += b * b;
    }
    if own > 0.0 && other > 0.0 {
        dot * dot / (own * other)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::weights::WeightsError;
    use crate::weights::direction::tests::{Point, layout};
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    /// Returns a path of points, padded to the ten parameters and two statistics of the test layout.
    fn path(points: &[[f32; 3]]) -> (Gram, Vec<(u64, usize)>) {
        let rows: Vec<Point> = points
            .iter()
            .map(|p| Point([p.as_slice(), &[0.0; 9]].concat()))
            .collect();
        let mut gram = Gram::default();
        let never = |_, _| WeightsError::NoWeights("finite".into());
        gram.extend(
            &layout(),
            rows.len(),
            |row| Ok(rows[row].clone()),
            never,
            |_, _| {},
        )
        .unwrap();
        (
            gram,
            (0..points.len()).map(|i| (10 * i as u64, i)).collect(),
        )
    }

    const GOLDEN: [[f32; 3]; 4] = [[0., 0., 0.], [2., 1., 0.], [3., 3., 1.], [4., 3., 3.]];

    #[test]
    fn coordinates_are_those_of_the_difference_from_the_last() {
        let (gram, rows) = path(&GOLDEN);
        let fit = fit(&gram, &rows, None);
        let pc = [
            [0.656_282_5, 0.565_996_7, 0.498_939_9],
            [0.283_992_4, 0.427_342_9, -0.858_327_7],
        ];
        for (point, at) in GOLDEN.iter().zip(&fit.trajectory.coordinates) {
            for k in 0..2 {
                let delta = (0..3).map(|d| f64::from(point[d] - GOLDEN[3][d]) * pc[k][d]);
                assert!((at[k].abs() - delta.sum::<f64>().abs()).abs() < 1e-6);
            }
        }
        assert_eq!(fit.trajectory.coordinates[3], [0.0, 0.0]);
    }

    #[test]
    fn the_first_point_of_a_first_fit_is_positive() {
        let (gram, rows) = path(&GOLDEN);
        let first = fit(&gram, &rows, None).trajectory.coordinates[0];
        assert!(first[0] > 0.0 && first[1] > 0.0, "{first:?}");
    }

    #[test]
    fn signs_are_kept_when_checkpoints_are_added() {
        let (gram, rows) = path(&GOLDEN);
        let mut before = fit(&gram, &rows[..3], None).trajectory;
        for turn in 0..2 {
            let after = fit(&gram, &rows, Some(&before)).trajectory;
            for k in 0..2 {
                let forward = |t: &Trajectory| t.coordinates[0][k] - t.coordinates[2][k];
                assert!(
                    forward(&before) * forward(&after) > 0.0,
                    "turn {turn}, axis {k}"
                );
            }
            for at in &mut before.coordinates {
                *at = at.map(|c| -c);
            }
        }
    }

    #[test]
    fn residual_and_plane_part_make_the_whole_distance() {
        let (gram, rows) = path(&GOLDEN);
        let trajectory = fit(&gram, &rows, None).trajectory;
        for (i, point) in GOLDEN.iter().enumerate().take(3) {
            let square: f64 = (0..3)
                .map(|d| f64::from(point[d] - GOLDEN[3][d]).powi(2))
                .sum();
            let on: f64 = trajectory.coordinates[i].iter().map(|c| c * c).sum();
            let off = trajectory.residual[i].powi(2) * square;
            assert!((on + off - square).abs() < 1e-9);
        }
        assert_eq!(trajectory.residual[3], 0.0);
    }

    #[test]
    fn one_and_two_checkpoints_are_a_point_and_a_line() {
        let (gram, rows) = path(&GOLDEN);
        let one = fit(&gram, &rows[..1], None).trajectory;
        assert_eq!(
            (one.coordinates, one.residual),
            (vec![[0.0, 0.0]], vec![0.0])
        );
        let two = fit(&gram, &rows[..2], None).trajectory;
        assert!((two.coordinates[0][0] - 5f64.sqrt()).abs() < 1e-12);
        assert_eq!(two.coordinates[0][1], 0.0);
        assert!((two.explained[0] - 1.0).abs() < 1e-12 && two.residual[0] < 1e-6);
    }

    #[test]
    fn a_random_walk_has_the_null_s_variance_and_a_lissajous_score_near_one() {
        // 150 steps in 3000 dimensions: the walk's dot products are all that PCA sees.
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let (count, dimensions) = (150, 3000);
        let mut at = vec![0.0f64; dimensions];
        let mut walk = DMatrix::zeros(count, dimensions);
        for i in 0..count {
            for (k, value) in at.iter_mut().enumerate() {
                let step: f64 = StandardNormal.sample(&mut random);
                *value += step;
                walk[(i, k)] = *value;
            }
        }
        let components = Components::of(&(&walk * walk.transpose()));
        let explained = components.explained();
        assert!(
            (explained[0] - random_walk_share(1)).abs() < 0.02,
            "{explained:?}"
        );
        assert!((explained[1] - random_walk_share(2)).abs() < 0.02);
        assert!((random_walk_share(1) + random_walk_share(2) - 0.76).abs() < 1e-3);
        assert!(lissajous(&components, 0) > 0.98 && lissajous(&components, 1) > 0.95);
    }

    #[test]
    fn a_short_random_walk_has_the_shares_of_its_expected_gram_matrix() {
        for count in [2, 3, 4, 7, 14] {
            // Positions i and j have min(i, j) steps in common; PCA centres them.
            let common = DMatrix::from_fn(count, count, |i, j| i.min(j) as f64 + 1.0);
            let centre = DMatrix::identity(count, count)
                - DMatrix::from_element(count, count, 1.0 / count as f64);
            let mut variance: Vec<f64> = (&centre * common * &centre)
                .symmetric_eigenvalues()
                .iter()
                .copied()
                .collect();
            variance.sort_by(|a, b| b.total_cmp(a));
            let all: f64 = variance.iter().sum();
            let path = Trajectory {
                steps: (0..count as u64).collect(),
                ..Trajectory::default()
            };
            let shares = path.explained_walk();
            assert_eq!(shares.len(), count - 1);
            for (share, variance) in shares.iter().zip(&variance) {
                assert!((share - variance / all).abs() < 1e-12, "{count}: {share}");
            }
        }
    }

    #[test]
    fn a_few_checkpoints_are_not_called_a_random_walk() {
        let walk = |count: u64| Trajectory {
            steps: (0..count).collect(),
            lissajous: vec![0.99, 0.95, 0.1],
            ..Trajectory::default()
        };
        assert!(!walk(9).looks_random() && walk(10).looks_random());
    }

    #[test]
    fn a_straight_path_is_no_lissajous_curve() {
        let (gram, rows) = path(&[
            [0., 0., 0.],
            [1., 0., 0.],
            [2., 0., 0.],
            [3., 0., 0.],
            [9., 1., 0.],
        ]);
        assert!(fit(&gram, &rows, None).trajectory.lissajous[0] < 0.9);
    }
}
