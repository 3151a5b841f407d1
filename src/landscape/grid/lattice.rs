//! The lines of all grids on one plane: a window that grows, or is another one, reuses every measured point.
//!
//! The first window has four cells a side. Every other window has cells of that size or of a power of two of it,
//! counted from the same corner, so that lines at the same place have the same coordinate to the bit.

use crate::landscape::grid::surface::Surface;

/// Cells of a side of the first window.
const FIRST: i64 = 4;
/// Halvings from level 0 to the finest level of a grid: 5, 9, 17, 33 and 65 lines of four cells.
const HALVINGS: i32 = 4;
/// Cells of a side that a window has at least, where its size is given.
const FEWEST: f64 = 3.0;
/// Cells of a side up to which a window grows.
const MOST: i64 = 8;
/// Nearer than this to the border, in cells, the path makes the window grow.
const NEAR: f64 = 0.25;
/// Share of a cell that is taken for a rounding error.
const ROUNDING: f64 = 1e-9;
/// Cells from the corner at most: farther away, places have no digits left.
const FARTHEST: f64 = 1e12;

/// The lines of a plane's grids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lattice {
    /// Lower corner of the first window.
    corner: [f64; 2],
    /// Sides of its cells.
    cell: [f64; 2],
}

/// A window of the plane: cells of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cells {
    /// Halvings of the first window's cell.
    halvings: i32,
    from: i64,
    to: i64,
}

/// A window on a lattice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatticeWindow([Cells; 2]);

impl Lattice {
    /// Returns the lattice of a first window, given as [α from, to], [β from, to], and that window.
    #[must_use]
    pub fn of(window: [[f64; 2]; 2]) -> (Self, LatticeWindow) {
        let lattice = Self {
            corner: window.map(|[min, _]| min),
            cell: window.map(|[min, max]| (max - min) / FIRST as f64),
        };
        let cells = Cells {
            halvings: 0,
            from: 0,
            to: FIRST,
        };
        (lattice, LatticeWindow([cells; 2]))
    }

    /// Returns the smallest window that covers a given one with at least three cells a side.
    #[must_use]
    pub fn covering(&self, window: [[f64; 2]; 2]) -> LatticeWindow {
        LatticeWindow([0, 1].map(|k| {
            let [min, max] = window[k];
            let halvings = (FEWEST * self.cell[k] / (max - min)).log2().ceil();
            let halvings = if halvings.is_finite() {
                halvings as i32
            } else {
                0
            };
            let cell = self.cell(k, halvings);
            let place = |at: f64| ((at - self.corner[k]) / cell).clamp(-FARTHEST, FARTHEST);
            let from = (place(min) + ROUNDING).floor() as i64;
            Cells {
                halvings,
                from,
                to: ((place(max) - ROUNDING).ceil() as i64).max(from + 1),
            }
        }))
    }

    /// Returns the window with cells added where the path comes near the border; `None` if it is as it was. It does not
    /// grow beyond eight cells a side: the path is then somewhere else.
    #[must_use]
    pub fn grown(&self, window: LatticeWindow, path: &[[f64; 2]]) -> Option<LatticeWindow> {
        let mut grown = window;
        for (k, cells) in grown.0.iter_mut().enumerate() {
            let cell = self.cell(k, cells.halvings);
            for at in path {
                let place = ((at[k] - self.corner[k]) / cell).clamp(-FARTHEST, FARTHEST);
                let from = cells.from.min((place - NEAR).floor() as i64);
                let to = cells.to.max((place + NEAR).ceil() as i64);
                cells.from = from.max(cells.to - MOST).min(cells.from);
                cells.to = to.min(cells.from + MOST).max(cells.to);
            }
        }
        (grown != window).then_some(grown)
    }

    /// Returns true if a point of the plane lies in a window.
    #[must_use]
    pub fn has(&self, window: LatticeWindow, at: [f64; 2]) -> bool {
        let ranges = self.ranges(window);
        (0..2).all(|k| (ranges[k][0]..=ranges[k][1]).contains(&at[k]))
    }

