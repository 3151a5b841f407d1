//! Everything a session knows at one moment: the screen and the plain lines draw from it alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::Split;
use crate::landscape::{Assumed, CriticalStep, Introduction, OwnCost, Surface};
use crate::loss::Measure;
use crate::loss::{Loss, Score};
use crate::run::hyper::{self};
use crate::run::{Hyper, LogClock, Logged, Optimizer, SaveTimes, TrainingLog, unicode};
use crate::weights::{Dynamics, Overlay, RandomProjection, Trajectory};

use super::analysis::{Analysis, AnalysisResult};
use super::keeper::KeptLine;

/// A lookup: pending, found, or unavailable with the reason.
///
/// ```
/// use isoloss::session::Finding;
///
/// let model = Finding::Is("resnet20");
/// assert!(matches!(model, Finding::Is(name) if name == "resnet20"));
/// assert_eq!(Finding::<&str>::default(), Finding::Pending);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Finding<T> {
    /// Not looked at yet.
    #[default]
    Pending,
    /// Found.
    Is(T),
    /// Not to be had; one sentence says why and what to do.
    Not(String),
}

/// The architecture that was recognized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelLine {
    /// e.g. `resnet20`.
    pub name: String,
    /// Features by which it was recognized, in a sentence.
    pub evidence: String,
    /// Trainable parameters.
    pub parameters: usize,
}

/// The samples on which losses are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataLine {
    /// e.g. `fashion-mnist`.
    pub name: String,
    /// Train or test.
    pub split: Split,
    /// Number of samples.
    pub samples: usize,
    /// Seed by which they were drawn.
    pub seed: u64,
}

/// State of a checkpoint, from its discovery to its place on the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckpointState {
    /// Still being written.
    Waiting,
    /// Settled; being read.
    Settled,
    /// On the path.
    OnPath,
    /// On a branch that a resumed run has left.
    OldBranch,
    /// Not readable, with the reason; it is retried.
    Unreadable(String),
    /// Readable and no point of the path, with the reason.
    LeftOut(String),
}

impl CheckpointLine {
    /// Returns the line of a file of which nothing is known yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            step: None,
            path: path.to_path_buf(),
            arrival: 0,
            is_gone: false,
            state: CheckpointState::Waiting,
            truth: None,
            on_plane: None,
            critical: None,
        }
    }
}

/// One checkpoint of the run, in the order of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointLine {
    /// Training step, once it is known.
    pub step: Option<u64>,
    /// The file or folder.
    #[serde(serialize_with = "unicode::path")]
    pub path: PathBuf,
    /// Number that tells contents apart which were saved under one path; 0 until it was read.
    #[serde(default)]
    pub arrival: u64,
    /// True if the run's folder holds it no longer.
    #[serde(default)]
    pub is_gone: bool,
    /// Its state.
    pub state: CheckpointState,
    /// Loss and score of the checkpoint itself.
    pub truth: Option<Measure>,
    /// Loss and score of its projection onto the plane.
    pub on_plane: Option<Measure>,
    /// The critical step along the update that led to it.
    pub critical: Option<CriticalStep>,
}

/// Loss and score along one axis of the plane, through the current checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// 0 for PC1, 1 for PC2.
    pub axis: usize,
    /// Distance from the checkpoint along the axis, ascending; 0 is the checkpoint.
    pub offset: Vec<f64>,
    /// Values there, as far as they are measured.
    pub values: Vec<Option<Measure>>,
}

/// Estimate of a surface on which not all samples were measured everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fidelity {
    /// It is that of this number of samples; the difference that all make is still to come.
    Few(usize),
    /// It is that of few samples with the interpolated difference that all make.
    Estimate {
        /// Samples that were measured everywhere.
        few: usize,
        /// Samples of which it is the estimate; `None` if those are all.
        #[serde(default)]
        of: Option<usize>,
        /// Points at which all were.
        points: usize,
        /// Expected error of the difference between these, a share of the range of log-loss.
        error: f64,
    },
}

impl Fidelity {
    /// Names the samples of the loss in words: their number, of all.
    #[must_use]
    pub fn words(self, all: usize) -> String {
        match self {
            Self::Few(few) => format!("{few} of {all} samples"),
            Self::Estimate { few, of: None, .. } => {
                format!("{all} samples, estimated from {few}")
            }
            Self::Estimate {
                few, of: Some(of), ..
            } => {
                format!("{of} of {all} samples, estimated from {few}")
            }
        }
    }
}

/// The surface that is being measured or was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// The measured grid.
    pub surface: Surface,
    /// The estimate; `None` if all samples were measured everywhere.
    pub fidelity: Option<Fidelity>,
    /// It was measured on an earlier plane and is seen from the present one; shown dim until that has its first
    /// level.
    pub stale: bool,
}

