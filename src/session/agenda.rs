//! What to measure for one plane and one window, in which order, and what each answer means.
//!
//! The map's finer points are not planned in advance: whenever a plan is done, the surface tells where it
//! asks for more.

use std::collections::HashMap;
use std::sync::Arc;

use crate::landscape::explore::{BATCH, WHOLE};
use crate::landscape::refine::Estimate;
use crate::landscape::surface::{Measure, Surface};
use crate::landscape::survey;
use crate::landscape::surveyor::Spot;
use crate::run::Checkpoint;
use crate::weights::trajectory::Trajectory;

use super::snapshot::{Slice, Window};

/// Lines a side of the finest level: levels of 5, 9, 17, 33 and 65 lines.
pub const LINES: usize = 65;
/// Points of a slice; one of them is the checkpoint itself.
const SLICE_POINTS: usize = 21;
/// How many of the last checkpoints are averaged.
pub const AVERAGES: [usize; 4] = [2, 3, 5, 10];
/// Share of the path's extent by which its window is wider on each side.
pub const MARGIN: f64 = 0.2;

/// What the value at a spot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The loss of checkpoint `i` of the path.
    Truth(usize),
    /// The loss of the projection of checkpoint `i` onto the plane.
    Projection(usize),
    /// The critical step along the update that led to checkpoint `i`.
    Update(usize),
    /// The loss of the average of the last so many checkpoints.
    Average(usize),
    /// A point of a slice.
    Slice {
        /// Index of the slice.
        slice: usize,
        /// Index of the point.
        point: usize,
    },
    /// A point of the surface.
    Grid {
        /// Column of the surface.
        i: usize,
        /// Row of the surface.
        j: usize,
    },
}

/// A plan with the meaning of each of its spots, and the pictures that its answers fill.
#[derive(Clone, Debug)]
pub struct Agenda {
    /// Number of the plan.
    pub generation: u64,
    /// The path whose plane is measured.
    pub trajectory: Arc<Trajectory>,
    /// Where to measure.
    pub spots: Vec<Spot>,
    /// What each spot is, in the same order.
    pub meanings: Vec<Meaning>,
    /// The surface so far.
    pub surface: Surface,
    /// The slices so far.
    pub slices: Vec<Slice>,
    /// Points of the map among the spots that are still to come.
    left: usize,
    /// Points beside these that the map asks for.
    asked: usize,
    /// The map asks for nothing more.
    rests: bool,
    /// What is measured once the map rests.
    backlog: Vec<(Spot, Meaning)>,
}

/// Values on one plane, by coordinates: a window that comes back is not measured again.
#[derive(Clone, Debug, Default)]
pub struct Known(HashMap<[u64; 2], Measure>);

impl Known {
    /// Remembers the value at a point of the plane.
    pub fn insert(&mut self, at: [f64; 2], measure: Measure) {
        self.0.insert(at.map(f64::to_bits), measure);
    }

    /// The value at a point of the plane.
    #[must_use]
    pub fn get(&self, at: [f64; 2]) -> Option<Measure> {
        self.0.get(&at.map(f64::to_bits)).copied()
    }
}

impl Agenda {
    /// Plans the losses on the plane of a path: the current checkpoint, the coarsest level of the map,
    /// the slices through the checkpoint, the second level, the other checkpoints from the newest back.
    ///
    /// `members` are the path's checkpoints; `known` tells which losses, updates and averages of them
    /// need not be measured again. Without a window the whole path is surveyed. One checkpoint has no slices and no map,
    /// two have a slice along their line.
    #[must_use]
    pub fn new(
        generation: u64,
        trajectory: &Arc<Trajectory>,
        members: &[Checkpoint],
        window: Option<Window>,
        known: impl Fn(Meaning) -> bool,
    ) -> Self {
        let path = &trajectory.coordinates;
        let axes = trajectory
            .singular
            .iter()
            .take(2)
            .filter(|sigma| **sigma > 0.0)
            .count();
        let window = window.unwrap_or_else(|| whole_path(path));
        let sides = [window.x, window.y];
        let slices = (0..axes).map(|axis| slice(axis, sides[axis])).collect();
        let [x, y] = sides.map(|[min, max]| survey::spread(min, max, LINES));
        let surface = if axes == 2 {
            Surface::new(x, y)
        } else {
            Surface::new(Vec::new(), Vec::new())
        };
        let mut agenda = Self {
            generation,
            trajectory: Arc::clone(trajectory),
            spots: Vec::new(),
            meanings: Vec::new(),
            surface,
            slices,
            left: 0,
            asked: 0,
            rests: false,
            backlog: Vec::new(),
        };
        agenda.plan_all(members, &known);
        agenda
    }

