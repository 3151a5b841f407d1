//! A principal plane that is held while its path goes on: where later checkpoints lie on it, and how it lies to
//! another plane.
//!
//! Its directions are sums of checkpoints, pc_k = Σ a_i θ_i with Σ a_i = 0, so that dot products of checkpoints are
//! all that it takes (docs/math.md 6, 7).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use nalgebra::DMatrix;

use crate::run::Checkpoint;

use super::trajectory::{OldBranch, Trajectory, distance, off_plane};

/// Dot products of the checkpoints of a run, of those on its path and of those of old branches.
#[derive(Clone, Debug, Default)]
pub struct PathProducts {
    /// The checkpoints.
    checkpoints: Vec<Checkpoint>,
    /// Row of each content, by its path and its number there.
    rows: HashMap<(PathBuf, u64), usize>,
    /// δ_i·δ_j, where δ_i = θ_i − θ_0.
    dots: Arc<DMatrix<f64>>,
}

impl PathProducts {
    /// Takes the dot products of checkpoints, in their order.
    #[must_use]
    pub fn new(checkpoints: Vec<Checkpoint>, dots: Arc<DMatrix<f64>>) -> Self {
        let key = |one: &Checkpoint| (one.path.clone(), one.arrival);
        Self {
            rows: checkpoints.iter().map(key).zip(0..).collect(),
            checkpoints,
            dots,
        }
    }

    /// Returns a checkpoint as it is read now, from a copy where its file went; `None` if it is not known.
    #[must_use]
    pub fn now(&self, checkpoint: &Checkpoint) -> Option<&Checkpoint> {
        self.checkpoints.get(self.row(checkpoint)?)
    }

    fn row(&self, checkpoint: &Checkpoint) -> Option<usize> {
        let key = (checkpoint.path.clone(), checkpoint.arrival);
        self.rows.get(&key).copied()
    }

    fn rows(&self, checkpoints: &[Checkpoint]) -> Option<Vec<usize>> {
        checkpoints.iter().map(|one| self.row(one)).collect()
    }

    /// Returns ‖θ_i − θ_j‖².
    fn square(&self, i: usize, j: usize) -> f64 {
        let dots = &self.dots;
        (dots[(i, i)] + dots[(j, j)] - 2.0 * dots[(i, j)]).max(0.0)
    }

    /// Returns the largest distance of a path's checkpoints from the last; `None` if one of them is not known.
    #[must_use]
    pub fn extent(&self, path: &[Checkpoint]) -> Option<f64> {
        let rows = self.rows(path)?;
        let last = *rows.last()?;
        let squares = rows.iter().map(|&row| self.square(row, last));
        Some(squares.fold(0.0, f64::max).sqrt())
    }

    /// Returns (θ_i − θ_j)·Σ a θ for a sum whose coefficients have the sum 0.
    fn along(&self, i: usize, j: usize, rows: &[usize], combination: &[f64]) -> f64 {
        let terms = rows.iter().zip(combination);
        terms
            .map(|(&row, a)| a * (self.dots[(i, row)] - self.dots[(j, row)]))
            .sum()
    }

    /// Returns the sum of the squared distances of some checkpoints from their mean.
    fn total(&self, rows: &[usize]) -> f64 {
        let (mut own, mut all) = (0.0, 0.0);
        for &i in rows {
            own += self.dots[(i, i)];
            all += rows.iter().map(|&j| self.dots[(i, j)]).sum::<f64>();
        }
        (own - all / rows.len().max(1) as f64).max(0.0)
    }
}

/// The principal plane of the checkpoints that a path had when it was fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedPlane {
    /// Those checkpoints; the last is the origin.
    pub members: Vec<Checkpoint>,
    /// Coefficients of both directions.
    pub combinations: [Vec<f64>; 2],
}

impl FittedPlane {
    /// Lays a path on the plane: its coordinates and distances are those from this plane, and so are its first two
    /// shares of the variance; everything else is as `newest` has it, the fit of the path itself. `None` if a
    /// checkpoint of which the plane is made is known no longer.
    #[must_use]
    pub fn place(
        &self,
        products: &PathProducts,
        path: &[Checkpoint],
        newest: &Trajectory,
    ) -> Option<Trajectory> {
        let own = products.rows(&self.members)?;
        let (origin, rows) = (*own.last()?, products.rows(path)?);
        let at = |row: usize| {
            let combinations = self.combinations.each_ref();
            combinations.map(|combination| products.along(row, origin, &own, combination))
        };
        let coordinates: Vec<[f64; 2]> = rows.iter().map(|&row| at(row)).collect();
        let squares: Vec<f64> = rows
            .iter()
            .map(|&row| products.square(row, origin))
            .collect();
        let of_each = |value: fn([f64; 2], f64) -> f64| {
            let places = coordinates.iter().zip(&squares);
            places.map(|(at, square)| value(*at, *square)).collect()
        };
        let mut explained = newest.explained.clone();
        let total = products.total(&rows);
        for (share, spread) in explained.iter_mut().zip(spreads(&coordinates)) {
            *share = if total > 0.0 { spread / total } else { 0.0 };
        }
        let branches = newest.old_branches.iter().map(|branch| {
            let left = branch.steps.iter().map(|step| {
                let is_it =
                    |one: &&Checkpoint| one.step == *step && !path.iter().any(|on| on.is(one));
                let row = products.row(products.checkpoints.iter().find(is_it)?)?;
                Some(at(row))
            });
            Some(OldBranch {
                coordinates: left.collect::<Option<_>>()?,
                ..branch.clone()
            })
        });
        Some(Trajectory {
            old_branches: branches.flatten().collect(),
            residual: of_each(off_plane),
            distance: of_each(distance),
            explained,
            coordinates,
            ..newest.clone()
        })
    }

