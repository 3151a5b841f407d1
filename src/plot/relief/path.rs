//! The path of the run on the surface, and the marks on it.

use super::super::chart::{CellPlace, Course, Stroke};
use super::super::map::path::{Marks, uncrowded};
use super::super::picture::{Cell, Picture, Rgb};
use super::super::raster::clip;
use super::Model;
use super::canvas::Canvas;
use super::depth::walk;

/// The path lies this much above the surface, as a share of the box's height.
const LIFT: f64 = 0.01;
/// Points of the path between two lines of the mesh.
const FINENESS: f64 = 2.0;
/// Share of its colour that a hidden part keeps.
const HIDDEN: f64 = 0.55;
/// Newest first, but what is seen before what is hidden.
const SEEN: f64 = 1e12;

/// The mesh keeps off the path by this many dots across, and half as many down.
const MOAT: usize = 3;

/// A dot of the path: the checkpoint to which it leads, and whether the surface hides it.
type Trace = (usize, bool);

/// Place at which a point of the path is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Station {
    place: [f64; 3],
    on_surface: bool,
}

/// The path as dots, and what they need of room.
pub(super) struct ReliefPath {
    canvas: Canvas<Trace>,
    /// Dots a row, and for each dot whether a piece of the path that is seen is near.
    width: usize,
    near: Vec<bool>,
}

impl ReliefPath {
    /// Projects the trail of a model into a picture of this number of cells.
    pub(super) fn of(model: &Model<'_>, width: usize, height: usize) -> Self {
        let mut trail = Self {
            canvas: Canvas::new(width, height, model.scene.marker),
            width: 2 * width,
            near: vec![false; 8 * width * height],
        };
        for (i, segment) in model.scene.path.windows(2).enumerate() {
            model.trace(&mut trail, [segment[0], segment[1]], i + 1);
        }
        trail
    }

    /// Returns true if a dot of the mesh would touch the path.
    pub(super) fn is_near(&self, column: usize, row: usize) -> bool {
        let index = row * self.width + column;
        column < self.width && self.near.get(index).copied().unwrap_or_default()
    }

    fn dot(&mut self, (column, row): (usize, usize), (checkpoint, hidden): Trace) {
        let rank = checkpoint as f64 + if hidden { 0.0 } else { SEEN };
        self.canvas.dot(column, row, rank, (checkpoint, hidden));
        if hidden {
            return;
        }
        let across = column.saturating_sub(MOAT)..(column + MOAT + 1).min(self.width);
        for row in row.saturating_sub(MOAT / 2)..=row + MOAT / 2 {
            let start = row * self.width;
            let moat = start + across.start..start + across.end;
            if let Some(dots) = self.near.get_mut(moat) {
                dots.fill(true);
            }
        }
    }
}

impl Model<'_> {
    /// Returns the path over what is drawn below it.
    pub(super) fn course(&self, picture: &Picture, trail: &ReliefPath) -> Course {
        let mut strokes = Vec::new();
        for (column, row, dots, (checkpoint, hidden)) in trail.canvas.cells() {
            if let Some(symbol) = self.scene.marker.stroke(dots) {
                strokes.push(self.stroke(picture, (column, row), symbol, checkpoint, hidden));
            }
        }
        let stations: Vec<_> = (self.scene.path.iter())
            .map(|point| self.cell(*point))
            .collect();
        let marks = Marks::of(self.scene.marker);
        for (i, place) in uncrowded(&stations) {
            let point = self.scene.path.get(i);
            if point.is_none_or(|point| !self.is_hidden(*point)) {
                let symbol = self.scene.point(marks, i);
                strokes.push(self.stroke(picture, place, symbol, i, false));
            }
        }
        let lowest = self.scene.backdrop.and_then(|backdrop| {
            let (a, b, _) = backdrop.surface.lowest()?;
            self.cell([a, b])
        });
        let marks = self.scene.marks(&stations, lowest).into_iter();
        strokes.extend(marks.map(|(place, cell)| Stroke::mark(place, cell)));
        Course {
            strokes,
            stations,
            selected: self.scene.selected_mark(),
        }
    }

    /// Draws the dots of a segment, where it is within the window; every other one where it is hidden.
    fn trace(&self, trail: &mut ReliefPath, segment: [[f64; 2]; 2], checkpoint: usize) {
        let [from, to] = segment.map(|point| self.ground(point));
        let Some([from, to]) = clip(from, to, [1.0, 1.0]) else {
            return;
        };
        let length = (to[0] - from[0]).hypot(to[1] - from[1]);
        let density = self.mesh.density;
        let pieces = (length * (density.spaces * density.pieces) as f64 * FINENESS).ceil();
        let station = |piece: usize| {
            let share = piece as f64 / pieces.max(1.0);
            self.station([0, 1].map(|k| from[k] + (to[k] - from[k]) * share))
        };
        for piece in 0..pieces as usize {
            let (near, far) = (station(piece), station(piece + 1));
            // At the rim of a hole the path would climb a wall that is not there.
            if near.on_surface != far.on_surface {
                continue;
            }
            walk(near.place, far.place, |column, row, depth| {
                let hidden = self.depths.hides(column, row, depth);
                if !hidden || (column + row).is_multiple_of(2) {
                    trail.dot((column, row), (checkpoint, hidden));
                }
            });
        }
    }

    fn stroke(
        &self,
        picture: &Picture,
        place: CellPlace,
        symbol: char,
        checkpoint: usize,
        hidden: bool,
    ) -> Stroke {
        let background = picture.background(place.0, place.1);
        let behind = background.or(self.scene.palette.map(|palette| palette.ground));
        let faded = |ink: Rgb| behind.map_or(ink, |behind| behind.towards(ink, HIDDEN));
        let dimmed = |cell: Cell| Cell {
            bold: false,
            dim: self.scene.palette.is_none(),
            foreground: cell.foreground.map(faded),
            ..cell
        };
        let cells = self.scene.trace(symbol, checkpoint, background);
        Stroke {
            place,
            checkpoint,
            cells: if hidden { cells.map(dimmed) } else { cells },
        }
    }

    /// Returns the place of a point of the ground (0 to 1 each) on the surface; on the ground if there is none.
    fn station(&self, [a, b]: [f64; 2]) -> Station {
        let height = self.mesh.height([a, b]);
        let up = height.map_or(0.0, |height| height + LIFT);
        Station {
            place: self.camera.place([a, b, up]),
            on_surface: height.is_some(),
        }
    }

    /// Returns a point of the plane in shares of the window.
    fn ground(&self, point: [f64; 2]) -> [f64; 2] {
        let share = |value: f64, [min, max]: [f64; 2]| (value - min) / (max - min);
        [share(point[0], self.scene.x), share(point[1], self.scene.y)]
    }

    /// Returns the place of a point of the plane on the picture; `None` outside the window.
    fn seen(&self, point: [f64; 2]) -> Option<[f64; 3]> {
        let ground = self.ground(point);
        let within = ground.iter().all(|share| (0.0..=1.0).contains(share));
        within.then(|| self.station(ground).place)
    }

    fn cell(&self, point: [f64; 2]) -> Option<(usize, usize)> {
        let [across, down, _] = self.seen(point)?;
        Some((across as usize / 2, down as usize / 4))
    }

    /// Returns true if the surface is in front of a point of the path.
    pub(super) fn is_hidden(&self, point: [f64; 2]) -> bool {
        self.seen(point).is_some_and(|[across, down, depth]| {
            self.depths.hides(across as usize, down as usize, depth)
        })
    }
}
