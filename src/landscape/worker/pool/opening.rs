//! The opening of a pool's devices: those that open together begin, the others join later.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::super::device_worker::DeviceWorker;
use super::super::process_worker::Opened;
use super::super::protocol::{Setup, WorkerEvent};
use super::super::wire::Loaded;
use super::{Place, Pool, Precision, open, spawn};

/// Time that other devices have to open once one has; those that take longer join later.
const TOGETHER: Duration = Duration::from_secs(2);
/// Time between two looks for devices that have opened.
const LOOK_FOR_OPENED: Duration = Duration::from_millis(10);

/// The place of a device among the others, and how its opening went.
pub(super) type Opening = (usize, Receiver<Result<Opened, String>>);

impl<R: FnMut(WorkerEvent) -> bool + Send> Pool<R> {
    /// Waits for devices, as [`Self::opened`] does, says which opened and which samples there are, and returns those that
    /// have not opened yet. Where none did, the model is still recognized.
    pub(super) fn begin<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        setup: &'env Setup,
        openings: Vec<Receiver<Result<Opened, String>>>,
    ) -> Vec<Opening> {
        let mut openings: Vec<_> = openings.into_iter().enumerate().collect();
        let mut first = self.opened(&mut openings, Some(TOGETHER));
        first.sort_by_key(|(index, _)| *index);
        let first = first.into_iter().map(|(_, opened)| opened);
        let found = match self.open(first.collect()) {
            Ok(Loaded::Loaded {
                name,
                samples,
                content,
            }) => {
                self.take_samples(setup.split(), content);
                WorkerEvent::Data {
                    split: setup.split(),
                    name,
                    samples,
                    content,
                }
            }
            Ok(Loaded::Missing(reason)) => {
                self.take_samples(setup.split(), None);
                WorkerEvent::NoData(reason)
            }
            Err(reason) => {
                self.take_samples(setup.split(), None);
                // The reason comes before what a worker without samples says of them.
                self.queue().tell(0, WorkerEvent::NoData(reason));
                spawn(scope, Place::Cpu, move |_| {
                    // Every machine opens this.
                    let (compute, place) = open(Place::Cpu, Precision::F32, setup.batch)?;
                    self.work(place, DeviceWorker::new(setup.clone(), None, compute));
                    Ok(())
                });
                return openings;
            }
        };
        self.queue().tell(0, found);
        openings
    }

    /// Takes devices that open later than others, until all have or all is over.
    pub(super) fn join_late(&self, mut openings: Vec<Opening>) {
        while !openings.is_empty() && !self.queue().over {
            for (_, opened) in self.opened(&mut openings, None) {
                self.join(opened);
            }
        }
    }

    /// Waits for devices that open or not: until all have, until one has and the others had so long, or all is over.
    /// Without a time it looks once.
    pub(super) fn opened(
        &self,
        openings: &mut Vec<Opening>,
        together: Option<Duration>,
    ) -> Vec<(usize, Result<Opened, String>)> {
        let mut found: Vec<(usize, Result<Opened, String>)> = Vec::new();
        let mut since = None;
        loop {
            openings.retain(|(index, opening)| {
                let opened = match opening.try_recv() {
                    Err(TryRecvError::Empty) => return true,
                    Err(closed) => Err(closed.to_string()),
                    Ok(opened) => opened,
                };
                found.push((*index, opened));
                false
            });
            if found.iter().any(|(_, opened)| opened.is_ok()) {
                since = since.or_else(|| Some(Instant::now()));
            }
            let is_late =
                since.is_some_and(|since| together.is_none_or(|time| since.elapsed() > time));
            if openings.is_empty() || is_late || self.queue().over {
                return found;
            }
            thread::sleep(LOOK_FOR_OPENED);
            if together.is_none() {
                return found;
            }
        }
    }

    /// Takes a device that opened later than others, or says why it did not.
    fn join(&self, opened: Result<Opened, String>) {
        let mut queue = self.queue();
        match opened {
            Ok(Opened { name, .. }) => queue.join(&name),
            Err(reason) => queue.report(WorkerEvent::Lost(reason)),
        }
    }

    /// Counts those whose device opened, says which they are, and returns the samples that they have; where
    /// none did, the first reason.
    pub(super) fn open(&self, openings: Vec<Result<Opened, String>>) -> Result<Loaded, String> {
        let mut queue = self.queue();
        let names = openings.iter().flatten();
        let names: Vec<String> = names.map(|opened| opened.name.clone()).collect();
        queue.able = names.len().max(1);
        queue.names.clone_from(&names);
        let (opened, refused): (Vec<_>, Vec<_>) = openings.into_iter().partition(Result::is_ok);
        let mut reasons = refused.into_iter().filter_map(Result::err);
        let Some(first) = opened.into_iter().flatten().next() else {
            let reason = reasons.next();
            return Err(reason.unwrap_or_else(|| "no device was named".into()));
        };
        queue.report(WorkerEvent::Device(names.join(",")));
        reasons.for_each(|reason| queue.report(WorkerEvent::Lost(reason)));
        Ok(first.data)
    }
}
