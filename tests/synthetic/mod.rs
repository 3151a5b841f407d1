//! A run that never was: a bowl of log-loss with ripples and a hole, and a path that curves into it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::f64::consts::PI;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use isoloss::data::Split;
use isoloss::landscape::grid::survey::{levels, spread};
use isoloss::landscape::{
    Assumed, CriticalStep, Extremes, Position, Quantity, QueryAnswer, Surface,
};
use isoloss::loss::Measure;
use isoloss::run::{Checkpoint, Hyper, SaveTimes};
use isoloss::session::schedule::whole_path;
use isoloss::session::{
    Analysis, AnalysisResult, AnalysisSubject, AnalysisTarget, CheckpointLine, CheckpointState,
    DataLine, Finding, Job, KeptLine, Map, ModelLine, Progress, Slice, Snapshot,
};
use isoloss::weights::{
    BatchNorm, Directions, Dynamics, Histogram, LayerNorm, OldBranch, Overlay, PlaneSpec,
    RandomProjection, RunShape, Trajectory,
};

/// The time at which the newest checkpoint was saved.
pub(crate) const SAVED: SystemTime = SystemTime::UNIX_EPOCH;

/// Loss and accuracy at a point of the plane; 0,0 is the last checkpoint.
pub(crate) fn measure(x: f64, y: f64) -> Measure {
    let (u, v) = (x + 0.3, y + 0.12 + 0.75 * (PI * x / 8.0).sin());
    let square = 0.05 * u * u + 0.55 * v * v;
    let ripple = 0.09 * (1.4 * x + 0.5 * y).sin() * (2.3 * y).cos();
    let hole = ((x - 7.3) / 0.8).hypot((y + 1.9) / 0.33) < 1.0;
    let log_loss = -1.4 + 2.1 * (1.0 - (-square / 1.3).exp()) + 0.12 * square + ripple;
    let loss = if hole { f64::NAN } else { log_loss.exp() };
    Measure {
        loss,
        score: (-loss / 2.5).exp().max(0.1),
    }
}

/// The path of `count` checkpoints, every 16 steps, ending at 0,0.
pub(crate) fn trajectory(count: usize) -> Trajectory {
    let at = |i: usize| {
        let t = i as f64 / (count.max(2) - 1) as f64;
        let s = (1.0 - (-2.4 * t).exp()) / (1.0 - (-2.4f64).exp());
        let wobble = 0.07 * (19.0 * t).sin() * (1.0 - t);
        [
            4.0 * (1.0 + (PI * s).cos()) + wobble,
            0.8 * (1.0 - s) - 0.85 * (1.0 - (2.0 * PI * s).cos()) + wobble,
        ]
    };
    let coordinates: Vec<[f64; 2]> = match count {
        1 => vec![[0.0, 0.0]],
        2 => vec![[3.0, 0.0], [0.0, 0.0]],
        _ => (0..count).map(at).collect(),
    };
    let share = |i: usize| i as f64 / count.max(2) as f64;
    let but_of_the_last = |off: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let off = |i| if i + 1 == count { 0.0 } else { off(i) };
        (0..count).map(off).collect()
    };
    let (explained, singular) = match count {
        1 => (vec![], vec![]),
        2 => (vec![1.0], vec![2.1]),
        _ => (vec![0.734, 0.183, 0.051], vec![9.4, 4.7, 2.5]),
    };
    Trajectory {
        steps: (0..count as u64).map(|i| i * 16).collect(),
        residual: but_of_the_last(&|i| 0.08 + 0.5 * share(i)),
        distance: but_of_the_last(&|i| 0.1 + 0.4 * share(i)),
        norm: vec![31.0; count],
        update_norm: vec![0.4; count],
        explained_null: (1..=explained.len())
            .map(|k| 6.0 / (PI * k as f64).powi(2))
            .collect(),
        lissajous: vec![0.61; explained.len()],
        explained,
        singular,
        coordinates,
        old_branches: Vec::new(),
    }
}

/// The run deleted all but the last `on_disk` checkpoints, and their copies are kept.
pub(crate) fn rotated(on_disk: usize) -> Snapshot {
    let mut snapshot = snapshot();
    let gone = snapshot.checkpoints.len() - on_disk;
    for line in &mut snapshot.checkpoints[..gone] {
        line.is_gone = true;
    }
    snapshot.kept = Some(KeptLine {
        checkpoints: 25,
        bytes: 26 << 20,
        room: Some(2 << 30),
        ..KeptLine::default()
    });
    snapshot
}