    fn plan_all(&mut self, members: &[Checkpoint], known: impl Fn(Meaning) -> bool) {
        let newest_first: Vec<usize> = (0..members.len()).rev().collect();
        if let Some(&current) = newest_first.first() {
            self.plan_checkpoint(current, members, &known);
        }
        // The coarsest level stands in a moment; everything finer waits for the slices.
        self.plan_level(0);
        self.plan_slices();
        self.plan_averages(members, &known);
        for level in 1..WHOLE {
            self.plan_level(level);
        }
        for &i in newest_first.iter().skip(1) {
            self.plan_checkpoint(i, members, &known);
        }
        let mut updates = newest_first.into_iter().map(Meaning::Update);
        let newest = updates.next().filter(|update| !known(*update));
        if let Some((spot, meaning)) = newest.and_then(|update| spot_of(update, members)) {
            self.plan(spot, meaning);
        }
        self.backlog = updates
            .filter(|update| !known(*update))
            .filter_map(|update| spot_of(update, members))
            .collect();
    }

    /// Plans what comes when all spots are answered: where the map asks for more, and once it rests the
    /// critical steps of earlier updates. False when nothing is left to do.
    pub fn go_on(&mut self, generation: u64) -> bool {
        self.generation = generation;
        self.spots.clear();
        self.meanings.clear();
        let wanted = Estimate::of(&self.surface).wanted();
        self.rests = wanted.is_empty();
        self.left = 0;
        self.asked = wanted.len().saturating_sub(BATCH);
        for (i, j) in wanted.into_iter().take(BATCH) {
            self.plan_point(i, j);
        }
        if self.rests {
            for (spot, meaning) in std::mem::take(&mut self.backlog) {
                self.plan(spot, meaning);
            }
        }
        !self.spots.is_empty()
    }

    fn plan(&mut self, spot: Spot, meaning: Meaning) {
        self.spots.push(spot);
        self.meanings.push(meaning);
    }

    fn plan_checkpoint(
        &mut self,
        i: usize,
        members: &[Checkpoint],
        known: impl Fn(Meaning) -> bool,
    ) {
        if !known(Meaning::Truth(i)) {
            self.plan(Spot::Checkpoint(members[i].clone()), Meaning::Truth(i));
        }
        self.plan(
            Spot::OnPlane(self.trajectory.coordinates[i]),
            Meaning::Projection(i),
        );
    }

    fn plan_averages(&mut self, members: &[Checkpoint], known: impl Fn(Meaning) -> bool) {
        for last in AVERAGES
            .into_iter()
            .filter(|last| !known(Meaning::Average(*last)))
        {
            if let Some(from) = members.len().checked_sub(last) {
                let spot = Spot::Average(members[from..].to_vec());
                self.plan(spot, Meaning::Average(last));
            }
        }
    }

    fn plan_slices(&mut self) {
        for slice in 0..self.slices.len() {
            for point in 0..self.slices[slice].offset.len() {
                let at = self.slices[slice].at(point);
                // The middle is the current checkpoint's projection, which comes first.
                if at != [0.0, 0.0] {
                    self.plan(Spot::OnPlane(at), Meaning::Slice { slice, point });
                }
            }
        }
    }

    fn plan_level(&mut self, level: usize) {
        let (x, y) = (self.surface.x(), self.surface.y());
        for (i, j) in survey::additions(x, y, level, &self.trajectory.coordinates) {
            self.plan_point(i, j);
        }
    }

    fn plan_point(&mut self, i: usize, j: usize) {
        let at = [self.surface.x()[i], self.surface.y()[j]];
        self.left += 1;
        self.plan(Spot::OnPlane(at), Meaning::Grid { i, j });
    }

    /// Fills in what is already known of this plane and takes it off the plan. Returns the values of
    /// projections among it.
    pub fn recall(&mut self, known: &Known) -> Vec<(usize, Measure)> {
        self.recall_surface(known);
        let mut projections = Vec::new();
        let plan = std::mem::take(&mut self.spots)
            .into_iter()
            .zip(std::mem::take(&mut self.meanings));
        for (spot, meaning) in plan {
            let value = match &spot {
                Spot::OnPlane(at) => known.get(*at),
                _ => None,
            };
            match value {
                Some(measure) => {
                    self.fill(meaning, measure);
                    if let Meaning::Projection(i) = meaning {
                        projections.push((i, measure));
                    }
                }
                None => self.plan(spot, meaning),
            }
        }
        projections
    }

