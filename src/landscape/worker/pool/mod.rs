//! A pool of workers, one for each device: each takes the next query of the queue when it is free.
//!
//! Callers see a single evaluator: every query of a plan is answered exactly once, in any order, and then
//! the plan is reported done. A newer plan cancels an older one on every device between two queries. A
//! device that does not open or breaks is reported in one sentence, and the others answer its query.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crate::data::{self, Dataset};
use crate::evaluator::{EvaluatorOptions, Stop, Tell};
use crate::store::StorePlace;

use super::super::evidence::AssumedFunction;
use super::super::{Fault, LandscapeError};
use super::Worker;
use super::budget::{Budget, Pacer};
use super::cost::{self, Meter, Metered};
use super::device_worker::DeviceWorker;
use super::external_worker::ExternalWorker;
use super::launch::Launch;
use super::pending::WorkerNumber;
use super::process_worker::{Opened, ProcessWorker};
use super::protocol::{Plan, Setup, WorkerEvent, WorkerRequest};
use super::queue::{Queue, Task};
use super::waiting::{Waiting, Wish};
use super::wire::Loaded;
use crate::landscape::device::{Compute, Place, Precision};
use splitting::Splitting;

/// Time between two looks for queries that others are late with.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The place of workers, and what they may take of the machine.
#[derive(Clone, Debug, Default)]
pub struct Hosting {
    /// The command of a worker process; `None` if workers are threads of this process.
    pub process: Option<Launch>,
    /// The commands of workers that are started by other means, on the first device there; empty if there is one here
    /// for each device.
    pub launches: Vec<Launch>,
    /// The share of the processor that measuring may take; a worker process gets it by its command.
    pub budget: Budget,
    /// The database in which values are kept and found again; `None` if none are.
    pub store: Option<StorePlace>,
    /// True if checkpoints are read for their contents before anything is measured, for those who wait for the last value
    /// and not for the first one: all values are kept then when it comes.
    pub reads_first: bool,
    /// True if the samples of each point are split over the workers.
    pub splits_samples: bool,
}

impl Hosting {
    /// Returns the command of each worker process, and the device that it opens.
    fn posts(&self, setup: &Setup) -> Vec<(Launch, Place)> {
        if self.launches.is_empty() {
            let launches = self.process.iter().flat_map(|launch| {
                let places = setup.devices.iter();
                places.map(|place| (launch.clone(), *place))
            });
            return launches.collect();
        }
        let place = setup.devices.first().copied().unwrap_or(Place::Auto);
        let launches = self.launches.iter().cloned();
        launches.map(|launch| (launch, place)).collect()
    }
}

/// Serves requests until their sender is gone or `report` returns false.
pub fn serve<R>(setup: &Setup, hosting: &Hosting, requests: &Receiver<WorkerRequest>, report: R)
where
    R: FnMut(WorkerEvent) -> bool + Send,
{
    let budget = match (&setup.evaluator, &hosting.process, hosting.budget) {
        // A worker process keeps its share itself; of an evaluator's processor time nothing is known.
        (None, Some(_), _) | (Some(_), _, Budget::Auto) => Budget::All,
        (_, _, budget) => budget,
    };
    // The planes lie beside the values, where other workers find them.
    let setup = &Setup {
        planes: hosting.store.as_ref().map(StorePlace::planes),
        ..setup.clone()
    };
    let posts = hosting.posts(setup);
    let count = posts.len().max(setup.devices.len());
    let is_split = hosting.splits_samples && setup.evaluator.is_none() && count > 1;
    let splitting = is_split.then(|| Mutex::new(Splitting::new(count)));
    let splitting = splitting.as_ref();
    let mut report = report;
    let joined = |told: WorkerEvent| {
        let whole = match splitting {
            Some(splitting) => held(splitting).join(told),
            None => Some(told),
        };
        whole.is_none_or(&mut report)
    };
    let requests = requests.iter().map(|request| match splitting {
        Some(splitting) => held(splitting).split(request),
        None => request,
    });
    let pool = Pool {
        reads_first: hosting.reads_first,
        ..Pool::new(joined, budget)
    };
    pool.open_store(setup, hosting.store.as_ref());
    let metered: Vec<Arc<Metered>> = (0..count).map(|_| Arc::default()).collect();
    let yields = match &setup.evaluator {
        Some(_) => budget,
        None => hosting.budget,
    };
    let meter = Meter::of(metered.clone(), yields);
    thread::scope(|scope| {
        scope.spawn(|| pool.tell_cost(meter));
        scope.spawn(|| pool.look_up());
        match (&setup.evaluator, &hosting.process) {
            (Some(options), _) => serve_externally(&pool, setup, options, requests),
            (None, Some(_)) => {
                serve_apart(&pool, setup, (&posts, hosting.budget), &metered, requests);
            }
            (None, None) => serve_here(&pool, setup, requests),
        }
        pool.shut_down();
    });
}