/// The plane of the map, which is held while new checkpoints come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MapPlane {
    /// Step of its origin (0, 0): the newest checkpoint when it was fitted.
    pub origin: u64,
    /// Number of checkpoints of which it is the principal plane.
    pub checkpoints: usize,
    /// Share of the variance of all checkpoints that lies on it, 0 to 1.
    pub explained: f64,
    /// Share that would lie on the principal plane of all checkpoints.
    pub best: f64,
    /// Distance of the newest checkpoint from it, a share of the path's extent: of the largest distance of a
    /// checkpoint from the newest.
    pub newest: f64,
}

/// Progress of the workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Measured points a second, over the last seconds; 0 when idle.
    pub points_per_second: f64,
    /// Lines a side of the finest level that has been begun, e.g. 17; `None` if there is no map.
    pub lines: Option<usize>,
    /// Lines a side of the finest of the first two levels whose points are all measured, on whatever samples; `None`
    /// before the first.
    #[serde(default)]
    pub whole: Option<usize>,
    /// The map asks for nothing more.
    pub rests: bool,
    /// Points of the map that are done; one that is measured on all samples counts as many as it costs of
    /// those that are measured on few.
    pub done: usize,
    /// These, and the points that the map still asks for, as far as is known.
    pub planned: usize,
    /// Expected error of the map between its points, with that of the difference that all samples make to few:
    /// a share of the range of log-loss.
    pub error: Option<f64>,
    /// Share of the picture that is done, 0 to 1; it never falls while the plane and the window stand.
    #[serde(default)]
    pub share: f64,
    /// Seconds left until the picture is done, at the present pace.
    pub seconds_left: Option<f64>,
    /// Work of the devices beside the map; `None` if the map is all.
    #[serde(default)]
    pub other_work: Option<OtherWork>,
    /// The user paused the device.
    pub paused: bool,
    /// The cost of this session to the machine; `None` if the system does not tell.
    #[serde(default)]
    pub cost: Option<OwnCost>,
}

/// Work of the devices that is not the map's, and for which that waits or has nothing more to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherWork {
    /// The path is asked which function the run minimized.
    Question,
    /// Checkpoints, their averages and their updates are measured.
    Checkpoints,
}

/// Everything a session knows at one moment. It is recorded field by field; one that a recording lacks has its
/// default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// The run folder.
    #[serde(serialize_with = "unicode::path")]
    pub run: PathBuf,
    /// Means by which the folder is watched, e.g. `file events and a scan every 2 s`.
    pub watching: String,
    /// Device on which losses are measured, e.g. `cpu` or `cuda:0`.
    pub device: String,
    /// The batch-norm mode, e.g. `frozen`.
    pub batch_norm: String,
    /// True if the network has running statistics of batch norm; `None` if that is not known.
    pub has_batch_norm: Option<bool>,
    /// The function of the model's output that is measured.
    pub loss: Loss,
    /// The evaluator that measures; `None` if a model of isoloss's own does.
    #[serde(default)]
    pub evaluator: Option<Introduction>,
    /// The architecture.
    pub model: Finding<ModelLine>,
    /// Assumptions about the function that is measured, once the path was asked.
    pub assumed: Option<Assumed>,
    /// The samples.
    pub data: Finding<DataLine>,
    /// Every checkpoint that was seen, by step.
    pub checkpoints: Vec<CheckpointLine>,
    /// The times at which the checkpoints of the path were saved; `None` if they are not known.
    pub saved: Option<SaveTimes>,
    /// The path on the plane of the map, once a checkpoint was read.
    pub trajectory: Option<Arc<Trajectory>>,
    /// The plane of the map; `None` if there is no path.
    pub plane: Option<MapPlane>,
    /// The window of the map where the user has not chosen another; `None` in recordings of earlier versions, whose
    /// window is that of the path.
    pub window: Option<PlaneWindow>,
    /// The surface, once measuring has begun.
    pub map: Option<Map>,
    /// Slices through the current checkpoint along both axes.
    pub slices: Vec<Slice>,
    /// The pictures that are measured on demand.
    pub analysis: Option<AnalysisResult>,
    /// Norms by layer and angles between updates of the path.
    #[serde(rename = "growth")]
    pub dynamics: Option<Arc<Dynamics>>,
    /// The path on a random plane; `None` if the run is too big to read again for that.
    #[serde(rename = "shadow")]
    pub random_projection: Option<Arc<RandomProjection>>,
    /// Histograms of the weights of the first and the newest checkpoint, under the same condition.
    pub overlay: Option<Arc<Overlay>>,
    /// Settings of training that each checkpoint of the path tells.
    pub hyper: Vec<Hyper>,
    /// Training's own log.
    pub training: Option<Arc<TrainingLog>>,
    /// The unit of the checkpoints' numbers in it; `None` if that cannot be known.
    pub clock: Option<LogClock>,
    /// Values of the log at each checkpoint of the path; empty if it tells nothing of them.
    pub logged: Vec<Logged>,
    /// λmax at the checkpoints of the path where it was measured, by step.
    pub lambda_max: Vec<(u64, f64)>,
    /// Losses of averages, each with its number of last checkpoints.
    pub averages: Vec<(usize, Measure)>,
    /// Loss and score of the current checkpoint on test samples, where the map is of others.
    pub test: Option<Measure>,
    /// Progress of the workers.
    pub progress: Progress,
    /// The amount that is kept in the user's cache; `None` if nothing is.
    pub kept: Option<KeptLine>,
    /// There is no path at the moment; one sentence says why: the folder cannot be read, or no file in it
    /// is usable.
    pub trouble: Option<String>,
    /// Sentences about what went wrong and did not stop the session; shown as a banner. The newest is last.
    pub notices: Vec<String>,
    /// Number of notices so far, with those that are gone.
    #[serde(default)]
    pub noticed: u64,
}

