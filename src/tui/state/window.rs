//! Windows of the plane: moved, zoomed, and around a checkpoint.

use crate::session::PlaneWindow;
use crate::session::schedule::MARGIN;

/// Share of the window by which an arrow key moves it.
pub(super) const PAN: f64 = 0.125;
/// Factor by which a key zooms.
pub(super) const ZOOM: f64 = 1.5;
/// Steps of the path that the neighbourhood of a checkpoint reaches to.
pub(super) const NEAR_STEPS: usize = 5;

/// Moves a window by shares of its extent to the right and up; `None` if rounding or overflow would leave
/// nothing to see.
pub(super) fn panned(window: PlaneWindow, [right, up]: [f64; 2]) -> Option<PlaneWindow> {
    let moved = |[min, max]: [f64; 2], share: f64| [min, max].map(|v| v + (max - min) * share);
    sound(PlaneWindow {
        x: moved(window.x, right),
        y: moved(window.y, up),
    })
}

/// Returns a window scaled by a factor around a point, which stays where it is; likewise.
pub(super) fn zoomed(window: PlaneWindow, around: [f64; 2], factor: f64) -> Option<PlaneWindow> {
    let scaled = |range: [f64; 2], fixed: f64| range.map(|v| fixed + (v - fixed) * factor);
    sound(PlaneWindow {
        x: scaled(window.x, around[0]),
        y: scaled(window.y, around[1]),
    })
}

/// Returns the middle of a window.
pub(super) fn middle(window: PlaneWindow) -> [f64; 2] {
    [window.x, window.y].map(|[min, max]| f64::midpoint(min, max))
}

/// Returns true if a point lies in a window.
pub(super) fn contains(window: PlaneWindow, at: [f64; 2]) -> bool {
    let within = |[min, max]: [f64; 2], value: f64| (min..=max).contains(&value);
    within(window.x, at[0]) && within(window.y, at[1])
}

/// Smallest and largest width of a window, as shares of the whole path's: beyond, single precision tells no two
/// points of it apart, or the whole path lies in a character.
const NARROWEST: f64 = 1e-5;
const WIDEST: f64 = 100.0;

/// Returns true if a window is neither too narrow nor too wide to show anything.
pub(super) fn sees_something(window: PlaneWindow, whole: PlaneWindow) -> bool {
    let extent = |[min, max]: [f64; 2]| max - min;
    let ratio = |one: [f64; 2], other: [f64; 2]| extent(one) / extent(other);
    let ratios = [ratio(window.x, whole.x), ratio(window.y, whole.y)];
    ratios.iter().all(|ratio| *ratio >= NARROWEST) && ratios.iter().any(|ratio| *ratio <= WIDEST)
}

/// Returns the window around a checkpoint of a path, as wide as the last few steps before it; `None` if the
/// path has no such checkpoint or stands still.
pub(super) fn neighbourhood(path: &[[f64; 2]], checkpoint: usize) -> Option<PlaneWindow> {
    let here = path.get(checkpoint)?;
    let recent = path.get(checkpoint.saturating_sub(NEAR_STEPS)..=checkpoint)?;
    let furthest = |axis: usize| {
        let distances = recent.iter().map(|at| (at[axis] - here[axis]).abs());
        distances.fold(0.0, f64::max)
    };
    let widest = furthest(0).max(furthest(1));
    let around = |axis: usize| {
        // An axis along which the path stands still is looked at as far as the other one.
        let reach = if furthest(axis) > 1e-3 * widest {
            furthest(axis)
        } else {
            widest
        };
        let half = reach * (1.0 + MARGIN);
        [here[axis] - half, here[axis] + half]
    };
    (widest > 0.0).then(|| PlaneWindow {
        x: around(0),
        y: around(1),
    })
}

/// Returns the window where both its ranges have an extent that f64 can divide into lines.
fn sound(window: PlaneWindow) -> Option<PlaneWindow> {
    let has_extent = |[min, max]: [f64; 2]| {
        let extent = max - min;
        extent.is_finite() && extent > 1e-9 * min.abs().max(max.abs()).max(f64::MIN_POSITIVE)
    };
    (has_extent(window.x) && has_extent(window.y)).then_some(window)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const WINDOW: PlaneWindow = PlaneWindow {
        x: [-1.0, 3.0],
        y: [0.0, 2.0],
    };

    #[test]
    fn the_point_that_is_zoomed_around_stays_where_it_is() {
        let closer = zoomed(WINDOW, [0.0, 2.0], 0.5).unwrap();
        assert_eq!((closer.x, closer.y), ([-0.5, 1.5], [1.0, 2.0]));
        assert_eq!(zoomed(closer, [0.0, 2.0], 2.0), Some(WINDOW));
    }

    #[test]
    fn zooming_ends_where_numbers_do() {
        for factor in [1.0 / ZOOM, ZOOM] {
            let mut window = WINDOW;
            let mut count = 0;
            while let Some(next) = zoomed(window, middle(window), factor) {
                (window, count) = (next, count + 1);
            }
            assert!((40..5000).contains(&count), "{count}");
        }
    }

    #[test]
    fn the_neighbourhood_is_as_wide_as_the_last_steps_before_the_checkpoint() {
        let path: Vec<[f64; 2]> = (0..20)
            .map(|i| [19.0 - f64::from(i), (19.0 - f64::from(i)) / 2.0])
            .collect();
        let window = neighbourhood(&path, 18).unwrap();
        let reach = NEAR_STEPS as f64 * (1.0 + MARGIN);
        assert_eq!(window.x, [1.0 - reach, 1.0 + reach]);
        assert_eq!(window.y, [0.5 - reach / 2.0, 0.5 + reach / 2.0]);
        assert_eq!(neighbourhood(&path, 20), None);
        assert_eq!(neighbourhood(&[[1.0, 1.0]; 3], 2), None);
    }
}
