//! Contour lines of a sampled surface by marching squares.

use crate::landscape::Field;

/// Points (α, β) of one connected piece of a contour line; a closed one ends where it began.
pub type Polyline = Vec<[f64; 2]>;

/// An edge of the sampling grid: from node (column, row) to the next one to the right, or upward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    column: usize,
    row: usize,
    upward: bool,
}

/// The at most two edges at which a line goes on from an edge; the first place is filled first.
#[derive(Clone, Copy, Debug, Default)]
struct Neighbours([Option<Edge>; 2]);

impl Neighbours {
    fn push(&mut self, edge: Edge) {
        let place = usize::from(self.0[0].is_some());
        self.0[place] = Some(edge);
    }

    fn pop(&mut self) -> Option<Edge> {
        let [first, second] = &mut self.0;
        second.take().or_else(|| first.take())
    }

    fn remove(&mut self, edge: Edge) {
        if self.0[1] == Some(edge) {
            self.0[1] = None;
        } else if self.0[0] == Some(edge) {
            self.0 = [self.0[1], None];
        }
    }
}

/// Returns for each of these levels (ascending) the lines on which the loss of a field is the level, between
/// the crossings by linear interpolation.
///
/// A square of four crossings is cut by none, one or two segments; a saddle is decided by the mean of its
/// corners. A corner that is NaN leaves a hole: no line enters its squares.
#[must_use]
pub fn isolines(field: &Field, levels: &[f64]) -> Vec<Vec<Polyline>> {
    let mut segments = vec![Vec::new(); levels.len()];
    let width = field.x.len();
    // Levels that are not above each crossing: most squares are cut by none, which this tells at once.
    let band = |loss: &f64| {
        let below = levels.partition_point(|level| level <= loss);
        loss.is_finite().then_some(below)
    };
    let bands: Vec<Option<usize>> = field.loss.iter().map(band).collect();
    for row in 0..field.y.len().saturating_sub(1) {
        for column in 0..width.saturating_sub(1) {
            let at = row * width + column;
            let corners = [at, at + 1, at + 1 + width, at + width];
            let [Some(a), Some(b), Some(c), Some(d)] = corners.map(|corner| bands[corner]) else {
                continue;
            };
            for level in a.min(b).min(c).min(d)..a.max(b).max(c).max(d) {
                let losses = corners.map(|corner| field.loss[corner]);
                let cuts = cuts([column, row], losses, levels[level]);
                segments[level].extend(cuts.into_iter().flatten());
            }
        }
    }
    let lines = segments.iter().zip(levels).map(|(segments, level)| {
        let chains = join(neighbours(segments)).into_iter();
        let points = |chain: Vec<Edge>| {
            let points = chain.into_iter();
            points.map(|edge| crossing(field, edge, *level)).collect()
        };
        chains.map(points).collect()
    });
    lines.collect()
}

/// Returns the segments by which a line cuts a square with its lower left corner at a column and a row, and
/// these losses at its corners, counter-clockwise from there.
fn cuts([column, row]: [usize; 2], losses: [f64; 4], level: f64) -> [Option<(Edge, Edge)>; 2] {
    let edge = |dc: usize, dr: usize, upward: bool| Edge {
        column: column + dc,
        row: row + dr,
        upward,
    };
    let (bottom, right) = (edge(0, 0, false), edge(1, 0, true));
    let (top, left) = (edge(0, 1, false), edge(0, 0, true));
    let mean = losses.iter().map(|loss| loss / 4.0).sum::<f64>();
    let case = (0..4).fold(0, |case, bit| {
        case | usize::from(losses[bit] >= level) << bit
    });
    match case {
        1 | 14 => [Some((left, bottom)), None],
        2 | 13 => [Some((bottom, right)), None],
        3 | 12 => [Some((left, right)), None],
        4 | 11 => [Some((right, top)), None],
        6 | 9 => [Some((bottom, top)), None],
        7 | 8 => [Some((left, top)), None],
        // Saddles: the corners that are on the centre's side are connected.
        5 | 10 if (case == 5) == (mean >= level) => [Some((left, top)), Some((bottom, right))],
        5 | 10 => [Some((left, bottom)), Some((right, top))],
        _ => [None; 2],
    }
}

