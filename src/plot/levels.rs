//! Losses that get a contour line: logarithmic above the lowest, linear, or by quantiles.

use super::axis;

/// Spacing of levels over the losses in sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LevelScale {
    /// Each level is a constant factor further above the lowest loss than the one before.
    #[default]
    Log,
    /// Equal steps of loss.
    Linear,
    /// Equal areas of the picture between two levels.
    Quantile,
}

impl LevelScale {
    /// Returns the next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Log => Self::Linear,
            Self::Linear => Self::Quantile,
            Self::Quantile => Self::Log,
        }
    }

    /// Returns its name on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Linear => "linear",
            Self::Quantile => "quantile",
        }
    }
}

/// The top level is this quantile of the losses in sight; what is higher is marked as clipped.
/// Loss surfaces are heavy-tailed, and their corners would otherwise use up all the levels.
const TOP: f64 = 0.95;
/// The lowest level is this quantile, but no nearer to the lowest loss than this share of the top's
/// distance, so that the floor of a valley is not all lines.
const BOTTOM: f64 = 0.01;
const FLOOR: f64 = 5e-3;
/// A level may be moved by this share of its distance to its neighbour to become a round number.
const SLACK: f64 = 0.15;

/// Losses that differ by less than this share are equal but for rounding errors of interpolation.
const EQUAL: f64 = 1e-12;

/// Losses at which contour lines are drawn, ascending, finite, all above the lowest loss in sight.
///
/// ```
/// use isoloss::plot::levels::{LevelScale, Levels};
///
/// let bowl = (0..100).map(|i| 0.1 + f64::from(i).powi(2));
/// let levels = Levels::of(LevelScale::Log, bowl, 8);
/// assert!(levels.values().is_sorted() && levels.lowest() == Some(0.1));
/// assert_eq!(levels.bands(), levels.values().len() + 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    values: Vec<f64>,
    lowest: Option<f64>,
    highest: Option<f64>,
    /// Error of the lowest loss; 0 if it is exact.
    lowest_error: f64,
}

impl Levels {
    /// Returns at most about `count` levels for these losses, rounded to few digits. Losses that are not
    /// finite do not count; where all are equal there is no level.
    #[must_use]
    pub fn of(scale: LevelScale, losses: impl IntoIterator<Item = f64>, count: usize) -> Self {
        let mut losses: Vec<f64> = losses.into_iter().filter(|l| l.is_finite()).collect();
        if losses.is_empty() {
            return Self::default();
        }
        let [lowest, highest] = [0.0, 1.0].map(|share| quantile(&mut losses, share));
        let equal = highest - lowest <= EQUAL * highest.abs().max(lowest.abs());
        if equal || !(highest - lowest).is_normal() || count == 0 {
            return Self {
                lowest: Some(lowest),
                highest: Some(highest),
                ..Self::default()
            };
        }
        let mut values = match scale {
            LevelScale::Log => logarithmic(&mut losses, [lowest, highest], count),
            LevelScale::Linear => linear(lowest, quantile(&mut losses, TOP), count),
            LevelScale::Quantile => quantiles(&mut losses, count),
        };
        // A level that is the lowest loss but for rounding errors has nothing below it.
        let above = lowest + (highest - lowest) * 1e-9;
        values.retain(|value| value.is_finite() && *value > above && *value <= highest);
        Self {
            values,
            lowest: Some(lowest),
            highest: Some(highest),
            lowest_error: 0.0,
        }
        .told_apart()
    }

    /// Returns the same without levels that read like the one below, or like the lowest loss.
    fn told_apart(mut self) -> Self {
        self.values.dedup_by_key(|value| exact(*value));
        while let Some(first) = self.values.first().map(|value| exact(*value))
            && self.lowest_label().as_ref() == Some(&first)
        {
            self.values.remove(0);
        }
        self
    }

    /// Returns the same levels, rounded to the last digit that is known: that in which the error of a loss begins.
    /// Levels that are equal then are one.
    #[must_use]
    pub fn known_to(mut self, error: impl Fn(f64) -> f64) -> Self {
        let known = |value: f64| to_digit_of(value, error(value));
        let lowest = self.lowest.unwrap_or(f64::NEG_INFINITY);
        self.lowest_error = self.lowest.map_or(0.0, &error);
        let highest = self.highest.unwrap_or(f64::INFINITY);
        self.values = self.values.into_iter().map(known).collect();
        // Rounding may have put a level beyond the losses in sight.
        self.values
            .retain(|value| *value > lowest && *value <= highest);
        self.told_apart()
    }

