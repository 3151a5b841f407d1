//! Pictures that are measured on demand: lines through the current checkpoint, and its curvature.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::data::Split;
use crate::landscape::curvature::Extremes;
use crate::landscape::grid::explore::{BATCH, WHOLE};
use crate::landscape::grid::refine::Estimate;
use crate::landscape::grid::surface::{Measure, Surface};
use crate::landscape::grid::survey::{self, GridSide};
use crate::landscape::worker::protocol::{Plan, Position, Query, QueryAnswer};
use crate::run::Checkpoint;
use crate::weights::normalize::{Ignore, Norm};
use crate::weights::plane_spec::{BatchNorm, Directions, PlaneSpec};

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

/// Random directions that are overlaid, to show whether the shape repeats.
pub const SEEDS: u64 = 3;
/// Points of a line; 0 and 1 are among them.
pub const POINTS: usize = 41;
/// Lines a side of the random plane, from −1 to 1.
pub const PLANE_LINES: usize = 33;
/// Share of an analysis that is not done, at most.
const NEARLY: f64 = 0.99;
/// Lines a side of the curvature map.
pub const CURVATURE_LINES: usize = 9;

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

/// An analysis and what it has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalysisResult {
    /// The pictures that it measures.
    pub analysis: Analysis,
    /// Lines, where it measures lines.
    pub lines: Vec<LineCurve>,
    /// The map of curvature, where it measures that.
    pub curvature: Option<CurvatureMap>,
    /// The random plane, where it measures that.
    pub plane: Option<Surface>,
    /// The checkpoints at which it measures curvature, in that order.
    #[serde(rename = "stations")]
    pub checkpoints: Vec<Checkpoint>,
    /// Points that are still to come.
    pub left: usize,
    /// Share that is done, 0 to 1, with the products of the points in hand; it never falls.
    #[serde(default)]
    pub share: f64,
    /// Seconds that the rest will take, at the pace since the first product or answer; `None` before an answer.
    pub seconds_left: Option<f64>,
    /// Plans whose answers are still to come; not recorded.
    #[serde(skip)]
    pending: PendingPlans,
}

/// Targets of the answers, and the start of the clock.
#[derive(Clone, Debug, Default, PartialEq)]
struct PendingPlans {
    /// Time of the first answer or product, and the share that was done then.
    first: Option<(Instant, f64)>,
    /// Points that were planned in all.
    planned: usize,
    /// The share that is done of the point in hand of each plan, by its index.
    in_hand: Vec<(u64, usize, f64)>,
    /// The target of each query of each plan: an entry of `lines`, or of the map.
    targets: Vec<Vec<Target>>,
    /// Generation of each plan.
    generations: Vec<u64>,
    /// The last plan, where others follow that differ in their queries alone.
    template: Option<Plan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Line { line: usize, point: usize },
    Plane { i: usize, j: usize },
    Map(usize),
    Here,
    Checkpoint(usize),
}

impl AnalysisResult {
    /// Plans an analysis around the last of `members`, or at each of them, on the plane of `spec` with this
    /// window. The plans' generations count on from `next`. Random directions have `seed` and those after
    /// it. None where there are too few checkpoints.
    #[must_use]
    pub fn plan(
        analysis: Analysis,
        spec: &PlaneSpec,
        members: &[Checkpoint],
        window: [[f64; 2]; 2],
        split: Split,
        seed: u64,
        next: u64,
    ) -> Option<(Self, Vec<Plan>)> {
        let mut findings = Self {
            analysis,
            lines: Vec::new(),
            curvature: None,
            plane: None,
            checkpoints: Vec::new(),
            left: 0,
            share: 0.0,
            seconds_left: None,
            pending: PendingPlans::default(),
        };
        let plans = match analysis {
            Analysis::Plane => vec![findings.plan_plane(spec, members, seed, split)?],
            Analysis::Curvature => vec![findings.plan_curvature(spec, members, window, split)?],
            Analysis::Stability => vec![findings.plan_checkpoints(spec, members, split)],
            _ => findings.plan_lines(spec, members, seed, split)?,
        };
        let plans = plans
            .into_iter()
            .zip(next..)
            .map(|(plan, generation)| Plan { generation, ..plan });
        let plans: Vec<Plan> = plans.collect();
        findings.pending.generations = plans.iter().map(|plan| plan.generation).collect();
        findings.left = plans.iter().map(|plan| plan.queries.len()).sum();
        findings.pending.planned = findings.left;
        Some((findings, plans))
    }

