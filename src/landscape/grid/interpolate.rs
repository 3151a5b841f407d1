//! Monotone cubic interpolation: smooth between measured points, and never beyond them.

/// Returns the cubic Hermite interpolation with parabolic slopes, limited so that the interpolant is monotone between
/// two nodes (Fritsch and Carlson, SIAM J. Numer. Anal. 17, 1980): it has no extremum that the data does
/// not have, so a contour drawn from it shows no valley that was not measured. Where the data is monotone
/// it is as accurate as the parabola through three nodes. A node that is not finite leaves both its
/// neighbouring intervals NaN.
///
/// `x` (ascending) and `z` are the nodes; one value is returned for each of `at`, NaN outside.
#[must_use]
pub fn pchip(x: &[f64], z: &[f64], at: &[f64]) -> Vec<f64> {
    Stations::of(x, at).values(z)
}

/// Places between nodes, with the Hermite polynomials there: the same for every line of a grid.
struct Stations<'a> {
    nodes: &'a [f64],
    at: Vec<Station>,
}

/// One place.
enum Station {
    Outside,
    Node(usize),
    /// Weights of the values and of the slopes at both ends of interval i.
    Between(usize, [f64; 4]),
}

impl<'a> Stations<'a> {
    fn of(nodes: &'a [f64], at: &[f64]) -> Self {
        let station = |&at: &f64| match interval(nodes, at) {
            None => Station::Outside,
            Some((i, 0.0)) => Station::Node(i),
            Some((i, t)) => {
                let h = nodes[i + 1] - nodes[i];
                let (t2, t3) = (t * t, t * t * t);
                let values = [2.0 * t3 - 3.0 * t2 + 1.0, 3.0 * t2 - 2.0 * t3];
                let slopes = [h * (t3 - 2.0 * t2 + t), h * (t3 - t2)];
                Station::Between(i, [values[0], values[1], slopes[0], slopes[1]])
            }
        };
        Self {
            nodes,
            at: at.iter().map(station).collect(),
        }
    }

    fn values(&self, z: &[f64]) -> Vec<f64> {
        let slopes = slopes(self.nodes, z);
        let value = |station: &Station| match *station {
            Station::Outside => f64::NAN,
            Station::Node(i) => z[i],
            Station::Between(i, [a, b, c, d]) => {
                z[i] * a + z[i + 1] * b + slopes[i] * c + slopes[i + 1] * d
            }
        };
        self.at.iter().map(value).collect()
    }
}

/// Returns the interval of `x` that holds `at` and how far into it, 0 to 1. The last node is (n−1, 0).
#[must_use]
pub fn interval(x: &[f64], at: f64) -> Option<(usize, f64)> {
    let last = *x.last()?;
    if !(x[0]..=last).contains(&at) {
        return None;
    }
    let i = x.partition_point(|&node| node <= at) - 1;
    let t = x.get(i + 1).map_or(0.0, |next| (at - x[i]) / (next - x[i]));
    Some((i, t))
}

/// Returns the slope at each node: that of the parabola through it and both its neighbours, at an end of the finite
/// stretch that of the parabola through the three nodes there. Limited to monotone interpolants: no slope
/// against a neighbouring secant, and none over three times as steep.
fn slopes(x: &[f64], z: &[f64]) -> Vec<f64> {
    let secant = |i: usize| -> Option<[f64; 2]> {
        let h = x.get(i + 1)? - x[i];
        let slope = (z[i + 1] - z[i]) / h;
        slope.is_finite().then_some([h, slope])
    };
    let before = |i: usize, back: usize| i.checked_sub(back).and_then(secant);
    (0..x.len())
        .map(|i| match (before(i, 1), secant(i)) {
            (Some([h0, s0]), Some([h1, s1])) => {
                let parabola = (h1 * s0 + h0 * s1) / (h0 + h1);
                limited(limited(parabola, s0), s1)
            }
            (None, None) => 0.0,
            (Some(near), None) => end(near, before(i, 2)),
            (None, Some(near)) => end(near, secant(i + 1)),
        })
        .collect()
}

/// Returns the slope at an end, from the secants [length, slope] of the interval there and of the one behind it.
fn end([h0, s0]: [f64; 2], behind: Option<[f64; 2]>) -> f64 {
    let [h1, s1] = behind.unwrap_or([h0, s0]);
    limited(((2.0 * h0 + h1) * s0 - h0 * s1) / (h0 + h1), s0)
}

/// Returns a slope between zero and three times the secant.
fn limited(slope: f64, secant: f64) -> f64 {
    let most = 3.0 * secant;
    slope.clamp(most.min(0.0), most.max(0.0))
}

/// Values on the crossings of `x` and `y`, entry `j * x.len() + i`.
#[derive(Clone, Debug, PartialEq)]
pub struct Nodes {
    /// α of each column, ascending.
    pub x: Vec<f64>,
    /// β of each row, ascending.
    pub y: Vec<f64>,
    /// One value a crossing; NaN where there is none.
    pub z: Vec<f64>,
}

