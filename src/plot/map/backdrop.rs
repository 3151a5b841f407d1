//! The measured surface behind a path, in the coordinates of the scene.

use crate::landscape::field::{Field, Origin};
use crate::landscape::surface::Surface;
use crate::loss::Score;

/// The measured surface behind the path.
#[derive(Clone, Copy, Debug)]
pub struct Backdrop<'a> {
    /// What was measured.
    pub surface: &'a Surface,
    /// Where the surface's own origin lies in the coordinates of the scene.
    pub shift: [f64; 2],
    /// It belongs to an earlier plane: it is drawn dim.
    pub stale: bool,
}

impl Backdrop<'_> {
    /// The surface at the crossings of these lines of the scene (ascending).
    pub(in crate::plot) fn sample(&self, x: Vec<f64>, y: Vec<f64>) -> Field {
        let own = |lines: &[f64], shift: f64| lines.iter().map(|v| v - shift).collect::<Vec<_>>();
        let [across, up] = self.shift;
        let field = self.surface.sample(&own(&x, across), &own(&y, up));
        Field { x, y, ..field }
    }

    /// Loss at a point of the scene, and how it came about; none where nothing is known.
    #[must_use]
    pub fn loss(&self, [alpha, beta]: [f64; 2]) -> Option<(f64, Origin)> {
        let field = self.sample(vec![alpha], vec![beta]);
        let (loss, origin) = field.loss.first().zip(field.origin.first())?;
        (*origin != Origin::Unknown).then_some((*loss, *origin))
    }

    /// Whether the surface was measured at a point of the scene itself.
    #[must_use]
    pub fn is_measured(&self, [alpha, beta]: [f64; 2]) -> bool {
        let [across, up] = self.shift;
        let line = |lines: &[f64], at: f64| lines.iter().position(|line| *line == at);
        let crossing =
            line(self.surface.x(), alpha - across).zip(line(self.surface.y(), beta - up));
        crossing.is_some_and(|(i, j)| self.surface.get(i, j).is_some())
    }

    /// Returns the score at a point of the scene; `None` if that is not known, or NaN.
    #[must_use]
    pub fn score(&self, score: Score, [alpha, beta]: [f64; 2]) -> Option<f64> {
        let [across, up] = self.shift;
        let (x, y) = ([alpha - across], [beta - up]);
        let sampled = self.surface.sample_score(score, &x, &y);
        sampled.first().copied().filter(|score| score.is_finite())
    }

    /// Whether what is shown is not the last word: interpolated only, or of an earlier plane.
    #[must_use]
    pub fn is_preliminary(&self, origin: Origin) -> bool {
        origin != Origin::Measured || self.stale
    }
}
