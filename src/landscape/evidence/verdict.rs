//! What cosines and losses of several readings say: pure arithmetic.

/// A reading is ahead of another where its values are larger by more than this and by two standard errors.
const MARGIN: f64 = 0.005;
/// Standard errors that are more than chance.
const ERRORS: f64 = 2.0;
/// Below this the path says nothing of a reading.
pub(super) const SILENT: f64 = 0.02;
/// Updates from which on a path that follows no gradient is told as a warning.
pub(super) const ENOUGH: usize = 6;
/// Updates that a mean cosine is believed of.
pub(super) const FEWEST: usize = 3;
/// A loss is lower by far that is below this share of another.
const FAR_LOWER: f64 = 2.0 / 3.0;
/// Behind by such a share of the best after the first updates, a reading is not asked any further.
const HOPELESS: f64 = 0.25;
/// A loss so many times as high as another's is not that of the function that was minimized.
const FAR_HIGHER: f64 = 1.5;

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

    /// True where the mean is above 0 by so many standard errors.
    pub(super) fn is_above(self, errors: f64) -> bool {
        self.value > errors * self.error
    }

    /// True where the mean is below 0 by more than chance.
    pub(super) fn is_negative(self) -> bool {
        Self {
            value: -self.value,
            ..self
        }
        .is_above(ERRORS)
    }

    /// True where the mean is above 0 by more than chance.
    pub(super) fn is_positive(self) -> bool {
        self.is_above(ERRORS)
    }
}

/// What one reading gave at each interval of the path, NaN where it was not asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scores(pub(super) Vec<f64>);

impl Scores {
    pub(super) fn mean(&self) -> Mean {
        Mean::of(self.0.iter().copied())
    }

    /// Its lead over another, interval by interval.
    fn lead(&self, other: &Self) -> Mean {
        Mean::of(self.0.iter().zip(&other.0).map(|(a, b)| a - b))
    }

    fn is_ahead(&self, other: &Self, margin: f64) -> bool {
        let lead = self.lead(other);
        lead.count >= 2 && lead.value > margin && lead.is_positive()
    }
}

/// The one with the largest mean; none where nothing is finite.
pub(super) fn best(all: &[Scores]) -> Option<usize> {
    let most = all.iter().map(|scores| scores.mean().count).max()?;
    let means = all.iter().map(Scores::mean).enumerate();
    means
        .filter(|(_, mean)| mean.count == most && mean.value.is_finite())
        .max_by(|a, b| a.1.value.total_cmp(&b.1.value))
        .map(|(best, _)| best)
}

/// Those that are not behind the best by more than chance and the margin, with the best itself.
pub(super) fn tied(all: &[Scores], best: usize) -> Vec<usize> {
    let is_level = |i: &usize| {
        *i == best || {
            let comparable = all[*i].mean().count == all[best].mean().count;
            comparable && !all[best].is_ahead(&all[*i], MARGIN)
        }
    };
    (0..all.len()).filter(is_level).collect()
}

/// Those that are worth asking on after the first intervals.
pub(super) fn hopeful(all: &[Scores]) -> Vec<usize> {
    let Some(best) = best(all) else {
        return (0..all.len()).collect();
    };
    let margin = (HOPELESS * all[best].mean().value).max(2.0 * MARGIN);
    let hopeless = |i: &usize| all[best].is_ahead(&all[*i], margin);
    (0..all.len()).filter(|i| !hopeless(i)).collect()
}

/// Those of the losses that are not far above the lowest.
pub(super) fn comparable(losses: &[f64]) -> Vec<usize> {
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let near = |i: &usize| losses[*i] <= FAR_HIGHER * lowest;
    (0..losses.len()).filter(near).collect()
}

/// The reading whose loss is lower by far than that of every other that is not like it.
pub(super) fn lowest_by_far(losses: &[f64]) -> Option<usize> {
    let finite = losses
        .iter()
        .enumerate()
        .filter(|(_, loss)| loss.is_finite());
    let (lowest, loss) = finite.min_by(|a, b| a.1.total_cmp(b.1))?;
    let others = losses.iter().enumerate().filter(|(i, _)| *i != lowest);
    let mut others = others.peekable();
    others.peek()?;
    // What is not a number is no rival.
    others
        .all(|(_, other)| other.is_nan() || *loss < FAR_LOWER * other)
        .then_some(lowest)
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
        assert_eq!(tied(&all, 1), [1, 2, 3]);
    }

    #[test]
    fn those_far_behind_are_not_asked_on_and_not_tied() {
        let all = [
            scores(&[0.3, 0.31, 0.29, 0.3, 0.2, 0.21]),
            scores(&[0.1, 0.12, 0.09, 0.1, f64::NAN, f64::NAN]),
        ];
        assert_eq!(hopeful(&all), [0]);
        assert_eq!(tied(&all, 0), [0]);
        assert_eq!(best(&[scores(&[f64::NAN])]), None);
    }

    #[test]
    fn a_mean_is_positive_by_two_standard_errors() {
        assert!(scores(&[0.1, 0.12, 0.11]).mean().is_positive());
        assert!(!scores(&[0.1, -0.12, 0.11]).mean().is_positive());
        assert!(!scores(&[0.1]).mean().is_positive());
        assert!(scores(&[-0.1, -0.12, -0.11]).mean().is_negative());
        assert!(!scores(&[0.1, -0.12, 0.11]).mean().is_negative());
    }

    #[test]
    fn a_loss_that_is_half_as_high_again_breaks_a_tie() {
        assert_eq!(comparable(&[0.20, 0.31, 0.29, f64::NAN]), [0, 2]);
        assert_eq!(comparable(&[f64::NAN; 2]), [0usize; 0]);
    }

    #[test]
    fn a_loss_decides_where_it_is_lower_by_a_third() {
        assert_eq!(lowest_by_far(&[0.9, 0.5, 0.8]), Some(1));
        assert_eq!(lowest_by_far(&[0.9, 0.5, 0.6]), None);
        assert_eq!(lowest_by_far(&[f64::NAN, 0.5]), Some(1));
        assert_eq!(lowest_by_far(&[0.5]), None);
    }
}