    fn plan_lines(
        &mut self,
        spec: &PlaneSpec,
        members: &[Checkpoint],
        seed: u64,
        split: Split,
    ) -> Option<Vec<Plan>> {
        let last = members.last()?.clone();
        let before = members.len().checked_sub(2).and_then(|i| members.get(i));
        let range = match self.analysis {
            Analysis::Random => [-1.0, 1.0],
            Analysis::Update => [-2.0, 2.0],
            _ => [-0.5, 1.5],
        };
        let directions: Vec<(Option<u64>, Directions)> = match self.analysis {
            Analysis::Random => (seed..seed.saturating_add(SEEDS))
                .map(|seed| (Some(seed), random(seed)))
                .collect(),
            Analysis::Update => {
                let from = before?.clone();
                vec![(
                    None,
                    Directions::Difference {
                        from,
                        to: last.clone(),
                    },
                )]
            }
            _ => {
                let from = members.first().filter(|first| **first != last)?.clone();
                vec![(
                    None,
                    Directions::Difference {
                        from,
                        to: last.clone(),
                    },
                )]
            }
        };
        let mut plans = Vec::new();
        for (seed, directions) in directions {
            let is_line = self.analysis == Analysis::Line;
            let spec = PlaneSpec {
                origin: if is_line {
                    members.first()?.clone()
                } else {
                    last.clone()
                },
                // Both ends of a line are checkpoints with statistics of their own.
                batch_norm: if is_line {
                    BatchNorm::States
                } else {
                    spec.batch_norm
                },
                directions,
                ..spec.clone()
            };
            for split in splits(split, seed.is_some()) {
                plans.push(self.plan_line(spec.clone(), seed, split, range));
            }
        }
        Some(plans)
    }

    fn plan_line(
        &mut self,
        spec: PlaneSpec,
        seed: Option<u64>,
        split: Split,
        [min, max]: [f64; 2],
    ) -> Plan {
        let alpha = survey::spread(min, max, POINTS);
        let line = self.lines.len();
        let queries = alpha
            .iter()
            .map(|alpha| Query::on_plane([*alpha, 0.0]))
            .collect();
        self.pending.targets.push(
            (0..POINTS)
                .map(|point| Target::Line { line, point })
                .collect(),
        );
        self.lines.push(LineCurve {
            seed,
            split,
            values: vec![None; alpha.len()],
            alpha,
        });
        Plan {
            generation: 0,
            spec,
            split,
            queries,
        }
    }

    fn plan_plane(
        &mut self,
        spec: &PlaneSpec,
        members: &[Checkpoint],
        seed: u64,
        split: Split,
    ) -> Option<Plan> {
        let lines = survey::spread(-1.0, 1.0, PLANE_LINES);
        let plane = Surface::new(lines.clone(), lines);
        let points = (0..WHOLE)
            .flat_map(|level| plane.additions(level, &[[0.0, 0.0]]))
            .collect();
        self.plane = Some(plane);
        let spec = PlaneSpec {
            directions: random(seed),
            origin: members.last()?.clone(),
            ..spec.clone()
        };
        let template = Plan {
            generation: 0,
            spec,
            split,
            queries: Vec::new(),
        };
        self.pending.template = Some(template.clone());
        Some(self.plan_points(template, points))
    }

    /// A plan of points of the random plane.
    fn plan_points(&mut self, template: Plan, points: Vec<(usize, usize)>) -> Plan {
        let lines = self.plane.as_ref().map_or(&[][..], Surface::x);
        let queries = points
            .iter()
            .map(|&(i, j)| Query::on_plane([lines[i], lines[j]]))
            .collect();
        let target = |(i, j)| Target::Plane { i, j };
        self.pending
            .targets
            .push(points.into_iter().map(target).collect());
        Plan {
            queries,
            ..template
        }
    }

    /// Returns the plan that follows one that is done: the points for which the random plane asks.
    pub fn next_batch(&mut self, done: u64, generation: u64) -> Option<Plan> {
        let template = self
            .pending
            .template
            .clone()
            .filter(|_| self.pending.generations.last() == Some(&done))?;
        let mut wanted = Estimate::of(self.plane.as_ref()?).wanted();
        wanted.truncate(BATCH);
        if wanted.is_empty() {
            return None;
        }
        self.left += wanted.len();
        self.pending.planned += wanted.len();
        self.pending.generations.push(generation);
        let plan = self.plan_points(template, wanted);
        Some(Plan { generation, ..plan })
    }

    /// The newest checkpoint itself first, then its surroundings on the plane of the path.
    fn plan_curvature(
        &mut self,
        spec: &PlaneSpec,
        members: &[Checkpoint],
        window: [[f64; 2]; 2],
        split: Split,
    ) -> Option<Plan> {
        let [x, y] = window.map(|[min, max]| survey::spread(min, max, CURVATURE_LINES));
        let mut queries = vec![curvature_of(members.last()?)];
        let mut targets = vec![Target::Here];
        let sides = [&x, &y].map(|lines| GridSide::of(lines.len()));
        for level in 0..survey::levels(sides) {
            for (i, j) in survey::additions(sides, [&x, &y], level, &[[0.0, 0.0]]) {
                queries.push(Query::curvature(Position::Plane([x[i], y[j]])));
                targets.push(Target::Map(j * x.len() + i));
            }
        }
        self.pending.targets.push(targets);
        self.curvature = Some(CurvatureMap {
            values: vec![None; x.len() * y.len()],
            x,
            y,
            here: None,
        });
        Some(Plan {
            generation: 0,
            spec: spec.clone(),
            split,
            queries,
        })
    }

