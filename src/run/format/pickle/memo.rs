//! Values that a pickle comes back to, by number.

use std::collections::HashMap;

use super::value::Value;

/// Values by number, in a row as Python numbers them; other numbers beside it.
#[derive(Debug, Default)]
pub(super) struct Memo {
    row: Vec<Value>,
    others: HashMap<u64, Value>,
}

impl Memo {
    /// Returns the number of values.
    pub(super) fn len(&self) -> u64 {
        (self.row.len() + self.others.len()) as u64
    }

    /// Returns the bytes that a value of this number may take; the row may be twice as long as it is full.
    pub(super) fn cost(&self, index: u64) -> u64 {
        if index <= self.row.len() as u64 {
            2 * size_of::<Value>() as u64
        } else {
            64
        }
    }

    pub(super) fn get(&self, index: u64) -> Option<Value> {
        let place = usize::try_from(index).ok();
        let found = place.and_then(|place| self.row.get(place));
        found.or_else(|| self.others.get(&index)).copied()
    }

    pub(super) fn put(&mut self, index: u64, value: Value) {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(known) = self.row.get_mut(place) {
            *known = value;
        } else if place == self.row.len() {
            self.row.push(value);
            self.others.remove(&index);
        } else {
            self.others.insert(index, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_number_counts_in_whatever_order_they_come() {
        let mut memo = Memo::default();
        for (index, value) in [(0, 10), (2, 12), (1, 11), (2, 22), (u64::MAX, 5), (0, 20)] {
            memo.put(index, Value::Int(value));
        }
        let found = [0, 1, 2, 3, u64::MAX].map(|index| memo.get(index));
        let expected = [Some(20), Some(11), Some(22), None, Some(5)];
        assert_eq!(found, expected.map(|value| value.map(Value::Int)));
        assert_eq!(memo.len(), 4);
    }
}
