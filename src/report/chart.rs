//! 1-D plots in braille, by textplots, wrapped once: it panics below 32×3, drops exact zeros and
//! draws what is not a number at an edge.

use textplots::{Chart, Plot, Shape};

/// Dots, of which two are in a character across and four down.
const WIDTH: u32 = 140;
const HEIGHT: u32 = 40;

/// Lines through the points of each curve; a curve is interrupted where it is not finite.
pub(super) fn lines(curves: &[Vec<(f64, f64)>]) -> String {
    let pieces: Vec<Vec<(f32, f32)>> = curves.iter().flat_map(|curve| pieces(curve)).collect();
    let all = || pieces.iter().flatten();
    let (Some(left), Some(right)) = (
        all().map(|p| p.0).reduce(f32::min),
        all().map(|p| p.0).reduce(f32::max),
    ) else {
        return String::new();
    };
    let shapes: Vec<Shape<'_>> = pieces.iter().map(|piece| Shape::Lines(piece)).collect();
    // A chart without extent has no scale.
    let (left, right) = if left < right {
        (left, right)
    } else {
        (left - 1.0, right + 1.0)
    };
    let mut chart = Chart::new(WIDTH, HEIGHT, left, right);
    let mut chart = &mut chart;
    for shape in &shapes {
        chart = chart.lineplot(shape);
    }
    chart.axis();
    chart.figures();
    format!("{chart}\n")
}

/// The runs of finite points.
fn pieces(curve: &[(f64, f64)]) -> Vec<Vec<(f32, f32)>> {
    curve
        .split(|(x, y)| !x.is_finite() || !y.is_finite())
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.iter().map(|&(x, y)| (x as f32, y as f32)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_splits_a_curve() {
        let curve = [(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 4.0)];
        assert_eq!(
            pieces(&curve),
            [vec![(0.0, 1.0)], vec![(2.0, 3.0), (3.0, 4.0)]]
        );
    }

    #[test]
    fn nothing_and_a_single_point_are_drawn_without_complaint() {
        assert_eq!(lines(&[vec![(0.0, f64::NAN)]]), "");
        assert!(!lines(&[vec![(2.0, 2.0)]]).is_empty());
    }
}