/// Returns the edges that these segments connect, in order, each with those at the other ends.
fn neighbours(segments: &[(Edge, Edge)]) -> Vec<(Edge, Neighbours)> {
    let both = segments.iter().flat_map(|&(a, b)| [(a, b), (b, a)]);
    let mut both: Vec<(Edge, Edge)> = both.collect();
    both.sort_by_key(|pair| pair.0);
    let at_one = both.chunk_by(|a, b| a.0 == b.0).map(|pairs| {
        let mut neighbours = Neighbours::default();
        for pair in pairs {
            neighbours.push(pair.1);
        }
        (pairs[0].0, neighbours)
    });
    at_one.collect()
}

/// Returns the point at which the line crosses an edge.
fn crossing(field: &Field, edge: Edge, level: f64) -> [f64; 2] {
    let width = field.x.len();
    let Edge {
        column,
        row,
        upward,
    } = edge;
    let (next_column, next_row) = if upward {
        (column, row + 1)
    } else {
        (column + 1, row)
    };
    let (from, to) = (
        field.loss[row * width + column],
        field.loss[next_row * width + next_column],
    );
    let share = ((level - from) / (to - from)).clamp(0.0, 1.0);
    let between = |a: f64, b: f64| a + (b - a) * share;
    [
        between(field.x[column], field.x[next_column]),
        between(field.y[row], field.y[next_row]),
    ]
}