impl Nodes {
    /// Returns the values at the crossings of other lines: along the rows first, then along the columns.
    #[must_use]
    pub fn at(&self, x: &[f64], y: &[f64]) -> Self {
        let (across, up) = (Stations::of(&self.x, x), Stations::of(&self.y, y));
        let rows: Vec<Vec<f64>> = self
            .z
            .chunks(self.x.len())
            .map(|row| across.values(row))
            .collect();
        let mut z = vec![f64::NAN; x.len() * y.len()];
        for i in 0..x.len() {
            let column: Vec<f64> = rows.iter().map(|row| row[i]).collect();
            for (j, value) in up.values(&column).into_iter().enumerate() {
                z[j * x.len() + i] = value;
            }
        }
        Self {
            x: x.to_vec(),
            y: y.to_vec(),
            z,
        }
    }
}

impl Nodes {
    /// Moves each value in the middle of a coarser cell that was not measured with those on the cell's sides: by their
    /// surpluses, blended as in a Coons patch (Coons 1967, MIT MAC-TR-41). A side that was measured for the cell beside
    /// it would otherwise stand below or above both its neighbours, so that the map had a ridge or a valley that is not
    /// there.
    ///
    /// `surplus` is measured less predicted, `None` where nothing is measured; `is_new` says of each column and each row
    /// if this level adds it.
    pub(super) fn follow_sides(&mut self, surplus: &[Option<f64>], is_new: &[Vec<bool>; 2]) {
        let width = self.x.len();
        let of = |at: usize| surplus[at].unwrap_or(0.0);
        for j in middles(&is_new[1]) {
            for i in middles(&is_new[0]) {
                let at = j * width + i;
                let across = between(&self.x, i, [at - 1, at + 1].map(of));
                let up = between(&self.y, j, [at - width, at + width].map(of));
                let moved = across + up;
                if surplus[at].is_none() && moved.is_finite() {
                    self.z[at] += moved;
                }
            }
        }
    }
}

/// Returns the indices of the new lines that lie between two that the coarser level has.
fn middles(is_new: &[bool]) -> impl Iterator<Item = usize> {
    let lies_between = |lines: &[bool]| *lines == [false, true, false];
    let windows = is_new.windows(3).enumerate();
    windows.filter_map(move |(before, lines)| lies_between(lines).then_some(before + 1))
}

/// Returns the value at a line that lies linearly between those at both lines beside it.
fn between(lines: &[f64], at: usize, [before, after]: [f64; 2]) -> f64 {
    let share = (lines[at] - lines[at - 1]) / (lines[at + 1] - lines[at - 1]);
    before + share * (after - before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_straight_line_is_met_exactly_on_uneven_nodes() {
        let x = [0.0, 1.0, 4.0, 4.5, 9.0];
        let z = x.map(|x| 3.0 - 2.0 * x);
        for at in [0.0, 0.3, 2.2, 4.4, 8.9, 9.0] {
            assert!((pchip(&x, &z, &[at])[0] - (3.0 - 2.0 * at)).abs() < 1e-12);
        }
    }

    #[test]
    fn outside_and_beside_a_hole_there_is_nothing() {
        let x = [0.0, 1.0, 2.0, 3.0, 4.0];
        let z = [1.0, 2.0, f64::NAN, 1.0, 0.0];
        let found = pchip(&x, &z, &[-0.1, 0.5, 1.0, 1.5, 2.5, 3.0, 3.5, 4.1]);
        let expected = [false, true, true, false, false, true, true, false];
        assert_eq!(found.map_finite(), expected);
    }

    trait Finite {
        fn map_finite(&self) -> Vec<bool>;
    }

    impl Finite for Vec<f64> {
        fn map_finite(&self) -> Vec<bool> {
            self.iter().map(|v| v.is_finite()).collect()
        }
    }

    #[test]
    fn a_monotone_parabola_is_met_exactly_in_the_middle_and_at_the_ends() {
        let x = [0.0, 1.0, 2.0, 3.0];
        let z = x.map(|x: f64| (x + 1.0).powi(2));
        for at in [0.4, 1.5, 2.7] {
            let found = pchip(&x, &z, &[at])[0];
            assert!((found - (at + 1.0_f64).powi(2)).abs() < 1e-12, "{at}");
        }
    }

    proptest! {
        #[test]
        fn no_value_leaves_the_range_of_its_two_neighbours(
            z in prop::collection::vec(-5.0..5.0f64, 2..9),
            steps in prop::collection::vec(0.1..3.0f64, 9),
            part in 0.0..1.0f64,
        ) {
            let x: Vec<f64> = (0..z.len()).map(|i| steps[..i].iter().sum()).collect();
            for i in 0..z.len() - 1 {
                let value = pchip(&x, &z, &[x[i] + part * (x[i + 1] - x[i])])[0];
                prop_assert!(value >= z[i].min(z[i + 1]) - 1e-9 && value <= z[i].max(z[i + 1]) + 1e-9);
            }
        }
    }
}