    /// Returns the position of this plane to another one; `None` if a checkpoint of either is known no longer.
    #[must_use]
    pub fn seen_from(&self, other: &Self, products: &PathProducts) -> Option<PlaneMove> {
        let (own, theirs) = (
            products.rows(&self.members)?,
            products.rows(&other.members)?,
        );
        let (origin, base) = (*own.last()?, *theirs.last()?);
        let turn = other.combinations.each_ref().map(|to| {
            self.combinations.each_ref().map(|from| {
                let terms = own.iter().zip(from).map(|(&i, a)| {
                    let products = theirs
                        .iter()
                        .zip(to)
                        .map(|(&j, b)| b * products.dots[(i, j)]);
                    a * products.sum::<f64>()
                });
                terms.sum::<f64>()
            })
        });
        let between = |plane: &Self, rows: &[usize]| {
            let directions = plane.combinations.each_ref();
            directions.map(|combination| products.along(origin, base, rows, combination))
        };
        Some(PlaneMove {
            shift: between(other, &theirs),
            turn,
            lean: between(self, &own),
            apart: products.square(origin, base),
        })
    }
}

/// Returns the sum of squares about the mean along both axes.
fn spreads(coordinates: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|k| {
        let values = coordinates.iter().map(|at| at[k]);
        let mean = values.clone().sum::<f64>() / coordinates.len().max(1) as f64;
        values.map(|value| (value - mean).powi(2)).sum()
    })
}

/// The position of one plane as seen from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaneMove {
    /// Coordinates of its origin on the other plane.
    pub shift: [f64; 2],
    /// Coordinate k of its direction l on the other plane: `turn[k][l]`.
    pub turn: [[f64; 2]; 2],
    /// Part along its own directions of the difference of both origins, own − other.
    pub lean: [f64; 2],
    /// Squared distance of both origins.
    pub apart: f64,
}

