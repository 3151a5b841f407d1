//! Round numbers: ticks of an axis, and numbers written short.

/// A place on an axis with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Coordinate.
    pub at: f64,
    /// As it is printed.
    pub label: String,
}

/// Returns ticks at multiples of 1, 2 or 5 times a power of ten, at most `most` of them, within the range; empty
/// for a range that is empty or not finite.
#[must_use]
pub fn ticks(min: f64, max: f64, most: usize) -> Vec<Tick> {
    let Some(step) = step(max - min, most) else {
        return Vec::new();
    };
    let (first, last) = ((min / step).ceil(), (max / step).floor());
    // A window far from 0 and too narrow for f64 has no distinct ticks.
    if !(first.abs().max(last.abs()) < 1e15 && last - first < 1e4) {
        return Vec::new();
    }
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
    (first as i64..=last as i64)
        .map(|k| {
            let at = k as f64 * step;
            let label = if decimals > 4 || step >= 1e5 {
                short(at)
            } else {
                format!("{at:.decimals$}")
            };
            Tick { at, label }
        })
        .collect()
}

/// Returns the smallest of 1, 2, 5 × 10^k that divides an extent into fewer than `most` steps.
#[must_use]
pub fn step(extent: f64, most: usize) -> Option<f64> {
    let raw = extent / most.saturating_sub(1).max(1) as f64;
    if most == 0 || !raw.is_normal() || raw < 0.0 {
        return None;
    }
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= raw * (1.0 - 1e-9))?;
    let step = factor * power;
    step.is_normal().then_some(step)
}

/// Returns a number as short as three digits allow: `0.295`, `12.3`, `4560`, `1.2e6`, `3e-5`.
#[must_use]
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "not a number".into();
    }
    if value.is_infinite() {
        return "infinite".into();
    }
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&size) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// Returns a change of a number, with its sign and as many decimals as the number has; `None` if it vanishes in them.
#[must_use]
pub fn change(difference: f64, told: &str) -> Option<String> {
    if told.contains('e') || !difference.is_finite() {
        let sign = if difference < 0.0 { '-' } else { '+' };
        return Some(format!("{sign}{}", short(difference.abs())));
    }
    let decimals = told
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let text = format!("{difference:+.decimals$}");
    text.contains(|digit| matches!(digit, '1'..='9'))
        .then_some(text)
}

/// Returns a number as short as two digits allow, where a third is noise: `0.01`, `98`, `0.0098`.
#[must_use]
pub fn rough(value: f64) -> String {
    let rounded = format!("{value:.1e}").parse();
    short(rounded.unwrap_or(value))
}

/// Writes a number with digits enough to tell it from others within `extent`, but short where those would
/// take more than `width` columns.
#[must_use]
pub fn within(value: f64, extent: f64, width: usize) -> String {
    let decimals = (1.0 - extent.log10()).ceil();
    let plain = short(value);
    if !(0.0..16.0).contains(&decimals) || extent > 0.1 * value.abs() {
        return plain;
    }
    let text = format!("{value:.0$}", decimals as usize);
    if text.chars().count() <= width {
        text
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(min: f64, max: f64, most: usize) -> Vec<String> {
        ticks(min, max, most).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn a_change_has_the_digits_of_what_changes() {
        let told = |difference, of| change(difference, of).unwrap_or_default();
        assert_eq!(told(-8.7e-5, "0.0765"), "-0.0001");
        assert_eq!(told(4.37e-3, "0.0765"), "+0.0044");
        assert_eq!(told(-0.2, "2.31"), "-0.20");
        assert_eq!(told(5.6e-6, "0.604"), "");
        assert_eq!(told(-2e-7, "1.23e-6"), "-2e-7");
        assert_eq!(told(12.4, "1234"), "+12");
        assert_eq!(
            [0.00978, 0.0103, 0.98, 12.3].map(rough),
            ["0.0098", "0.01", "0.98", "12"]
        );
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        assert_eq!(labels(-2.3, 5.1, 5), ["-2", "0", "2", "4"]);
        assert_eq!(labels(0.0, 1.0, 3), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(-0.013, 0.021, 4), ["0.00", "0.02"]);
        assert_eq!(labels(1e7, 3e7, 3), ["1e7", "2e7", "3e7"]);
    }

    #[test]
    fn ranges_without_extent_have_no_ticks() {
        for (min, max) in [
            (1.0, 1.0),
            (2.0, 1.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
        ] {
            assert!(ticks(min, max, 5).is_empty());
        }
    }

    #[test]
    fn numbers_are_written_short() {
        let numbers = [0.29512, 12.345, 4560.4, 1.23e6, 3e-5, 0.0, -0.5, 100.0];
        let written = numbers.map(short);
        assert_eq!(
            written,
            ["0.295", "12.3", "4560", "1.2e6", "3e-5", "0", "-0.5", "100"]
        );
        assert_eq!(
            [f64::NAN, f64::INFINITY].map(short),
            ["not a number", "infinite"]
        );
    }

    #[test]
    fn the_ends_of_a_narrow_range_can_be_told_apart() {
        assert_eq!(within(0.26812, 3e-4, 7), "0.26812");
        assert_eq!(within(0.26842, 3e-4, 7), "0.26842");
        assert_eq!(within(0.26812, 3e-4, 6), "0.268");
        assert_eq!(within(0.268, 0.1, 7), "0.268");
        assert_eq!(within(89.84, 0.0, 7), "89.8");
    }

    proptest! {
        #[test]
        fn ticks_never_leave_the_range_nor_exceed_their_number(
            min in -1e6..1e6f64, extent in 1e-6..1e6f64, most in 1..20usize,
        ) {
            let ticks = ticks(min, min + extent, most);
            prop_assert!(ticks.len() <= most + 1);
            for tick in ticks {
                prop_assert!(tick.at >= min - extent * 1e-9 && tick.at <= min + extent * (1.0 + 1e-9));
            }
        }
    }
}
