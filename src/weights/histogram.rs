//! Distribution of a checkpoint's weights.

use super::WeightsError;
use super::layout::{Layout, Role};
use super::run_checkpoint::WeightSource;

/// Elements that are read at once.
const PIECE: usize = 1 << 20;

/// Weights that are compared side by side.
const LANES: usize = 16;

/// Counts of weights over equal bins.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Histogram {
    /// Weights in each bin.
    pub counts: Vec<u64>,
    /// Lowest and highest finite weight.
    pub range: [f64; 2],
    /// Mean of the finite weights.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// Share of them that are exactly zero.
    pub zeros: f64,
    /// Number of them.
    pub count: u64,
    /// Number of others that are infinite or NaN.
    pub not_finite: u64,
}

/// Returns the tensors to count: all of rank 2 and more, or those of one layer.
///
/// # Errors
/// No layer has this name; the error names the first few that there are.
pub fn slots(layout: &Layout, layer: Option<&str>) -> Result<Vec<usize>, WeightsError> {
    let parameters = layout
        .slots()
        .iter()
        .enumerate()
        .filter(|(_, slot)| slot.role == Role::Parameter);
    let chosen: Vec<usize> = match layer {
        None => parameters
            .filter(|(_, slot)| slot.rank() >= 2)
            .map(|(i, _)| i)
            .collect(),
        Some(layer) => parameters
            .filter(|(_, slot)| {
                slot.name == layer
                    || slot
                        .name
                        .strip_prefix(layer)
                        .is_some_and(|r| r.starts_with('.'))
            })
            .map(|(i, _)| i)
            .collect(),
    };
    match layer {
        Some(layer) if chosen.is_empty() => {
            let names = layout.slots().iter().map(|slot| slot.name.as_str());
            let mut examples = names.clone().take(6).collect::<Vec<_>>().join(", ");
            if names.len() > 6 {
                examples += " and others";
            }
            Err(WeightsError::NoLayer {
                layer: layer.into(),
                examples,
            })
        }
        _ => Ok(chosen),
    }
}

/// Shows every weight to `see`, piece by piece.
fn each(
    source: &impl WeightSource,
    layout: &Layout,
    slots: &[usize],
    mut see: impl FnMut(&[f32]),
) -> Result<(), WeightsError> {
    let mut values = vec![0.0; PIECE];
    for &slot in slots {
        let len = layout.slots()[slot].len();
        for start in (0..len).step_by(PIECE) {
            let values = &mut values[..PIECE.min(len - start)];
            source.read(slot, start, values)?;
            see(values);
        }
    }
    Ok(())
}

/// Returns the lowest and highest finite weight; `None` if no weight is finite.
///
/// # Errors
/// The checkpoint cannot be read.
pub fn range(
    source: &impl WeightSource,
    layout: &Layout,
    slots: &[usize],
) -> Result<Option<[f64; 2]>, WeightsError> {
    let [mut lowest, mut highest] = [[f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]];
    each(source, layout, slots, |values| {
        for line in values.chunks(LANES) {
            for ((value, lowest), highest) in line.iter().zip(&mut lowest).zip(&mut highest) {
                let [low, high] = if value.abs() < f32::INFINITY {
                    [*value, *value]
                } else {
                    [*lowest, *highest]
                };
                *lowest = if low < *lowest { low } else { *lowest };
                *highest = if high > *highest { high } else { *highest };
            }
        }
    })?;
    let lowest = lowest.into_iter().fold(f32::INFINITY, f32::min);
    let highest = highest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    Ok((lowest <= highest).then(|| [f64::from(lowest), f64::from(highest)]))
}

