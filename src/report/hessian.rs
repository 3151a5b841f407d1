//! `hessian` without a screen.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use crate::landscape::curvature::RESOLUTION;
use crate::landscape::{Assumed, Density, Extremes, Surface};
use crate::plot::axis::short;
use crate::plot::{Extras, Graph, Palette, Picture};

use super::graph;
use super::map::{self, PrintedMap};
use super::npz::Array;
use super::plane::PlaneReport;
use super::vtp::MeshPiece;
use super::{cell, csv_rows};
use crate::loss::Measure;
use crate::run::Optimizer;

/// The ends of the spectrum at a point of the plane.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// α and β.
    pub point: [f64; 2],
    /// The largest eigenvalue.
    pub lambda_max: f64,
    /// The smallest one.
    pub lambda_min: f64,
    /// |λmin/λmax|.
    pub ratio: f64,
    /// Hessian-vector products.
    pub iterations: usize,
    /// True if both are as exact as was asked.
    pub converged: bool,
}

impl Point {
    /// Reports the ends that were found at (α, β).
    #[must_use]
    pub fn of(point: [f64; 2], found: Extremes) -> Self {
        Self {
            point,
            lambda_max: found.lambda_max,
            lambda_min: found.lambda_min,
            ratio: found.ratio(),
            iterations: found.iterations,
            converged: found.converged,
        }
    }
}

