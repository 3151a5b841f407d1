//! The surface of an earlier plane as seen from the one that took its place: an estimate until points are measured.

use crate::landscape::grid::interpolate::interval;
use crate::landscape::grid::survey::spread;
use crate::landscape::{Field, Origin, Surface};
use crate::loss::Measure;
use crate::loss::Score;
use crate::weights::PlaneMove;

/// Lines a side of the estimate.
const LINES: usize = 33;
/// Lines a side at which the earlier surface is sampled.
const SAMPLES: usize = 129;
/// Smallest share of the earlier window that is worth showing.
const LEAST: f64 = 0.2;

/// Moves a surface into the coordinates of another plane: over the largest rectangle, in the proportions of its
/// own window, that its points cover there, as far as they lie within `tolerance` of that plane. `None` if that is next
/// to nothing, as where the planes are at right angles.
#[must_use]
pub(super) fn moved(
    earlier: &Surface,
    score: Option<Score>,
    to: &PlaneMove,
    tolerance: f64,
) -> Option<Surface> {
    let own = [earlier.x(), earlier.y()].map(|lines| lines.first().zip(lines.last()));
    let [Some((left, right)), Some((low, high))] = own else {
        return None;
    };
    let window = [[*left, *right], [*low, *high]];
    let is_covered = |image: [f64; 2]| {
        let source = to.source(image);
        source.is_some_and(|at| (0..2).all(|k| (window[k][0]..=window[k][1]).contains(&at[k])))
    };
    let corners = corners(window).map(|at| to.image(at));
    let middle = to.image(window.map(|[min, max]| f64::midpoint(min, max)));
    let half = [0, 1].map(|k| {
        let reach = corners.iter().map(|corner| (corner[k] - middle[k]).abs());
        reach.fold(0.0, f64::max)
    });
    let rectangle =
        |share: f64| [0, 1].map(|k| [middle[k] - share * half[k], middle[k] + share * half[k]]);
    // What is covered is convex, so that a rectangle is when its corners are.
    let fits = |share: f64| self::corners(rectangle(share)).into_iter().all(is_covered);
    let share = largest(fits).filter(|share| *share >= LEAST)?;
    let [x, y] = rectangle(share).map(|[min, max]| spread(min, max, LINES));
    let sampled = Sampled::of(earlier, score, window);
    let mut surface = Surface::new(x.clone(), y.clone());
    for (j, &beta) in y.iter().enumerate() {
        for (i, &alpha) in x.iter().enumerate() {
            let source = to.source([alpha, beta]);
            let near = source.filter(|at| to.distance(*at) <= tolerance);
            if let Some(measure) = near.and_then(|at| sampled.at(at)) {
                surface.record(i, j, measure);
            }
        }
    }
    let least = LEAST * LEAST * (LINES * LINES) as f64;
    Some(surface).filter(|surface| surface.measured() as f64 >= least)
}

fn corners([x, y]: [[f64; 2]; 2]) -> [[f64; 2]; 4] {
    [[x[0], y[0]], [x[1], y[0]], [x[0], y[1]], [x[1], y[1]]]
}

