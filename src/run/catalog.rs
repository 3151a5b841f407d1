//! The path of a run from the names of its files and what is known of their contents.
//!
//! Names decide where they tell ([`names`](super::names)); the counters inside decide where names do not;
//! times decide only where nothing else does, and then that is said. Nothing here looks at a file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[cfg(test)]
mod tests;

use super::names::{
    Arrangement, Family, FamilyKind, LeftOut, NameEvidence, StepUnit, arrange_with,
};

/// The counters that a checkpoint holds itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InnerCounters {
    /// Updates of the weights.
    pub step: Option<u64>,
    /// Passes over the data.
    pub epoch: Option<u64>,
}

/// Facts from a checkpoint's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointFacts {
    /// Its own counters.
    pub counters: InnerCounters,
    /// Hash of the names and shapes of the model's tensors.
    pub signature: u64,
    /// Numbers of the model.
    pub numbers: usize,
    /// Hash of the weights; `None` until they were read.
    pub content: Option<[u8; 32]>,
}

/// A file that was seen in the run, perhaps one of several versions of it.
///
/// Files that turned out to hold no weights are not given: their families would be named as networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Its path below the run.
    pub path: PathBuf,
    /// The time of its last change.
    pub modified: SystemTime,
    /// What its header says; `None` until that was read.
    pub facts: Option<CheckpointFacts>,
}

/// The source of a point's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOrigin {
    /// The name.
    Name,
    /// The place in the order that names tell, where their numbers start again.
    NameOrder,
    /// The counter inside.
    Counter,
    /// The place in the order of time.
    Time,
}

/// A point of the run's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogPoint {
    /// Its path below the run.
    pub path: PathBuf,
    /// Index of its entry.
    pub entry: usize,
    /// Its step; `None` where only the contents can tell, which were not read yet.
    pub step: Option<u64>,
    /// Its epoch, where it is known beside the step.
    pub epoch: Option<u64>,
    /// Where the step comes from.
    pub origin: StepOrigin,
}

/// The path of a run, and what each other file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The points in order; those without a step come last.
    pub points: Vec<CatalogPoint>,
    /// The other files, each with the reason.
    pub left_out: Vec<(PathBuf, LeftOut)>,
    /// What the steps count.
    pub unit: StepUnit,
    /// What was chosen or assumed, one sentence each.
    pub remarks: Vec<String>,
    /// Families that could be followed instead.
    pub alternatives: Vec<Family>,
    undecided: Vec<PathBuf>,
    older_tail: usize,
}

impl Catalog {
    /// Files whose contents would decide whether they are points: those that may be copies, and the points
    /// that they may be copies of.
    #[must_use]
    pub fn undecided(&self) -> Vec<PathBuf> {
        self.undecided.clone()
    }

    /// Number of last points that are all older than every point with a lower step: perhaps what an
    /// earlier run left.
    #[must_use]
    pub fn older_tail(&self) -> usize {
        self.older_tail
    }
}

/// Finds the path of a run.
///
/// One family of names is followed: see [`arrange`](super::names::arrange); of runs in several folders the
/// newest. A file that names leave open (`last`, `best`, `final`, no number) is folded into the point
/// whose weights it has; with other weights it is a point if its own counter counts in the path's unit and
/// that step is free, else it is left out with a sentence. Of two files with one step the later counts.
#[must_use]
pub fn catalog(entries: &[CatalogEntry]) -> Catalog {
    let mut builder = CatalogBuilder::new(entries);
    if builder
        .arrangement
        .points
        .iter()
        .any(|point| point.step.is_some())
    {
        builder.by_names();
    } else {
        builder.by_contents();
    }
    builder.finish()
}

struct CatalogBuilder<'a> {
    entries: &'a [CatalogEntry],
    /// The entries of each path, the newest last.
    versions: HashMap<&'a Path, Vec<usize>>,
    arrangement: Arrangement,
    catalog: Catalog,
    /// Sentences about single files, with the path that each is about.
    told: Vec<String>,
}

