//! From where the surface is seen, and where its points then lie on the picture.

use super::super::map::Area;

/// Direction of view. Seen straight from above without a turn, the relief lies as the map does.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ViewAngle {
    /// Angle by which the surface is turned about its vertical axis, counterclockwise seen from above, in
    /// degrees; any number.
    pub turn: f64,
    /// Angle of the eye above the horizon, in degrees: 90 looks straight down, 0 from the side. An angle beyond
    /// −90 to 90 is drawn as the end that it is beyond.
    pub tilt: f64,
}

impl Default for ViewAngle {
    fn default() -> Self {
        Self {
            turn: 30.0,
            tilt: 35.0,
        }
    }
}

impl ViewAngle {
    /// Turns and tilts further, in degrees: the turn goes round from 360 to 0, the tilt stays between 0 and 90.
    #[must_use]
    pub fn moved(self, turn: f64, tilt: f64) -> Self {
        Self {
            turn: (self.turn + turn).rem_euclid(360.0),
            tilt: (self.tilt + tilt).clamp(0.0, 90.0),
        }
    }
}

/// Height of the box, where its ground is a square of side 2.
const HEIGHT: f64 = 1.1;
/// Half the diagonal of the ground: what a turn needs to both sides.
const REACH: f64 = std::f64::consts::SQRT_2;
/// The picture may be drawn this much wider than it is high, where there is room.
const STRETCH: f64 = 1.35;

/// Orthographic projection of the box that holds the surface. In it the window's α and β and the
/// height run from 0 to 1 each; a place on the picture is dots across, dots down, and how far away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Camera {
    /// Place of the box's corner 0, 0, 0.
    corner: [f64; 3],
    /// Contributions of α, β and the height, each from 0 to 1.
    edges: [[f64; 3]; 3],
}

impl Camera {
    /// Sees the whole box within the area at any turn; a size that the turn does not change.
    pub(super) fn fit(view: ViewAngle, area: Area) -> Self {
        let (sin, cos) = angle(view.turn.rem_euclid(360.0));
        let (rise, slant) = angle(view.tilt.clamp(-90.0, 90.0));
        let room = [2 * area.width, 4 * area.height].map(|dots| dots.saturating_sub(1) as f64);
        let down = 2.0 * REACH * rise.abs() + HEIGHT * slant;
        let size = (room[1] / down).min(room[0] / (2.0 * REACH));
        let wide = (room[0] / (2.0 * REACH)).min(size * STRETCH);
        let axis = |[across, back, up]: [f64; 3]| {
            [
                wide * across,
                -size * (back * rise + up * slant),
                back * slant - up * rise,
            ]
        };
        let edges = [
            axis([2.0 * cos, 2.0 * sin, 0.0]),
            axis([-2.0 * sin, 2.0 * cos, 0.0]),
            axis([0.0, 0.0, HEIGHT]),
        ];
        let middle = [
            (2 * area.left + area.width) as f64,
            (4 * area.top + 2 * area.height) as f64,
            0.0,
        ];
        let half = |k: usize| edges.iter().map(|edge| edge[k]).sum::<f64>() / 2.0;
        Self {
            corner: [0, 1, 2].map(|k| middle[k] - half(k)),
            edges,
        }
    }

    /// Returns the place of a point of the box.
    pub(super) fn place(&self, point: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|k| {
            let along = self.edges.iter().zip(point);
            self.corner[k] + along.map(|(edge, share)| edge[k] * share).sum::<f64>()
        })
    }

    /// Returns the way that α (0), β (1) or the height (2) runs on the picture: dots across and dots down.
    pub(super) fn way(&self, axis: usize) -> [f64; 2] {
        [self.edges[axis][0], self.edges[axis][1]]
    }

    /// Returns the distance by which the far end of α (0) or β (1) is farther away than the near one.
    pub(super) fn recedes(&self, axis: usize) -> f64 {
        self.edges[axis][2]
    }

    /// Returns the length in dots of the longer side of the ground, as if seen from above.
    pub(super) fn side(&self) -> f64 {
        self.edges[0][0].hypot(self.edges[1][0])
    }
}

