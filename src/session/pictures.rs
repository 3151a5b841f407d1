//! The surface and the slices of one window, as far as they are measured, on few samples and on all.

use crate::landscape::grid::explore::WHOLE;
use crate::landscape::grid::survey;
use crate::landscape::{Complement, Estimate, Query, Surface};
use crate::loss::Measure;
use crate::loss::Score;

use super::measure_cache::MeasureCache;
use super::snapshot::{Fidelity, PlaneWindow, Slice};

/// Lines a side of the finest level of a first window: levels of 5, 9, 17, 33 and 65 lines.
pub const LINES: usize = 65;
/// Points of a slice; one of them is the checkpoint itself.
const SLICE_POINTS: usize = 21;

/// Numbers of samples on which a picture is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    /// All.
    pub all: usize,
    /// Those that are measured everywhere; `None` if all are.
    pub few: Option<usize>,
    /// Those on which the first two levels are measured before, so that a picture stands in seconds; `None` if the
    /// pace is such that the others stand as soon.
    pub first: Option<usize>,
    /// The score beside the loss; `None` if it has none.
    pub score: Option<Score>,
}

impl Samples {
    /// Returns the number of samples that are measured everywhere.
    #[must_use]
    pub fn everywhere(&self) -> usize {
        self.few.unwrap_or(self.all)
    }
}

/// Surface and slices that the answers of a plan fill.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// Numbers of samples; `None` if they are not known, or if there is no plane.
    pub samples: Option<Samples>,
    /// The surface on the samples that are measured everywhere; without lines where there is no plane.
    pub surface: Surface,
    /// Slices on these.
    pub slices: Vec<Slice>,
    /// The first two levels of the surface on fewer samples, where a picture would not stand soon otherwise.
    first: Surface,
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
    /// Number of points that the surface asks for.
    pub wanted: usize,
}

impl Pictures {
    /// Creates the pictures of an empty surface, which has no lines where there is no plane, with slices along
    /// `axes` axes through the window.
    #[must_use]
    pub fn new(
        surface: Surface,
        window: PlaneWindow,
        axes: usize,
        samples: Option<Samples>,
    ) -> Self {
        let sides = [window.x, window.y];
        Self {
            samples: samples.filter(|_| !surface.x().is_empty()),
            first: surface.clone(),
            full: surface.clone(),
            surface,
            slices: (0..axes).map(|axis| slice(axis, sides[axis])).collect(),
        }
    }

    /// Returns the query for a point of the pictures.
    #[must_use]
    pub fn query(&self, at: [f64; 2]) -> Query {
        match self.few() {
            Some(samples) => Query::on_few(at, samples),
            None => Query::on_plane(at),
        }
    }

    /// Returns the query for a point of the first levels; `None` if they are measured like the rest.
    #[must_use]
    pub fn first_query(&self, at: [f64; 2]) -> Option<Query> {
        let samples = self.samples?.first?;
        Some(Query::on_few(at, samples))
    }

    /// Returns the number of samples that are measured everywhere; `None` if all are.
    #[must_use]
    pub fn few(&self) -> Option<usize> {
        self.samples.and_then(|samples| samples.few)
    }

    /// Returns the coordinates of point (column, row) of the surface.
    #[must_use]
    pub fn place(&self, (i, j): (usize, usize)) -> [f64; 2] {
        [self.surface.x()[i], self.surface.y()[j]]
    }

    /// Takes what was measured on all samples at the plane's origin: the middle of the slices, where these are
    /// measured on all.
    pub fn fill_middles(&mut self, measure: Measure) {
        let is_on_few = self.few().is_some();
        for slice in self.slices.iter_mut().filter(|_| !is_on_few) {
            let here = slice.offset.iter().position(|offset| *offset == 0.0);
            if let Some(value) = here.and_then(|here| slice.values.get_mut(here)) {
                *value = Some(measure);
            }
        }
    }