    /// Returns the ranges of a window: [α from, to], [β from, to].
    #[must_use]
    pub fn ranges(&self, window: LatticeWindow) -> [[f64; 2]; 2] {
        [0, 1].map(|k| {
            let cells = window.0[k];
            [cells.from, cells.to].map(|at| self.line(k, cells.halvings, at))
        })
    }

    /// Returns the empty grid over a window, its cells halved four times.
    #[must_use]
    pub fn surface(&self, window: LatticeWindow) -> Surface {
        let [x, y] = [0, 1].map(|k| {
            let cells = window.0[k];
            let finest = (cells.from << HALVINGS)..=(cells.to << HALVINGS);
            finest
                .map(|at| self.line(k, cells.halvings + HALVINGS, at))
                .collect()
        });
        let coarsest = window.0.map(|cells| (cells.to - cells.from) as usize);
        Surface::new(x, y).with_coarsest(coarsest)
    }

    fn cell(&self, k: usize, halvings: i32) -> f64 {
        self.cell[k] * 0.5_f64.powi(halvings)
    }

    /// Returns the coordinate of line `at` of axis `k`: halving a cell is exact, so that a line which two grids have is
    /// rounded once and alike.
    fn line(&self, k: usize, halvings: i32, at: i64) -> f64 {
        self.corner[k] + at as f64 * self.cell(k, halvings)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    const FIRST: [[f64; 2]; 2] = [[-1.234, 5.678], [0.1, 0.3]];

    /// Returns the lines of `one` that `other` has to the bit.
    fn shared(one: &[f64], other: &[f64]) -> usize {
        one.iter().filter(|line| other.contains(line)).count()
    }

    #[test]
    fn the_first_window_has_the_levels_of_a_grid_of_65_lines() {
        let (lattice, window) = Lattice::of(FIRST);
        let surface = lattice.surface(window);
        assert_eq!(surface.sides().map(|side| side.count), [65, 65]);
        assert_eq!(surface.sides()[0].lines(0), [0, 16, 32, 48, 64]);
        for (k, lines) in [surface.x(), surface.y()].into_iter().enumerate() {
            assert_eq!(lines[0], FIRST[k][0]);
            assert!((lines[64] - FIRST[k][1]).abs() < 1e-15);
        }
        // Given as numbers, it is the same.
        let ranges = lattice.ranges(window);
        assert_eq!(lattice.covering(ranges), window);
    }

    #[test]
    fn a_window_that_grew_has_every_line_of_the_one_before() {
        let (lattice, window) = Lattice::of(FIRST);
        let far = [FIRST[0][1] + 1.0, 0.2];
        let grown = lattice.grown(window, &[[0.0, 0.2], far]).unwrap();
        let [before, after] = [window, grown].map(|window| lattice.surface(window));
        assert_eq!(shared(before.x(), after.x()), 65);
        assert_eq!(after.y(), before.y());
        assert_eq!(after.x().len(), 16 * 5 + 1);
        assert!(lattice.has(grown, far) && !lattice.has(window, far));
        // What lies within is no reason to grow, and what lies elsewhere none to grow for ever.
        assert_eq!(lattice.grown(grown, &[far]), None);
        let away = lattice.grown(grown, &[[1e300, f64::MIN]]).unwrap();
        let sides = lattice.surface(away).sides();
        assert_eq!(sides.map(|side| side.coarsest), [8, 8]);
    }

    #[test]
    fn a_narrower_and_a_wider_window_share_the_lines_that_they_have_in_common() {
        let (lattice, window) = Lattice::of(FIRST);
        let first = lattice.surface(window);
        for (x, coarsest) in [([0.0, 3.0], 3..=7), ([-20.0, 20.0], 3..=7)] {
            let other = lattice.covering([x, FIRST[1]]);
            let surface = lattice.surface(other);
            assert!(coarsest.contains(&surface.sides()[0].coarsest));
            let [from, to] = lattice.ranges(other)[0];
            assert!(from <= x[0] && x[1] <= to, "{from} {to}");
            let common = shared(surface.x(), first.x());
            assert!(common >= 9, "{common} of {x:?}");
        }
    }
}
