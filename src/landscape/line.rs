//! The barrier along a straight line through weight space (docs/math.md 5).

/// The hill between the two ends of a line.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Barrier {
    /// Place of its highest point, in \[0, 1\].
    pub alpha: f64,
    /// Its height: the most by which L(α) is above (1 − α)·L(0) + α·L(1), never below 0; NaN if a loss on the
    /// way is (Frankle et al. 2020, "Linear Mode Connectivity").
    pub height: f64,
}

/// Returns the barrier between the ends at α = 0 and α = 1, whose losses are `ends`. Points outside \[0, 1\]
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
        // NaN stays: a hill that cannot be measured is not a low one.
        if height > highest.height || (height.is_nan() && !highest.height.is_nan()) {
            Barrier { alpha, height }
        } else {
            highest
        }
    })
}

/// Losses that a refinement measures: they narrow two steps of the grid to a fifteenth.
const REFINEMENTS: usize = 7;
/// The smaller part of a golden section.
const GOLDEN: f64 = 0.381_966_011_250_105;

/// Returns the barrier, refined beyond the grid: golden sections between the neighbours of its highest point.
///
/// # Errors
/// Those of `measure`, the loss at α.
pub fn refined_barrier<E>(
    alpha: &[f64],
    loss: &[f64],
    ends: [f64; 2],
    mut measure: impl FnMut(f64) -> Result<f64, E>,
) -> Result<Barrier, E> {
    let mut highest = barrier(alpha, loss, ends);
    // NaN and no hill at all have nothing to refine.
    if highest.height.is_nan() || highest.height <= 0.0 {
        return Ok(highest);
    }
    let known = alpha.iter().copied().filter(|at| (0.0..=1.0).contains(at));
    let (mut low, mut high) = known.fold((0.0f64, 1.0f64), |(low, high), at| {
        if at < highest.alpha {
            (low.max(at), high)
        } else if at > highest.alpha {
            (low, high.min(at))
        } else {
            (low, high)
        }
    });
    for _ in 0..REFINEMENTS {
        let [below, above] = [highest.alpha - low, high - highest.alpha];
        let at = if below > above {
            highest.alpha - GOLDEN * below
        } else {
            highest.alpha + GOLDEN * above
        };
        let found = barrier(&[at], &[measure(at)?], ends);
        if found.height.is_nan() {
            return Ok(found);
        }
        let [old, new] = if found.height > highest.height {
            [highest.alpha, at]
        } else {
            [at, highest.alpha]
        };
        if old < new {
            low = old;
        } else {
            high = old;
        }
        if new == at {
            highest = found;
        }
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn the_height_of_a_hill_between_grid_points_is_found_with_a_few_losses() {
        // L(α) = 1 + α + h·(1 − ((α − c)/w)²): a hill of height h over the straight line from 1 to 2.
        let hill = |c: f64, w: f64| move |a: f64| 1.0 + a + 0.5 * (1.0 - ((a - c) / w).powi(2));
        let alpha: Vec<f64> = (0..51).map(|i| -0.5 + 0.04 * f64::from(i)).collect();
        for (c, w) in [(0.038, 0.038), (0.45, 0.3), (0.479, 0.04), (0.97, 0.03)] {
            let height = hill(c, w);
            let loss: Vec<f64> = alpha.iter().map(|a| height(*a)).collect();
            let mut measured = 0;
            let Ok(found) = refined_barrier(&alpha, &loss, [1.0, 2.0], |a| {
                measured += 1;
                assert!((0.0..=1.0).contains(&a));
                Ok::<_, Infallible>(height(a))
            });
            assert!((found.height - 0.5).abs() < 0.005, "{c} {w}: {found:?}");
            assert!((found.alpha - c).abs() < 0.005, "{c} {w}: {found:?}");
            assert!(measured < 9, "{measured}");
        }
    }

    #[test]
    fn a_valley_is_not_refined_and_a_hole_beside_the_summit_is_not_passed_over() {
        let refine = |loss: &[f64], at: f64| {
            refined_barrier(&[0.0, 0.5, 1.0], loss, [1.0, 1.0], |_| Ok::<_, ()>(at))
        };
        let never = refined_barrier(&[0.0, 0.5, 1.0], &[1.0, 0.5, 1.0], [1.0, 1.0], |_| Err(()));
        assert_eq!(never.map(|found| found.height), Ok(0.0));
        let hole = refine(&[1.0, 2.0, 1.0], f64::NAN);
        assert!(hole.is_ok_and(|found| found.height.is_nan()));
        let grid = refine(&[1.0, 2.0, 1.0], 1.5).map(|found| (found.alpha, found.height));
        assert_eq!(grid, Ok((0.5, 1.0)));
    }

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