/// A grid of points.
#[derive(Clone, Debug, Serialize)]
pub struct Grid {
    /// Columns.
    pub x: Vec<f64>,
    /// Rows.
    pub y: Vec<f64>,
    /// Entry \[j\]\[i\] is at x_i, y_j.
    pub points: Vec<Vec<Point>>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct OriginPoint {
    step: u64,
}

/// The curvature at a point, on a grid, and the density of the spectrum. Field names are other
/// programs' to rely on.
#[derive(Clone, Debug, Serialize)]
pub struct HessianReport {
    run: String,
    origin: OriginPoint,
    model: String,
    assumed: Assumed,
    #[serde(flatten)]
    at: Point,
    /// At the step of the origin, where the checkpoint or training's log tells it.
    learning_rate: Option<f64>,
    /// Above it plain gradient descent with that rate is unstable: 2/η.
    edge: Option<f64>,
    /// The optimizer at the origin, where the checkpoint tells it.
    optimizer: Option<Optimizer>,
    /// The edge of that optimizer; null for one that scales the step of each weight.
    optimizer_edge: Option<f64>,
    samples: usize,
    /// Number of parameters of rank 2 and more.
    parameters: usize,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    plane: Option<PlaneReport>,
    /// Steps of the checkpoints on the map, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<u64>,
    /// Their α and β.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    coordinates: Vec<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Grid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    density: Option<Density>,
}

/// Material of a report.
#[derive(Clone, Debug)]
pub struct CurvatureFindings {
    /// The run folder or checkpoint.
    pub run: String,
    /// Step of the plane's origin.
    pub origin: u64,
    /// The architecture.
    pub model: String,
    /// Assumptions about the function that is measured, and the reasons for them.
    pub assumed: Assumed,
    /// The point that was asked for.
    pub at: Point,
    /// The learning rate at the step of the origin.
    pub learning_rate: Option<f64>,
    /// The optimizer there.
    pub optimizer: Option<Optimizer>,
    /// Number of samples.
    pub samples: usize,
    /// Parameters of rank 2 and more.
    pub parameters: usize,
    /// Seed of samples, random directions and starting vectors.
    pub seed: u64,
    /// The plane of the map.
    pub plane: PlaneReport,
    /// Steps of the checkpoints, oldest first, and their coordinates on the plane.
    pub path: Vec<(u64, [f64; 2])>,
    /// The map, where it was asked for.
    pub map: Option<Grid>,
    /// The density at the point, likewise.
    pub density: Option<Density>,
}

/// Places of the smoothed density.
const PLACES: usize = 200;

impl From<CurvatureFindings> for HessianReport {
    fn from(found: CurvatureFindings) -> Self {
        // At the rate 0 nothing moves, so that there is no edge.
        let moving = found.learning_rate.filter(|rate| *rate > 0.0);
        let on_map = found.path.into_iter().filter(|_| found.map.is_some());
        let (steps, coordinates) = on_map.unzip();
        Self {
            run: found.run,
            origin: OriginPoint { step: found.origin },
            model: found.model,
            assumed: found.assumed,
            at: found.at,
            learning_rate: found.learning_rate,
            edge: moving.map(|rate| 2.0 / rate),
            optimizer: found.optimizer,
            optimizer_edge: moving.and_then(|rate| found.optimizer?.edge(rate)),
            samples: found.samples,
            parameters: found.parameters,
            seed: found.seed,
            plane: Some(found.plane).filter(|_| found.map.is_some()),
            steps,
            coordinates,
            map: found.map,
            density: found.density,
        }
    }
}

impl HessianReport {
    /// Returns one row a point; with a density alone, one row a node.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        if let (None, Some(density)) = (&self.map, &self.density) {
            let head = vec!["node".to_owned(), "weight".to_owned()];
            let pairs = density.nodes.iter().zip(&density.weights);
            let rows = pairs.map(|(node, weight)| vec![cell(*node), cell(*weight)]);
            return csv_rows(std::iter::once(head).chain(rows));
        }
        let head = [
            "x",
            "y",
            "lambda_max",
            "lambda_min",
            "ratio",
            "iterations",
            "converged",
        ];
        let points: Vec<&Point> = match &self.map {
            Some(grid) => grid.points.iter().flatten().collect(),
            None => vec![&self.at],
        };
        let rows = points.into_iter().map(|at| {
            let [x, y] = at.point;
            let values = [x, y, at.lambda_max, at.lambda_min, at.ratio].map(cell);
            [
                &values[..],
                &[at.iterations.to_string(), at.converged.to_string()],
            ]
            .concat()
        });
        csv_rows(std::iter::once(head.map(str::to_owned).to_vec()).chain(rows))
    }

    fn head(&self) -> String {
        format!(
            "{}: {}, step {}, {} samples, {} weights of rank 2 and more, seed {}\n",
            self.run, self.model, self.origin.step, self.samples, self.parameters, self.seed
        )
    }

    /// Draws the map and the density, as far as they were asked for.
    #[must_use]
    pub fn picture(&self, palette: Option<Palette>) -> Picture {
        let nothing = || std::iter::empty();
        let map = self.with_map(|map| map::picture(map, None, nothing(), palette));
        let density = self.density.as_ref().and_then(|density| {
            with_density(density, |graph| {
                graph::picture(vec![graph], nothing(), palette)
            })
        });
        let drawn: Vec<Picture> = map.into_iter().chain(density).collect();
        let about = format!(
            "{}{}\n{}",
            self.head(),
            sentence(&self.at),
            self.about_map()
        );
        map::titled(about.lines(), palette, Picture::stacked(&drawn))
    }

    /// Returns the map and the nodes of the density as arrays, and what they are of.
    ///
    /// # Errors
    /// Never: the figures are numbers and names.
    pub fn arrays(&self) -> serde_json::Result<(Value, Vec<Array>)> {
        let about = serde_json::to_value(Self {
            map: None,
            density: None,
            steps: Vec::new(),
            coordinates: Vec::new(),
            ..self.clone()
        })?;
        let mut arrays = Vec::new();
        if let Some(grid) = &self.map {
            let axis = |name: &str, lines: &[f64]| Array::row(name, lines.iter().copied());
            arrays.extend([axis("x", &grid.x), axis("y", &grid.y)]);
            let length = grid.x.len();
            let each = |name: &str, value: fn(&Point) -> f64| {
                let values: Vec<f64> = grid.points.iter().flatten().map(value).collect();
                Array::rows(name, length, values.chunks(length.max(1)))
            };
            arrays.extend([
                each("lambda_max", |point| point.lambda_max),
                each("lambda_min", |point| point.lambda_min),
                each("ratio", |point| point.ratio),
            ]);
            let rows = grid.points.iter();
            let converged: Vec<Vec<bool>> = rows
                .map(|row| row.iter().map(|point| point.converged).collect())
                .collect();
            arrays.push(Array::flags("converged", length, &converged));
            arrays.push(Array::steps("steps", self.steps.iter().copied()));
            let places = self.coordinates.iter().map(|place| &place[..]);
            arrays.push(Array::rows("path", 2, places));
        }
        if let Some(density) = &self.density {
            arrays.push(Array::row("nodes", density.nodes.iter().copied()));
            arrays.push(Array::row("weights", density.weights.iter().copied()));
        }
        Ok((about, arrays))
    }

    /// Returns the map for ParaView: the ratio |λmin/λmax| is the height.
    #[must_use]
    pub fn pieces(&self) -> Vec<MeshPiece> {
        let pieces = self.map.iter().map(|grid| {
            let each = |value: fn(&Point) -> f64| -> Vec<Vec<f64>> {
                let rows = grid.points.iter();
                rows.map(|row| row.iter().map(value).collect()).collect()
            };
            let converged = |row: &Vec<Point>| row.iter().map(|point| point.converged).collect();
            let measured: Vec<Vec<bool>> = grid.points.iter().map(converged).collect();
            MeshPiece::surface(0, [&grid.x, &grid.y], &each(|point| point.ratio), &measured)
                .of("ratio")
        });
        pieces.collect()
    }

    /// Returns the points of the map, between which its contours are drawn; empty without a map.
    fn about_map(&self) -> String {
        let map = self.map.as_ref().zip(self.plane.as_ref());
        map.map_or_else(String::new, |(grid, plane)| {
            let name = match plane.kind {
                "pca" => "the principal plane",
                "random" => "a random plane",
                _ => "the plane",
            };
            format!(
                "|λmin/λmax| on {name} at {}×{} points, interpolated between them",
                grid.x.len(),
                grid.y.len()
            )
        })
    }

    /// Makes the map of the ratio, whose contours are those of any surface, and gives it to `draw`; `None` without a map.
    fn with_map<T>(&self, draw: impl FnOnce(&PrintedMap<'_>) -> T) -> Option<T> {
        let (grid, plane) = self.map.as_ref().zip(self.plane.as_ref())?;
        let mut surface = Surface::new(grid.x.clone(), grid.y.clone());
        for (j, row) in grid.points.iter().enumerate() {
            for (i, point) in row.iter().enumerate() {
                let measure = Measure {
                    loss: point.ratio,
                    score: 0.0,
                };
                surface.record(i, j, measure);
            }
        }
        let ends = |lines: &[f64]| [lines.first(), lines.last()].map(|e| e.copied().unwrap_or(0.0));
        let current = self.steps.iter().position(|step| *step == self.origin.step);
        Some(draw(&PrintedMap {
            surface: Some(&surface),
            window: [ends(&grid.x), ends(&grid.y)],
            path: &self.coordinates,
            current: current.unwrap_or_default(),
            axes: plane.axes(),
            explained: plane.shares(),
            extras: Extras {
                of: Some("ratio"),
                ..Extras::default()
            },
        }))
    }

    /// Says how near λmax is to the edge of stability, in a line; nothing if the learning rate is not known.
    fn about_edge(&self) -> String {
        let (Some(rate), Some(plain)) = (self.learning_rate, self.edge) else {
            return String::new();
        };
        let edge = self.optimizer_edge.unwrap_or(plain);
        let formula =
            (self.optimizer).map_or_else(|| "2/η".into(), |optimizer| optimizer.formula("η"));
        let beside = match self.optimizer {
            Some(Optimizer::Sgd { momentum, .. }) if momentum > 0.0 => {
                format!(" and momentum {}", short(momentum))
            }
            Some(other) => (other.without_edge())
                .map_or_else(String::new, |why| format!(", a trend only, because {why}")),
            None => String::new(),
        };
        let share = short(self.at.lambda_max / edge);
        let [rate, edge] = [rate, edge].map(short);
        format!("λmax is {share} of {formula} {edge} at the learning rate {rate}{beside}\n")
    }

    /// Returns the point in words, the map of |λmin/λmax|, the density.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = self.head();
        text += &self.assumed.text();
        let _ = writeln!(text, "{}", sentence(&self.at));
        text += &self.about_edge();
        if let Some(map) = self.with_map(|map| map::text(map, width)) {
            let _ = write!(text, "\n{}\n{map}", self.about_map());
        }
        if let Some(density) = &self.density {
            let graph = with_density(density, |graph| graph::text(&graph, width));
            let graph = graph.unwrap_or_else(|| "the density is not a number\n".into());
            let _ = write!(text, "\n{graph}");
        }
        text
    }
}

