//! Checkpoints that wait for their own loss, and which of them is next: a sample of the path as long as they come
//! faster than they can be measured.

/// The state of a checkpoint's own loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Planned,
    Known,
}

/// The checkpoints of a path, by step.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingCheckpoints {
    steps: Vec<u64>,
    states: Vec<State>,
}

impl WaitingCheckpoints {
    /// Adds the checkpoints that a path has beyond those that are known here.
    pub(super) fn admit(&mut self, steps: &[u64], known: impl Fn(usize) -> bool) {
        for (i, &step) in steps.iter().enumerate().skip(self.steps.len()) {
            self.steps.push(step);
            self.states.push(if known(i) {
                State::Known
            } else {
                State::Waiting
            });
        }
    }

    /// Takes the newest, if it waits.
    pub(super) fn take_newest(&mut self) -> Option<usize> {
        let newest = self.steps.len().checked_sub(1)?;
        (self.states[newest] == State::Waiting).then(|| self.take(newest))
    }

    /// Takes the next one: the newest, then the first, then those in the middle of the largest gaps between steps.
    pub(super) fn take_next(&mut self) -> Option<usize> {
        if let Some(newest) = self.take_newest() {
            return Some(newest);
        }
        if *self.states.first()? == State::Waiting {
            return Some(self.take(0));
        }
        let is_open = |&i: &usize| self.states[i] == State::Waiting;
        let taken: Vec<usize> = (0..self.steps.len()).filter(|i| !is_open(i)).collect();
        let gaps = taken.windows(2).filter(|pair| pair[1] - pair[0] > 1);
        let gap =
            gaps.max_by_key(|pair| self.steps[pair[1]].saturating_sub(self.steps[pair[0]]))?;
        let middle = u64::midpoint(self.steps[gap[0]], self.steps[gap[1]]);
        let within = gap[0] + 1..gap[1];
        let next = within.min_by_key(|&i| self.steps[i].abs_diff(middle))?;
        Some(self.take(next))
    }

    /// Notes that the loss of a checkpoint is known.
    pub(super) fn know(&mut self, i: usize) {
        if let Some(state) = self.states.get_mut(i) {
            *state = State::Known;
        }
    }

    fn take(&mut self, i: usize) -> usize {
        self.states[i] = State::Planned;
        i
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(steps: &[u64], known: &[usize]) -> Vec<u64> {
        let mut waiting = WaitingCheckpoints::default();
        waiting.admit(steps, |i| known.contains(&i));
        std::iter::from_fn(|| waiting.take_next())
            .map(|i| steps[i])
            .collect()
    }

    #[test]
    fn the_newest_comes_first_then_the_first_then_the_largest_gaps_are_halved() {
        let even: Vec<u64> = (0..9).map(|i| 10 * i).collect();
        assert_eq!(order(&even, &[]), [80, 0, 40, 60, 20, 70, 50, 30, 10]);
        // Steps that lie apart are measured before those that lie close.
        assert_eq!(order(&[0, 1, 2, 3, 50, 100], &[])[2..4], [50, 3]);
        assert_eq!(order(&[5], &[]), [5]);
        assert_eq!(order(&[1, 2, 3], &[0, 2]), [2]);
        assert_eq!(order(&[1, 2, 3], &[0, 1, 2]), [] as [u64; 0]);
    }

    #[test]
    fn those_that_come_later_go_before_those_that_waited() {
        let mut waiting = WaitingCheckpoints::default();
        waiting.admit(&[0, 10, 20, 30], |_| false);
        assert_eq!(
            [waiting.take_next(), waiting.take_next()],
            [Some(3), Some(0)]
        );
        waiting.admit(&[0, 10, 20, 30, 40, 50], |_| false);
        assert_eq!(waiting.take_next(), Some(5));
        assert_eq!(waiting.take_newest(), None);
        waiting.know(4);
        let left: Vec<usize> = std::iter::from_fn(|| waiting.take_next()).collect();
        assert_eq!(left, [1, 2]);
    }
}
