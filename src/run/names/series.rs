//! The files of one family of names in the order of training: which of their numbers is the step.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::StepUnit;
use super::counting::Counting;
use super::parsed::{ParsedName, Slot, SlotDoubt};
use super::token::looks_like_time;
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
    /// True where names tell the order.
    pub(super) fn is_numbered(&self) -> bool {
        self.members
            .first()
            .is_some_and(|first| first.step.is_some())
    }

    /// Index of a file that stands for it.
    pub(super) fn first(&self) -> usize {
        self.members.first().map_or(0, |member| member.file)
    }
}

/// One number of the family's names, over all its files.
pub(super) struct Column {
    /// Its place among the slots of a name.
    pub(super) at: usize,
    /// Its slot in the first file.
    pub(super) slot: Slot,
    /// Number of distinct values.
    values: usize,
    /// True where all values are dates or times.
    pub(super) is_date: bool,
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

/// The numbers of one family's names.
pub(super) struct FamilyNumbers<'a> {
    names: &'a [ParsedName],
    files: &'a [usize],
    /// Distinct rows of numbers, of the files without a word for their standing if there are any.
    pub(super) rows: Vec<Vec<u64>>,
    pub(super) columns: Vec<Column>,
    pinned: &'a [usize],
}

impl<'a> FamilyNumbers<'a> {
    fn new(names: &'a [ParsedName], files: &'a [usize], pinned: &'a [usize]) -> Self {
        let row = |file: &usize| -> Vec<u64> {
            names[*file].slots.iter().map(|slot| slot.value).collect()
        };
        let plain: HashSet<Vec<u64>> = files
            .iter()
            .filter(|file| names[**file].standing == 0)
            .map(row)
            .collect();
        let rows = if plain.is_empty() {
            files.iter().map(row).collect()
        } else {
            plain
        };
        let mut rows: Vec<Vec<u64>> = rows.into_iter().collect();
        rows.sort_unstable();
        let slots = files.first().map_or(&[][..], |file| &names[*file].slots);
        let columns = slots.iter().enumerate().map(|(at, slot)| {
            let values: HashSet<u64> = rows.iter().map(|row| row[at]).collect();
            let times = values.iter().all(|value| looks_like_time(*value));
            let mut slot = slot.clone();
            slot.padded = files.iter().any(|file| names[*file].slots[at].padded);
            Column {
                at,
                is_date: slot.is_date || (times && !slot.class.is_counter()),
                slot,
                values: values.len(),
            }
        });
        Self {
            names,
            files,
            columns: columns.collect(),
            rows,
            pinned,
        }
    }

    fn value(&self, file: usize, column: usize) -> u64 {
        self.names[file]
            .slots
            .get(column)
            .map_or(0, |slot| slot.value)
    }

    /// True for a number that differs between files and is not held fixed.
    pub(super) fn varies(&self, column: &Column) -> bool {
        column.values > 1 && !self.pinned.contains(&column.at)
    }

    fn is_folder(&self, column: &Column) -> bool {
        let components = self
            .files
            .first()
            .map_or(0, |file| self.names[*file].components.len());
        column.slot.component + 1 < components
    }

    /// Numbers that may be the step: those that vary; of a single file, those that words or their place
    /// make likely.
    pub(super) fn candidates(&self) -> Vec<&Column> {
        let varying: Vec<&Column> = self
            .columns
            .iter()
            .filter(|column| self.varies(column) && !column.is_date)
            .collect();
        let (runs, counters): (Vec<&Column>, Vec<&Column>) = varying
            .into_iter()
            .partition(|column| column.slot.class == WordClass::Run || self.is_job(column));
        if !counters.is_empty() {
            return counters;
        }
        // `model_v1.pt`, `model_v2.pt`: a series of versions, where nothing else varies.
        let in_name: Vec<&Column> = runs.into_iter().filter(|c| !self.is_folder(c)).collect();
        if !in_name.is_empty() {
            return in_name;
        }
        let likely = |column: &&Column| {
            let slot = &column.slot;
            let alone = self.stands_alone(column);
            let placed = slot.class.is_counter()
                || (slot.class == WordClass::Checkpoint && slot.doubt != Some(SlotDoubt::Glued))
                || (slot.class == WordClass::Other && slot.doubt != Some(SlotDoubt::Glued))
                    && (alone || !self.is_folder(column));
            placed && !column.is_date && !self.pinned.contains(&column.at)
        };
        let likely: Vec<&Column> = self.columns.iter().filter(likely).collect();
        let (batches, counters): (Vec<&Column>, Vec<&Column>) = likely
            .into_iter()
            .partition(|column| column.slot.doubt == Some(SlotDoubt::Batch));
        if counters.is_empty() {
            batches
        } else {
            counters
        }
    }

    /// True where the number is the whole component: `900/model.safetensors`, `900.pt`.
    fn stands_alone(&self, column: &Column) -> bool {
        let name = self.files.first().map(|file| &self.names[*file]);
        let component = name.and_then(|name| name.components.get(column.slot.component));
        component.is_some_and(|text| {
            let stem = text.split('.').next().unwrap_or_default();
            !stem.is_empty() && stem.bytes().all(|c| c.is_ascii_digit())
        })
    }

    /// True for a plain number of a folder above files whose own counter is the same in all: jobs that each
    /// saved the same epoch, `0/epoch_9.pt` and `1/epoch_9.pt`.
    fn is_job(&self, column: &Column) -> bool {
        let is_plain = column.slot.class == WordClass::Other && self.is_folder(column);
        let counts = |other: &Column| {
            other.slot.class.is_counter() && !self.is_folder(other) && other.values == 1
        };
        is_plain && self.rows.len() > 1 && self.columns.iter().any(counts)
    }

    /// Returns the certainty that a component's number is the step.
    pub(super) fn strength(&self, column: &Column) -> u8 {
        match column.slot.class {
            class if class.is_counter() => 4,
            WordClass::Checkpoint if column.slot.certainty > 6 || column.slot.certainty == 4 => 3,
            WordClass::Checkpoint => 1,
            _ if self.stands_alone(column) => 2,
            _ => 0,
        }
    }

    /// The component of the path with the step.
    pub(super) fn home(&self, candidates: &[&Column]) -> usize {
        // Of one file alone, numbers of folders far above it may be settings: `llama_3epochs/checkpoint-500`.
        let is_one = self.rows.len() == 1;
        let best = candidates.iter().max_by_key(|column| {
            let (strength, component) = (self.strength(column), column.slot.component);
            let near = if is_one && strength > 1 { component } else { 0 };
            (near, strength, component)
        });
        best.map_or(0, |column| column.slot.component)
    }

    /// A number that tells runs or networks apart: a fold, a date above the checkpoints, the index of a
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
        let stranger = |column: &&&Column| {
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

    pub(super) fn is_unique(&self, columns: &[usize]) -> bool {
        let keys: HashSet<Vec<u64>> = self
            .rows
            .iter()
            .map(|row| columns.iter().map(|at| row[*at]).collect())
            .collect();
        keys.len() == self.rows.len()
    }

    /// True where `inner` rises strictly in the order of `outer`, then `inner`.
    pub(super) fn rises(&self, outer: usize, inner: usize) -> bool {
        let mut pairs: Vec<(u64, u64)> = self
            .rows
            .iter()
            .map(|row| (row[outer], row[inner]))
            .collect();
        pairs.sort_unstable();
        pairs.windows(2).all(|pair| pair[0].1 < pair[1].1)
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

    /// The files of each point, in order. What no number orders is told apart by its standing, then by its
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
