//! The graphs of the text reports.

use crate::plot::{AxisSide, Curve, Graph, Mark, Marker, Palette, Picture, Stroke};

use super::map::{self, SCREEN};

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
        largest: [f64::INFINITY; 2],
        marks,
        ticks: true,
        marker: map::marker(),
        palette: None,
    }
}

/// Draws a graph this many characters wide.
pub(super) fn text(graph: &Graph<'_>, width: usize) -> String {
    graph.draw(width, HEIGHT).text()
}

/// Draws graphs in colours, one below the other, below lines about them.
pub(super) fn picture<'a>(
    graphs: Vec<Graph<'_>>,
    about: impl Iterator<Item = &'a str>,
    palette: Option<Palette>,
) -> Picture {
    let drawn = graphs.into_iter().map(|graph| {
        let graph = Graph {
            marker: Marker::Braille,
            palette,
            ..graph
        };
        graph.draw(SCREEN[0], HEIGHT)
    });
    map::titled(about, palette, Picture::stacked(&drawn.collect::<Vec<_>>()))
}

/// Returns one unbroken curve on the left scale.
pub(super) fn curve<'a>(x: &'a [f64], y: &'a [f64]) -> Curve<'a> {
    Curve {
        x,
        y,
        side: AxisSide::Left,
        stroke: Stroke::Solid,
    }
}
