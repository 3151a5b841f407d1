//! A session beside a training, with a device that has a pace and a clock that is set: what stands when.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use nalgebra::DMatrix;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::cache::KeepLimit;
use crate::data::{self, Split};
use crate::landscape::{
    Hosting, Position, Quantity, Query, QueryAnswer, Queue, Setup, Subset, Task, TimedValue,
    WorkerNumber,
};
use crate::run::RunChoice;
use crate::session::reader::PathReading;
use crate::weights::{BatchNorm, Components, Fit, PathProducts, RunShape, Trajectory};

const DIMENSIONS: usize = 40;
const SAMPLES: usize = 1024;

/// Returns a training: it falls along a few directions, with noise, and its learning rate drops at two thirds.
fn training(count: usize) -> Vec<[f64; DIMENSIONS]> {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut walk = [0.0; DIMENSIONS];
    (0..count)
        .map(|i| {
            let t = i as f64;
            let rate = if 3 * i > 2 * count { 0.03 } else { 0.12 };
            for step in &mut walk {
                let noise: f64 = StandardNormal.sample(&mut random);
                *step += rate * noise;
            }
            std::array::from_fn(|k| {
                let pace = 6.0 * (k + 1) as f64;
                12.0 / (k + 1) as f64 * (1.0 - (-t / pace).exp()) + walk[k]
            })
        })
        .collect()
}

/// Returns the path of the first checkpoints, saved at these seconds.
fn reading(points: &[[f64; DIMENSIONS]], saved: &[f64]) -> PathReading {
    let count = points.len();
    let dots = DMatrix::from_fn(count, count, |i, j| {
        let delta = |i: usize, k: usize| points[i][k] - points[0][k];
        (0..DIMENSIONS).map(|k| delta(i, k) * delta(j, k)).sum()
    });
    let members: Vec<Checkpoint> = (0..count)
        .map(|i| Checkpoint {
            modified: Some(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs_f64(saved[i])),
            ..Checkpoint::new(10 * i as u64, format!("{i}.pt"))
        })
        .collect();
    let components = Components::of(&dots);
    let last = count - 1;
    let trajectory = Trajectory {
        steps: members.iter().map(|member| member.step).collect(),
        coordinates: (0..count)
            .map(|i| [0, 1].map(|k| components.coordinate(i, k) - components.coordinate(last, k)))
            .collect(),
        explained: components.explained(),
        singular: components.singular.clone(),
        distance: vec![0.0; count],
        ..Trajectory::default()
    };
    PathReading {
        shape: Some(RunShape::default()),
        fit: Arc::new(Fit {
            trajectory,
            combinations: [0, 1].map(|k| components.combination(k)),
        }),
        products: Arc::new(PathProducts::new(members.clone(), Arc::new(dots))),
        members,
        ..PathReading::default()
    }
}

fn options() -> Options {
    Options {
        run: PathBuf::from("run"),
        choice: RunChoice::default(),
        keep: KeepLimit::Auto,
        disk_only: true,
        setup: Setup::of(data::DataRequest::whole("digits")),
        hosting: Hosting::default(),
        batch_norm: BatchNorm::Frozen,
        fidelity: None,
    }
}

/// The state of the screen at a look.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is something that is seen or not"
)]
#[derive(Clone, Copy, Debug)]
struct Look {
    at: f64,
    /// A surface is there, of this plane or seen from it.
    has_contours: bool,
    /// It is that of this plane.
    is_own: bool,
    /// It has 9×9 points.
    has_second: bool,
    /// Origin of the plane, and lines of what is measured.
    plane: (u64, usize),
    share: f64,
    rests: bool,
    /// Checkpoints of the path, and those whose own loss is known.
    checkpoints: [usize; 2],
    /// Samples of its first levels, if these are fewer than all.
    first: Option<usize>,
    /// Checkpoints of which the plane was fitted.
    members: usize,
    /// Checkpoints since the last one whose loss is known.
    behind: usize,
}

