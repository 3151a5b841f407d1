//! The measured surface behind a path, in the coordinates of the scene.

use crate::landscape::{Field, Origin, Surface};
use crate::loss::Score;

/// The measured surface behind the path.
#[derive(Clone, Copy, Debug)]
pub struct SurfaceLayer<'a> {
    /// The measured surface.
    pub surface: &'a Surface,
    /// It belongs to an earlier plane: it is drawn dim.
    pub stale: bool,
}

impl SurfaceLayer<'_> {
    /// Returns the surface at the crossings of these lines of the scene (ascending).
    pub(in crate::plot) fn sample(&self, x: &[f64], y: &[f64]) -> Field {
        self.surface.sample(x, y)
    }

    /// Returns the loss at a point of the scene, and its origin; `None` if nothing is known.
    #[must_use]
    pub fn loss(&self, [alpha, beta]: [f64; 2]) -> Option<(f64, Origin)> {
        let field = self.sample(&[alpha], &[beta]);
        let (loss, origin) = field.loss.first().zip(field.origin.first())?;
        (*origin != Origin::Unknown).then_some((*loss, *origin))
    }

    /// Returns true if the surface was measured at a point of the scene itself.
    #[must_use]
    pub fn is_measured(&self, [alpha, beta]: [f64; 2]) -> bool {
        let line = |lines: &[f64], at: f64| lines.iter().position(|line| *line == at);
        let crossing = line(self.surface.x(), alpha).zip(line(self.surface.y(), beta));
        crossing.is_some_and(|(i, j)| self.surface.get(i, j).is_some())
    }

    /// Returns the score at a point of the scene; `None` if that is not known, or NaN.
    #[must_use]
    pub fn score(&self, score: Score, [alpha, beta]: [f64; 2]) -> Option<f64> {
        let sampled = self.surface.sample_score(score, &[alpha], &[beta]);
        sampled.first().copied().filter(|score| score.is_finite())
    }

    /// Returns true if what is shown is not the last word: interpolated only, or of an earlier plane.
    #[must_use]
    pub fn is_preliminary(&self, origin: Origin) -> bool {
        origin != Origin::Measured || self.stale
    }
}