    /// Returns the levels.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns the lowest loss in sight, if there is one.
    #[must_use]
    pub fn lowest(&self) -> Option<f64> {
        self.lowest
    }

    /// Returns the number of levels that are not above this loss: 0 is the lowest band, `values().len()` the
    /// highest.
    #[must_use]
    pub fn band(&self, loss: f64) -> usize {
        self.values.partition_point(|level| *level <= loss)
    }

    /// Returns the number of bands: one more than levels.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.values.len() + 1
    }

    /// Returns the level `index` as it is printed: all its digits, unless they are too many.
    #[must_use]
    pub fn label(&self, index: usize) -> String {
        self.values
            .get(index)
            .map_or(String::new(), |value| exact(*value))
    }

    /// Returns the lowest loss in sight as it is printed: with digits enough to tell it from the lowest
    /// level. `None` if no loss is in sight.
    #[must_use]
    pub fn lowest_label(&self) -> Option<String> {
        let lowest = self.lowest?;
        let error = self.lowest_error;
        Some(match self.values.first() {
            Some(level) => {
                let near = rounded(lowest, SLACK * (level - lowest));
                exact(to_digit_of(near, error))
            }
            None => axis::short(to_digit_of(lowest, error)),
        })
    }
}

/// Columns that a label may take.
pub const LABEL_WIDTH: usize = 7;

/// Returns the shortest decimal that is this number but for rounding errors.
fn exact(value: f64) -> String {
    let short = axis::short(value);
    let digits = (0..LABEL_WIDTH).map(|decimals| format!("{value:.decimals$}"));
    std::iter::once(short.clone())
        .chain(digits)
        .filter(|label| label.chars().count() <= LABEL_WIDTH)
        .find(|label| {
            label
                .parse()
                .is_ok_and(|parsed: f64| (parsed - value).abs() <= 1e-9 * value.abs())
        })
        .unwrap_or(short)
}

/// Returns the distances from the lowest loss in a geometric sequence.
fn logarithmic(losses: &mut [f64], [lowest, highest]: [f64; 2], count: usize) -> Vec<f64> {
    let [bottom, top] = [BOTTOM, TOP].map(|share| quantile(losses, share) - lowest);
    let top = if top > 0.0 { top } else { highest - lowest };
    let bottom = bottom.clamp(top * FLOOR, top);
    let intervals = count.saturating_sub(1).max(1) as f64;
    let ratio = (top / bottom).powf(1.0 / intervals);
    let slack = SLACK * (1.0 - 1.0 / ratio);
    (0..count)
        .map(|k| top * ratio.powf(k as f64 - intervals))
        .map(|distance| rounded(lowest + distance, distance * slack))
        .collect()
}

fn linear(lowest: f64, top: f64, count: usize) -> Vec<f64> {
    let ticks = axis::ticks(lowest, top, count);
    ticks.into_iter().map(|tick| tick.at).collect()
}

fn quantiles(losses: &mut [f64], count: usize) -> Vec<f64> {
    let shares = (0..count + 2).map(|k| k as f64 / (count + 1) as f64);
    let at: Vec<f64> = shares.map(|share| quantile(losses, share)).collect();
    at.windows(3)
        .map(|at| rounded(at[1], SLACK * (at[1] - at[0]).min(at[2] - at[1])))
        .collect()
}

/// Brings the maps whose top level is above that of the middle one down to it (of a pair, to that of both together), so
/// that they can have levels in common: those of a map that is a thousand times higher leave the others no line.
pub(super) fn level_with_each_other(maps: &mut [Vec<f64>]) {
    let top = |losses: &[f64]| {
        let finite = losses.iter().copied().filter(|loss| loss.is_finite());
        let mut finite: Vec<f64> = finite.collect();
        (!finite.is_empty()).then(|| quantile(&mut finite, TOP))
    };
    let mut tops: Vec<f64> = maps.iter().filter_map(|losses| top(losses)).collect();
    tops.sort_by(f64::total_cmp);
    let Some(above) = tops.get(tops.len() / 2).copied() else {
        return;
    };
    let below = tops[(tops.len() - 1) / 2];
    let middle = if below == above {
        above
    } else if below > 0.0 {
        below.sqrt() * above.sqrt()
    } else {
        f64::midpoint(below, above)
    };
    for losses in maps {
        if top(losses).is_some_and(|top| top > middle) {
            for loss in losses.iter_mut().filter(|loss| loss.is_finite()) {
                *loss = loss.min(middle);
            }
            // One loss stays a little higher, so that the top level may be rounded up.
            losses.push(middle + middle.abs());
        }
    }
}

