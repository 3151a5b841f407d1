//! Figures of a normalization that is none of the usual ones, from the running statistics of the first batch norm.

use nalgebra::{DMatrix, DVector};

use crate::data::Dataset;
use crate::data::scale::PixelScale;
use crate::model::Recognized;

use super::super::LandscapeError;
use super::inquiry::Inquiry;
use super::statistics::{self, AGAINST, AS_WELL, FITTING, FittingScales};

/// Steps of Gauss and Newton.
const STEPS: usize = 8;
/// Steps of a mean and of a ln std for the derivatives.
const DIFFERENCE: f64 = 0.05;
/// Largest step of a mean and of a ln std.
const FARTHEST: f64 = 1.0;
/// Most channels of an image; what has more is a table.
const MOST_CHANNELS: usize = 4;

impl Inquiry<'_> {
    /// Returns the figures under which the first norm is given what its running statistics say, one for all channels or else
    /// one each, if these fit far better than all usual scales do; `None` elsewhere, or if it would take long.
    pub(super) fn own_scale(
        &self,
        recognized: &Recognized,
        usual: &FittingScales,
    ) -> Result<Option<PixelScale>, LandscapeError> {
        let newest = self.question.newest();
        let nearest = usual.scales.first().filter(|_| !usual.are_clear());
        let (Some(newest), Some(nearest)) = (newest, nearest) else {
            return Ok(None);
        };
        let nearest = &self.scales[*nearest];
        let channels = nearest.mean.len();
        let passes = |figures: usize| STEPS * (1 + figures);
        if !(1..=MOST_CHANNELS).contains(&channels) || !self.has_statistics(passes(2)) {
            return Ok(None);
        }
        let (flat, data) = (self.question.flat(newest)?, self.more(passes(2)));
        let residuals = |figures: &[f64]| {
            let data = data.rescaled(&scale_of(figures, channels));
            self.first_residuals(recognized, &data, &flat)
        };
        let middle = |figures: &[f32]| {
            figures.iter().map(|figure| f64::from(*figure)).sum::<f64>() / channels as f64
        };
        let start = vec![middle(&nearest.mean), middle(&nearest.std).ln()];
        let (mut off, mut figures) = fit(&residuals, start)?;
        if off > FITTING && channels > 1 && self.has_statistics(passes(2 * channels)) {
            let each = figures.iter().flat_map(|one| vec![*one; channels]);
            (off, figures) = fit(&residuals, each.collect())?;
        }
        let is_far_better = off <= FITTING && usual.shortest > AGAINST * off.max(AS_WELL.1);
        Ok(is_far_better.then(|| scale_of(&figures, channels)))
    }

    /// Returns the residuals of the first norm on these samples, the mean over batches.
    fn first_residuals(
        &self,
        recognized: &Recognized,
        data: &Dataset,
        flat: &[f32],
    ) -> Result<Vec<[f64; 2]>, LandscapeError> {
        let norms = recognized.program.norms();
        let Some(first) = norms.first() else {
            return Ok(Vec::new());
        };
        let layout = &self.question.shape.layout;
        let all = self.in_training(recognized, data)?.statistics(flat)?;
        let mut mean: Vec<[f64; 2]> = Vec::new();
        for own in &all {
            let each = statistics::residuals(layout, flat, own, *first)?.unwrap_or_default();
            mean.resize(each.len(), [0.0; 2]);
            for (mean, one) in mean.iter_mut().zip(each) {
                for (mean, one) in mean.iter_mut().zip(one) {
                    *mean += one / all.len() as f64;
                }
            }
        }
        Ok(mean)
    }
}

/// Returns the scale of means and ln stds, one for all channels or one each.
fn scale_of(figures: &[f64], channels: usize) -> PixelScale {
    let (mean, ln_std) = figures.split_at(figures.len() / 2);
    let spread = |figures: Vec<f64>| -> Vec<f32> {
        let all = figures.iter().cycle().take(channels);
        all.map(|figure| *figure as f32).collect()
    };
    PixelScale {
        source: String::new(),
        mean: spread(mean.to_vec()),
        std: spread(ln_std.iter().map(|ln_std| ln_std.exp()).collect()),
    }
}