/// The run was resumed from its eighth checkpoint; what it had reached before is an old branch.
pub(crate) fn resumed() -> Snapshot {
    let mut snapshot = snapshot();
    let mut path = trajectory(25);
    let [x, y] = path.coordinates[7];
    path.old_branches = vec![OldBranch {
        number: 1,
        from: Some(path.steps[7]),
        steps: path.steps[8..13].to_vec(),
        coordinates: (1..=5)
            .map(f64::from)
            .map(|i| [x - 0.9 * i, y + 0.12 * i * i / 5.0])
            .collect(),
    }];
    let old = (path.old_branches[0].steps.iter()).map(|step| CheckpointLine {
        step: Some(*step),
        state: CheckpointState::OldBranch,
        ..CheckpointLine::new(format!("runs/resnet20/old_{step}.pt").as_ref())
    });
    snapshot.checkpoints.extend(old);
    snapshot.trajectory = Some(Arc::new(path));
    snapshot
}

/// The surface around a path with `complete` levels, and `more` points of the next one.
pub(crate) fn surface(path: &Trajectory, complete: usize, more: usize) -> Surface {
    let window = whole_path(&path.coordinates);
    let (x, y) = (
        spread(window.x[0], window.x[1], 65),
        spread(window.y[0], window.y[1], 65),
    );
    let mut surface = Surface::new(x.clone(), y.clone());
    for level in 0..levels(surface.sides()) {
        let count = match level {
            _ if level < complete => usize::MAX,
            _ if level == complete => more,
            _ => 0,
        };
        let points = surface.additions(level, &path.coordinates);
        for (i, j) in points.into_iter().take(count) {
            surface.record(i, j, measure(x[i], y[j]));
        }
    }
    surface
}

fn slice(axis: usize) -> Slice {
    let offset = spread(-1.2, 1.2, 21);
    let at = |t: f64| {
        if axis == 0 {
            measure(t, 0.0)
        } else {
            measure(0.0, t)
        }
    };
    Slice {
        axis,
        values: offset.iter().map(|t| Some(at(*t))).collect(),
        offset,
    }
}

/// A snapshot with the path alone: its surface has not begun.
pub(crate) fn path_only(count: usize) -> Snapshot {
    let trajectory = trajectory(count);
    let checkpoints = trajectory
        .steps
        .iter()
        .zip(&trajectory.coordinates)
        .map(|(step, at)| {
            let on_plane = measure(at[0], at[1]);
            CheckpointLine {
                step: Some(*step),
                state: CheckpointState::OnPath,
                truth: Some(Measure {
                    loss: on_plane.loss * 0.93,
                    score: on_plane.score,
                }),
                on_plane: Some(on_plane),
                ..CheckpointLine::new(format!("runs/resnet20/model_{step}.pt").as_ref())
            }
        })
        .collect();
    Snapshot {
        run: PathBuf::from("runs/resnet20"),
        watching: "file events and a scan every 2 s".into(),
        device: "cpu".into(),
        batch_norm: "frozen".into(),
        has_batch_norm: Some(true),
        model: Finding::Is(ModelLine {
            name: "resnet20".into(),
            evidence: "3 stages of 3 blocks, 1×1 shortcuts".into(),
            parameters: 272_474,
        }),
        data: Finding::Is(DataLine {
            name: "cifar10".into(),
            split: Split::Train,
            samples: 1024,
            seed: 0,
        }),
        checkpoints,
        saved: (count > 0).then_some(SaveTimes {
            newest: SAVED,
            usual: (count > 2).then_some(Duration::from_secs(30)),
        }),
        trajectory: (count > 0).then(|| Arc::new(trajectory)),
        ..Snapshot::default()
    }
}

/// 25 checkpoints, the surface complete to 17×17 and a third of the way to 33×33.
pub(crate) fn snapshot() -> Snapshot {
    let mut snapshot = path_only(25);
    // The path was asked, and nothing had to be guessed.
    snapshot.assumed = Some(Assumed {
        evident: true,
        ..Assumed::default()
    });
    snapshot.map = Some(Map {
        surface: surface(&trajectory(25), 3, 280),
        fidelity: None,
        stale: false,
    });
    snapshot.dynamics = Some(Arc::new(dynamics(25)));
    snapshot.random_projection = Some(Arc::new(shadow(25)));
    snapshot.overlay = Some(Arc::new(Overlay {
        edges: spread(-1.0, 1.0, 21),
        histograms: [0.2, 0.5].map(|std| Histogram {
            counts: spread(-0.95, 0.95, 20)
                .iter()
                .map(|x: &f64| (1e4 * (-x * x / (2.0 * std * std)).exp() / std) as u64)
                .collect(),
            std,
            count: 250_000,
            ..Histogram::default()
        }),
    }));
    snapshot.averages = vec![(2, measure(0.1, 0.0)), (5, measure(0.2, 0.1))];
    snapshot.hyper = (0..25)
        .map(|i| Hyper {
            learning_rate: Some(if i < 15 { 0.1 } else { 0.01 }),
            ..Hyper::default()
        })
        .collect();
    for (i, line) in snapshot.checkpoints.iter_mut().enumerate().skip(1) {
        line.critical = Some(CriticalStep {
            step: 2.0 / (1.0 + i as f64 / 10.0),
            evaluations: 8,
        });
    }
    snapshot.slices = vec![slice(0), slice(1)];
    snapshot.test = Some(Measure {
        loss: 0.352,
        score: 0.886,
    });
    snapshot.progress = Progress {
        points_per_second: 31.4,
        lines: Some(33),
        whole: Some(9),
        done: 280,
        planned: 800,
        rests: false,
        error: Some(0.0123),
        share: 0.35,
        seconds_left: Some(118.0),
        other_work: None,
        paused: false,
        cost: None,
    };
    snapshot
}