    /// Finer points too, which were not planned yet.
    fn recall_surface(&mut self, known: &Known) {
        for j in 0..self.surface.y().len() {
            for i in 0..self.surface.x().len() {
                if let Some(measure) = known.get([self.surface.x()[i], self.surface.y()[j]]) {
                    self.surface.record(i, j, measure);
                }
            }
        }
    }

    /// Puts a value into the pictures.
    pub fn fill(&mut self, meaning: Meaning, measure: Measure) {
        match meaning {
            Meaning::Grid { i, j } => {
                self.surface.record(i, j, measure);
                self.left = self.left.saturating_sub(1);
            }
            Meaning::Slice { slice, point } => self.slices[slice].values[point] = Some(measure),
            Meaning::Projection(i) if i + 1 == self.trajectory.steps.len() => {
                for slice in &mut self.slices {
                    let here = slice.offset.iter().position(|offset| *offset == 0.0);
                    if let Some(here) = here {
                        slice.values[here] = Some(measure);
                    }
                }
            }
            Meaning::Projection(_)
            | Meaning::Truth(_)
            | Meaning::Update(_)
            | Meaning::Average(_) => {}
        }
    }

    /// True once the coarsest level of the map stands.
    #[must_use]
    pub fn stands(&self) -> bool {
        let [columns, rows] =
            [self.surface.x(), self.surface.y()].map(|lines| survey::lines(lines.len(), 0));
        let mut points = rows
            .iter()
            .flat_map(|&j| columns.iter().map(move |&i| (i, j)));
        !columns.is_empty() && points.all(|(i, j)| self.surface.get(i, j).is_some())
    }

    /// True once there is a map that asks for nothing more.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.rests && self.stands()
    }

    /// Points of the map that are still to come, as far as is known now.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.left + self.asked
    }
}

impl Slice {
    /// Where point `point` lies on the plane.
    #[must_use]
    pub fn at(&self, point: usize) -> [f64; 2] {
        let mut at = [0.0, 0.0];
        at[self.axis] = self.offset[point];
        at
    }
}

/// Where the critical step of an update is measured; the first checkpoint has no update before it.
fn spot_of(update: Meaning, members: &[Checkpoint]) -> Option<(Spot, Meaning)> {
    let Meaning::Update(i) = update else {
        return None;
    };
    let (from, to) = (members.get(i.checked_sub(1)?)?, members.get(i)?);
    let [from, to] = [from, to].map(Checkpoint::clone);
    Some((Spot::Update { from, to }, update))
}

