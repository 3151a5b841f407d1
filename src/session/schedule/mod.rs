//! The measurements for one plane and one window, in their order, and the target of each answer.
//!
//! The map's finer points are not planned in advance: whenever a plan is done, the surface tells where it
//! asks for more. Where few samples are measured everywhere, the whole map is first measured on these; what
//! checkpoints are themselves is always measured on all.

mod waiting_checkpoints;

use std::sync::Arc;

use crate::landscape::grid::explore::{BATCH, WHOLE};
use crate::landscape::grid::survey;
use crate::landscape::{Position, Quantity, Query};
use crate::loss::Measure;
use crate::run::Checkpoint;
use crate::weights::Trajectory;

use self::waiting_checkpoints::WaitingCheckpoints;
use super::job::Job;
use super::measure_cache::MeasureCache;
use super::pictures::Pictures;
use super::snapshot::PlaneWindow;

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
    /// A point of the first levels, on fewer samples than the surface.
    First {
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
pub type Task = (Query, Target);

/// The job that measures a plane, and the pictures that its answers fill.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The queries that are measured now.
    pub job: Job<Target>,
    /// The surface and the slices so far.
    pub pictures: Pictures,
    /// The path on the plane that is measured.
    trajectory: Arc<Trajectory>,
    /// Its checkpoints.
    members: Vec<Checkpoint>,
    /// Those whose own loss is still to be planned.
    waiting: WaitingCheckpoints,
    /// True for each whose projection is planned or known.
    projections: Vec<bool>,
    /// The map asks for nothing more.
    rests: bool,
    /// Tasks for the time when the map rests, beside those of the checkpoints.
    backlog: Vec<Task>,
}

impl Schedule {
    /// Fills an empty job with the losses on the plane of a path: the current checkpoint, the coarsest level of the map,
    /// the slices through the plane's origin, the second level, other checkpoints.
    ///
    /// `members` are the path's checkpoints; `known` tells which losses, updates and averages of them
    /// need not be measured again. One checkpoint has no slices and no map, two have a slice along their line.
    /// Where few samples are measured everywhere, the map comes on these, then what the other checkpoints are, the
    /// difference that all samples make, and the rest. Where even fewer come first, the first two levels do.
    #[must_use]
    pub fn new(
        job: Job<Target>,
        trajectory: &Arc<Trajectory>,
        members: &[Checkpoint],
        pictures: Pictures,
        known: impl Fn(Target) -> bool,
    ) -> Self {
        let mut schedule = Self {
            job,
            pictures,
            trajectory: Arc::clone(trajectory),
            members: Vec::new(),
            waiting: WaitingCheckpoints::default(),
            projections: Vec::new(),
            rests: false,
            backlog: Vec::new(),
        };
        schedule.take_path(trajectory, members, &known);
        schedule.begin();
        schedule
    }

    /// Takes the same path with more checkpoints at its end, on the same plane: their losses are measured as the
    /// plans that follow have room for them.
    pub fn admit(
        &mut self,
        trajectory: &Arc<Trajectory>,
        members: &[Checkpoint],
        known: impl Fn(Target) -> bool,
    ) {
        let is_of_checkpoints =
            |task: &Task| matches!(task.1, Target::Average(_) | Target::Update(_));
        self.backlog.retain(|task| !is_of_checkpoints(task));
        self.take_path(trajectory, members, known);
    }

    fn take_path(
        &mut self,
        trajectory: &Arc<Trajectory>,
        members: &[Checkpoint],
        known: impl Fn(Target) -> bool,
    ) {
        self.trajectory = Arc::clone(trajectory);
        self.members = members.to_vec();
        let steps: Vec<u64> = members.iter().map(|member| member.step).collect();
        self.waiting.admit(&steps, |i| known(Target::Truth(i)));
        self.projections.resize(members.len(), false);
        self.backlog.extend(averages(members, &known));
        self.backlog.extend(updates(members, &known));
    }

    /// Plans the tasks that make a first picture, in their order.
    fn begin(&mut self) {
        let is_on_few = self.pictures.few().is_some();
        if self.has_first() {
            // One point on all samples costs as much as many of these.
            self.plan_first(0);
            self.plan_newest();
            (1..WHOLE).for_each(|level| self.plan_first(level));
        } else if !is_on_few {
            self.plan_newest();
        }
        if let (false, Some(newest)) = (is_on_few, self.members.len().checked_sub(1)) {
            self.plan_projection(newest);
        }
        // The coarsest level stands in a moment; everything finer waits for the slices.
        self.plan_level(0);
        if is_on_few {
            self.plan_newest();
        }
        self.plan_slices();
        (1..WHOLE).for_each(|level| self.plan_level(level));
        if !is_on_few {
            self.plan_checkpoints(BATCH / 2);
            let newest = Target::Update(self.members.len().saturating_sub(1));
            let is_newest = |task: &Task| task.1 == newest || matches!(task.1, Target::Average(_));
            let (soon, later) = std::mem::take(&mut self.backlog)
                .into_iter()
                .partition(is_newest);
            self.backlog = later;
            self.job.tasks.extend(soon);
        }
    }