/// Returns the sine and cosine of degrees.
fn angle(degrees: f64) -> (f64, f64) {
    degrees.to_radians().sin_cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AREA: Area = Area {
        left: 3,
        top: 1,
        width: 60,
        height: 24,
    };
    const CENTRE: [f64; 2] = [66.0, 52.0];

    fn camera(turn: f64, tilt: f64) -> Camera {
        Camera::fit(ViewAngle { turn, tilt }, AREA)
    }

    fn assert_near(found: [f64; 3], expected: [f64; 3]) {
        let near = found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near, "{found:?}, not {expected:?}");
    }

    #[test]
    fn from_above_alpha_runs_right_and_beta_upward_whatever_the_height() {
        let camera = camera(0.0, 90.0);
        let size = 95.0 / (2.0 * REACH);
        let wide = 119.0 / (2.0 * REACH);
        assert_near(
            camera.place([0.0, 0.0, 0.5]),
            [CENTRE[0] - wide, CENTRE[1] + size, 0.0],
        );
        assert_near(
            camera.place([1.0, 0.75, 1.0]),
            [CENTRE[0] + wide, CENTRE[1] - size / 2.0, -HEIGHT / 2.0],
        );
    }

    #[test]
    fn from_the_side_height_is_upward_and_beta_is_away() {
        let camera = camera(0.0, 0.0);
        let size = 119.0 / (2.0 * REACH);
        assert_near(
            camera.place([1.0, 1.0, 1.0]),
            [CENTRE[0] + size, CENTRE[1] - size * HEIGHT / 2.0, 1.0],
        );
        assert_near(camera.place([0.5, 0.0, 0.5]), [CENTRE[0], CENTRE[1], -1.0]);
    }

    #[test]
    fn a_quarter_turn_carries_alpha_to_where_beta_was() {
        let (straight, turned) = (camera(0.0, 35.0), camera(90.0, 35.0));
        assert_near(
            turned.place([0.9, 0.2, 0.3]),
            straight.place([0.8, 0.9, 0.3]),
        );
    }

    #[test]
    fn at_45_degrees_and_30_of_tilt_the_nearest_corner_is_lowest() {
        let camera = camera(45.0, 30.0);
        let slant = 30f64.to_radians().cos();
        let size = 95.0 / (2.0 * REACH * 0.5 + HEIGHT * slant);
        let size = size.min(119.0 / (2.0 * REACH));
        assert_near(
            camera.place([0.0, 0.0, 0.0]),
            [
                CENTRE[0],
                CENTRE[1] + size * (REACH * 0.5 + HEIGHT / 2.0 * slant),
                -REACH * slant + HEIGHT / 2.0 * 0.5,
            ],
        );
    }

    #[test]
    fn a_whole_turn_is_none() {
        for turn in [0.0, 30.0, 271.5] {
            assert_eq!(camera(turn, 35.0), camera(turn + 360.0, 35.0));
            assert_eq!(camera(turn, 35.0), camera(turn - 720.0, 35.0));
        }
        let view = ViewAngle::default().moved(350.0, 80.0);
        assert_eq!((view.turn, view.tilt), (20.0, 90.0));
    }

    proptest! {
        #[test]
        fn the_whole_box_is_in_sight_at_any_turn(turn in -720.0..720.0f64, tilt in -90.0..90.0f64) {
            let camera = camera(turn, tilt);
            for corner in 0..8 {
                let bit = |k: usize| f64::from(corner >> k & 1);
                let [across, down, _] = camera.place([bit(0), bit(1), bit(2)]);
                prop_assert!((6.0..=126.0).contains(&across), "{across}");
                prop_assert!((4.0..=100.0).contains(&down), "{down}");
            }
        }
    }
}
