//! The graphs of the screen as plain characters.

use crate::plot::graph::{Curve, Graph, Mark, Side, Stroke};

use super::map;

/// Characters across and lines down.
const WIDTH: usize = 96;
const HEIGHT: usize = 20;

/// Draws curves without colours; `right` names the scale at the right, where a curve is read on it.
pub(super) fn text(title: &str, right: &str, curves: Vec<Curve<'_>>, marks: Vec<Mark>) -> String {
    let graph = Graph {
        title,
        right,
        curves,
        marks,
        ticks: true,
        marker: map::marker(),
        tints: None,
    };
    graph.draw(WIDTH, HEIGHT).text()
}

/// One unbroken curve on the left scale.
pub(super) fn curve<'a>(x: &'a [f64], y: &'a [f64]) -> Curve<'a> {
    Curve {
        x,
        y,
        side: Side::Left,
        stroke: Stroke::Solid,
    }
}
