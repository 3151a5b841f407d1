//! The nested levels of a grid, and the order in which the points of one are measured: nearest to the path
//! first.
//!
//! Level 0 has 5×5 of the grid's lines where the grid does not say otherwise; each next level puts a line
//! between every two that stand, so that no point is measured twice; the last level has all lines. The lines of
//! a level are lines of the grid itself, so that grids of any size have levels. Two levels are measured whole;
//! where finer ones are needed, `refine` tells.

use serde::{Deserialize, Serialize};

/// The nested lines of one side of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GridSide {
    /// Number of lines.
    pub count: usize,
    /// Intervals at level 0.
    pub coarsest: usize,
}

/// Intervals a side at level 0 of a grid that is made at once.
pub const COARSEST: usize = 4;

impl GridSide {
    /// Makes a side of `count` lines, of which level 0 has five.
    #[must_use]
    pub fn of(count: usize) -> Self {
        Self {
            count,
            coarsest: COARSEST,
        }
    }

    /// Returns the indices of the lines of one level.
    #[must_use]
    pub fn lines(self, level: usize) -> Vec<usize> {
        let intervals = self.coarsest.max(1) << level.min(32);
        if self.count <= intervals + 1 {
            return (0..self.count).collect();
        }
        // Rounding i·(count−1)/intervals is the same on every level that has the line.
        (0..=intervals)
            .map(|i| (2 * i * (self.count - 1) + intervals) / (2 * intervals))
            .collect()
    }

    /// Finds, for each line, the first level that has it.
    #[must_use]
    pub fn first_levels(self) -> Vec<usize> {
        let mut first = vec![0; self.count];
        for level in (0..levels([self; 2])).rev() {
            for line in self.lines(level) {
                first[line] = level;
            }
        }
        first
    }

    fn levels(self) -> usize {
        let intervals = self.count.saturating_sub(1);
        let times = intervals.div_ceil(self.coarsest.max(1)).max(1);
        times.next_power_of_two().ilog2() as usize + 1
    }
}

/// Returns the number of levels of a grid with these sides.
#[must_use]
pub fn levels(sides: [GridSide; 2]) -> usize {
    let [columns, rows] = sides.map(GridSide::levels);
    columns.max(rows)
}

/// Returns the points (column, row) that `level` adds to the coarser ones, nearest to the path first.
///
/// `x` and `y` are the coordinates of the lines of `sides`, `path` is in the same coordinates. Distances
/// are taken in the drawn picture, where both ranges are equally long.
#[must_use]
pub fn additions(
    sides: [GridSide; 2],
    [x, y]: [&[f64]; 2],
    level: usize,
    path: &[[f64; 2]],
) -> Vec<(usize, usize)> {
    let [columns, rows] = sides.map(|side| side.lines(level));
    let coarser = |side: GridSide| {
        level
            .checked_sub(1)
            .map_or(Vec::new(), |level| side.lines(level))
    };
    let [old_columns, old_rows] = sides.map(coarser);
    let picture = |[a, b]: [f64; 2]| [place(x, a), place(y, b)];
    let path: Vec<[f64; 2]> = path.iter().map(|&at| picture(at)).collect();
    let mut points: Vec<(f64, usize, usize)> = Vec::new();
    for &j in &rows {
        for &i in &columns {
            let known = old_columns.binary_search(&i).is_ok() && old_rows.binary_search(&j).is_ok();
            if !known {
                points.push((distance(picture([x[i], y[j]]), &path), i, j));
            }
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.2, a.1).cmp(&(b.2, b.1))));
    points.into_iter().map(|(_, i, j)| (i, j)).collect()
}

/// Returns the position of a coordinate between the first and the last line, 0 to 1.
fn place(lines: &[f64], at: f64) -> f64 {
    match lines {
        [first, .., last] => (at - first) / (last - first),
        _ => 0.5,
    }
}

/// Returns the squared distance of a point from a chain of segments; 0 when there is none.
fn distance(point: [f64; 2], path: &[[f64; 2]]) -> f64 {
    let to_segment = |a: [f64; 2], b: [f64; 2]| {
        let (along, from) = (
            [b[0] - a[0], b[1] - a[1]],
            [point[0] - a[0], point[1] - a[1]],
        );
        let square = along[0] * along[0] + along[1] * along[1];
        let t = if square > 0.0 {
            ((from[0] * along[0] + from[1] * along[1]) / square).clamp(0.0, 1.0)
        } else {
            0.0
        };
        (from[0] - t * along[0]).powi(2) + (from[1] - t * along[1]).powi(2)
    };
    match path {
        [] => 0.0,
        [only] => to_segment(*only, *only),
        path => path
            .windows(2)
            .map(|pair| to_segment(pair[0], pair[1]))
            .fold(f64::INFINITY, f64::min),
    }
}

