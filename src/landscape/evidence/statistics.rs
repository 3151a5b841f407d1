//! Running statistics of batch norm as evidence: training kept what its layers were given, so that a reading under which
//! the samples give quite other statistics is not the one that was trained.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::data::Dataset;
use crate::model::Recognized;
use crate::weights::Layout;

use super::super::LandscapeError;
use super::inquiry::Inquiry;
use super::verdict;

/// Distance above which running statistics fit no reading well enough to tell readings apart: those of a run that has just
/// begun are in part the values that they began with, and at a high learning rate they lag behind the weights.
pub(super) const FITTING: f64 = 0.1;
/// Distance above which the statistics of training were not those of these samples: the run's own are far below
/// `FITTING`, also where they lag behind, and a wrong reading alone may reach it.
const FOREIGN: f64 = 0.3;
/// Multiple of the shortest distance up to which readings fit as well, and a distance that samples differ by anyway.
pub(super) const AS_WELL: (f64, f64) = (1.5, 0.005);
/// Ratio of distances from which statistics speak against a reading, whatever the updates follow: those of a network that
/// knows a few samples by heart may follow the gradient of another one better, which still has something to learn.
pub(super) const AGAINST: f64 = 5.0;
/// The same of the pixels' scales, which are farther apart.
const SCALES_AS_WELL: (f64, f64) = (3.0, 0.02);
/// Largest square that one channel adds: a channel that is dead or new is no reason.
const MOST: f64 = 4.0;
/// Added to variances, as batch norm does.
const EPSILON: f64 = 1e-5;

/// Distances between running statistics and those of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Distances {
    /// Distance of the first norm, to which the pixels' scale comes undiminished.
    first: f64,
    /// Mean of the others; NaN if there are none.
    others: f64,
}

/// The readings that running statistics fit.
pub(super) struct Fitting {
    pub(super) readings: Vec<usize>,
    /// They are none of those that were asked, which the statistics fit far worse.
    pub(super) are_others: bool,
}

/// The scales of pixels that running statistics leave.
pub(super) struct FittingScales {
    /// Those that fit as well as the best, the best first.
    pub(super) scales: Vec<usize>,
    /// Distance of the best.
    pub(super) shortest: f64,
}

impl FittingScales {
    /// Returns true if the best one fits well, so that no other evidence is needed.
    pub(super) fn are_clear(&self) -> bool {
        self.shortest <= FITTING
    }
}

