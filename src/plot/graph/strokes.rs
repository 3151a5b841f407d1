//! The straight strokes that a curve is drawn with: unbroken, dashed, and in steps.

use super::Stroke;

/// Cells of a dash, and from the start of one to the start of the next.
const DASH: [f64; 2] = [1.4, 3.0];

/// Returns the straight strokes of a curve. It is interrupted where it is not finite; a value between two
/// gaps is a point.
pub(super) fn of(points: &[[f64; 2]], stroke: Stroke) -> Vec<[[f64; 2]; 2]> {
    let staircase;
    let points = if matches!(stroke, Stroke::Steps | Stroke::DashedSteps) {
        staircase = steps(points);
        &staircase[..]
    } else {
        points
    };
    let is_solid = matches!(stroke, Stroke::Solid | Stroke::Steps);
    let mut strokes = Vec::new();
    let mut walked = 0.0;
    for (i, &from) in points.iter().enumerate() {
        let next = points
            .get(i + 1)
            .copied()
            .filter(|next| next[1].is_finite());
        let to = next.unwrap_or(from);
        let length = (to[0] - from[0]).hypot(to[1] - from[1]);
        if is_solid || !length.is_finite() {
            strokes.push([from, to]);
            continue;
        }
        strokes.extend(dashes(from, to, length, walked));
        walked += length;
    }
    strokes
}

/// Returns the corners of a curve that keeps each value until the next one.
fn steps(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut corners = Vec::with_capacity(2 * points.len());
    for pair in points.windows(2) {
        corners.push(pair[0]);
        if pair[0][1].is_finite() {
            corners.push([pair[1][0], pair[0][1]]);
        }
    }
    corners.extend(points.last());
    corners
}

/// Returns the dashes of a segment of this length, which begins after `walked` cells of its curve.
fn dashes(
    from: [f64; 2],
    to: [f64; 2],
    length: f64,
    walked: f64,
) -> impl Iterator<Item = [[f64; 2]; 2]> {
    let [dash, period] = DASH;
    let first = (walked / period).floor() as u64;
    let last = ((walked + length) / period).floor() as u64;
    (first..=last).filter_map(move |k| {
        let start = (k as f64 * period - walked).max(0.0);
        let end = (k as f64 * period + dash - walked).min(length);
        let at = |along: f64| {
            let share = if length > 0.0 { along / length } else { 0.0 };
            [0, 1].map(|i| from[i] + (to[i] - from[i]) * share)
        };
        (start <= end).then(|| [at(start), at(end)])
    })
}
