//! Directions through weight space: combinations of checkpoints, random ones, and those of a file.

use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::run::{FormatError, StateDict, TensorInfo};

use super::WeightsError;
use super::layout::{Layout, Role, SlotRange};
use super::normalize::{dot, length};
use super::run_checkpoint::WeightSource;

/// Elements that are summed in f64 at once, so that no full-size f64 vector is held.
const GROUP: usize = 8 << 20;

/// Both directions of a plane as flat vectors.
pub type Pair = [Vec<f32>; 2];

/// Returns Σ a_i θ_i for two lists of coefficients that each sum to zero, in one pass over the checkpoints.
/// Running statistics are combined alike. Differences from the first are summed, in f64.
///
/// # Errors
/// A checkpoint cannot be read.
pub fn combine<W: WeightSource>(
    layout: &Layout,
    coefficients: &[Vec<f64>; 2],
    mut open: impl FnMut(usize) -> Result<W, WeightsError>,
) -> Result<Pair, WeightsError> {
    let mut pair = [vec![0.0; layout.len()], vec![0.0; layout.len()]];
    let count = coefficients[0].len();
    for group in layout.groups(0..layout.slots().len(), GROUP) {
        let size = group.iter().map(|(_, range)| range.len()).sum();
        let mut sums = [vec![0.0f64; size], vec![0.0f64; size]];
        let mut base = Vec::new();
        for row in 0..count {
            let values = read_group(&open(row)?, &group)?;
            if row == 0 {
                base = values;
                continue;
            }
            for (sum, coefficients) in sums.iter_mut().zip(coefficients) {
                let a = coefficients[row];
                for ((sum, value), base) in sum.iter_mut().zip(&values).zip(&base) {
                    *sum += a * (f64::from(*value) - f64::from(*base));
                }
            }
        }
        for (direction, sum) in pair.iter_mut().zip(&sums) {
            scatter(direction, sum, &group, layout);
        }
    }
    Ok(pair)
}

fn read_group(source: &impl WeightSource, group: &[SlotRange]) -> Result<Vec<f32>, WeightsError> {
    let mut values = vec![0.0; group.iter().map(|(_, range)| range.len()).sum()];
    let mut rest = values.as_mut_slice();
    for (slot, range) in group {
        let piece;
        (piece, rest) = rest.split_at_mut(range.len());
        source.read(*slot, range.start, piece)?;
    }
    Ok(values)
}

fn scatter(flat: &mut [f32], sums: &[f64], group: &[SlotRange], layout: &Layout) {
    let mut rest = sums;
    for (slot, range) in group {
        let (piece, tail) = rest.split_at(range.len());
        rest = tail;
        let start = layout.slots()[*slot].offset + range.start;
        for (value, sum) in flat[start..start + piece.len()].iter_mut().zip(piece) {
            *value = *sum as f32;
        }
    }
}

/// Returns the mean of `count` points, running statistics likewise, one after the other.
///
/// # Errors
/// A checkpoint cannot be read.
pub fn mean<W: WeightSource>(
    layout: &Layout,
    count: usize,
    mut open: impl FnMut(usize) -> Result<W, WeightsError>,
) -> Result<Vec<f32>, WeightsError> {
    let mut sums = vec![0.0f64; layout.len()];
    for row in 0..count {
        for (sum, value) in sums.iter_mut().zip(flat(layout, &open(row)?)?) {
            *sum += f64::from(value);
        }
    }
    Ok(sums.iter().map(|sum| (sum / count as f64) as f32).collect())
}

/// Returns a whole point as a flat vector.
///
/// # Errors
/// The checkpoint cannot be read.
pub fn flat(layout: &Layout, source: &impl WeightSource) -> Result<Vec<f32>, WeightsError> {
    let mut flat = vec![0.0; layout.len()];
    for (index, slot) in layout.slots().iter().enumerate() {
        source.read(index, 0, &mut flat[slot.offset..][..slot.len()])?;
    }
    Ok(flat)
}

/// Returns two random directions with entries N(0,1), the first drawn whole before the second (docs/math.md 3).
/// Running statistics get 0. The generator is `ChaCha8`, whose numbers are the same everywhere.
#[must_use]
pub fn random(layout: &Layout, seed: u64) -> Pair {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    [(); 2].map(|()| {
        let mut direction = vec![0.0; layout.len()];
        for value in &mut direction[..layout.parameters()] {
            *value = StandardNormal.sample(&mut generator);
        }
        direction
    })
}

/// Takes from `direction` what lies along `other` (Gram–Schmidt), and gives it back its length.
pub fn orthogonalize(direction: &mut [f32], other: &[f32]) {
    let (before, square) = (length(direction), dot(other, other));
    if square == 0.0 {
        return;
    }
    let along = dot(direction, other) / square;
    for (value, other) in direction.iter_mut().zip(other) {
        *value = (f64::from(*value) - along * f64::from(*other)) as f32;
    }
    let after = length(direction);
    if after > 0.0 {
        for value in direction {
            *value = (f64::from(*value) * before / after) as f32;
        }
    }
}

