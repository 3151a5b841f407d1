//! Judgement of the cosines and losses of several readings: pure arithmetic.

use super::Alternative;

/// Least lead of a mean cosine by which a reading is ahead of another.
const MARGIN: f64 = 0.005;
/// The same among like activations, as a share of the best cosine, because optimizers that scale each weight's step bend
/// their cosines by so much.
const KIN_MARGIN: f64 = 0.2;
/// Standard errors that are more than chance.
const CERTAIN: f64 = 2.0;
/// Cosine below which the path says nothing of a reading.
const LEAST_COSINE: f64 = 0.03;
/// Cosine from which a finding is not one of the chance findings among many readings.
const CLEAR_COSINE: f64 = 0.15;
/// Number of updates from which a path that follows no gradient tells more than that its updates are few.
pub(super) const ENOUGH_UPDATES: usize = 6;
/// Least number of updates whose mean cosine is believed.
pub(super) const FEWEST_UPDATES: usize = 3;
/// Lead of the best after the first updates, as a share of its cosine, from which a reading is not asked any further.
const HOPELESS_MARGIN: f64 = 0.25;
/// Multiple of the lowest loss from which a loss speaks against a reading whose gradient the updates follow. It is large,
/// because a wrong reading often has a lower loss.
pub(super) const AGAINST_UPDATES: f64 = 3.0;
/// Ratio to another's loss from which a loss is not that of the function that was minimized.
pub(super) const FAR_HIGHER: f64 = 1.5;
/// Largest ratio by which training noise makes the loss of a wrong reading lower than the right one's.
pub(super) const LEVEL: f64 = 1.15;

/// Mean and its standard error, of those that are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mean {
    pub(super) value: f64,
    pub(super) error: f64,
    pub(super) count: usize,
}

impl Mean {
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = if count > 1 {
            (squares / (count * (count - 1)) as f64).sqrt()
        } else {
            f64::INFINITY
        };
        Self {
            value: mean,
            error,
            count,
        }
    }

    /// Returns true if the mean is above 0 by `errors` standard errors, and more if there are few values.
    fn is_above(self, errors: f64) -> bool {
        let freedom = self.count.saturating_sub(1).max(1) as f64;
        let errors = errors + (errors.powi(3) + errors) / (4.0 * freedom);
        self.value > errors * self.error
    }

    /// Returns true if the path speaks against the only reading that there is: on a path that follows it, optimizers and
    /// few samples leave little of the gradient, but something.
    pub(super) fn is_against(self) -> bool {
        self.value.is_nan() || self.value <= self.error
    }

    /// Returns true where the mean is below 0 by more than chance.
    pub(super) fn is_negative(self) -> bool {
        Self {
            value: -self.value,
            ..self
        }
        .is_above(CERTAIN)
    }

    /// Returns true for a mean that no chance finding has.
    pub(super) fn is_clear(self) -> bool {
        self.value > CLEAR_COSINE && self.value > CERTAIN * self.error
    }

    /// Returns true if this is more than the best of `readings` readings that say nothing gives by chance.
    pub(super) fn is_followed(self, readings: usize) -> bool {
        let errors = (CERTAIN.powi(2) + 2.0 * (readings.max(1) as f64).ln()).sqrt();
        self.count >= FEWEST_UPDATES
            && self.value > LEAST_COSINE
            && (self.is_clear() || self.is_above(errors))
    }
}

/// Values of one reading at each interval of the path, NaN if it was not asked there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scores(pub(super) Vec<f64>);

impl Scores {
    pub(super) fn mean(&self) -> Mean {
        Mean::of(self.0.iter().copied())
    }

    /// Returns its lead over another, interval by interval.
    fn lead(&self, other: &Self) -> Mean {
        Mean::of(self.0.iter().zip(&other.0).map(|(a, b)| a - b))
    }

    fn is_ahead(&self, other: &Self, margin: f64) -> bool {
        let lead = self.lead(other);
        lead.count >= 2 && lead.value > margin && lead.is_above(CERTAIN)
    }
}

/// Returns the one with the largest mean; `None` if nothing is finite.
pub(super) fn best(all: &[Scores]) -> Option<usize> {
    let most = all.iter().map(|scores| scores.mean().count).max()?;
    let means = all.iter().map(Scores::mean).enumerate();
    means
        .filter(|(_, mean)| mean.count == most && mean.value.is_finite())
        .max_by(|a, b| a.1.value.total_cmp(&b.1.value))
        .map(|(best, _)| best)
}

/// Returns those that are not behind the best by more than chance and the margin, with the best itself; kin of
/// it differ by a wider one.
pub(super) fn tied(all: &[Scores], best: usize, is_kin: impl Fn(usize) -> bool) -> Vec<usize> {
    let wide = (KIN_MARGIN * all[best].mean().value).max(MARGIN);
    let is_level = |i: &usize| {
        *i == best || {
            let comparable = all[*i].mean().count == all[best].mean().count;
            let margin = if is_kin(*i) { wide } else { MARGIN };
            comparable && !all[best].is_ahead(&all[*i], margin)
        }
    };
    (0..all.len()).filter(is_level).collect()
}

