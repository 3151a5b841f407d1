//! The surface and the slices of one window, as far as they are measured, on few samples and on all.

use crate::landscape::fidelity::Complement;
use crate::landscape::refine::Estimate;
use crate::landscape::surface::{Measure, Surface};
use crate::landscape::survey;
use crate::landscape::worker::protocol::Query;
use crate::loss::Score;

use super::measure_cache::MeasureCache;
use super::snapshot::{Fidelity, Slice, Window};

/// Lines a side of the finest level: levels of 5, 9, 17, 33 and 65 lines.
pub const LINES: usize = 65;
/// Points of a slice; one of them is the checkpoint itself.
const SLICE_POINTS: usize = 21;

/// Number of samples that are measured everywhere, where these are not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Few {
    /// These are measured everywhere.
    pub few: usize,
    /// All.
    pub all: usize,
    /// The score beside the loss; `None` if it has none.
    pub score: Option<Score>,
}

/// Surface and slices that the answers of a plan fill.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// Number of samples that are measured everywhere; `None` if all are, or if there is no plane.
    pub few: Option<Few>,
    /// The surface on the samples that are measured everywhere; without lines where there is no plane.
    pub surface: Surface,
    /// Slices on these.
    pub slices: Vec<Slice>,
    /// The surface on all samples, where it is measured on a coarse grid alone.
    full: Surface,
}

/// The pictures as they are shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The surface on all samples, or its estimate.
    pub surface: Surface,
    /// Slices, likewise.
    pub slices: Vec<Slice>,
    /// The samples of an estimate; `None` if the surface is measured.
    pub fidelity: Option<Fidelity>,
    /// The mean error that is to be expected, with that of the difference: a share of the range of log-loss.
    pub error: Option<f64>,
}

impl Pictures {
    /// Creates the empty pictures of a window: with 2 `axes` on a plane, 1 on a line, 0 at a point.
    #[must_use]
    pub fn new(window: Window, axes: usize, few: Option<Few>) -> Self {
        let sides = [window.x, window.y];
        let [x, y] = match axes {
            2 => sides.map(|[min, max]| survey::spread(min, max, LINES)),
            _ => [Vec::new(), Vec::new()],
        };
        Self {
            few: few.filter(|_| axes == 2),
            surface: Surface::new(x.clone(), y.clone()),
            slices: (0..axes).map(|axis| slice(axis, sides[axis])).collect(),
            full: Surface::new(x, y),
        }
    }

    /// Returns the query for a point of the pictures.
    #[must_use]
    pub fn query(&self, at: [f64; 2]) -> Query {
        match self.few {
            Some(Few { few: samples, .. }) => Query::OnFew { at, samples },
            None => Query::OnPlane(at),
        }
    }

    /// Returns the coordinates of point (column, row) of the surface.
    #[must_use]
    pub fn place(&self, (i, j): (usize, usize)) -> [f64; 2] {
        [self.surface.x()[i], self.surface.y()[j]]
    }

    /// Takes what was measured on all samples at the current checkpoint's projection: the middle of the slices,
    /// where these are measured on all.
    pub fn fill_middles(&mut self, measure: Measure) {
        for slice in self.slices.iter_mut().filter(|_| self.few.is_none()) {
            let here = slice.offset.iter().position(|offset| *offset == 0.0);
            if let Some(value) = here.and_then(|here| slice.values.get_mut(here)) {
                *value = Some(measure);
            }
        }
    }

    /// Records what was measured on all samples at a point of the coarse grid.
    pub fn record_full(&mut self, i: usize, j: usize, measure: Measure) {
        self.full.record(i, j, measure);
    }

    /// Fills the surface with what is already known of its plane.
    pub fn recall(&mut self, known: &MeasureCache) {
        for j in 0..self.surface.y().len() {
            for i in 0..self.surface.x().len() {
                let at = self.place((i, j));
                if let Some(measure) = known.get(&self.query(at)) {
                    self.surface.record(i, j, measure);
                }
                if let (Some(_), Some(measure)) = (self.few, known.get(&Query::OnPlane(at))) {
                    self.full.record(i, j, measure);
                }
            }
        }
    }

