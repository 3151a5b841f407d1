//! `surface` without a screen.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::data::Split;
use crate::landscape::{Assumed, Estimate, Surface};
use crate::loss::Measure;
use crate::loss::Score;
use crate::plot::{Extras, Mark, Palette, Picture, ViewAngle};
use crate::weights::BatchNorm;
use crate::weights::trajectory::random_walk_shares;

use super::map::{self, PrintedMap};
use super::npz::Array;
use super::path::{self, PathPoint};
use super::plane::PlaneReport;
use super::score::{self, Keyed};
use super::vtp::MeshPiece;
use super::{cell, csv_rows, graph, loss, percent, statistics};

/// A measured surface with all that is needed to make it again.
#[derive(Clone, Debug)]
pub struct SurfaceReport {
    /// The run folder or checkpoint.
    pub run: String,
    /// Step of the plane's origin.
    pub origin: u64,
    /// The architecture.
    pub model: String,
    /// Assumptions about the function that is measured, and the reasons for them.
    pub assumed: Assumed,
    /// Trainable parameters.
    pub parameters: usize,
    /// Number of samples.
    pub samples: usize,
    /// Split of the samples.
    pub split: Split,
    /// Seed of samples and random directions.
    pub seed: u64,
    /// Treatment of running statistics.
    pub bn: BatchNorm,
    /// The network has such statistics.
    pub has_statistics: bool,
    /// The plane.
    pub plane: PlaneReport,
    /// The score beside the loss; `None` if it has none.
    pub score: Option<Score>,
    /// The measured grid.
    pub grid: Surface,
    /// Its estimate, if not all samples were measured everywhere.
    pub fidelity: Option<FidelityReport>,
    /// The path on the plane.
    pub path: Vec<PathPoint>,
    /// Indices of its points at which the learning rate fell.
    pub drops: Vec<usize>,
}

/// A surface of few samples to which the difference that all make was added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FidelityReport {
    /// Samples that were measured everywhere.
    pub samples: usize,
    /// Points at which all were.
    pub points: usize,
    /// Expected error of the difference between these, a share of the range of log-loss.
    pub error: f64,
}

impl FidelityReport {
    /// Returns one sentence, to stand below the number of samples.
    pub(super) fn sentence(self) -> String {
        format!(
            "an estimate: {} samples everywhere, all at {} points, the difference between known within {}",
            self.samples,
            self.points,
            percent(self.error)
        )
    }
}

#[derive(Debug, Serialize)]
struct OriginJson {
    step: u64,
}

/// The JSON of `surface`; field names and order are other programs' to rely on.
#[derive(Debug, Serialize)]
pub struct SurfaceJson<'a> {
    run: &'a str,
    origin: OriginJson,
    model: &'a str,
    assumed: &'a Assumed,
    parameters: usize,
    samples: usize,
    split: Split,
    seed: u64,
    bn: BatchNorm,
    plane: &'a PlaneReport,
    x: &'a [f64],
    y: &'a [f64],
    loss: Vec<Vec<f64>>,
    #[serde(flatten)]
    score: Keyed<Vec<Vec<f64>>>,
    measured: Vec<Vec<bool>>,
    evaluations: usize,
    path: &'a [PathPoint],
    drops: Vec<u64>,
}

/// Says what error is to be expected of it between its points.
pub(super) fn error(grid: &Surface) -> String {
    let expected = Estimate::of(grid).expected();
    let error = expected.filter(|error| *error > 0.0);
    error.map_or_else(String::new, |error| {
        format!(", between them a mean error of {} expected", percent(error))
    })
}

/// A surface in rows, entry \[j\]\[i\] at x_i, y_j: measured values to the digit, others interpolated.
pub(super) struct Rows {
    pub(super) loss: Vec<Vec<f64>>,
    pub(super) score: Keyed<Vec<Vec<f64>>>,
    pub(super) measured: Vec<Vec<bool>>,
}

/// Returns the values at every crossing of the grid's lines.
pub(super) fn rows(grid: &Surface, score: Option<Score>) -> Rows {
    let (x, y) = (grid.x(), grid.y());
    let field = grid.sample(x, y);
    let scores = score.map_or_else(Vec::new, |score| grid.sample_score(score, x, y));
    let each = |value: &dyn Fn(Option<Measure>, usize) -> f64| {
        let at = |j: usize, i: usize| value(grid.get(i, j), j * x.len() + i);
        let row = |j| (0..x.len()).map(|i| at(j, i)).collect();
        (0..y.len()).map(row).collect()
    };
    Rows {
        loss: each(&|measure, at| measure.map_or(field.loss[at], |measure| measure.loss)),
        score: Keyed {
            score,
            numbers: each(&|measure, at| {
                let between = || scores.get(at).copied().unwrap_or(f64::NAN);
                measure.map_or_else(between, |measure| measure.score)
            }),
        },
        measured: (0..y.len())
            .map(|j| (0..x.len()).map(|i| grid.get(i, j).is_some()).collect())
            .collect(),
    }
}