/// Joins segments end to end: open lines from one end to the other, then the closed ones. An edge is
/// shared by two squares and cut once in each, so it has at most two neighbours.
fn join(mut neighbours: Vec<(Edge, Neighbours)>) -> Vec<Vec<Edge>> {
    let is_end = |next: &Neighbours| next.0[1].is_none();
    let (ends, rest): (Vec<usize>, Vec<usize>) =
        (0..neighbours.len()).partition(|at| is_end(&neighbours[*at].1));
    let mut chains = Vec::new();
    for start in ends.into_iter().chain(rest) {
        let mut here = neighbours[start].0;
        let mut chain = vec![here];
        let mut at = Some(start);
        while let Some(next) = at.and_then(|at| neighbours[at].1.pop()) {
            at = neighbours.binary_search_by_key(&next, |known| known.0).ok();
            if let Some(at) = at {
                neighbours[at].1.remove(here);
            }
            chain.push(next);
            here = next;
        }
        if chain.len() > 1 {
            chains.push(chain);
        }
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::Origin;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    fn field(x: Vec<f64>, y: Vec<f64>, loss: impl Fn(f64, f64) -> f64) -> Field {
        let crossings = y.iter().flat_map(|&b| x.iter().map(move |&a| (a, b)));
        let loss: Vec<f64> = crossings.map(|(a, b)| loss(a, b)).collect();
        Field {
            origin: vec![Origin::Measured; loss.len()],
            x,
            y,
            loss,
        }
    }

    fn isoline(field: &Field, level: f64) -> Vec<Polyline> {
        isolines(field, &[level]).concat()
    }

    fn spread(count: i32) -> Vec<f64> {
        let at = |i: i32| -1.0 + 2.0 * f64::from(i) / f64::from(count - 1);
        (0..count).map(at).collect()
    }

    fn length(line: &Polyline) -> f64 {
        let step = |w: &[[f64; 2]]| (w[1][0] - w[0][0]).hypot(w[1][1] - w[0][1]);
        line.windows(2).map(step).sum()
    }

    #[test]
    fn the_level_set_of_a_bowl_is_one_closed_circle_of_the_right_length() {
        let field = field(spread(101), spread(101), |x, y| x * x + y * y);
        let lines = isoline(&field, 0.49);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].first(), lines[0].last());
        assert!((length(&lines[0]) / (TAU * 0.7) - 1.0).abs() < 1e-3);
        for [x, y] in &lines[0] {
            assert!((x.hypot(*y) - 0.7).abs() < 2e-4);
        }
    }

    #[test]
    fn a_plane_has_one_straight_line_from_edge_to_edge() {
        let field = field(spread(5), spread(5), |x, _| x);
        let lines = isoline(&field, 0.25);
        assert_eq!(lines.len(), 1);
        assert!((length(&lines[0]) - 2.0).abs() < 1e-12);
        assert!(lines[0].iter().all(|[x, _]| (x - 0.25).abs() < 1e-12));
    }

    #[test]
    fn a_saddle_connects_the_corners_on_the_side_of_its_mean() {
        let saddle = |lift: f64| {
            let mut field = field(vec![0.0, 1.0], vec![0.0, 1.0], |_, _| 0.0);
            field.loss = vec![1.0 + lift, 0.0, 0.0, 1.0 + lift];
            isoline(&field, 0.5)
        };
        // High corners are the lower left and the upper right. With a high mean they are connected,
        // and each line cuts off a low corner: it runs on one side of the diagonal through them.
        let side = |line: &Polyline| line.iter().map(|[x, y]| (y - x).signum()).sum::<f64>();
        let high: Vec<f64> = saddle(0.2).iter().map(side).collect();
        assert_eq!(high.len(), 2);
        assert!(high.iter().all(|side| side.abs() == 2.0), "{high:?}");
        let low: Vec<f64> = saddle(-0.2).iter().map(side).collect();
        assert_eq!(low, [0.0, 0.0]);
    }

    #[test]
    fn no_line_enters_a_square_with_a_hole_at_a_corner() {
        let bowl = |x: f64, y: f64| {
            if x == 0.0 && y == 0.5 {
                f64::NAN
            } else {
                x * x + y * y
            }
        };
        let lines = isoline(&field(spread(9), spread(9), bowl), 0.25);
        assert!(lines.iter().all(|line| line.first() != line.last()));
        for [x, y] in lines.iter().flatten() {
            assert!(!(x.abs() < 0.25 && (y - 0.5).abs() < 0.25), "{x} {y}");
        }
    }

    #[test]
    fn a_grid_without_squares_has_no_lines() {
        assert!(isoline(&field(vec![0.0], spread(9), |_, y| y), 0.1).is_empty());
        assert!(isoline(&Field::default(), 0.1).is_empty());
    }

    proptest! {
        #[test]
        fn a_level_has_the_lines_that_it_has_alone(
            loss in prop::collection::vec(prop_oneof![9 => 0.0..4.0f64, 1 => Just(f64::NAN), 2 => Just(1.0)], 36),
            mut levels in prop::collection::vec(prop_oneof![0.0..4.0f64, Just(1.0)], 0..6),
        ) {
            let lines: Vec<f64> = (0..6).map(f64::from).collect();
            let mut field = field(lines.clone(), lines, |_, _| 0.0);
            field.loss = loss;
            levels.sort_by(f64::total_cmp);
            let alone: Vec<_> = levels.iter().map(|level| isoline(&field, *level)).collect();
            prop_assert_eq!(isolines(&field, &levels), alone);
        }

        #[test]
        fn every_point_lies_on_an_edge_whose_ends_are_on_both_sides_of_the_level(
            loss in prop::collection::vec(prop_oneof![9 => 0.0..4.0f64, 1 => Just(f64::NAN), 1 => Just(1.0)], 36),
            level in 0.0..4.0f64,
        ) {
            let lines: Vec<f64> = (0..6).map(f64::from).collect();
            let mut field = field(lines.clone(), lines, |_, _| 0.0);
            field.loss = loss;
            for [x, y] in isoline(&field, level).into_iter().flatten() {
                prop_assert!(x.fract() == 0.0 || y.fract() == 0.0);
                let at = |x: f64, y: f64| field.loss[y as usize * 6 + x as usize];
                let (a, b) = (at(x.floor(), y.floor()), at(x.ceil(), y.ceil()));
                prop_assert!(a.min(b) <= level && level <= a.max(b), "{x} {y}: {a} {b}");
            }
        }
    }
}
