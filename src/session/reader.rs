//! The thread that reads checkpoints: what settled goes in, the fitted path comes out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::run::Checkpoint;
use crate::run::hyper::Hyper;
use crate::weights::WeightsError;
use crate::weights::growth::Growth;
use crate::weights::histogram::Overlay;
use crate::weights::member::{Member, Shape};
use crate::weights::path::RunPath;
use crate::weights::shadow::{self, Shadow};
use crate::weights::trajectory::Fit;

/// What changed on disk since the last request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Checkpoints that settled, new ones or new contents of old ones.
    pub settled: Vec<Checkpoint>,
    /// Checkpoints that are gone.
    pub gone: Vec<PathBuf>,
}

/// What the reader found.
#[derive(Clone, Debug)]
pub enum Reading {
    /// The path of all checkpoints that fit; `members` is empty when none is left.
    Path {
        /// Names and shapes of the run.
        shape: Option<Shape>,
        /// The checkpoints on the path, by step.
        members: Vec<Checkpoint>,
        /// Where they lie.
        fit: Arc<Fit>,
        /// How they grow and turn.
        growth: Arc<Growth>,
        /// Their shadow on a random plane, where reading them again is no burden.
        shadow: Option<Arc<Shadow>>,
        /// How the weights of the first and the newest are spread, likewise.
        overlay: Option<Arc<Overlay>>,
        /// What each tells of its training.
        hyper: Vec<Hyper>,
    },
    /// A checkpoint that does not belong on the path, with the reason.
    Rejected {
        /// The checkpoint.
        path: PathBuf,
        /// One sentence.
        reason: String,
    },
}

/// Weights of all checkpoints that are read once more for the shadow: 200 MB of them.
const LARGEST_SHADOW: usize = 50_000_000;

/// Bins of the histograms.
const BINS: usize = 80;

/// Serves changes until their sender is gone or `report` returns false. Changes that came while
/// one was being read are read together, so that opening a run reads each file once.
pub fn serve(
    key: Option<String>,
    seed: u64,
    changes: &Receiver<Change>,
    mut report: impl FnMut(Reading) -> bool,
) {
    let mut path = RunPath::new(key);
    // Settled, but could not be read: tried again with the next change.
    let mut deferred: Vec<Checkpoint> = Vec::new();
    let mut known = HashMap::new();
    while let Ok(mut change) = changes.recv() {
        for more in changes.try_iter() {
            change.settled.extend(more.settled);
            change.gone.extend(more.gone);
        }
        deferred.retain(|old| change.settled.iter().all(|new| new.path != old.path));
        change.settled.append(&mut deferred);
        for settled in &change.settled {
            known.remove(&settled.path);
        }
        for readings in apply(&mut path, seed, change, &mut deferred, &mut known) {
            if !report(readings) {
                return;
            }
        }
    }
}

fn apply(
    path: &mut RunPath,
    seed: u64,
    mut change: Change,
    deferred: &mut Vec<Checkpoint>,
    known: &mut HashMap<PathBuf, Hyper>,
) -> Vec<Reading> {
    let settled = change.settled.iter().map(|checkpoint| &checkpoint.path);
    for changed in settled.chain(&change.gone) {
        path.remove(changed);
    }
    change
        .settled
        .retain(|checkpoint| !change.gone.contains(&checkpoint.path));
    let mut readings = Vec::new();
    for rejected in path.add(change.settled) {
        readings.push(Reading::Rejected {
            path: rejected.checkpoint.path.clone(),
            reason: rejected.error.to_string(),
        });
        if matches!(rejected.error, WeightsError::Format(_)) {
            deferred.push(rejected.checkpoint);
        }
    }
    let (members, fit) = path.fit();
    let told = |member: &Checkpoint| {
        *known
            .entry(member.path.clone())
            .or_insert_with(|| Hyper::of(member))
    };
    readings.push(Reading::Path {
        hyper: members.iter().map(told).collect(),
        growth: Arc::new(path.growth()),
        shadow: path
            .shape()
            .and_then(|shape| cast(shape, &members, &fit, seed)),
        overlay: path.shape().and_then(|shape| overlay(shape, &members)),
        shape: path.shape().cloned(),
        members,
        fit,
    });
    readings
}

/// The histograms of the first and the newest checkpoint.
fn overlay(shape: &Shape, members: &[Checkpoint]) -> Option<Arc<Overlay>> {
    let [first, .., last] = members else {
        return None;
    };
    if shape.layout.parameters() > LARGEST_SHADOW {
        return None;
    }
    let [first, last] = [first, last].map(|member| Member::open(member, shape).ok());
    let found = Overlay::of([&first?, &last?], &shape.layout, BINS).ok()?;
    found.map(Arc::new)
}

/// The shadow of a path that is short and small enough to be read once more.
fn cast(shape: &Shape, members: &[Checkpoint], fit: &Fit, seed: u64) -> Option<Arc<Shadow>> {
    if members.len() < 3 || shape.layout.parameters() * members.len() > LARGEST_SHADOW {
        return None;
    }
    let found = shadow::of(shape, members, &fit.trajectory.singular, seed);
    found
        .inspect_err(|error| tracing::info!("no shadow: {error}"))
        .ok()
        .map(Arc::new)
}
