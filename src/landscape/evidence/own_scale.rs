//! Figures of a normalization that is none of the usual ones, from the running statistics of the first batch norm.

use crate::data::Dataset;
use crate::data::scale::PixelScale;
use crate::model::Recognized;

use super::super::LandscapeError;
use super::inquiry::Inquiry;
use super::statistics::{self, AGAINST, AS_WELL, FITTING, FittingScales};

/// Steps of Gauss and Newton.
const STEPS: usize = 6;
/// Steps of mean and ln std for the derivatives.
const DIFFERENCE: f64 = 0.05;
/// Largest step of mean and ln std.
const FARTHEST: f64 = 1.0;

impl Inquiry<'_> {
    /// Returns mean and standard deviation, one for all channels, under which the first norm is given what its running
    /// statistics say, where these fit far better than all usual scales do; `None` elsewhere, or if it would take long.
    pub(super) fn own_scale(
        &self,
        recognized: &Recognized,
        usual: &FittingScales,
    ) -> Result<Option<[f64; 2]>, LandscapeError> {
        let newest = self.question.newest();
        let nearest = usual.scales.first().filter(|_| !usual.are_clear);
        let (Some(newest), Some(nearest)) = (newest, nearest) else {
            return Ok(None);
        };
        if !self.has_statistics(3 * STEPS) {
            return Ok(None);
        }
        let (flat, data) = (self.question.flat(newest)?, self.more(3 * STEPS));
        let channels = self.scales[*nearest].mean.len();
        let residuals = |[mean, ln_std]: [f64; 2]| {
            let each = |figure: f64| vec![figure as f32; channels];
            let scale = PixelScale {
                source: String::new(),
                mean: each(mean),
                std: each(ln_std.exp()),
            };
            self.first_residuals(recognized, &data.rescaled(&scale), &flat)
        };
        let middle = |figures: &[f32]| {
            figures.iter().map(|figure| f64::from(*figure)).sum::<f64>() / channels as f64
        };
        let scale = &self.scales[*nearest];
        let mut at = [middle(&scale.mean), middle(&scale.std).ln()];
        let mut best = (f64::INFINITY, at);
        for _ in 0..STEPS {
            let here = residuals(at)?;
            let off = distance(&here);
            if off < best.0 {
                best = (off, at);
            }
            let beside = [
                residuals([at[0] + DIFFERENCE, at[1]])?,
                residuals([at[0], at[1] + DIFFERENCE])?,
            ];
            let Some(step) = step(&here, &beside) else {
                break;
            };
            for (at, step) in at.iter_mut().zip(step) {
                *at += step.clamp(-FARTHEST, FARTHEST);
            }
        }
        let (off, [mean, ln_std]) = best;
        let is_far_better = off <= FITTING && usual.shortest > AGAINST * off.max(AS_WELL.1);
        Ok(is_far_better.then_some([mean, ln_std.exp()]))
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

/// Returns the mean square of residuals; infinite without any.
fn distance(residuals: &[[f64; 2]]) -> f64 {
    if residuals.is_empty() {
        return f64::INFINITY;
    }
    let squares = residuals.iter().flatten().map(|off| off.powi(2));
    squares.sum::<f64>() / residuals.len() as f64
}

/// Returns the step of Gauss and Newton from residuals here and a difference beside: (JᵀJ)⁻¹ Jᵀr, negative; `None` if
/// they do not tell both figures.
fn step(here: &[[f64; 2]], beside: &[Vec<[f64; 2]>; 2]) -> Option<[f64; 2]> {
    let here: Vec<f64> = here.iter().flatten().copied().collect();
    let slopes = beside.each_ref().map(|beside| -> Vec<f64> {
        let pairs = beside.iter().flatten().zip(&here);
        pairs
            .map(|(beside, here)| (beside - here) / DIFFERENCE)
            .collect()
    });
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let [a, b] = &slopes;
    let (aa, ab, bb) = (dot(a, a), dot(a, b), dot(b, b));
    let (ar, br) = (dot(a, &here), dot(b, &here));
    let determinant = aa * bb - ab * ab;
    let step = [
        (ab * br - bb * ar) / determinant,
        (ab * ar - aa * br) / determinant,
    ];
    step.iter().all(|step| step.is_finite()).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_to_the_figures_of_linear_residuals() {
        // Two channels whose residuals are linear in both figures, 0 at (0.5, -1.6).
        let at = |[mean, ln_std]: [f64; 2]| {
            let (mean, ln_std) = (mean - 0.5, ln_std + 1.6);
            vec![
                [2.0 * mean + 0.3 * ln_std, -2.0 * ln_std],
                [-mean + ln_std, -2.0 * ln_std],
            ]
        };
        let from = [0.2, -0.7];
        let beside = [
            at([from[0] + DIFFERENCE, from[1]]),
            at([from[0], from[1] + DIFFERENCE]),
        ];
        let step = step(&at(from), &beside);
        assert!(
            step.is_some_and(
                |[mean, ln_std]| (mean - 0.3).abs() < 1e-9 && (ln_std + 0.9).abs() < 1e-9
            )
        );
        assert_eq!(
            super::step(&[], &[Vec::new(), Vec::new()]),
            None,
            "nothing tells them"
        );
    }
}
