//! Decides by which figures pixels were normalized, where batch norm hides it from the updates.

use crate::data::scale::PixelScale;
use crate::model::Recognized;

use super::super::LandscapeError;
use super::Basis;
use super::inquiry::Inquiry;
use super::statistics::FittingScales;
use super::verdict::{self, AGAINST_UPDATES, FAR_HIGHER, FEWEST_UPDATES, LEVEL, Scores};

/// The scales of pixels that are left where batch norm hides them from the updates, the one that is taken first.
#[derive(Default)]
pub(super) struct ScaleChoice {
    /// Indices of the scales that are left; empty if that is no question.
    pub(super) scales: Vec<usize>,
    /// Ground on which they are left.
    pub(super) basis: Basis,
    /// Figures that the running statistics fit far better than all of them.
    pub(super) own: Option<PixelScale>,
}

impl Inquiry<'_> {
    /// Returns the scales that the running statistics of the first batch norm leave; where these fit none well, because
    /// they lag behind, what the losses along the path leave is left too.
    pub(super) fn scales_of(&self, taken: usize) -> Result<ScaleChoice, LandscapeError> {
        if !self.batch_norm || self.scales.len() < 2 {
            return Ok(ScaleChoice::default());
        }
        let recognized = &self.candidates[taken].recognized;
        let fitting = self.fitting_scales(recognized)?;
        let own = match &fitting {
            Some(fitting) => self.own_scale(recognized, fitting)?,
            None => None,
        };
        let is_clear = fitting.as_ref().is_some_and(FittingScales::are_clear);
        // Losses of what the run did not learn tell no scale; statistics do, under which the updates were not asked.
        if self.assumed.doubtful && !is_clear {
            return Ok(ScaleChoice {
                own,
                ..ScaleChoice::default()
            });
        }
        let fit = fitting.as_ref().map_or(&[][..], |fitting| &fitting.scales);
        let of_losses = if is_clear {
            Vec::new()
        } else {
            self.scales_by_loss(recognized)?
        };
        // The set's own where it is among those that fit, else the best of these.
        let loaded = fit.contains(&0).then_some(0);
        let all = loaded.iter().chain(fit).chain(&of_losses).copied();
        let mut scales: Vec<usize> = Vec::new();
        for scale in all {
            if !scales.contains(&scale) {
                scales.push(scale);
            }
        }
        Ok(ScaleChoice {
            scales,
            basis: match fit {
                [] => Basis::Loss,
                _ if is_clear => Basis::Statistics,
                _ => Basis::Usual,
            },
            own,
        })
    }

    /// Returns the scales that the losses along the path leave, the one that is taken first.
    fn scales_by_loss(&self, recognized: &Recognized) -> Result<Vec<usize>, LandscapeError> {
        let stations = self.stations();
        let mut scores = vec![Scores(Vec::new()); self.scales.len()];
        for member in &stations {
            let flat = self.question.flat(*member)?;
            for (scale, scores) in scores.iter_mut().enumerate() {
                let loss = self.loss(recognized, scale, &self.few, &flat)?;
                scores.0.push(-loss.ln());
            }
        }
        let Some(best) = verdict::best(&scores) else {
            return Ok(Vec::new());
        };
        let (mut tied, level) = if stations.len() < FEWEST_UPDATES {
            let losses: Vec<f64> = scores.iter().map(|s| (-s.mean().value).exp()).collect();
            let near = |factor| verdict::near(&losses, factor);
            (near(FAR_HIGHER), near(LEVEL))
        } else {
            let tied = verdict::tied(&scores, best, |_| false);
            (tied.clone(), tied)
        };
        tied = self.comparable_scales(recognized, tied)?;
        // The set's own where it is among them, else the best.
        let choices = [level.contains(&0).then_some(0), Some(best)];
        let left = choices.into_iter().flatten().find(|it| tied.contains(it));
        let first = left.or_else(|| tied.first().copied()).unwrap_or(best);
        tied.retain(|scale| *scale != first);
        tied.insert(0, first);
        Ok(tied)
    }

    /// Returns the tied scales under which a reading's loss at the newest checkpoint is not far above the others': on a
    /// few samples that were learned by heart all may be low.
    fn comparable_scales(
        &self,
        recognized: &Recognized,
        tied: Vec<usize>,
    ) -> Result<Vec<usize>, LandscapeError> {
        let Some(newest) = self.question.newest().filter(|_| tied.len() > 1) else {
            return Ok(tied);
        };
        let flat = self.question.flat(newest)?;
        let data = self.more(tied.len());
        let loss = |scale: &usize| self.loss(recognized, *scale, &data, &flat);
        let losses: Vec<f64> = tied.iter().map(loss).collect::<Result<_, _>>()?;
        let near = verdict::near(&losses, AGAINST_UPDATES);
        Ok(near.into_iter().map(|i| tied[i]).collect())
    }
}