    /// The newest checkpoint first, then ever closer together: a curve is to be seen early.
    fn plan_checkpoints(&mut self, spec: &PlaneSpec, members: &[Checkpoint], split: Split) -> Plan {
        let newest = members.iter().rev();
        let mut apart = members.len().next_power_of_two();
        while apart > 0 {
            for member in newest.clone().step_by(apart) {
                if !self.checkpoints.contains(member) {
                    self.checkpoints.push(member.clone());
                }
            }
            apart /= 2;
        }
        let queries = self.checkpoints.iter().map(curvature_of);
        self.pending.targets.push(
            (0..self.checkpoints.len())
                .map(Target::Checkpoint)
                .collect(),
        );
        Plan {
            generation: 0,
            spec: spec.clone(),
            split,
            queries: queries.collect(),
        }
    }

    /// The checkpoint to which an answer belongs.
    #[must_use]
    pub fn checkpoint(&self, generation: u64, index: usize) -> Option<&Checkpoint> {
        let PendingPlans {
            generations,
            targets,
            ..
        } = &self.pending;
        let plans = generations.iter().zip(targets);
        let mut of_plan = plans.filter(|(known, _)| **known == generation);
        match of_plan.next()?.1.get(index)? {
            Target::Checkpoint(checkpoint) => self.checkpoints.get(*checkpoint),
            _ => None,
        }
    }

    /// Takes an answer; false when it belongs to no plan of this analysis.
    pub fn take(&mut self, generation: u64, index: usize, value: &QueryAnswer) -> bool {
        let plan = self
            .pending
            .generations
            .iter()
            .position(|known| *known == generation);
        let target = plan.and_then(|plan| self.pending.targets.get(plan)?.get(index).copied());
        let Some(target) = target else {
            return false;
        };
        self.left = self.left.saturating_sub(1);
        let in_hand = &mut self.pending.in_hand;
        in_hand.retain(|known| (known.0, known.1) != (generation, index));
        self.advance();
        match (target, value) {
            (Target::Line { line, point }, &QueryAnswer::Measure(measure)) => {
                self.lines[line].values[point] = Some(measure);
            }
            (Target::Plane { i, j }, &QueryAnswer::Measure(measure)) => {
                if let Some(plane) = &mut self.plane {
                    plane.record(i, j, measure);
                }
            }
            (Target::Here, &QueryAnswer::Curvature(extremes)) => {
                if let Some(map) = &mut self.curvature {
                    map.here = Some(extremes);
                }
            }
            (Target::Map(at), &QueryAnswer::Curvature(extremes)) => {
                if let Some(map) = &mut self.curvature {
                    map.values[at] = Some(extremes);
                }
            }
            _ => {}
        }
        true
    }

    /// Takes the products that a point has had, of those that it has at most; ignores a point of another analysis.
    pub fn take_product(&mut self, generation: u64, index: usize, done: usize, of: usize) {
        if !self.pending.generations.contains(&generation) {
            return;
        }
        let in_hand = &mut self.pending.in_hand;
        in_hand.retain(|known| (known.0, known.1) != (generation, index));
        in_hand.push((generation, index, done as f64 / of.max(1) as f64));
        self.advance();
    }

    fn advance(&mut self) {
        let begun = self.pending.in_hand.iter().map(|known| known.2.min(1.0));
        let answered = self.pending.planned.saturating_sub(self.left) as f64;
        let share = (answered + begun.sum::<f64>()) / self.pending.planned.max(1) as f64;
        let share = if self.left == 0 {
            1.0
        } else {
            share.min(NEARLY)
        };
        self.share = self.share.max(share);
        let (since, from) = *(self.pending.first).get_or_insert((Instant::now(), self.share));
        let (done, left) = (self.share - from, 1.0 - self.share);
        let pace = done / since.elapsed().as_secs_f64();
        // Most points take a part of the products that they may take, which only an answer tells.
        let is_told = answered >= 1.0 && done > 0.0 && left > 0.0;
        self.seconds_left = is_told.then(|| left / pace);
    }
}

fn curvature_of(checkpoint: &Checkpoint) -> Query {
    Query::curvature(Position::Checkpoint(checkpoint.clone()))
}

fn random(seed: u64) -> Directions {
    Directions::Random {
        seed,
        norm: Norm::Filter,
        ignore: Ignore::Biasbn,
        orthogonal: false,
    }
}

/// Both splits, the session's own first; overlaid lines have that one alone.
fn splits(own: Split, overlaid: bool) -> Vec<Split> {
    let other = match own {
        Split::Train => Split::Test,
        Split::Test => Split::Train,
    };
    if overlaid {
        vec![own]
    } else {
        vec![own, other]
    }
}

#[cfg(test)]
mod tests;
