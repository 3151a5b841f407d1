//! What to measure for one plane and one window, in which order, and what each answer means.
//!
//! The map's finer points are not planned in advance: whenever a plan is done, the surface tells where it
//! asks for more. Where few samples are measured everywhere, the whole map is first measured on these; what
//! checkpoints are themselves is always measured on all.

use std::sync::Arc;

use crate::landscape::explore::{BATCH, WHOLE};
use crate::landscape::surface::Measure;
use crate::landscape::survey;
use crate::landscape::surveyor::Spot;
use crate::run::Checkpoint;
use crate::weights::trajectory::Trajectory;

use super::known::Known;
use super::pictures::{Few, Pictures};
use super::snapshot::Window;

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
    /// A point of the surface that is measured on all samples, beside the few.
    Full {
        /// Column of the surface.
        i: usize,
        /// Row of the surface.
        j: usize,
    },
}

/// Something to measure, and what it is.
type Errand = (Spot, Meaning);

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
    /// The surface and the slices so far.
    pub pictures: Pictures,
    /// Points of the map among the spots that are still to come, on the samples that are measured everywhere.
    left: usize,
    /// Points beside these that the map asks for.
    asked: usize,
    /// The map asks for nothing more.
    rests: bool,
    /// What is measured once the map of few samples rests.
    after_few: Vec<Errand>,
    /// What is measured once the map rests.
    backlog: Vec<Errand>,
}

