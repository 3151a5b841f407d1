//! The path where names tell steps: what names leave open is decided by the contents.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{
    Catalog, CatalogBuilder, CatalogEntry, CatalogPoint, CheckpointFacts, InnerCounters, StepOrigin,
};
use crate::run::names::{LeftOut, StepUnit};

impl CatalogBuilder<'_> {
    /// Finds the path where names tell steps.
    pub(super) fn by_names(&mut self) {
        let arrangement = std::mem::take(&mut self.arrangement);
        let unit = arrangement.unit;
        let origin = match unit {
            StepUnit::Order => StepOrigin::NameOrder,
            _ => StepOrigin::Name,
        };
        self.catalog.unit = unit;
        for point in &arrangement.points {
            let Some(entry) = self.newest(&point.path) else {
                continue;
            };
            self.catalog.points.push(CatalogPoint {
                path: point.path.clone(),
                entry,
                step: point.step,
                epoch: point.epoch,
                origin,
            });
        }
        if unit == StepUnit::Order {
            self.counters_for_places();
        }
        let known = self.decisive();
        for (path, why) in arrangement.left_out {
            let copy = self.newest(&path).and_then(|entry| self.content(entry));
            if why.is_undecided() {
                let versions = self
                    .versions
                    .get(path.as_path())
                    .cloned()
                    .unwrap_or_default();
                for entry in versions {
                    self.decide(entry, &why, &known);
                }
            } else if let Some(of) = copy.and_then(|content| known.by_content.get(&content)) {
                let of = self.entries[*of].path.clone();
                self.leave_out(&path, LeftOut::Copy { of });
            } else {
                self.leave_out(&path, why);
            }
        }
        self.catalog
            .points
            .sort_by_key(|point| (point.step.is_none(), point.step));
        self.catalog.alternatives = arrangement.alternatives;
        self.forget_copied_families();
        self.remark_families(&arrangement.pattern);
        if self.catalog.unit == StepUnit::Order {
            let remark =
                "names count anew within an epoch or tell dates: steps are places in their order";
            self.catalog.remarks.push(remark.to_owned());
        }
    }

    /// Returns the facts about the points that decide about other files.
    fn decisive(&self) -> Decisive {
        let points = &self.catalog.points;
        let content = |point: &CatalogPoint| Some((self.content(point.entry)?, point.entry));
        let newest = points.last().and_then(|point| self.facts(point.entry));
        Decisive {
            signature: newest.map(|facts| facts.signature),
            // Of equal weights under two steps the first.
            by_content: points.iter().rev().filter_map(content).collect(),
            counter: PathCounter::of(&self.catalog, self.entries),
        }
    }

    /// Takes out families all of whose files are copies of the path's: the end of each epoch beside the
    /// updates.
    fn forget_copied_families(&mut self) {
        let left: HashSet<&str> = self
            .catalog
            .left_out
            .iter()
            .filter_map(|(_, why)| why.family())
            .collect();
        self.catalog
            .alternatives
            .retain(|family| left.contains(family.pattern.as_str()));
    }

    /// Takes the counters inside for steps where names tell an order alone and all counters agree with it.
    fn counters_for_places(&mut self) {
        let step = |point: &CatalogPoint| self.facts(point.entry)?.counters.step;
        let steps: Option<Vec<u64>> = self.catalog.points.iter().map(step).collect();
        let Some(steps) = steps.filter(|steps| steps.is_sorted_by(|a, b| a < b)) else {
            return;
        };
        for (point, step) in self.catalog.points.iter_mut().zip(steps) {
            point.step = Some(step);
            point.origin = StepOrigin::Counter;
        }
        self.catalog.unit = StepUnit::Step;
    }

    /// Decides by its contents what a file is whose name leaves it open.
    fn decide(&mut self, entry: usize, why: &LeftOut, known: &Decisive) {
        let path = self.entries[entry].path.clone();
        let Some(facts) = self.facts(entry) else {
            self.ask(&path, why);
            self.leave_out(&path, why.clone());
            return;
        };
        let same = facts
            .content
            .and_then(|content| known.by_content.get(&content));
        if let Some(of) = same.map(|of| self.entries[*of].path.clone()) {
            if of != path {
                self.leave_out(&path, LeftOut::Copy { of });
            }
            return;
        }
        if known.signature.is_some_and(|main| main != facts.signature) {
            let family = path.display().to_string();
            self.leave_out(&path, LeftOut::OtherNetwork { family });
            return;
        }
        if let LeftOut::SameStep { of } = why {
            self.later_counts(entry, of);
            return;
        }
        let counter = known.counter.as_ref();
        let step = counter.and_then(|counter| counter.step(facts.counters));
        let taken = step.and_then(|step| self.catalog.points.iter().find(|p| p.step == Some(step)));
        let taken = taken.map(|point| point.path.clone());
        let target = match (why, &taken) {
            (_, Some(taken)) => Some(taken.clone()),
            (LeftOut::MaybeCopy { of }, None) => of.clone(),
            _ => None,
        };
        if facts.content.is_none() || !self.is_read(target.as_deref()) {
            self.ask(&path, &LeftOut::MaybeCopy { of: target.clone() });
            self.leave_out(&path, LeftOut::MaybeCopy { of: target });
            return;
        }
        match (step, taken) {
            (_, Some(of)) => self.leave_out(&path, LeftOut::SameStep { of }),
            (Some(step), None) => self.catalog.points.push(CatalogPoint {
                path,
                entry,
                step: Some(step),
                epoch: facts.counters.epoch,
                origin: StepOrigin::Counter,
            }),
            (None, None) => {
                let shown = path.display();
                self.told.push(format!(
                    "{shown}: left out, since its weights are those of no other checkpoint and neither its name nor its contents tell its step"
                ));
                self.leave_out(&path, LeftOut::NoStep);
            }
        }
    }

    /// Returns true where the weights of the file that another may be a copy of were read; without one, those of
    /// all points.
    fn is_read(&self, target: Option<&Path>) -> bool {
        match target.and_then(|target| self.newest(target)) {
            Some(entry) => self.content(entry).is_some(),
            None => self
                .catalog
                .points
                .iter()
                .all(|point| self.content(point.entry).is_some()),
        }
    }

    /// Notes which contents would decide about a file.
    fn ask(&mut self, path: &Path, why: &LeftOut) {
        self.catalog.undecided.push(path.to_path_buf());
        match why {
            LeftOut::MaybeCopy { of: Some(of) } | LeftOut::SameStep { of } => {
                self.catalog.undecided.push(of.clone());
            }
            _ => {
                let points = self.catalog.points.iter().map(|point| point.path.clone());
                self.catalog.undecided.extend(points);
            }
        }
    }

    /// Takes the later of two files with one step as the point.
    fn later_counts(&mut self, entry: usize, of: &Path) {
        let path = self.entries[entry].path.clone();
        let Some(at) = self
            .catalog
            .points
            .iter()
            .position(|point| point.path == of)
        else {
            self.leave_out(
                &path,
                LeftOut::SameStep {
                    of: of.to_path_buf(),
                },
            );
            return;
        };
        let other = self.catalog.points[at].entry;
        let is_later = self.entries[entry].modified > self.entries[other].modified;
        let (stays, goes) = if is_later {
            (entry, other)
        } else {
            (other, entry)
        };
        let (stays_path, goes_path) = (&self.entries[stays].path, &self.entries[goes].path);
        if let Some(step) = self.catalog.points[at].step {
            self.told.push(format!(
                "{}: left out, since step {step} is {}, which was written later",
                goes_path.display(),
                stays_path.display()
            ));
        }
        let (stays_path, goes_path) = (stays_path.clone(), goes_path.clone());
        self.catalog.points[at].entry = stays;
        self.catalog.points[at].path.clone_from(&stays_path);
        self.leave_out(&goes_path, LeftOut::SameStep { of: stays_path });
    }
}