impl PlaneMove {
    /// Returns where a point (α, β) of the plane is seen on the other one.
    #[must_use]
    pub fn image(&self, at: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|k| self.shift[k] + self.turn[k][0] * at[0] + self.turn[k][1] * at[1])
    }

    /// Returns the distance of a point (α, β) of the plane from the other one: ‖p − o‖² less what lies along that plane,
    /// where ‖p − o‖² = ‖o' − o‖² + 2·(α, β)·lean + α² + β².
    #[must_use]
    pub fn distance(&self, at: [f64; 2]) -> f64 {
        let own: f64 = [0, 1]
            .map(|l| at[l] * (2.0 * self.lean[l] + at[l]))
            .iter()
            .sum();
        let along: f64 = self.image(at).iter().map(|k| k * k).sum();
        (self.apart + own - along).max(0.0).sqrt()
    }

    /// Returns the point of the plane that is seen at a point of the other one; `None` if the planes are at right
    /// angles.
    #[must_use]
    pub fn source(&self, image: [f64; 2]) -> Option<[f64; 2]> {
        let [[a, b], [c, d]] = self.turn;
        let determinant = a * d - b * c;
        let [x, y] = [0, 1].map(|k| image[k] - self.shift[k]);
        let at = [(d * x - b * y) / determinant, (a * y - c * x) / determinant];
        at.iter().all(|at| at.is_finite()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::weights::pca::Components;

    const DIMENSIONS: usize = 7;

    /// Returns a walk that turns slowly, and its dot products.
    fn walk(count: usize) -> (Vec<[f64; DIMENSIONS]>, PathProducts) {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let points: Vec<[f64; DIMENSIONS]> = (0..count)
            .map(|i| {
                let t = i as f64 / 4.0;
                std::array::from_fn(|k| {
                    let noise: f64 = StandardNormal.sample(&mut random);
                    (t * (1.0 + k as f64 / 5.0)).sin() * 3.0 / (1.0 + k as f64) + 0.1 * noise
                })
            })
            .collect();
        let dots = DMatrix::from_fn(count, count, |i, j| {
            (0..DIMENSIONS)
                .map(|k| (points[i][k] - points[0][k]) * (points[j][k] - points[0][k]))
                .sum()
        });
        let checkpoints = (0..count as u64).map(|i| Checkpoint::new(i, format!("{i}.pt")));
        let products = PathProducts::new(checkpoints.collect(), Arc::new(dots));
        (points, products)
    }

    fn plane(products: &PathProducts, count: usize) -> FittedPlane {
        let dots = products.dots.view((0, 0), (count, count)).into_owned();
        let components = Components::of(&dots);
        FittedPlane {
            members: products.checkpoints[..count].to_vec(),
            combinations: [0, 1].map(|k| components.combination(k)),
        }
    }

    /// Returns the origin and directions of a plane, in full.
    fn in_full(
        plane: &FittedPlane,
        points: &[[f64; DIMENSIONS]],
    ) -> ([f64; DIMENSIONS], [[f64; DIMENSIONS]; 2]) {
        let directions = plane.combinations.each_ref().map(|combination| {
            std::array::from_fn(|k| combination.iter().zip(points).map(|(a, p)| a * p[k]).sum())
        });
        (points[plane.members.len() - 1], directions)
    }

    fn dot(a: &[f64; DIMENSIONS], b: &[f64; DIMENSIONS]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// Returns the coordinates of a point on a plane, and its distance from it, by definition.
    fn seen(
        point: &[f64; DIMENSIONS],
        (origin, directions): &([f64; DIMENSIONS], [[f64; DIMENSIONS]; 2]),
    ) -> ([f64; 2], f64) {
        let delta: [f64; DIMENSIONS] = std::array::from_fn(|k| point[k] - origin[k]);
        let at = directions
            .each_ref()
            .map(|direction| dot(&delta, direction));
        let off: [f64; DIMENSIONS] =
            std::array::from_fn(|k| delta[k] - at[0] * directions[0][k] - at[1] * directions[1][k]);
        (at, dot(&off, &off).sqrt())
    }

    #[test]
    fn later_checkpoints_lie_on_a_held_plane_where_their_definition_says() {
        let (points, products) = walk(20);
        let held = plane(&products, 8);
        let full = in_full(&held, &points);
        let newest = Trajectory {
            steps: (0..20).collect(),
            explained: vec![0.5; 6],
            ..Trajectory::default()
        };
        let path = held
            .place(&products, &products.checkpoints, &newest)
            .unwrap();
        for (i, point) in points.iter().enumerate() {
            let (at, off) = seen(point, &full);
            let found = (path.coordinates[i], path.distance[i]);
            assert!((found.0[0] - at[0]).abs() < 1e-9 && (found.0[1] - at[1]).abs() < 1e-9);
            assert!((found.1 - off).abs() < 1e-6, "{i}: {found:?} {off}");
        }
        assert_eq!(path.coordinates[7], [0.0, 0.0]);
        let mean: [f64; DIMENSIONS] =
            std::array::from_fn(|k| points.iter().map(|p| p[k]).sum::<f64>() / 20.0);
        let squares = points.iter().map(|p| {
            let delta: [f64; DIMENSIONS] = std::array::from_fn(|k| p[k] - mean[k]);
            (dot(&delta, &delta), dot(&delta, &full.1[0]).powi(2))
        });
        let (total, along) = squares.fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        assert!((path.explained[0] - along / total).abs() < 1e-9);
        assert_eq!(path.explained[2..], newest.explained[2..]);
    }

    #[test]
    fn a_plane_is_seen_from_another_where_its_points_are() {
        let (points, products) = walk(20);
        let (old, new) = (plane(&products, 8), plane(&products, 20));
        let (from, to) = (in_full(&old, &points), in_full(&new, &points));
        let moved = old.seen_from(&new, &products).unwrap();
        for at in [[0.0, 0.0], [2.0, -1.0], [-0.3, 4.0]] {
            let point =
                std::array::from_fn(|k| from.0[k] + at[0] * from.1[0][k] + at[1] * from.1[1][k]);
            let (image, off) = seen(&point, &to);
            assert!((moved.distance(at) - off).abs() < 1e-6, "{at:?}");
            let found = moved.image(at);
            assert!((found[0] - image[0]).abs() < 1e-9 && (found[1] - image[1]).abs() < 1e-9);
            let back = moved.source(found).unwrap();
            assert!((back[0] - at[0]).abs() < 1e-9 && (back[1] - at[1]).abs() < 1e-9);
        }
        let same = new.seen_from(&new, &products).unwrap();
        assert!((same.image([1.0, 2.0])[1] - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_plane_whose_checkpoints_are_gone_places_nothing() {
        let (_, products) = walk(9);
        let (held, path) = (plane(&products, 8), products.checkpoints.clone());
        let mut others = path.clone();
        others[3] = Checkpoint::new(99, "other.pt");
        let products = PathProducts::new(others, products.dots);
        assert!(
            held.place(&products, &path[8..], &Trajectory::default())
                .is_none()
        );
        assert!(held.seen_from(&held, &products).is_none());
    }
}