impl Inquiry<'_> {
    /// Returns the readings whose statistics fit the running ones as well as the best of them does, or those of all
    /// others if these fit far better; `None` if batch norm does not tell, or it would take long.
    pub(super) fn fitting(&self, readings: &[usize]) -> Result<Option<Fitting>, LandscapeError> {
        if self.candidates.len() < 2 {
            return Ok(None);
        }
        let Some(distances) = self.distances_of(readings)? else {
            return Ok(None);
        };
        let own = verdict::lowest(&distances);
        let of_others = if own > AGAINST * AS_WELL.1 {
            let others = (0..self.candidates.len()).filter(|i| !readings.contains(i));
            let others: Vec<usize> = others.collect();
            self.distances_of(&others)?.map(|found| (others, found))
        } else {
            None
        };
        if let Some((others, distances)) = of_others {
            let best = verdict::lowest(&distances);
            if overrule(own, best) {
                return Ok(Some(Fitting {
                    readings: fitting(&distances, AS_WELL, &others),
                    are_others: true,
                }));
            }
        }
        let tells = readings.len() > 1 && own <= FITTING;
        Ok(tells.then(|| Fitting {
            readings: fitting(&distances, AS_WELL, readings),
            are_others: false,
        }))
    }

    /// Returns true if the running statistics of the newest checkpoint are far from those of the samples under this
    /// reading.
    pub(super) fn are_foreign(&self, reading: usize) -> Result<bool, LandscapeError> {
        let distances = self.distances_of(&[reading])?;
        Ok(distances.is_some_and(|found| found.iter().any(|distance| *distance > FOREIGN)))
    }

    /// Returns the distance of the statistics of each of these readings at the newest checkpoint; `None` if batch norm does
    /// not tell, or it would take long.
    fn distances_of(&self, readings: &[usize]) -> Result<Option<Vec<f64>>, LandscapeError> {
        let newest = self.question.newest().filter(|_| !readings.is_empty());
        let Some(newest) = newest.filter(|_| self.has_statistics(readings.len())) else {
            return Ok(None);
        };
        let (flat, data) = (self.question.flat(newest)?, self.more(readings.len()));
        let distance = |reading: &usize| {
            let recognized = &self.candidates[*reading].recognized;
            Ok(self.distances(recognized, &data, &flat)?.others)
        };
        readings
            .iter()
            .map(distance)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Returns the scales of pixels under which a reading's first norm is given what the running statistics say; `None` if
    /// batch norm does not tell, or it would take long.
    pub(super) fn fitting_scales(
        &self,
        recognized: &Recognized,
    ) -> Result<Option<FittingScales>, LandscapeError> {
        let count = self.scales.len();
        let newest = self.question.newest();
        let Some(newest) = newest.filter(|_| self.has_statistics(count)) else {
            return Ok(None);
        };
        let (flat, data) = (self.question.flat(newest)?, self.more(count));
        let mut distances = Vec::with_capacity(count);
        for scale in 0..count {
            let data = self.scaled_as(&data, scale);
            distances.push(self.distances(recognized, &data, &flat)?.first);
        }
        let best = verdict::lowest(&distances);
        if !best.is_finite() {
            return Ok(None);
        }
        let all: Vec<usize> = (0..count).collect();
        let mut scales = fitting(&distances, SCALES_AS_WELL, &all);
        scales.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        Ok(Some(FittingScales {
            scales,
            shortest: best,
        }))
    }

    /// Returns true if the model has running statistics, and so many forward passes are within reason.
    pub(super) fn has_statistics(&self, passes: usize) -> bool {
        let cpu = self.question.is_on_cpu();
        self.batch_norm && self.effort.allows_losses(self.products, passes, cpu)
    }

    /// Compares the running statistics of a checkpoint with those of samples, in training mode.
    fn distances(
        &self,
        recognized: &Recognized,
        data: &Dataset,
        flat: &[f32],
    ) -> Result<Distances, LandscapeError> {
        let layout = &self.question.shape.layout;
        let norms = recognized.program.norms();
        let mut sums = vec![0.0; norms.len()];
        let all = self.in_training(recognized, data)?.statistics(flat)?;
        for own in &all {
            for (sum, norm) in sums.iter_mut().zip(&norms) {
                *sum += of_norm(layout, flat, own, *norm)? / all.len() as f64;
            }
        }
        let (first, others) = match sums.split_first() {
            Some((first, others)) => (*first, others),
            None => (f64::NAN, &[][..]),
        };
        Ok(Distances {
            first,
            others: others.iter().sum::<f64>() / others.len() as f64,
        })
    }
}

/// Returns the distance of one norm: the mean over its channels of ((μ − μᵣ)² / σᵣ² + ln² (σ² / σᵣ²)).
fn of_norm(
    layout: &Layout,
    flat: &[f32],
    own: &HashMap<usize, Tensor>,
    slots: [usize; 2],
) -> Result<f64, LandscapeError> {
    let Some(channels) = residuals(layout, flat, own, slots)? else {
        return Ok(f64::NAN);
    };
    // NaN must stay.
    let squares = channels.iter().flatten().map(|off| {
        let square = off.powi(2);
        if square > MOST { MOST } else { square }
    });
    Ok(squares.sum::<f64>() / channels.len() as f64)
}