/// Facts that decide about files whose names leave them open.
struct Decisive {
    /// The network of the newest point.
    signature: Option<u64>,
    /// The entry with these weights.
    by_content: HashMap<[u8; 32], usize>,
    counter: Option<PathCounter>,
}

/// The counter inside that counts what names count.
struct PathCounter {
    is_epoch: bool,
    /// Name minus counter: files are often named after the next epoch.
    offset: i128,
}

impl PathCounter {
    /// Finds the counter whose distance to the names' steps is the same in all points. A unit that words
    /// tell is believed without any.
    fn of(catalog: &Catalog, entries: &[CatalogEntry]) -> Option<Self> {
        let units = match catalog.unit {
            StepUnit::Step => [Some(false), None],
            StepUnit::Epoch => [Some(true), None],
            StepUnit::Unspecified => [Some(false), Some(true)],
            _ => [None, None],
        };
        units.into_iter().flatten().find_map(|is_epoch| {
            let read = |facts: &CheckpointFacts| {
                if is_epoch {
                    facts.counters.epoch
                } else {
                    facts.counters.step
                }
            };
            let offsets: Vec<i128> = catalog
                .points
                .iter()
                .filter_map(|point| {
                    let count = read(entries.get(point.entry)?.facts.as_ref()?)?;
                    Some(i128::from(point.step?) - i128::from(count))
                })
                .collect();
            let offset = offsets.first().copied();
            let agree = offsets.iter().all(|other| Some(*other) == offset);
            // A single point agrees with any distance.
            let near = offset.is_none_or(|offset| offset.abs() <= 1 || offsets.len() > 1);
            let known = offset.is_some() || catalog.unit != StepUnit::Unspecified;
            (agree && near && known).then(|| Self {
                is_epoch,
                offset: offset.unwrap_or(0),
            })
        })
    }

    fn step(&self, counters: InnerCounters) -> Option<u64> {
        let count = if self.is_epoch {
            counters.epoch
        } else {
            counters.step
        }?;
        u64::try_from(i128::from(count) + self.offset).ok()
    }
}
