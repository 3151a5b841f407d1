//! The measurements for one plane and one window, in their order, and the target of each answer.
//!
//! The map's finer points are not planned in advance: whenever a plan is done, the surface tells where it
//! asks for more. Where few samples are measured everywhere, the whole map is first measured on these; what
//! checkpoints are themselves is always measured on all.

use std::sync::Arc;

use crate::landscape::explore::{BATCH, WHOLE};
use crate::landscape::surface::Measure;
use crate::landscape::survey;
use crate::landscape::worker::protocol::Query;
use crate::run::Checkpoint;
use crate::weights::trajectory::Trajectory;

use super::measure_cache::MeasureCache;
use super::pictures::{Few, Pictures};
use super::snapshot::Window;

/// Numbers of last checkpoints that are averaged.
pub const AVERAGES: [usize; 4] = [2, 3, 5, 10];
/// Share of the path's extent by which its window is wider on each side.
pub const MARGIN: f64 = 0.2;

/// The quantity that the value at a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The loss of checkpoint `i` of the path.
    Truth(usize),
    /// The loss of the projection of checkpoint `i` onto the plane.
    Projection(usize),
    /// The critical step along the update that led to checkpoint `i`.
    Update(usize),
    /// The loss of the average of this number of last checkpoints.
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
    /// A point of the surface that is measured on all samples, beside the few.
    Full {
        /// Column of the surface.
        i: usize,
        /// Row of the surface.
        j: usize,
    },
}

/// Something to measure, and what it is.
type Task = (Query, Target);

/// A plan with the target of each of its queries, and the pictures that its answers fill.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Number of the plan.
    pub generation: u64,
    /// The path whose plane is measured.
    pub trajectory: Arc<Trajectory>,
    /// The queries, in the order in which they are measured.
    pub queries: Vec<Query>,
    /// The target of each query, in the same order.
    pub targets: Vec<Target>,
    /// The surface and the slices so far.
    pub pictures: Pictures,
    /// Points of the map among the queries that are still to come, on the samples that are measured everywhere.
    left: usize,
    /// Points beside these that the map asks for.
    asked: usize,
    /// The map asks for nothing more.
    rests: bool,
    /// Tasks for the time when the map of few samples rests.
    after_few: Vec<Task>,
    /// Tasks for the time when the map rests.
    backlog: Vec<Task>,
}

impl Schedule {
    /// Plans the losses on the plane of a path: the current checkpoint, the coarsest level of the map,
    /// the slices through the checkpoint, the second level, the other checkpoints from the newest back.
    ///
    /// `members` are the path's checkpoints; `known` tells which losses, updates and averages of them
    /// need not be measured again. Without a window the whole path is surveyed. One checkpoint has no slices and no map,
    /// two have a slice along their line. Where `few` samples are measured everywhere, the map comes on these,
    /// then what the other checkpoints are, the difference that all samples make, and the rest.
    #[must_use]
    pub fn new(
        generation: u64,
        trajectory: &Arc<Trajectory>,
        members: &[Checkpoint],
        window: Option<Window>,
        few: Option<Few>,
        known: impl Fn(Target) -> bool,
    ) -> Self {
        let path = &trajectory.coordinates;
        let axes = trajectory
            .singular
            .iter()
            .take(2)
            .filter(|sigma| **sigma > 0.0)
            .count();
        let window = window.unwrap_or_else(|| whole_path(path));
        let mut schedule = Self {
            generation,
            trajectory: Arc::clone(trajectory),
            queries: Vec::new(),
            targets: Vec::new(),
            pictures: Pictures::new(window, axes, few),
            left: 0,
            asked: 0,
            rests: false,
            after_few: Vec::new(),
            backlog: Vec::new(),
        };
        if schedule.pictures.few.is_some() {
            schedule.plan_few(members, &known);
        } else {
            schedule.plan_all(members, &known);
        }
        schedule
    }