/// Returns for each channel of a norm [(μ − μᵣ) / σᵣ, ln (σ² / σᵣ²)]; `None` if its statistics are not there.
pub(super) fn residuals(
    layout: &Layout,
    flat: &[f32],
    own: &HashMap<usize, Tensor>,
    slots: [usize; 2],
) -> Result<Option<Vec<[f64; 2]>>, LandscapeError> {
    let mut read = [const { Vec::new() }; 2];
    let mut kept = [&[][..]; 2];
    for (i, slot) in slots.into_iter().enumerate() {
        let (Some(own), Some(slot)) = (own.get(&slot), layout.slots().get(slot)) else {
            return Ok(None);
        };
        read[i] = own.flatten_all()?.to_vec1::<f32>()?;
        kept[i] = flat
            .get(slot.offset..slot.offset + slot.len())
            .unwrap_or_default();
    }
    let [means, variances] = read;
    let own = means.into_iter().zip(variances);
    let kept = kept[0].iter().zip(kept[1]);
    let channels = kept.zip(own).map(|((mean, variance), (own, spread))| {
        let [mean, variance, own, spread] = [*mean, *variance, own, spread].map(f64::from);
        let (variance, spread) = (variance + EPSILON, spread + EPSILON);
        [(own - mean) / variance.sqrt(), (spread / variance).ln()]
    });
    Ok(Some(channels.collect()))
}

/// Returns true if the shortest distance of other readings speaks against those whose shortest is `own`.
fn overrule(own: f64, others: f64) -> bool {
    others <= FITTING && own > AGAINST * others.max(AS_WELL.1)
}

/// Returns those of `all` that fit as well as the best.
fn fitting(distances: &[f64], (factor, floor): (f64, f64), all: &[usize]) -> Vec<usize> {
    let best = verdict::lowest(distances);
    let most = (factor * best).max(best + floor);
    let pairs = all.iter().zip(distances);
    let fit = pairs.filter(|(_, distance)| **distance <= most);
    fit.map(|(one, _)| *one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use candle_core::Device;

    use super::*;
    use crate::run::{Dtype, TensorInfo};

    fn layout() -> Layout {
        let tensor = |name: &str| TensorInfo {
            name: name.into(),
            shape: vec![2],
            dtype: Dtype::F32,
        };
        Layout::of(&[tensor("bn.running_mean"), tensor("bn.running_var")])
    }

    #[test]
    fn a_norm_s_distance_counts_standard_deviations_and_the_ratio_of_variances() {
        let of = |means: [f32; 2], variances: [f32; 2]| {
            let own = [(0, means), (1, variances)];
            let own = own.map(|(i, it)| (i, Tensor::new(&it, &Device::Cpu).unwrap()));
            let kept = [1.0, -1.0, 4.0, 4.0];
            of_norm(&layout(), &kept, &own.into(), [0, 1]).unwrap()
        };
        assert_eq!(of([1.0, -1.0], [4.0, 4.0]), 0.0);
        // One channel is half a standard deviation off, of two.
        assert!((of([2.0, -1.0], [4.0, 4.0]) - 0.125).abs() < 1e-5);
        let e = std::f32::consts::E;
        assert!((of([1.0, -1.0], [4.0 * e, 4.0 / e]) - 1.0).abs() < 1e-4);
        assert_eq!(of([1.0, 1e6], [4.0, 4.0]), 2.0, "a channel adds no more");
        assert!(of([f32::NAN, -1.0], [4.0, 4.0]).is_nan());
        assert!(
            of_norm(&layout(), &[0.0; 4], &HashMap::new(), [0, 1])
                .unwrap()
                .is_nan()
        );
    }

    #[test]
    fn statistics_overrule_updates_where_they_fit_another_reading_far_better() {
        // A network of max pooling whose updates followed the gradient of average pooling better, on samples that it
        // knew by heart; beside it the same network under GELU, and another padding.
        assert!(overrule(0.9431, 0.0027));
        assert!(overrule(0.0839, 0.0018));
        assert!(!overrule(0.0139, 0.0027), "about as near");
        assert!(!overrule(0.6, 0.3), "nothing fits");
        assert!(!overrule(f64::NAN, 0.01) && !overrule(0.5, f64::INFINITY));
    }

    #[test]
    fn those_fit_that_are_about_as_near_as_the_best() {
        let fit = |distances: &[f64]| fitting(distances, AS_WELL, &[0, 1, 2]);
        assert_eq!(fit(&[0.022, 0.0227, 0.0395]), [0, 1]);
        assert_eq!(fit(&[0.0005, 0.0019, f64::NAN]), [0, 1]);
        assert_eq!(fit(&[f64::NAN; 2]), [0usize; 0]);
    }
}
