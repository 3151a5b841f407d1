//! The loss on a plane: what was measured on a nested grid, and what may be drawn between.

use crate::landscape::grid::interpolate::Nodes;
use crate::landscape::grid::survey::{self, GridSide};

use crate::loss::Score;

pub use crate::loss::Measure;

/// A grid over a window of the plane, of which some points are measured. Level 0 has 5×5 of its lines,
/// each next level halves the spacing, the last has all lines.
///
/// ```
/// use isoloss::landscape::grid::surface::{Measure, Surface};
/// use isoloss::landscape::grid::survey::spread;
///
/// let mut surface = Surface::new(spread(-1.0, 1.0, 17), spread(-1.0, 1.0, 17));
/// surface.record(8, 8, Measure { loss: 0.25, score: f64::NAN });
/// assert_eq!(surface.measured(), 1);
/// assert!(matches!(surface.lowest(), Some((0.0, 0.0, _))));
/// ```
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Surface {
    x: Vec<f64>,
    y: Vec<f64>,
    values: Vec<Option<Measure>>,
    tolerance: f64,
    /// Intervals of each side at level 0.
    #[serde(default = "coarsest")]
    coarsest: [usize; 2],
}

fn coarsest() -> [usize; 2] {
    [survey::COARSEST; 2]
}

/// Most intervals of a side at level 0.
const LARGEST: usize = 64;

/// Expected error with which a surface rests where the user does not say, a share of its range.
pub const TOLERANCE: f64 = 0.01;

/// Returns the losses are compared, interpolated and judged on this scale, z = ln(L + 10⁻³) (docs/math.md 11).
#[must_use]
pub fn log_loss(loss: f64) -> f64 {
    (loss + 1e-3).ln()
}

/// Returns the loss of a log-loss.
pub(in crate::landscape) fn from_log_loss(z: f64) -> f64 {
    z.exp() - 1e-3
}

impl Surface {
    /// Returns an empty grid over these lines (α ascending, β ascending).
    #[must_use]
    pub fn new(x: Vec<f64>, y: Vec<f64>) -> Self {
        let values = vec![None; x.len() * y.len()];
        Self {
            x,
            y,
            values,
            tolerance: TOLERANCE,
            coarsest: coarsest(),
        }
    }

    /// Returns the same, whose sides have so many intervals at level 0.
    #[must_use]
    pub fn with_coarsest(self, coarsest: [usize; 2]) -> Self {
        Self { coarsest, ..self }
    }

    /// Returns the nested lines of its sides: columns, rows.
    #[must_use]
    pub fn sides(&self) -> [GridSide; 2] {
        let [columns, rows] = self.coarsest;
        let side = |count, coarsest| GridSide { count, coarsest };
        [side(self.x.len(), columns), side(self.y.len(), rows)]
    }

    /// Returns the points (column, row) that a level adds to the coarser ones, nearest to the path first.
    #[must_use]
    pub fn additions(&self, level: usize, path: &[[f64; 2]]) -> Vec<(usize, usize)> {
        survey::additions(self.sides(), [&self.x, &self.y], level, path)
    }