/// Returns `count` lines from `min` to `max`, both included. The middle of an odd number is exact.
#[must_use]
pub fn spread(min: f64, max: f64, count: usize) -> Vec<f64> {
    match count {
        0 => Vec::new(),
        1 => vec![f64::midpoint(min, max)],
        _ => (0..count)
            .map(|i| {
                let t = i as f64 / (count - 1) as f64;
                min * (1.0 - t) + max * t
            })
            .collect(),
    }
}

/// Returns the window of a path: its bounding box, `margin` of its size wider on each side. A side without
/// extent gets that of the other one; a single point gets ±1.
#[must_use]
pub fn window(path: &[[f64; 2]], margin: f64) -> [[f64; 2]; 2] {
    let range = |k: usize| {
        let values = path.iter().map(|at| at[k]);
        let (min, max) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), v| {
            (min.min(v), max.max(v))
        });
        if min <= max { (min, max) } else { (0.0, 0.0) }
    };
    let (width, height) = (range(0).1 - range(0).0, range(1).1 - range(1).0);
    [(0, width, height), (1, height, width)].map(|(k, own, other)| {
        let (min, max) = range(k);
        if own > 1e-6 * other && own > 0.0 {
            [min - margin * own, max + margin * own]
        } else {
            let half = if other > 0.0 {
                (0.5 + margin) * other
            } else {
                1.0
            };
            let middle = f64::midpoint(min, max);
            [middle - half, middle + half]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn levels_have_5_9_17_33_and_65_lines() {
        let counts = |count: usize| -> Vec<usize> {
            let side = GridSide::of(count);
            (0..levels([side; 2]))
                .map(|level| side.lines(level).len())
                .collect()
        };
        assert_eq!(counts(65), [5, 9, 17, 33, 65]);
        assert_eq!(counts(51), [5, 9, 17, 33, 51]);
    }

    #[test]
    fn each_level_keeps_the_lines_of_the_one_before() {
        for coarsest in 1..9 {
            for count in 1..140 {
                let side = GridSide { count, coarsest };
                for level in 1..levels([side; 2]) {
                    let (fine, coarse) = (side.lines(level), side.lines(level - 1));
                    let kept = coarse.iter().all(|i| fine.contains(i));
                    assert!(kept, "{count} {coarsest} {level}");
                }
            }
        }
    }

    #[test]
    fn a_side_that_grew_keeps_the_levels_of_its_lines() {
        // 4 and 7 intervals at level 0, both halved four times.
        let [own, grown] = [4, 7].map(|coarsest| GridSide {
            count: 16 * coarsest + 1,
            coarsest,
        });
        assert_eq!(grown.first_levels()[16..=80], own.first_levels());
        assert_eq!(levels([own, grown]), 5);
    }

    #[test]
    fn every_point_is_measured_exactly_once() {
        let (x, y) = (spread(-1.0, 1.0, 51), spread(0.0, 3.0, 23));
        let sides = [
            GridSide::of(51),
            GridSide {
                count: 23,
                coarsest: 6,
            },
        ];
        let mut seen = HashSet::new();
        for level in 0..levels(sides) {
            for point in additions(sides, [&x, &y], level, &[[0.0, 0.0], [1.0, 2.0]]) {
                assert!(seen.insert(point), "{point:?} twice");
            }
        }
        assert_eq!(seen.len(), 51 * 23);
    }

    #[test]
    fn points_on_the_path_come_first() {
        let lines = spread(-1.0, 1.0, 5);
        let order = additions(
            [GridSide::of(5); 2],
            [&lines, &lines],
            0,
            &[[-1.0, 0.0], [1.0, 0.0]],
        );
        let rows: Vec<usize> = order.iter().take(5).map(|point| point.1).collect();
        assert_eq!(rows, [2; 5]);
        assert!(
            order
                .iter()
                .skip(5)
                .take(10)
                .all(|point| [1, 3].contains(&point.1))
        );
    }

    #[test]
    fn the_window_has_its_margin_on_each_side_and_never_no_extent() {
        assert_eq!(
            window(&[[0.0, 1.0], [10.0, 3.0]], 0.2),
            [[-2.0, 12.0], [0.6, 3.4]]
        );
        assert_eq!(
            window(&[[0.0, 0.0], [10.0, 0.0]], 0.0),
            [[0.0, 10.0], [-5.0, 5.0]]
        );
        assert_eq!(window(&[[0.0, 0.0]], 0.2), [[-1.0, 1.0], [-1.0, 1.0]]);
    }
}