    fn plan_all(&mut self, members: &[Checkpoint], known: impl Fn(Target) -> bool) {
        let mut newest_first = (0..members.len()).rev();
        if let Some(current) = newest_first.next() {
            self.plan_checkpoint(current, members, &known);
        }
        // The coarsest level stands in a moment; everything finer waits for the slices.
        self.plan_level(0);
        self.plan_slices();
        averages(members, &known).for_each(|average| self.plan(average));
        for level in 1..WHOLE {
            self.plan_level(level);
        }
        for i in newest_first {
            self.plan_checkpoint(i, members, &known);
        }
        let newest = members.len().saturating_sub(1);
        let updates = updates(members, &known);
        let (first, later) = updates.partition(|update| update.1 == Target::Update(newest));
        self.plan_these(first);
        self.backlog = later;
    }

    /// Few samples draw the whole map in the time that all take for a few points.
    fn plan_few(&mut self, members: &[Checkpoint], known: impl Fn(Target) -> bool) {
        let newest = members.len().saturating_sub(1);
        self.plan_level(0);
        let truths = (0..members.len())
            .rev()
            .filter_map(|i| truth(i, members, &known));
        let (current, others) = truths.partition(|truth| truth.1 == Target::Truth(newest));
        self.plan_these(current);
        self.plan_slices();
        for level in 1..WHOLE {
            self.plan_level(level);
        }
        self.after_few = others;
        let projections = (0..members.len()).rev().map(|i| self.projection(i));
        self.backlog = projections
            .chain(averages(members, &known))
            .chain(updates(members, &known))
            .collect();
    }

    /// Plans what comes when all queries are answered: where the map asks for more; once that of few samples
    /// rests, what the other checkpoints are and the difference that all samples make; once all rests, what
    /// is left. False when that is nothing.
    pub fn next_batch(&mut self, generation: u64) -> bool {
        self.generation = generation;
        self.queries.clear();
        self.targets.clear();
        let wanted = self.pictures.wanted();
        let full = self.pictures.wanted_full(&self.trajectory.coordinates);
        self.rests = wanted.is_empty() && full.is_empty();
        self.left = 0;
        self.asked = wanted.len().saturating_sub(BATCH);
        let few_rest = wanted.is_empty();
        for (i, j) in wanted.into_iter().take(BATCH) {
            self.plan_point(i, j);
        }
        if few_rest {
            let truths = std::mem::take(&mut self.after_few);
            self.plan_these(truths);
            for (i, j) in full {
                let query = Query::OnPlane(self.pictures.place((i, j)));
                self.plan((query, Target::Full { i, j }));
            }
        }
        if self.rests {
            let backlog = std::mem::take(&mut self.backlog);
            self.plan_these(backlog);
        }
        !self.queries.is_empty()
    }

    fn plan(&mut self, (query, target): Task) {
        self.queries.push(query);
        self.targets.push(target);
    }

    fn plan_these(&mut self, tasks: Vec<Task>) {
        for task in tasks {
            self.plan(task);
        }
    }

    fn plan_checkpoint(
        &mut self,
        i: usize,
        members: &[Checkpoint],
        known: impl Fn(Target) -> bool,
    ) {
        if let Some(truth) = truth(i, members, known) {
            self.plan(truth);
        }
        self.plan(self.projection(i));
    }

    fn projection(&self, i: usize) -> Task {
        let query = Query::OnPlane(self.trajectory.coordinates[i]);
        (query, Target::Projection(i))
    }

    fn plan_slices(&mut self) {
        for slice in 0..self.pictures.slices.len() {
            for point in 0..self.pictures.slices[slice].offset.len() {
                let at = self.pictures.slices[slice].at(point);
                // Where all samples are measured, the middle is the current checkpoint's projection, which comes first.
                if self.pictures.few.is_some() || at != [0.0, 0.0] {
                    let query = self.pictures.query(at);
                    self.plan((query, Target::Slice { slice, point }));
                }
            }
        }
    }

    fn plan_level(&mut self, level: usize) {
        let points = (self.pictures.surface).additions(level, &self.trajectory.coordinates);
        for (i, j) in points {
            self.plan_point(i, j);
        }
    }