/// The window of the whole path, with its margin.
#[must_use]
pub fn whole_path(path: &[[f64; 2]]) -> Window {
    let [x, y] = survey::window(path, MARGIN);
    Window { x, y }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn agenda(count: usize, window: Option<Window>, known: bool) -> Agenda {
        let members: Vec<Checkpoint> = (0..count)
            .map(|i| Checkpoint {
                step: i as u64,
                path: format!("model_{i}.pt").into(),
            })
            .collect();
        let last = count as f64 - 1.0;
        let trajectory = Trajectory {
            steps: (0..count as u64).collect(),
            coordinates: (0..count)
                .map(|i| {
                    [
                        last - i as f64,
                        if count > 2 {
                            (i as f64 * 0.7).sin() - (last * 0.7).sin()
                        } else {
                            0.0
                        },
                    ]
                })
                .collect(),
            singular: (1..count).map(|k| 1.0 / k as f64).collect(),
            ..Trajectory::default()
        };
        Agenda::new(1, &Arc::new(trajectory), &members, window, |_| known)
    }

    /// Answers all spots, and those that come after them, until nothing is left to do.
    fn work_off(agenda: &mut Agenda, loss: impl Fn([f64; 2]) -> f64) -> Known {
        let mut known = Known::default();
        loop {
            for (spot, meaning) in agenda
                .spots
                .clone()
                .into_iter()
                .zip(agenda.meanings.clone())
            {
                if let Spot::OnPlane(at) = spot {
                    let measure = Measure {
                        loss: loss(at),
                        accuracy: 0.5,
                    };
                    known.insert(at, measure);
                    agenda.fill(meaning, measure);
                }
            }
            if !agenda.go_on(agenda.generation + 1) {
                return known;
            }
        }
    }

    #[test]
    fn no_point_of_the_plane_is_planned_twice_but_for_the_path_s_own() {
        let mut agenda = agenda(6, None, false);
        let mut seen = HashSet::new();
        loop {
            for (spot, meaning) in agenda.spots.clone().iter().zip(agenda.meanings.clone()) {
                let Spot::OnPlane(at) = spot else { continue };
                if !matches!(meaning, Meaning::Projection(_)) {
                    assert!(seen.insert(format!("{spot:?}")), "{meaning:?} again");
                }
                let measure = Measure {
                    loss: 0.1 + (at[0] * 12.9 + at[1] * 78.2).sin().abs() * 43.7 % 1.0,
                    accuracy: 0.5,
                };
                agenda.fill(meaning, measure);
            }
            if !agenda.go_on(agenda.generation + 1) {
                break;
            }
        }
        let measured = agenda.surface.measured();
        assert!(measured > 65 * 65 * 9 / 10, "it is rough: {measured}");
        assert_eq!(agenda.remaining(), 0);
    }

    #[test]
    fn the_current_checkpoint_comes_first_then_contours_then_slices_then_the_second_level() {
        let agenda = agenda(6, None, false);
        assert_eq!(
            agenda.meanings[..2],
            [Meaning::Truth(5), Meaning::Projection(5)]
        );
        let is = |range: std::ops::Range<usize>, what: fn(&Meaning) -> bool| {
            agenda.meanings[range].iter().all(what)
        };
        assert!(is(2..27, |m| matches!(m, Meaning::Grid { .. })));
        assert!(is(27..67, |m| matches!(m, Meaning::Slice { .. })));
        assert!(is(67..70, |m| matches!(m, Meaning::Average(_))));
        assert!(is(70..126, |m| matches!(m, Meaning::Grid { .. })));
        assert!(is(126..136, |m| matches!(
            m,
            Meaning::Truth(_) | Meaning::Projection(_)
        )));
        assert_eq!(agenda.meanings[136..], [Meaning::Update(5)]);
    }

    #[test]
    fn when_a_smooth_map_rests_the_earlier_updates_come() {
        let mut smooth = agenda(6, None, false);
        for meaning in smooth.meanings.clone() {
            if let Meaning::Grid { i, j } = meaning {
                let loss = (0.1 * smooth.surface.x()[i] + 0.2 * smooth.surface.y()[j]).exp();
                smooth.fill(
                    meaning,
                    Measure {
                        loss,
                        accuracy: 0.5,
                    },
                );
            }
        }
        assert!(smooth.stands() && smooth.go_on(2));
        let updates: Vec<Meaning> = (1..5).rev().map(Meaning::Update).collect();
        assert_eq!(smooth.meanings, updates);
        assert!(!smooth.go_on(3));
    }

    #[test]
    fn known_losses_of_checkpoints_are_not_measured_again() {
        assert!(
            !agenda(6, None, true)
                .meanings
                .iter()
                .any(|m| matches!(m, Meaning::Truth(_)))
        );
    }

    #[test]
    fn one_checkpoint_has_its_loss_and_two_have_a_slice_along_their_line() {
        assert_eq!(
            agenda(1, None, false).meanings,
            [Meaning::Truth(0), Meaning::Projection(0)]
        );
        let two = agenda(2, None, false);
        assert_eq!((two.slices.len(), two.spots.len()), (1, 2 + 20 + 4));
        assert!(two.remaining() == 0 && !two.stands());
    }

    #[test]
    fn a_window_that_comes_back_is_recalled_and_not_measured() {
        let mut first = agenda(6, None, true);
        let known = work_off(&mut first, |at| (at[0] * 9.0).sin().abs() + 0.1);
        let mut again = agenda(6, None, true);
        assert_eq!(again.recall(&known).len(), 6);
        assert!(again.spots.is_empty() && again.stands());
        assert!(!again.go_on(2));
        assert_eq!(again.surface, first.surface);
        assert!(
            again
                .slices
                .iter()
                .all(|slice| slice.values.iter().all(Option::is_some))
        );
    }

    #[test]
    fn slices_are_as_long_as_the_window_and_go_through_the_checkpoint() {
        let agenda = agenda(9, None, false);
        let slice = &agenda.slices[0];
        let window = whole_path(&agenda.trajectory.coordinates);
        assert_eq!([slice.offset[0], slice.offset[20]], window.x);
        assert_eq!(slice.offset.iter().filter(|o| **o == 0.0).count(), 1);
        assert!(slice.offset.is_sorted());
    }
}
