//! Around the surface: the outline of the ground, the axis of the loss, and the titles.

use super::super::map::Area;
use super::super::picture::Picture;
use super::super::raster::Marker;
use super::canvas::Canvas;
use super::depth::walk;
use super::mesh::Tone;
use super::{Ink, LABELS, Model};

/// Smallest picture with titles and numbers.
const ROOM: (usize, usize) = (44, 12);

/// Returns the part of a picture that the box may take.
pub(super) fn arrange(width: usize, height: usize) -> Area {
    let has_room = width >= ROOM.0 && height >= ROOM.1;
    let (side, above, below) = if has_room { (LABELS, 1, 1) } else { (0, 0, 0) };
    Area {
        left: side,
        top: above,
        width: width - 2 * side,
        height: height - above - below,
    }
}

impl Model<'_> {
    /// Draws the outline of the ground and the axis of the loss, in the colours of its heights.
    pub(super) fn trace_box(&self, canvas: &mut Canvas<Ink>) {
        let corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]];
        for side in corners.windows(2) {
            let [from, to] = [side[0], side[1]].map(|[a, b]| [a, b, 0.0]);
            self.trace_edge(canvas, [from, to], Ink::Outline);
        }
        let [a, b] = self.loss_corner();
        let mut low = 0.0;
        for (band, high) in self.rungs().into_iter().enumerate() {
            let tone = Tone {
                band,
                preliminary: false,
            };
            self.trace_edge(canvas, [[a, b, low], [a, b, high]], Ink::Surface(tone));
            low = high;
        }
    }

    fn trace_edge(&self, canvas: &mut Canvas<Ink>, ends: [[f64; 3]; 2], ink: Ink) {
        let [from, to] = ends.map(|end| self.camera.place(end));
        walk(from, to, |column, row, depth| {
            if !self.depths.hides(column, row, depth) {
                canvas.dot(column, row, -depth, ink);
            }
        });
    }

    /// Returns the heights of the levels, ascending.
    fn rungs(&self) -> Vec<f64> {
        let levels = self.mesh.levels.values().iter();
        levels
            .filter_map(|level| self.mesh.heights.height(*level))
            .collect()
    }

    /// Returns the corner of the ground at the left end of the picture; of two, the farther one.
    fn loss_corner(&self) -> [f64; 2] {
        let left = |axis: usize| {
            let across = self.camera.way(axis)[0];
            let back = self.camera.recedes(axis) > 0.0;
            let first = if across.abs() < 0.5 {
                !back
            } else {
                across > 0.0
            };
            f64::from(u8::from(!first))
        };
        [left(0), left(1)]
    }

    pub(super) fn draw_labels(&self, picture: &mut Picture) {
        if self.area.left == 0 {
            return;
        }
        self.draw_losses(picture);
        for axis in 0..2 {
            self.draw_title(picture, axis);
        }
    }

    /// Draws the lowest loss, the levels and the top one beside their heights.
    fn draw_losses(&self, picture: &mut Picture) {
        let levels = &self.mesh.levels;
        let Some(lowest) = levels.lowest_label() else {
            return;
        };
        let [a, b] = self.loss_corner();
        let row = |height: f64| self.camera.place([a, b, height])[1] as usize / 4;
        let end = (self.camera.place([a, b, 0.0])[0] as usize / 2).saturating_sub(1);
        let (ink, faint) = (self.scene.text_ink(), self.scene.faint_ink());
        let low = row(0.0);
        picture.print_right(end, low, &lowest, ink);
        let rungs = self.rungs();
        let Some((top, between)) = rungs.split_last() else {
            return;
        };
        let high = row(*top);
        if high + 1 >= low {
            return;
        }
        picture.print_right(end, high, &self.top_label(), ink);
        if let Some(above) = high.checked_sub(1) {
            picture.print_right(end, above, "loss", self.scene.title_ink());
        }
        let mut free = high + 2;
        for (level, height) in between.iter().enumerate().rev() {
            let row = row(*height);
            if row >= free && row + 2 <= low {
                picture.print_right(end, row, &levels.label(level), faint);
                free = row + 2;
            }
        }
    }

    /// Returns the top level, and that there is more above it where there is.
    fn top_label(&self) -> String {
        let levels = &self.mesh.levels;
        let top = levels.label(levels.values().len().saturating_sub(1));
        match (self.mesh.clipped, self.scene.marker) {
            (false, _) => top,
            (true, Marker::Ascii) => format!(">{top}"),
            (true, _) => format!("≥{top}"),
        }
    }

    /// Draws name and share of an axis below the middle of the edge of the ground that is nearest.
    fn draw_title(&self, picture: &mut Picture, axis: usize) {
        let title = &self.scene.axes[axis];
        let name = format!("{} {}", title.name, self.arrow(axis));
        let percent = title.percent().map_or(String::new(), |p| format!(" {p}"));
        let length = name.chars().count() + percent.chars().count();
        let mut middle = [0.5, 0.5, 0.0];
        middle[1 - axis] = self.near_end(1 - axis);
        let [across, down, _] = self.camera.place(middle);
        let centre = self.camera.place([0.5, 0.5, 0.0])[0];
        let column = across as usize / 2;
        let slope = self.camera.way(axis);
        let start = if slope[1].abs() < 0.1 * slope[0].abs() {
            column.saturating_sub(length / 2)
        } else if across < centre {
            column.saturating_sub(length + 1)
        } else {
            column + 2
        };
        let start = start.min(picture.width().saturating_sub(length));
        let row = (down as usize / 4 + 1).min(picture.height() - 1);
        picture.print(start, row, &name, self.scene.title_ink());
        let after = start + name.chars().count();
        picture.print(after, row, &percent, self.scene.text_ink());
    }

    /// Returns the end of an axis that is nearer to the eye; where both are as near, that to the right.
    fn near_end(&self, axis: usize) -> f64 {
        let recedes = self.camera.recedes(axis);
        let far = if recedes.abs() > 1e-9 {
            recedes > 0.0
        } else {
            self.camera.way(axis)[0] < 0.0
        };
        f64::from(u8::from(!far))
    }

    /// Returns the way an axis runs on the picture, as one of eight arrows.
    fn arrow(&self, axis: usize) -> char {
        let [across, down] = self.camera.way(axis);
        let eighth = ((-down).atan2(across) / std::f64::consts::FRAC_PI_4).round() as i32;
        let arrows = match self.scene.marker {
            Marker::Ascii => ['>', '>', '^', '<', '<', '<', 'v', '>'],
            _ => ['→', '↗', '↑', '↖', '←', '↙', '↓', '↘'],
        };
        arrows[eighth.rem_euclid(8) as usize]
    }
}
