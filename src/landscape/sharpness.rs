//! Critical step along a real update, and the sharpness that it means: how far a step could have gone.

use serde::{Deserialize, Serialize};

/// The critical step along an update u = θ_b − θ_a.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticalStep {
    /// The smallest s > 0 found with L(θ_a + s·u) > L(θ_a), in lengths of the update that was made: above 1 the
    /// run could have gone further, below 1 it went uphill. Infinite if no such s was found, the shortest step
    /// tried if even that rose, NaN if L(θ_a) is.
    pub step: f64,
    /// Losses that were measured.
    pub evaluations: usize,
}

/// A critical step that is only bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Beyond {
    /// Even the shortest step rose.
    Below,
    /// Even the longest step did not.
    Above,
}

impl CriticalStep {
    /// Returns 2/s: along a parabola this is the curvature over the slope, u·Hu / |g·u|, the sharpness that
    /// would make a step of this length one too far (the bound λ < 2/η of gradient descent, along u).
    #[must_use]
    pub fn sharpness(&self) -> f64 {
        2.0 / self.step
    }

    /// Returns on which side of the steps that were tried the critical one lies, when it is not among them.
    #[must_use]
    pub fn beyond(&self) -> Option<Beyond> {
        // A step that was bracketed is longer than the shortest one.
        if self.step <= REACH[0] {
            Some(Beyond::Below)
        } else {
            self.step.is_infinite().then_some(Beyond::Above)
        }
    }
}

/// Steps are doubled or halved at most so often.
const OCTAVES: usize = 4;
/// The shortest and the longest step tried, in lengths of the update.
pub const REACH: [f64; 2] = [0.0625, 16.0];
/// Then the interval is halved so often, in the logarithm: an eighth of an octave is left, 9 %.
const HALVINGS: usize = 3;

/// Searches the critical step of L, given L(0): octave by octave from the step that was made, then by
/// halving. Fewer than ten losses are measured.
///
/// # Errors
/// Those of `loss`.
pub fn critical_step<E>(
    start: f64,
    mut loss: impl FnMut(f64) -> Result<f64, E>,
) -> Result<CriticalStep, E> {
    let mut evaluations = 0;
    let mut rises = |step: f64| {
        evaluations += 1;
        // A loss that is NaN is no descent.
        loss(step).map(|loss| loss > start || loss.is_nan())
    };
    if start.is_nan() {
        return Ok(CriticalStep {
            step: f64::NAN,
            evaluations: 0,
        });
    }
    // Up where the step that was made went down, else down.
    let uphill = rises(1.0)?;
    let octave = if uphill { 0.5f64 } else { 2.0 };
    let mut edge = 1.0;
    let mut bracketed = false;
    for _ in 0..OCTAVES {
        edge *= octave;
        if rises(edge)? != uphill {
            bracketed = true;
            break;
        }
    }
    if !bracketed {
        let step = if uphill { edge } else { f64::INFINITY };
        return Ok(CriticalStep { step, evaluations });
    }
    let ends = [edge.log2(), (edge / octave).log2()];
    let [mut low, mut high] = [ends[0].min(ends[1]), ends[0].max(ends[1])];
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if rises(middle.exp2())? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(CriticalStep {
        step: f64::midpoint(low, high).exp2(),
        evaluations,
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Checks that L(s) = 1 − g·s + h·s²/2 rises above L(0) at s = 2g/h.
    fn parabola(critical: f64) -> CriticalStep {
        let Ok(found) = critical_step(1.0, |s| Ok::<_, Infallible>(1.0 - s + s * s / critical));
        found
    }

    #[test]
    fn the_critical_step_of_a_parabola_is_found_to_five_percent_with_less_than_ten_losses() {
        for critical in [0.08, 0.3, 0.9, 1.1, 1.9, 5.0, 14.0] {
            let found = parabola(critical);
            assert!(
                (found.step / critical).ln().abs() < 0.05,
                "{critical}: {found:?}"
            );
            assert!(found.evaluations < 10, "{critical}: {found:?}");
            assert_eq!(found.sharpness(), 2.0 / found.step);
        }
    }

    #[test]
    fn a_slope_without_end_has_no_critical_step_and_a_wall_the_smallest() {
        assert_eq!(parabola(1e9).step, f64::INFINITY);
        assert_eq!(parabola(1e9).sharpness(), 0.0);
        assert_eq!(parabola(1e-9).step, REACH[0]);
        let sides = [1e9, 1e-9, 0.0626, 15.9].map(|critical| parabola(critical).beyond());
        assert_eq!(
            sides,
            [Some(Beyond::Above), Some(Beyond::Below), None, None]
        );
    }

    #[test]
    fn what_is_not_a_number_is_uphill_and_from_it_nothing_is_known() {
        let Ok(cliff) = critical_step(1.0, |s| {
            Ok::<_, Infallible>(if s > 3.0 { f64::NAN } else { 0.5 })
        });
        assert!((cliff.step / 3.0).ln().abs() < 0.05, "{cliff:?}");
        let Ok(lost) = critical_step(f64::NAN, |_| Ok::<_, Infallible>(1.0));
        assert!(lost.step.is_nan() && lost.evaluations == 0);
    }
}
