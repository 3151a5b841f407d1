//! The queries of each analysis, around the last checkpoint of a path or at each of them.

use crate::data::Split;
use crate::landscape::grid::explore::WHOLE;
use crate::landscape::grid::survey::{self};
use crate::landscape::{GridSide, Position, Query, Surface};
use crate::run::Checkpoint;
use crate::session::job::Job;
use crate::weights::{BatchNorm, Directions, Ignore, Norm, PlaneSpec};

use super::{
    Analysis, AnalysisPicture, AnalysisProgress, AnalysisResult, AnalysisTarget, CurvatureMap,
    LineCurve,
};

/// Random directions that are overlaid, to show whether the shape repeats.
pub const SEEDS: u64 = 3;
/// Points of a line; 0 and 1 are among them.
pub const POINTS: usize = 41;
/// Lines a side of the random plane, from −1 to 1.
pub const PLANE_LINES: usize = 33;
/// Lines a side of the curvature map.
pub const CURVATURE_LINES: usize = 9;

/// A path, and how it is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct AnalysisSubject<'a> {
    /// The plane of the path.
    pub spec: &'a PlaneSpec,
    /// The checkpoints of the path.
    pub members: &'a [Checkpoint],
    /// The window of the plane.
    pub window: [[f64; 2]; 2],
    /// The session's own samples.
    pub split: Split,
    /// Seed of the first random direction.
    pub seed: u64,
    /// Number of the first plan.
    pub next: u64,
}

type AnalysisJobs = Vec<Job<AnalysisTarget>>;

impl AnalysisResult {
    /// Plans an analysis; `None` if there are too few checkpoints.
    #[must_use]
    pub fn plan(analysis: Analysis, subject: AnalysisSubject<'_>) -> Option<(Self, AnalysisJobs)> {
        let (picture, jobs) = match analysis {
            Analysis::Plane => subject.plane()?,
            Analysis::Curvature => subject.curvature()?,
            Analysis::Stability => subject.stability(),
            Analysis::Random => subject.random_lines()?,
            Analysis::Update => {
                let before = subject.members.len().checked_sub(2)?;
                let ends = [subject.members.get(before)?, subject.members.last()?];
                let spec = subject.along(ends, ends[1], subject.spec.batch_norm);
                subject.both_splits(&spec, [-2.0, 2.0])
            }
            Analysis::Line => {
                let ends = [subject.members.first()?, subject.members.last()?];
                if ends[0] == ends[1] {
                    return None;
                }
                // Both ends are checkpoints with statistics of their own.
                let spec = subject.along(ends, ends[0], BatchNorm::States);
                subject.both_splits(&spec, [-0.5, 1.5])
            }
        };
        let left = jobs.iter().map(|job| job.tasks.len()).sum();
        let result = Self {
            analysis,
            picture,
            left,
            share: 0.0,
            seconds_left: None,
            progress: AnalysisProgress {
                planned: left,
                ..AnalysisProgress::default()
            },
        };
        Some((result, jobs))
    }
}

