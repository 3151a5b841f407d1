//! The order of what is measured, and what comes of the answers.

use std::cell::Cell;
use std::collections::HashSet;

use super::*;
use crate::data::Split;
use crate::landscape::{Lattice, Subset, Surface};
use crate::loss::Score;
use crate::session::pictures::Samples;
use crate::session::snapshot::Fidelity;
use crate::weights::{PlaneSpec, RunShape};

fn schedule(count: usize, window: Option<PlaneWindow>, known: bool) -> Schedule {
    schedule_of(count, window, None, known)
}

fn schedule_of(
    count: usize,
    window: Option<PlaneWindow>,
    samples: Option<Samples>,
    known: bool,
) -> Schedule {
    let members: Vec<Checkpoint> = (0..count)
        .map(|i| Checkpoint::new(i as u64, format!("model_{i}.pt")))
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
    let whole = whole_path(&trajectory.coordinates);
    let (lattice, first) = Lattice::of([whole.x, whole.y]);
    let covering = window.map(|window| lattice.covering([window.x, window.y]));
    let surface = match count {
        0..3 => Surface::new(Vec::new(), Vec::new()),
        _ => lattice.surface(covering.unwrap_or(first)),
    };
    let axes = count.saturating_sub(1).min(2);
    let pictures = Pictures::new(surface, window.unwrap_or(whole), axes, samples);
    let job = Job {
        generation: 1,
        spec: PlaneSpec::through(&RunShape::default(), &members[0]),
        split: Split::Train,
        tasks: Vec::new(),
    };
    Schedule::new(job, &Arc::new(trajectory), &members, pictures, |_| known)
}

fn targets(schedule: &Schedule) -> Vec<Target> {
    schedule.job.tasks.iter().map(|task| task.1).collect()
}

/// Returns the number of samples of a query, where these are few.
fn few(query: &Query) -> Option<usize> {
    match query.samples {
        Subset::Few(count) => Some(count),
        Subset::All | Subset::Part { .. } => None,
    }
}

/// Answers all queries, and those that come after them, until nothing is left to do. `loss` is told how many
/// samples it is wanted of, where these are few.
fn work_off(
    schedule: &mut Schedule,
    loss: impl Fn([f64; 2], Option<usize>) -> f64,
) -> MeasureCache {
    let mut known = MeasureCache::default();
    loop {
        for (query, target) in schedule.job.tasks.clone() {
            let Some(at) = query.quantity.plane_point() else {
                continue;
            };
            let loss = loss(at, few(&query));
            let measure = Measure { loss, score: 0.5 };
            known.insert(&query, measure);
            schedule.fill(target, measure);
        }
        if !schedule.next_batch(schedule.job.generation + 1) {
            return known;
        }
    }
}

#[test]
fn no_point_of_the_plane_is_planned_twice_but_for_the_path_s_own() {
    let mut schedule = schedule(6, None, false);
    let mut seen = HashSet::new();
    loop {
        for (query, target) in schedule.job.tasks.clone() {
            let Some(at) = query.quantity.plane_point() else {
                continue;
            };
            if !matches!(target, Target::Projection(_)) {
                assert!(seen.insert(format!("{query:?}")), "{target:?} again");
            }
            let measure = Measure {
                loss: 0.1 + (at[0] * 12.9 + at[1] * 78.2).sin().abs() * 43.7 % 1.0,
                score: 0.5,
            };
            schedule.fill(target, measure);
        }
        if !schedule.next_batch(schedule.job.generation + 1) {
            break;
        }
    }
    let measured = schedule.pictures.surface.measured();
    assert!(measured > 65 * 65 * 9 / 10, "it is rough: {measured}");
    assert_eq!(schedule.pictures.left(&schedule.pictures.shown()), 0);
}

#[test]
fn the_current_checkpoint_comes_first_then_contours_then_slices_then_the_second_level() {
    let schedule = schedule(6, None, false);
    assert_eq!(
        targets(&schedule)[..2],
        [Target::Truth(5), Target::Projection(5)]
    );
    let is = |range: std::ops::Range<usize>, what: fn(&Target) -> bool| {
        targets(&schedule)[range].iter().all(what)
    };
    assert!(is(2..27, |m| matches!(m, Target::Grid { .. })));
    assert!(is(27..67, |m| matches!(m, Target::Slice { .. })));
    assert!(is(67..123, |m| matches!(m, Target::Grid { .. })));
    assert!(is(123..133, |m| matches!(
        m,
        Target::Truth(_) | Target::Projection(_)
    )));
    // The first after the newest, then those in the largest gaps.
    assert_eq!(
        [123, 125, 127].map(|at| targets(&schedule)[at]),
        [Target::Truth(0), Target::Truth(2), Target::Truth(3)]
    );
    assert!(is(133..136, |m| matches!(m, Target::Average(_))));
    assert_eq!(targets(&schedule)[136..], [Target::Update(5)]);
}

#[test]
fn when_a_smooth_map_rests_the_earlier_updates_come() {
    let mut smooth = schedule(6, None, false);
    for target in targets(&smooth) {
        if let Target::Grid { i, j } = target {
            let loss =
                (0.1 * smooth.pictures.surface.x()[i] + 0.2 * smooth.pictures.surface.y()[j]).exp();
            smooth.fill(target, Measure { loss, score: 0.5 });
        }
    }
    assert!(smooth.pictures.stands() && smooth.next_batch(2));
    let updates: Vec<Target> = (1..5).rev().map(Target::Update).collect();
    assert_eq!(targets(&smooth), updates);
    assert!(!smooth.next_batch(3));
}