    /// Records a point of the first levels.
    pub fn record_first(&mut self, i: usize, j: usize, measure: Measure) {
        self.first.record(i, j, measure);
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
                if let Some(measure) = self.first_query(at).and_then(|query| known.get(&query)) {
                    self.first.record(i, j, measure);
                }
                if let (Some(_), Some(measure)) = (self.few(), known.get(&Query::on_plane(at))) {
                    self.full.record(i, j, measure);
                }
            }
        }
    }

    /// Returns true once the coarsest level stands, on whatever samples.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.has_level(0)
    }

    /// Returns the lines a side of the finest of the first levels that stands, on whatever samples; `None` before one
    /// does.
    #[must_use]
    pub fn whole(&self) -> Option<usize> {
        let standing = (0..WHOLE).take_while(|&level| self.has_level(level));
        standing.last().map(|level| self.surface.lines_of(level))
    }

    /// Returns true once a level stands, on whatever samples.
    #[must_use]
    pub fn has_level(&self, level: usize) -> bool {
        has_level(&self.surface, level) || has_level(&self.first, level)
    }

    /// Returns the points that a level still needs on the samples that are measured everywhere.
    #[must_use]
    pub fn open(&self, level: usize, path: &[[f64; 2]]) -> Vec<(usize, usize)> {
        open(&self.surface, level, path)
    }

    /// Returns the points that a level still needs on the first samples; none if the level stands without them.
    #[must_use]
    pub fn open_first(&self, level: usize, path: &[[f64; 2]]) -> Vec<(usize, usize)> {
        let is_needed = self.samples.is_some_and(|samples| samples.first.is_some());
        if !is_needed || has_level(&self.surface, level) {
            return Vec::new();
        }
        open(&self.first, level, path)
    }

    /// Returns the points that the surface asks for as it is shown, those that matter most first; none before its first
    /// two levels stand.
    #[must_use]
    pub fn wanted(&self) -> Vec<(usize, usize)> {
        Estimate::of(&with(&self.surface, self.complement().as_ref())).wanted()
    }

    /// Returns the points that are still to be measured on all samples, nearest to the path first; none if all
    /// are measured everywhere.
    #[must_use]
    pub fn wanted_full(&self, path: &[[f64; 2]]) -> Vec<(usize, usize)> {
        match self.few() {
            Some(_) => Complement::wanted(&self.surface, &self.full, path),
            None => Vec::new(),
        }
    }

    /// Returns the amount that is measured, in samples: a point counts as many as it is measured on.
    #[must_use]
    pub fn done(&self) -> usize {
        let [first, everywhere, all] = self.costs();
        first * self.first.measured()
            + everywhere * self.surface.measured()
            + all * self.full.measured()
    }

    /// Returns the amount that is still to come, likewise, as far as is known from the pictures as they are shown.
    #[must_use]
    pub fn left(&self, shown: &Shown) -> usize {
        if self.surface.x().is_empty() {
            return 0;
        }
        let [first, everywhere, all] = self.costs();
        let levels = |open: &dyn Fn(usize) -> usize| (0..WHOLE).map(open).sum::<usize>();
        let on_first = levels(&|level| self.open_first(level, &[]).len());
        let whole = levels(&|level| self.open(level, &[]).len());
        let finer = if whole == 0 { shown.wanted } else { 0 };
        first * on_first + everywhere * (whole + finer) + all * self.wanted_full(&[]).len()
    }

    /// Returns the samples of a point of the first levels, of one of the surface, and of one on all.
    fn costs(&self) -> [usize; 3] {
        self.samples.map_or([1; 3], |samples| {
            [
                samples.first.unwrap_or(0),
                samples.everywhere(),
                samples.all,
            ]
        })
    }

    /// Returns the pictures as they are to be shown now: on the first samples until the others have two levels, with
    /// the difference that these make once they have one; on few until the difference that all make is known.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let first = self.first_shown();
        let (measured, few, of, complement) = match first {
            Some(samples) => {
                let complement = Complement::of(&self.first, &self.surface, samples.score);
                (&self.first, samples.first, samples.few, complement)
            }
            None => (&self.surface, self.few(), None, self.complement()),
        };
        let surface = with(measured, complement.as_ref());
        // Slices are measured on the samples of the surface.
        let of_slices = complement.as_ref().filter(|_| first.is_none());
        let slices = self.slices.iter().map(|slice| match of_slices {
            Some(complement) => slice.shifted(complement),
            None => slice.clone(),
        });
        let estimate = Estimate::of(&surface);
        let beside = complement.as_ref().map_or(0.0, Complement::error);
        Shown {
            slices: slices.collect(),
            fidelity: few.map(|few| match &complement {
                None => Fidelity::Few(few),
                Some(complement) => Fidelity::Estimate {
                    few,
                    of,
                    points: complement.points(),
                    error: complement.error(),
                },
            }),
            error: estimate.expected().map(|between| between + beside),
            wanted: estimate.wanted().len(),
            surface,
        }
    }

    /// Returns the samples, if the picture is shown on the first of them: they are measured, and the others lack a
    /// level.
    fn first_shown(&self) -> Option<Samples> {
        let is_done = (0..WHOLE).all(|level| has_level(&self.surface, level));
        let samples = self.samples.filter(|samples| samples.first.is_some());
        samples.filter(|_| !is_done && self.first.measured() > 0)
    }

    fn complement(&self) -> Option<Complement> {
        let samples = self.samples.filter(|samples| samples.few.is_some())?;
        Complement::of(&self.surface, &self.full, samples.score)
    }
}

/// Returns a surface with the difference that more samples make, where that is known.
fn with(measured: &Surface, complement: Option<&Complement>) -> Surface {
    complement.map_or_else(
        || measured.clone(),
        |complement| complement.add_to(measured),
    )
}

/// Returns the points of a level that are not measured, nearest to the path first.
fn open(surface: &Surface, level: usize, path: &[[f64; 2]]) -> Vec<(usize, usize)> {
    let points = surface.additions(level, path).into_iter();
    points
        .filter(|&(i, j)| surface.get(i, j).is_none())
        .collect()
}

fn has_level(surface: &Surface, level: usize) -> bool {
    let lines = surface.sides().map(|side| side.lines(level));
    let [columns, rows] = &lines;
    let mut points = (rows.iter()).flat_map(|&j| columns.iter().map(move |&i| (i, j)));
    !columns.is_empty() && points.all(|(i, j)| surface.get(i, j).is_some())
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

/// Returns an empty slice through the plane's origin, as long as the window's side.
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