impl<'a> CatalogBuilder<'a> {
    fn new(entries: &'a [CatalogEntry]) -> Self {
        let mut versions: HashMap<&Path, Vec<usize>> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            versions.entry(entry.path.as_path()).or_default().push(at);
        }
        for of_path in versions.values_mut() {
            of_path.sort_by_key(|at| (entries[*at].modified, *at));
        }
        let paths: Vec<PathBuf> = versions.keys().map(|path| path.to_path_buf()).collect();
        let newest = |path: &Path| Some(&entries[*versions.get(path)?.last()?]);
        let evidence = |path: &Path| {
            let entry = newest(path);
            let facts = entry.and_then(|entry| entry.facts);
            NameEvidence {
                modified: entry.map(|entry| entry.modified),
                signature: facts.map(|facts| facts.signature),
                numbers: facts.map_or(0, |facts| facts.numbers),
            }
        };
        let arrangement = arrange_with(&paths, &evidence);
        Self {
            entries,
            arrangement,
            versions,
            catalog: Catalog::default(),
            told: Vec::new(),
        }
    }

    fn newest(&self, path: &Path) -> Option<usize> {
        self.versions.get(path)?.last().copied()
    }

    fn facts(&self, entry: usize) -> Option<CheckpointFacts> {
        self.entries.get(entry)?.facts
    }

    fn content(&self, entry: usize) -> Option<[u8; 32]> {
        self.facts(entry)?.content
    }

    fn leave_out(&mut self, path: &Path, why: LeftOut) {
        self.catalog.left_out.push((path.to_path_buf(), why));
    }

    /// The path where names tell steps.
    fn by_names(&mut self) {
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
        let counter = PathCounter::of(&self.catalog, self.entries);
        let mut by_content: HashMap<[u8; 32], usize> = HashMap::new();
        for point in self.catalog.points.iter().rev() {
            by_content.extend(
                self.content(point.entry)
                    .map(|content| (content, point.entry)),
            );
        }
        let signature = self
            .catalog
            .points
            .last()
            .and_then(|point| self.facts(point.entry));
        let known = Known {
            signature: signature.map(|facts| facts.signature),
            by_content,
            counter,
        };
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
    fn decide(&mut self, entry: usize, why: &LeftOut, known: &Known) {
        let path = self.entries[entry].path.clone();
        let Some(facts) = self.facts(entry) else {
            self.ask(&path, why);
            self.leave_out(&path, why.clone());
            return;
        };
        if let Some(of) = facts
            .content
            .and_then(|content| known.by_content.get(&content))
        {
            let of = self.entries[*of].path.clone();
            if of != path {
                self.leave_out(&path, LeftOut::Copy { of });
            }
            return;
        }
        if known
            .signature
            .is_some_and(|signature| signature != facts.signature)
        {
            let family = path.display().to_string();
            self.leave_out(&path, LeftOut::OtherNetwork { family });
            return;
        }
        if let LeftOut::SameStep { of } = why {
            self.later_counts(entry, of);
            return;
        }
        let step = known
            .counter
            .as_ref()
            .and_then(|counter| counter.step(facts.counters));
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

    /// True where the weights of the file that another may be a copy of were read; without one, those of
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

    /// Of two files with one step the later is the point.
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

    /// The path where names tell no steps: by the counters inside, else by time.
    fn by_contents(&mut self) {
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
            match same.filter(|same| !same.is_empty()) {
                Some(same) => open.extend(same),
                None => self.leave_out(&path, why),
            }
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
        let read: Vec<CheckpointFacts> =
            open.iter().filter_map(|entry| self.facts(*entry)).collect();
        let differ = |counter: fn(InnerCounters) -> Option<u64>| {
            let counts: Option<Vec<u64>> =
                read.iter().map(|facts| counter(facts.counters)).collect();
            counts.is_some_and(|counts| counts.iter().collect::<HashSet<_>>().len() == counts.len())
        };
        let by_step: fn(InnerCounters) -> Option<u64> = |counters| counters.step;
        let by_epoch: fn(InnerCounters) -> Option<u64> = |counters| counters.epoch;
        let counter = if read.is_empty() {
            None
        } else if differ(by_step) {
            Some((by_step, StepUnit::Step))
        } else if differ(by_epoch) {
            Some((by_epoch, StepUnit::Epoch))
        } else {
            // Two files with one counter, as a best and a last of the same epoch: the later counts.
            let all = |counter: fn(InnerCounters) -> Option<u64>| {
                read.iter().all(|facts| counter(facts.counters).is_some())
            };
            let some = [(by_step, StepUnit::Step), (by_epoch, StepUnit::Epoch)];
            some.into_iter()
                .find(|(counter, _)| all(*counter) && read.len() > 1)
        };
        let order: HashMap<usize, usize> =
            open.iter().enumerate().map(|(at, e)| (*e, at)).collect();
        let ties = {
            let times: HashSet<SystemTime> =
                open.iter().map(|e| self.entries[*e].modified).collect();
            times.len() < open.len()
        };
        open.sort_by_key(|entry| (self.entries[*entry].modified, order.get(entry).copied()));
        let all_unread = read.is_empty();
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

    /// Of points with one step keeps the later.
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

    /// One sentence for each kind of family that is not followed.
    fn remark_families(&mut self, followed: &str) {
        let mut by_kind: BTreeMap<FamilyKind, Vec<&Family>> = BTreeMap::new();
        for family in &self.catalog.alternatives {
            by_kind.entry(family.why).or_default().push(family);
        }
        let mut remarks = Vec::new();
        for (kind, families) in by_kind {
            let what = match kind {
                FamilyKind::Network => "several networks lie here",
                FamilyKind::Average => "an average lies beside the model",
                FamilyKind::Run => "several runs lie here",
                FamilyKind::Unit => "checkpoints are counted in two units",
            };
            let shown = families.iter().take(SHOWN);
            let shown: Vec<String> = shown
                .map(|family| format!("--only '{}' ({})", family.pattern, files(family.files)))
                .collect();
            let more = match families.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let folder = if kind == FamilyKind::Run {
                "; or give the folder of one"
            } else {
                ""
            };
            remarks.push(format!(
                "{what}: {followed} ({}) is followed, the others are {}{more}{folder}",
                files(self.catalog.points.len()),
                shown.join(", "),
            ));
        }
        self.catalog.remarks.extend(remarks);
    }

    fn finish(mut self) -> Catalog {
        let more = self.told.len().saturating_sub(SHOWN);
        self.told.truncate(SHOWN);
        self.catalog.remarks.append(&mut self.told);
        if more > 0 {
            self.catalog
                .remarks
                .push(format!("{more} more files are left out for such reasons"));
        }
        self.catalog.left_out.sort();
        self.catalog.left_out.dedup();
        let unread = |path: &PathBuf| {
            let entry = self.newest(path);
            entry.is_some_and(|entry| self.content(entry).is_none())
        };
        let mut undecided: Vec<PathBuf> = self
            .catalog
            .undecided
            .iter()
            .filter(|p| unread(p))
            .cloned()
            .collect();
        undecided.sort();
        undecided.dedup();
        self.catalog.undecided = undecided;
        self.catalog.older_tail = self.tail();
        self.catalog
    }

    fn tail(&self) -> usize {
        let points = &self.catalog.points;
        if points.iter().any(|point| point.origin == StepOrigin::Time) {
            return 0;
        }
        let times: Vec<SystemTime> = points
            .iter()
            .map(|p| self.entries[p.entry].modified)
            .collect();
        let mut oldest = Vec::with_capacity(times.len());
        for time in &times {
            oldest.push(
                oldest
                    .last()
                    .map_or(*time, |last: &SystemTime| (*last).min(*time)),
            );
        }
        let mut tail = 0;
        let mut newest: Option<SystemTime> = None;
        for at in (1..times.len()).rev() {
            newest = newest.max(Some(times[at]));
            if newest < Some(oldest[at - 1]) {
                tail = times.len() - at;
            }
        }
        tail
    }
}

/// Families and files that a sentence names before it counts the rest.
const SHOWN: usize = 4;

fn files(count: usize) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

/// What decides about files whose names leave them open.
struct Known {
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
            let read = |facts: &CheckpointFacts| match is_epoch {
                true => facts.counters.epoch,
                false => facts.counters.step,
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