impl AnalysisSubject<'_> {
    /// Returns the slices along random directions, on the session's own samples alone, because they are overlaid.
    fn random_lines(&self) -> Option<(AnalysisPicture, AnalysisJobs)> {
        let origin = self.members.last()?;
        let alpha = survey::spread(-1.0, 1.0, POINTS);
        let seeds = self.seed..self.seed.saturating_add(SEEDS);
        let one = |(line, seed)| {
            let spec = self.around(origin, random(seed));
            self.curve(line, (Some(seed), self.split), spec, &alpha)
        };
        let (lines, jobs) = seeds.enumerate().map(one).unzip();
        Some((AnalysisPicture::Lines(lines), jobs))
    }

    /// Returns the plane along the difference of two checkpoints.
    fn along(
        &self,
        [from, to]: [&Checkpoint; 2],
        origin: &Checkpoint,
        batch_norm: BatchNorm,
    ) -> PlaneSpec {
        let directions = Directions::Difference {
            from: from.clone(),
            to: to.clone(),
        };
        PlaneSpec {
            batch_norm,
            ..self.around(origin, directions)
        }
    }

    /// Returns the line along the first direction on both splits, the session's own first.
    fn both_splits(
        &self,
        spec: &PlaneSpec,
        [min, max]: [f64; 2],
    ) -> (AnalysisPicture, AnalysisJobs) {
        let alpha = survey::spread(min, max, POINTS);
        let splits = [self.split, self.split.other()].into_iter().enumerate();
        let one = |(line, split)| self.curve(line, (None, split), spec.clone(), &alpha);
        let (lines, jobs) = splits.map(one).unzip();
        (AnalysisPicture::Lines(lines), jobs)
    }

    fn curve(
        &self,
        line: usize,
        (seed, split): (Option<u64>, Split),
        spec: PlaneSpec,
        alpha: &[f64],
    ) -> (LineCurve, Job<AnalysisTarget>) {
        let task = |(point, alpha): (usize, &f64)| {
            let query = Query::on_plane([*alpha, 0.0]);
            (query, AnalysisTarget::Line { line, point })
        };
        let tasks = alpha.iter().enumerate().map(task).collect();
        let curve = LineCurve {
            seed,
            split,
            values: vec![None; alpha.len()],
            alpha: alpha.to_vec(),
        };
        let job = self.job(line, (spec, split), tasks);
        (curve, job)
    }

    fn plane(&self) -> Option<(AnalysisPicture, AnalysisJobs)> {
        let spec = self.around(self.members.last()?, random(self.seed));
        let lines = survey::spread(-1.0, 1.0, PLANE_LINES);
        let plane = Surface::new(lines.clone(), lines);
        let coarse: Vec<_> = (0..WHOLE)
            .flat_map(|level| plane.additions(level, &[[0.0, 0.0]]))
            .collect();
        let job = self.job(0, (spec, self.split), points(&plane, &coarse));
        Some((AnalysisPicture::Plane(plane), vec![job]))
    }

    /// Returns the newest checkpoint itself first, then its surroundings on the plane of the path.
    fn curvature(&self) -> Option<(AnalysisPicture, AnalysisJobs)> {
        let [x, y] = (self.window).map(|[min, max]| survey::spread(min, max, CURVATURE_LINES));
        let newest = curvature_of(self.members.last()?);
        let mut tasks = vec![(newest, AnalysisTarget::Here)];
        let sides = [&x, &y].map(|lines| GridSide::of(lines.len()));
        for level in 0..survey::levels(sides) {
            for (i, j) in survey::additions(sides, [&x, &y], level, &[[0.0, 0.0]]) {
                let query = Query::curvature(Position::Plane([x[i], y[j]]));
                tasks.push((query, AnalysisTarget::Map(j * x.len() + i)));
            }
        }
        let map = CurvatureMap {
            values: vec![None; x.len() * y.len()],
            x,
            y,
            here: None,
        };
        let job = self.job(0, (self.spec.clone(), self.split), tasks);
        Some((AnalysisPicture::Curvature(map), vec![job]))
    }

    /// Returns the newest checkpoint first, then ever closer together: a curve is to be seen early.
    fn stability(&self) -> (AnalysisPicture, AnalysisJobs) {
        let newest = self.members.iter().rev();
        let mut checkpoints: Vec<Checkpoint> = Vec::new();
        let mut apart = self.members.len().next_power_of_two();
        while apart > 0 {
            for member in newest.clone().step_by(apart) {
                if !checkpoints.contains(member) {
                    checkpoints.push(member.clone());
                }
            }
            apart /= 2;
        }
        let task = |(i, one)| (curvature_of(one), AnalysisTarget::Checkpoint(i));
        let tasks = checkpoints.iter().enumerate().map(task).collect();
        let job = self.job(0, (self.spec.clone(), self.split), tasks);
        (AnalysisPicture::Stability(checkpoints), vec![job])
    }

    /// Returns the plane through a checkpoint along other directions.
    fn around(&self, origin: &Checkpoint, directions: Directions) -> PlaneSpec {
        PlaneSpec {
            origin: origin.clone(),
            directions,
            ..self.spec.clone()
        }
    }

    /// Returns one of the jobs of an analysis, by its index.
    fn job(
        &self,
        index: usize,
        (spec, split): (PlaneSpec, Split),
        tasks: Vec<(Query, AnalysisTarget)>,
    ) -> Job<AnalysisTarget> {
        Job {
            generation: self.next + index as u64,
            spec,
            split,
            tasks,
        }
    }
}

/// Returns the tasks for points (column, row) of the random plane.
pub(super) fn points(plane: &Surface, points: &[(usize, usize)]) -> Vec<(Query, AnalysisTarget)> {
    let task = |&(i, j): &(usize, usize)| {
        let query = Query::on_plane([plane.x()[i], plane.y()[j]]);
        (query, AnalysisTarget::Plane { i, j })
    };
    points.iter().map(task).collect()
}

pub(super) fn curvature_of(checkpoint: &Checkpoint) -> Query {
    Query::curvature(Position::Checkpoint(checkpoint.clone()))
}

pub(super) fn random(seed: u64) -> Directions {
    Directions::Random {
        seed,
        norm: Norm::Filter,
        ignore: Ignore::Biasbn,
        orthogonal: false,
    }
}
