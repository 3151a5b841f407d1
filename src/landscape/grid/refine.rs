//! Points that a partly measured grid still needs, and the error that is to be expected of it.
//!
//! The grid is looked at as a tree of cells. A cell lies between four measured points of its level; once all
//! points of the next level in it and on its sides are measured, four smaller cells take its place. What the
//! coarser levels had predicted at a measured point, less what was measured there, is the point's
//! hierarchical surplus (Griebel 1998, "Adaptive sparse grid multilevel methods"). Monotone cubics
//! converge at least quadratically, so between the points of a level the error to be expected is a quarter of the
//! surpluses at them. Where that is too much the cell asks for the points of the next level. On a surface
//! that is rough at every scale no surplus is small, so that every point is measured.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::landscape::grid::surface::{Surface, log_loss};
use crate::landscape::grid::survey::{self, GridSide};

/// By how much an error falls from a level to the next.
pub(in crate::landscape) const DECAY: f64 = 0.25;
/// Lower bound of a cell's error relative to that of an equally large one beside it. Errors are assumed to
/// change slowly, so that a small surplus in the midst of large ones is not believed.
const KINSHIP: f64 = 0.25;
/// Contours that a picture has, about: evenly spaced in log-loss.
const CONTOURS: f64 = 12.0;
/// Multiple of the tolerance up to which an error cannot be seen in a cell that no contour crosses.
const BETWEEN_CONTOURS: f64 = 2.0;
/// A smaller range of log-loss is that of rounding errors in single precision.
const FLAT: f64 = 1e-5;

/// A cell between four measured points.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    level: usize,
    /// Place among the cells of its level.
    place: [usize; 2],
    /// The grid's columns at its sides.
    columns: [usize; 2],
    /// The grid's rows at its sides.
    rows: [usize; 2],
    /// Mean error, a share of the range: that which was found where all points of the next level are measured, else
    /// that which is expected; infinite where there is nothing to tell it from.
    error: f64,
    /// True if a contour passes, or the border of a hole.
    is_crossed: bool,
    /// True if its sides are neighbouring lines of the grid.
    is_finest: bool,
    /// Points in it and on its sides that the next level would measure.
    open: Vec<(usize, usize)>,
}

impl Cell {
    fn is_replaced(&self) -> bool {
        !self.is_finest && self.open.is_empty()
    }

    fn asks(&self, tolerance: f64) -> bool {
        let least = if self.is_crossed {
            tolerance
        } else {
            BETWEEN_CONTOURS * tolerance
        };
        !self.open.is_empty() && self.error > least
    }
}

/// A surface's estimate of its own error.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    tolerance: f64,
    cells: Vec<Cell>,
    /// True if all of level 0 is measured.
    stands: bool,
}

impl Estimate {
    /// Estimates the error of what is measured now.
    #[must_use]
    pub fn of(surface: &Surface) -> Self {
        let tree = Tree::of(surface);
        let (mut level, stands) = tree.coarsest();
        let mut cells = Vec::new();
        while !level.is_empty() {
            share(&mut level);
            let (replaced, standing): (Vec<_>, Vec<_>) =
                level.into_iter().partition(Cell::is_replaced);
            cells.extend(standing);
            level = replaced.iter().flat_map(|cell| tree.finer(cell)).collect();
        }
        Self {
            tolerance: surface.tolerance(),
            stands,
            cells,
        }
    }

    /// Returns the mean error that is to be expected of the surface between its points, a share of the range of
    /// log-loss (docs/math.md 11); `None` until two levels are measured, for there is nothing to tell it from.
    #[must_use]
    pub fn expected(&self) -> Option<f64> {
        let area = |cell: &Cell| {
            ((cell.columns[1] - cell.columns[0]) * (cell.rows[1] - cell.rows[0])) as f64
        };
        let whole: f64 = self.cells.iter().map(area).sum();
        let sum: f64 = (self.cells.iter())
            .map(|cell| cell.error * area(cell))
            .sum();
        (self.stands && sum.is_finite() && whole > 0.0).then(|| sum / whole)
    }

