//! Several maps side by side, on one colour scale with one legend.

use super::super::levels::level_with_each_other;
use super::super::picture::{Cell, Picture};
use super::super::title;
use super::{Area, MapScene, SampledScene, draw_in, legend};

/// A cell is twice as high as it is wide, and a panel looks best a little wider than high.
const ASPECT: f64 = 2.4;
/// Rows of a panel for each line of its title.
const ROWS_A_TITLE_LINE: usize = 3;
/// Narrowest picture with a legend.
const ROOM_FOR_LEGEND: usize = 70;

/// A map with its title line.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// Title that tells it from the others.
    pub title: String,
    /// The map; its levels are those of all panels.
    pub scene: MapScene<'a>,
}

/// Draws up to a handful of maps into this many cells. Any size will do.
#[must_use]
pub fn draw(panels: &[Panel<'_>], width: usize, height: usize) -> Picture {
    let mut picture = Picture::new(width, height);
    let Some(first) = panels.first() else {
        return picture;
    };
    let right = if width >= ROOM_FOR_LEGEND {
        legend::WIDTH + 1
    } else {
        0
    };
    let [columns, rows] = grid(panels.len(), width - right, height);
    let cells = [(width - right) / columns, height / rows];
    if cells.contains(&0) {
        return picture;
    }
    let places = panels.iter().enumerate().map(|(i, panel)| {
        let place = Area {
            left: i % columns * cells[0],
            top: i / columns * cells[1],
            // A blank column and a title line keep the panels apart.
            width: cells[0] - usize::from(columns > 1).min(cells[0] - 1),
            height: cells[1],
        };
        (panel, place)
    });
    // Every map begins on the same row.
    let titled = places
        .clone()
        .map(|(panel, place)| title_lines(&panel.title, place).len());
    let titled = titled.max().unwrap_or(0);
    let mut sheets = Vec::new();
    for (panel, place) in places {
        let bold = Cell {
            bold: true,
            ..Cell::ink(panel.scene.palette.map(|palette| palette.text))
        };
        let title = title_lines(&panel.title, place);
        for (row, line) in title.iter().enumerate() {
            picture.print(place.left, place.top + row, line, bold);
        }
        let map = Area {
            top: place.top + titled,
            height: place.height - titled,
            ..place
        };
        sheets.push(SampledScene::without_levels(&panel.scene, map));
    }
    let mut losses: Vec<Vec<f64>> = sheets.iter().map(|map| map.losses().collect()).collect();
    level_with_each_other(&mut losses);
    let levels = first.scene.levels(losses.into_iter().flatten());
    for sampled in &mut sheets {
        sampled.levels = levels.clone();
        if sampled.area.height > 0 {
            let course = draw_in(sampled, &mut picture);
            course.ink(&mut picture, sampled.scene.selected);
        }
    }
    let all = Area {
        left: 0,
        top: 1,
        width: width - right,
        height: height - 1,
    };
    let legend = sheets
        .into_iter()
        .next()
        .filter(|_| right > 0 && height > 2);
    if let Some(sampled) = legend {
        SampledScene {
            area: all,
            ..sampled
        }
        .draw_legend(&mut picture);
    }
    picture
}

/// Returns the title line, on more lines where it is too long for one and the panel is high enough for them.
fn title_lines(title: &str, place: Area) -> Vec<String> {
    let rows = (place.height / ROWS_A_TITLE_LINE).max(1);
    title::lines(title, ", ", place.width, rows)
}

/// Returns the columns and rows of panels whose shape is nearest to the best one.
fn grid(count: usize, width: usize, height: usize) -> [usize; 2] {
    let shapes = (1..=count).map(|columns| [columns, count.div_ceil(columns)]);
    let misfit = |[columns, rows]: [usize; 2]| {
        let aspect = (width as f64 / columns as f64) / (height as f64 / rows as f64);
        let empty = (columns * rows - count) as f64 / count as f64;
        (aspect / ASPECT).ln().abs() + empty
    };
    shapes
        .min_by(|a, b| misfit(*a).total_cmp(&misfit(*b)))
        .unwrap_or([1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_are_spread_so_that_none_is_flat_or_thin() {
        assert_eq!(grid(1, 120, 40), [1, 1]);
        assert_eq!(grid(2, 120, 30), [2, 1]);
        assert_eq!(grid(2, 40, 40), [1, 2]);
        assert_eq!(grid(6, 140, 40), [3, 2]);
        assert_eq!(grid(4, 120, 40), [2, 2]);
    }
}