/// Returns the largest share, 0 to 1, that fits; `None` if none does.
fn largest(fits: impl Fn(f64) -> bool) -> Option<f64> {
    if !fits(0.0) {
        return None;
    }
    let (mut low, mut high) = (0.0, 1.0);
    if fits(high) {
        return Some(high);
    }
    for _ in 0..12 {
        let middle = f64::midpoint(low, high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

/// A surface on many lines, between which it is linear.
struct Sampled {
    field: Field,
    score: Option<Vec<f64>>,
}

impl Sampled {
    fn of(surface: &Surface, score: Option<Score>, window: [[f64; 2]; 2]) -> Self {
        let [x, y] = window.map(|[min, max]| spread(min, max, SAMPLES));
        Self {
            score: score.map(|score| surface.sample_score(score, &x, &y)),
            field: surface.sample(&x, &y),
        }
    }

    /// Returns the measure that is expected at a point; `None` outside, and where nothing is known.
    fn at(&self, [alpha, beta]: [f64; 2]) -> Option<Measure> {
        let (i, s) = interval(&self.field.x, alpha)?;
        let (j, t) = interval(&self.field.y, beta)?;
        let width = self.field.x.len();
        let next = |at: usize, lines: &[f64]| (at + 1).min(lines.len() - 1);
        let (right, above) = (next(i, &self.field.x), next(j, &self.field.y));
        let around = [(i, j), (right, j), (i, above), (right, above)].map(|(i, j)| j * width + i);
        let weights = [(1.0 - s) * (1.0 - t), s * (1.0 - t), (1.0 - s) * t, s * t];
        if around
            .iter()
            .any(|&at| self.field.origin[at] == Origin::Unknown)
        {
            return None;
        }
        let mean = |values: &[f64]| {
            around
                .iter()
                .zip(weights)
                .map(|(&at, w)| w * values[at])
                .sum()
        };
        Some(Measure {
            loss: mean(&self.field.loss),
            score: self.score.as_ref().map_or(f64::NAN, |score| mean(score)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    /// Returns a quadratic over −2 to 2, of which a hole is cut.
    fn bowl(x: f64, y: f64) -> f64 {
        if x > 1.2 && y > 1.2 {
            f64::NAN
        } else {
            1.0 + x * x + 0.5 * y
        }
    }

    fn earlier() -> Surface {
        let lines = spread(-2.0, 2.0, 65);
        let mut surface = Surface::new(lines.clone(), lines.clone());
        for (j, &y) in lines.iter().enumerate() {
            for (i, &x) in lines.iter().enumerate() {
                let measure = Measure {
                    loss: bowl(x, y),
                    score: 0.1 * x,
                };
                surface.record(i, j, measure);
            }
        }
        surface
    }

    #[test]
    fn a_surface_is_seen_where_its_points_are_on_the_other_plane() {
        let angle: f64 = 0.2;
        let (sine, cosine) = angle.sin_cos();
        let to = PlaneMove {
            shift: [3.0, -1.0],
            turn: [[cosine, -sine], [0.9 * sine, 0.9 * cosine]],
            lean: [0.0, 0.0],
            apart: 10.0,
        };
        let moved = moved(&earlier(), Some(Score::RSquared), &to, 100.0).unwrap();
        let mut compared = 0;
        for (j, &y) in moved.y().iter().enumerate() {
            for (i, &x) in moved.x().iter().enumerate() {
                let measure = moved.get(i, j).unwrap();
                let [a, b] = to.source([x, y]).unwrap();
                if measure.loss.is_finite() {
                    assert!((measure.loss - bowl(a, b)).abs() < 5e-3, "{a} {b}");
                    assert!((measure.score - 0.1 * a).abs() < 1e-9);
                    compared += 1;
                }
            }
        }
        assert!(compared > 900 && compared < 33 * 33, "{compared}");
        // It lies within what was measured, and is most of that.
        let corners = corners([moved.x(), moved.y()].map(|lines| [lines[0], lines[32]]));
        for corner in corners {
            let at = to.source(corner).unwrap();
            assert!(at.iter().all(|at| at.abs() <= 2.0 + 1e-9), "{at:?}");
        }
        assert!(moved.x()[32] - moved.x()[0] > 2.8);
    }

    #[test]
    fn points_that_lie_far_from_the_other_plane_are_left_out() {
        // A turn by 60° about the first axis: a point lies β·sin 60° off.
        let (sine, cosine) = (60.0f64.to_radians().sin(), 0.5);
        let to = PlaneMove {
            shift: [0.0, 0.0],
            turn: [[1.0, 0.0], [0.0, cosine]],
            lean: [0.0, 0.0],
            apart: 0.0,
        };
        let near = moved(&earlier(), None, &to, 1.0).unwrap();
        for (j, y) in near.y().iter().enumerate() {
            let off = (y / cosine * sine).abs();
            assert_eq!(near.get(9, j).is_some(), off <= 1.0, "{y}");
        }
        assert_eq!(moved(&earlier(), None, &to, 0.01), None);
    }

    #[test]
    fn nothing_is_seen_of_a_surface_at_right_angles() {
        let to = PlaneMove {
            shift: [0.0, 0.0],
            turn: [[1.0, 0.0], [0.0, 1e-17]],
            lean: [0.0, 0.0],
            apart: 0.0,
        };
        let thin = moved(&earlier(), None, &to, 100.0);
        assert!(thin.is_none_or(|thin| thin.y()[32] - thin.y()[0] < 1e-15));
        let flat = PlaneMove {
            shift: [0.0, 0.0],
            turn: [[1.0, 0.0], [0.0, 0.0]],
            ..to
        };
        assert_eq!(moved(&earlier(), None, &flat, 100.0), None);
    }
}