    /// Returns the points that are asked for, (column, row): those of the cells with the largest expected errors
    /// first. None is left where the surface rests.
    #[must_use]
    pub fn wanted(&self) -> Vec<(usize, usize)> {
        let asking = self.cells.iter().filter(|cell| cell.asks(self.tolerance));
        let mut asking: Vec<&Cell> = asking.collect();
        asking.sort_by(|a, b| b.error.total_cmp(&a.error));
        let mut points = Vec::new();
        let mut seen = HashSet::new();
        for point in asking.into_iter().flat_map(|cell| &cell.open) {
            if seen.insert(*point) {
                points.push(*point);
            }
        }
        points
    }

    /// Returns for each gap between the grid's neighbouring columns and rows, entry row · width + column, true
    /// if it rests; `None` if nothing is known yet.
    pub(in crate::landscape) fn rests(&self, width: usize, height: usize) -> Vec<Option<bool>> {
        let mut ground = vec![None; width * height];
        for cell in &self.cells {
            let rests = !cell.asks(self.tolerance);
            for row in cell.rows[0]..cell.rows[1] {
                ground[row * width..][cell.columns[0]..cell.columns[1]].fill(Some(rests));
            }
        }
        ground
    }
}

/// A surface as a tree of cells.
struct Tree<'a> {
    surface: &'a Surface,
    /// |surplus| of each point of the grid as a share of the range, NaN where there is none.
    surplus: Vec<f64>,
    /// Lowest log-loss and the range above it.
    lowest: f64,
    range: f64,
    /// Columns and rows of each level.
    lines: Vec<[Vec<usize>; 2]>,
    /// For each column and each row the first level that has it.
    first: [Vec<usize>; 2],
}

impl<'a> Tree<'a> {
    fn of(surface: &'a Surface) -> Self {
        let sides = surface.sides();
        let [lowest, highest] = surface.range();
        let range = (highest - lowest).max(FLAT);
        let mut surplus = vec![f64::NAN; sides[0].count * sides[1].count];
        surface.hierarchy(
            |measure| log_loss(measure.loss),
            |at, predicted, measured| {
                surplus[at] = match (predicted.is_finite(), measured.is_finite()) {
                    (true, true) => (measured - predicted).abs() / range,
                    (false, false) => 0.0,
                    // A hole that was not expected, or none where one was, is off by the whole range.
                    _ => 1.0,
                };
            },
        );
        Self {
            surface,
            surplus,
            lowest,
            range,
            lines: (0..survey::levels(sides))
                .map(|level| sides.map(|side| side.lines(level)))
                .collect(),
            first: sides.map(GridSide::first_levels),
        }
    }

