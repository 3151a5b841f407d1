//! Loss and accuracy along a straight line through weight space (math.md 5), and its barrier.

use super::LandscapeError;
use super::objective::{Objective, ResidentPlane};
use super::surface::Measure;

/// The hill between the two ends of a line.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Barrier {
    /// Where it is highest, in \[0, 1\].
    pub alpha: f64,
    /// Its height: the most by which L(α) is above (1 − α)·L(0) + α·L(1), never below 0; not a number
    /// where a loss on the way is not (Frankle et al. 2020, "Linear Mode Connectivity").
    pub height: f64,
}

/// Loss and accuracy along one axis (0: dx, 1: dy) of a plane, at the origin's other coordinate 0.
///
/// # Errors
/// Those of the objective; `each` is called after every point.
pub fn walk(
    objective: &Objective,
    plane: &ResidentPlane,
    axis: usize,
    alpha: &[f64],
    each: impl Fn(),
) -> Result<Vec<Measure>, LandscapeError> {
    let at = |&alpha: &f64| {
        if axis == 0 {
            [alpha, 0.0]
        } else {
            [0.0, alpha]
        }
    };
    let measure = |alpha: &f64| objective.on(plane, at(alpha)).inspect(|_| each());
    alpha.iter().map(measure).collect()
}

/// The barrier between the ends at α = 0 and α = 1, whose losses are `ends`. Points outside \[0, 1\]
/// do not count.
#[must_use]
pub fn barrier(alpha: &[f64], loss: &[f64], ends: [f64; 2]) -> Barrier {
    let level = Barrier {
        alpha: 0.0,
        height: 0.0,
    };
    let between = alpha
        .iter()
        .zip(loss)
        .filter(|(alpha, _)| (0.0..=1.0).contains(*alpha));
    between.fold(level, |highest, (&alpha, &loss)| {
        let height = loss - ((1.0 - alpha) * ends[0] + alpha * ends[1]);
        // What is not a number stays: a hill that cannot be measured is not a low one.
        if height > highest.height || (height.is_nan() && !highest.height.is_nan()) {
            Barrier { alpha, height }
        } else {
            highest
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_barrier_is_what_lies_above_the_straight_line_between_the_ends() {
        let alpha = [-0.5, 0.0, 0.25, 0.5, 1.0, 1.5];
        let found = barrier(&alpha, &[9.0, 1.0, 3.0, 3.5, 2.0, 9.0], [1.0, 2.0]);
        assert_eq!(
            found,
            Barrier {
                alpha: 0.5,
                height: 2.0
            }
        );
        let valley = barrier(&alpha, &[9.0, 1.0, 0.5, 0.5, 2.0, 9.0], [1.0, 2.0]);
        assert_eq!(
            valley,
            Barrier {
                alpha: 0.0,
                height: 0.0
            }
        );
    }

    #[test]
    fn a_hole_on_the_way_is_no_low_barrier_and_one_outside_is_none() {
        let holes = |loss: &[f64]| barrier(&[0.0, 0.5, 0.75, 1.0, 1.5], loss, [1.0, 1.0]).height;
        assert!(holes(&[1.0, f64::NAN, 7.0, 1.0, 1.0]).is_nan());
        assert_eq!(holes(&[1.0, 2.0, 1.0, 1.0, f64::NAN]), 1.0);
    }
}
