//! The queue's promises, query by query, and the fate of a device that breaks.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rstest::rstest;

use super::*;
use crate::data::Split;
use crate::landscape::evidence::AssumedFunction;
use crate::landscape::grid::surface::Measure;
use crate::landscape::worker::protocol::{Plan, Query, QueryAnswer, TimedValue};
use crate::run::Checkpoint;
use crate::weights::{BatchNorm, Directions, PlaneSpec, RunShape, WeightsError};

fn checkpoint() -> Checkpoint {
    Checkpoint::new(0, "0.pt")
}

/// Creates a plan of `queries` points of a plane.
pub(super) fn plan(generation: u64, queries: usize) -> Plan {
    Plan {
        generation,
        spec: PlaneSpec {
            shape: RunShape::default(),
            origin: checkpoint(),
            directions: Directions::File {
                path: "xy.safetensors".into(),
            },
            batch_norm: BatchNorm::Frozen,
        },
        split: Split::Train,
        queries: (0..queries)
            .map(|i| Query::on_plane([i as f64, 0.]))
            .collect(),
    }
}

fn value(index: usize) -> QueryAnswer {
    QueryAnswer::Measure(Measure {
        loss: index as f64,
        score: 0.,
    })
}

fn found(index: usize) -> TimedValue {
    TimedValue {
        value: value(index),
        seconds: 0.5,
    }
}

fn measured(generation: u64, index: usize) -> WorkerEvent {
    WorkerEvent::Measured {
        generation,
        index,
        value: value(index),
        recalled: false,
    }
}

fn loaded() -> Loaded {
    Loaded::Loaded {
        name: "digits".into(),
        samples: 1797,
        content: None,
    }
}

fn opened(place: Place) -> Opened {
    let data = loaded();
    let name = place.to_string();
    Opened { name, place, data }
}

/// Returns a pool whose only device has opened, and its reports.
fn pool_on_cpu() -> (Pool<impl FnMut(WorkerEvent) -> bool>, Receiver<WorkerEvent>) {
    let (send, reports) = channel();
    let pool = Pool::new(move |report| send.send(report).is_ok(), Budget::All);
    assert_eq!(pool.open(vec![Ok(opened(Place::Cpu))]), Ok(loaded()));
    (pool, reports)
}

/// A worker that does what a closure says, and takes so many queries beside the next.
struct Does<F>(F, usize);