#[test]
fn known_losses_of_checkpoints_are_not_measured_again() {
    assert!(
        !targets(&schedule(6, None, true))
            .iter()
            .any(|m| matches!(m, Target::Truth(_)))
    );
}

#[test]
fn one_checkpoint_has_its_loss_and_two_have_a_slice_along_their_line() {
    assert_eq!(
        targets(&schedule(1, None, false)),
        [Target::Truth(0), Target::Projection(0)]
    );
    let two = schedule(2, None, false);
    assert_eq!(
        (two.pictures.slices.len(), two.job.tasks.len()),
        (1, 2 + 20 + 4)
    );
    assert!(two.pictures.left(&two.pictures.shown()) == 0 && !two.pictures.stands());
}

#[test]
fn a_window_that_comes_back_is_recalled_and_not_measured() {
    let mut first = schedule(6, None, true);
    let known = work_off(&mut first, |at, _| (at[0] * 9.0).sin().abs() + 0.1);
    let mut again = schedule(6, None, true);
    assert_eq!(again.recall(&known).len(), 6);
    assert!(again.job.tasks.is_empty() && again.pictures.stands());
    assert!(!again.next_batch(2));
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
    let schedule = schedule(9, None, false);
    let slice = &schedule.pictures.slices[0];
    let window = whole_path(&schedule.trajectory.coordinates);
    assert_eq!([slice.offset[0], slice.offset[20]], window.x);
    assert_eq!(slice.offset.iter().filter(|o| **o == 0.0).count(), 1);
    assert!(slice.offset.is_sorted());
}

const FEW: Option<Samples> = Some(Samples {
    all: 5000,
    few: Some(100),
    first: None,
    score: Some(Score::Accuracy),
});

/// Returns a bumpy loss, on all samples a little higher here and lower there.
fn loss_of([x, y]: [f64; 2], few: Option<usize>) -> f64 {
    let bumpy = 1.5 + (2.0 * x).sin() * (3.0 * y).cos();
    let more = (0.1 + 0.04 * x - 0.06 * y + 0.01 * x * y).exp();
    bumpy * few.map_or(more, |_| 1.0)
}

#[test]
fn the_map_comes_on_few_samples_and_checkpoints_are_measured_on_all() {
    let schedule = schedule_of(6, None, FEW, false);
    let is_few = |range: std::ops::Range<usize>| {
        let mut queries = schedule.job.tasks[range].iter();
        queries.all(|(query, _)| few(query) == Some(100))
    };
    assert!(is_few(0..25) && is_few(26..schedule.job.tasks.len()));
    assert_eq!(targets(&schedule)[25], Target::Truth(5));
    assert_eq!(schedule.job.tasks.len(), 25 + 1 + 2 * 21 + 56);
    let line = schedule_of(2, None, FEW, false);
    assert!(
        line.job.tasks.iter().all(|task| few(&task.0).is_none()),
        "a line is measured on all"
    );
}

#[test]
fn the_others_come_after_the_map_of_few_and_the_difference_before_the_rest() {
    let mut schedule = schedule_of(6, None, FEW, false);
    let mut order = Vec::new();
    loop {
        for (query, target) in schedule.job.tasks.clone() {
            let (kind, few) = match (target, few(&query)) {
                (_, Some(few)) => ("few", Some(few)),
                (Target::Full { .. }, _) => ("all", None),
                (Target::Truth(_), _) => ("truth", None),
                _ => ("rest", None),
            };
            if order.last() != Some(&kind) {
                order.push(kind);
            }
            let at = match target {
                Target::Grid { i, j } | Target::Full { i, j } => schedule.pictures.place((i, j)),
                _ => [0.0, 0.0],
            };
            let measure = Measure {
                loss: loss_of(at, few),
                score: 0.5,
            };
            schedule.fill(target, measure);
        }
        if !schedule.next_batch(schedule.job.generation + 1) {
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
    let mut schedule = schedule_of(6, None, FEW, true);
    assert!(matches!(
        schedule.pictures.shown().fidelity,
        Some(Fidelity::Few(100))
    ));
    let (few, full) = (Cell::new(0), Cell::new(0));
    work_off(&mut schedule, |at, samples| {
        let count = if samples.is_some() { &few } else { &full };
        count.set(count.get() + 1);
        loss_of(at, samples)
    });
    let (few, full) = (few.get(), full.get());
    assert!(schedule.rests() && schedule.pictures.left(&schedule.pictures.shown()) == 0);
    let shown = schedule.pictures.shown();
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
    let mut first = schedule_of(6, None, FEW, true);
    let known = work_off(&mut first, loss_of);
    let window = PlaneWindow {
        x: [-0.5, 3.0],
        y: [-1.0, 1.0],
    };
    let mut other = schedule_of(6, Some(window), FEW, true);
    assert_eq!(other.recall(&known).len(), 6);
    assert!(!other.pictures.stands());
    let mut again = schedule_of(6, None, FEW, true);
    assert_eq!(again.recall(&known).len(), 6);
    assert!(again.job.tasks.is_empty() && !again.next_batch(2) && again.rests());
    let [first, again] = [first, again].map(|schedule| schedule.pictures.shown());
    assert_eq!(again.surface, first.surface);
    assert_eq!(again.slices, first.slices);
    assert_eq!((again.fidelity, again.error), (first.fidelity, first.error));
}
