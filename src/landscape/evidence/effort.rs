//! The work that an answer may cost: updates and samples that are looked at.

/// Updates that are looked at, spread over the path; of a big model fewer, where these say something.
const INTERVALS: usize = 16;
pub(super) const FEW_INTERVALS: usize = 4;
/// Samples likewise.
const SAMPLES: usize = 256;
const FEW_SAMPLES: [usize; 2] = [32, 64];
/// Multiplications that an answer may cost: a few seconds on two cores. A GPU does several times more.
const BUDGET: usize = 8_000_000_000;
const GPU: usize = 60;
/// Budgets that another question may cost, once the first ones are answered.
const LATER: usize = 12;
/// A forward and a backward pass cost as much as three forward passes.
const PASSES: usize = 3;

/// The numbers of updates and samples that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effort {
    pub(super) intervals: usize,
    pub(super) samples: usize,
}

impl Effort {
    /// Returns as many as the budget allows, for `products` multiplications a sample and `readings` readings.
    pub(super) fn of(products: usize, readings: usize, cpu: bool) -> Self {
        let budget = budget(cpu);
        let each = products
            .max(1)
            .saturating_mul(PASSES)
            .saturating_mul(readings.max(1));
        // Readings that are far behind are soon asked no more: of several half goes on.
        let rest = if readings > 2 {
            INTERVALS / 2
        } else {
            INTERVALS
        };
        let samples = budget / each.saturating_mul(rest);
        if readings > 1 && samples >= FEW_SAMPLES[1] {
            return Self {
                intervals: INTERVALS,
                samples: samples.min(SAMPLES),
            };
        }
        let samples = budget / each.saturating_mul(FEW_INTERVALS);
        Self {
            intervals: FEW_INTERVALS,
            samples: samples.clamp(FEW_SAMPLES[0], FEW_SAMPLES[usize::from(readings > 1)]),
        }
    }

    /// Returns true if `more` further readings can be asked on these samples within reason.
    pub(super) fn allows(self, products: usize, more: usize, cpu: bool) -> bool {
        self.allows_losses(products, more.saturating_mul(PASSES * FEW_INTERVALS), cpu)
    }

    /// Returns the number of samples on which `losses` losses can be measured within reason.
    pub(super) fn samples_of(products: usize, losses: usize, cpu: bool) -> usize {
        let cost = products.max(1).saturating_mul(losses.max(1));
        SAMPLES.min(budget(cpu).saturating_mul(LATER) / cost)
    }

    /// Returns true if `losses` losses can be measured on these samples within reason.
    pub(super) fn allows_losses(self, products: usize, losses: usize, cpu: bool) -> bool {
        let cost = products.saturating_mul(self.samples).saturating_mul(losses);
        cost <= budget(cpu).saturating_mul(LATER)
    }
}

fn budget(cpu: bool) -> usize {
    if cpu {
        BUDGET
    } else {
        BUDGET.saturating_mul(GPU)
    }
}

/// Picks the intervals that are asked, spread over the path.
pub(super) fn spread(count: usize) -> Vec<usize> {
    let wanted = INTERVALS.min(count);
    let place = |i: usize| (2 * i + 1) * count / (2 * wanted);
    (0..wanted).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_model_is_asked_on_few_updates_and_samples() {
        // An MLP 784-64-10 under 32 readings, ResNet-20 under two, ResNet-50 under four.
        assert_eq!(Effort::of(51_000, 32, true).intervals, INTERVALS);
        assert_eq!(Effort::of(1000, 1, true).intervals, FEW_INTERVALS);
        assert_eq!(Effort::of(40_000_000, 2, true).samples, FEW_SAMPLES[0]);
        let big = Effort::of(4_000_000_000, 4, true);
        assert_eq!((big.intervals, big.samples), (FEW_INTERVALS, 32));
        assert_eq!(Effort::of(40_000_000, 2, false).intervals, INTERVALS);
        assert_eq!(spread(32)[..3], [1, 3, 5]);
        assert_eq!(spread(3), [0, 1, 2]);
        assert!(spread(0).is_empty());
    }

    #[test]
    fn another_five_readings_are_asked_of_a_resnet_20_and_not_of_a_resnet_50() {
        let few = Effort {
            intervals: FEW_INTERVALS,
            samples: 32,
        };
        assert!(few.allows(41_000_000, 5, true));
        assert!(!few.allows(4_000_000_000, 5, true));
    }
}
