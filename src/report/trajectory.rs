//! `trajectory` without a screen.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::plot::axis::short;
use crate::plot::{Palette, Picture};
use crate::weights::{RandomProjection, Trajectory};

use super::map::{self, PrintedMap, SCREEN};
use super::{cell, csv_rows, percent};

/// The JSON of `trajectory`; field names and order are other programs' to rely on.
#[derive(Debug, Serialize)]
pub struct TrajectoryReport {
    run: String,
    parameters: usize,
    steps: Vec<u64>,
    norm: Vec<f64>,
    update_norm: Vec<f64>,
    explained: Vec<f64>,
    explained_null: Vec<f64>,
    /// The same for a random walk of as many checkpoints.
    explained_walk: Vec<f64>,
    singular: Vec<f64>,
    lissajous: Vec<f64>,
    coordinates: Vec<[f64; 2]>,
    residual: Vec<f64>,
    /// Steps at which the learning rate fell, and the indices of their checkpoints.
    drops: Vec<u64>,
    #[serde(skip)]
    drops_at: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    random: Option<RandomProjection>,
    #[serde(skip)]
    looks_random: bool,
}

impl TrajectoryReport {
    /// Takes the figures of a fitted path; `drops` are the indices of the checkpoints at which the learning rate fell.
    #[must_use]
    pub fn new(
        run: &Path,
        parameters: usize,
        trajectory: &Trajectory,
        drops: Vec<usize>,
        random: Option<RandomProjection>,
    ) -> Self {
        let looks_random = trajectory.looks_random();
        let explained_walk = trajectory.explained_walk();
        let trajectory = trajectory.clone();
        Self {
            drops: drops.iter().map(|at| trajectory.steps[*at]).collect(),
            drops_at: drops,
            random,
            run: run.display().to_string(),
            parameters,
            steps: trajectory.steps,
            norm: trajectory.norm,
            update_norm: trajectory.update_norm,
            explained: trajectory.explained,
            explained_null: trajectory.explained_null,
            explained_walk,
            singular: trajectory.singular,
            lissajous: trajectory.lissajous,
            coordinates: trajectory.coordinates,
            residual: trajectory.residual,
            looks_random,
        }
    }

    /// Returns one row a checkpoint.
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

    /// Writes summary, picture of the path and table.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = self.head();
        text += &self.variance();
        for (map, about) in self.maps() {
            let _ = write!(text, "{about}\n{}\n", map::text(&map, width));
        }
        text += &self.table();
        text
    }

    /// Draws the path on its plane, and below it on a random one where that was asked for.
    #[must_use]
    pub fn picture(&self, palette: Option<Palette>) -> Picture {
        // Where there is no plane yet, what is said of it has room all the same.
        let mut maps = vec![Picture::new(SCREEN[0], 0)];
        for (map, about) in self.maps() {
            maps.push(map::picture(&map, None, about.lines(), palette));
        }
        let head = self.head() + &self.variance();
        map::titled(head.lines(), palette, Picture::stacked(&maps))
    }

    fn head(&self) -> String {
        let checkpoints = match self.steps[..] {
            [step] => format!("1 checkpoint, step {step}"),
            [first, .., last] => {
                format!("{} checkpoints, steps {first} to {last}", self.steps.len())
            }
            [] => "0 checkpoints".into(),
        };
        format!(
            "{}: {checkpoints}, {} parameters\n",
            self.run, self.parameters
        )
    }

    /// Returns the path on its plane, where it has one, and on a random one; each with a sentence about it. The last
    /// checkpoint is at 0, 0.
    fn maps(&self) -> Vec<(PrintedMap<'_>, String)> {
        let mut maps = Vec::new();
        if let [first, second, ..] = self.explained[..] {
            let explained = Some([first, second]);
            let map = PrintedMap::of_path(&self.coordinates, ["PC1", "PC2"], explained);
            maps.push((map.with_drops(&self.drops_at), String::new()));
        }
        if let Some(random) = &self.random {
            let axes = ["random 1", "random 2"];
            let map = PrintedMap::of_path(&random.coordinates, axes, None);
            maps.push((map.with_drops(&self.drops_at), about_random(random)));
        }
        maps
    }

    /// Returns the share of a long random walk, and that of one as short as the path.
    fn walk(&self) -> String {
        let share = |values: &[f64]| percent(values.iter().take(2).sum());
        let (long, short) = (share(&self.explained_null), share(&self.explained_walk));
        let mut said = format!("a random walk has {long}");
        if short != long {
            let _ = write!(said, ", one of {} checkpoints {short}", self.steps.len());
        }
        said
    }

    fn variance(&self) -> String {
        let share = |values: &[f64]| values.iter().take(2).sum::<f64>();
        let mut text = match self.explained.len() {
            0 => "One checkpoint is a point: there is no path yet.\n".to_owned(),
            1 => "Two checkpoints make a line: a plane needs a third.\n".to_owned(),
            _ => format!(
                "PC1 {} + PC2 {} = {} of the path's variance; {}\n",
                percent(self.explained[0]),
                percent(self.explained[1]),
                percent(share(&self.explained)),
                self.walk()
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
            "step", "PC1", "PC2", "residual", "norm", "update"
        );
        for i in 0..self.steps.len() {
            let [x, y] = self.coordinates[i];
            let off = percent(self.residual[i]);
            let norm = self.norm[i];
            // No update led to the first one.
            let update = match i {
                0 => "–".into(),
                _ => format!("{:.4}", self.update_norm[i]),
            };
            let _ = writeln!(
                text,
                "{:>10}  {x:>10.4}  {y:>10.4}  {off:>9}  {norm:>10.4}  {update:>10}",
                self.steps[i]
            );
        }
        text
    }
}

/// Says how little of the path a random plane catches.
fn about_random(random: &RandomProjection) -> String {
    format!(
        "A random plane (seed {}) holds {} % of the path's variance; cosine of its directions {}, expected {}{}\n",
        random.seed,
        short(100.0 * random.explained),
        short(random.cosine),
        short(random.expected()),
        if random.expected_normalized.is_some() {
            format!(", {} without normalization", short(random.expected_cosine))
        } else {
            String::new()
        }
    )
}
