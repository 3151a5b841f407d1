//! Pictures that are measured on demand: lines through the current checkpoint, and its curvature.

mod plan;
mod recorded;

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::data::Split;
use crate::landscape::grid::explore::BATCH;
use crate::landscape::{Estimate, Extremes, Query, QueryAnswer, Surface};
use crate::loss::Measure;
use crate::run::Checkpoint;

pub use plan::{AnalysisSubject, CURVATURE_LINES, PLANE_LINES, POINTS, SEEDS};
use recorded::AnalysisRecord;

/// Pictures that are to be measured before the map goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Analysis {
    /// Slices along random filter-normalized directions, several seeds.
    Random,
    /// The slice along the last update.
    Update,
    /// The line from the first checkpoint (α = 0) to the current one (α = 1).
    Line,
    /// The loss on a plane of two random filter-normalized directions.
    Plane,
    /// λmax, λmin and their ratio around the current checkpoint.
    Curvature,
    /// λmax at each checkpoint.
    Stability,
}

/// Share of an analysis that is not done, at most.
const NEARLY: f64 = 0.99;

/// One measured line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineCurve {
    /// Seed of a random direction.
    pub seed: Option<u64>,
    /// The samples.
    pub split: Split,
    /// Places, in lengths of the direction.
    pub alpha: Vec<f64>,
    /// Values there, as far as they are measured.
    pub values: Vec<Option<Measure>>,
}

/// The curvature around the current checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvatureMap {
    /// Columns.
    pub x: Vec<f64>,
    /// Rows.
    pub y: Vec<f64>,
    /// Entry j·columns + i, as far as it is known.
    pub values: Vec<Option<Extremes>>,
    /// At the checkpoint.
    pub here: Option<Extremes>,
}

/// A picture as far as it is measured.
#[derive(Clone, Debug, PartialEq)]
pub enum AnalysisPicture {
    /// Lines, one for each direction or split.
    Lines(Vec<LineCurve>),
    /// The random plane.
    Plane(Surface),
    /// The map of curvature.
    Curvature(CurvatureMap),
    /// The checkpoints at which λmax is measured, in that order; the session keeps the values.
    Stability(Vec<Checkpoint>),
}

/// An analysis and its picture so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "AnalysisRecord", into = "AnalysisRecord")]
pub struct AnalysisResult {
    /// The pictures that it measures.
    pub analysis: Analysis,
    /// The picture.
    pub picture: AnalysisPicture,
    /// Points that are still to come.
    pub left: usize,
    /// Share that is done, 0 to 1, with the products of the points in hand; it never falls.
    pub share: f64,
    /// Seconds that the rest will take, at the pace since the first product or answer; `None` before an answer.
    pub seconds_left: Option<f64>,
    progress: AnalysisProgress,
}

/// The start of the clock, and the points that have begun; not recorded.
#[derive(Clone, Debug, Default, PartialEq)]
struct AnalysisProgress {
    /// Time of the first answer or product, and the share that was done then.
    first: Option<(Instant, f64)>,
    /// Points that were planned in all.
    planned: usize,
    /// The share that is done of each point in hand.
    in_hand: Vec<(AnalysisTarget, f64)>,
}

/// The place of an answer in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnalysisTarget {
    /// A point of a line.
    Line {
        /// Index of the line.
        line: usize,
        /// Index of the point.
        point: usize,
    },
    /// A point of the random plane.
    Plane {
        /// Column.
        i: usize,
        /// Row.
        j: usize,
    },
    /// Entry j·columns + i of the map of curvature.
    Map(usize),
    /// The current checkpoint, beside the map of curvature.
    Here,
    /// λmax of a checkpoint, by its index.
    Checkpoint(usize),
}

impl AnalysisResult {
    /// Returns the lines, if it measures lines.
    #[must_use]
    pub fn lines(&self) -> &[LineCurve] {
        match &self.picture {
            AnalysisPicture::Lines(lines) => lines,
            _ => &[],
        }
    }

    /// Returns the random plane, if it measures that.
    #[must_use]
    pub fn plane(&self) -> Option<&Surface> {
        match &self.picture {
            AnalysisPicture::Plane(plane) => Some(plane),
            _ => None,
        }
    }

    /// Returns the map of curvature, if it measures that.
    #[must_use]
    pub fn curvature(&self) -> Option<&CurvatureMap> {
        match &self.picture {
            AnalysisPicture::Curvature(map) => Some(map),
            _ => None,
        }
    }

    /// Returns the checkpoint at which λmax is measured; `None` for another place.
    #[must_use]
    pub fn checkpoint(&self, target: AnalysisTarget) -> Option<&Checkpoint> {
        match (&self.picture, target) {
            (AnalysisPicture::Stability(checkpoints), AnalysisTarget::Checkpoint(i)) => {
                checkpoints.get(i)
            }
            _ => None,
        }
    }

    /// Returns the tasks that follow when all are done: the points for which the random plane asks. `None` if there
    /// are none.
    pub fn next_batch(&mut self) -> Option<Vec<(Query, AnalysisTarget)>> {
        let plane = self.plane()?;
        let mut wanted = Estimate::of(plane).wanted();
        wanted.truncate(BATCH);
        let tasks = plan::points(plane, &wanted);
        self.left += tasks.len();
        self.progress.planned += tasks.len();
        Some(tasks).filter(|tasks| !tasks.is_empty())
    }

    /// Takes an answer.
    pub fn take(&mut self, target: AnalysisTarget, value: &QueryAnswer) {
        self.left = self.left.saturating_sub(1);
        self.progress.in_hand.retain(|known| known.0 != target);
        self.advance();
        match (&mut self.picture, target, value) {
            (
                AnalysisPicture::Lines(lines),
                AnalysisTarget::Line { line, point },
                &QueryAnswer::Measure(measure),
            ) => lines[line].values[point] = Some(measure),
            (
                AnalysisPicture::Plane(plane),
                AnalysisTarget::Plane { i, j },
                &QueryAnswer::Measure(measure),
            ) => plane.record(i, j, measure),
            (
                AnalysisPicture::Curvature(map),
                AnalysisTarget::Here,
                &QueryAnswer::Curvature(extremes),
            ) => map.here = Some(extremes),
            (
                AnalysisPicture::Curvature(map),
                AnalysisTarget::Map(at),
                &QueryAnswer::Curvature(extremes),
            ) => map.values[at] = Some(extremes),
            _ => {}
        }
    }

    /// Takes the products that a point has had, of those that it has at most.
    pub fn take_product(&mut self, target: AnalysisTarget, done: usize, of: usize) {
        let in_hand = &mut self.progress.in_hand;
        in_hand.retain(|known| known.0 != target);
        in_hand.push((target, done as f64 / of.max(1) as f64));
        self.advance();
    }

    fn advance(&mut self) {
        let begun = self.progress.in_hand.iter().map(|known| known.1.min(1.0));
        let answered = self.progress.planned.saturating_sub(self.left) as f64;
        let share = (answered + begun.sum::<f64>()) / self.progress.planned.max(1) as f64;
        let share = if self.left == 0 {
            1.0
        } else {
            share.min(NEARLY)
        };
        self.share = self.share.max(share);
        let (since, from) = *(self.progress.first).get_or_insert((Instant::now(), self.share));
        let (done, left) = (self.share - from, 1.0 - self.share);
        let pace = done / since.elapsed().as_secs_f64();
        // Most points take a part of the products that they may take, which only an answer tells.
        let is_told = answered >= 1.0 && done > 0.0 && left > 0.0;
        self.seconds_left = is_told.then(|| left / pace);
    }
}

#[cfg(test)]
mod tests;