impl<F: FnMut(&Task, &dyn Waiting) -> Result<TimedValue, LandscapeError>> Worker for Does<F> {
    fn measure(
        &mut self,
        task: &Task,
        _following: &[Task],
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError> {
        (self.0)(task, waiting)
    }

    fn ahead(&self, _task: &Task) -> usize {
        self.1
    }

    fn take_findings(&mut self) -> Vec<WorkerEvent> {
        Vec::new()
    }
}

fn queue() -> (
    Queue<impl FnMut(WorkerEvent) -> bool>,
    Receiver<WorkerEvent>,
) {
    let (send, reports) = channel();
    (Queue::new(move |report| send.send(report).is_ok()), reports)
}

/// Takes a query for the only worker.
fn take<R: FnMut(WorkerEvent) -> bool>(queue: &mut Queue<R>) -> Option<Task> {
    queue.take(WorkerNumber::default())
}

fn told(reports: &Receiver<WorkerEvent>) -> Vec<WorkerEvent> {
    reports.try_iter().collect()
}

#[test]
fn a_plan_is_done_when_its_last_spot_is_answered_whichever_that_is() {
    let (mut queue, reports) = queue();
    queue.post(WorkerRequest::Measure(plan(7, 2)));
    let [a, b] = [take(&mut queue).unwrap(), take(&mut queue).unwrap()];
    assert!(take(&mut queue).is_none());
    queue.answer(&b, Ok(found(b.index)));
    assert_eq!(told(&reports), [measured(7, 1)]);
    queue.answer(&a, Ok(found(a.index)));
    assert_eq!(told(&reports), [measured(7, 0), WorkerEvent::Done(7)]);
    queue.post(WorkerRequest::Measure(plan(8, 0)));
    assert_eq!(told(&reports), [WorkerEvent::Done(8)]);
}

#[test]
fn a_newer_plan_cancels_the_older_one_and_what_is_found_for_it() {
    let (mut queue, reports) = queue();
    queue.post(WorkerRequest::Measure(plan(1, 3)));
    let old = take(&mut queue).unwrap();
    queue.post(WorkerRequest::Measure(plan(2, 1)));
    queue.answer(&old, Ok(found(0)));
    let new = take(&mut queue).unwrap();
    assert_eq!((new.plan.generation, new.index), (2, 0));
    queue.lose(Place::Cpu, &[old], "smoke");
    assert!(take(&mut queue).is_none(), "the lost query was cancelled");
    queue.answer(&new, Ok(found(0)));
    assert_eq!(told(&reports)[1..], [measured(2, 0), WorkerEvent::Done(2)]);
}

#[test]
fn what_comes_first_is_taken_first_and_nobody_waits_for_its_last_spot() {
    let (mut queue, reports) = queue();
    queue.post(WorkerRequest::Measure(plan(1, 2)));
    queue.post(WorkerRequest::First(vec![plan(2, 1), plan(3, 1)]));
    let order: Vec<Task> = std::iter::from_fn(|| take(&mut queue)).collect();
    let generations = order.iter().map(|task| task.plan.generation);
    assert_eq!(generations.collect::<Vec<_>>(), [2, 3, 1, 1]);
    for task in &order {
        queue.answer(task, Ok(found(task.index)));
    }
    let done = told(&reports);
    let done = done
        .iter()
        .filter(|report| matches!(report, WorkerEvent::Done(_)));
    assert_eq!(
        done.collect::<Vec<_>>(),
        [
            &WorkerEvent::Done(2),
            &WorkerEvent::Done(3),
            &WorkerEvent::Done(1)
        ]
    );
}

#[test]
fn queries_that_are_taken_ahead_are_of_one_plan_and_leave_others_their_part() {
    let (mut queue, _reports) = queue();
    queue.able = 2;
    queue.post(WorkerRequest::Measure(plan(1, 9)));
    let task = take(&mut queue).unwrap();
    let indexes = |tasks: Vec<Task>| tasks.iter().map(|task| task.index).collect::<Vec<_>>();
    assert_eq!(indexes(queue.take_more(&task, 2)), [1, 2]);
    assert_eq!(indexes(queue.take_more(&task, 100)), [3, 4, 5]);
    queue.post(WorkerRequest::First(vec![plan(2, 1)]));
    assert_eq!(indexes(queue.take_more(&task, 1)), [6]);
    queue.post(WorkerRequest::Measure(plan(3, 9)));
    assert!(
        queue.take_more(&task, 1).is_empty(),
        "its plan is cancelled"
    );
}

#[test]
fn nothing_is_taken_during_a_pause() {
    let (mut queue, _reports) = queue();
    queue.post(WorkerRequest::Measure(plan(1, 1)));
    queue.post(WorkerRequest::Pause(true));
    assert!(take(&mut queue).is_none());
    queue.post(WorkerRequest::Pause(false));
    assert!(take(&mut queue).is_some());
}

#[test]
fn a_plan_that_cannot_be_measured_fails_once() {
    let (mut queue, reports) = queue();
    queue.post(WorkerRequest::Measure(plan(1, 9)));
    let tasks = [take(&mut queue).unwrap(), take(&mut queue).unwrap()];
    for task in &tasks {
        queue.answer(task, Err(LandscapeError::NoData));
    }
    let failed = WorkerEvent::Failed {
        generation: 1,
        index: None,
        reason: LandscapeError::NoData.to_string(),
    };
    assert_eq!(told(&reports), [failed]);
    assert!(take(&mut queue).is_none());
}

#[test]
fn a_checkpoint_that_is_gone_costs_its_own_spot() {
    let (mut queue, reports) = queue();
    let mut gone = plan(1, 1);
    gone.queries.insert(0, Query::of_checkpoint(checkpoint()));
    queue.post(WorkerRequest::Measure(gone));
    let [a, b] = [take(&mut queue).unwrap(), take(&mut queue).unwrap()];
    queue.answer(&a, Err(WeightsError::NoWeights("0.pt".into()).into()));
    queue.answer(&b, Ok(found(1)));
    let reports = told(&reports);
    assert!(matches!(
        reports[0],
        WorkerEvent::Failed { index: Some(0), .. }
    ));
    assert_eq!(reports[1..], [measured(1, 1), WorkerEvent::Done(1)]);
}

#[test]
fn what_each_finds_out_is_told_once_until_it_changes() {
    let (mut queue, reports) = queue();
    let model = |name: &str| WorkerEvent::Model {
        name: name.into(),
        evidence: String::new(),
        kept: None,
        score: None,
    };
    let no_data = || WorkerEvent::NoData("none".into());
    let no_model = || WorkerEvent::NoModel("none".into());
    for (generation, finding) in [
        (1, model("mlp")),
        (1, no_data()),
        (2, model("mlp")),
        (2, no_data()),
        (3, no_model()),
        // Late.
        (2, model("mlp")),
        (4, model("vgg9")),
    ] {
        queue.tell(generation, finding);
    }
    let once = [model("mlp"), no_data(), no_model(), model("vgg9")];
    assert_eq!(told(&reports), once);
}

#[test]
fn devices_that_open_are_named_together_and_others_are_told() {
    let (send, reports) = channel();
    let pool = Pool::new(move |report| send.send(report).is_ok(), Budget::All);
    let opened = [
        Ok(opened(Place::Cuda(0))),
        Err("no cuda:1".into()),
        Ok(opened(Place::Cpu)),
    ];
    assert_eq!(pool.open(opened.to_vec()), Ok(loaded()));
    assert_eq!(
        told(&reports),
        [
            WorkerEvent::Device("cuda:0,cpu".into()),
            WorkerEvent::Lost("no cuda:1".into())
        ]
    );
    let refused = ["first", "second"].map(|why| Err(why.to_owned()));
    assert_eq!(pool.open(refused.to_vec()), Err("first".into()));
    assert_eq!(told(&reports), []);
}

/// A way in which a device breaks in a test.
#[derive(Clone, Copy)]
enum Break {
    Panic,
    Error,
}

/// Reports of a plan of `queries` queries, on a device that works and one that breaks at its first query; both take
/// as many as `ahead` says beside the next.
fn with_a_broken_one(queries: usize, ahead: usize, how: Break) -> Vec<WorkerEvent> {
    let (send, reports) = channel();
    let pool = Pool::new(move |report| send.send(report).is_ok(), Budget::All);
    assert_eq!(
        pool.open(vec![Ok(opened(Place::Cpu)), Ok(opened(Place::Cuda(1)))]),
        Ok(loaded())
    );
    // Each has a query before either answers.
    let both = &Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut first = true;
            let measure = |task: &Task, _: &dyn Waiting| {
                if std::mem::take(&mut first) {
                    both.wait();
                }
                Ok(found(task.index))
            };
            pool.work(Place::Cpu, Does(measure, ahead));
        });
        scope.spawn(|| {
            let breaks = |_: &Task, _: &dyn Waiting| {
                both.wait();
                match how {
                    Break::Panic => panic!("smoke"),
                    Break::Error => Err(candle_core::Error::Msg("smoke".into()).into()),
                }
            };
            pool.work(Place::Cuda(1), Does(breaks, ahead));
        });
        pool.post(WorkerRequest::Measure(plan(1, queries)));
        let mut all = Vec::new();
        while all.last() != Some(&WorkerEvent::Done(1)) {
            all.push(reports.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        pool.shut_down();
        all
    })
}