impl Histogram {
    /// Returns the counts weights into `bins` equal bins of `range`; the last bin has its upper edge. Weights
    /// outside it count for the figures alone.
    ///
    /// # Errors
    /// The checkpoint cannot be read.
    pub fn of(
        source: &impl WeightSource,
        layout: &Layout,
        slots: &[usize],
        [min, max]: [f64; 2],
        bins: usize,
    ) -> Result<Self, WeightsError> {
        let mut found = Self {
            counts: vec![0; bins],
            range: [f64::INFINITY, f64::NEG_INFINITY],
            ..Self::default()
        };
        let (mut sum, mut squares, mut zeros) = (0.0, 0.0, 0u64);
        each(source, layout, slots, |values| {
            for &value in values {
                if !value.is_finite() {
                    found.not_finite += 1;
                    continue;
                }
                zeros += u64::from(value == 0.0);
                let value = f64::from(value);
                found.count += 1;
                found.range = [found.range[0].min(value), found.range[1].max(value)];
                sum += value;
                squares += value * value;
                let place = (value - min) / (max - min) * bins as f64;
                let bin = if value == max {
                    bins.saturating_sub(1)
                } else {
                    place as usize
                };
                if place >= 0.0
                    && let Some(count) = found.counts.get_mut(bin)
                {
                    *count += 1;
                }
            }
        })?;
        let count = found.count as f64;
        found.mean = sum / count;
        found.std = (squares / count - found.mean * found.mean).max(0.0).sqrt();
        found.zeros = zeros as f64 / count;
        Ok(found)
    }
}

/// Histograms of all weights of rank 2 and more of two checkpoints, over the range of both.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Overlay {
    /// Edges of the bins: one more than bins.
    pub edges: Vec<f64>,
    /// One a checkpoint.
    pub histograms: [Histogram; 2],
}

impl Overlay {
    /// Reads both checkpoints; `None` if no weight is finite, or all are the same.
    ///
    /// # Errors
    /// A checkpoint cannot be read.
    pub fn of<W: WeightSource>(
        sources: [&W; 2],
        layout: &Layout,
        bins: usize,
    ) -> Result<Option<Self>, WeightsError> {
        let slots = slots(layout, None)?;
        let [first, second] = sources;
        let range = |source| range(source, layout, &slots);
        let (a, b) = rayon::join(|| range(first), || range(second));
        let (Some(a), Some(b)) = (a?, b?) else {
            return Ok(None);
        };
        let [min, max] = [a[0].min(b[0]), a[1].max(b[1])];
        if min >= max {
            return Ok(None);
        }
        let histogram = |source| Histogram::of(source, layout, &slots, [min, max], bins);
        let (a, b) = rayon::join(|| histogram(first), || histogram(second));
        let edge = |i: usize| min + (max - min) * i as f64 / bins as f64;
        Ok(Some(Self {
            edges: (0..=bins).map(edge).collect(),
            histograms: [a?, b?],
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::weights::direction::tests::{Point, layout};

    #[test]
    fn every_finite_weight_is_in_one_bin() {
        let mut values = vec![
            -2.0,
            -1.0,
            0.0,
            0.0,
            0.5,
            1.0,
            1.5,
            2.0,
            f32::NAN,
            9.0,
            7.0,
            7.0,
        ];
        let point = Point(values.clone());
        let all = slots(&layout(), None).unwrap();
        assert_eq!(range(&point, &layout(), &all).unwrap(), Some([-2.0, 2.0]));
        let found = Histogram::of(&point, &layout(), &all, [-2.0, 2.0], 4).unwrap();
        assert_eq!(found.counts, [1, 1, 3, 3]);
        assert_eq!(
            (found.count, found.mean, found.zeros, found.not_finite),
            (8, 0.25, 0.25, 0)
        );
        values.truncate(8);
        let variance = values
            .iter()
            .map(|v| (f64::from(*v) - 0.25).powi(2))
            .sum::<f64>()
            / 8.0;
        assert!((found.std - variance.sqrt()).abs() < 1e-12);
        let bias = slots(&layout(), Some("b")).unwrap();
        let found = Histogram::of(&point, &layout(), &bias, [0.0, 9.0], 3).unwrap();
        assert_eq!((found.counts, found.not_finite), (vec![0, 0, 1], 1));
    }

    #[test]
    fn two_checkpoints_share_their_bins() {
        let [a, b] = [[0.0; 12], [4.0; 12]].map(|values| Point(values.to_vec()));
        let overlay = Overlay::of([&a, &b], &layout(), 4).unwrap().unwrap();
        assert_eq!(overlay.edges, [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            overlay.histograms.map(|h| h.counts),
            [[8, 0, 0, 0], [0, 0, 0, 8]]
        );
        assert_eq!(Overlay::of([&a, &a], &layout(), 4).unwrap(), None);
    }

    #[test]
    fn a_layer_that_is_not_there_is_named_with_those_that_are() {
        let error = slots(&layout(), Some("conv9")).unwrap_err().to_string();
        assert!(error.contains("conv9") && error.contains("w, b"), "{error}");
    }
}
