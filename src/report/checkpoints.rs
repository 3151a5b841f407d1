//! One JSON line a checkpoint, of a run that is watched without a screen.

use serde::Serialize;

use crate::session::{CheckpointLine, CheckpointState, Finding, Snapshot};
use crate::weights::Trajectory;

use super::score::Keyed;

/// Step of the checkpoint at 0, 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct OriginStep {
    step: u64,
}

/// Facts about a checkpoint; field names are other programs' to rely on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Training step.
    pub step: u64,
    /// The file or folder, from the run folder on.
    pub path: String,
    origin: OriginStep,
    coordinates: [f64; 2],
    residual: f64,
    norm: f64,
    update_norm: f64,
    explained: Vec<f64>,
    loss: Option<f64>,
    #[serde(flatten)]
    score: Keyed<Option<f64>>,
    plane_loss: Option<f64>,
    samples: Option<usize>,
}

/// Returns the checkpoints of the path of which all is known: their loss and that of their projection or, where no
/// loss can be had, their place.
#[must_use]
pub fn known(snapshot: &Snapshot) -> Vec<Line> {
    let Some(trajectory) = &snapshot.trajectory else {
        return Vec::new();
    };
    let lines = snapshot.checkpoints.iter();
    lines
        .filter(|line| line.state == CheckpointState::OnPath)
        .filter(|line| is_known(line, trajectory, snapshot))
        .filter_map(|line| of(line, trajectory, snapshot))
        .collect()
}

fn is_known(line: &CheckpointLine, trajectory: &Trajectory, snapshot: &Snapshot) -> bool {
    let none =
        matches!(snapshot.model, Finding::Not(_)) || matches!(snapshot.data, Finding::Not(_));
    let projected = line.on_plane.is_some() || trajectory.singular.len() < 2;
    none || (line.truth.is_some() && projected)
}

fn of(line: &CheckpointLine, trajectory: &Trajectory, snapshot: &Snapshot) -> Option<Line> {
    let step = line.step?;
    let at = trajectory.steps.binary_search(&step).ok()?;
    let path = line.path.strip_prefix(&snapshot.run).unwrap_or(&line.path);
    Some(Line {
        step,
        path: path.display().to_string(),
        origin: OriginStep {
            step: snapshot.origin()?,
        },
        coordinates: *trajectory.coordinates.get(at)?,
        residual: *trajectory.residual.get(at)?,
        norm: *trajectory.norm.get(at)?,
        update_norm: *trajectory.update_norm.get(at)?,
        explained: trajectory.explained.iter().take(2).copied().collect(),
        loss: line.truth.map(|truth| truth.loss),
        score: Keyed {
            score: snapshot.score(),
            numbers: line.truth.map(|truth| truth.score),
        },
        plane_loss: line.on_plane.map(|measure| measure.loss),
        samples: match &snapshot.data {
            Finding::Is(data) => Some(data.samples),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::sync::Arc;

    use super::*;
    use crate::loss::Measure;

    fn snapshot() -> Snapshot {
        let line = |step: u64| CheckpointLine {
            step: Some(step),
            state: CheckpointState::OnPath,
            ..CheckpointLine::new(format!("runs/a/deep/model_{step}.pt").as_ref())
        };
        Snapshot {
            run: "runs/a".into(),
            checkpoints: [10, 20, 30].map(line).to_vec(),
            trajectory: Some(Arc::new(Trajectory {
                steps: vec![10, 20, 30],
                coordinates: vec![[2.0, 1.0], [1.0, 0.5], [0.0, 0.0]],
                residual: vec![0.5, 0.25, 0.0],
                norm: vec![3.0, 4.0, 5.0],
                update_norm: vec![0.0, 1.5, 1.25],
                explained: vec![0.75, 0.25],
                singular: vec![2.0, 1.0],
                ..Trajectory::default()
            })),
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_checkpoint_is_told_when_both_its_losses_are_known() {
        let mut snapshot = snapshot();
        assert_eq!(known(&snapshot), []);
        let measure = |loss| Some(Measure { loss, score: 0.5 });
        snapshot.checkpoints[1].truth = measure(f64::NAN);
        assert_eq!(known(&snapshot), []);
        snapshot.checkpoints[1].on_plane = measure(1.5);
        let lines = known(&snapshot);
        let expected = r#"[{"step":20,"path":"deep/model_20.pt","origin":{"step":30},"coordinates":[1.0,0.5],"residual":0.25,"norm":4.0,"update_norm":1.5,"explained":[0.75,0.25],"loss":null,"accuracy":0.5,"plane_loss":1.5,"samples":null}]"#;
        assert_eq!(serde_json::to_string(&lines).unwrap(), expected);
    }

    #[test]
    fn where_no_loss_can_be_had_the_place_is_all() {
        let mut snapshot = snapshot();
        snapshot.data = Finding::Not("no data".into());
        snapshot.checkpoints[2].state = CheckpointState::Settled;
        let steps: Vec<u64> = known(&snapshot).iter().map(|line| line.step).collect();
        assert_eq!(steps, [10, 20]);
    }
}