#[test]
fn what_one_is_late_with_is_measured_by_another_and_the_first_answer_counts() {
    let (send, reports) = channel();
    let pool = Pool::new(move |report| send.send(report).is_ok(), Budget::All);
    assert_eq!(
        pool.open(vec![Ok(opened(Place::Cpu)), Ok(opened(Place::Cuda(1)))]),
        Ok(loaded())
    );
    let (both, stopped) = (&Barrier::new(2), &AtomicUsize::new(0));
    let all = thread::scope(|scope| {
        scope.spawn(|| {
            let mut first = true;
            let measure = |task: &Task, _: &dyn Waiting| {
                if std::mem::take(&mut first) {
                    both.wait();
                }
                Ok(found(task.index))
            };
            pool.work(Place::Cpu, Does(measure, 0));
        });
        scope.spawn(|| {
            let hangs = |_: &Task, waiting: &dyn Waiting| {
                both.wait();
                while waiting.wish() != Wish::Stop {
                    thread::sleep(Duration::from_millis(5));
                }
                stopped.fetch_add(1, Ordering::SeqCst);
                // An answer all the same, which nobody takes.
                Ok(found(77))
            };
            pool.work(Place::Cuda(1), Does(hangs, 0));
        });
        pool.post(WorkerRequest::Measure(plan(1, 5)));
        let mut all = Vec::new();
        while all.last() != Some(&WorkerEvent::Done(1)) {
            all.push(reports.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        pool.shut_down();
        all
    });
    let mut indices = BTreeSet::new();
    for report in &all {
        if let WorkerEvent::Measured { index, value, .. } = report {
            assert_eq!(*value, super::tests::value(*index));
            assert!(indices.insert(*index), "{index} twice");
        }
    }
    assert_eq!(indices, (0..5).collect());
    assert_eq!(stopped.load(Ordering::SeqCst), 1);
}

#[test]
fn what_a_worker_died_at_twice_is_tried_by_another_that_idles() {
    let (send, reports) = channel();
    let pool = Pool::new(move |report| send.send(report).is_ok(), Budget::All);
    let devices = [Place::Cpu, Place::Cuda(1)];
    let opening = devices.map(|place| Ok(opened(place)));
    assert_eq!(pool.open(opening.to_vec()), Ok(loaded()));
    let (pool, died) = (&pool, &AtomicUsize::new(0));
    let all = thread::scope(|scope| {
        let dies = move |_: &Task, _: &dyn Waiting| {
            died.fetch_add(1, Ordering::SeqCst);
            Err(LandscapeError::Worker {
                reason: "smoke".into(),
                fault: Fault::Death,
            })
        };
        scope.spawn(move || pool.work(Place::Cpu, Does(dies, 0)));
        pool.post(WorkerRequest::Measure(plan(1, 1)));
        while died.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let measure = |task: &Task, _: &dyn Waiting| Ok(found(task.index));
        scope.spawn(move || pool.work(Place::Cuda(1), Does(measure, 0)));
        let mut all = Vec::new();
        while all.last() != Some(&WorkerEvent::Done(1)) {
            all.push(reports.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        pool.shut_down();
        all
    });
    assert!(all.contains(&measured(1, 0)), "{all:?}");
    assert_eq!(died.load(Ordering::SeqCst), 1);
}

#[rstest]
fn what_a_broken_device_was_at_is_measured_by_another(
    #[values(Break::Panic, Break::Error)] how: Break,
    #[values(0, 4, 100)] ahead: usize,
) {
    let reports = with_a_broken_one(20, ahead, how);
    let mut indices = BTreeSet::new();
    for report in &reports {
        if let WorkerEvent::Measured { index, value, .. } = report {
            assert_eq!(*value, self::value(*index));
            assert!(indices.insert(*index), "{index} is told twice");
        }
    }
    assert_eq!(indices, (0..20).collect());
    let lost = "cuda:1 stopped: smoke; the others go on";
    assert!(
        reports.contains(&WorkerEvent::Lost(lost.into())),
        "{reports:?}"
    );
    assert_eq!(reports.len(), 23, "{reports:?}");
}

#[test]
fn the_last_device_fails_plans_on_errors_and_is_told_when_it_panics() {
    let (pool, reports) = pool_on_cpu();
    pool.post(WorkerRequest::Measure(plan(1, 1)));
    pool.post(WorkerRequest::First(vec![plan(2, 1)]));
    // Comes back when its device is lost.
    let breaks = |task: &Task, _: &dyn Waiting| {
        assert!(task.plan.generation != 1, "smoke");
        Err(candle_core::Error::Msg("no room".into()).into())
    };
    pool.work(Place::Cpu, Does(breaks, 0));
    let before = told(&reports);
    assert!(matches!(
        &before[1],
        WorkerEvent::Failed { generation: 2, index: None, reason } if reason.contains("no room")
    ));
    let lost = "cpu stopped: smoke; what was found so far stays";
    let failed = WorkerEvent::Failed {
        generation: 1,
        index: None,
        reason: lost.into(),
    };
    assert_eq!(
        before[2..],
        [WorkerEvent::Lost(lost.into()), failed.clone()]
    );
    pool.post(WorkerRequest::Measure(plan(1, 1)));
    assert_eq!(told(&reports), [failed]);
}

/// Returns a query of a thousand products of which each is told to the pool, and a number of them that were taken.
fn long(waiting: &dyn Waiting, taken: &AtomicUsize) -> Result<TimedValue, LandscapeError> {
    for done in 0..1000 {
        if done > 0 {
            waiting.product(done, 1000);
        }
        if !waiting.goes_on() {
            return Err(LandscapeError::Stopped);
        }
        taken.store(done + 1, Ordering::SeqCst);
    }
    Ok(found(0))
}

/// A way in which a long query ends before its end.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    NewerPlan,
    Assumption,
    End,
}

#[rstest]
fn a_long_query_tells_its_products_and_stops_between_two(
    #[values(Interruption::NewerPlan, Interruption::Assumption, Interruption::End)]
    how: Interruption,
) {
    let (pool, reports) = pool_on_cpu();
    let (taken, step) = (AtomicUsize::new(0), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let measure = |task: &Task, waiting: &dyn Waiting| {
                if task.plan.generation > 1 {
                    return Ok(found(task.index));
                }
                let told = long(&AtThird(waiting, &step), &taken);
                assert!(matches!(told, Err(LandscapeError::Stopped)));
                told
            };
            pool.work(Place::Cpu, Does(measure, 0));
        });
        pool.post(WorkerRequest::Measure(plan(1, 1)));
        step.wait();
        match how {
            Interruption::NewerPlan => pool.post(WorkerRequest::Measure(plan(2, 0))),
            Interruption::Assumption => {
                pool.post(WorkerRequest::Assume(AssumedFunction::default()));
            }
            Interruption::End => pool.shut_down(),
        }
        step.wait();
        // What comes next is measured all the same.
        pool.post(WorkerRequest::First(vec![plan(3, 1)]));
        let is_over = matches!(how, Interruption::End);
        while !is_over
            && reports.recv_timeout(Duration::from_secs(60)).unwrap() != WorkerEvent::Done(3)
        {
        }
        pool.shut_down();
    });
    assert_eq!(taken.into_inner(), 2);
}