/// Two layers, and updates that turn slowly.
fn dynamics(count: usize) -> Dynamics {
    let layer = |name: &str, rate: f64| LayerNorm {
        name: name.into(),
        norm: (0..count).map(|i| 2.0 + rate * i as f64).collect(),
    };
    let updates = count - 1;
    let cosine = |i: usize, j: usize| (0.2 * (i as f64 - j as f64)).cos();
    Dynamics {
        layers: vec![layer("conv1", 0.1), layer("layer1.0.conv1", -0.02)],
        cosines: (0..updates)
            .map(|i| (0..updates).map(|j| cosine(i, j)).collect())
            .collect(),
    }
}

fn shadow(count: usize) -> RandomProjection {
    RandomProjection {
        coordinates: (0..count)
            .map(|i| [(1.3 * i as f64).sin() * 1e-3, (2.1 * i as f64).cos() * 1e-3])
            .collect(),
        explained: 7.4e-6,
        cosine: -1.2e-3,
        expected_cosine: 1.53e-3,
        expected_normalized: None,
        seed: 0,
    }
}

/// The plan of an analysis of this run, nothing of it measured.
pub(crate) fn planned(
    analysis: Analysis,
    snapshot: &Snapshot,
) -> Option<(AnalysisResult, Vec<Job<AnalysisTarget>>)> {
    let members: Vec<Checkpoint> = (snapshot.checkpoints.iter())
        .map(|line| Checkpoint::new(line.step.unwrap_or(0), line.path.clone()))
        .collect();
    let spec = PlaneSpec {
        shape: RunShape::default(),
        origin: members[24].clone(),
        directions: Directions::File {
            path: "d.safetensors".into(),
        },
        batch_norm: BatchNorm::Frozen,
    };
    let window = snapshot
        .trajectory
        .as_ref()
        .map(|path| whole_path(&path.coordinates));
    let window = window.map_or([[-1.0, 1.0]; 2], |window| [window.x, window.y]);
    let subject = AnalysisSubject {
        spec: &spec,
        members: &members,
        window,
        split: Split::Train,
        seed: 0,
        next: 1,
    };
    AnalysisResult::plan(analysis, subject)
}

/// A run that was given no data: its pictures are planned, and nothing is ever measured.
pub(crate) fn without_data(analysis: Option<Analysis>) -> Snapshot {
    let mut without = path_only(25);
    without.data = Finding::Not("no data given, so there is no loss: add --data FOLDER".into());
    for line in &mut without.checkpoints {
        (line.truth, line.on_plane) = (None, None);
    }
    without.map = Some(Map {
        surface: surface(&trajectory(25), 0, 0),
        fidelity: None,
        stale: false,
    });
    let measured = snapshot();
    (without.dynamics, without.random_projection) = (measured.dynamics, measured.random_projection);
    without.slices = measured.slices;
    for slice in &mut without.slices {
        slice.values.fill(None);
    }
    without.analysis = analysis.and_then(|analysis| Some(planned(analysis, &without)?.0));
    without
}

/// The snapshot with an analysis that is all measured.
pub(crate) fn studied(analysis: Analysis) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.analysis = planned(analysis, &snapshot).map(|(mut findings, jobs)| {
        for job in &jobs {
            for (query, target) in &job.tasks {
                let value = match query.quantity {
                    Quantity::Loss(Position::Plane([a, b])) if analysis == Analysis::Plane => {
                        QueryAnswer::Measure(measure(2.0 * a, 2.0 * b))
                    }
                    Quantity::Loss(Position::Plane([a, _])) => {
                        QueryAnswer::Measure(measure(2.0 * a, job.generation as f64))
                    }
                    Quantity::Extremes {
                        at: Position::Plane([a, b]),
                        ..
                    } => QueryAnswer::Curvature(Extremes {
                        lambda_max: 20.0 + a * a + b * b,
                        lambda_min: -1.0 - a.abs() - b.abs(),
                        iterations: 22,
                        converged: true,
                    }),
                    _ => continue,
                };
                findings.take(*target, &value);
            }
        }
        findings
    });
    snapshot
}
