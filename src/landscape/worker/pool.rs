//! A pool of workers, one for each device: each takes the next query of the queue when it is free.
//!
//! Callers see a single evaluator: every query of a plan is answered exactly once, in any order, and then
//! the plan is reported done. A newer plan cancels an older one on every device between two queries. A
//! device that does not open or breaks is reported in one sentence, and the others answer its query.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use crate::data::{self, Dataset};
use crate::evaluator::{EvaluatorOptions, Stop, Tell};

use super::super::LandscapeError;
use super::super::device::{Compute, Place, Precision};
use super::Worker;
use super::device_worker::DeviceWorker;
use super::external_worker::ExternalWorker;
use super::protocol::{Report, Request, Setup};
use super::queue::{Queue, Task};
use super::waiting::Waiting;

/// Serves requests until their sender is gone or `report` returns false.
pub fn serve<R>(setup: &Setup, requests: &Receiver<Request>, report: R)
where
    R: FnMut(Report) -> bool + Send,
{
    let pool = Pool::new(report);
    if let Some(options) = &setup.evaluator {
        return serve_externally(&pool, setup, options, requests);
    }
    let data = match &setup.data {
        Some(request) => data::load(request).map_err(LandscapeError::from),
        None => Err(LandscapeError::NoData),
    };
    let data = data.map(Arc::new).map_err(|error| error.to_string());
    // Every machine opens this; without samples the model is still recognized.
    let without_device = Setup {
        precision: Precision::F32,
        ..setup.clone()
    };
    thread::scope(|scope| {
        let spawned: Vec<_> = (setup.devices.iter())
            .map(|place| {
                let samples = data.as_ref().ok().cloned();
                spawn(scope, &pool, setup, *place, samples)
            })
            .collect();
        let openings = spawned.iter().map(|opening| match opening.recv() {
            Ok(opened) => opened,
            Err(closed) => Err(closed.to_string()),
        });
        let opened = pool.open(openings.collect());
        if opened.is_err() {
            spawn(scope, &pool, &without_device, Place::Cpu, None);
        }
        let found = match (opened, &data) {
            (Err(reason), _) => Report::NoData(reason),
            (Ok(()), Err(reason)) => Report::NoData(reason.clone()),
            (Ok(()), Ok(data)) => Report::Data {
                name: data.name.clone(),
                samples: data.samples(),
            },
        };
        pool.queue().tell(0, found);
        for request in requests {
            pool.post(request);
        }
        pool.shut_down();
    });
}

/// Serves requests by an evaluator for each device, which tells its samples with its first answer.
fn serve_externally<R>(
    pool: &Pool<R>,
    setup: &Setup,
    options: &EvaluatorOptions,
    requests: &Receiver<Request>,
) where
    R: FnMut(Report) -> bool + Send,
{
    let (send, told) = channel();
    pool.queue().able = setup.devices.len().max(1);
    let stop = Stop::default();
    thread::scope(|scope| {
        for place in &setup.devices {
            let send = send.clone();
            let tell: Tell = Arc::new(move |sentence| {
                // Nobody is told of what ends with the session.
                let _ = send.send(sentence);
            });
            let worker = ExternalWorker::new(options.clone(), *place, tell, stop.clone());
            scope.spawn(move || pool.work(*place, worker));
        }
        drop(send);
        scope.spawn(move || {
            for sentence in told {
                pool.queue().report(Report::Lost(sentence));
            }
        });
        for request in requests {
            pool.post(request);
        }
        stop.give();
        pool.shut_down();
    });
}

/// Starts a worker on a thread that opens and owns its device, and says how the opening went.
fn spawn<'scope, 'env, R>(
    scope: &'scope Scope<'scope, 'env>,
    pool: &'env Pool<R>,
    setup: &'env Setup,
    place: Place,
    samples: Option<Arc<Dataset>>,
) -> Receiver<Result<Place, String>>
where
    R: FnMut(Report) -> bool + Send,
{
    let (send, opening) = channel();
    let opened = send.clone();
    let work = move || match open(place, setup.precision, setup.batch) {
        Ok((compute, became)) => {
            let _ = opened.send(Ok(became));
            pool.work(became, DeviceWorker::new(setup.clone(), samples, compute));
        }
        Err(reason) => {
            let _ = opened.send(Err(reason));
        }
    };
    let thread = thread::Builder::new().name(format!("worker {place}"));
    if let Err(error) = thread.spawn_scoped(scope, work) {
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
}

impl<R: FnMut(Report) -> bool + Send> Pool<R> {
    fn new(report: R) -> Self {
        Self {
            queue: Mutex::new(Queue::new(report)),
            changed: Condvar::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts those whose device opened, and says which they are; where none did, the first reason.
    fn open(&self, openings: Vec<Result<Place, String>>) -> Result<(), String> {
        let mut queue = self.queue();
        let names = openings.iter().flatten().map(ToString::to_string);
        let names: Vec<String> = names.collect();
        queue.able = names.len().max(1);
        let mut reasons = openings.into_iter().filter_map(Result::err);
        if names.is_empty() {
            let reason = reasons.next();
            return Err(reason.unwrap_or_else(|| "no device was named".into()));
        }
        queue.report(Report::Device(names.join(",")));
        reasons.for_each(|reason| queue.report(Report::Lost(reason)));
        Ok(())
    }

    fn post(&self, request: Request) {
        self.queue().post(request);
        self.changed.notify_all();
    }

    fn shut_down(&self) {
        self.queue().over = true;
        self.changed.notify_all();
    }

    /// Waits for the next query; returns `None` when all is over.
    fn next(&self) -> Option<Task> {
        let mut queue = self.queue();
        loop {
            if queue.over {
                return None;
            }
            if let Some(task) = queue.take() {
                return Some(task);
            }
            let woken = self.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets a worker measure until all is over or its device breaks.
    fn work(&self, place: Place, mut worker: impl Worker) {
        while let Some(task) = self.next() {
            let waiting = PoolWaiting {
                pool: self,
                task: &task,
            };
            let measured = catch_unwind(AssertUnwindSafe(|| {
                let found = worker.measure(&task, &waiting);
                (worker.take_findings(), found)
            }));
            let mut queue = self.queue();
            let settled = match measured {
                Ok((findings, found)) => {
                    for finding in findings {
                        queue.tell(task.plan.generation, finding);
                    }
                    queue.settle(&task, found)
                }
                Err(panic) => Err(message(&*panic).to_owned()),
            };
            if let Err(reason) = settled {
                tracing::error!("{place}: {reason}");
                queue.lose(place, &task, &reason);
                self.changed.notify_all();
                return;
            }
            if queue.over {
                self.changed.notify_all();
            }
        }
    }
}

/// Those who wait for a task of the pool.
struct PoolWaiting<'a, R> {
    pool: &'a Pool<R>,
    task: &'a Task,
}

impl<R: FnMut(Report) -> bool + Send> Waiting for PoolWaiting<'_, R> {
    fn goes_on(&self) -> bool {
        let mut queue = self.pool.queue();
        while queue.paused && queue.wants(self.task) {
            let woken = self.pool.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
        queue.wants(self.task)
    }

    fn product(&self, done: usize, of: usize) {
        self.pool.queue().progress(self.task, done, of);
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
mod tests;
