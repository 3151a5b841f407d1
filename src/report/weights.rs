//! `weights` without a screen.

use std::fmt::Write;

use serde::Serialize;

use crate::plot::axis::short;
use crate::plot::{AxisSide, Curve, Graph, Palette, Picture, Stroke, matrix};
use crate::run::hyper;
use crate::weights::{Dynamics, Histogram, Trajectory};

use super::{WIDEST, cell, csv_rows, graph, in_column, map};

/// Characters across and lines down of the matrix.
const MATRIX: (usize, usize) = (96, 48);

#[derive(Clone, Debug, Serialize)]
struct Layer {
    name: String,
    norm: Vec<f64>,
}

/// Norms and angles over training. Field names are other programs' to rely on.
#[derive(Clone, Debug, Serialize)]
pub struct WeightsReport {
    run: String,
    parameters: usize,
    steps: Vec<u64>,
    norm: Vec<f64>,
    update_norm: Vec<f64>,
    update_cosine: Vec<f64>,
    layers: Vec<Layer>,
    cosine_matrix: Vec<Vec<f64>>,
    learning_rate: Vec<Option<f64>>,
    drops: Vec<u64>,
}

impl WeightsReport {
    /// Reports a run that was read; `rates` are the learning rates that its checkpoints tell.
    #[must_use]
    pub fn new(
        run: String,
        parameters: usize,
        trajectory: &Trajectory,
        dynamics: &Dynamics,
        rates: Vec<Option<f64>>,
    ) -> Self {
        let step = |i: usize| trajectory.steps.get(i).copied();
        Self {
            run,
            parameters,
            steps: trajectory.steps.clone(),
            norm: trajectory.norm.clone(),
            update_norm: trajectory.update_norm.clone(),
            update_cosine: dynamics.successive(),
            layers: dynamics
                .layers
                .iter()
                .map(|layer| Layer {
                    name: layer.name.clone(),
                    norm: layer.norm.clone(),
                })
                .collect(),
            cosine_matrix: dynamics.cosines.clone(),
            drops: hyper::drops(&rates).into_iter().filter_map(step).collect(),
            learning_rate: rates,
        }
    }

    /// Returns one row a checkpoint; the cosine is that between the updates before and after it.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let names = self
            .layers
            .iter()
            .map(|layer| format!("norm {}", layer.name));
        let head = [
            "step",
            "norm",
            "update_norm",
            "update_cosine",
            "learning_rate",
        ];
        let head = head.into_iter().map(str::to_owned).chain(names).collect();
        let row = |i: usize| {
            let cosine = i.checked_sub(1).and_then(|i| self.update_cosine.get(i));
            let rate = self.learning_rate[i].map_or(String::new(), cell);
            let norms = self.layers.iter().map(|layer| cell(layer.norm[i]));
            let first = [
                self.steps[i].to_string(),
                cell(self.norm[i]),
                cell(self.update_norm[i]),
                cosine.map_or(String::new(), |cosine| cell(*cosine)),
                rate,
            ];
            first.into_iter().chain(norms).collect()
        };
        csv_rows(std::iter::once(head).chain((0..self.steps.len()).map(row)))
    }

    /// Returns the norms and updates over steps, a table by layer, the matrix of cosines.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = self.head();
        let norms = self.with_norms(|norms| graph::text(&norms, width));
        let _ = write!(text, "\n{norms}");
        text += &self.layer_table();
        if self.cosine_matrix.len() > 1 {
            let picture = matrix::draw(
                &self.cosine_matrix,
                None,
                map::marker(),
                MATRIX.0.min(width),
                MATRIX.1,
            )
            .text();
            let _ = write!(
                text,
                "\ncosines of updates, first at the top left: █ + · towards 1, ▒ = - towards -1\n{}",
                picture.trim_end_matches('\n')
            );
            text.push('\n');
        }
        text
    }

    /// Draws norms and updates over steps.
    #[must_use]
    pub fn picture(&self, palette: Option<Palette>) -> Picture {
        let head = self.head();
        self.with_norms(|norms| graph::picture(vec![norms], head.lines(), palette))
    }

    fn head(&self) -> String {
        let mut text = format!(
            "{}: {} checkpoints, {} parameters\n",
            self.run,
            self.steps.len(),
            self.parameters
        );
        if !self.drops.is_empty() {
            let steps: Vec<String> = self.drops.iter().map(u64::to_string).collect();
            let _ = writeln!(text, "the learning rate fell at step {}", steps.join(", "));
        }
        text
    }

    fn with_norms<T>(&self, draw: impl FnOnce(Graph<'_>) -> T) -> T {
        let steps: Vec<f64> = self.steps.iter().map(|step| *step as f64).collect();
        let on = |y, side, stroke| Curve {
            x: &steps,
            y,
            side,
            stroke,
        };
        let mut updates = self.update_norm.clone();
        // No update led to the first checkpoint.
        if let Some(first) = updates.first_mut() {
            *first = f64::NAN;
        }
        let norms = vec![
            on(&self.norm, AxisSide::Left, Stroke::Solid),
            on(&updates, AxisSide::Right, Stroke::Dashed),
        ];
        draw(graph::plain(
            "norm of the weights over steps",
            "update",
            norms,
            Vec::new(),
        ))
    }

    fn layer_table(&self) -> String {
        let width = self
            .layers
            .iter()
            .map(|layer| layer.name.chars().count())
            .max()
            .unwrap_or(0);
        let width = width.clamp(5, WIDEST);
        let mut text = format!(
            "\n{:width$}  {:>9}  {:>9}  {:>7}\n",
            "layer", "first", "last", "times"
        );
        let total = Layer {
            name: "all".into(),
            norm: self.norm.clone(),
        };
        for layer in self.layers.iter().chain([&total]) {
            let (first, last) = (layer.norm.first(), layer.norm.last());
            let [first, last] = [first, last].map(|end| end.copied().unwrap_or(f64::NAN));
            let times = if first > 0.0 {
                short(last / first)
            } else {
                "-".into()
            };
            let _ = writeln!(
                text,
                "{:width$}  {:>9}  {:>9}  {times:>7}",
                in_column(&layer.name),
                short(first),
                short(last),
            );
        }
        text
    }
}

