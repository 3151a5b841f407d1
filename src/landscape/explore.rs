//! Measures a grid level by level, until every point is measured or the picture is good enough.

use super::LandscapeError;
use super::surface::{Measure, Surface};
use super::survey;

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// Every grid point is measured.
    Exact,
    /// The mean surprise of a level, as a share of the range of log-loss, is at most this. What a
    /// level did not expect is the error of the picture before it, so the one with it is better.
    Tolerance(f64),
}

/// Measures an empty surface, nearest to the path first; `measure` is called once a point.
///
/// # Errors
/// Those of `measure`; what was measured before stays.
pub fn explore(
    surface: &mut Surface,
    path: &[[f64; 2]],
    until: Until,
    mut measure: impl FnMut([f64; 2]) -> Result<Measure, LandscapeError>,
) -> Result<(), LandscapeError> {
    for level in 0..survey::levels(surface.x().len(), surface.y().len()) {
        for (i, j) in survey::additions(surface.x(), surface.y(), level, path) {
            let value = measure([surface.x()[i], surface.y()[j]])?;
            surface.record(i, j, value);
        }
        match until {
            Until::Tolerance(tolerance) if level > 0 && error(surface, level) <= tolerance => break,
            Until::Tolerance(_) | Until::Exact => {}
        }
    }
    Ok(())
}

/// Mean surprise of a level; infinite where nothing could be compared.
fn error(surface: &Surface, level: usize) -> f64 {
    let surprises = surface.surprises(level);
    if surprises.is_empty() {
        return f64::INFINITY;
    }
    surprises.iter().sum::<f64>() / surprises.len() as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::landscape::survey::spread;

    fn run(until: Until, loss: impl Fn(f64, f64) -> f64) -> Surface {
        let lines = spread(-1.0, 1.0, 33);
        let mut surface = Surface::new(lines.clone(), lines);
        let measure = |[x, y]: [f64; 2]| {
            Ok(Measure {
                loss: loss(x, y),
                accuracy: 0.0,
            })
        };
        explore(&mut surface, &[], until, measure).unwrap();
        surface
    }

    #[test]
    fn exact_measures_every_point() {
        assert_eq!(run(Until::Exact, |x, y| x * x + y * y).measured(), 33 * 33);
    }

    #[test]
    fn a_smooth_bowl_needs_few_points_and_a_spiky_one_all() {
        let smooth = run(Until::Tolerance(0.01), |x, y| (x + 0.3 * y * y).exp());
        assert!(smooth.measured() <= 17 * 17);
        let spiky = run(Until::Tolerance(0.01), |x, y| {
            1.0 + ((x * 997.0).sin() * (y * 613.0).cos()).abs()
        });
        assert_eq!(spiky.measured(), 33 * 33);
    }
}