/// Says both ends and their ratio, with what is known of them.
fn sentence(at: &Point) -> String {
    let [x, y, max, min] = [at.point[0], at.point[1], at.lambda_max, at.lambda_min].map(short);
    let ratio = if at.ratio < RESOLUTION {
        format!("< {RESOLUTION}")
    } else {
        short(at.ratio)
    };
    if at.lambda_max.is_nan() {
        format!("at {x}, {y}: the curvature is not a number")
    } else if at.converged {
        format!(
            "at {x}, {y}: λmax {max}, λmin {min}, |λmin/λmax| {ratio} ({} products)",
            at.iterations
        )
    } else {
        format!(
            "at {x}, {y}: λmax at least {max}, λmin at most {min} ({} products, not converged: more --iterations)",
            at.iterations
        )
    }
}

/// Makes the graph of the density over the eigenvalue axis, logarithmic as in the literature because the bulk at 0
/// outweighs the rest by orders of magnitude, and gives it to `draw`; `None` if the density is not a number.
fn with_density<T>(density: &Density, draw: impl FnOnce(Graph<'_>) -> T) -> Option<T> {
    let (first, last) = (density.nodes.first()?, density.nodes.last()?);
    if !(first.is_finite() && last.is_finite()) {
        return None;
    }
    let sigma = ((last - first) / 50.0).max(f64::MIN_POSITIVE);
    let places =
        crate::landscape::grid::survey::spread(first - 3.0 * sigma, last + 3.0 * sigma, PLACES);
    // Below a millionth of its peak the tail of the smearing says nothing.
    let mut curve = density.smooth(&places, sigma);
    let floor = 1e-6 * curve.iter().copied().fold(0.0, f64::max);
    for value in &mut curve {
        *value = value.max(floor);
    }
    let title = format!("density of eigenvalues, smeared by {}", short(sigma));
    let curves = vec![graph::curve(&places, &curve)];
    Some(draw(graph::plain(&title, "", curves, Vec::new())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_told_as_a_number() {
        let says = |lambda_min: f64, converged: bool| {
            let found = Extremes {
                lambda_max: 4.0,
                lambda_min,
                iterations: 20,
                converged,
            };
            sentence(&Point::of([0.0, 0.5], found))
        };
        assert!(says(-0.5, true).contains("λmin -0.5, |λmin/λmax| 0.125 (20 products)"));
        assert!(says(-1e-4, true).contains("|λmin/λmax| < 0.001"));
        let short_of = says(-0.5, false);
        assert!(short_of.contains("λmax at least 4, λmin at most -0.5"));
        assert!(short_of.contains("more --iterations") && !short_of.contains("|λmin/λmax|"));
    }
}