impl Agenda {
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
        let mut agenda = Self {
            generation,
            trajectory: Arc::clone(trajectory),
            spots: Vec::new(),
            meanings: Vec::new(),
            pictures: Pictures::new(window, axes, few),
            left: 0,
            asked: 0,
            rests: false,
            after_few: Vec::new(),
            backlog: Vec::new(),
        };
        if agenda.pictures.few.is_some() {
            agenda.plan_few(members, &known);
        } else {
            agenda.plan_all(members, &known);
        }
        agenda
    }

    fn plan_all(&mut self, members: &[Checkpoint], known: impl Fn(Meaning) -> bool) {
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
        let (first, later) = updates.partition(|update| update.1 == Meaning::Update(newest));
        self.plan_these(first);
        self.backlog = later;
    }

    /// Few samples draw the whole map in the time that all take for a few points.
    fn plan_few(&mut self, members: &[Checkpoint], known: impl Fn(Meaning) -> bool) {
        let newest = members.len().saturating_sub(1);
        self.plan_level(0);
        let truths = (0..members.len())
            .rev()
            .filter_map(|i| truth(i, members, &known));
        let (current, others) = truths.partition(|truth| truth.1 == Meaning::Truth(newest));
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

    /// Plans what comes when all spots are answered: where the map asks for more; once that of few samples
    /// rests, what the other checkpoints are and the difference that all samples make; once all rests, what
    /// is left. False when that is nothing.
    pub fn go_on(&mut self, generation: u64) -> bool {
        self.generation = generation;
        self.spots.clear();
        self.meanings.clear();
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
                let spot = Spot::OnPlane(self.pictures.place((i, j)));
                self.plan((spot, Meaning::Full { i, j }));
            }
        }
        if self.rests {
            let backlog = std::mem::take(&mut self.backlog);
            self.plan_these(backlog);
        }
        !self.spots.is_empty()
    }

    fn plan(&mut self, (spot, meaning): Errand) {
        self.spots.push(spot);
        self.meanings.push(meaning);
    }

    fn plan_these(&mut self, errands: Vec<Errand>) {
        for errand in errands {
            self.plan(errand);
        }
    }

    fn plan_checkpoint(
        &mut self,
        i: usize,
        members: &[Checkpoint],
        known: impl Fn(Meaning) -> bool,
    ) {
        if let Some(truth) = truth(i, members, known) {
            self.plan(truth);
        }
        self.plan(self.projection(i));
    }

    fn projection(&self, i: usize) -> Errand {
        let spot = Spot::OnPlane(self.trajectory.coordinates[i]);
        (spot, Meaning::Projection(i))
    }

    fn plan_slices(&mut self) {
        for slice in 0..self.pictures.slices.len() {
            for point in 0..self.pictures.slices[slice].offset.len() {
                let at = self.pictures.slices[slice].at(point);
                // Where all samples are measured, the middle is the current checkpoint's projection, which comes first.
                if self.pictures.few.is_some() || at != [0.0, 0.0] {
                    let spot = self.pictures.spot(at);
                    self.plan((spot, Meaning::Slice { slice, point }));
                }
            }
        }
    }

    fn plan_level(&mut self, level: usize) {
        let (x, y) = (self.pictures.surface.x(), self.pictures.surface.y());
        for (i, j) in survey::additions(x, y, level, &self.trajectory.coordinates) {
            self.plan_point(i, j);
        }
    }

    fn plan_point(&mut self, i: usize, j: usize) {
        let spot = self.pictures.spot(self.pictures.place((i, j)));
        self.left += 1;
        self.plan((spot, Meaning::Grid { i, j }));
    }

    /// Fills in what is already known of this plane and takes it off the plan. Returns the values of
    /// projections among it.
    pub fn recall(&mut self, known: &Known) -> Vec<(usize, Measure)> {
        // Finer points too, which were not planned yet.
        self.pictures.recall(known);
        let mut projections = Vec::new();
        let plan = std::mem::take(&mut self.spots).into_iter();
        let plan = plan.zip(std::mem::take(&mut self.meanings)).collect();
        let backlog = std::mem::take(&mut self.backlog);
        let mut unknown = |errands: Vec<Errand>| -> Vec<Errand> {
            let mut left = Vec::new();
            for (spot, meaning) in errands {
                match known.get(&spot) {
                    None => left.push((spot, meaning)),
                    Some(measure) => {
                        self.fill(meaning, measure);
                        if let Meaning::Projection(i) = meaning {
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
    pub fn fill(&mut self, meaning: Meaning, measure: Measure) {
        let pictures = &mut self.pictures;
        match meaning {
            Meaning::Grid { i, j } => {
                pictures.surface.record(i, j, measure);
                self.left = self.left.saturating_sub(1);
            }
            Meaning::Full { i, j } => pictures.record_full(i, j, measure),
            Meaning::Slice { slice, point } => {
                pictures.slices[slice].values[point] = Some(measure);
            }
            Meaning::Projection(i) if i + 1 == self.trajectory.steps.len() => {
                pictures.fill_middles(measure);
            }
            Meaning::Projection(_)
            | Meaning::Truth(_)
            | Meaning::Update(_)
            | Meaning::Average(_) => {}
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

/// What checkpoint `i` is, where that is not known.
fn truth(i: usize, members: &[Checkpoint], known: impl Fn(Meaning) -> bool) -> Option<Errand> {
    let spot = Spot::Checkpoint(members.get(i)?.clone());
    Some((spot, Meaning::Truth(i))).filter(|truth| !known(truth.1))
}

/// The averages of the last checkpoints that are not known.
fn averages(
    members: &[Checkpoint],
    known: impl Fn(Meaning) -> bool,
) -> impl Iterator<Item = Errand> {
    let spot = |last: usize| {
        let from = members.len().checked_sub(last)?;
        Some((
            Spot::Average(members[from..].to_vec()),
            Meaning::Average(last),
        ))
    };
    let averages = AVERAGES.into_iter().filter_map(spot);
    averages.filter(move |average| !known(average.1))
}

/// The updates whose critical steps are not known, the newest first.
fn updates(
    members: &[Checkpoint],
    known: impl Fn(Meaning) -> bool,
) -> impl Iterator<Item = Errand> {
    let newest_first = (0..members.len()).rev();
    let updates = newest_first.filter_map(|i| spot_of(i, members));
    updates.filter(move |update| !known(update.1))
}

/// Where the critical step of an update is measured; the first checkpoint has no update before it.
fn spot_of(i: usize, members: &[Checkpoint]) -> Option<Errand> {
    let (from, to) = (members.get(i.checked_sub(1)?)?, members.get(i)?);
    let [from, to] = [from, to].map(Checkpoint::clone);
    Some((Spot::Update { from, to }, Meaning::Update(i)))
}

/// The window of the whole path, with its margin.
#[must_use]
pub fn whole_path(path: &[[f64; 2]]) -> Window {
    let [x, y] = survey::window(path, MARGIN);
    Window { x, y }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a panic is how a test fails"
    )]

    use super::super::snapshot::Fidelity;
    use super::*;
    use std::cell::Cell;
    use std::collections::HashSet;

    fn agenda(count: usize, window: Option<Window>, known: bool) -> Agenda {
        agenda_of(count, window, None, known)
    }

    fn agenda_of(count: usize, window: Option<Window>, few: Option<Few>, known: bool) -> Agenda {
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
        Agenda::new(1, &Arc::new(trajectory), &members, window, few, |_| known)
    }

    /// Answers all spots, and those that come after them, until nothing is left to do. `loss` is told how many
    /// samples it is wanted of, where these are few.
    fn work_off(agenda: &mut Agenda, loss: impl Fn([f64; 2], Option<usize>) -> f64) -> Known {
        let mut known = Known::default();
        loop {
            let plan = agenda.spots.clone().into_iter();
            for (spot, meaning) in plan.zip(agenda.meanings.clone()) {
                let loss = match spot {
                    Spot::OnPlane(at) => loss(at, None),
                    Spot::OnFew { at, samples } => loss(at, Some(samples)),
                    _ => continue,
                };
                let measure = Measure {
                    loss,
                    accuracy: 0.5,
                };
                known.insert(&spot, measure);
                agenda.fill(meaning, measure);
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
        let measured = agenda.pictures.surface.measured();
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
                let loss = (0.1 * smooth.pictures.surface.x()[i]
                    + 0.2 * smooth.pictures.surface.y()[j])
                    .exp();
                smooth.fill(
                    meaning,
                    Measure {
                        loss,
                        accuracy: 0.5,
                    },
                );
            }
        }
        assert!(smooth.pictures.stands() && smooth.go_on(2));
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
        assert_eq!(
            (two.pictures.slices.len(), two.spots.len()),
            (1, 2 + 20 + 4)
        );
        assert!(two.remaining() == 0 && !two.pictures.stands());
    }

    #[test]
    fn a_window_that_comes_back_is_recalled_and_not_measured() {
        let mut first = agenda(6, None, true);
        let known = work_off(&mut first, |at, _| (at[0] * 9.0).sin().abs() + 0.1);
        let mut again = agenda(6, None, true);
        assert_eq!(again.recall(&known).len(), 6);
        assert!(again.spots.is_empty() && again.pictures.stands());
        assert!(!again.go_on(2));
        assert_eq!(again.pictures.surface, first.pictures.surface);
        assert!(
            again
                .pictures
                .slices
                .iter()
                .all(|slice| slice.values.iter().all(Option::is_some))
        );
    }

    #[test]
    fn slices_are_as_long_as_the_window_and_go_through_the_checkpoint() {
        let agenda = agenda(9, None, false);
        let slice = &agenda.pictures.slices[0];
        let window = whole_path(&agenda.trajectory.coordinates);
        assert_eq!([slice.offset[0], slice.offset[20]], window.x);
        assert_eq!(slice.offset.iter().filter(|o| **o == 0.0).count(), 1);
        assert!(slice.offset.is_sorted());
    }

    const FEW: Option<Few> = Some(Few {
        few: 100,
        all: 5000,
    });

    /// Bumpy, and on all samples a little higher here and lower there.
    fn loss_of([x, y]: [f64; 2], few: Option<usize>) -> f64 {
        let bumpy = 1.5 + (2.0 * x).sin() * (3.0 * y).cos();
        let more = (0.1 + 0.04 * x - 0.06 * y + 0.01 * x * y).exp();
        bumpy * few.map_or(more, |_| 1.0)
    }

    #[test]
    fn the_map_comes_on_few_samples_and_checkpoints_are_measured_on_all() {
        let agenda = agenda_of(6, None, FEW, false);
        let is_few = |range: std::ops::Range<usize>| {
            let mut spots = agenda.spots[range].iter();
            spots.all(|spot| matches!(spot, Spot::OnFew { samples: 100, .. }))
        };
        assert!(is_few(0..25) && is_few(26..agenda.spots.len()));
        assert_eq!(agenda.meanings[25], Meaning::Truth(5));
        assert_eq!(agenda.spots.len(), 25 + 1 + 2 * 21 + 56);
        let line = agenda_of(2, None, FEW, false);
        let on_few = |spot: &Spot| matches!(spot, Spot::OnFew { .. });
        assert!(!line.spots.iter().any(on_few), "a line is measured on all");
    }

    #[test]
    fn the_others_come_after_the_map_of_few_and_the_difference_before_the_rest() {
        let mut agenda = agenda_of(6, None, FEW, false);
        let mut order = Vec::new();
        loop {
            let plan = agenda.spots.clone().into_iter();
            for (spot, meaning) in plan.zip(agenda.meanings.clone()) {
                let (kind, few) = match (meaning, spot) {
                    (_, Spot::OnFew { .. }) => ("few", FEW.map(|few| few.few)),
                    (Meaning::Full { .. }, _) => ("all", None),
                    (Meaning::Truth(_), _) => ("truth", None),
                    _ => ("rest", None),
                };
                if order.last() != Some(&kind) {
                    order.push(kind);
                }
                let at = match meaning {
                    Meaning::Grid { i, j } | Meaning::Full { i, j } => {
                        agenda.pictures.place((i, j))
                    }
                    _ => [0.0, 0.0],
                };
                let measure = Measure {
                    loss: loss_of(at, few),
                    accuracy: 0.5,
                };
                agenda.fill(meaning, measure);
            }
            if !agenda.go_on(agenda.generation + 1) {
                break;
            }
        }
        let begin = ["few", "truth", "few", "truth", "all"];
        assert_eq!(order[..5], begin, "{order:?}");
        assert_eq!(order.last(), Some(&"rest"));
        let rest = order.iter().filter(|kind| **kind == "rest").count();
        assert_eq!(rest, 1, "{order:?}");
    }

    #[test]
    fn the_surface_of_all_samples_is_within_its_error_and_costs_few_points_of_all() {
        let mut agenda = agenda_of(6, None, FEW, true);
        assert!(matches!(
            agenda.pictures.shown().fidelity,
            Some(Fidelity::Few(100))
        ));
        let (few, full) = (Cell::new(0), Cell::new(0));
        work_off(&mut agenda, |at, samples| {
            let count = if samples.is_some() { &few } else { &full };
            count.set(count.get() + 1);
            loss_of(at, samples)
        });
        let (few, full) = (few.get(), full.get());
        assert!(agenda.rests() && agenda.remaining() == 0);
        let shown = agenda.pictures.shown();
        let Some(Fidelity::Estimate { points, error, .. }) = shown.fidelity else {
            panic!("{:?}", shown.fidelity)
        };
        assert!(
            points <= 81 && full <= points + 6 && few > 3 * full,
            "{points} {full} {few}"
        );
        let (x, y) = (shown.surface.x(), shown.surface.y());
        let z = |loss: f64| (loss + 1e-3).ln();
        let exact = y
            .iter()
            .flat_map(|&y| x.iter().map(move |&x| z(loss_of([x, y], None))));
        let exact: Vec<f64> = exact.collect();
        let [min, max] = [f64::min, f64::max].map(|f| exact.iter().copied().reduce(f).unwrap());
        let found = shown.surface.sample(x, y).loss;
        let off = found
            .iter()
            .zip(&exact)
            .map(|(found, exact)| (z(*found) - exact).abs());
        let mean = off.sum::<f64>() / exact.len() as f64 / (max - min);
        let stated = shown.error.unwrap();
        assert!(
            mean <= stated && error < stated && stated < 0.02,
            "{mean} {stated}"
        );
        for slice in &shown.slices {
            for (point, value) in slice.values.iter().enumerate() {
                let exact = z(loss_of(slice.at(point), None));
                let off = (z(value.unwrap().loss) - exact).abs() / (max - min);
                assert!(off < 0.02, "{off}");
            }
        }
    }

    #[test]
    fn a_window_that_comes_back_is_recalled_on_few_samples_and_on_all() {
        let mut first = agenda_of(6, None, FEW, true);
        let known = work_off(&mut first, loss_of);
        let window = Window {
            x: [-0.5, 3.0],
            y: [-1.0, 1.0],
        };
        let mut other = agenda_of(6, Some(window), FEW, true);
        assert_eq!(other.recall(&known).len(), 6);
        assert!(!other.pictures.stands());
        let mut again = agenda_of(6, None, FEW, true);
        assert_eq!(again.recall(&known).len(), 6);
        assert!(again.spots.is_empty() && !again.go_on(2) && again.rests());
        let [first, again] = [first, again].map(|agenda| agenda.pictures.shown());
        assert_eq!(again.surface, first.surface);
        assert_eq!(again.slices, first.slices);
        assert_eq!((again.fidelity, again.error), (first.fidelity, first.error));
    }
}