    /// Returns the same, to rest only where the expected error is at most this share of the range of log-loss.
    #[must_use]
    pub fn with_tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Returns the expected error with which it rests.
    #[must_use]
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// Returns true if it has a value for each crossing of lines that ascend; one that was not made here may
    /// not.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let ascends = |lines: &[f64]| {
            lines.is_sorted_by(|a, b| a < b) && lines.iter().all(|at| at.is_finite())
        };
        let crossings = self.x.len().checked_mul(self.y.len());
        let has_levels = self
            .coarsest
            .iter()
            .all(|coarsest| (1..=LARGEST).contains(coarsest));
        crossings == Some(self.values.len()) && ascends(&self.x) && ascends(&self.y) && has_levels
    }

    /// Records the measurement at `x[i]`, `y[j]`; indices outside the grid are ignored.
    pub fn record(&mut self, i: usize, j: usize, measure: Measure) {
        let columns = self.x.len();
        if i < columns
            && let Some(value) = self.values.get_mut(j * columns + i)
        {
            *value = Some(measure);
        }
    }

    /// Returns α of each column of the grid.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// Returns β of each row of the grid.
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// Returns the measure at `x[i]`, `y[j]`.
    #[must_use]
    pub fn get(&self, i: usize, j: usize) -> Option<Measure> {
        *self.values.get(j * self.x.len() + i)?
    }

    /// Returns the number of points that were measured.
    #[must_use]
    pub fn measured(&self) -> usize {
        self.values.iter().flatten().count()
    }

    /// Returns the lines a side of the finest level that has been begun.
    #[must_use]
    pub fn finest(&self) -> usize {
        let sides = self.sides();
        let [columns, rows] = sides.map(GridSide::first_levels);
        let measured = self
            .values
            .iter()
            .zip(0..)
            .filter(|(value, _)| value.is_some());
        let level = measured
            .map(|(_, at)| columns[at % self.x.len()].max(rows[at / self.x.len()]))
            .max();
        self.lines_of(level.unwrap_or(0))
    }

    /// Returns the lines a side of a level, of the side that has more of them.
    #[must_use]
    pub fn lines_of(&self, level: usize) -> usize {
        let lines = self.sides().map(|side| side.lines(level).len());
        lines[0].max(lines[1])
    }

    /// Returns the lowest finite loss that was measured, and where: (α, β, measure).
    #[must_use]
    pub fn lowest(&self) -> Option<(f64, f64, Measure)> {
        let columns = self.x.len();
        self.values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| value.map(|measure| (index, measure)))
            .filter(|(_, measure)| measure.loss.is_finite())
            .min_by(|a, b| a.1.loss.total_cmp(&b.1.loss))
            .map(|(index, measure)| (self.x[index % columns], self.y[index / columns], measure))
    }

    /// Returns the map's error about a checkpoint from its own loss and that of its projection: |z̃ − z| as a
    /// share of the range of measured log-loss, where z is that of its own and z̃ that of the projection
    /// (docs/math.md 11). NaN if either is.
    pub fn doubt(&self) -> impl Fn(f64, f64) -> f64 + use<> {
        let [min, max] = self.range();
        move |own, on_plane| (log_loss(on_plane) - log_loss(own)).abs() / (max - min)
    }

    /// Returns the range of measured log-loss; 0 without two finite values.
    #[must_use]
    pub fn extent(&self) -> f64 {
        let [min, max] = self.range();
        (max - min).max(0.0)
    }

    /// Returns the lowest and highest log-loss that was measured.
    pub(in crate::landscape) fn range(&self) -> [f64; 2] {
        let measured = self.values.iter().flatten().map(|m| log_loss(m.loss));
        let finite = measured.filter(|z| z.is_finite());
        finite.fold([f64::INFINITY, f64::NEG_INFINITY], |[min, max], z| {
            [min.min(z), max.max(z)]
        })
    }

    /// Returns the score at the crossings of other lines, likewise; entry `j * x.len() + i`. A perplexity spans many
    /// powers of ten, and between them its logarithm is interpolated.
    #[must_use]
    pub fn sample_score(&self, score: Score, x: &[f64], y: &[f64]) -> Vec<f64> {
        if score != Score::Perplexity {
            return self.nodes(|measure| measure.score).at(x, y).z;
        }
        let logarithms = self.nodes(|measure| measure.score.ln()).at(x, y).z;
        logarithms.into_iter().map(f64::exp).collect()
    }

    /// Returns the measures on the finest level that has been begun, and between them the predictions of the
    /// coarser levels.
    pub(in crate::landscape) fn nodes(&self, value: impl Fn(Measure) -> f64) -> Nodes {
        self.hierarchy(value, |_, _, _| {})
    }

    /// Returns the same as [`Surface::nodes`]. For each measured point that a level adds, `each` gets its index
    /// (j · columns + i), what the coarser level predicts there and what was measured.
    pub(in crate::landscape) fn hierarchy(
        &self,
        value: impl Fn(Measure) -> f64,
        mut each: impl FnMut(usize, f64, f64),
    ) -> Nodes {
        let sides = self.sides();
        let first = sides.map(GridSide::first_levels);
        let mut nodes = None;
        for level in 0..survey::levels(sides) {
            let lines = sides.map(|side| side.lines(level));
            let mut finer = self.predict(nodes.as_ref(), &lines[0], &lines[1]);
            let is_new = [0, 1].map(|side| -> Vec<bool> {
                let new = |line: &usize| level > 0 && first[side][*line] == level;
                lines[side].iter().map(new).collect()
            });
            let mut surplus = vec![None; finer.z.len()];
            let mut begun = level == 0;
            for (at, z) in finer.z.iter_mut().enumerate() {
                let [i, j] = [at % lines[0].len(), at / lines[0].len()];
                let (column, row) = (lines[0][i], lines[1][j]);
                let Some(measured) = self.get(column, row).map(&value) else {
                    continue;
                };
                if is_new[0][i] || is_new[1][j] {
                    each(row * self.x.len() + column, *z, measured);
                    begun = true;
                }
                surplus[at] = Some(measured - *z);
                *z = if measured.is_finite() {
                    measured
                } else {
                    f64::NAN
                };
            }
            match nodes {
                Some(_) if !begun => break,
                _ => {
                    finer.follow_sides(&surplus, &is_new);
                    nodes = Some(finer);
                }
            }
        }
        nodes.unwrap_or_else(|| self.predict(None, &[], &[]))
    }

    /// Predicts from coarser nodes at the crossings of these of the grid's lines; nothing without any.
    fn predict(&self, coarser: Option<&Nodes>, columns: &[usize], rows: &[usize]) -> Nodes {
        let x: Vec<f64> = columns.iter().map(|&i| self.x[i]).collect();
        let y: Vec<f64> = rows.iter().map(|&j| self.y[j]).collect();
        match coarser {
            Some(coarser) => coarser.at(&x, &y),
            None => Nodes {
                z: vec![f64::NAN; x.len() * y.len()],
                x,
                y,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::grid::field::Origin;
    use crate::landscape::grid::survey::{levels, spread};

    fn bowl(x: f64, y: f64) -> Measure {
        Measure {
            loss: (0.3 * x + x * x / 8.0 + y * y / 4.0).exp(),
            score: 1.0 / (1.0 + x * x + y * y),
        }
    }

    /// Returns a 17×17 surface with the levels below `complete`, and `more` points of the next one.
    fn surface(complete: usize, more: usize) -> Surface {
        surface_of(bowl, complete, more)
    }

    fn surface_of(loss: impl Fn(f64, f64) -> Measure, complete: usize, more: usize) -> Surface {
        let lines = spread(-2.0, 2.0, 17);
        let mut surface = Surface::new(lines.clone(), lines.clone());
        for level in 0..levels(surface.sides()) {
            let count = match level {
                _ if level < complete => usize::MAX,
                _ if level == complete => more,
                _ => 0,
            };
            for (i, j) in surface.additions(level, &[]).into_iter().take(count) {
                surface.record(i, j, loss(lines[i], lines[j]));
            }
        }
        surface
    }

    #[test]
    fn a_measured_point_is_sampled_as_it_was_measured() {
        let surface = surface(3, 0);
        let field = surface.sample(surface.x(), surface.y());
        let accuracy = surface.sample_score(Score::Accuracy, surface.x(), surface.y());
        for (index, loss) in field.loss.iter().enumerate() {
            let measure = bowl(surface.x()[index % 17], surface.y()[index / 17]);
            assert!((loss / measure.loss - 1.0).abs() < 1e-12);
            assert!((accuracy[index] - measure.score).abs() < 1e-12);
            assert_eq!(field.origin[index], Origin::Measured);
        }
    }

    #[test]
    fn the_middle_of_a_cell_follows_its_sides() {
        let wavy = |x: f64, y: f64| Measure {
            loss: ((4.0 * x).sin() + (3.0 * y).cos()).exp(),
            score: 0.0,
        };
        let mut surface = surface_of(wavy, 2, 0);
        let lines = surface.x().to_vec();
        let at = |surface: &Surface| surface.sample(&lines[7..8], &lines[7..8]).loss[0];
        let (before, truth) = (at(&surface), wavy(lines[7], lines[7]).loss);
        for (i, j) in [(6, 7), (8, 7), (7, 6), (7, 8)] {
            surface.record(i, j, wavy(lines[i], lines[j]));
        }
        // The log-loss is a sum of one function of α and one of β, which the sides tell but for what is added to it.
        let off = |loss: f64| (loss / truth - 1.0).abs();
        assert!(off(before) > 0.01, "{}", off(before));
        assert!(
            off(at(&surface)) < 0.1 * off(before),
            "{}",
            off(at(&surface))
        );
    }

    #[test]
    fn a_valley_that_was_measured_for_one_cell_goes_on_through_the_next() {
        // The sides of the cell at (7, 7) above and below are measured low; its middle is no ridge between them.
        let mut surface = surface_of(
            |_, _| Measure {
                loss: 1.0,
                score: 0.0,
            },
            2,
            0,
        );
        let low = Measure {
            loss: 0.5,
            score: 0.0,
        };
        surface.record(7, 6, low);
        surface.record(7, 8, low);
        let lines = surface.x().to_vec();
        let middle = surface.sample(&lines[7..8], &lines[7..8]).loss[0];
        assert!((middle - low.loss).abs() < 1e-12, "{middle}");
    }

    #[test]
    fn finer_levels_come_nearer_to_the_truth() {
        let wavy = |x: f64, y: f64| Measure {
            loss: ((1.1 * x).sin() + (0.9 * y).cos()).exp(),
            score: 0.0,
        };
        let at = spread(-1.9, 1.9, 31);
        let error = |complete: usize| {
            let field = surface_of(wavy, complete, 0).sample(&at, &at);
            let truth = |index: usize| wavy(at[index % 31], at[index / 31]).loss;
            let errors = (0..field.loss.len()).map(|i| (field.loss[i] / truth(i) - 1.0).abs());
            errors.fold(0.0, f64::max)
        };
        let errors = [1, 2, 3].map(error);
        assert!(
            errors[0] < 0.25 && errors[1] < errors[0] / 3.0 && errors[2] < errors[1] / 3.0,
            "{errors:?}"
        );
    }

    #[test]
    fn before_the_first_level_stands_the_rest_is_unknown() {
        let field = surface(0, 7).sample(&[-2.0, 0.1], &[-2.0, 2.0]);
        assert_eq!(field.origin[3], Origin::Unknown);
        assert!(field.loss[3].is_nan());
    }

    #[test]
    fn until_two_levels_stand_what_lies_between_is_preliminary() {
        let coarse = surface(1, 10);
        let field = coarse.sample(coarse.x(), coarse.y());
        assert!(!field.origin.contains(&Origin::Unknown));
        assert!(field.origin.contains(&Origin::Predicted));
        assert!(field.loss.iter().all(|loss| loss.is_finite()));
        let fine = surface(2, 0);
        let field = fine.sample(fine.x(), fine.y());
        assert!(
            field
                .origin
                .iter()
                .all(|origin| *origin == Origin::Measured),
            "a bowl is met by 9×9 points"
        );
        let strict = fine.with_tolerance(1e-6);
        let field = strict.sample(strict.x(), strict.y());
        assert!(field.origin.contains(&Origin::Predicted));
    }

    #[test]
    fn a_hole_is_never_filled_and_finite_values_beside_it_stand() {
        let mut surface = surface(3, 0);
        let hole = Measure {
            loss: f64::NAN,
            score: 0.1,
        };
        surface.record(8, 8, hole);
        let field = surface.sample(&[-0.25, -0.1, 0.0, 0.1, 0.25], &[0.0]);
        let finite: Vec<bool> = field.loss.iter().map(|loss| loss.is_finite()).collect();
        assert_eq!(finite, [true, false, false, false, true]);
        assert_eq!(field.origin, [Origin::Measured; 5]);
    }

    #[test]
    fn the_lowest_point_passes_over_holes() {
        let mut surface = surface(3, 0);
        surface.record(
            0,
            0,
            Measure {
                loss: f64::NAN,
                score: 0.0,
            },
        );
        surface.record(
            3,
            5,
            Measure {
                loss: 0.01,
                score: 1.0,
            },
        );
        let (x, y, measure) = surface.lowest().expect("there is one");
        assert_eq!((x, y, measure.loss), (surface.x()[3], surface.y()[5], 0.01));
    }
}
