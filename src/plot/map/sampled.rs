//! A scene with its surface sampled for the cells that show it.

use crate::landscape::field::{Field, Origin};
use crate::landscape::survey::spread;

use super::super::levels::Levels;
use super::{Area, Backdrop, Layers, MapScene};

/// Below this many cells lines only hide the bands.
const ROOM_FOR_LINES: (usize, usize) = (36, 12);

/// A scene with the loss sampled for the cells of its area.
pub(super) struct SampledScene<'a> {
    pub(super) scene: &'a MapScene<'a>,
    pub(super) area: Area,
    /// Nodes at the corners of the cells, the middles of their sides and their centres.
    pub(super) lattice: Option<Field>,
    pub(super) levels: Levels,
}

impl<'a> SampledScene<'a> {
    pub(super) fn new(scene: &'a MapScene<'a>, area: Area) -> Self {
        let mut sampled = Self::without_levels(scene, area);
        sampled.levels = scene.levels(sampled.losses());
        sampled
    }

    /// Still to be given the levels that other maps have too.
    pub(super) fn without_levels(scene: &'a MapScene<'a>, area: Area) -> Self {
        let backdrop = scene.backdrop;
        Self {
            scene,
            area,
            lattice: backdrop.map(|backdrop| sample(scene, &backdrop, area)),
            levels: Levels::default(),
        }
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

    /// Place of a point of the plane in cells from the area's upper left corner.
    pub(super) fn place(&self, at: [f64; 2]) -> [f64; 2] {
        self.area.place(self.scene, at)
    }

    /// Returns the cell of the area in which a point of the plane lies; `None` outside.
    pub(super) fn cell(&self, at: [f64; 2]) -> Option<(usize, usize)> {
        self.area.cell(self.place(at))
    }
}

/// Samples the surface at every half cell of the area.
fn sample(scene: &MapScene<'_>, backdrop: &Backdrop<'_>, area: Area) -> Field {
    let lines = |[min, max]: [f64; 2], cells: usize| spread(min, max, 2 * cells + 1);
    backdrop.sample(&lines(scene.x, area.width), &lines(scene.y, area.height))
}
