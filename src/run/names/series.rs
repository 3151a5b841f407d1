//! The files of one family of names in the order of training: which of their numbers is the step.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::StepUnit;
use super::parsed::{ParsedName, Slot};
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
pub(super) struct Member {
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
    pub(super) members: Vec<Member>,
    /// Files that share a point's step, with the place of that point among the members' files.
    pub(super) beside: Vec<(usize, Beside, usize)>,
    /// What its steps count.
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
struct Column {
    at: usize,
    slot: Slot,
    values: usize,
    is_date: bool,
}

/// Which columns order the files, and which of them is the step.
#[derive(Default)]
struct Counting {
    order: Vec<usize>,
    step: Option<usize>,
    epoch: Option<usize>,
    unit: StepUnit,
}

/// Orders the files of one family; where its numbers tell several runs or networks apart, each by itself.
pub(super) fn resolve(names: &[ParsedName], files: &[usize]) -> Vec<Series> {
    let mut resolved = Vec::new();
    let mut open = vec![(files.to_vec(), Vec::new())];
    while let Some((files, pinned)) = open.pop() {
        let family = Family::new(names, &files, &pinned);
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

struct Family<'a> {
    names: &'a [ParsedName],
    files: &'a [usize],
    /// Distinct rows of numbers, of the files without a word for their standing if there are any.
    rows: Vec<Vec<u64>>,
    columns: Vec<Column>,
    pinned: &'a [usize],
}

impl<'a> Family<'a> {
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
    fn varies(&self, column: &Column) -> bool {
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
    fn candidates(&self) -> Vec<&Column> {
        let varying: Vec<&Column> = self
            .columns
            .iter()
            .filter(|column| self.varies(column) && !column.is_date)
            .collect();
        let (runs, counters): (Vec<&Column>, Vec<&Column>) = varying
            .into_iter()
            .partition(|column| column.slot.class == WordClass::Run);
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
                || (slot.class == WordClass::Checkpoint && !slot.glued)
                || (slot.class == WordClass::Other && !slot.glued)
                    && (alone || !self.is_folder(column));
            placed && !column.is_date && !self.pinned.contains(&column.at)
        };
        let likely: Vec<&Column> = self.columns.iter().filter(likely).collect();
        let (batches, counters): (Vec<&Column>, Vec<&Column>) =
            likely.into_iter().partition(|column| column.slot.is_batch);
        if counters.is_empty() {
            batches
        } else {
            counters
        }
    }

    /// True where the number is the whole component: `900/model.safetensors`.
    fn stands_alone(&self, column: &Column) -> bool {
        let name = self.files.first().map(|file| &self.names[*file]);
        let component = name.and_then(|name| name.components.get(column.slot.component));
        component.is_some_and(|text| text.bytes().all(|c| c.is_ascii_digit()))
    }

    /// How surely a component's number is the step.
    fn strength(&self, column: &Column) -> u8 {
        match column.slot.class {
            class if class.is_counter() => 4,
            WordClass::Checkpoint if column.slot.certainty > 6 || column.slot.certainty == 4 => 3,
            WordClass::Checkpoint => 1,
            _ if self.stands_alone(column) => 2,
            _ => 0,
        }
    }

    /// The component of the path with the step.
    fn home(&self, candidates: &[&Column]) -> usize {
        let best = candidates
            .iter()
            .max_by_key(|column| (self.strength(column), column.slot.component));
        best.map_or(0, |column| column.slot.component)
    }

    /// A number that tells runs or networks apart: a fold, a date above the checkpoints, the index of a
    /// network in a folder that has the step.
    fn splitter(&self) -> Option<usize> {
        let candidates = self.candidates();
        let varying = || self.columns.iter().filter(|column| self.varies(column));
        let is_candidate = |at: usize| candidates.iter().any(|column| column.at == at);
        let run = varying().find(|column| {
            column.slot.class == WordClass::Run && !column.is_date && !is_candidate(column.at)
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

    fn is_unique(&self, columns: &[usize]) -> bool {
        let keys: HashSet<Vec<u64>> = self
            .rows
            .iter()
            .map(|row| columns.iter().map(|at| row[*at]).collect())
            .collect();
        keys.len() == self.rows.len()
    }

    /// True where `inner` rises strictly in the order of `outer`, then `inner`.
    fn rises(&self, outer: usize, inner: usize) -> bool {
        let mut pairs: Vec<(u64, u64)> = self
            .rows
            .iter()
            .map(|row| (row[outer], row[inner]))
            .collect();
        pairs.sort_unstable();
        pairs.windows(2).all(|pair| pair[0].1 < pair[1].1)
    }

    fn count(&self) -> Counting {
        let candidates = self.candidates();
        let dates: Vec<usize> = self
            .columns
            .iter()
            .filter(|column| column.is_date && self.varies(column))
            .map(|column| column.at)
            .collect();
        if candidates.is_empty() {
            return Counting {
                order: dates,
                unit: StepUnit::Order,
                ..Counting::default()
            };
        }
        let home = self.home(&candidates);
        let of = |class: WordClass| {
            let found = candidates
                .iter()
                .filter(|column| column.slot.class == class);
            found
                .max_by_key(|column| (column.slot.certainty, column.slot.component))
                .map(|c| c.at)
        };
        let others: Vec<&Column> = candidates
            .iter()
            .copied()
            .filter(|column| !column.slot.class.is_counter() && column.slot.component == home)
            .collect();
        let epoch = of(WordClass::Epoch);
        let step = [
            (WordClass::Step, StepUnit::Step),
            (WordClass::Kimg, StepUnit::Kimg),
            (WordClass::Samples, StepUnit::Samples),
        ]
        .into_iter()
        .find_map(|(class, unit)| Some((of(class)?, unit)))
        .filter(|(_, unit)| *unit != StepUnit::Samples || epoch.is_none());
        let mut counting = match (epoch, step) {
            (epoch, Some((step, unit))) => self.by_step(epoch, step, unit, &others),
            (Some(epoch), None) => self.by_epoch(epoch, &others),
            (None, None) => self.by_numbers(&others),
        };
        counting.epoch = epoch;
        if !dates.is_empty() && !self.is_unique(&counting.order) {
            let order = dates.into_iter().chain(counting.order).collect();
            return Counting {
                order,
                unit: StepUnit::Order,
                ..Counting::default()
            };
        }
        counting
    }

    fn lexicographic(outer: usize, inner: usize) -> Counting {
        Counting {
            order: vec![outer, inner],
            unit: StepUnit::Order,
            ..Counting::default()
        }
    }

    fn single(column: usize, unit: StepUnit) -> Counting {
        Counting {
            order: vec![column],
            step: Some(column),
            epoch: None,
            unit,
        }
    }

    /// The step where it rises over all epochs; where it starts again with each, epoch and step.
    fn by_step(
        &self,
        epoch: Option<usize>,
        step: usize,
        unit: StepUnit,
        others: &[&Column],
    ) -> Counting {
        if let Some(epoch) = epoch {
            let repeats = !self.is_unique(&[step]);
            if !self.rises(epoch, step) && (!repeats || self.is_unique(&[epoch, step])) {
                return Self::lexicographic(epoch, step);
            }
            return Self::single(step, unit);
        }
        let outer = others
            .iter()
            .find(|other| !self.is_unique(&[step]) && self.is_unique(&[other.at, step]));
        match outer {
            Some(outer) => Self::lexicographic(outer.at, step),
            None => Self::single(step, unit),
        }
    }

    /// The epoch, unless another number tells apart what was written within one.
    fn by_epoch(&self, epoch: usize, others: &[&Column]) -> Counting {
        // `checkpoint-5000-epoch-10` tells updates too, whether an epoch has one file or several.
        let counts = |other: &&&Column| self.strength(other) == 3 && self.rises(epoch, other.at);
        if let Some(inner) = others.iter().find(counts).filter(|_| self.rows.len() > 1) {
            return Self::single(inner.at, StepUnit::Step);
        }
        if self.is_unique(&[epoch]) {
            return Self::single(epoch, StepUnit::Epoch);
        }
        if let Some(inner) = others.iter().find(|other| self.rises(epoch, other.at)) {
            return Self::single(inner.at, StepUnit::Step);
        }
        match others
            .iter()
            .find(|other| self.is_unique(&[epoch, other.at]))
        {
            Some(inner) => Self::lexicographic(epoch, inner.at),
            None => Self::single(epoch, StepUnit::Epoch),
        }
    }

    /// The step among numbers that no word explains.
    fn by_numbers(&self, others: &[&Column]) -> Counting {
        let unit = StepUnit::Unspecified;
        if self.rows.len() < 2 {
            let last = others
                .iter()
                .max_by_key(|other| (!other.slot.glued, other.slot.component, other.at));
            // `9000-checkpoint-94` begins with the step and ends with a score.
            let first = others.iter().find(|other| {
                other.slot.token == 0 && last.is_some_and(|last| other.slot.value > last.slot.value)
            });
            let best = first.or(last);
            return best.map_or_else(Counting::default, |best| Self::single(best.at, unit));
        }
        let unique: Vec<&&Column> = others.iter().filter(|o| self.is_unique(&[o.at])).collect();
        match unique.as_slice() {
            [] => match others {
                [] => Counting::default(),
                [only] => Self::single(only.at, unit),
                [outer, inner, ..] => {
                    let mut counting = Self::lexicographic(outer.at, inner.at);
                    counting
                        .order
                        .extend(others.iter().skip(2).map(|other| other.at));
                    counting
                }
            },
            [only] => {
                let outer = others.iter().find(|other| {
                    other.at < only.at
                        && !self.rises(other.at, only.at)
                        && self.counts_epochs(other)
                });
                match outer {
                    Some(outer) => Self::lexicographic(outer.at, only.at),
                    None => Self::single(only.at, unit),
                }
            }
            several => {
                let best = several
                    .iter()
                    .max_by_key(|column| (self.regularity(column), std::cmp::Reverse(column.at)));
                best.map_or_else(Counting::default, |best| Self::single(best.at, unit))
            }
        }
    }

    /// True for a number that looks like an outer counter: a few values that follow each other from the
    /// first on, each with several files.
    fn counts_epochs(&self, column: &Column) -> bool {
        let values: HashSet<u64> = self.rows.iter().map(|row| row[column.at]).collect();
        let (low, high) = (values.iter().min(), values.iter().max());
        let (Some(&low), Some(&high)) = (low, high) else {
            return false;
        };
        low <= 1 && high - low < values.len() as u64 && values.len() * 2 <= self.rows.len()
    }

    /// How much a number looks like a counter and not like a score: multiples of a number, even
    /// distances, leading zeros, a long way from the first to the last.
    fn regularity(&self, column: &Column) -> (u8, u64) {
        let mut values: Vec<u64> = self.rows.iter().map(|row| row[column.at]).collect();
        values.sort_unstable();
        let (low, high) = (values.first().copied(), values.last().copied());
        let (low, high) = (low.unwrap_or(0), high.unwrap_or(0));
        let distances = values.windows(2).map(|pair| pair[1] - pair[0]);
        let divisor = distances.clone().fold(0, gcd);
        let even = values.len() > 2 && distances.clone().all(|distance| distance == divisor);
        let rising = self.rises_with_names(column);
        let score = 3 * u8::from(even)
            + 2 * u8::from(divisor >= 5)
            + 2 * u8::from(column.slot.padded)
            + u8::from(high / 3 >= low)
            + u8::from(rising)
            + u8::from(column.slot.class == WordClass::Checkpoint);
        (score, high)
    }

    /// True where all other unique numbers rise with this one, so that either orders.
    fn rises_with_names(&self, column: &Column) -> bool {
        self.columns
            .iter()
            .filter(|other| {
                other.at != column.at && self.varies(other) && self.is_unique(&[other.at])
            })
            .all(|other| self.rises(other.at, column.at))
    }

    fn series(&self) -> Series {
        let counting = self.count();
        // What no number orders is one point a family, or told apart by its standing.
        let numbered = !counting.order.is_empty();
        let key = |file: usize| -> Vec<u64> {
            let order = counting.order.iter().map(|at| self.value(file, *at));
            let standing = self.names[file].standing;
            let path = file as u64;
            if numbered {
                order.collect()
            } else if self.names[file].parts.is_empty() {
                vec![u64::from(standing), path]
            } else {
                vec![u64::from(standing)]
            }
        };
        let mut points: BTreeMap<Vec<u64>, Vec<usize>> = BTreeMap::new();
        for &file in self.files {
            points.entry(key(file)).or_default().push(file);
        }
        let mut series = Series {
            members: Vec::with_capacity(points.len()),
            beside: Vec::new(),
            unit: if numbered {
                counting.unit
            } else {
                StepUnit::Order
            },
            counters: counting.order.clone(),
            pinned: self.pinned.to_vec(),
            depth: 0,
            is_run: self.pinned.iter().any(|at| {
                let column = self.columns.get(*at);
                column.is_some_and(|c| c.slot.class == WordClass::Run || c.is_date)
            }),
        };
        let home = counting.order.iter().filter_map(|at| self.columns.get(*at));
        let file = self
            .files
            .first()
            .map_or(0, |file| self.names[*file].components.len().max(1) - 1);
        series.depth = home
            .map(|column| column.slot.component)
            .min()
            .unwrap_or(file);
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
            series.members.push(Member {
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

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
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
