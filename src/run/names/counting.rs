//! The choice of the numbers that order a family, and of the one among them that is the step.

use std::collections::HashSet;

use super::StepUnit;
use super::family_numbers::{FamilyNumbers, NumberColumn};
use super::parsed::SlotDoubt;
use super::word::WordClass;

/// Columns that order the files, and the one of them that is the step.
#[derive(Default)]
pub(super) struct Counting {
    /// Places of the numbers that order, the outermost first.
    pub(super) order: Vec<usize>,
    /// The place of the step; `None` if places in the order are the steps.
    pub(super) step: Option<usize>,
    /// The place of the epoch.
    pub(super) epoch: Option<usize>,
    /// Unit of the step.
    pub(super) unit: StepUnit,
}

impl FamilyNumbers<'_> {
    /// Chooses among the numbers that may be the step.
    pub(super) fn count(&self) -> Counting {
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
        let others: Vec<&NumberColumn> = candidates
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

    /// Returns the step where it rises over all epochs; where it starts again with each, epoch and step.
    fn by_step(
        &self,
        epoch: Option<usize>,
        step: usize,
        unit: StepUnit,
        others: &[&NumberColumn],
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

    /// Returns the epoch, unless another number tells apart what was written within one.
    fn by_epoch(&self, epoch: usize, others: &[&NumberColumn]) -> Counting {
        // `checkpoint-5000-epoch-10` tells updates too, whether an epoch has one file or several.
        let counts =
            |other: &&&NumberColumn| self.strength(other) == 3 && self.rises(epoch, other.at);
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

    /// Returns the step among numbers that no word explains.
    fn by_numbers(&self, others: &[&NumberColumn]) -> Counting {
        let unit = StepUnit::Unspecified;
        if self.rows.len() < 2 {
            let last = others.iter().max_by_key(|other| {
                (
                    other.slot.doubt != Some(SlotDoubt::Glued),
                    other.slot.component,
                    other.at,
                )
            });
            // `9000-checkpoint-94` begins with the step and ends with a score.
            let first = others.iter().find(|other| {
                other.slot.token == 0 && last.is_some_and(|last| other.slot.value > last.slot.value)
            });
            let best = first.or(last);
            return best.map_or_else(Counting::default, |best| Self::single(best.at, unit));
        }
        let unique: Vec<&&NumberColumn> =
            others.iter().filter(|o| self.is_unique(&[o.at])).collect();
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

    /// Returns true for a number that looks like an outer counter: a few values that follow each other from the
    /// first on, each with several files.
    fn counts_epochs(&self, column: &NumberColumn) -> bool {
        let values: HashSet<u64> = self.rows.iter().map(|row| row[column.at]).collect();
        let (low, high) = (values.iter().min(), values.iter().max());
        let (Some(&low), Some(&high)) = (low, high) else {
            return false;
        };
        low <= 1 && high - low < values.len() as u64 && values.len() * 2 <= self.rows.len()
    }

    /// Scores how much a number looks like a counter and not like a score: multiples of a number, even
    /// distances, leading zeros, a long way from the first to the last.
    fn regularity(&self, column: &NumberColumn) -> (u8, u64) {
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

    /// Returns true where all other unique numbers rise with this one, so that either orders.
    fn rises_with_names(&self, column: &NumberColumn) -> bool {
        self.columns
            .iter()
            .filter(|other| {
                other.at != column.at && self.varies(other) && self.is_unique(&[other.at])
            })
            .all(|other| self.rises(other.at, column.at))
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
