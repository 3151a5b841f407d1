//! The loss on all samples, from few samples everywhere and all of them on a coarse grid.
//!
//! What more samples change is a difference of log-losses that varies slowly over the plane, where the loss itself does
//! not: so it is measured on few points and interpolated, and added to the loss on few samples (two-level
//! multi-fidelity, Kennedy and O'Hagan, Biometrika 87, 2000, with the scale fixed at one).

use super::LandscapeError;
use super::explore::WHOLE;
use super::interpolate::Nodes;
use super::refine::DECAY;
use super::surface::{Measure, Surface, from_log_loss, log_loss};
use super::survey;

/// The difference that all samples make to few of them, on a coarse grid.
#[derive(Clone, Debug)]
pub struct Complement {
    /// Of log-loss, at the points of the finest level that was measured.
    loss: Nodes,
    /// Of accuracy, there.
    accuracy: Nodes,
    /// What was measured on all samples: column, row, measure.
    measured: Vec<(usize, usize, Measure)>,
    /// Expected error of the difference between its points, a share of the range of log-loss.
    error: f64,
}

impl Complement {
    /// Measures all samples level by level where `few` was measured, until the difference is expected to be
    /// known within half of the tolerance of `few`, or 9×9 points stand. `measure` is called once a point.
    ///
    /// # Errors
    /// Those of `measure`.
    pub fn explore(
        few: &Surface,
        mut measure: impl FnMut([f64; 2]) -> Result<Measure, LandscapeError>,
    ) -> Result<Self, LandscapeError> {
        let mut all = Surface::new(few.x().to_vec(), few.y().to_vec());
        let mut level = 0;
        loop {
            for (i, j) in survey::additions(few.x(), few.y(), level, &[]) {
                all.record(i, j, measure([few.x()[i], few.y()[j]])?);
            }
            let found = Self::of(few, &all, level);
            level += 1;
            if found.error <= few.tolerance() / 2.0 || level == WHOLE {
                return Ok(found);
            }
        }
    }

    fn of(few: &Surface, all: &Surface, level: usize) -> Self {
        let lines = [few.x().len(), few.y().len()].map(|count| survey::lines(count, level));
        let difference = |value: &dyn Fn(Measure) -> f64| {
            difference(few, all, &lines, |few, all| value(all) - value(few))
        };
        let loss = difference(&|measure| log_loss(measure.loss));
        let [min, max] = few.range();
        let error = DECAY * surplus(&loss) / (max - min);
        let [columns, rows] = &lines;
        let points = rows
            .iter()
            .flat_map(|&j| columns.iter().map(move |&i| (i, j)));
        Self {
            accuracy: difference(&|measure| measure.accuracy),
            measured: points
                .filter_map(|(i, j)| Some((i, j, all.get(i, j)?)))
                .collect(),
            loss,
            error: if error.is_finite() { error } else { 0.0 },
        }
    }

    /// Expected error of the difference between its points, a share of the range of log-loss.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.error
    }

    /// At how many points all samples were measured.
    #[must_use]
    pub fn points(&self) -> usize {
        self.measured.len()
    }

    /// The surface that is expected on all samples: measured on the coarse grid, elsewhere what few say plus
    /// the interpolated difference.
    #[must_use]
    pub fn add_to(&self, few: &Surface) -> Surface {
        let [loss, accuracy] =
            [&self.loss, &self.accuracy].map(|nodes| nodes.at(few.x(), few.y()).z);
        let mut sum = few.clone();
        for j in 0..few.y().len() {
            for i in 0..few.x().len() {
                if let Some(measure) = few.get(i, j) {
                    let at = j * few.x().len() + i;
                    let all = Measure {
                        loss: from_log_loss(log_loss(measure.loss) + loss[at]).max(0.0),
                        accuracy: (measure.accuracy + accuracy[at]).clamp(0.0, 1.0),
                    };
                    sum.record(i, j, all);
                }
            }
        }
        for (i, j, measure) in &self.measured {
            sum.record(*i, *j, *measure);
        }
        sum
    }
}

