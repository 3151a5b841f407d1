//! The cursor on the map: a point of the plane, and what is known there.

use crate::loss::Score;
use crate::plot::SurfaceLayer;
use crate::session::PlaneWindow;

/// Share of the window by which an arrow key moves the cursor.
const STRIDE: f64 = 1.0 / 48.0;

/// A point of the plane that the user moves about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cursor {
    /// α, β.
    pub at: [f64; 2],
}

impl Cursor {
    /// Moves the cursor by strides to the right and up, no further than the window's edges.
    #[must_use]
    pub fn moved(self, window: PlaneWindow, [right, up]: [f64; 2]) -> Self {
        let along = |at: f64, [min, max]: [f64; 2], strides: f64| {
            (at + strides * STRIDE * (max - min)).clamp(min, max)
        };
        let [alpha, beta] = self.at;
        Self {
            at: [along(alpha, window.x, right), along(beta, window.y, up)],
        }
    }
}

/// Loss, score and nearest checkpoint at a point of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CursorReading {
    /// Loss; `None` if nothing is known yet, NaN in a hole.
    pub loss: Option<f64>,
    /// The score; `None` if the loss is none or NaN.
    pub score: Option<f64>,
    /// It was measured here, and not interpolated between points of the map.
    pub certain: bool,
    /// Index of the checkpoint that lies nearest on the plane.
    pub nearest: Option<usize>,
}

impl CursorReading {
    /// Reads a map and the path on it.
    #[must_use]
    pub fn at(
        at: [f64; 2],
        score: Option<Score>,
        backdrop: Option<&SurfaceLayer<'_>>,
        path: &[[f64; 2]],
    ) -> Self {
        let distance = |from: &[f64; 2]| (from[0] - at[0]).hypot(from[1] - at[1]);
        let places = path.iter().map(distance).enumerate();
        let nearest = places.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i);
        let known = backdrop.and_then(|backdrop| {
            let (loss, origin) = backdrop.loss(at)?;
            Some((
                loss,
                score.and_then(|score| backdrop.score(score, at)),
                backdrop.is_measured(at) && !backdrop.is_preliminary(origin),
            ))
        });
        Self {
            loss: known.map(|known| known.0),
            score: known.and_then(|known| known.1),
            certain: known.is_some_and(|known| known.2),
            nearest,
        }
    }
}