/// Returns the least mean square of the residuals that was found from these figures on, and where.
fn fit<E>(
    residuals: &impl Fn(&[f64]) -> Result<Vec<[f64; 2]>, E>,
    mut at: Vec<f64>,
) -> Result<(f64, Vec<f64>), E> {
    let mut best = (f64::INFINITY, at.clone());
    for _ in 0..STEPS {
        let here = residuals(&at)?;
        let off = distance(&here);
        if off < best.0 {
            best = (off, at.clone());
        }
        let mut beside = Vec::with_capacity(at.len());
        for figure in 0..at.len() {
            let mut moved = at.clone();
            moved[figure] += DIFFERENCE;
            beside.push(residuals(&moved)?);
        }
        let Some(step) = step(&here, &beside) else {
            break;
        };
        for (at, step) in at.iter_mut().zip(step) {
            *at += step.clamp(-FARTHEST, FARTHEST);
        }
    }
    Ok(best)
}

/// Returns the mean square of residuals; infinite without any.
fn distance(residuals: &[[f64; 2]]) -> f64 {
    if residuals.is_empty() {
        return f64::INFINITY;
    }
    let squares = residuals.iter().flatten().map(|off| off.powi(2));
    squares.sum::<f64>() / residuals.len() as f64
}

/// Returns the step of Gauss and Newton, the least squares of J·step = −r, from residuals here and those a difference
/// beside; `None` if they are not finite.
fn step(here: &[[f64; 2]], beside: &[Vec<[f64; 2]>]) -> Option<Vec<f64>> {
    let here = here.as_flattened();
    let slopes = beside.iter().flat_map(|beside| {
        let pairs = beside.as_flattened().iter().zip(here);
        pairs.map(|(beside, here)| (beside - here) / DIFFERENCE)
    });
    let slopes: Vec<f64> = slopes.collect();
    let is_whole = !here.is_empty() && slopes.len() == here.len() * beside.len();
    // A decomposition of NaN does not end.
    if !is_whole || !slopes.iter().chain(here).all(|value| value.is_finite()) {
        return None;
    }
    let jacobian = DMatrix::from_vec(here.len(), beside.len(), slopes);
    let solved = jacobian.svd(true, true);
    let solved = solved.solve(&DVector::from_row_slice(here), f64::EPSILON);
    let step: Vec<f64> = solved.ok()?.iter().map(|step| -step).collect();
    step.iter().all(|step| step.is_finite()).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Residuals of two channels that are linear in both figures, 0 at (0.5, -1.6).
    fn linear(at: &[f64]) -> Vec<[f64; 2]> {
        let (mean, ln_std) = (at[0] - 0.5, at[1] + 1.6);
        vec![
            [2.0 * mean + 0.3 * ln_std, -2.0 * ln_std],
            [-mean + ln_std, -2.0 * ln_std],
        ]
    }

    #[test]
    fn figures_of_linear_residuals_are_found_at_once() {
        let found = fit(&|at: &[f64]| Ok::<_, ()>(linear(at)), vec![0.2, -0.9]);
        let is_near = |(off, at): &(f64, Vec<f64>)| {
            *off < 1e-12 && (at[0] - 0.5).abs() < 1e-9 && (at[1] + 1.6).abs() < 1e-9
        };
        assert!(found.as_ref().is_ok_and(is_near), "{found:?}");
    }

    #[test]
    fn what_is_not_finite_has_no_step() {
        assert_eq!(step(&[], &[Vec::new(), Vec::new()]), None);
        let here = [[f64::NAN, 1.0]];
        assert_eq!(step(&here, &[vec![[0.0, 1.0]]]), None);
    }

    #[test]
    fn one_figure_is_that_of_all_channels() {
        let scale = scale_of(&[0.5, 0.0], 3);
        assert_eq!((scale.mean, scale.std), (vec![0.5; 3], vec![1.0; 3]));
        let scale = scale_of(&[0.1, 0.2, 0.0, 0.0], 2);
        assert_eq!((scale.mean, scale.std), (vec![0.1, 0.2], vec![1.0; 2]));
    }
}