/// What all samples change at the crossings of these lines. Beside a hole there is no difference to see:
/// there the mean one stands.
fn difference(
    few: &Surface,
    all: &Surface,
    [columns, rows]: &[Vec<usize>; 2],
    change: impl Fn(Measure, Measure) -> f64,
) -> Nodes {
    let at = |i: usize, j: usize| Some(change(few.get(i, j)?, all.get(i, j)?));
    let points = rows
        .iter()
        .flat_map(|&j| columns.iter().map(move |&i| (i, j)));
    let mut z: Vec<f64> = points.map(|(i, j)| at(i, j).unwrap_or(f64::NAN)).collect();
    let finite: Vec<f64> = z.iter().copied().filter(|z| z.is_finite()).collect();
    let mean = finite.iter().sum::<f64>() / finite.len().max(1) as f64;
    for z in z.iter_mut().filter(|z| !z.is_finite()) {
        *z = mean;
    }
    Nodes {
        x: columns.iter().map(|&i| few.x()[i]).collect(),
        y: rows.iter().map(|&j| few.y()[j]).collect(),
        z,
    }
}

/// By how much every other line of some nodes, interpolated, is off at the others, on average.
fn surplus(nodes: &Nodes) -> f64 {
    let every_other = |lines: &[f64]| lines.iter().copied().step_by(2).collect::<Vec<f64>>();
    let coarse = nodes.at(&every_other(&nodes.x), &every_other(&nodes.y));
    let predicted = coarse.at(&nodes.x, &nodes.y).z;
    let off = predicted.iter().zip(&nodes.z).map(|(p, z)| (p - z).abs());
    // Lines that both have are met exactly; the last ones of an even number are not reached.
    let off: Vec<f64> = off.filter(|off| off.is_finite() && *off > 0.0).collect();
    off.iter().sum::<f64>() / off.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::landscape::explore::{Until, explore};
    use crate::landscape::survey::spread;

    fn measure(loss: f64) -> Measure {
        Measure {
            loss,
            accuracy: 1.0 / (1.0 + loss),
        }
    }

    fn few_of(loss: impl Fn(f64, f64) -> f64) -> Surface {
        let lines = spread(-1.0, 1.0, 33);
        let mut few = Surface::new(lines.clone(), lines);
        explore(&mut few, &[], Until::Exact, |[x, y]| {
            Ok(measure(loss(x, y)))
        })
        .unwrap();
        few
    }

    #[test]
    fn a_slow_difference_is_found_with_five_by_five_points() {
        let bumpy = |x: f64, y: f64| 1.5 + (9.0 * x).sin() * (8.0 * y).cos();
        let more = |x: f64, y: f64| bumpy(x, y) * (0.1 + 0.05 * x - 0.03 * y).exp();
        let few = few_of(bumpy);
        let complement = Complement::explore(&few, |[x, y]| Ok(measure(more(x, y)))).unwrap();
        assert_eq!(complement.points(), 25);
        assert!(complement.error() < 0.005);
        let sum = complement.add_to(&few);
        for (j, &y) in sum.y().iter().enumerate() {
            for (i, &x) in sum.x().iter().enumerate() {
                let found = sum.get(i, j).unwrap().loss;
                assert!((found / more(x, y) - 1.0).abs() < 2e-3, "{x} {y} {found}");
            }
        }
    }

    #[test]
    fn a_fast_difference_takes_more_points_and_is_told() {
        let few = few_of(|x, y| 1.0 + x * x + y * y);
        let more = |x: f64, y: f64| (1.0 + x * x + y * y) * (0.3 * (7.0 * x).sin()).exp();
        let complement = Complement::explore(&few, |[x, y]| Ok(measure(more(x, y)))).unwrap();
        assert_eq!(complement.points(), 81);
        assert!(complement.error() > 0.005, "{}", complement.error());
    }

    #[test]
    fn a_hole_stays_one_and_what_was_measured_stands() {
        let few = few_of(|x, y| if x > 0.8 { f64::NAN } else { 1.0 + y * y });
        let complement = Complement::explore(&few, |[x, y]| {
            Ok(measure(if x > 0.8 { f64::NAN } else { 1.1 + y * y }))
        })
        .unwrap();
        let sum = complement.add_to(&few);
        assert!(sum.get(32, 0).unwrap().loss.is_nan());
        assert_eq!(sum.get(0, 0).unwrap().loss, 2.1);
        assert!(sum.get(28, 3).unwrap().loss.is_finite());
    }
}
