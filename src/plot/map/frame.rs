//! Around the map: how the picture is divided, ticks and titles of the axes.

use super::super::axis::ticks;
use super::super::picture::Picture;
use super::{Area, MapScene, SampledScene, legend};

/// Columns left of the map for the ticks of the second axis.
const GUTTER: usize = 8;
/// Smallest picture with axes; where there is a path alone, their numbers are all there are.
const ROOM_FOR_AXES: (usize, usize) = (44, 11);
const ROOM_FOR_AXES_OF_A_PATH: (usize, usize) = (30, 9);
/// Smallest picture with a legend.
const ROOM_FOR_LEGEND: (usize, usize) = (58, 11);

/// Whether a picture of this size has axes.
#[must_use]
pub fn has_axes(scene: &MapScene<'_>, width: usize, height: usize) -> bool {
    let least = match scene.backdrop {
        Some(_) => ROOM_FOR_AXES,
        None => ROOM_FOR_AXES_OF_A_PATH,
    };
    width >= least.0 && height >= least.1
}

/// Divides the picture between map, axes and legend.
pub(super) fn arrange(scene: &MapScene<'_>, width: usize, height: usize) -> Area {
    let has_room = |room: (usize, usize)| width >= room.0 && height >= room.1;
    let has_axes = has_axes(scene, width, height);
    let left = if has_axes { GUTTER } else { 0 };
    let bottom = usize::from(has_axes);
    let right = if has_room(ROOM_FOR_LEGEND) && scene.backdrop.is_some() {
        legend::WIDTH
    } else {
        0
    };
    Area {
        left,
        top: 0,
        width: width - left - right,
        height: height - bottom,
    }
}

impl SampledScene<'_> {
    pub(super) fn draw_axes(&self, picture: &mut Picture) {
        if self.area.left == 0 {
            return;
        }
        self.draw_vertical_axis(picture);
        self.draw_horizontal_axis(picture);
    }

    fn draw_vertical_axis(&self, picture: &mut Picture) {
        let title = &self.scene.axes[1];
        let end = self.area.left - 1;
        picture.print_right(end, 0, &title.name, self.scene.title_ink());
        let mut free_from = 2;
        if let Some(percent) = title.percent() {
            picture.print_right(end, 1, &percent, self.scene.text_ink());
            free_from = 3;
        }
        let [min, max] = self.scene.y;
        for tick in ticks(min, max, (self.area.height / 3).clamp(2, 9)) {
            let Some((_, row)) = self.cell([self.scene.x[0], tick.at]) else {
                continue;
            };
            if row >= free_from {
                picture.print_right(end, row, &tick.label, self.scene.faint_ink());
                let dash = if self.scene.marker.is_ascii() {
                    '-'
                } else {
                    '╶'
                };
                picture.print_right(end + 1, row, &dash.to_string(), self.scene.faint_ink());
            }
        }
    }

    fn draw_horizontal_axis(&self, picture: &mut Picture) {
        let row = self.area.height;
        let end = self.area.left + self.area.width;
        let title = &self.scene.axes[0];
        let percent = title.percent().map_or(String::new(), |p| format!(" {p}"));
        let free_until = end - (title.name.chars().count() + percent.chars().count()).min(end);
        picture.print_right(end, row, &percent, self.scene.text_ink());
        picture.print_right(
            end - percent.chars().count(),
            row,
            &title.name,
            self.scene.title_ink(),
        );
        let [min, max] = self.scene.x;
        for tick in ticks(min, max, (self.area.width / 7).clamp(2, 9)) {
            let Some((column, _)) = self.cell([tick.at, self.scene.y[0]]) else {
                continue;
            };
            let length = tick.label.chars().count();
            let start = (self.area.left + column).saturating_sub(length / 2);
            if start + length + 1 < free_until {
                picture.print(start, row, &tick.label, self.scene.faint_ink());
            }
        }
    }
}