impl Rows {
    /// Returns the arrays of these rows, the names of which begin with `prefix`.
    pub(super) fn arrays(&self, prefix: &str, length: usize) -> Vec<Array> {
        let array = |name: &str, rows: &[Vec<f64>]| {
            Array::rows(
                format!("{prefix}{name}"),
                length,
                rows.iter().map(Vec::as_slice),
            )
        };
        let score = self
            .score
            .score
            .map(|score| array(score.key(), &self.score.numbers));
        let mut arrays = vec![array("loss", &self.loss)];
        arrays.extend(score);
        arrays.push(Array::flags(
            format!("{prefix}measured"),
            length,
            &self.measured,
        ));
        arrays
    }
}

impl SurfaceReport {
    /// Returns the JSON of this surface.
    #[must_use]
    pub fn json(&self) -> SurfaceJson<'_> {
        let rows = rows(&self.grid, self.score);
        SurfaceJson {
            run: &self.run,
            origin: OriginJson { step: self.origin },
            model: &self.model,
            assumed: &self.assumed,
            parameters: self.parameters,
            samples: self.samples,
            split: self.split,
            seed: self.seed,
            bn: self.bn,
            plane: &self.plane,
            x: self.grid.x(),
            y: self.grid.y(),
            loss: rows.loss,
            score: rows.score,
            measured: rows.measured,
            evaluations: self.grid.measured(),
            path: &self.path,
            drops: path::steps(&self.path, &self.drops),
        }
    }

    /// Returns the grid and the path as arrays, and what they are of. Names are other programs' to rely on.
    #[must_use]
    pub fn arrays(&self) -> (Value, Vec<Array>) {
        let about = json!({
            "run": self.run,
            "origin": self.origin,
            "model": self.model,
            "assumed": self.assumed,
            "parameters": self.parameters,
            "samples": self.samples,
            "split": self.split,
            "seed": self.seed,
            "bn": self.bn,
            "plane": self.plane,
            "score": self.score.map(Score::key),
        });
        let rows = rows(&self.grid, self.score);
        let mut arrays = vec![
            Array::row("x", self.grid.x().iter().copied()),
            Array::row("y", self.grid.y().iter().copied()),
        ];
        arrays.extend(rows.arrays("", self.grid.x().len()));
        arrays.extend(path::arrays("", &self.path));
        (about, arrays)
    }

    /// Returns the surface and the path for ParaView.
    #[must_use]
    pub fn pieces(&self) -> Vec<MeshPiece> {
        let rows = rows(&self.grid, self.score);
        vec![
            MeshPiece::surface(
                0,
                [self.grid.x(), self.grid.y()],
                &rows.loss,
                &rows.measured,
            ),
            MeshPiece::path(0, &self.path),
        ]
    }

    /// Returns one row a grid point.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let head = score::head(&["x", "y", "loss", "score", "measured"], self.score);
        let (x, y) = (self.grid.x(), self.grid.y());
        let grid = rows(&self.grid, self.score);
        let points = (0..x.len() * y.len()).map(|index| {
            let (i, j) = (index % x.len(), index / x.len());
            let place = [x[i], y[j], grid.loss[j][i]].map(cell);
            let measured = grid.measured[j][i].to_string();
            let score = grid.score.cell(|rows| rows[j][i]);
            place.into_iter().chain(score).chain([measured]).collect()
        });
        csv_rows(std::iter::once(head).chain(points))
    }

    /// Writes summary, map, slices through the origin, this many characters wide. With a view, the surface is a relief
    /// instead of a map.
    #[must_use]
    pub fn text(&self, relief: Option<ViewAngle>, width: usize) -> String {
        let mut text = self.summary();
        text.push('\n');
        text += &self.map(relief, width);
        text += &self.slices(width);
        text
    }

    /// Draws the map, or a relief, and says above it what it is of.
    #[must_use]
    pub fn picture(&self, relief: Option<ViewAngle>, palette: Option<Palette>) -> Picture {
        let summary = self.summary();
        let about = summary.lines().take(2);
        self.with_printed(|printed| map::picture(printed, relief, about, palette))
    }

    fn map(&self, relief: Option<ViewAngle>, width: usize) -> String {
        self.with_printed(|printed| match relief {
            Some(view) => map::relief(printed, view, width),
            None => map::text(printed, width),
        })
    }

    /// Puts together what a map shows, and gives it to `draw`.
    fn with_printed<T>(&self, draw: impl FnOnce(&PrintedMap<'_>) -> T) -> T {
        let ends = |lines: &[f64]| {
            [lines.first(), lines.last()].map(|end| end.copied().unwrap_or_default())
        };
        let path: Vec<[f64; 2]> = self.path.iter().map(|point| [point.x, point.y]).collect();
        let doubt = self.grid.doubt();
        let doubt = |point: &PathPoint| doubt(point.loss, point.plane_loss);
        let doubts: Vec<f64> = self.path.iter().map(doubt).collect();
        let is_origin = |point: &PathPoint| point.step == self.origin;
        let printed = PrintedMap {
            surface: Some(&self.grid),
            window: [ends(self.grid.x()), ends(self.grid.y())],
            path: &path,
            current: self.path.iter().position(is_origin).unwrap_or_default(),
            axes: self.plane.axes(),
            explained: self.plane.shares(),
            extras: Extras {
                doubts: &doubts,
                drops: &self.drops,
                ..Extras::default()
            },
        };
        draw(&printed)
    }

    fn summary(&self) -> String {
        let mut text = format!(
            "{}: {}, {} parameters, {} plane through step {}\n{} {} samples{}, {} of {} points measured{}\n",
            self.run,
            self.model,
            self.parameters,
            self.plane.kind,
            self.origin,
            self.samples,
            self.split.name(),
            statistics(self.bn, self.has_statistics),
            self.grid.measured(),
            self.grid.x().len() * self.grid.y().len(),
            error(&self.grid),
        );
        text += &self.assumed.text();
        if let Some(fidelity) = self.fidelity {
            let _ = writeln!(text, "{}", fidelity.sentence());
        }
        if let Some(explained) = &self.plane.explained {
            let shares: Vec<String> = explained.iter().map(|share| percent(*share)).collect();
            let _ = writeln!(
                text,
                "PC1 and PC2 hold {} of the path's variance{}",
                shares.join(" and "),
                self.random_walk()
            );
        } else {
            let (cosine, expected) = (self.plane.cosine, self.plane.expected_cosine);
            let _ = write!(
                text,
                "cosine of the directions {cosine:.5}; random ones have about {expected:.5}"
            );
            if let Some(expected) = self.plane.expected_cosine_normalized {
                let _ = write!(text, ", of these lengths {expected:.5}");
            }
            text.push('\n');
        }
        if let Some((x, y, lowest)) = self.grid.lowest() {
            let _ = writeln!(
                text,
                "lowest point of the grid {x:.4}, {y:.4}: loss {}{}",
                loss(lowest.loss),
                score::behind(self.score, lowest.score)
            );
        }
        if let Some(last) = self.path.iter().find(|point| point.step == self.origin) {
            let _ = writeln!(text, "origin: loss {}", loss(last.loss));
        }
        text + &self.trust()
    }

    /// Returns the share that the plane of a random walk of as many checkpoints holds, as the end of a sentence.
    fn random_walk(&self) -> String {
        let shares = random_walk_shares(self.path.len());
        if shares.len() < 2 {
            return String::new();
        }
        format!(
            "; a random walk of {} checkpoints has {} in two",
            self.path.len(),
            percent(shares.iter().take(2).sum())
        )
    }

    /// Returns the distance of the checkpoints from the plane, and that of their losses from the map.
    fn trust(&self) -> String {
        let mut text = String::new();
        let doubt = self.grid.doubt();
        let doubts = (self.path.iter()).map(|point| (doubt(point.loss, point.plane_loss), point));
        let known = doubts.filter(|(doubt, _)| doubt.is_finite());
        if let Some((_, most)) = known.max_by(|a, b| a.0.total_cmp(&b.0))
            && self.path.len() > 1
        {
            let _ = writeln!(
                text,
                "own loss of a checkpoint and the map's differ most at step {}: {} and {}",
                most.step,
                loss(most.loss),
                loss(most.plane_loss)
            );
        }
        if let Some((step, share)) = path::farthest(&self.path) {
            let _ = writeln!(
                text,
                "farthest from the plane: step {step}, by {} of the path's extent",
                percent(share)
            );
        }
        text
    }

    /// Returns the loss along both axes through the origin, where the grid holds it.
    fn slices(&self, width: usize) -> String {
        let mut text = String::new();
        for (axis, lines) in [("x", self.grid.x()), ("y", self.grid.y())] {
            let field = if axis == "x" {
                self.grid.sample(lines, &[0.0])
            } else {
                self.grid.sample(&[0.0], lines)
            };
            if field.loss.iter().any(|loss| loss.is_finite()) {
                let title = format!("loss along {axis} through the origin");
                let mark = Mark {
                    at: 0.0,
                    label: "0".into(),
                };
                let curves = vec![graph::curve(lines, &field.loss)];
                let graph = graph::plain(&title, "", curves, vec![mark]);
                let _ = write!(text, "\n{}", graph::text(&graph, width));
            }
        }
        text
    }
}