/// Serves requests by threads of this process, which share the samples.
fn serve_here<R>(pool: &Pool<R>, setup: &Setup, requests: impl Iterator<Item = WorkerRequest>)
where
    R: FnMut(WorkerEvent) -> bool + Send,
{
    let data = samples(setup);
    let loaded = Loaded::of(&data);
    thread::scope(|scope| {
        let spawned: Vec<_> = (setup.devices.iter())
            .map(|place| {
                let (data, loaded) = (data.as_ref().ok().cloned(), loaded.clone());
                spawn(scope, *place, move |opened| {
                    let (compute, place) = open(*place, setup.precision, setup.batch)?;
                    opened(Opened {
                        name: place.to_string(),
                        place,
                        data: loaded,
                    });
                    pool.work(place, DeviceWorker::new(setup.clone(), data, compute));
                    Ok(())
                })
            })
            .collect();
        let late = pool.begin(scope, setup, spawned);
        scope.spawn(move || pool.join_late(late));
        for request in requests {
            pool.post(request);
        }
        pool.shut_down();
    });
}

/// Serves requests by processes.
fn serve_apart<R>(
    pool: &Pool<R>,
    setup: &Setup,
    (posts, budget): (&[(Launch, Place)], Budget),
    metered: &[Arc<Metered>],
    requests: impl Iterator<Item = WorkerRequest>,
) where
    R: FnMut(WorkerEvent) -> bool + Send,
{
    let (send, told) = channel();
    let stop = Stop::default();
    thread::scope(|scope| {
        let spawned: Vec<_> = (posts.iter().zip(metered))
            .map(|((launch, place), id)| {
                let tell = teller(send.clone());
                let (launch, stop) = (launch.clone(), stop.clone());
                let mut worker =
                    ProcessWorker::new(launch, setup, *place, tell, stop, Arc::clone(id), budget);
                let is_alone = posts.len() == 1;
                spawn(scope, *place, move |opened| {
                    let found = worker.open()?;
                    if let Loaded::Missing(reason) = &found.data
                        && !is_alone
                    {
                        // Others may have the samples.
                        return Err(reason.clone());
                    }
                    let place = found.place;
                    opened(found);
                    pool.work(place, worker);
                    Ok(())
                })
            })
            .collect();
        drop(send);
        scope.spawn(move || pool.pass_on(told));
        // Those who end the session do not wait until all are open.
        scope.spawn(move || pool.join_late(pool.begin(scope, setup, spawned)));
        for request in requests {
            pool.post(request);
        }
        stop.give();
        pool.shut_down();
    });
}

/// Loads the samples of a setup; an error says why there are none.
pub(super) fn samples(setup: &Setup) -> Result<Arc<Dataset>, String> {
    let data = match &setup.data {
        Some(request) => data::load(request).map_err(LandscapeError::from),
        None => Err(LandscapeError::NoData),
    };
    data.map(Arc::new).map_err(|error| error.to_string())
}

/// Takes sentences for a channel.
fn teller(send: Sender<String>) -> Tell {
    Arc::new(move |sentence| {
        // What ends with the session is not reported.
        let _ = send.send(sentence);
    })
}