/// Lets those who wait for a query change their mind after its second product.
struct AtThird<'a>(&'a dyn Waiting, &'a Barrier);

impl Waiting for AtThird<'_> {
    fn wish(&self) -> Wish {
        self.0.wish()
    }

    fn goes_on(&self) -> bool {
        self.0.goes_on()
    }

    fn product(&self, done: usize, of: usize) {
        self.0.product(done, of);
        if done == 2 {
            self.1.wait();
            self.1.wait();
        }
    }

    fn batch(&self, _samples: usize) {}
}

#[test]
fn products_are_told_from_the_first_on_and_rest_during_a_pause() {
    let (pool, reports) = pool_on_cpu();
    let (taken, step) = (AtomicUsize::new(0), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let measure = |_: &Task, waiting: &dyn Waiting| long(&AtThird(waiting, &step), &taken);
            pool.work(Place::Cpu, Does(measure, 0));
        });
        pool.post(WorkerRequest::Measure(plan(1, 1)));
        step.wait();
        pool.post(WorkerRequest::Pause(true));
        step.wait();
        thread::sleep(Duration::from_millis(50));
        assert_eq!(taken.load(Ordering::SeqCst), 2);
        pool.post(WorkerRequest::Pause(false));
        let product = |done| WorkerEvent::Product {
            generation: 1,
            index: 0,
            done,
            of: 1000,
        };
        let mut all = Vec::new();
        while all.last() != Some(&WorkerEvent::Done(1)) {
            all.push(reports.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        assert_eq!(all[1..1000], (1..1000).map(product).collect::<Vec<_>>());
        assert_eq!(all[1000], measured(1, 0));
        pool.shut_down();
    });
}