    /// Returns the cells of level 0 that stand, and whether those are all.
    fn coarsest(&self) -> (Vec<Cell>, bool) {
        let [columns, rows] = [0, 1].map(|d| self.lines[0][d].len().saturating_sub(1));
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| [column, row]));
        let cells: Vec<Cell> = places
            .filter_map(|place| self.cell(0, place, f64::INFINITY))
            .collect();
        let stand = cells.len() == columns * rows;
        (cells, stand)
    }

    /// Returns a cell, where its corners are measured; `parent` is the expected error of the one it replaces.
    fn cell(&self, level: usize, place: [usize; 2], parent: f64) -> Option<Cell> {
        let sides = [0, 1].map(|d| [0, 1].map(|side| self.lines[level][d][place[d] + side]));
        let [columns, rows] = sides;
        let corners = rows.map(|j| columns.map(|i| (i, j)));
        let corners = corners.as_flattened();
        if corners
            .iter()
            .any(|&(i, j)| self.surface.get(i, j).is_none())
        {
            return None;
        }
        let [across, up] = self.within(level + 1, sides);
        let children = up.flat_map(|j| across.clone().map(move |i| (i, j)));
        let children =
            children.map(|(i, j)| (self.lines[level + 1][0][i], self.lines[level + 1][1][j]));
        let children: Vec<(usize, usize)> =
            children.filter(|point| !corners.contains(point)).collect();
        let open: Vec<(usize, usize)> = (children.iter().copied())
            .filter(|&(i, j)| self.surface.get(i, j).is_none())
            .collect();
        Some(Cell {
            level,
            place,
            columns,
            rows,
            error: if children.is_empty() {
                0.0
            } else if open.is_empty() {
                self.surplus(&children).unwrap_or(0.0)
            } else {
                self.expected(level, corners, parent)
            },
            is_crossed: self.is_crossed(corners),
            is_finest: children.is_empty(),
            open,
        })
    }

    /// Returns the lines of a level within some columns and rows, by their number on that level.
    fn within(&self, level: usize, sides: [[usize; 2]; 2]) -> [Range<usize>; 2] {
        let Some(lines) = self.lines.get(level) else {
            return [0..0, 0..0];
        };
        [0, 1].map(|d| {
            let [from, to] = sides[d];
            lines[d].partition_point(|line| *line < from)
                ..lines[d].partition_point(|line| *line <= to)
        })
    }

    /// Returns the cells of the next level that take a cell's place.
    fn finer(&self, cell: &Cell) -> Vec<Cell> {
        let level = cell.level + 1;
        let [across, up] = self.within(level, [cell.columns, cell.rows]);
        let gaps = |lines: Range<usize>| lines.start..lines.end.saturating_sub(1);
        let places = gaps(up).flat_map(|row| gaps(across.clone()).map(move |column| [column, row]));
        places
            .filter_map(|place| self.cell(level, place, cell.error))
            .collect()
    }

    /// Returns the mean surplus of some points; `None` of no points.
    fn surplus(&self, points: &[(usize, usize)]) -> Option<f64> {
        let width = self.surface.x().len();
        let sum: f64 = (points.iter())
            .map(|(i, j)| self.surplus[j * width + i])
            .sum();
        (!points.is_empty()).then(|| sum / points.len() as f64)
    }

    /// Returns the error to be expected in a cell: from the surpluses at those of its corners that its level
    /// added, and at least what its parent's leads to expect.
    fn expected(&self, level: usize, corners: &[(usize, usize)], parent: f64) -> f64 {
        if level == 0 {
            return f64::INFINITY;
        }
        let holes = corners.iter().filter(|at| self.height(**at).is_nan());
        let border = match holes.count() {
            0 => 0.0,
            // In a hole there is nothing to see.
            count if count == corners.len() => return 0.0,
            // Somewhere in the cell is its border: on one side of it the whole range is missed.
            _ => 1.0,
        };
        let is_new = |(i, j): &(usize, usize)| self.first[0][*i].max(self.first[1][*j]) == level;
        let new: Vec<(usize, usize)> = corners.iter().copied().filter(is_new).collect();
        match self.surplus(&new) {
            Some(surplus) => DECAY * surplus.max(parent).max(border),
            None => parent,
        }
    }

    /// Returns the log-loss, NaN where it is not finite.
    fn height(&self, (i, j): (usize, usize)) -> f64 {
        let height = self.surface.get(i, j).map(|measure| log_loss(measure.loss));
        height.filter(|z| z.is_finite()).unwrap_or(f64::NAN)
    }

    fn is_crossed(&self, corners: &[(usize, usize)]) -> bool {
        let band = |at: &(usize, usize)| {
            ((self.height(*at) - self.lowest) / self.range * CONTOURS).floor()
        };
        let first = corners.first().map_or(f64::NAN, band);
        corners.iter().any(|at| band(at) != first)
    }
}

/// Gives each cell of a level its share of the errors of those beside it, at its sides and corners.
fn share(level: &mut [Cell]) {
    let own: HashMap<[usize; 2], f64> = level.iter().map(|cell| (cell.place, cell.error)).collect();
    for cell in level.iter_mut().filter(|cell| !cell.open.is_empty()) {
        let [column, row] = cell.place;
        for beside in (0..9).map(|k| [column + k % 3, row + k / 3]) {
            let place = beside.map(|p| p.checked_sub(1));
            if let [Some(column), Some(row)] = place
                && let Some(error) = own.get(&[column, row]).filter(|e| e.is_finite())
            {
                cell.error = cell.error.max(KINSHIP * error);
            }
        }
    }
}
