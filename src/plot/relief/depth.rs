//! The face nearest to the eye at each dot, so that lines behind it can be left out.

/// A vertex behind a dot: dots across, dots down, and how far away.
pub(super) type Vertex = [f64; 3];

/// A line that lies on a surface is not hidden by it: faces recede by this, where the box is about 2
/// deep, and by what their own slope makes out between two neighbouring dots.
const BIAS: f64 = 0.012;

/// A raster of depths (z-buffer).
pub(super) struct Depths {
    width: usize,
    nearest: Vec<f64>,
    faces: Vec<Option<usize>>,
}

impl Depths {
    /// Makes one with nothing in sight; width and height in dots.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            nearest: vec![f64::INFINITY; width * height],
            faces: vec![None; width * height],
        }
    }

    /// Returns true if a face is nearer than this at a dot.
    pub(super) fn hides(&self, column: usize, row: usize, depth: f64) -> bool {
        let index = row * self.width + column;
        column < self.width && self.nearest.get(index).is_some_and(|near| *near < depth)
    }

    /// Returns the face that is seen at a dot.
    pub(super) fn face(&self, column: usize, row: usize) -> Option<usize> {
        let index = row * self.width + column;
        self.faces.get(index).copied().flatten()
    }

    /// Puts a triangle of a face wherever it is nearer than what is there.
    pub(super) fn fill(&mut self, [a, b, c]: [Vertex; 3], face: usize) {
        let area = cross(a, b, c);
        if !area.is_normal() || self.width == 0 {
            return;
        }
        let height = self.nearest.len() / self.width;
        let farthest = a[2].max(b[2]).max(c[2]);
        // A depth of its own for each dot, with all that it can change within a dot.
        let weights = |x, y| {
            let at = [x, y, 0.0];
            [cross(b, c, at), cross(c, a, at), cross(a, b, at)].map(|part| part / area)
        };
        let depth = |[u, v, w]: [f64; 3]| a[2] * u + b[2] * v + c[2] * w;
        let here = depth(weights(0.0, 0.0));
        let slope =
            (depth(weights(1.0, 0.0)) - here).abs() + (depth(weights(0.0, 1.0)) - here).abs();
        for row in span([a[1], b[1], c[1]], height) {
            for column in span([a[0], b[0], c[0]], self.width) {
                let weights = weights(column as f64 + 0.5, row as f64 + 0.5);
                if weights.iter().any(|weight| *weight < -1e-9) {
                    continue;
                }
                let receded = (depth(weights) + slope).min(farthest) + BIAS;
                let index = row * self.width + column;
                if receded < self.nearest[index] {
                    self.nearest[index] = receded;
                    self.faces[index] = Some(face);
                }
            }
        }
    }
}

/// Returns twice the area of a triangle on the picture, by sign of its sense of rotation.
fn cross(a: Vertex, b: Vertex, c: Vertex) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// Returns the dots, of `dots`, whose centres can lie between the least and the greatest of these.
fn span(places: [f64; 3], dots: usize) -> std::ops::Range<usize> {
    let least = places.into_iter().fold(f64::INFINITY, f64::min);
    let greatest = places.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let first = least.max(0.0) as usize;
    let end = (greatest.max(-1.0) + 1.0).min(dots as f64) as usize;
    first..end
}

/// Distance that rounding errors may take from a place that lies on the border of two dots.
const ROUNDING: f64 = 1e-6;

/// Draws the dots of a straight line, one for each step along its longer extent, with their depths.
pub(super) fn walk(from: Vertex, to: Vertex, mut at: impl FnMut(usize, usize, f64)) {
    let way = [0, 1, 2].map(|k| to[k] - from[k]);
    let steps = way[0].abs().max(way[1].abs()).ceil().max(1.0);
    if !steps.is_finite() {
        return;
    }
    for step in 0..=steps as usize {
        let share = step as f64 / steps;
        let [across, down, depth] = [0, 1, 2].map(|k| from[k] + way[k] * share);
        let (across, down) = (across + ROUNDING, down + ROUNDING);
        if across >= 0.0 && down >= 0.0 {
            at(across as usize, down as usize, depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a rectangle that is level or leans away to the right by `lean` a dot.
    fn wall(
        depths: &mut Depths,
        columns: [f64; 2],
        rows: [f64; 2],
        at: f64,
        lean: f64,
        face: usize,
    ) {
        let vertex = |x: f64, y: f64| [x, y, at + lean * x];
        let [left, right] = columns;
        let [top, bottom] = rows;
        let corners = [
            vertex(left, top),
            vertex(right, top),
            vertex(right, bottom),
            vertex(left, bottom),
        ];
        depths.fill([corners[0], corners[1], corners[2]], face);
        depths.fill([corners[0], corners[2], corners[3]], face);
    }

    #[test]
    fn a_wall_covers_the_dots_whose_centres_it_holds_and_no_others() {
        let mut depths = Depths::new(10, 8);
        wall(&mut depths, [2.0, 7.0], [1.0, 5.0], 0.0, 0.0, 4);
        for row in 0..8 {
            for column in 0..10 {
                let inside = (2..7).contains(&column) && (1..5).contains(&row);
                assert_eq!(depths.face(column, row), inside.then_some(4));
                assert_eq!(depths.hides(column, row, 0.1), inside);
                assert!(!depths.hides(column, row, 0.0));
            }
        }
    }

    #[test]
    fn the_nearer_wall_is_seen_in_whatever_order_they_come() {
        for order in [[1, 2], [2, 1]] {
            let mut depths = Depths::new(6, 6);
            for face in order {
                wall(&mut depths, [0.0, 6.0], [0.0, 6.0], face as f64, 0.0, face);
            }
            assert_eq!(depths.face(3, 3), Some(1));
        }
    }

    #[test]
    fn a_leaning_wall_hides_no_line_on_itself_and_every_line_well_behind() {
        let mut depths = Depths::new(40, 8);
        wall(&mut depths, [0.0, 40.0], [0.0, 8.0], 0.0, 0.05, 0);
        let hidden = |behind: f64| {
            let mut hidden = 0;
            let vertex = |x: f64| [x, 4.3, 0.05 * x + behind];
            walk(vertex(0.2), vertex(39.7), |column, row, depth| {
                hidden += usize::from(depths.hides(column, row, depth));
            });
            hidden
        };
        assert_eq!((hidden(0.0), hidden(0.2)), (0, 41));
    }

    #[test]
    fn a_line_has_a_dot_for_each_step_and_none_twice_beside_itself() {
        let mut dots = Vec::new();
        walk([0.5, 0.5, 0.0], [6.5, 2.5, 3.0], |c, r, d| {
            dots.push((c, r, d));
        });
        let places: Vec<_> = dots.iter().map(|(c, r, _)| (*c, *r)).collect();
        assert_eq!(
            places,
            [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]
        );
        assert!((dots[2].2 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_outside_or_not_a_number_is_left_out() {
        let mut depths = Depths::new(4, 4);
        wall(&mut depths, [-9.0, -1.0], [0.0, 4.0], 0.0, 0.0, 0);
        wall(&mut depths, [5.0, 9.0], [0.0, 4.0], 0.0, 0.0, 0);
        wall(&mut depths, [f64::NAN, 3.0], [0.0, 4.0], 0.0, 0.0, 0);
        assert!((0..4).all(|i| depths.face(i, i).is_none()));
        walk(
            [f64::NAN, 0.0, 0.0],
            [f64::INFINITY, 0.0, 0.0],
            |_, _, _| panic!("not a place"),
        );
    }
}
