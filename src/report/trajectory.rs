//! `trajectory` without a screen.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::plot::axis::short;
use crate::weights::random_projection::RandomProjection;
use crate::weights::trajectory::Trajectory;

use super::map::{self, PrintedMap};
use super::{cell, csv_rows, percent};

/// The JSON of `trajectory`; field names and order are other programs' to rely on.
#[derive(Debug, Serialize)]
pub struct Report {
    run: String,
    parameters: usize,
    steps: Vec<u64>,
    norm: Vec<f64>,
    update_norm: Vec<f64>,
    explained: Vec<f64>,
    explained_null: Vec<f64>,
    singular: Vec<f64>,
    lissajous: Vec<f64>,
    coordinates: Vec<[f64; 2]>,
    residual: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    random: Option<RandomProjection>,
    #[serde(skip)]
    looks_random: bool,
}

impl Report {
    /// Takes the figures of a fitted path.
    #[must_use]
    pub fn new(
        run: &Path,
        parameters: usize,
        trajectory: &Trajectory,
        random: Option<RandomProjection>,
    ) -> Self {
        let looks_random = trajectory.looks_random();
        let trajectory = trajectory.clone();
        Self {
            random,
            run: run.display().to_string(),
            parameters,
            steps: trajectory.steps,
            norm: trajectory.norm,
            update_norm: trajectory.update_norm,
            explained: trajectory.explained,
            explained_null: trajectory.explained_null,
            singular: trajectory.singular,
            lissajous: trajectory.lissajous,
            coordinates: trajectory.coordinates,
            residual: trajectory.residual,
            looks_random,
        }
    }

    /// One row a checkpoint.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let head = ["step", "x", "y", "residual", "norm", "update_norm"]
            .map(str::to_owned)
            .to_vec();
        let row = |i: usize| {
            let [x, y] = self.coordinates[i];
            let values = [x, y, self.residual[i], self.norm[i], self.update_norm[i]].map(cell);
            [vec![self.steps[i].to_string()], values.to_vec()].concat()
        };
        csv_rows(std::iter::once(head).chain((0..self.steps.len()).map(row)))
    }

    /// Summary, picture of the path and table.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = format!(
            "{}: {} checkpoints, steps {} to {}, {} parameters\n",
            self.run,
            self.steps.len(),
            self.steps.first().unwrap_or(&0),
            self.steps.last().unwrap_or(&0),
            self.parameters,
        );
        text += &self.variance();
        if self.explained.len() >= 2 {
            let _ = write!(text, "\n{}\n", self.map(width));
        }
        if let Some(random) = &self.random {
            text += &random_map(random, width);
        }
        text += &self.table();
        text
    }

    /// The path on its plane; the last checkpoint is at 0, 0.
    fn map(&self, width: usize) -> String {
        let explained = Some([self.explained[0], self.explained[1]]);
        let map = PrintedMap::of_path(&self.coordinates, ["PC1", "PC2"], explained);
        map::text(&map, width)
    }

    fn variance(&self) -> String {
        let share = |values: &[f64]| values.iter().take(2).sum::<f64>();
        let mut text = match self.explained.len() {
            0 => "One checkpoint is a point: there is no path yet.\n".to_owned(),
            1 => "Two checkpoints make a line: a plane needs a third.\n".to_owned(),
            _ => format!(
                "PC1 {} + PC2 {} = {} of the path's variance; a random walk has {}\n",
                percent(self.explained[0]),
                percent(self.explained[1]),
                percent(share(&self.explained)),
                percent(share(&self.explained_null)),
            ),
        };
        if self.lissajous.len() >= 2 {
            let verdict = if self.looks_random {
                ": the curve on this plane is what a random walk draws"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "Lissajous score {:.2}, {:.2}{verdict}",
                self.lissajous[0], self.lissajous[1]
            );
        }
        text
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{:>10}  {:>10}  {:>10}  {:>9}  {:>10}  {:>10}\n",
            "step", "PC1", "PC2", "off plane", "norm", "update"
        );
        for i in 0..self.steps.len() {
            let [x, y] = self.coordinates[i];
            let off = percent(self.residual[i]);
            let (norm, update) = (self.norm[i], self.update_norm[i]);
            let _ = writeln!(
                text,
                "{:>10}  {x:>10.4}  {y:>10.4}  {off:>9}  {norm:>10.4}  {update:>10.4}",
                self.steps[i]
            );
        }
        text
    }
}

/// The path on the random plane, and how little of it that catches.
fn random_map(random: &RandomProjection, width: usize) -> String {
    let axes = ["random 1", "random 2"];
    let map = PrintedMap::of_path(&random.coordinates, axes, None);
    let map = map::text(&map, width);
    format!(
        "A random plane (seed {}) holds {} % of the path's variance; cosine of its directions {}, expected {}\n\n{map}\n",
        random.seed,
        short(100.0 * random.explained),
        short(random.cosine),
        short(random.expected_cosine),
    )
}
