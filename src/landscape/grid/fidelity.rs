//! The loss on all samples, from few samples everywhere and all of them on a coarse grid.
//!
//! More samples change the log-loss by a difference that varies slowly over the plane, where the loss itself
//! does not: so it is measured on few points and interpolated, and added to the loss on few samples (two-level
//! multi-fidelity, Kennedy and O'Hagan, Biometrika 87, 2000, with the scale fixed at one).

use crate::data::Count;
use crate::loss::Score;

use crate::landscape::LandscapeError;
use crate::landscape::grid::explore::{WHOLE, fill};
use crate::landscape::grid::interpolate::Nodes;
use crate::landscape::grid::refine::DECAY;
use crate::landscape::grid::surface::{Measure, Surface, from_log_loss, log_loss};
use crate::landscape::grid::survey::GridSide;

/// Number of samples from which few are measured everywhere if the user does not say.
const MANY: usize = 8192;
/// Number of those few.
const FEW: usize = 1024;

/// Returns the number of samples that are measured everywhere, as the user asked or left open; `None` if all
/// are.
///
/// # Errors
/// A number was asked for that is not below that of all.
pub fn few(asked: Option<Count>, samples: usize) -> Result<Option<usize>, LandscapeError> {
    match asked {
        Some(Count::At(few)) if few >= samples => Err(LandscapeError::Fidelity { few, samples }),
        Some(Count::At(few)) => Ok(Some(few)),
        None if samples >= MANY => Ok(Some(FEW)),
        Some(Count::All) | None => Ok(None),
    }
}

/// The difference that all samples make to few of them, on a coarse grid.
#[derive(Clone, Debug)]
pub struct Complement {
    /// Log-loss, at the points of the finest level that was measured.
    loss: Nodes,
    /// The score, at the same points.
    score: Nodes,
    /// The score's kind; `None` if there is none.
    of: Option<Score>,
    /// Measures on all samples: column, row, measure.
    measured: Vec<(usize, usize, Measure)>,
    /// Expected error of the difference between its points, a share of the range of log-loss.
    error: f64,
}

impl Complement {
    /// Measures all samples level by level where `few` was measured, until no more points are wanted. `score`
    /// is that of the loss; `measure` is called as by [`crate::landscape::grid::explore::explore`]. A grid without lines has no points.
    ///
    /// # Errors
    /// Those of `measure`.
    pub fn explore<E>(
        few: &Surface,
        score: Option<Score>,
        mut measure: impl FnMut(&[[f64; 2]]) -> Result<Vec<Measure>, E>,
    ) -> Result<Option<Self>, E> {
        let mut all = Surface::new(few.x().to_vec(), few.y().to_vec());
        loop {
            let wanted = Self::wanted(few, &all, &[]);
            if wanted.is_empty() {
                return Ok(Self::of(few, &all, score));
            }
            fill(&mut all, wanted, &mut measure)?;
        }
    }

    /// Returns the points (column, row) of the next level that are still to be measured on all samples, nearest
    /// to the path first: none if the difference is expected to be known within half of the tolerance of `few`,
    /// or 9×9 points are measured.
    #[must_use]
    pub fn wanted(few: &Surface, all: &Surface, path: &[[f64; 2]]) -> Vec<(usize, usize)> {
        if Self::of(few, all, None).is_some_and(|found| found.error <= few.tolerance() / 2.0) {
            return Vec::new();
        }
        let open = |level| -> Vec<(usize, usize)> {
            let points = few.additions(level, path).into_iter();
            points.filter(|&(i, j)| all.get(i, j).is_none()).collect()
        };
        let mut levels = (0..WHOLE).map(open);
        levels.find(|points| !points.is_empty()).unwrap_or_default()
    }

