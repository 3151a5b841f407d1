//! The graphs of the text reports.

use crate::plot::graph::{Curve, Graph, Mark, Side, Stroke};

use super::map;

/// Lines down.
const HEIGHT: usize = 20;

/// Makes a graph without colours, in braille where the terminal's language has more than ASCII; `right` names the
/// scale at the right, where a curve is read on it.
pub(super) fn plain<'a>(
    title: &'a str,
    right: &'a str,
    curves: Vec<Curve<'a>>,
    marks: Vec<Mark>,
) -> Graph<'a> {
    Graph {
        title,
        right,
        curves,
        marks,
        ticks: true,
        marker: map::marker(),
        tints: None,
    }
}

/// Draws a graph this many characters wide.
pub(super) fn text(graph: &Graph<'_>, width: usize) -> String {
    graph.draw(width, HEIGHT).text()
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
