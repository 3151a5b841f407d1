//! Surveyors on one plan, one for each device: what is asked stands on a board, and each takes the next
//! spot when it is free.
//!
//! To whoever asks and listens they are one: a plan's spots are answered once each, in whatever order,
//! then it is done; a newer plan cancels an older one on every device between two points. A device that
//! does not open or breaks is told in a sentence, and the others measure what it was at.

mod board;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use crate::data::{self, Dataset};

use self::board::{Board, Task};
use super::LandscapeError;
use super::device::{Compute, Place, Precision};
use super::surveyor::{Plan, Report, Request, Setup, Surveyor, Value};

/// Serves requests until their sender is gone or `report` returns false.
pub fn serve<R>(setup: &Setup, requests: &Receiver<Request>, report: R)
where
    R: FnMut(Report) -> bool + Send,
{
    let crew = Crew::new(report);
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
        let hired: Vec<_> = (setup.devices.iter())
            .map(|place| {
                let samples = data.as_ref().ok().cloned();
                hire(scope, &crew, setup, *place, samples)
            })
            .collect();
        let openings = hired.iter().map(|opening| match opening.recv() {
            Ok(opened) => opened,
            Err(closed) => Err(closed.to_string()),
        });
        let mustered = crew.muster(openings.collect());
        if mustered.is_err() {
            hire(scope, &crew, &without_device, Place::Cpu, None);
        }
        let found = match (mustered, &data) {
            (Err(reason), _) => Report::NoData(reason),
            (Ok(()), Err(reason)) => Report::NoData(reason.clone()),
            (Ok(()), Ok(data)) => Report::Data {
                name: data.name.clone(),
                samples: data.samples(),
            },
        };
        crew.board().tell(0, found);
        for request in requests {
            crew.post(request);
        }
        crew.dismiss();
    });
}

/// Starts a surveyor on a thread that opens and owns its device, and says how the opening went.
fn hire<'scope, 'env, R>(
    scope: &'scope Scope<'scope, 'env>,
    crew: &'env Crew<R>,
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
            crew.employ(Surveyor::new(setup.clone(), samples, compute), became);
        }
        Err(reason) => {
            let _ = opened.send(Err(reason));
        }
    };
    let thread = thread::Builder::new().name(format!("surveyor {place}"));
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

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason was given")
}

/// The board, and word of what changes on it.
#[derive(Debug)]
struct Crew<R> {
    board: Mutex<Board<R>>,
    changed: Condvar,
}

impl<R: FnMut(Report) -> bool> Crew<R> {
    fn new(report: R) -> Self {
        Self {
            board: Mutex::new(Board::new(report)),
            changed: Condvar::new(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board<R>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts those whose device opened, and says which they are; where none did, the first reason.
    fn muster(&self, openings: Vec<Result<Place, String>>) -> Result<(), String> {
        let mut board = self.board();
        let names = openings.iter().flatten().map(ToString::to_string);
        let names: Vec<String> = names.collect();
        board.able = names.len().max(1);
        let mut reasons = openings.into_iter().filter_map(Result::err);
        if names.is_empty() {
            let reason = reasons.next();
            return Err(reason.unwrap_or_else(|| "no device was named".into()));
        }
        board.report(Report::Device(names.join(",")));
        reasons.for_each(|reason| board.report(Report::Lost(reason)));
        Ok(())
    }

    fn post(&self, request: Request) {
        self.board().post(request);
        self.changed.notify_all();
    }

    fn dismiss(&self) {
        self.board().over = true;
        self.changed.notify_all();
    }

    /// Waits for the next spot; none when all is over.
    fn next(&self) -> Option<Task> {
        let mut board = self.board();
        loop {
            if board.over {
                return None;
            }
            if let Some(task) = board.take() {
                return Some(task);
            }
            let woken = self.changed.wait(board);
            board = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets a surveyor measure until all is over or its device breaks.
    fn employ(&self, mut surveyor: Surveyor, place: Place) {
        self.work(place, |plan, index| {
            // A plan of another function was cancelled when this one was assumed.
            let function = self.board().function.clone();
            surveyor.assume(function);
            let found = surveyor.measure(plan, index);
            (std::mem::take(&mut surveyor.findings), found)
        });
    }

    fn work(
        &self,
        place: Place,
        mut measure: impl FnMut(&Plan, usize) -> (Vec<Report>, Result<Value, LandscapeError>),
    ) {
        while let Some(task) = self.next() {
            let measured = catch_unwind(AssertUnwindSafe(|| measure(&task.plan, task.index)));
            let mut board = self.board();
            let settled = match measured {
                Ok((findings, found)) => {
                    for finding in findings {
                        board.tell(task.plan.generation, finding);
                    }
                    board.settle(&task, found)
                }
                Err(panic) => Err(message(&*panic).to_owned()),
            };
            if let Err(reason) = settled {
                tracing::error!("{place}: {reason}");
                board.lose(place, &task, &reason);
                self.changed.notify_all();
                return;
            }
            if board.over {
                self.changed.notify_all();
            }
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
mod tests;
