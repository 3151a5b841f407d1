//! The relief: the loss on the plane as a landscape, seen from where one likes, with the path on it.
//!
//! ```text
//!   loss           _____          z = ln(L + 10⁻³) (docs/math.md 11), from the lowest loss to the top
//!  ≥6 │       ____/_/_/_\___      level, as the map has it; what is higher has a flat top.
//!     │   ___/_/_●─_/__/__/       Lines of the mesh in the colours of their heights, and none where
//! 0.3 └__/_/_/_\_○_/__/__/        the surface itself hides them; the path over them, dotted where
//!       ╲____PC1____╱ PC2         it is hidden; a hole where nothing is known or no number.
//! ```
//!
//! Faces go into a z-buffer of the picture's dots (`depth`); then every dot of a line is asked whether a
//! face is in front of it. That holds for any view, from below as well.

mod camera;
mod canvas;
mod depth;
mod frame;
mod mesh;
mod path;
#[cfg(test)]
mod tests;

use super::chart::Chart;
use super::levels::LABEL_WIDTH;
use super::map::{Area, Layers, MapScene, band_colour};
use super::picture::{Cell, Picture};
use super::raster::Marker;

pub use camera::ViewAngle;

use camera::Camera;
use canvas::Canvas;
use depth::{Depths, walk};
use mesh::{Mesh, MeshDensity, Tone};
use path::ReliefPath;

/// Columns beside the box for the numbers of the loss.
const LABELS: usize = LABEL_WIDTH + 2;
/// Dots of a piece of a line.
const PIECE: f64 = 2.0;
/// Share by which the faces between the lines recede into the ground.
const FACE: f64 = 0.55;
/// Share by which lines stand out from the colours of the bands.
const LINE: f64 = 0.3;

/// Draws the surface and the path of a scene into this many cells, as seen from `view`. Any size will do; what
/// has no room is left out: numbers and titles first.
///
/// The layer of lines is the mesh, that of bands the faces between its lines; faces take colours, and are left
/// out without them.
#[must_use]
pub fn draw(scene: &MapScene<'_>, view: ViewAngle, width: usize, height: usize) -> Picture {
    chart(scene, view, width, height).looked_at(scene.selected)
}

/// Returns the relief as [`draw`] has it, whichever checkpoint is looked at.
#[must_use]
pub fn chart(scene: &MapScene<'_>, view: ViewAngle, width: usize, height: usize) -> Chart {
    let mut picture = Picture::new(width, height);
    if width == 0 || height == 0 {
        return picture.into();
    }
    let model = Model::new(scene, view, width, height);
    let trail = ReliefPath::of(&model, width, height);
    if model.has_faces() {
        model.draw_faces(&mut picture);
    }
    model.draw_lines(&mut picture, &trail);
    model.draw_labels(&mut picture);
    let course = model.course(&picture, &trail);
    Chart { picture, course }
}

/// Subject of a line of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ink {
    Outline,
    Surface(Tone),
}

/// A scene in the box, seen by a camera.
struct Model<'a> {
    scene: &'a MapScene<'a>,
    area: Area,
    camera: Camera,
    mesh: Mesh,
    /// The tone of each face in `depths`.
    tones: Vec<Tone>,
    depths: Depths,
}

impl<'a> Model<'a> {
    fn new(scene: &'a MapScene<'a>, view: ViewAngle, width: usize, height: usize) -> Self {
        let area = frame::arrange(width, height);
        let camera = Camera::fit(view, area);
        let mesh = Mesh::of(scene, density(scene.marker, camera.side()));
        let mut depths = Depths::new(2 * width, 4 * height);
        let mut tones = Vec::new();
        for quad in mesh.quads() {
            let [a, b, c, d] = quad.map(|node| camera.place(node.at));
            depths.fill([a, b, c], tones.len());
            depths.fill([a, c, d], tones.len());
            tones.push(quad[0].tone);
        }
        Self {
            scene,
            area,
            camera,
            mesh,
            tones,
            depths,
        }
    }