    fn plan_point(&mut self, i: usize, j: usize) {
        let query = self.pictures.query(self.pictures.place((i, j)));
        self.left += 1;
        self.plan((query, Target::Grid { i, j }));
    }

    /// Fills in what is already known of this plane and takes it off the plan. Returns the values of
    /// projections among it.
    pub fn recall(&mut self, known: &MeasureCache) -> Vec<(usize, Measure)> {
        // Finer points too, which were not planned yet.
        self.pictures.recall(known);
        let mut projections = Vec::new();
        let plan = std::mem::take(&mut self.queries).into_iter();
        let plan = plan.zip(std::mem::take(&mut self.targets)).collect();
        let backlog = std::mem::take(&mut self.backlog);
        let mut unknown = |tasks: Vec<Task>| -> Vec<Task> {
            let mut left = Vec::new();
            for (query, target) in tasks {
                match known.get(&query) {
                    None => left.push((query, target)),
                    Some(measure) => {
                        self.fill(target, measure);
                        if let Target::Projection(i) = target {
                            projections.push((i, measure));
                        }
                    }
                }
            }
            left
        };
        let (plan, backlog) = (unknown(plan), unknown(backlog));
        self.plan_these(plan);
        self.backlog = backlog;
        projections
    }

    /// Puts a value into the pictures.
    pub fn fill(&mut self, target: Target, measure: Measure) {
        let pictures = &mut self.pictures;
        match target {
            Target::Grid { i, j } => {
                pictures.surface.record(i, j, measure);
                self.left = self.left.saturating_sub(1);
            }
            Target::Full { i, j } => pictures.record_full(i, j, measure),
            Target::Slice { slice, point } => {
                pictures.slices[slice].values[point] = Some(measure);
            }
            Target::Projection(i) if i + 1 == self.trajectory.steps.len() => {
                pictures.fill_middles(measure);
            }
            Target::Projection(_) | Target::Truth(_) | Target::Update(_) | Target::Average(_) => {}
        }
    }

    /// True once there is a map that asks for nothing more.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.rests && self.pictures.stands()
    }

    /// Points of the map that are still to come, as far as is known now, in points of the samples that are
    /// measured everywhere.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let full = self.pictures.wanted_full(&[]).len();
        self.left + self.asked + self.pictures.cost_of_all() * full
    }
}

/// Returns the task of measuring checkpoint `i` itself; `None` if that is known.
fn truth(i: usize, members: &[Checkpoint], known: impl Fn(Target) -> bool) -> Option<Task> {
    let query = Query::Checkpoint(members.get(i)?.clone());
    Some((query, Target::Truth(i))).filter(|truth| !known(truth.1))
}

/// The averages of the last checkpoints that are not known.
fn averages(members: &[Checkpoint], known: impl Fn(Target) -> bool) -> impl Iterator<Item = Task> {
    let query = |last: usize| {
        let from = members.len().checked_sub(last)?;
        Some((
            Query::Average(members[from..].to_vec()),
            Target::Average(last),
        ))
    };
    let averages = AVERAGES.into_iter().filter_map(query);
    averages.filter(move |average| !known(average.1))
}

/// The updates whose critical steps are not known, the newest first.
fn updates(members: &[Checkpoint], known: impl Fn(Target) -> bool) -> impl Iterator<Item = Task> {
    let newest_first = (0..members.len()).rev();
    let updates = newest_first.filter_map(|i| update_query(i, members));
    updates.filter(move |update| !known(update.1))
}

/// Returns the task of measuring the critical step of an update; the first checkpoint has no update before it.
fn update_query(i: usize, members: &[Checkpoint]) -> Option<Task> {
    let (from, to) = (members.get(i.checked_sub(1)?)?, members.get(i)?);
    let [from, to] = [from, to].map(Checkpoint::clone);
    Some((Query::Update { from, to }, Target::Update(i)))
}

/// The window of the whole path, with its margin.
#[must_use]
pub fn whole_path(path: &[[f64; 2]]) -> Window {
    let [x, y] = survey::window(path, MARGIN);
    Window { x, y }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
mod tests;