/// A session whose reader and device are simulated.
struct Simulation {
    conductor: Conductor,
    clock: Arc<AtomicU64>,
    requests: std::sync::mpsc::Receiver<WorkerRequest>,
    queue: Queue<Box<dyn FnMut(WorkerEvent) -> bool>>,
    reports: Rc<RefCell<Vec<WorkerEvent>>>,
    /// The query that is measured, when it will be done, and the seconds that it takes.
    busy: Option<(Task, f64, f64)>,
    /// Samples a second.
    pace: f64,
    now: f64,
    looks: Vec<Look>,
    /// Seconds of the device for the map, and for checkpoints themselves.
    spent: [f64; 2],
}

/// Seconds that every point takes beside its samples, and between two looks.
const OVERHEAD: f64 = 0.004;
const LOOK: f64 = 0.25;

impl Simulation {
    fn new(pace: f64) -> Self {
        let (to_workers, requests) = channel();
        let (publish, _) = watch::channel(Arc::new(Snapshot::default()));
        let mut conductor =
            Conductor::new(options(), Watcher::idle(), channel().0, to_workers, publish);
        let clock = Arc::new(AtomicU64::new(0));
        conductor.clock = Clock::Set(Arc::clone(&clock));
        let reports = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&reports);
        let mut simulation = Self {
            conductor,
            clock,
            requests,
            queue: Queue::new(Box::new(move |report| {
                told.borrow_mut().push(report);
                true
            })),
            reports,
            busy: None,
            pace,
            now: 0.0,
            looks: Vec::new(),
            spent: [0.0; 2],
        };
        let data = WorkerEvent::Data {
            split: Split::Train,
            name: "digits".into(),
            samples: SAMPLES,
            content: None,
        };
        simulation.conductor.fold(Input::Worker(data));
        simulation
    }

    /// Lets time pass.
    fn pass(&mut self, until: f64) {
        while self.now < until {
            self.exchange();
            if self.busy.is_none()
                && let Some(task) = self.queue.take(WorkerNumber::default())
            {
                let seconds = self.seconds(&task);
                self.busy = Some((task, self.now + seconds, seconds));
            }
            let next_look = (self.now / LOOK).floor() * LOOK + LOOK;
            let done = self.busy.as_ref().map_or(f64::INFINITY, |busy| busy.1);
            self.now = next_look.min(done).min(until);
            self.clock.store((self.now * 1e6) as u64, Ordering::Relaxed);
            if done <= self.now
                && let Some((task, _, seconds)) = self.busy.take()
            {
                let value = value(&task);
                self.queue.answer(&task, Ok(TimedValue { value, seconds }));
                self.exchange();
            }
            if self.now >= next_look {
                self.look();
            }
        }
    }

    /// Hands over what is asked and what is answered, until nothing more is.
    fn exchange(&mut self) {
        loop {
            let requests: Vec<WorkerRequest> = self.requests.try_iter().collect();
            for request in requests {
                self.queue.post(request);
            }
            let reports = std::mem::take(&mut *self.reports.borrow_mut());
            if reports.is_empty() {
                return;
            }
            for report in reports {
                self.conductor.fold(Input::Worker(report));
            }
        }
    }

    fn seconds(&mut self, task: &Task) -> f64 {
        let query = &task.plan.queries[task.index];
        let (samples, kind) = match (&query.quantity, query.samples) {
            (_, Subset::Few(samples)) => (samples, 0),
            (Quantity::Loss(Position::Plane(_)), _) => (SAMPLES, 0),
            (Quantity::CriticalStep { .. }, _) => (8 * SAMPLES, 0),
            (Quantity::Function(_), _) => (2 * SAMPLES, 0),
            _ => (SAMPLES, 1),
        };
        let seconds = OVERHEAD + samples as f64 / self.pace;
        self.spent[kind] += seconds;
        seconds
    }

    fn look(&mut self) {
        self.conductor.show();
        let snapshot = &self.conductor.snapshot;
        let map = snapshot.map.as_ref();
        let schedule = self.conductor.schedule.as_ref();
        let has = |level| schedule.is_some_and(|schedule| schedule.pictures.has_level(level));
        let path: Vec<bool> = (snapshot.checkpoints.iter())
            .map(|line| line.truth.is_some())
            .collect();
        self.looks.push(Look {
            at: self.now,
            has_contours: map.is_some_and(|map| map.surface.measured() >= 25),
            is_own: map.is_some_and(|map| !map.stale) && has(0),
            has_second: has(1),
            plane: (
                snapshot.plane.map_or(0, |plane| plane.origin),
                schedule.map_or(0, |schedule| {
                    let sides = schedule.pictures.surface.sides();
                    sides[0].count * sides[1].count
                }),
            ),
            share: snapshot.progress.share,
            rests: snapshot.progress.rests,
            checkpoints: [path.len(), path.iter().filter(|known| **known).count()],
            first: schedule.and_then(|schedule| schedule.pictures.samples?.first),
            members: (self.conductor.plane.as_ref()).map_or(0, |plane| plane.fitted.members.len()),
            behind: path.iter().rev().take_while(|known| !**known).count(),
        });
        self.conductor.tick();
    }

    /// Simulates a training that saves every `interval` seconds, and then stops; looked at for `more` seconds.
    fn beside(&mut self, count: usize, interval: f64, more: f64) {
        let points = training(count);
        let saved: Vec<f64> = (0..count).map(|i| interval * i as f64).collect();
        for i in 0..count {
            self.pass(saved[i]);
            let path = reading(&points[..=i], &saved);
            self.conductor
                .fold(Input::Reader(ReaderEvent::Path(Box::new(path))));
        }
        let end = self.now + more;
        self.pass(end);
    }

    /// Returns the looks at times from the third checkpoint on.
    fn since(&self, from: f64) -> impl Iterator<Item = &Look> {
        self.looks.iter().filter(move |look| look.at >= from)
    }

    fn planes(&self) -> usize {
        let mut planes: Vec<u64> = self.looks.iter().map(|look| look.plane.0).collect();
        planes.dedup();
        planes.len()
    }
}

