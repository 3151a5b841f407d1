//! Choice of the copies that go when the room is full: the path is thinned evenly in its length.

/// A copy on the path, in the path's order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OnPath {
    /// Length of the path up to it.
    pub(super) at: f64,
    /// Bytes of the copy.
    pub(super) bytes: u64,
}

/// Returns the indices of the copies to remove so that `surplus` bytes become free, in order of removal. Each time the
/// one goes whose neighbours are nearest to each other along the path; the first and the last stay.
pub(super) fn removals(path: &[OnPath], mut surplus: u64) -> Vec<usize> {
    let mut left: Vec<usize> = (0..path.len()).collect();
    let mut removed = Vec::new();
    while surplus > 0 && left.len() > 2 {
        let gap = |at: &usize| path[left[at + 1]].at - path[left[at - 1]].at;
        let Some(at) = (1..left.len() - 1).min_by(|a, b| gap(a).total_cmp(&gap(b))) else {
            break;
        };
        let index = left.remove(at);
        surplus = surplus.saturating_sub(path[index].bytes);
        removed.push(index);
    }
    removed
}

/// Returns the indices of `surplus` points to take off a path, given the length of the path up to each.
#[must_use]
pub fn evenly_thinned(lengths: &[f64], surplus: usize) -> Vec<usize> {
    let point = |&at: &f64| OnPath { at, bytes: 1 };
    removals(
        &lengths.iter().map(point).collect::<Vec<_>>(),
        surplus as u64,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_even_along_the_path_with_both_ends() {
        // Dense in the first half: steps of 1 up to 10, then of 10.
        let at = (0..=10)
            .map(f64::from)
            .chain((2..=10).map(|i| f64::from(10 * i)));
        let path: Vec<OnPath> = at.map(|at| OnPath { at, bytes: 5 }).collect();
        let mut removed = removals(&path, 45);
        removed.sort_unstable();
        assert_eq!(removed.len(), 9);
        assert!(
            removed.iter().all(|&index| (1..10).contains(&index)),
            "{removed:?}"
        );
        assert!(removals(&path, 0).is_empty());
        assert!(removals(&path[..2], 100).is_empty());
        assert_eq!(removals(&path, u64::MAX).len(), path.len() - 2);
    }
}