/// Serves requests by an evaluator for each device, which tells its samples with its first answer.
fn serve_externally<R>(
    pool: &Pool<R>,
    setup: &Setup,
    options: &EvaluatorOptions,
    requests: impl Iterator<Item = WorkerRequest>,
) where
    R: FnMut(WorkerEvent) -> bool + Send,
{
    let (send, told) = channel();
    pool.queue().able = setup.devices.len().max(1);
    let stop = Stop::default();
    thread::scope(|scope| {
        for place in &setup.devices {
            let tell = teller(send.clone());
            let worker = ExternalWorker::new(options.clone(), *place, tell, stop.clone());
            scope.spawn(move || pool.work(*place, worker));
        }
        drop(send);
        scope.spawn(move || pool.pass_on(told));
        for request in requests {
            pool.post(request);
        }
        stop.give();
        pool.shut_down();
    });
}

/// Starts a thread that opens a device and works with it, and says how the opening went.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    place: Place,
    work: impl FnOnce(&dyn Fn(Opened)) -> Result<(), String> + Send + 'scope,
) -> Receiver<Result<Opened, String>> {
    let (send, opening) = channel();
    let opened = send.clone();
    let body = move || {
        let worked = work(&|found| {
            let _ = opened.send(Ok(found));
        });
        if let Err(reason) = worked {
            let _ = opened.send(Err(reason));
        }
    };
    let thread = thread::Builder::new().name(format!("worker {place}"));
    if let Err(error) = thread.spawn_scoped(scope, body) {
        let _ = send.send(Err(format!("device {place}: no thread for it: {error}")));
    }
    opening
}

/// Opens a device for the thread that calls. Where a driver's library is missing it may panic.
pub(crate) fn open(
    place: Place,
    precision: Precision,
    batch: Option<usize>,
) -> Result<(Compute, Place), String> {
    catch_unwind(|| Compute::open(place, precision, batch))
        .unwrap_or_else(|panic| {
            let why = message(&*panic).to_owned();
            Err(LandscapeError::Device { place, why })
        })
        .map_err(|error| error.to_string())
}

/// Returns the message of a panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason was given")
}

/// The queue, and the signal that something on it has changed.
#[derive(Debug)]
struct Pool<R> {
    queue: Mutex<Queue<R>>,
    changed: Condvar,
    budget: Budget,
    /// True if checkpoints are read for their contents before anything is measured.
    reads_first: bool,
    /// Plans of which a checkpoint was never read for its content, each with its function.
    unread: Mutex<VecDeque<(Arc<Plan>, AssumedFunction)>>,
}

impl<R: FnMut(WorkerEvent) -> bool + Send> Pool<R> {
    fn new(report: R, budget: Budget) -> Self {
        Self {
            queue: Mutex::new(Queue::new(report)),
            changed: Condvar::new(),
            budget,
            reads_first: false,
            unread: Mutex::default(),
        }
    }

    /// Reports sentences until nobody tells any more.
    fn pass_on(&self, told: Receiver<String>) {
        for sentence in told {
            self.queue().report(WorkerEvent::Trouble(sentence));
        }
    }

    /// Reports the cost of measuring again and again until all is over.
    fn tell_cost(&self, mut meter: Meter) {
        loop {
            let until = Instant::now() + cost::EVERY;
            if !self.sleeps_until(until, |queue| queue.over) {
                return;
            }
            if let Some(cost) = meter.read() {
                self.queue().report(WorkerEvent::Cost(cost));
            }
            self.flush();
        }
    }