    /// Takes the finest level of which all points are measured on all samples; `None` before the coarsest is.
    #[must_use]
    pub fn of(few: &Surface, all: &Surface, score: Option<Score>) -> Option<Self> {
        let is_whole = |level: &usize| {
            let mut points = crossings(few, *level).into_iter();
            points.len() > 0 && points.all(|(i, j)| all.get(i, j).is_some())
        };
        let level = (0..WHOLE).rev().find(is_whole)?;
        let difference = |value: &dyn Fn(Measure) -> f64| {
            difference(few, all, level, |few, all| value(all) - value(few))
        };
        let loss = difference(&|measure| log_loss(measure.loss));
        let [min, max] = few.range();
        let error = DECAY * surplus(&loss) / (max - min);
        Some(Self {
            score: difference(&|measure| measure.score),
            of: score,
            measured: crossings(few, level)
                .into_iter()
                .filter_map(|(i, j)| Some((i, j, all.get(i, j)?)))
                .collect(),
            loss,
            error: if error.is_finite() { error } else { 0.0 },
        })
    }

    /// Returns the expected error of the difference between its points, a share of the range of log-loss.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.error
    }

    /// Returns at how many points all samples were measured.
    #[must_use]
    pub fn points(&self) -> usize {
        self.measured.len()
    }

    /// Returns the surface that is expected on all samples: measured on the coarse grid, elsewhere what few say plus
    /// the interpolated difference.
    #[must_use]
    pub fn add_to(&self, few: &Surface) -> Surface {
        let mut sum = few.clone();
        let mut shifts = self.shifts(few.x(), few.y());
        for j in 0..few.y().len() {
            for i in 0..few.x().len() {
                if let (Some(shift), Some(measure)) = (shifts.next(), few.get(i, j)) {
                    sum.record(i, j, shift(measure));
                }
            }
        }
        for (i, j, measure) in &self.measured {
            sum.record(*i, *j, *measure);
        }
        sum
    }

    /// Finds, for the crossings of lines, row by row, what makes of a measure on few samples the one that is
    /// expected on all. Outside the grid the difference is that at its border.
    pub fn shifts(
        &self,
        x: &[f64],
        y: &[f64],
    ) -> impl Iterator<Item = impl Fn(Measure) -> Measure> {
        let within = |lines: &[f64], at: &[f64]| -> Vec<f64> {
            let ends = lines.first().zip(lines.last());
            let clamped = |at: &f64| ends.map_or(*at, |(min, max)| at.clamp(*min, *max));
            at.iter().map(clamped).collect()
        };
        let (x, y) = (within(&self.loss.x, x), within(&self.loss.y, y));
        let [loss, score] = [&self.loss, &self.score].map(|nodes| nodes.at(&x, &y).z);
        let of = self.of;
        loss.into_iter().zip(score).map(move |(change, of_score)| {
            move |few: Measure| {
                let loss = from_log_loss(log_loss(few.loss) + change).max(0.0);
                let score = |score: Score| score.estimate(few.score, of_score, loss);
                Measure {
                    loss,
                    score: of.map_or(f64::NAN, score),
                }
            }
        })
    }
}

/// Returns the points (column, row) of a level and of those before it, row by row.
fn crossings(grid: &Surface, level: usize) -> Vec<(usize, usize)> {
    let [columns, rows] = grid.sides().map(|side| side.lines(level));
    let points = rows
        .iter()
        .flat_map(|&j| columns.iter().map(move |&i| (i, j)));
    points.collect()
}

/// Returns the changes by all samples at the points of a level. Beside a hole there is no difference to see: the
/// mean one takes its place.
fn difference(
    few: &Surface,
    all: &Surface,
    level: usize,
    change: impl Fn(Measure, Measure) -> f64,
) -> Nodes {
    let at = |(i, j)| Some(change(few.get(i, j)?, all.get(i, j)?));
    let points = crossings(few, level).into_iter();
    let mut z: Vec<f64> = points.map(|point| at(point).unwrap_or(f64::NAN)).collect();
    let finite: Vec<f64> = z.iter().copied().filter(|z| z.is_finite()).collect();
    let mean = finite.iter().sum::<f64>() / finite.len().max(1) as f64;
    for z in z.iter_mut().filter(|z| !z.is_finite()) {
        *z = mean;
    }
    let of = |lines: &[f64], side: GridSide| -> Vec<f64> {
        let chosen = side.lines(level).into_iter();
        chosen.map(|line| lines[line]).collect()
    };
    let [columns, rows] = few.sides();
    Nodes {
        x: of(few.x(), columns),
        y: of(few.y(), rows),
        z,
    }
}