    fn has_faces(&self) -> bool {
        let shades = self.scene.palette.is_some_and(|t| t.bands.has_shades());
        shades && self.scene.layers != Layers::Lines && !self.scene.marker.is_ascii()
    }

    fn has_lines(&self) -> bool {
        self.scene.layers != Layers::Bands || !self.has_faces()
    }

    /// Draws the faces behind the cells, upper and lower half by themselves.
    fn draw_faces(&self, picture: &mut Picture) {
        let Some(palette) = self.scene.palette else {
            return;
        };
        let bands = self.mesh.levels.bands();
        let colour = |tone: Tone| {
            let colour = band_colour(&palette, tone.band, bands, tone.preliminary);
            colour.towards(palette.ground, FACE)
        };
        for row in 0..picture.height() {
            for column in 0..picture.width() {
                let [upper, lower] =
                    [0, 2].map(|half| self.tone(2 * column, 4 * row + half).map(colour));
                let symbol = match (upper, lower) {
                    (upper, lower) if upper == lower => ' ',
                    (Some(_), _) => '▀',
                    (None, _) => '▄',
                };
                let cell = Cell {
                    symbol,
                    background: lower.filter(|_| upper.is_some()),
                    ..Cell::ink(upper.or(lower).filter(|_| symbol != ' '))
                };
                picture.put(column, row, cell);
            }
        }
    }

    /// Returns the tone of the two by two dots from a column and a row on, if at least half of them are of a
    /// face.
    fn tone(&self, column: usize, row: usize) -> Option<Tone> {
        let dots = [(0, 0), (1, 0), (0, 1), (1, 1)];
        let mut faces = dots
            .into_iter()
            .filter_map(|(right, down)| self.depths.face(column + right, row + down));
        let _first = faces.next()?;
        Some(self.tones[faces.next()?])
    }

    fn draw_lines(&self, picture: &mut Picture, trail: &ReliefPath) {
        let mut canvas = Canvas::new(picture.width(), picture.height(), self.scene.marker);
        self.trace_box(&mut canvas);
        if self.has_lines() {
            self.trace_mesh(&mut canvas, trail);
        }
        for (column, row, dots, ink) in canvas.cells() {
            if let Some(symbol) = self.scene.marker.stroke(dots) {
                let ink = match ink {
                    Ink::Outline => self.scene.faint_ink(),
                    Ink::Surface(tone) => self.line_ink(tone),
                };
                picture.put(column, row, Cell { symbol, ..ink });
            }
        }
    }

    fn trace_mesh(&self, canvas: &mut Canvas<Ink>, trail: &ReliefPath) {
        for [from, to] in self.mesh.pieces() {
            let (start, end) = (self.camera.place(from.at), self.camera.place(to.at));
            walk(start, end, |column, row, depth| {
                if !self.depths.hides(column, row, depth) && !trail.is_near(column, row) {
                    canvas.dot(column, row, -depth, Ink::Surface(from.tone));
                }
            });
        }
    }

    fn line_ink(&self, tone: Tone) -> Cell {
        let bands = self.mesh.levels.bands();
        let colour = self.scene.palette.map(|palette| {
            let share = if tone.preliminary { LINE / 2.0 } else { LINE };
            band_colour(&palette, tone.band, bands, tone.preliminary).towards(palette.text, share)
        });
        Cell {
            dim: tone.preliminary && self.scene.palette.is_none(),
            ..Cell::ink(colour)
        }
    }
}

/// Returns the density of lines as far apart as these characters can still tell apart, on a ground of `side`
/// dots a side.
fn density(marker: Marker, side: f64) -> MeshDensity {
    let space = match marker {
        Marker::Braille | Marker::Octant => 8.0,
        Marker::Sextant => 10.0,
        Marker::Quadrant => 12.0,
        Marker::HalfBlock | Marker::Ascii => 16.0,
        Marker::Block => 24.0,
    };
    let spaces = (side / space).clamp(4.0, 32.0) as usize;
    let pieces = (side / spaces as f64 / PIECE).clamp(1.0, 8.0) as usize;
    MeshDensity { spaces, pieces }
}
