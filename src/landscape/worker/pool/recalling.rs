//! Answers the queries of a pool's plans that were answered before.

use std::cell::Cell;
use std::sync::{Arc, PoisonError};

use super::super::super::evidence::AssumedFunction;
use super::super::protocol::{Plan, Setup, WorkerEvent};
use super::super::recall::Recall;
use super::Pool;
use crate::data::Split;
use crate::store::{Digest, StorePlace};

/// Bytes of checkpoints that are read for their contents before a plan is measured: that takes less time than the points
/// that would be measured twice.
const READ_FIRST: u64 = 16 << 20;

impl<R: FnMut(WorkerEvent) -> bool + Send> Pool<R> {
    /// Opens the store in which values are kept; without one, all is measured.
    pub(super) fn open_store(&self, setup: &Setup, place: Option<&StorePlace>) {
        let Some(place) = place else {
            return;
        };
        let opened = place.open();
        let mut queue = self.queue();
        if let Some(store) = queue.must(opened) {
            queue.set_recall(Recall::new(store, setup).map(Arc::new));
        }
    }

    /// Takes the content of the samples of a split, and looks up the plans that waited for it. Without samples nothing
    /// can be recalled.
    pub(super) fn take_samples(&self, split: Split, content: Option<Digest>) {
        let recall = self.queue().recall();
        match recall.zip(content) {
            Some((recall, content)) => {
                recall.set_samples(split, content);
            }
            None => self.queue().stop_recalling(),
        }
        self.recall();
        self.changed.notify_all();
    }

    /// Commits what is not safe yet.
    pub(super) fn flush(&self) {
        let recall = self.queue().recall();
        if let Some(recall) = recall {
            let flushed = recall.flush();
            self.queue().must(flushed);
        }
    }

    /// Answers what is known of the plans that came in. Where that takes a long reading of checkpoints, they are
    /// measured meanwhile, unless that is to come first.
    pub(super) fn recall(&self) {
        let (plans, function) = self.queue().unknown();
        let recall = self.queue().recall();
        if recall.is_none_or(|recall| !recall.knows_samples()) {
            return;
        }
        for plan in plans {
            let left = Cell::new(READ_FIRST);
            let may_read = |bytes: u64| {
                let rest = left.get().checked_sub(bytes);
                rest.inspect(|rest| left.set(*rest)).is_some()
            };
            if !self.recall_plan(&plan, &function, &|bytes| {
                self.reads_first || may_read(bytes)
            }) {
                self.queue().release(&plan);
                let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
                unread.push_back((plan, function.clone()));
            }
        }
    }

    /// Reads the contents of checkpoints for plans that wait for it, until all is over.
    pub(super) fn look_up(&self) {
        loop {
            let mut queue = self.queue();
            let next = loop {
                if queue.over {
                    return;
                }
                let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(next) = unread.pop_front() {
                    break next;
                }
                drop(unread);
                let woken = self.changed.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
            };
            drop(queue);
            let (plan, function) = next;
            if !self.recall_plan(&plan, &function, &|_| self.queue().wants_keys(&plan)) {
                self.queue().give_up(&plan);
            }
            self.changed.notify_all();
        }
    }

    /// Answers what is known of a plan. Returns false if its keys are not known.
    fn recall_plan(
        &self,
        plan: &Arc<Plan>,
        function: &AssumedFunction,
        may_read: &dyn Fn(u64) -> bool,
    ) -> bool {
        let Some(recall) = self.queue().recall() else {
            return true;
        };
        let found = recall.keys(plan, function, may_read).and_then(|keys| {
            let Some(keys) = keys else { return Ok(None) };
            let known = (recall.findings(&keys)?, recall.values(&keys)?);
            Ok(Some((Arc::new(keys), known)))
        });
        let mut queue = self.queue();
        for samples in recall.take_found() {
            queue.tell(plan.generation, samples);
        }
        match queue.must(found) {
            Some(Some((keys, known))) => {
                queue.recalled((plan, function), &keys, known);
                true
            }
            Some(None) => false,
            None => true,
        }
    }
}