/// Returns a smooth bowl with a ridge in it.
fn value(task: &Task) -> QueryAnswer {
    let bowl = |[x, y]: [f64; 2]| {
        0.3 + 0.01 * (x * x + 2.0 * y * y) + 0.2 * (0.5 * x + 0.3 * y).sin().powi(2)
    };
    match task.plan.queries[task.index].quantity {
        Quantity::Loss(Position::Plane(at)) => QueryAnswer::Measure(Measure {
            loss: bowl(at),
            score: 0.8,
        }),
        Quantity::CriticalStep { .. } => QueryAnswer::Critical(CriticalStep {
            step: 2.0,
            evaluations: 8,
        }),
        Quantity::Function(_) => QueryAnswer::Assumed,
        _ => QueryAnswer::Measure(Measure {
            loss: 0.5,
            score: 0.8,
        }),
    }
}

#[test]
fn beside_a_training_that_saves_every_five_seconds_there_are_always_contours() {
    // A point on all samples takes a second: 25 of them would take longer than five checkpoints.
    let mut simulation = Simulation::new(1000.0);
    simulation.beside(60, 5.0, 1500.0);
    let third = 10.0;
    let first = simulation.since(third).find(|look| look.is_own).unwrap();
    assert!(first.at - third <= 3.0, "5×5 after {} s", first.at - third);
    let second = simulation
        .since(third)
        .find(|look| look.has_second)
        .unwrap();
    assert!(
        second.at - third <= 10.0,
        "9×9 after {} s",
        second.at - third
    );
    let looks: Vec<&Look> = simulation.since(first.at).collect();
    let count = |has: fn(&Look) -> bool| looks.iter().filter(|look| has(look)).count();
    // Where the next plane is nearly at right angles, nothing of the one before is seen in it.
    let any = count(|look| look.has_contours) as f64 / looks.len() as f64;
    assert!(any > 0.98, "{any}");
    let own = count(|look| look.is_own) as f64 / looks.len() as f64;
    assert!(own > 0.85, "{own}");
    // A plane serves for several checkpoints, and the last one is that of the whole path.
    assert!(
        (4..=18).contains(&simulation.planes()),
        "{}",
        simulation.planes()
    );
    let last = looks.last().unwrap();
    assert_eq!(last.plane.0, 590);
    assert!(last.rests && last.checkpoints == [60, 60], "{last:?}");
}

