//! The path where names tell no steps: by the counters inside, else by time.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::SystemTime;

use super::{CatalogBuilder, CatalogPoint, CheckpointFacts, InnerCounters, StepOrigin};
use crate::run::names::{LeftOut, StepUnit};

/// Reads one of a checkpoint's own counters.
type CounterOf = fn(InnerCounters) -> Option<u64>;

impl CatalogBuilder<'_> {
    /// Finds the path where names tell no steps: by the counters inside, else by time.
    pub(super) fn by_contents(&mut self) {
        let arrangement = std::mem::take(&mut self.arrangement);
        let paths = arrangement.points.iter().map(|point| point.path.as_path());
        let mut open: Vec<usize> = paths
            .filter_map(|path| self.versions.get(path))
            .flatten()
            .copied()
            .collect();
        let signature = open.iter().rev().find_map(|entry| self.facts(*entry));
        for (path, why) in arrangement.left_out {
            // Other names with the same network are points as well: `alpha.pt`, `beta.pt`.
            let is_same = |entry: &usize| {
                let facts = self.facts(*entry).zip(signature);
                facts.is_some_and(|(facts, main)| facts.signature == main.signature)
            };
            let same = why.is_undecided().then(|| {
                let versions = self
                    .versions
                    .get(path.as_path())
                    .cloned()
                    .unwrap_or_default();
                versions.into_iter().filter(is_same).collect::<Vec<_>>()
            });
            if let Some(same) = same.filter(|same| !same.is_empty()) {
                open.extend(same);
                continue;
            }
            let entry = self.newest(&path);
            let unread = entry.and_then(|entry| self.facts(entry)).is_none();
            if unread && why.is_undecided() {
                self.catalog.undecided.push(path.clone());
            }
            self.leave_out(&path, why);
        }
        let open = self.fold_copies(open);
        self.number(open);
        self.catalog.alternatives = arrangement.alternatives;
        self.remark_families(&arrangement.pattern);
    }

    /// Takes out files with the weights of another.
    fn fold_copies(&mut self, open: Vec<usize>) -> Vec<usize> {
        let mut seen: HashMap<[u8; 32], usize> = HashMap::new();
        let mut kept = Vec::new();
        for entry in open {
            let first = match self.content(entry) {
                Some(content) => *seen.entry(content).or_insert(entry),
                None => entry,
            };
            if first == entry {
                kept.push(entry);
                continue;
            }
            let (path, of) = (&self.entries[entry].path, &self.entries[first].path);
            if path != of {
                let (path, of) = (path.clone(), of.clone());
                self.leave_out(&path, LeftOut::Copy { of });
            }
        }
        if kept.len() > 1 {
            let unread = kept.iter().filter(|entry| self.content(**entry).is_none());
            let unread: Vec<PathBuf> = unread
                .map(|entry| self.entries[*entry].path.clone())
                .collect();
            self.catalog.undecided.extend(unread);
        }
        kept
    }

    /// Gives steps to files whose names tell none.
    fn number(&mut self, mut open: Vec<usize>) {
        let counter = self.counter(&open);
        let all_unread = open.iter().all(|entry| self.facts(*entry).is_none());
        let order: HashMap<usize, usize> =
            open.iter().enumerate().map(|(at, e)| (*e, at)).collect();
        let ties = {
            let times: HashSet<SystemTime> =
                open.iter().map(|e| self.entries[*e].modified).collect();
            times.len() < open.len()
        };
        open.sort_by_key(|entry| (self.entries[*entry].modified, order.get(entry).copied()));
        self.catalog.unit = counter.map_or(StepUnit::Order, |(_, unit)| unit);
        for (place, entry) in open.iter().copied().enumerate() {
            let counters = self.facts(entry).map(|facts| facts.counters);
            let step = match counter {
                Some((counter, _)) => counters.and_then(counter),
                None => (!all_unread).then_some(place as u64),
            };
            self.catalog.points.push(CatalogPoint {
                path: self.entries[entry].path.clone(),
                entry,
                step,
                epoch: counters.and_then(|counters| counters.epoch),
                origin: if counter.is_some() {
                    StepOrigin::Counter
                } else {
                    StepOrigin::Time
                },
            });
        }
        self.catalog
            .points
            .sort_by_key(|point| (point.step.is_none(), point.step));
        self.drop_repeated();
        if counter.is_none() && self.catalog.points.len() > 1 {
            let tie = if ties {
                ", those of one time by their names"
            } else {
                ""
            };
            self.catalog.remarks.push(format!(
                "neither names nor contents tell a step: checkpoints are in the order of their times{tie}"
            ));
        }
    }

    /// Returns the counter inside that tells the files apart: all that were read have it.
    fn counter(&self, open: &[usize]) -> Option<(CounterOf, StepUnit)> {
        let read: Vec<CheckpointFacts> =
            open.iter().filter_map(|entry| self.facts(*entry)).collect();
        let differ = |counter: CounterOf| {
            let counts: Option<Vec<u64>> =
                read.iter().map(|facts| counter(facts.counters)).collect();
            counts.is_some_and(|counts| counts.iter().collect::<HashSet<_>>().len() == counts.len())
        };
        let by_step: CounterOf = |counters| counters.step;
        let by_epoch: CounterOf = |counters| counters.epoch;
        if read.is_empty() {
            None
        } else if differ(by_step) {
            Some((by_step, StepUnit::Step))
        } else if differ(by_epoch) {
            Some((by_epoch, StepUnit::Epoch))
        } else {
            // Two files with one counter, as a best and a last of the same epoch: the later counts.
            let all =
                |counter: CounterOf| read.iter().all(|facts| counter(facts.counters).is_some());
            let some = [(by_step, StepUnit::Step), (by_epoch, StepUnit::Epoch)];
            some.into_iter()
                .find(|(counter, _)| all(*counter) && read.len() > 1)
        }
    }

    /// Keeps the later of points with one step.
    fn drop_repeated(&mut self) {
        let points = std::mem::take(&mut self.catalog.points);
        for point in points {
            let last = self.catalog.points.last_mut();
            match last.filter(|last| last.step.is_some() && last.step == point.step) {
                Some(last) => {
                    let old = std::mem::replace(last, point);
                    let of = last.path.clone();
                    if old.path != of {
                        self.told.push(format!(
                            "{}: left out, since its counter is that of {}, which was written later",
                            old.path.display(),
                            of.display()
                        ));
                        self.leave_out(&old.path, LeftOut::SameStep { of });
                    }
                }
                None => self.catalog.points.push(point),
            }
        }
    }
}
