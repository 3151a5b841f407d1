//! What to measure for one plane and one window, in which order, and what each answer means.

use std::collections::HashMap;
use std::sync::Arc;

use crate::landscape::surface::{Measure, Surface};
use crate::landscape::survey;
use crate::landscape::surveyor::Spot;
use crate::run::Checkpoint;
use crate::weights::trajectory::Trajectory;

use super::snapshot::{Slice, Window};

/// Lines a side of the finest level: levels of 5, 9, 17, 33 and 65 lines.
const LINES: usize = 65;
/// Levels that come before the backlog of the path's own losses.
const FIRST_LEVELS: usize = 3;
/// Points of a slice; odd, so that one of them is the checkpoint itself.
const SLICE_POINTS: usize = 21;
/// Steps of the path that a slice is as wide as.
pub const SLICE_STEPS: usize = 5;
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
        /// The level that adds it.
        level: usize,
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
    /// Points that are still to come, for each level.
    left: Vec<usize>,
    /// Points that each level adds.
    added: Vec<usize>,
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
    /// the slices through the checkpoint, the coarse levels, the other checkpoints from the newest
    /// back, the fine levels.
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
        let slices = (0..axes).map(|axis| slice(path, axis)).collect();
        let window = window.unwrap_or_else(|| whole_path(path));
        let [x, y] = [window.x, window.y].map(|[min, max]| survey::spread(min, max, LINES));
        let surface = if axes == 2 {
            Surface::new(x, y)
        } else {
            Surface::new(Vec::new(), Vec::new())
        };
        let levels = if axes == 2 {
            survey::levels(LINES, LINES)
        } else {
            0
        };
        let mut agenda = Self {
            generation,
            trajectory: Arc::clone(trajectory),
            spots: Vec::new(),
            meanings: Vec::new(),
            surface,
            slices,
            left: vec![0; levels],
            added: vec![0; levels],
        };
        let newest_first: Vec<usize> = (0..members.len()).rev().collect();
        if let Some(&current) = newest_first.first() {
            agenda.plan_checkpoint(current, members, &known);
        }
        // The coarsest level stands in a moment; everything finer waits for the slices.
        agenda.plan_levels(0..levels.min(1));
        agenda.plan_slices();
        agenda.plan_update(members.len().saturating_sub(1), members, &known);
        agenda.plan_averages(members, &known);
        agenda.plan_levels(1..levels.min(FIRST_LEVELS));
        for &i in newest_first.iter().skip(1) {
            agenda.plan_checkpoint(i, members, &known);
        }
        for &i in newest_first.iter().skip(1) {
            agenda.plan_update(i, members, &known);
        }
        agenda.plan_levels(FIRST_LEVELS..levels);
        agenda
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

    fn plan_update(&mut self, i: usize, members: &[Checkpoint], known: impl Fn(Meaning) -> bool) {
        if let (Some(from), Some(to)) = (
            i.checked_sub(1).and_then(|i| members.get(i)),
            members.get(i),
        ) && !known(Meaning::Update(i))
        {
            let [from, to] = [from, to].map(Checkpoint::clone);
            self.plan(Spot::Update { from, to }, Meaning::Update(i));
        }
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

    fn plan_levels(&mut self, levels: std::ops::Range<usize>) {
        for level in levels {
            let (x, y) = (self.surface.x(), self.surface.y());
            let points = survey::additions(x, y, level, &self.trajectory.coordinates);
            let at: Vec<[f64; 2]> = points.iter().map(|&(i, j)| [x[i], y[j]]).collect();
            self.left[level] = points.len();
            self.added[level] = points.len();
            for ((i, j), at) in points.into_iter().zip(at) {
                self.plan(Spot::OnPlane(at), Meaning::Grid { level, i, j });
            }
        }
    }

    /// Fills in what is already known of this plane and takes it off the plan. Returns the values of
    /// projections among it.
    pub fn recall(&mut self, known: &Known) -> Vec<(usize, Measure)> {
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

    /// Puts a value into the pictures.
    pub fn fill(&mut self, meaning: Meaning, measure: Measure) {
        match meaning {
            Meaning::Grid { level, i, j } => {
                self.surface.record(i, j, measure);
                self.left[level] = self.left[level].saturating_sub(1);
            }
            Meaning::Slice { slice, point } => self.slices[slice].values[point] = Some(measure),
            Meaning::Projection(i) if i + 1 == self.trajectory.steps.len() => {
                for slice in &mut self.slices {
                    slice.values[SLICE_POINTS / 2] = Some(measure);
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
        self.left.first() == Some(&0)
    }

    /// Points of the map that are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.left.iter().sum()
    }

    /// The level that is being measured: its lines, the points done and the points it adds.
    #[must_use]
    pub fn level(&self) -> Option<(usize, usize, usize)> {
        let level = self.left.iter().position(|left| *left > 0)?;
        let lines = survey::lines(LINES, level).len();
        Some((
            lines,
            self.added[level] - self.left[level],
            self.added[level],
        ))
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

/// The window of the whole path, with its margin.
#[must_use]
pub fn whole_path(path: &[[f64; 2]]) -> Window {
    let [x, y] = survey::window(path, MARGIN);
    Window { x, y }
}

/// An empty slice through the path's last point, as wide to each side as the last few steps.
fn slice(path: &[[f64; 2]], axis: usize) -> Slice {
    let furthest = |points: &[[f64; 2]]| points.iter().map(|at| at[axis].abs()).fold(0.0, f64::max);
    let recent = furthest(&path[path.len().saturating_sub(SLICE_STEPS + 1)..]);
    // A run that stands still is looked at from as far as it has come.
    let half = if recent > 0.0 {
        recent
    } else {
        furthest(path).max(f64::MIN_POSITIVE)
    };
    let mut offset = survey::spread(-half, half, SLICE_POINTS);
    offset[SLICE_POINTS / 2] = 0.0;
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

    #[test]
    fn no_point_of_the_plane_is_planned_twice_but_for_the_path_s_own() {
        let agenda = agenda(6, None, false);
        let mut seen = HashSet::new();
        let grid = |meaning: &Meaning| !matches!(meaning, Meaning::Projection(_));
        for (spot, meaning) in agenda
            .spots
            .iter()
            .zip(&agenda.meanings)
            .filter(|(_, m)| grid(m))
        {
            assert!(seen.insert(format!("{spot:?}")), "{meaning:?} again");
        }
        assert_eq!(agenda.left.iter().sum::<usize>(), 65 * 65);
    }

    #[test]
    fn the_current_checkpoint_comes_first_then_contours_then_slices_then_finer_levels() {
        let agenda = agenda(6, None, false);
        assert_eq!(
            agenda.meanings[..2],
            [Meaning::Truth(5), Meaning::Projection(5)]
        );
        let is = |range: std::ops::Range<usize>, what: fn(&Meaning) -> bool| {
            agenda.meanings[range].iter().all(what)
        };
        assert!(is(2..27, |m| matches!(m, Meaning::Grid { level: 0, .. })));
        assert!(is(27..67, |m| matches!(m, Meaning::Slice { .. })));
        assert!(is(67..71, |m| matches!(
            m,
            Meaning::Update(5) | Meaning::Average(_)
        )));
        assert!(is(71..127, |m| matches!(m, Meaning::Grid { level: 1, .. })));
        let last_truth = agenda
            .meanings
            .iter()
            .rposition(|m| matches!(m, Meaning::Truth(_)));
        let fine = agenda
            .meanings
            .iter()
            .position(|m| matches!(m, Meaning::Grid { level: 3, .. }));
        assert!(last_truth < fine);
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
        assert!(two.level().is_none() && !two.stands());
    }

    #[test]
    fn a_window_that_comes_back_is_recalled_and_not_measured() {
        let mut known = Known::default();
        for spot in &agenda(6, None, true).spots {
            if let Spot::OnPlane(at) = spot {
                known.insert(
                    *at,
                    Measure {
                        loss: at[0],
                        accuracy: 0.5,
                    },
                );
            }
        }
        let mut again = agenda(6, None, true);
        assert_eq!(again.recall(&known).len(), 6);
        assert!(again.spots.is_empty() && again.stands() && again.level().is_none());
        assert_eq!(again.surface.measured(), 65 * 65);
        assert!(
            again
                .slices
                .iter()
                .all(|slice| slice.values.iter().all(Option::is_some))
        );
    }

    #[test]
    fn slices_reach_as_far_as_the_last_steps_and_their_middle_is_the_checkpoint() {
        let agenda = agenda(9, None, false);
        let slice = &agenda.slices[0];
        assert_eq!(
            (slice.offset[0], slice.offset[10], slice.offset[20]),
            (-5.0, 0.0, 5.0)
        );
    }
}