/// Returns those that are worth asking on after the first intervals. Kin of the best always is: a few intervals
/// say little about members of one family.
pub(super) fn hopeful(all: &[Scores], is_kin: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let Some(best) = best(all) else {
        return (0..all.len()).collect();
    };
    let margin = (HOPELESS_MARGIN * all[best].mean().value).max(2.0 * MARGIN);
    // What is so far behind needs no more certainty than that.
    let hopeless = |i: &usize| {
        let lead = all[best].lead(&all[*i]);
        lead.count >= 2 && lead.value > margin.max(CERTAIN * lead.error)
    };
    (0..all.len())
        .filter(|i| is_kin(best, *i) || !hopeless(i))
        .collect()
}

/// Picks those with the lowest and the highest loss where these lie beyond `own`, the farther one by its ratio first. A
/// loss that is NaN or infinite lies beyond any.
pub(super) fn outermost(own: f64, mut all: Vec<Alternative>) -> Vec<Alternative> {
    all.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    let highest = all.pop_if(|other| other.loss.total_cmp(&own).is_gt());
    let lowest = all.into_iter().next().filter(|other| other.loss < own);
    let mut ends: Vec<Alternative> = highest.into_iter().chain(lowest).collect();
    let distance = |other: &Alternative| {
        let ratio = (other.loss / own).ln().abs();
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    };
    ends.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    ends
}

/// Returns the losses that are at most `factor` times the lowest.
pub(super) fn near(losses: &[f64], factor: f64) -> Vec<usize> {
    let lowest = lowest(losses);
    let near = |i: &usize| losses[*i] <= factor * lowest;
    (0..losses.len()).filter(near).collect()
}

/// Returns the lowest of the losses; infinite where none is a number.
pub(super) fn lowest(losses: &[f64]) -> f64 {
    losses.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[f64]) -> Scores {
        Scores(values.to_vec())
    }

    #[test]
    fn a_lead_counts_above_chance_and_margin() {
        let truth = scores(&[0.30, 0.34, 0.28, 0.31]);
        let near = scores(&[0.297, 0.337, 0.277, 0.307]);
        let level = scores(&[0.35, 0.25, 0.33, 0.26]);
        let behind = scores(&[0.20, 0.22, 0.19, 0.24]);
        let all = [behind, truth, near, level];
        assert_eq!(best(&all), Some(1));
        // 0.003 behind throughout is below the margin; the last one only by chance.
        assert_eq!(tied(&all, 1, |_| false), [1, 2, 3]);
    }

    #[test]
    fn those_far_behind_are_not_asked_on_and_not_tied() {
        let all = [
            scores(&[0.3, 0.31, 0.29, 0.3, 0.2, 0.21]),
            scores(&[0.1, 0.12, 0.09, 0.1, f64::NAN, f64::NAN]),
        ];
        assert_eq!(hopeful(&all, |_, _| false), [0]);
        assert_eq!(tied(&all, 0, |_| false), [0]);
        assert_eq!(best(&[scores(&[f64::NAN])]), None);
    }

    #[test]
    fn a_path_is_followed_above_the_chance_of_the_best_of_many() {
        let weak = scores(&[0.05, 0.03, 0.06, 0.02, 0.06, 0.01, 0.05, 0.04]).mean();
        assert!(weak.is_followed(1));
        let noise = scores(&[0.09, 0.0, 0.08, -0.01, 0.07, 0.02, 0.06, 0.01]).mean();
        assert!(noise.is_followed(1) && !noise.is_followed(40), "{noise:?}");
        assert!(scores(&[0.3, 0.34, 0.28]).mean().is_followed(40));
        assert!(scores(&[0.5, 0.3, 0.15]).mean().is_followed(40), "loud");
        assert!(!scores(&[0.02; 8]).mean().is_followed(1), "silent");
        assert!(!scores(&[0.3, 0.34]).mean().is_followed(1), "too few");
        assert!(scores(&[-0.1, -0.12, -0.11]).mean().is_negative());
        assert!(!scores(&[0.1, -0.12, 0.11]).mean().is_negative());
    }

    #[test]
    fn the_only_reading_is_doubted_where_nothing_of_its_gradient_is_left() {
        let mean = |value, error| Mean {
            value,
            error,
            count: 8,
        };
        assert!(!mean(0.066, 0.031).is_against());
        assert!(mean(0.02, 0.03).is_against());
        assert!(mean(-0.2, 0.03).is_against());
        assert!(mean(f64::NAN, f64::INFINITY).is_against());
    }

    #[test]
    fn kin_of_the_best_is_tied_within_a_fifth() {
        let all = [scores(&[0.57, 0.58, 0.56, 0.57]), scores(&[0.68; 4])];
        assert_eq!(tied(&all, 1, |_| false), [1]);
        assert_eq!(tied(&all, 1, |_| true), [0, 1]);
    }

    #[test]
    fn losses_are_near_the_lowest_within_a_factor() {
        assert_eq!(near(&[0.20, 0.31, 0.29, f64::NAN], FAR_HIGHER), [0, 2]);
        assert_eq!(near(&[0.20, 0.31, 0.29], LEVEL), [0]);
        assert_eq!(near(&[f64::NAN; 2], FAR_HIGHER), [0usize; 0]);
    }
}
