//! `compare` without a screen.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::data::Split;
use crate::landscape::{Assumed, Surface};
use crate::loss::Measure;
use crate::loss::Score;
use crate::plot::map::panels::{self};
use crate::plot::{
    Extras, Layers, LevelScale, MapScene, Marker, Palette, Panel, Picture, SurfaceLayer,
};
use crate::weights::BatchNorm;

use super::npz::Array;
use super::path::{self, PathPoint};
use super::plane::PlaneReport;
use super::score::{self, Keyed};
use super::surface::{FidelityReport, rows};
use super::vtp::MeshPiece;
use super::{cell, csv_rows, loss, map, statistics};

/// Characters across, and lines down for each row of panels.
pub const WIDTH: usize = 120;
const ROW: usize = 20;

/// The measurement on test samples.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Loss and score.
    pub measure: Measure,
    /// Number of samples.
    pub samples: usize,
}

/// One run or checkpoint of a comparison.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The run folder or checkpoint.
    pub run: String,
    /// Label that tells it from the others, as the user or the checkpoint says it.
    pub label: String,
    /// Step of the checkpoint at the origin.
    pub step: u64,
    /// The architecture.
    pub model: String,
    /// Assumptions about the function that is measured, and the reasons for them.
    pub assumed: Assumed,
    /// Trainable parameters.
    pub parameters: usize,
    /// The plane.
    pub plane: PlaneReport,
    /// Loss and score at the origin.
    pub at_origin: Measure,
    /// The same on test samples, where there are any.
    pub test: Option<Test>,
    /// The score beside the loss; `None` if it has none.
    pub score: Option<Score>,
    /// The measured grid of the plane.
    pub grid: Surface,
    /// Its estimate, if not all samples were measured everywhere.
    pub fidelity: Option<FidelityReport>,
    /// The run's path on the plane.
    pub path: Vec<PathPoint>,
    /// Indices of its points at which the learning rate fell.
    pub drops: Vec<usize>,
    /// The other run's path, on a plane that both share.
    pub other: Vec<PathPoint>,
}

/// Runs or checkpoints side by side, on one range and one colour scale.
#[derive(Clone, Debug)]
pub struct CompareReport {
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
    /// The runs that are compared.
    pub subjects: Vec<Subject>,
}

#[derive(Debug, Serialize)]
struct SubjectJson<'a> {
    run: &'a str,
    label: &'a str,
    step: u64,
    model: &'a str,
    assumed: &'a Assumed,
    parameters: usize,
    plane: &'a PlaneReport,
    loss_at_origin: f64,
    test_error: Option<f64>,
    test_samples: Option<usize>,
    loss: Vec<Vec<f64>>,
    #[serde(flatten)]
    score: Keyed<Vec<Vec<f64>>>,
    measured: Vec<Vec<bool>>,
    evaluations: usize,
    path: &'a [PathPoint],
    drops: Vec<u64>,
    other_path: Option<&'a [PathPoint]>,
}

/// The JSON of `compare`; x and y are those of every subject.
#[derive(Debug, Serialize)]
pub struct CompareJson<'a> {
    samples: usize,
    split: Split,
    seed: u64,
    bn: BatchNorm,
    x: &'a [f64],
    y: &'a [f64],
    runs: Vec<SubjectJson<'a>>,
}

impl Subject {
    /// Returns the paper's title line, the test error and what differs: the error stands in front, since a
    /// panel cuts a long label.
    #[must_use]
    pub fn title(&self) -> String {
        match self.test {
            Some(test) => format!(
                "{}, {}",
                score::on_test(self.score, test.measure),
                self.label
            ),
            None => self.label.clone(),
        }
    }

    /// Returns the same with the number of test samples.
    fn sentence(&self) -> String {
        match self.test {
            Some(test) => format!(
                "{}, {} of {} samples",
                self.label,
                score::on_test(self.score, test.measure),
                test.samples
            ),
            None => format!("{}, no test error", self.label),
        }
    }

