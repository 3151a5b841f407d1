//! The numbers of a checkpoint that are no weights.

use std::collections::BTreeMap;

use super::{Buffers, StateDict, TensorInfo};

impl StateDict {
    /// Returns the share of the network's numbers that are no weights, with a sentence that says what they are;
    /// `None` if there are none.
    #[must_use]
    pub fn left_out(&self) -> Option<(f64, String)> {
        let numbers = |tensor: &TensorInfo| tensor.shape.iter().product::<usize>() as f64;
        let (mut all, mut buffers) = (self.expanded as f64, 0.0);
        let known = Buffers::of(&self.tensors);
        let mut unread: BTreeMap<String, f64> = BTreeMap::new();
        for tensor in &self.tensors {
            // A count of batches is no number of the network, and every run with batch norm has them.
            if tensor.name.ends_with("num_batches_tracked") {
                continue;
            }
            all += numbers(tensor);
            if tensor.dtype.is_other() {
                *unread.entry(tensor.dtype.to_string()).or_default() += numbers(tensor);
            } else if known.has(tensor) {
                buffers += numbers(tensor);
            }
        }
        let mut kinds: Vec<(String, f64)> = unread
            .into_iter()
            .map(|(dtype, count)| (format!("tensors of type {dtype}"), count))
            .collect();
        kinds.push(("buffers".into(), buffers));
        kinds.push(("expanded views".into(), self.expanded as f64));
        kinds.retain(|(_, count)| *count > 0.0);
        let left: f64 = kinds.iter().map(|(_, count)| count).sum();
        if left == 0.0 {
            return None;
        }
        let percent = |count: f64| format!("{:.2} %", 100.0 * count / all);
        let told = kinds
            .iter()
            .map(|(kind, count)| format!("{kind} {}", percent(*count)));
        let told = told.collect::<Vec<_>>().join(", ");
        let share = left / all;
        Some((
            share,
            format!("{} of the numbers are left out: {told}", percent(left)),
        ))
    }
}
