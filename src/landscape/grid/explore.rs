//! Measures a grid until every point is measured or the picture is good enough.

use crate::landscape::grid::refine::Estimate;
use crate::landscape::grid::surface::{Measure, Surface};
use crate::landscape::grid::survey;

/// Condition for stopping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// Every grid point is measured.
    Exact,
    /// The expected error is within the surface's tolerance everywhere.
    Good,
}

/// Points that are measured before the rest is judged anew.
pub const BATCH: usize = 16;
/// Levels that are measured whole: 9×9 points. Without them there is no surplus to judge by.
pub const WHOLE: usize = 2;

/// Measures an empty surface, nearest to the path first, then where the error is largest; `measure` is called with
/// points (α, β) that may be measured in any order, once each, and returns their values in the points' order.
///
/// # Errors
/// Those of `measure`; what was measured before stays.
pub fn explore<E>(
    surface: &mut Surface,
    path: &[[f64; 2]],
    until: Until,
    mut measure: impl FnMut(&[[f64; 2]]) -> Result<Vec<Measure>, E>,
) -> Result<(), E> {
    let levels = survey::levels(surface.sides());
    let whole = match until {
        Until::Exact => levels,
        Until::Good => levels.min(WHOLE),
    };
    let additions = |surface: &Surface, level| surface.additions(level, path);
    let points = (0..whole).flat_map(|level| additions(surface, level));
    let points = points.collect();
    fill(surface, points, &mut measure)?;
    loop {
        let mut wanted = Estimate::of(surface).wanted();
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.truncate(BATCH);
        fill(surface, wanted, &mut measure)?;
    }
}

/// Measures points (column, row) of a surface.
pub(in crate::landscape) fn fill<E>(
    surface: &mut Surface,
    points: Vec<(usize, usize)>,
    measure: &mut impl FnMut(&[[f64; 2]]) -> Result<Vec<Measure>, E>,
) -> Result<(), E> {
    let place = |&(i, j): &(usize, usize)| [surface.x()[i], surface.y()[j]];
    let places: Vec<[f64; 2]> = points.iter().map(place).collect();
    for ((i, j), value) in points.into_iter().zip(measure(&places)?) {
        surface.record(i, j, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::landscape::grid::survey::spread;
    use std::convert::Infallible;

    fn run(until: Until, lines: usize, loss: impl Fn(f64, f64) -> f64) -> Surface {
        let lines = spread(-1.0, 1.0, lines);
        let mut surface = Surface::new(lines.clone(), lines);
        let measure = |[x, y]: &[f64; 2]| Measure {
            loss: loss(*x, *y),
            score: 0.0,
        };
        let all = |points: &[[f64; 2]]| Ok::<_, Infallible>(points.iter().map(measure).collect());
        explore(&mut surface, &[], until, all).unwrap();
        surface
    }

    /// Returns the mean and 99th percentile of the error of every grid point, as shares of the range of log-loss.
    fn errors(surface: &Surface, loss: impl Fn(f64, f64) -> f64) -> [f64; 2] {
        let z = |loss: f64| crate::landscape::grid::surface::log_loss(loss);
        let (x, y) = (surface.x(), surface.y());
        let found = surface.sample(x, y);
        let truth = y.iter().flat_map(|&y| x.iter().map(move |&x| (x, y)));
        let truth: Vec<f64> = truth.map(|(x, y)| z(loss(x, y))).collect();
        let range = truth.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            - truth.iter().copied().fold(f64::INFINITY, f64::min);
        let mut errors: Vec<f64> = (found.loss.iter().zip(&truth))
            .map(|(found, truth)| (z(*found) - truth).abs() / range)
            .collect();
        errors.sort_by(f64::total_cmp);
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        [mean, errors[errors.len() * 99 / 100]]
    }

    #[test]
    fn exact_measures_every_point() {
        let surface = run(Until::Exact, 33, |x, y| x * x + y * y);
        assert_eq!(surface.measured(), 33 * 33);
    }

    #[test]
    fn a_smooth_bowl_rests_with_nine_by_nine_points() {
        let bowl = |x: f64, y: f64| (x + 0.3 * y * y).exp();
        let surface = run(Until::Good, 51, bowl);
        assert_eq!(surface.measured(), 81);
        let [mean, worst] = errors(&surface, bowl);
        assert!(mean < 0.002 && worst < 0.01, "{mean} {worst}");
    }

    #[test]
    fn a_spiky_surface_is_measured_whole() {
        let spiky = |x: f64, y: f64| 1.0 + ((x * 997.0).sin() * (y * 613.0).cos()).abs();
        let surface = run(Until::Good, 51, spiky);
        assert_eq!(surface.measured(), 51 * 51);
    }

    #[test]
    fn a_ridge_is_followed_and_the_plain_beside_it_is_left_alone() {
        let ridge = |x: f64, y: f64| 1.0 + 5.0 * (-((x + 0.3 * y - 0.123) / 0.08).powi(2)).exp();
        let surface = run(Until::Good, 51, ridge);
        assert!(surface.measured() < 51 * 51 / 2, "{}", surface.measured());
        let [mean, worst] = errors(&surface, ridge);
        assert!(mean < 0.005 && worst < 0.03, "{mean} {worst}");
    }

    #[test]
    fn the_border_of_a_hole_is_followed_to_the_finest_level() {
        let hole = |x: f64, y: f64| {
            if x + y > 0.77 { f64::NAN } else { 1.0 + x * x }
        };
        let surface = run(Until::Good, 51, hole);
        assert!(surface.measured() < 51 * 51 / 2, "{}", surface.measured());
        let (x, y) = (surface.x(), surface.y());
        let found = surface.sample(x, y);
        for (at, loss) in found.loss.iter().enumerate() {
            let expected = hole(x[at % 51], y[at / 51]);
            assert_eq!(loss.is_nan(), expected.is_nan(), "{at}");
        }
    }

    #[test]
    fn a_flat_surface_rests_at_once() {
        assert_eq!(run(Until::Good, 51, |_, _| 2.3).measured(), 81);
    }
}