    /// True once the coarsest level of the surface stands.
    #[must_use]
    pub fn stands(&self) -> bool {
        let [columns, rows] = self.surface.sides().map(|side| side.lines(0));
        let mut points = rows
            .iter()
            .flat_map(|&j| columns.iter().map(move |&i| (i, j)));
        !columns.is_empty() && points.all(|(i, j)| self.surface.get(i, j).is_some())
    }

    /// The points that the surface asks for as it is shown, those that matter most first.
    #[must_use]
    pub fn wanted(&self) -> Vec<(usize, usize)> {
        Estimate::of(&self.shown_surface(self.complement().as_ref())).wanted()
    }

    /// Returns the points that are still to be measured on all samples, nearest to the path first; none if all
    /// are measured everywhere.
    #[must_use]
    pub fn wanted_full(&self, path: &[[f64; 2]]) -> Vec<(usize, usize)> {
        match self.few {
            Some(_) => Complement::wanted(&self.surface, &self.full, path),
            None => Vec::new(),
        }
    }

    /// Returns how much of the surface is measured, in points of the samples that are measured everywhere.
    #[must_use]
    pub fn done(&self) -> usize {
        self.surface.measured() + self.cost_of_all() * self.full.measured()
    }

    /// Returns the number of points of the samples that are measured everywhere which cost as much as one of
    /// all.
    #[must_use]
    pub fn cost_of_all(&self) -> usize {
        self.few.map_or(1, |Few { few, all, .. }| all.div_ceil(few))
    }

    /// The pictures as they are to be shown now: on few samples until the difference that all make is known.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let complement = self.complement();
        let surface = self.shown_surface(complement.as_ref());
        let slices = self.slices.iter().map(|slice| match &complement {
            Some(complement) => slice.shifted(complement),
            None => slice.clone(),
        });
        let between = Estimate::of(&surface).expected();
        let beside = complement.as_ref().map_or(0.0, Complement::error);
        Shown {
            slices: slices.collect(),
            surface,
            fidelity: self.few.map(|Few { few, .. }| match &complement {
                None => Fidelity::Few(few),
                Some(complement) => Fidelity::Estimate {
                    few,
                    points: complement.points(),
                    error: complement.error(),
                },
            }),
            error: between.map(|between| between + beside),
        }
    }

    fn complement(&self) -> Option<Complement> {
        self.few
            .and_then(|few| Complement::of(&self.surface, &self.full, few.score))
    }

    fn shown_surface(&self, complement: Option<&Complement>) -> Surface {
        complement.map_or_else(
            || self.surface.clone(),
            |complement| complement.add_to(&self.surface),
        )
    }
}

impl Slice {
    /// Returns the coordinates of point `point` on the plane.
    #[must_use]
    pub fn at(&self, point: usize) -> [f64; 2] {
        let mut at = [0.0, 0.0];
        at[self.axis] = self.offset[point];
        at
    }

    /// Returns the values that are expected on all samples.
    fn shifted(&self, complement: &Complement) -> Self {
        let origin = [0.0];
        let sides = if self.axis == 0 {
            [&self.offset[..], &origin]
        } else {
            [&origin, &self.offset[..]]
        };
        let shifts = complement.shifts(sides[0], sides[1]);
        let values = self.values.iter().zip(shifts);
        Self {
            axis: self.axis,
            offset: self.offset.clone(),
            values: values.map(|(value, shift)| value.map(shift)).collect(),
        }
    }
}

/// An empty slice through the path's last point, which is 0, as long as the window's side.
fn slice(axis: usize, [min, max]: [f64; 2]) -> Slice {
    let mut offset = survey::spread(min.min(0.0), max.max(0.0), SLICE_POINTS);
    let nearest = (offset.iter_mut()).min_by(|a, b| a.abs().total_cmp(&b.abs()));
    if let Some(nearest) = nearest {
        *nearest = 0.0;
    }
    Slice {
        axis,
        offset,
        values: vec![None; SLICE_POINTS],
    }
}