    fn has_first(&self) -> bool {
        self.pictures
            .samples
            .is_some_and(|samples| samples.first.is_some())
    }

    /// Plans what comes when all queries are answered: where the map asks for more, beside some checkpoints; once
    /// that of few samples rests, what the other checkpoints are and the difference that all samples make; once all
    /// rests, what is left. False when that is nothing.
    pub fn next_batch(&mut self, generation: u64) -> bool {
        self.job.generation = generation;
        self.job.tasks.clear();
        let wanted = self.pictures.wanted();
        let full = self.pictures.wanted_full(&self.trajectory.coordinates);
        self.rests = wanted.is_empty() && full.is_empty();
        let few_rest = wanted.is_empty();
        let is_on_few = self.pictures.few().is_some();
        for point in wanted.into_iter().take(BATCH) {
            self.plan_point(point);
        }
        if few_rest {
            // On few samples all wait for this, as each costs as much as many points.
            let most = if full.is_empty() {
                usize::MAX
            } else {
                BATCH / 2
            };
            self.plan_checkpoints(most);
            for (i, j) in full {
                let query = Query::on_plane(self.pictures.place((i, j)));
                self.plan((query, Target::Full { i, j }));
            }
        } else if !is_on_few {
            self.plan_checkpoints(BATCH / 2);
            self.plan_projections(BATCH / 2);
        }
        if self.rests {
            let backlog = std::mem::take(&mut self.backlog);
            self.plan_projections(usize::MAX);
            self.job.tasks.extend(backlog);
        }
        !self.job.tasks.is_empty()
    }

    /// Returns true once the first two levels of the map stand, or all that there is to measure without a map.
    #[must_use]
    pub fn has_picture(&self) -> bool {
        self.rests || (0..WHOLE).all(|level| self.pictures.has_level(level))
    }

    /// Takes the newest checkpoint, whose own loss is then measured by a plan of its own; `None` if it is planned or
    /// known, or the coarsest level of the map does not stand yet.
    pub fn take_newest(&mut self) -> Option<Task> {
        let is_due = self.pictures.surface.x().is_empty() || self.pictures.stands();
        let newest = is_due.then(|| self.waiting.take_newest())??;
        Some(truth(newest, &self.members))
    }

    fn plan(&mut self, task: Task) {
        self.job.tasks.push(task);
    }

    fn plan_newest(&mut self) {
        if let Some(newest) = self.waiting.take_newest() {
            self.plan(truth(newest, &self.members));
        }
    }

    /// Plans the own losses of at most `most` waiting checkpoints; on few samples the projections come later.
    fn plan_checkpoints(&mut self, most: usize) {
        for _ in 0..most {
            let Some(i) = self.waiting.take_next() else {
                break;
            };
            self.plan(truth(i, &self.members));
            if self.pictures.few().is_none() {
                self.plan_projection(i);
            }
        }
    }

    fn plan_projection(&mut self, i: usize) {
        let at = self.trajectory.coordinates.get(i);
        if let (Some(&at), Some(planned @ false)) = (at, self.projections.get_mut(i)) {
            *planned = true;
            self.plan((Query::on_plane(at), Target::Projection(i)));
        }
    }

    /// Plans at most `most` of those that are not planned yet, the newest first.
    fn plan_projections(&mut self, most: usize) {
        let open = (0..self.members.len()).rev();
        let open: Vec<usize> = open.filter(|&i| !self.projections[i]).take(most).collect();
        for i in open {
            self.plan_projection(i);
        }
    }

    fn plan_slices(&mut self) {
        for slice in 0..self.pictures.slices.len() {
            for point in 0..self.pictures.slices[slice].offset.len() {
                let at = self.pictures.slices[slice].at(point);
                let is_known = self.pictures.slices[slice].values[point].is_some();
                // Where all samples are measured, the middle is the origin's own projection, which comes first.
                let is_planned = at == [0.0, 0.0] && self.plans_origin();
                if !is_known && !is_planned {
                    let query = self.pictures.query(at);
                    self.plan((query, Target::Slice { slice, point }));
                }
            }
        }
    }