impl Snapshot {
    /// Returns the score beside the loss; `None` if there is none.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        match &self.evaluator {
            Some(evaluator) => evaluator.score,
            None => self.loss.score(),
        }
    }

    /// Returns the step of the checkpoint at the origin of the plane; the newest in recordings of earlier versions,
    /// which do not tell it.
    #[must_use]
    pub fn origin(&self) -> Option<u64> {
        let newest = self.trajectory.as_ref()?.steps.last();
        self.plane.map(|plane| plane.origin).or(newest.copied())
    }

    /// Names the samples of the map's loss in words; `None` if all were measured everywhere.
    #[must_use]
    pub fn map_samples(&self) -> Option<String> {
        self.in_words(self.map.as_ref()?.fidelity?)
    }

    /// Returns the same of the slices, which are new where the map is stale.
    #[must_use]
    pub fn slice_samples(&self) -> Option<String> {
        let map = self.map.as_ref()?;
        self.in_words(match map.fidelity? {
            Fidelity::Estimate { few, .. } if map.stale => Fidelity::Few(few),
            fidelity => fidelity,
        })
    }

    fn in_words(&self, fidelity: Fidelity) -> Option<String> {
        match &self.data {
            Finding::Is(data) => Some(fidelity.words(data.samples)),
            _ => None,
        }
    }

    /// Returns the indices of the checkpoints of the path at which the learning rate fell.
    #[must_use]
    pub fn drops(&self) -> Vec<usize> {
        let members = self.hyper.len().max(self.logged.len());
        let rates: Vec<Option<f64>> = (0..members).map(|member| self.rate(member)).collect();
        hyper::drops(&rates)
    }

    /// Returns the learning rate at a checkpoint of the path: its own word, else the log's.
    #[must_use]
    pub fn rate(&self, member: usize) -> Option<f64> {
        let own = self.hyper.get(member).and_then(|hyper| hyper.learning_rate);
        own.or_else(|| self.logged.get(member)?.rate)
    }

    /// Returns the curvature at which the optimizer's steps begin to grow at a checkpoint of the path, as
    /// [`Hyper::edge`]; `None` if its learning rate is not known, or 0.
    #[must_use]
    pub fn edge(&self, member: usize) -> Option<f64> {
        let settings = self.hyper.get(member).copied().unwrap_or_default();
        let rate = self.rate(member).filter(|rate| *rate > 0.0)?;
        Some(settings.edge(rate))
    }

    /// Returns the optimizer of the newest checkpoint of the path.
    #[must_use]
    pub fn optimizer(&self) -> Option<Optimizer> {
        self.hyper.last()?.optimizer
    }
}

/// A window of the plane, in its coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaneWindow {
    /// Range of α.
    pub x: [f64; 2],
    /// Range of β.
    pub y: [f64; 2],
}

/// A request of the user to a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Stop measuring, or go on.
    Pause(bool),
    /// Survey this window of the plane from now on; `None` is the whole path with its margin.
    Survey(Option<PlaneWindow>),
    /// Measure this around the current checkpoint, before the map goes on; `None` is the map alone.
    Analyze(Option<Analysis>),
    /// Look at the folder now.
    Rescan,
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn recordings_from_before_there_were_other_losses_have_an_accuracy() {
        let nothing = ciborium::Value::Map(Vec::new());
        let snapshot: Snapshot = nothing.deserialized().unwrap();
        assert_eq!(snapshot.score(), Some(Score::Accuracy));
    }

    #[test]
    fn names_that_are_not_unicode_can_be_recorded() {
        let name = OsStr::from_bytes(b"a\xff");
        let snapshot = Snapshot {
            run: name.into(),
            checkpoints: vec![CheckpointLine::new(name.as_ref())],
            training: Some(Arc::new(TrainingLog {
                source: name.into(),
                ..TrainingLog::default()
            })),
            kept: Some(KeptLine {
                folder: name.into(),
                ..KeptLine::default()
            }),
            ..Snapshot::default()
        };
        let value = ciborium::Value::serialized(&snapshot).unwrap();
        let again: Snapshot = value.deserialized().unwrap();
        let name = PathBuf::from("a\u{fffd}");
        assert_eq!(again.run, name);
        assert_eq!(again.training.unwrap().source, name);
        assert_eq!(again.kept.unwrap().folder, name);
    }
}