/// Returns the directions of a safetensors file with tensors `x.<name>` and, if there is a second, `y.<name>`.
/// Running statistics may be left out; they are 0 then.
///
/// # Errors
/// The file cannot be read, or a parameter's tensor is missing or has another shape.
pub fn from_file(
    path: &Path,
    layout: &Layout,
) -> Result<(Vec<f32>, Option<Vec<f32>>), WeightsError> {
    let dict = StateDict::open(path, None).map_err(|error| match error {
        // What is no safetensors file is taken for PyTorch's, whose reader names its own format.
        FormatError::Invalid { path, .. } => FormatError::Invalid {
            path,
            format: "safetensors",
            reason: "with tensors x.<name>, and y.<name> for a plane".into(),
        },
        other => other,
    })?;
    let has_y = dict
        .tensors()
        .iter()
        .any(|tensor| tensor.name.starts_with("y."));
    let x = read_direction(path, &dict, layout, "x")?;
    let y = has_y.then(|| read_direction(path, &dict, layout, "y"));
    Ok((x, y.transpose()?))
}

fn read_direction(
    path: &Path,
    dict: &StateDict,
    layout: &Layout,
    axis: &str,
) -> Result<Vec<f32>, WeightsError> {
    let mut flat = Vec::with_capacity(layout.len());
    for slot in layout.slots() {
        let name = format!("{axis}.{}", slot.name);
        let found = dict.tensors().iter().position(|tensor| tensor.name == name);
        let shape = |index: usize| -> &TensorInfo { &dict.tensors()[index] };
        match found {
            Some(index) if shape(index).shape == slot.shape => {
                flat.extend(dict.read(index, 0..slot.len())?);
            }
            None if slot.role == Role::RunningStatistic => {
                flat.resize(flat.len() + slot.len(), 0.0);
            }
            other => {
                return Err(WeightsError::Direction {
                    path: path.to_path_buf(),
                    expected: format!("{name} of shape {:?}", slot.shape),
                    found: other.map_or("none".into(), |index| {
                        format!("shape {:?}", shape(index).shape)
                    }),
                });
            }
        }
    }
    Ok(flat)
}

#[cfg(test)]
pub(in crate::weights) mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::run::Dtype;

    /// Twelve weights of a point of the test layout, in memory.
    #[derive(Clone)]
    pub(in crate::weights) struct Point(pub(in crate::weights) Vec<f32>);

    impl WeightSource for Point {
        fn read(&self, slot: usize, start: usize, values: &mut [f32]) -> Result<(), WeightsError> {
            let offset = layout().slots()[slot].offset + start;
            values.copy_from_slice(&self.0[offset..][..values.len()]);
            Ok(())
        }

        fn whole(&self) -> bool {
            false
        }

        fn files(&self) -> usize {
            1
        }
    }

    pub(in crate::weights) fn info(name: &str, shape: &[usize]) -> TensorInfo {
        TensorInfo {
            name: name.into(),
            shape: shape.into(),
            dtype: Dtype::F32,
        }
    }

    /// Returns ten parameters in two tensors and two running statistics.
    pub(in crate::weights) fn layout() -> Layout {
        Layout::of(&[
            info("w", &[2, 4]),
            info("running_mean", &[1]),
            info("running_var", &[1]),
            info("b", &[2]),
        ])
    }

    #[test]
    fn a_combination_moves_parameters_and_statistics() {
        let points: Vec<Point> = (0..3)
            .map(|i| Point((0..12).map(|k| (i * i + i * k) as f32).collect()))
            .collect();
        let coefficients = [vec![-1.0, 1.0, 0.0], vec![-0.5, -0.5, 1.0]];
        let [x, y] = combine(&layout(), &coefficients, |row| Ok(points[row].clone())).unwrap();
        for k in 0..12 {
            let at = |i: usize| points[i].0[k];
            assert_eq!(x[k], at(1) - at(0));
            assert_eq!(y[k], at(2) - 0.5 * (at(0) + at(1)));
        }
    }

    #[test]
    fn a_mean_is_that_of_weights_and_statistics() {
        let points = [2.0f32, 4.0, 9.0].map(|value| Point(vec![value; 12]));
        let mean = mean(&layout(), 3, |row| Ok(points[row].clone())).unwrap();
        assert_eq!(mean, [5.0; 12]);
    }

    #[test]
    fn an_orthogonal_direction_keeps_its_length() {
        let mut y = [3.0, 4.0, 1.0];
        orthogonalize(&mut y, &[2.0, 0.0, 0.0]);
        let factor = (26.0f64 / 17.0).sqrt();
        assert_eq!(y, [0.0, (4.0 * factor) as f32, factor as f32]);
        orthogonalize(&mut y, &[0.0; 3]);
        assert_eq!(y[0], 0.0, "a direction of zero takes nothing away");
    }

    #[test]
    fn a_seed_names_its_directions_and_the_first_is_drawn_whole() {
        let [x, y] = random(&layout(), 3);
        assert_eq!([x.clone(), y.clone()], random(&layout(), 3));
        assert_ne!(x, random(&layout(), 4)[0]);
        assert_eq!(x[10..], [0.0, 0.0], "running statistics stay");
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let drawn: Vec<f32> = (0..20)
            .map(|_| StandardNormal.sample(&mut generator))
            .collect();
        assert_eq!([&x[..10], &y[..10]].concat(), drawn);
    }
}