    /// Returns true if a projection among the queries is the plane's origin, on the samples of the slices.
    fn plans_origin(&self) -> bool {
        let of_origin = Query::on_plane([0.0, 0.0]);
        let mut planned = self.job.tasks.iter().map(|task| &task.0);
        self.pictures.few().is_none() && planned.any(|query| *query == of_origin)
    }

    fn plan_level(&mut self, level: usize) {
        for point in self.pictures.open(level, &self.trajectory.coordinates) {
            self.plan_point(point);
        }
    }

    fn plan_first(&mut self, level: usize) {
        for (i, j) in self
            .pictures
            .open_first(level, &self.trajectory.coordinates)
        {
            if let Some(query) = self.pictures.first_query(self.pictures.place((i, j))) {
                self.plan((query, Target::First { i, j }));
            }
        }
    }

    fn plan_point(&mut self, (i, j): (usize, usize)) {
        let query = self.pictures.query(self.pictures.place((i, j)));
        self.plan((query, Target::Grid { i, j }));
    }

    /// Fills in what is already known of this plane and takes it off the plan. Returns the values of
    /// projections among it.
    pub fn recall(&mut self, known: &MeasureCache) -> Vec<(usize, Measure)> {
        // Finer points too, which were not planned yet.
        self.pictures.recall(known);
        let mut projections = Vec::new();
        for i in 0..self.members.len() {
            let query = Query::on_plane(self.trajectory.coordinates[i]);
            if let Some(measure) = known.get(&query) {
                self.projections[i] = true;
                self.fill(Target::Projection(i), measure);
                projections.push((i, measure));
            }
        }
        for (query, target) in std::mem::take(&mut self.job.tasks) {
            match known.get(&query) {
                None => self.plan((query, target)),
                Some(measure) => self.fill(target, measure),
            }
        }
        projections
    }

    /// Puts a value into the pictures.
    pub fn fill(&mut self, target: Target, measure: Measure) {
        let pictures = &mut self.pictures;
        match target {
            Target::Grid { i, j } => pictures.surface.record(i, j, measure),
            Target::First { i, j } => pictures.record_first(i, j, measure),
            Target::Full { i, j } => pictures.record_full(i, j, measure),
            Target::Slice { slice, point } => {
                pictures.slices[slice].values[point] = Some(measure);
            }
            Target::Projection(i) if self.trajectory.coordinates.get(i) == Some(&[0.0, 0.0]) => {
                pictures.fill_middles(measure);
            }
            Target::Truth(i) => self.waiting.know(i),
            Target::Projection(_) | Target::Update(_) | Target::Average(_) => {}
        }
    }

    /// Returns true if a query is the average of this number of the path's last checkpoints.
    #[must_use]
    pub fn is_average(&self, query: &Query, last: usize) -> bool {
        let from = self.members.len().saturating_sub(last);
        matches!(&query.quantity, Quantity::Loss(Position::Mean(members)) if members == &self.members[from..])
    }

    /// Returns true once there is a map that asks for nothing more.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.rests && self.pictures.stands()
    }
}

/// Returns the task of measuring checkpoint `i` itself.
fn truth(i: usize, members: &[Checkpoint]) -> Task {
    (Query::of_checkpoint(members[i].clone()), Target::Truth(i))
}

/// Returns the averages of the last checkpoints that are not known.
fn averages(members: &[Checkpoint], known: impl Fn(Target) -> bool) -> impl Iterator<Item = Task> {
    let query = |last: usize| {
        let from = members.len().checked_sub(last)?;
        Some((
            Query::of(Quantity::Loss(Position::Mean(members[from..].to_vec()))),
            Target::Average(last),
        ))
    };
    let averages = AVERAGES.into_iter().filter_map(query);
    averages.filter(move |average| !known(average.1))
}

/// Returns the updates whose critical steps are not known, the newest first.
fn updates(members: &[Checkpoint], known: impl Fn(Target) -> bool) -> impl Iterator<Item = Task> {
    let newest_first = (0..members.len()).rev();
    let updates = newest_first.filter_map(|i| update_query(i, members));
    updates.filter(move |update| !known(update.1))
}

/// Returns the task of measuring the critical step of an update; the first checkpoint has no update before it.
fn update_query(i: usize, members: &[Checkpoint]) -> Option<Task> {
    let (from, to) = (members.get(i.checked_sub(1)?)?, members.get(i)?);
    let [from, to] = [from, to].map(Checkpoint::clone);
    Some((
        Query::of(Quantity::CriticalStep { from, to }),
        Target::Update(i),
    ))
}

/// Returns the window of the whole path, with its margin.
#[must_use]
pub fn whole_path(path: &[[f64; 2]]) -> PlaneWindow {
    let [x, y] = survey::window(path, MARGIN);
    PlaneWindow { x, y }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
mod tests;