    /// Returns the share of the test samples that are classified wrong; `None` if the score is no accuracy.
    fn test_error(&self) -> Option<f64> {
        let is_accuracy = self.score == Some(Score::Accuracy);
        let test = self.test.filter(|_| is_accuracy)?;
        Some(1.0 - test.measure.score)
    }

    fn json(&self) -> SubjectJson<'_> {
        let rows = rows(&self.grid, self.score);
        SubjectJson {
            run: &self.run,
            label: &self.label,
            step: self.step,
            model: &self.model,
            assumed: &self.assumed,
            parameters: self.parameters,
            plane: &self.plane,
            loss_at_origin: self.at_origin.loss,
            test_error: self.test_error(),
            test_samples: self.test.map(|test| test.samples),
            loss: rows.loss,
            score: rows.score,
            measured: rows.measured,
            evaluations: self.grid.measured(),
            path: &self.path,
            drops: path::steps(&self.path, &self.drops),
            other_path: Some(self.other.as_slice()).filter(|path| !path.is_empty()),
        }
    }
}

impl CompareReport {
    /// Returns the JSON of this comparison.
    #[must_use]
    pub fn json(&self) -> CompareJson<'_> {
        let first = self.subjects.first().map(|subject| &subject.grid);
        CompareJson {
            samples: self.samples,
            split: self.split,
            seed: self.seed,
            bn: self.bn,
            x: first.map_or(&[], Surface::x),
            y: first.map_or(&[], Surface::y),
            runs: self.subjects.iter().map(Subject::json).collect(),
        }
    }

    /// Returns one row a grid point of each run.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let columns = ["run", "label", "x", "y", "loss", "score", "measured"];
        let score = self.subjects.first().and_then(|subject| subject.score);
        let head = score::head(&columns, score);
        let points = self.subjects.iter().flat_map(|subject| {
            let rows = rows(&subject.grid, score);
            let (x, y) = (subject.grid.x(), subject.grid.y());
            (0..x.len() * y.len()).map(move |index| {
                let (i, j) = (index % x.len(), index / x.len());
                let names = [subject.run.clone(), subject.label.clone()];
                let values = [x[i], y[j], rows.loss[j][i]].map(cell);
                let score = rows.score.cell(|rows| rows[j][i]);
                let measured = rows.measured[j][i].to_string();
                let cells = names.into_iter().chain(values).chain(score);
                cells.chain([measured]).collect()
            })
        });
        csv_rows(std::iter::once(head).chain(points))
    }

    fn head(&self) -> String {
        format!(
            "{} {} samples, seed {}{}; one range and one scale for all\n",
            self.samples,
            self.split.name(),
            self.seed,
            statistics(self.bn, self.has_statistics)
        )
    }

    /// Says that runs of one model are measured as different functions, in a line; nothing if they are not.
    fn functions(&self) -> String {
        let Some((first, others)) = self.subjects.split_first() else {
            return String::new();
        };
        let differs = |other: &&Subject| {
            other.model == first.model && other.assumed.function != first.assumed.function
        };
        others.iter().find(differs).map_or_else(String::new, |other| {
            format!(
                "warning: {} is measured as {}, {} as {}: their losses compare only if each is the function of its run\n",
                first.label,
                first.assumed.taken(),
                other.label,
                other.assumed.taken()
            )
        })
    }

    /// Returns a line a run, then the maps in panels.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = self.head();
        for subject in &self.subjects {
            let _ = writeln!(
                text,
                "{}: {}, {} parameters, step {}, {} plane, loss {}{}, cosine {:.5} (random {:.5})",
                subject.sentence(),
                subject.model,
                subject.parameters,
                subject.step,
                subject.plane.kind,
                loss(subject.at_origin.loss),
                score::behind(subject.score, subject.at_origin.score),
                subject.plane.cosine,
                subject
                    .plane
                    .expected_cosine_normalized
                    .unwrap_or(subject.plane.expected_cosine),
            );
            for line in subject.assumed.text().lines() {
                let _ = writeln!(text, "  {line}");
            }
            if let Some(fidelity) = subject.fidelity {
                let _ = writeln!(text, "  {}", fidelity.sentence());
            }
        }
        text += &self.functions();
        text.push('\n');
        text + &self
            .panels(width, map::layers(), map::marker(), None)
            .text()
    }

    /// Draws the runs side by side.
    #[must_use]
    pub fn picture(&self, palette: Option<Palette>) -> Picture {
        let head = self.head();
        map::titled(
            head.lines(),
            palette,
            self.panels(WIDTH, Layers::Both, Marker::Braille, palette),
        )
    }

    /// Returns the grids and paths as arrays, and what they are of: names of those of the first run begin with `run0_`.
    #[must_use]
    pub fn arrays(&self) -> (Value, Vec<Array>) {
        let about = json!({
            "samples": self.samples,
            "split": self.split,
            "seed": self.seed,
            "bn": self.bn,
            "runs": self.subjects.iter().map(|subject| json!({
                "run": subject.run,
                "label": subject.label,
                "step": subject.step,
                "model": subject.model,
                "assumed": subject.assumed,
                "parameters": subject.parameters,
                "plane": subject.plane,
                "loss_at_origin": subject.at_origin.loss,
                "score": subject.score.map(Score::key),
            })).collect::<Vec<_>>(),
        });
        let lines = self
            .subjects
            .first()
            .map(|first| [first.grid.x(), first.grid.y()]);
        let axes = lines
            .into_iter()
            .flat_map(|lines| ["x", "y"].into_iter().zip(lines));
        let axes = axes.map(|(name, lines)| Array::row(name, lines.iter().copied()));
        let mut arrays: Vec<Array> = axes.collect();
        for (i, subject) in self.subjects.iter().enumerate() {
            let prefix = format!("run{i}_");
            let rows = rows(&subject.grid, subject.score);
            arrays.extend(rows.arrays(&prefix, subject.grid.x().len()));
            arrays.extend(path::arrays(&prefix, &subject.path));
        }
        (about, arrays)
    }

    /// Returns the surface and path of each run for ParaView; the array `run` tells them apart.
    #[must_use]
    pub fn pieces(&self) -> Vec<MeshPiece> {
        let each = self.subjects.iter().enumerate().flat_map(|(i, subject)| {
            let rows = rows(&subject.grid, subject.score);
            let lines = [subject.grid.x(), subject.grid.y()];
            [
                MeshPiece::surface(i, lines, &rows.loss, &rows.measured),
                MeshPiece::path(i, &subject.path),
            ]
        });
        each.collect()
    }

    fn panels(
        &self,
        width: usize,
        layers: Layers,
        marker: Marker,
        palette: Option<Palette>,
    ) -> Picture {
        let places = |path: &[PathPoint]| -> Vec<[f64; 2]> {
            path.iter().map(|point| [point.x, point.y]).collect()
        };
        let paths: Vec<_> = self
            .subjects
            .iter()
            .map(|subject| [places(&subject.path), places(&subject.other)])
            .collect();
        let panels: Vec<Panel<'_>> = (self.subjects.iter().zip(&paths))
            .map(|(subject, [path, other])| Panel {
                title: subject.title(),
                scene: MapScene {
                    layers,
                    marker,
                    palette,
                    ..scene(subject, path, other)
                },
            })
            .collect();
        let height = ROW * self.subjects.len().div_ceil(3).max(1) + ROW / 2;
        panels::draw(&panels, width, height)
    }
}

fn scene<'a>(subject: &'a Subject, path: &'a [[f64; 2]], other: &'a [[f64; 2]]) -> MapScene<'a> {
    let ends = |lines: &[f64]| [lines.first(), lines.last()].map(|e| e.copied().unwrap_or(0.0));
    MapScene {
        x: ends(subject.grid.x()),
        y: ends(subject.grid.y()),
        backdrop: Some(SurfaceLayer {
            surface: &subject.grid,
            stale: false,
        }),
        path,
        selected: path.len().saturating_sub(1),
        axes: map::axes(["x", "y"], None),
        scale: LevelScale::default(),
        layers: Layers::default(),
        marker: Marker::default(),
        palette: None,
        extras: Extras {
            second_run: other,
            drops: &subject.drops,
            ..Extras::default()
        },
    }
}