    /// Sleeps until a time; returns false as soon as something is so.
    fn sleeps_until(&self, until: Instant, mut is_so: impl FnMut(&mut Queue<R>) -> bool) -> bool {
        let mut queue = self.queue();
        loop {
            if is_so(&mut queue) {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let woken = self.changed.wait_timeout(queue, left);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, request: WorkerRequest) {
        self.queue().post(request);
        self.recall();
        self.changed.notify_all();
    }

    fn shut_down(&self) {
        self.queue().over = true;
        self.changed.notify_all();
    }

    /// Waits for the next query, and takes those with it that the worker takes on beside it; none when all is over.
    fn next(&self, worker: &impl Worker, number: WorkerNumber) -> Vec<Task> {
        let mut queue = self.queue();
        loop {
            if queue.over {
                return Vec::new();
            }
            if let Some(task) = queue.take(number) {
                let more = queue.take_more(&task, worker.ahead(&task));
                return std::iter::once(task).chain(more).collect();
            }
            if let Some(task) = queue.take_late(number) {
                return vec![task];
            }
            // Nobody tells when a query becomes late.
            let look = if queue.able > 1 {
                LOOK_EVERY
            } else {
                Duration::MAX
            };
            let woken = self.changed.wait_timeout(queue, look);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets a worker measure until all is over or its device breaks.
    fn work(&self, place: Place, mut worker: impl Worker) {
        let pacer = Pacer::new(self.budget);
        let number = self.queue().number();
        loop {
            let tasks = self.next(&worker, number);
            if tasks.is_empty() {
                return;
            }
            let mut left = &tasks[..];
            while let [task, following @ ..] = left {
                if let Err(reason) = self.settle((place, &pacer), (task, following), &mut worker) {
                    tracing::error!("{place}: {reason}");
                    self.queue().lose(place, left, &reason);
                    self.changed.notify_all();
                    return;
                }
                left = following;
            }
        }
    }

    /// Has a worker measure a task, and takes its answer; an error says why its device is broken.
    fn settle(
        &self,
        (place, pacer): (Place, &Pacer),
        (task, following): (&Task, &[Task]),
        worker: &mut impl Worker,
    ) -> Result<(), String> {
        pacer.restart();
        let waiting = PoolWaiting {
            pool: self,
            task,
            pacer,
            place,
        };
        let measured = catch_unwind(AssertUnwindSafe(|| {
            let found = worker.measure(task, following, &waiting);
            (worker.take_findings(), found)
        }));
        let (findings, found) = measured.map_err(|panic| message(&*panic).to_owned())?;
        let mut queue = self.queue();
        // What a worker died at may be for another, which sleeps.
        let has_died = found
            .as_ref()
            .is_err_and(|error| error.fault() == Fault::Death);
        queue.settle(task, place, (findings, found))?;
        if queue.over || has_died {
            self.changed.notify_all();
        }
        drop(queue);
        waiting.rest(|queue| queue.over);
        Ok(())
    }
}

/// Those who wait for a task of the pool.
struct PoolWaiting<'a, R> {
    pool: &'a Pool<R>,
    task: &'a Task,
    pacer: &'a Pacer,
    place: Place,
}

impl<R: FnMut(WorkerEvent) -> bool + Send> PoolWaiting<'_, R> {
    /// Rests as long as the budget says, or until something is so.
    fn rest(&self, is_so: impl FnMut(&mut Queue<R>) -> bool) {
        if let Some(until) = self.pacer.due(self.place, false) {
            self.pool.sleeps_until(until, is_so);
            self.pacer.restart();
        }
    }
}

impl<R: FnMut(WorkerEvent) -> bool + Send> Waiting for PoolWaiting<'_, R> {
    fn wish(&self) -> Wish {
        self.pool.queue().wish(self.task)
    }

    fn goes_on(&self) -> bool {
        self.rest(|queue| queue.wish(self.task) == Wish::Stop);
        let mut queue = self.pool.queue();
        loop {
            match queue.wish(self.task) {
                Wish::GoOn => return true,
                Wish::Stop => return false,
                Wish::Rest => {}
            }
            let woken = self.pool.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn product(&self, done: usize, of: usize) {
        self.pool.queue().progress(self.task, done, of);
    }

    fn batch(&self, _samples: usize) {}
}

fn held<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

mod opening;
mod recalling;
mod splitting;

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
mod tests;