/// The histogram of one checkpoint.
#[derive(Clone, Debug, Serialize)]
pub struct HistogramReport {
    path: String,
    step: u64,
    counts: Vec<u64>,
    min: f64,
    max: f64,
    mean: f64,
    std: f64,
    zeros: f64,
    count: u64,
    not_finite: u64,
}

/// Histograms of one or two checkpoints over the same bins. Field names are other programs' to rely on.
#[derive(Clone, Debug, Serialize)]
pub struct Histograms {
    layer: Option<String>,
    edges: Vec<f64>,
    checkpoints: Vec<HistogramReport>,
}

impl Histograms {
    /// Reports these checkpoints (path, step, histogram), whose bins have these edges.
    #[must_use]
    pub fn new(
        layer: Option<String>,
        edges: Vec<f64>,
        found: Vec<(String, u64, Histogram)>,
    ) -> Self {
        let spread = |(path, step, histogram): (String, u64, Histogram)| HistogramReport {
            path,
            step,
            counts: histogram.counts,
            min: histogram.range[0],
            max: histogram.range[1],
            mean: histogram.mean,
            std: histogram.std,
            zeros: histogram.zeros,
            count: histogram.count,
            not_finite: histogram.not_finite,
        };
        Self {
            layer,
            edges,
            checkpoints: found.into_iter().map(spread).collect(),
        }
    }

    /// Returns one row a bin.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let names = self
            .checkpoints
            .iter()
            .map(|spread| format!("step {}", spread.step));
        let head = ["from", "to"]
            .into_iter()
            .map(str::to_owned)
            .chain(names)
            .collect();
        let rows = self.edges.windows(2).enumerate().map(|(bin, edges)| {
            let counts = self
                .checkpoints
                .iter()
                .map(|spread| spread.counts[bin].to_string());
            [cell(edges[0]), cell(edges[1])]
                .into_iter()
                .chain(counts)
                .collect()
        });
        csv_rows(std::iter::once(head).chain(rows))
    }

    /// Returns the figures of each checkpoint, and the shares of their weights over the bins: bars, and dots of the
    /// first one where there are two.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = self.head();
        let shares = self.with_shares(|shares| graph::text(&shares, width));
        let _ = write!(text, "\n{shares}");
        text
    }

    /// Draws the shares of the weights over the bins.
    #[must_use]
    pub fn picture(&self, palette: Option<Palette>) -> Picture {
        let head = self.head();
        self.with_shares(|shares| graph::picture(vec![shares], head.lines(), palette))
    }

    fn head(&self) -> String {
        let what = self
            .layer
            .as_deref()
            .unwrap_or("all weights of rank 2 and more");
        let mut text = format!("{what}\n");
        for spread in &self.checkpoints {
            let _ = writeln!(
                text,
                "{}: {} weights from {} to {}, mean {}, standard deviation {}, {} exact zeros{}",
                spread.path,
                spread.count,
                short(spread.min),
                short(spread.max),
                short(spread.mean),
                short(spread.std),
                super::percent(spread.zeros),
                match spread.not_finite {
                    0 => String::new(),
                    others => format!(", {others} not finite"),
                },
            );
        }
        text
    }

    fn with_shares<T>(&self, draw: impl FnOnce(Graph<'_>) -> T) -> T {
        let middles: Vec<f64> = self
            .edges
            .windows(2)
            .map(|edge| f64::midpoint(edge[0], edge[1]))
            .collect();
        let shares: Vec<Vec<f64>> = (self.checkpoints.iter())
            .map(|spread| {
                let share = |count: &u64| 100.0 * *count as f64 / spread.count.max(1) as f64;
                spread.counts.iter().map(share).collect()
            })
            .collect();
        let on = |x, y, stroke| Curve {
            x,
            y,
            side: AxisSide::Left,
            stroke,
        };
        // An empty bin has no dot, because a row of dots at 0 looks like a line.
        let filled = shares
            .iter()
            .flatten()
            .map(|share| if *share > 0.0 { *share } else { f64::NAN });
        let filled: Vec<f64> = filled.take(middles.len()).collect();
        // Bars of two would hide each other.
        let (title, curves) = match &shares[..] {
            [_, second] => (
                "weights in a bin, % (first ●, second bars)",
                vec![
                    on(&self.edges, second, Stroke::Bars),
                    on(&middles, &filled, Stroke::Points),
                ],
            ),
            all => {
                let bars = all.iter().map(|y| on(&self.edges, y, Stroke::Bars));
                ("weights in a bin, %", bars.collect())
            }
        };
        draw(graph::plain(title, "", curves, Vec::new()))
    }
}
