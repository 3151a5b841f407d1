//! The files of one family of names in the order of training: which of their numbers is the step.

use std::collections::{BTreeMap, HashMap};

use super::StepUnit;
use super::counting::Counting;
use super::family_numbers::{FamilyNumbers, NumberColumn};
use super::parsed::ParsedName;
use super::word::WordClass;

/// A file of a family that is no point of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// One of several parts of the point's checkpoint.
    Part,
    /// Named as the best or the last, with the point's own step.
    Copy,
    /// Another file with the point's step.
    SameStep,
}

/// A point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesPoint {
    /// Index of its file.
    pub(super) file: usize,
    /// Its step; `None` where names tell none.
    pub(super) step: Option<u64>,
    /// Its epoch, where the name has one.
    pub(super) epoch: Option<u64>,
}

/// The files of one family in order.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// The points, by step.
    pub(super) members: Vec<SeriesPoint>,
    /// Files that share a point's step, with the place of that point among the members' files.
    pub(super) beside: Vec<(usize, Beside, usize)>,
    /// Unit of its steps.
    pub(super) unit: StepUnit,
    /// The numbers that order it, as places among the slots of a name.
    pub(super) counters: Vec<usize>,
    /// The numbers that are held fixed, since they tell it from another series.
    pub(super) pinned: Vec<usize>,
    /// The component of the path with the step; the last one where there is none.
    pub(super) depth: usize,
    /// True where one of those tells runs apart, and not networks.
    pub(super) is_run: bool,
}

impl Series {
    /// Returns true where names tell the order.
    pub(super) fn is_numbered(&self) -> bool {
        self.members
            .first()
            .is_some_and(|first| first.step.is_some())
    }

    /// Returns the index of a file that stands for it.
    pub(super) fn first(&self) -> usize {
        self.members.first().map_or(0, |member| member.file)
    }
}

/// Orders the files of one family; where its numbers tell several runs or networks apart, each by itself.
pub(super) fn resolve(names: &[ParsedName], files: &[usize]) -> Vec<Series> {
    let mut resolved = Vec::new();
    let mut open = vec![(files.to_vec(), Vec::new())];
    while let Some((files, pinned)) = open.pop() {
        let family = FamilyNumbers::new(names, &files, &pinned);
        match family.splitter() {
            Some(column) => {
                let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
                for &file in &files {
                    groups
                        .entry(family.value(file, column))
                        .or_default()
                        .push(file);
                }
                let pinned: Vec<usize> = pinned.iter().copied().chain([column]).collect();
                open.extend(groups.into_values().map(|group| (group, pinned.clone())));
            }
            None => resolved.push(family.series()),
        }
    }
    resolved
}

impl FamilyNumbers<'_> {
    /// Returns a number that tells runs or networks apart: a fold, a date above the checkpoints, the index of a
    /// network in a folder that has the step.
    fn splitter(&self) -> Option<usize> {
        let candidates = self.candidates();
        let varying = || self.columns.iter().filter(|column| self.varies(column));
        let is_candidate = |at: usize| candidates.iter().any(|column| column.at == at);
        let run = varying().find(|column| {
            (column.slot.class == WordClass::Run || self.is_job(column))
                && !column.is_date
                && !is_candidate(column.at)
        });
        if let Some(run) = run {
            return Some(run.at);
        }
        if candidates.is_empty() {
            return None;
        }
        let home = self.home(&candidates);
        let date = varying().find(|column| column.is_date);
        if let Some(date) = date {
            let repeats = !self.is_unique(&self.count().order);
            let counted = candidates
                .iter()
                .any(|column| column.slot.class.is_counter());
            if date.slot.component != home || (repeats && counted) {
                return Some(date.at);
            }
        }
        let stranger = |column: &&&NumberColumn| {
            column.slot.component != home && !column.slot.class.is_counter() && self.varies(column)
        };
        let stranger = candidates.iter().find(stranger)?;
        let counting = self.count();
        let rises = self.is_unique(&counting.order)
            && counting
                .order
                .last()
                .is_some_and(|last| self.rises(stranger.at, *last));
        (stranger.slot.component > home || !rises).then_some(stranger.at)
    }

    fn series(&self) -> Series {
        let counting = self.count();
        let numbered = !counting.order.is_empty();
        let points = self.points(&counting);
        let mut series = self.empty_series(&counting);
        for (ordinal, mut files) in points.into_values().enumerate() {
            let rank = |file: &usize| {
                let name = &self.names[*file];
                (name.standing, name.parts.clone(), std::cmp::Reverse(*file))
            };
            files.sort_by_key(rank);
            let Some((&point, rest)) = files.split_first() else {
                continue;
            };
            let step = counting
                .step
                .map_or(ordinal as u64, |at| self.value(point, at));
            series.members.push(SeriesPoint {
                file: point,
                step: numbered.then_some(step),
                epoch: counting.epoch.map(|at| self.value(point, at)),
            });
            series.beside.extend(
                rest.iter()
                    .map(|&file| (file, self.beside(point, file), point)),
            );
        }
        series
    }

    /// Returns the files of each point, in order. What no number orders is told apart by its standing, then by its
    /// path; the parts of one checkpoint are one point.
    fn points(&self, counting: &Counting) -> BTreeMap<Vec<u64>, Vec<usize>> {
        let key = |file: usize| -> Vec<u64> {
            let standing = u64::from(self.names[file].standing);
            if !counting.order.is_empty() {
                let order = counting.order.iter();
                order.map(|at| self.value(file, *at)).collect()
            } else if self.names[file].parts.is_empty() {
                vec![standing, file as u64]
            } else {
                vec![standing]
            }
        };
        let mut points: BTreeMap<Vec<u64>, Vec<usize>> = BTreeMap::new();
        for &file in self.files {
            points.entry(key(file)).or_default().push(file);
        }
        points
    }

    fn empty_series(&self, counting: &Counting) -> Series {
        let home = counting.order.iter().filter_map(|at| self.columns.get(*at));
        let file = self.files.first().map(|file| &self.names[*file]);
        let last = file.map_or(0, |name| name.components.len().saturating_sub(1));
        let tells_runs = |at: &usize| {
            let column = self.columns.get(*at);
            column.is_some_and(|c| c.slot.class == WordClass::Run || c.is_date)
        };
        Series {
            members: Vec::new(),
            beside: Vec::new(),
            unit: if counting.order.is_empty() {
                StepUnit::Order
            } else {
                counting.unit
            },
            counters: counting.order.clone(),
            pinned: self.pinned.to_vec(),
            depth: home
                .map(|column| column.slot.component)
                .min()
                .unwrap_or(last),
            is_run: self.pinned.iter().any(tells_runs),
        }
    }

    fn beside(&self, point: usize, file: usize) -> Beside {
        let (point, file) = (&self.names[point], &self.names[file]);
        if point.standing != file.standing {
            Beside::Copy
        } else if point.parts != file.parts {
            Beside::Part
        } else {
            Beside::SameStep
        }
    }
}

/// Groups files by their family's key, in the order of the keys.
pub(super) fn families(names: &[ParsedName], files: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
    for &file in files {
        groups.entry(&names[file].key).or_default().push(file);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.sort_unstable();
    groups
}