/// Returns the value below which this share of the values lies; the nearest one below. Puts them in another order.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    let rank = ((values.len() - 1) as f64 * share) as usize;
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// Returns the number rounded to the digit in which its error begins; as it is if it has none.
fn to_digit_of(value: f64, error: f64) -> f64 {
    if !(error.is_normal() && error > 0.0 && value.is_finite()) {
        return value;
    }
    // An error of 0.0096 is one of 0.01.
    let place = (1.04 * error).log10().floor() as i32;
    let digits = format!("{:.0}e{place}", value * 10f64.powi(-place));
    digits.parse().unwrap_or(value)
}

/// Returns the number with the fewest digits that is at most `slack` away.
fn rounded(value: f64, slack: f64) -> f64 {
    if !(value.is_normal() && slack > 0.0) {
        return value;
    }
    let leading = value.abs().log10().floor() as i32;
    (0..16)
        .map(|digits| digits - leading)
        .filter_map(|decimals| {
            format!("{:.0}e{}", value * 10f64.powi(decimals), -decimals)
                .parse()
                .ok()
        })
        .find(|candidate: &f64| (candidate - value).abs() <= slack)
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the losses of a bowl r² over a square, lowest 0.3.
    fn bowl() -> Vec<f64> {
        let at = |i: i32| f64::from(i) / 10.0;
        let square = (-20..=20).flat_map(|i| (-20..=20).map(move |j| (at(i), at(j))));
        square.map(|(x, y)| 0.3 + x * x + y * y).collect()
    }

    fn labels(scale: LevelScale, losses: Vec<f64>, count: usize) -> Vec<String> {
        let levels = Levels::of(scale, losses, count);
        (0..levels.values().len())
            .map(|i| levels.label(i))
            .collect()
    }

    #[test]
    fn logarithmic_levels_of_a_bowl_are_short_and_denser_near_the_lowest_loss() {
        let labels = labels(LevelScale::Log, bowl(), 8);
        assert_eq!(
            labels,
            ["0.35", "0.4", "0.5", "0.7", "1.1", "1.8", "3.3", "6"]
        );
    }

    #[test]
    fn linear_levels_are_ticks() {
        let losses = (0..=100).map(f64::from).collect();
        assert_eq!(
            labels(LevelScale::Linear, losses, 6),
            ["20", "40", "60", "80"]
        );
    }

    #[test]
    fn between_quantile_levels_lie_equal_areas() {
        let losses: Vec<f64> = (0..1000).map(|i| (f64::from(i) / 100.0).exp()).collect();
        let levels = Levels::of(LevelScale::Quantile, losses.iter().copied(), 4);
        let mut areas = vec![0; levels.bands()];
        for loss in losses {
            areas[levels.band(loss)] += 1;
        }
        assert!(
            areas.iter().all(|area| (140..260).contains(area)),
            "{areas:?}"
        );
    }

    #[test]
    fn a_flat_surface_and_one_that_is_all_holes_have_one_band() {
        let rounded = vec![2.0, 2.0 + 4.0 * f64::EPSILON];
        let not_finite = vec![f64::NAN, f64::INFINITY];
        for losses in [vec![], vec![2.0; 9], rounded, not_finite] {
            let levels = Levels::of(LevelScale::Log, losses, 8);
            assert_eq!((levels.values().len(), levels.bands()), (0, 1));
            assert_eq!(levels.band(2.0), 0);
        }
    }

    #[test]
    fn levels_that_are_close_have_labels_that_tell_them_apart() {
        let losses = (0..=100).map(|i| 0.245 + f64::from(i) * 1e-5);
        let levels = Levels::of(LevelScale::Linear, losses, 6);
        let labels: Vec<String> = (0..4).map(|i| levels.label(i)).collect();
        assert_eq!(labels, ["0.2452", "0.2454", "0.2456", "0.2458"]);
        assert_eq!(levels.lowest_label().as_deref(), Some("0.245"));
    }

    #[test]
    fn no_two_levels_read_alike() {
        let alike = Levels {
            values: vec![0.440_012_3, 0.440_034_5, 0.45, 0.450_000_1, 0.5],
            lowest: Some(0.2),
            highest: Some(1.0),
            lowest_error: 0.0,
        };
        assert_eq!(alike.told_apart().values, [0.440_012_3, 0.45, 0.5]);
        // The lowest loss is known to a hundredth alone, as which the first level reads.
        let low = Levels {
            values: vec![0.44, 0.5],
            lowest: Some(0.4391),
            highest: Some(1.0),
            lowest_error: 0.01,
        };
        assert_eq!(low.told_apart().values, [0.5]);
    }

    #[test]
    fn no_label_has_more_digits_than_are_known() {
        let losses = || (0..=1000).map(|i| 0.245 + f64::from(i) * 1e-5);
        let labels = |error: f64| {
            let levels = Levels::of(LevelScale::Linear, losses(), 6).known_to(|_| error);
            let lines = (0..levels.values().len()).map(|i| levels.label(i));
            let lowest = levels.lowest_label();
            lines.chain(lowest).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(0.0), "0.246 0.248 0.25 0.252 0.254 0.245");
        assert_eq!(labels(4e-4), labels(0.0));
        // An error of one to nine hundredths leaves two decimals, and with them one level.
        assert_eq!(labels(0.02), "0.25 0.24");
        assert_eq!(labels(0.3), "0.2");
        let error = |value: f64| to_digit_of(value, 0.0105);
        assert_eq!([0.276, 0.2499, 3.456].map(error), [0.28, 0.25, 3.46]);
        assert_eq!(to_digit_of(1234.0, 20.0), 1230.0);
        assert_eq!(to_digit_of(0.276, 0.0097), 0.28);
    }

    #[test]
    fn rounding_keeps_to_its_slack() {
        assert_eq!(rounded(0.4178, 0.02), 0.4);
        assert_eq!(rounded(0.4178, 0.002), 0.418);
        assert_eq!(rounded(1234.0, 50.0), 1200.0);
        assert_eq!(rounded(9.7, 0.5), 10.0);
        assert_eq!(rounded(0.1234, 0.0), 0.1234);
    }

    #[test]
    fn levels_of_several_maps_are_those_of_the_middle_one() {
        let map = |height: f64| (1..=100).map(|i| height * f64::from(i) / 100.0).collect();
        let mut maps: Vec<Vec<f64>> = [1e9, 20.0, 10.0, 40.0, 4000.0].map(map).into();
        maps[1].push(f64::NAN);
        maps[2].push(f64::INFINITY);
        level_with_each_other(&mut maps);
        let levels = Levels::of(LevelScale::Log, maps.iter().flatten().copied(), 10);
        let [first, last] = [levels.values()[0], *levels.values().last().unwrap()];
        assert!(first < 1.0 && (30.0..=40.0).contains(&last), "{levels:?}");
        assert!(maps[1][100].is_nan() && maps[2][100].is_infinite());
        assert!((levels.highest.unwrap() - 76.0).abs() < 1e-9, "{levels:?}");
        // Of two, both have lines.
        let mut pair: Vec<Vec<f64>> = [10.0, 1000.0].map(map).into();
        level_with_each_other(&mut pair);
        let levels = Levels::of(LevelScale::Log, pair.iter().flatten().copied(), 10);
        let last = *levels.values().last().unwrap();
        assert!((80.0..=100.0).contains(&last), "{levels:?}");
        let mut alike: Vec<Vec<f64>> = [7.0, 7.0].map(map).into();
        level_with_each_other(&mut alike);
        assert_eq!(alike, [7.0, 7.0].map(map));
        level_with_each_other(&mut []);
        let mut unknown = [vec![f64::NAN]];
        level_with_each_other(&mut unknown);
        assert!(unknown[0][0].is_nan());
    }

    proptest! {
        #[test]
        fn levels_ascend_strictly_and_stay_within_the_losses(
            losses in prop::collection::vec(prop_oneof![
                8 => -1e3..1e3f64, 2 => 1e-9..1e-3f64, 1 => 1e9..1e300f64,
                1 => Just(f64::NAN), 1 => Just(f64::INFINITY),
            ], 0..60),
            count in 0..20usize,
        ) {
            for scale in [LevelScale::Log, LevelScale::Linear, LevelScale::Quantile] {
                let levels = Levels::of(scale, losses.iter().copied(), count);
                let values = levels.values();
                prop_assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
                let finite = losses.iter().copied().filter(|l| l.is_finite());
                let (lowest, highest) = finite.fold((f64::INFINITY, f64::NEG_INFINITY),
                    |(min, max), l| (min.min(l), max.max(l)));
                prop_assert!(values.iter().all(|v| *v > lowest && *v <= highest));
                for label in (0..values.len()).map(|i| levels.label(i)) {
                    prop_assert!(label.len() <= LABEL_WIDTH + 1 && label.parse::<f64>().is_ok());
                }
            }
        }
    }
}