#[test]
fn checkpoints_that_come_faster_than_they_are_measured_are_a_sample_of_the_path() {
    // Their own losses alone would take twice the time that there is.
    let mut simulation = Simulation::new(1024.0);
    simulation.beside(200, 0.5, 600.0);
    let training: Vec<&Look> = simulation
        .since(5.0)
        .take_while(|look| look.at < 99.5)
        .collect();
    let contours = training.iter().filter(|look| look.has_contours).count();
    assert!(contours as f64 > 0.95 * training.len() as f64, "{contours}");
    let end = training.last().unwrap();
    let [path, known] = end.checkpoints;
    assert!(
        path > 190 && (20..150).contains(&known),
        "{known} of {path}"
    );
    // The map has its share of the device, and the newest is never far behind.
    let [map, own] = simulation.spent;
    assert!(map > 0.4 * (map + own), "{map} {own}");
    let behind = training.iter().map(|look| look.behind).max().unwrap();
    assert!(behind <= 24, "{behind}");
    let last = simulation.looks.last().unwrap();
    assert!(last.rests && last.checkpoints == [200, 200], "{last:?}");
}

#[test]
fn a_plane_of_few_checkpoints_gives_way_as_soon_as_its_first_level_stands() {
    // 5×5 on 64 samples takes as long as three checkpoints, and 9×9 longer than ten.
    let mut simulation = Simulation::new(150.0);
    simulation.beside(24, 5.0, 0.0);
    let outgrown = |look: &&Look| look.is_own && look.checkpoints[0] >= 2 * look.members;
    let outgrown: Vec<&Look> = simulation.looks.iter().filter(outgrown).collect();
    assert!(simulation.planes() > 3, "{}", simulation.planes());
    assert!(outgrown.is_empty(), "{:?}", outgrown.first());
}

#[test]
fn progress_never_goes_back_while_a_plane_stands_and_ends_once() {
    let mut simulation = Simulation::new(20_000.0);
    simulation.beside(30, 5.0, 120.0);
    for pair in simulation.looks.windows(2) {
        let is_same = pair[0].plane == pair[1].plane;
        assert!(!is_same || pair[1].share >= pair[0].share, "{pair:?}");
        assert!(pair[1].share < 1.0 || pair[1].rests, "{pair:?}");
    }
    assert_eq!(simulation.looks.last().unwrap().share, 1.0);
}

#[test]
fn the_first_map_is_quick_and_tells_the_pace_of_the_next_one() {
    let mut simulation = Simulation::new(8000.0);
    simulation.beside(12, 5.0, 0.0);
    let mut first: Vec<usize> = simulation
        .looks
        .iter()
        .filter_map(|look| look.first)
        .collect();
    first.dedup();
    assert_eq!(first, [64, 256]);
}

#[test]
fn on_a_fast_device_all_samples_are_measured_at_once() {
    let mut simulation = Simulation::new(2e6);
    simulation.beside(5, 5.0, 5.0);
    let first = |query: &Query| matches!(query.samples, Subset::Few(_));
    let schedule = simulation.conductor.schedule.as_ref().unwrap();
    assert!(!schedule.job.tasks.iter().any(|task| first(&task.0)));
    assert!(schedule.rests());
    assert_eq!(
        simulation.conductor.snapshot.map.as_ref().unwrap().fidelity,
        None
    );
}

#[test]
fn a_checkpoint_that_comes_while_others_are_measured_drops_none_of_them() {
    let mut simulation = Simulation::new(20_000.0);
    let points = training(60);
    let saved: Vec<f64> = (0..60).map(|i| if i < 59 { 0.0 } else { 50.0 }).collect();
    let take = |simulation: &mut Simulation, count: usize| {
        let path = reading(&points[..count], &saved);
        let path = Input::Reader(ReaderEvent::Path(Box::new(path)));
        simulation.conductor.fold(path);
    };
    take(&mut simulation, 59);
    // The map is at rest, and what comes then is under way.
    let plan = |simulation: &Simulation| {
        let map = simulation.conductor.schedule.as_ref()?;
        (map.rests() && !map.job.tasks.is_empty()).then_some(map.job.generation)
    };
    while plan(&simulation).is_none() {
        assert!(simulation.now < 60.0);
        let next = simulation.now + 0.05;
        simulation.pass(next);
    }
    let before = plan(&simulation);
    take(&mut simulation, 60);
    assert_eq!(plan(&simulation), before);
    let end = simulation.now + 60.0;
    simulation.pass(end);
    let last = simulation.looks.last().unwrap();
    assert_eq!(last.checkpoints, [60, 60], "{last:?}");
}