/// Returns by how much every other line of some nodes, interpolated, is off at the others, on average.
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
    use crate::landscape::grid::explore::{Until, explore};
    use crate::landscape::grid::survey::spread;
    use std::convert::Infallible;

    fn measure(loss: f64) -> Measure {
        Measure {
            loss,
            score: 1.0 / (1.0 + loss),
        }
    }

    /// Measures all points by the measure at one.
    fn all(
        one: impl Fn(f64, f64) -> Measure,
    ) -> impl FnMut(&[[f64; 2]]) -> Result<Vec<Measure>, Infallible> {
        move |points| Ok(points.iter().map(|&[x, y]| one(x, y)).collect())
    }

    fn few_of(loss: impl Fn(f64, f64) -> f64) -> Surface {
        let lines = spread(-1.0, 1.0, 33);
        let mut few = Surface::new(lines.clone(), lines);
        explore(&mut few, &[], Until::Exact, all(|x, y| measure(loss(x, y)))).unwrap();
        few
    }

    #[test]
    fn a_slow_difference_is_found_with_five_by_five_points() {
        let bumpy = |x: f64, y: f64| 1.5 + (9.0 * x).sin() * (8.0 * y).cos();
        let more = |x: f64, y: f64| bumpy(x, y) * (0.1 + 0.05 * x - 0.03 * y).exp();
        let few = few_of(bumpy);
        let on_all = all(|x, y| measure(more(x, y)));
        let complement = Complement::explore(&few, Some(Score::Accuracy), on_all)
            .unwrap()
            .unwrap();
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
        let on_all = all(|x, y| measure(more(x, y)));
        let complement = Complement::explore(&few, Some(Score::Accuracy), on_all)
            .unwrap()
            .unwrap();
        assert_eq!(complement.points(), 81);
        assert!(complement.error() > 0.005, "{}", complement.error());
    }

    #[test]
    fn a_hole_stays_one_and_what_was_measured_stands() {
        let few = few_of(|x, y| if x > 0.8 { f64::NAN } else { 1.0 + y * y });
        let more = all(|x, y| measure(if x > 0.8 { f64::NAN } else { 1.1 + y * y }));
        let complement = Complement::explore(&few, Some(Score::Accuracy), more)
            .unwrap()
            .unwrap();
        let sum = complement.add_to(&few);
        assert!(sum.get(32, 0).unwrap().loss.is_nan());
        assert_eq!(sum.get(0, 0).unwrap().loss, 2.1);
        assert!(sum.get(28, 3).unwrap().loss.is_finite());
    }

    #[test]
    fn each_score_is_estimated_within_its_bounds() {
        let few = few_of(|x, y| 1.0 + x * x + y * y);
        let of = |score| {
            let more = |x: f64, y: f64| Measure {
                loss: 2.0 * (1.0 + x * x + y * y),
                score: 0.9,
            };
            let complement = Complement::explore(&few, score, all(more));
            complement.unwrap().unwrap().add_to(&few).get(1, 1).unwrap()
        };
        let bounded = of(Some(Score::Accuracy)).score;
        assert!((0.0..=1.0).contains(&bounded), "{bounded}");
        let perplexity = of(Some(Score::Perplexity));
        assert_eq!(perplexity.score, perplexity.loss.exp());
        assert!(of(None).score.is_nan());
    }

    #[test]
    fn few_are_fewer_than_all_and_by_themselves_only_of_many() {
        for (asked, samples, expected) in [
            (None, MANY - 1, None),
            (None, MANY, Some(FEW)),
            (Some(Count::All), 60_000, None),
            (Some(Count::At(200)), 201, Some(200)),
        ] {
            assert_eq!(
                few(asked, samples).unwrap(),
                expected,
                "{asked:?} {samples}"
            );
        }
        let said = few(Some(Count::At(200)), 200).unwrap_err().to_string();
        assert!(
            said.starts_with("--fidelity 200: expected fewer than the 200 samples"),
            "{said}"
        );
    }
}
