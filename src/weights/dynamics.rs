//! Growth and turning of the weights while a run goes on: norms layer by layer, angles between updates.

use nalgebra::DMatrix;

use super::gram::{Gram, square_between};
use super::layout::{Layout, Role};

/// ‖w‖ of one layer at each checkpoint.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LayerNorm {
    /// Common part of its tensors' names, e.g. `layer1.0.conv1`.
    pub name: String,
    /// One entry a checkpoint.
    pub norm: Vec<f64>,
}

/// Norms and angles of a path, in the order of its steps.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Dynamics {
    /// In the order of the state dict.
    pub layers: Vec<LayerNorm>,
    /// Cosine of the angle between update i and update j, where update i leads from checkpoint i to i + 1:
    /// (T−1)×(T−1), NaN if an update is zero.
    pub cosines: Vec<Vec<f64>>,
}

impl Dynamics {
    /// Computes those of the checkpoints `rows` of a Gram matrix, in order of steps.
    #[must_use]
    pub fn of(gram: &Gram, layout: &Layout, rows: &[usize]) -> Self {
        Self {
            layers: layers(gram, layout, rows),
            cosines: cosines(gram.path(), rows),
        }
    }

    /// Returns the cosine between each update and the next: one entry fewer than there are updates.
    #[must_use]
    pub fn successive(&self) -> Vec<f64> {
        let next = |(i, row): (usize, &Vec<f64>)| row.get(i + 1).copied();
        self.cosines.iter().enumerate().filter_map(next).collect()
    }
}

fn layers(gram: &Gram, layout: &Layout, rows: &[usize]) -> Vec<LayerNorm> {
    let mut layers: Vec<(String, Vec<f64>)> = Vec::new();
    for (index, slot) in layout.slots().iter().enumerate() {
        if slot.role != Role::Parameter {
            continue;
        }
        let name = slot
            .name
            .rsplit_once('.')
            .map_or(slot.name.as_str(), |parts| parts.0);
        let known = layers.iter().position(|layer| layer.0 == name);
        let at = known.unwrap_or_else(|| {
            layers.push((name.into(), vec![0.0; rows.len()]));
            layers.len() - 1
        });
        let squares = gram.squares(index);
        for (sum, row) in layers[at].1.iter_mut().zip(rows) {
            *sum += squares.get(*row).copied().unwrap_or(0.0);
        }
    }
    let norm = |(name, squares): (String, Vec<f64>)| LayerNorm {
        name,
        norm: squares
            .iter()
            .map(|square| square.max(0.0).sqrt())
            .collect(),
    };
    layers.into_iter().map(norm).collect()
}

fn cosines(path: &DMatrix<f64>, rows: &[usize]) -> Vec<Vec<f64>> {
    let updates: Vec<[usize; 2]> = rows.windows(2).map(|pair| [pair[0], pair[1]]).collect();
    // (θ_b − θ_a)·(θ_d − θ_c) from the dot products of differences from the first row.
    let dot = |[a, b]: [usize; 2], [c, d]: [usize; 2]| {
        path[(b, d)] - path[(b, c)] - path[(a, d)] + path[(a, c)]
    };
    let square = |[a, b]: [usize; 2]| square_between(path, a, b);
    let row = |i: &[usize; 2]| {
        let cosine = |j: &[usize; 2]| {
            let lengths = (square(*i) * square(*j)).sqrt();
            (dot(*i, *j) / lengths).clamp(-1.0, 1.0)
        };
        updates.iter().map(cosine).collect()
    };
    updates.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::weights::WeightsError;
    use crate::weights::direction::tests::{Point, layout};

    #[test]
    fn norms_and_cosines_are_those_of_the_vectors() {
        // The test layout: w (2×4), b (2), two running statistics.
        let points: Vec<Point> = [[0.0f32, 0.0], [3.0, 0.0], [3.0, 4.0], [3.0, 4.0]]
            .iter()
            .map(|[a, b]| {
                let mut all = vec![0.0; 12];
                (all[0], all[8], all[11]) = (*a, *b, 100.0);
                Point(all)
            })
            .collect();
        let mut gram = Gram::default();
        let never = |_, _| WeightsError::NoWeights("finite".into());
        gram.extend(
            &layout(),
            4,
            |row| Ok(points[row].clone()),
            never,
            |_, _| {},
        )
        .unwrap();
        let dynamics = Dynamics::of(&gram, &layout(), &[0, 1, 2, 3]);
        let found: Vec<(&str, &[f64])> = dynamics
            .layers
            .iter()
            .map(|layer| (layer.name.as_str(), &layer.norm[..]))
            .collect();
        assert_eq!(
            found,
            [
                ("w", &[0.0, 3.0, 3.0, 3.0][..]),
                ("b", &[0.0, 0.0, 4.0, 4.0][..])
            ]
        );
        assert_eq!(dynamics.cosines[0][..2], [1.0, 0.0]);
        assert!(
            dynamics.cosines[2].iter().all(|cosine| cosine.is_nan()),
            "the last update is zero"
        );
        assert_eq!(dynamics.successive()[0], 0.0);
        // Backwards, the first update is turned around.
        let back = Dynamics::of(&gram, &layout(), &[1, 0, 2]);
        assert!(
            (back.cosines[0][1] + 0.6).abs() < 1e-12,
            "{:?}",
            back.cosines
        );
    }
}
