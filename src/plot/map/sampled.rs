//! A scene with its surface sampled for the cells that show it.

use crate::landscape::grid::survey::spread;
use crate::landscape::{Field, Origin};

use super::super::levels::Levels;
use super::{Area, Layers, MapScene, SurfaceLayer};

/// Columns over which what is measured fades into what is not yet; a row counts as two of them.
const FADE: usize = 6;

/// Dimness from which a cell is dim where there are no shades, by row and column.
const SCATTER: [[f64; 2]; 2] = [[0.2, 0.6], [0.8, 0.4]];

/// Below this many cells lines only hide the bands.
const ROOM_FOR_LINES: (usize, usize) = (36, 12);

/// A scene with the loss sampled for the cells of its area.
pub(super) struct SampledScene<'a> {
    pub(super) scene: &'a MapScene<'a>,
    pub(super) area: Area,
    /// Nodes at the corners of the cells, the middles of their sides and their centres.
    pub(super) lattice: Option<Field>,
    pub(super) levels: Levels,
    /// Dimness of each cell of the area, row by row from the top: 1 where it is preliminary, and less the further
    /// it lies within what is not.
    pub(super) dimness: Vec<f64>,
}

impl<'a> SampledScene<'a> {
    pub(super) fn new(scene: &'a MapScene<'a>, area: Area) -> Self {
        let mut sampled = Self::without_levels(scene, area);
        sampled.levels = scene.levels(sampled.losses());
        sampled
    }

    /// Makes one still to be given the levels that other maps have too.
    pub(super) fn without_levels(scene: &'a MapScene<'a>, area: Area) -> Self {
        let backdrop = scene.backdrop;
        let mut sampled = Self {
            scene,
            area,
            lattice: backdrop.map(|backdrop| sample(scene, &backdrop, area)),
            levels: Levels::default(),
            dimness: Vec::new(),
        };
        sampled.dimness = sampled.fade();
        sampled
    }

    /// Returns the dimness of each cell: a smooth edge, so that the pieces in which a grid is measured are not
    /// taken for a part of the surface.
    fn fade(&self) -> Vec<f64> {
        let Area { width, height, .. } = self.area;
        let is_preliminary = |column: usize, row: usize| {
            let at = self.at(column, row);
            at.is_some_and(|(_, origin)| self.is_preliminary(origin))
        };
        let rows = 0..height;
        let places = rows.flat_map(|row| (0..width).map(move |column| (column, row)));
        let preliminary: Vec<bool> = places
            .clone()
            .map(|(column, row)| is_preliminary(column, row))
            .collect();
        if !preliminary.contains(&true) || !preliminary.contains(&false) {
            return preliminary
                .into_iter()
                .map(|dim| f64::from(u8::from(dim)))
                .collect();
        }
        let distance = |(column, row): (usize, usize)| {
            let columns = column.saturating_sub(FADE)..(column + FADE + 1).min(width);
            let rows = row.saturating_sub(FADE / 2)..(row + FADE / 2 + 1).min(height);
            let near = rows.flat_map(|j| columns.clone().map(move |i| (i, j)));
            let near = near.filter(|(i, j)| preliminary[j * width + i]);
            let apart = near.map(|(i, j)| {
                let [across, down] = [i.abs_diff(column), 2 * j.abs_diff(row)];
                (across as f64).hypot(down as f64)
            });
            apart.fold(f64::INFINITY, f64::min)
        };
        places
            .map(|place| (1.0 - distance(place) / FADE as f64).max(0.0))
            .collect()
    }

    /// Returns the dimness of a cell, 0 to 1; either where colours have no shades: then the edge is scattered.
    pub(super) fn dimness(&self, column: usize, row: usize) -> f64 {
        let dimness = self.dimness.get(row * self.area.width + column);
        let dimness = dimness.copied().unwrap_or(0.0);
        let has_shades = self
            .scene
            .palette
            .is_some_and(|palette| palette.bands.has_shades());
        if has_shades {
            return dimness;
        }
        let threshold = SCATTER[row % 2][column % 2];
        f64::from(u8::from(dimness > threshold))
    }

    pub(super) fn losses(&self) -> impl Iterator<Item = f64> {
        let fields = self.lattice.iter();
        fields.flat_map(|field| field.loss.iter().copied())
    }

    pub(super) fn has_bands(&self) -> bool {
        self.scene.layers != Layers::Lines
    }

    pub(super) fn has_lines(&self) -> bool {
        let room = self.area.width >= ROOM_FOR_LINES.0 && self.area.height >= ROOM_FOR_LINES.1;
        match self.scene.layers {
            Layers::Both => room,
            Layers::Bands => false,
            Layers::Lines => true,
        }
    }

