//! The numbers in the names of one family's files, and what words and values say about each.

use std::collections::HashSet;

use super::parsed::{NameNumber, ParsedName, SlotDoubt};
use super::token::looks_like_time;
use super::word::WordClass;

/// One number of the family's names, over all its files.
pub(super) struct NumberColumn {
    /// Its place among the slots of a name.
    pub(super) at: usize,
    /// Its slot in the first file.
    pub(super) slot: NameNumber,
    /// Number of distinct values.
    values: usize,
    /// True where all values are dates or times.
    pub(super) is_date: bool,
}

/// The numbers of one family's names.
pub(super) struct FamilyNumbers<'a> {
    pub(super) names: &'a [ParsedName],
    pub(super) files: &'a [usize],
    /// Distinct rows of numbers, of the files without a word for their standing if there are any.
    pub(super) rows: Vec<Vec<u64>>,
    pub(super) columns: Vec<NumberColumn>,
    pub(super) pinned: &'a [usize],
}

impl<'a> FamilyNumbers<'a> {
    pub(super) fn new(names: &'a [ParsedName], files: &'a [usize], pinned: &'a [usize]) -> Self {
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
            NumberColumn {
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

    pub(super) fn value(&self, file: usize, column: usize) -> u64 {
        self.names[file]
            .slots
            .get(column)
            .map_or(0, |slot| slot.value)
    }

    /// Returns true for a number that differs between files and is not held fixed.
    pub(super) fn varies(&self, column: &NumberColumn) -> bool {
        column.values > 1 && !self.pinned.contains(&column.at)
    }

    pub(super) fn is_folder(&self, column: &NumberColumn) -> bool {
        let components = self
            .files
            .first()
            .map_or(0, |file| self.names[*file].components.len());
        column.slot.component + 1 < components
    }

    /// Returns the numbers that may be the step: those that vary; of a single file, those that words or their place
    /// make likely.
    pub(super) fn candidates(&self) -> Vec<&NumberColumn> {
        let varying: Vec<&NumberColumn> = self
            .columns
            .iter()
            .filter(|column| self.varies(column) && !column.is_date)
            .collect();
        let (runs, counters): (Vec<&NumberColumn>, Vec<&NumberColumn>) = varying
            .into_iter()
            .partition(|column| column.slot.class == WordClass::Run || self.is_job(column));
        if !counters.is_empty() {
            return counters;
        }
        // `model_v1.pt`, `model_v2.pt`: a series of versions, where nothing else varies.
        let in_name: Vec<&NumberColumn> = runs.into_iter().filter(|c| !self.is_folder(c)).collect();
        if !in_name.is_empty() {
            return in_name;
        }
        let likely = |column: &&NumberColumn| {
            let slot = &column.slot;
            let alone = self.stands_alone(column);
            let placed = slot.class.is_counter()
                || (slot.class == WordClass::Checkpoint && slot.doubt != Some(SlotDoubt::Glued))
                || (slot.class == WordClass::Other && slot.doubt != Some(SlotDoubt::Glued))
                    && (alone || !self.is_folder(column));
            placed && !column.is_date && !self.pinned.contains(&column.at)
        };
        let likely: Vec<&NumberColumn> = self.columns.iter().filter(likely).collect();
        let (batches, counters): (Vec<&NumberColumn>, Vec<&NumberColumn>) = likely
            .into_iter()
            .partition(|column| column.slot.doubt == Some(SlotDoubt::Batch));
        if counters.is_empty() {
            batches
        } else {
            counters
        }
    }

    /// Returns true where the number is the whole component: `900/model.safetensors`, `900.pt`.
    fn stands_alone(&self, column: &NumberColumn) -> bool {
        let name = self.files.first().map(|file| &self.names[*file]);
        let component = name.and_then(|name| name.components.get(column.slot.component));
        component.is_some_and(|text| {
            let stem = text.split('.').next().unwrap_or_default();
            !stem.is_empty() && stem.bytes().all(|c| c.is_ascii_digit())
        })
    }

    /// Returns true for a plain number of a folder above files whose own counter is the same in all: jobs that each
    /// saved the same epoch, `0/epoch_9.pt` and `1/epoch_9.pt`.
    pub(super) fn is_job(&self, column: &NumberColumn) -> bool {
        let is_plain = column.slot.class == WordClass::Other && self.is_folder(column);
        let counts = |other: &NumberColumn| {
            other.slot.class.is_counter() && !self.is_folder(other) && other.values == 1
        };
        is_plain && self.rows.len() > 1 && self.columns.iter().any(counts)
    }

    /// Returns the certainty that a component's number is the step.
    pub(super) fn strength(&self, column: &NumberColumn) -> u8 {
        match column.slot.class {
            class if class.is_counter() => 4,
            WordClass::Checkpoint if column.slot.certainty > 6 || column.slot.certainty == 4 => 3,
            WordClass::Checkpoint => 1,
            _ if self.stands_alone(column) => 2,
            _ => 0,
        }
    }

    /// Returns the component of the path with the step.
    pub(super) fn home(&self, candidates: &[&NumberColumn]) -> usize {
        // Of one file alone, numbers of folders far above it may be settings: `llama_3epochs/checkpoint-500`.
        let is_one = self.rows.len() == 1;
        let best = candidates.iter().max_by_key(|column| {
            let (strength, component) = (self.strength(column), column.slot.component);
            let near = if is_one && strength > 1 { component } else { 0 };
            (near, strength, component)
        });
        best.map_or(0, |column| column.slot.component)
    }

    pub(super) fn is_unique(&self, columns: &[usize]) -> bool {
        let keys: HashSet<Vec<u64>> = self
            .rows
            .iter()
            .map(|row| columns.iter().map(|at| row[*at]).collect())
            .collect();
        keys.len() == self.rows.len()
    }

    /// Returns true where `inner` rises strictly in the order of `outer`, then `inner`.
    pub(super) fn rises(&self, outer: usize, inner: usize) -> bool {
        let mut pairs: Vec<(u64, u64)> = self
            .rows
            .iter()
            .map(|row| (row[outer], row[inner]))
            .collect();
        pairs.sort_unstable();
        pairs.windows(2).all(|pair| pair[0].1 < pair[1].1)
    }
}