    /// Returns the loss at the centre of a cell of the area; `None` if nothing is known there.
    pub(super) fn at(&self, column: usize, row: usize) -> Option<(f64, Origin)> {
        let field = self.lattice.as_ref()?;
        let (i, j) = (2 * column + 1, 2 * (self.area.height - 1 - row) + 1);
        let index = j * field.x.len() + i;
        let origin = *field.origin.get(index)?;
        (origin != Origin::Unknown).then_some((field.loss[index], origin))
    }

    pub(super) fn is_preliminary(&self, origin: Origin) -> bool {
        let backdrop = self.scene.backdrop;
        backdrop.is_some_and(|backdrop| backdrop.is_preliminary(origin))
    }

    /// Returns the place of a point of the plane in cells from the area's upper left corner.
    pub(super) fn place(&self, at: [f64; 2]) -> [f64; 2] {
        self.area.place(self.scene, at)
    }

    /// Returns the cell whose loss is known and that is nearest to a point of the surface, in or beside that in
    /// which it lies: at the surface's border the middle of that one may lie beyond. `None` outside the area.
    pub(super) fn known_cell(&self, at: [f64; 2]) -> Option<(usize, usize)> {
        let [across, down] = self.place(at);
        let (column, row) = self.cell(at)?;
        if self.at(column, row).is_some() {
            return Some((column, row));
        }
        let rows = row.saturating_sub(1)..=row + 1;
        let near = rows.flat_map(|j| (column.saturating_sub(1)..=column + 1).map(move |i| (i, j)));
        let near = near.filter(|&(i, j)| {
            i < self.area.width && j < self.area.height && self.at(i, j).is_some()
        });
        let apart = |&(i, j): &(usize, usize)| {
            (i as f64 + 0.5 - across).hypot(2.0 * (j as f64 + 0.5 - down))
        };
        near.min_by(|a, b| apart(a).total_cmp(&apart(b)))
    }

    /// Returns the cell of the area in which a point of the plane lies; `None` outside.
    pub(super) fn cell(&self, at: [f64; 2]) -> Option<(usize, usize)> {
        self.area.cell(self.place(at))
    }
}

/// Samples the surface at every half cell of the area.
fn sample(scene: &MapScene<'_>, backdrop: &SurfaceLayer<'_>, area: Area) -> Field {
    let lines = |[min, max]: [f64; 2], cells: usize| spread(min, max, 2 * cells + 1);
    backdrop.sample(&lines(scene.x, area.width), &lines(scene.y, area.height))
}

#[cfg(test)]
mod tests {
    use super::super::super::test_scene::{scene, surface};
    use super::*;

    #[test]
    fn the_lowest_point_at_the_border_of_a_surface_is_marked_on_it() {
        let surface = surface(|x, y| 2.0 + x + y);
        // A window that is wider than the surface, as beside another run.
        let scene = MapScene {
            x: [-1.16, 1.8],
            y: [-1.27, 2.1],
            ..scene(&surface, &[])
        };
        let area = Area {
            left: 0,
            top: 0,
            width: 30,
            height: 10,
        };
        let sampled = SampledScene::without_levels(&scene, area);
        let lowest = [-1.0, -1.0];
        let (column, row) = sampled.cell(lowest).unwrap_or_default();
        assert!(sampled.at(column, row).is_none(), "its own cell is beyond");
        let (column, row) = sampled.known_cell(lowest).unwrap_or_default();
        assert!(sampled.at(column, row).is_some());
        assert_eq!(sampled.known_cell([-3.0, 0.0]), None);
    }

    #[test]
    fn what_is_measured_fades_into_what_is_not_yet() {
        let surface = surface(|x, y| 0.3 + x * x + y * y);
        let scene = scene(&surface, &[]);
        let area = Area {
            left: 0,
            top: 0,
            width: 40,
            height: 12,
        };
        let mut sampled = SampledScene::without_levels(&scene, area);
        assert_eq!(sampled.dimness, [0.0; 480]);
        // The right half is only predicted.
        let Some(field) = &mut sampled.lattice else {
            unreachable!("there is a surface");
        };
        let columns = field.x.len();
        for (at, origin) in field.origin.iter_mut().enumerate() {
            if at % columns >= columns / 2 {
                *origin = Origin::Predicted;
            }
        }
        sampled.dimness = sampled.fade();
        for row in 0..12 {
            let row: Vec<f64> = (0..40).map(|column| sampled.dimness(column, row)).collect();
            assert!(row[20..].iter().all(|dimness| *dimness == 1.0));
            assert!(row[..20 - FADE].iter().all(|dimness| *dimness == 0.0));
            let largest = row.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(largest.fold(0.0, f64::max) < 0.2, "{row:?}");
        }
    }
}
