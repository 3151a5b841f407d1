//! The thread that reads checkpoints: what settled goes in, the fitted path comes out, and what was read is
//! kept.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use crate::cache::KeepLimit;
use crate::run::{Checkpoint, History, Hyper, RunChoice, Seen, Settled, arranged};
use crate::store::StorePlace;
use crate::weights::random_projection::{self};
use crate::weights::{
    Dynamics, Fit, Overlay, PathChange, PathProducts, RandomProjection, Roles, RunCheckpoint,
    RunPath, RunShape, WeightsError,
};

use super::keeper::{self, Keeper, KeptLine};
use super::thinning::{ThinningCandidate, superfluous};

/// Changes on disk since the last request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Checkpoints that settled, new ones or new contents of old ones.
    pub settled: Vec<Settled>,
    /// Checkpoints that are gone.
    pub gone: Vec<PathBuf>,
}

/// A finding of the reader.
#[derive(Clone, Debug)]
pub enum ReaderEvent {
    /// The path of all checkpoints that fit; `members` is empty when none is left.
    Path(Box<PathReading>),
    /// A checkpoint that does not belong on the path, with the reason.
    Rejected {
        /// The checkpoint.
        checkpoint: Checkpoint,
        /// One sentence.
        reason: String,
        /// True if it cannot be read at all.
        is_unreadable: bool,
    },
    /// A choice or a turn of the path, in one sentence.
    Remark(String),
    /// The amount that is kept.
    Kept(KeptLine),
}

/// A path that was read and fitted.
#[derive(Clone, Debug, Default)]
pub struct PathReading {
    /// Names and shapes of the run.
    pub shape: Option<RunShape>,
    /// The checkpoints on the path, by step.
    pub members: Vec<Checkpoint>,
    /// The checkpoints of branches that training has left.
    pub left: Vec<Checkpoint>,
    /// Members of both that the run's folder no longer holds.
    pub gone: Vec<Checkpoint>,
    /// Their coordinates, and the plane on which these are.
    pub fit: Arc<Fit>,
    /// Dot products of the checkpoints, by which they are laid on a plane that is held.
    pub products: Arc<PathProducts>,
    /// Their norms by layer, and the angles between their updates.
    pub dynamics: Arc<Dynamics>,
    /// Their projection on a random plane, where reading them again is no burden.
    pub random_projection: Option<Arc<RandomProjection>>,
    /// Histograms of the weights of the first and the newest, under the same condition.
    pub overlay: Option<Arc<Overlay>>,
    /// Settings of training that each tells.
    pub hyper: Vec<Hyper>,
}

/// The run that a reader reads, and the options of reading and keeping.
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    /// The run folder.
    pub run: PathBuf,
    /// The files that count, and the state dict of each.
    pub choice: RunChoice,
    /// Roles that the model gives its tensors; `None` if names tell them.
    pub roles: Option<Arc<Roles>>,
    /// Seed of the random plane.
    pub seed: u64,
    /// Limit of what is kept.
    pub keep: KeepLimit,
    /// True if what was kept before is left alone.
    pub disk_only: bool,
    /// The database in which dot products are kept and found again; `None` if none are.
    pub store: Option<StorePlace>,
}

/// Weights of all checkpoints that are read once more for the random projection: 200 MB of them.
const LARGEST_SHADOW: usize = 50_000_000;

/// Bytes of the largest file that is read once more for the identity of its weights.
const LARGEST_IDENTIFIED: u64 = 1 << 30;

/// Bins of the histograms.
const BINS: usize = 80;

/// Serves changes until their sender is gone or `report` returns false. Changes that came while
/// one was being read are read together, so that opening a run reads each file once. While nothing
/// changes, what lies there is kept.
pub fn serve(
    options: ReaderOptions,
    changes: &Receiver<Change>,
    mut report: impl FnMut(ReaderEvent) -> bool,
) {
    let mut reader = Reader::new(options);
    let mut readings = reader.begin();
    loop {
        for reading in readings {
            if !report(reading) {
                return;
            }
        }
        let mut change = match changes.try_recv() {
            Ok(change) => change,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                if let Some(kept) = reader.keep_another() {
                    readings = kept;
                    continue;
                }
                if reader.identify_another() || reader.path.keep_another() {
                    readings = Vec::new();
                    continue;
                }
                match changes.recv() {
                    Ok(change) => change,
                    Err(_) => return,
                }
            }
        };
        for more in changes.try_iter() {
            change.settled.extend(more.settled);
            change.gone.extend(more.gone);
        }
        readings = reader.apply(change);
    }
}

/// The identity of a content.
type Key = (PathBuf, u64);

struct Reader {
    options: ReaderOptions,
    path: RunPath,
    history: History,
    keeper: Keeper,
    /// Contents that were to be kept once: what could not be is not tried again and again.
    tried: HashSet<Key>,
    /// Contents that were read once more for their identity.
    identified: HashSet<Key>,
    /// Remarks that were made.
    told: HashSet<String>,
    /// The path as it was fitted last: its checkpoints and the length of the path up to each.
    lengths: Vec<(Checkpoint, f64)>,
    /// True once the files that lay there at the start were read.
    has_begun: bool,
}

impl Reader {
    fn new(options: ReaderOptions) -> Self {
        Self {
            path: RunPath::new(options.choice.key.clone())
                .with_roles(options.roles.clone())
                // The workers, which have the same database, report why they are not kept.
                .with_kept_products(options.store.as_ref().and_then(|it| it.products().ok())),
            history: History::default(),
            keeper: Keeper::open(&options.run, options.keep),
            tried: HashSet::new(),
            identified: HashSet::new(),
            told: HashSet::new(),
            lengths: Vec::new(),
            has_begun: false,
            options,
        }
    }

    /// Takes over what was kept in earlier sessions: the path from before stands at once.
    fn begin(&mut self) -> Vec<ReaderEvent> {
        let mut readings = Vec::new();
        if !self.options.disk_only {
            let (seen, memory) = self.keeper.before(&self.options.run, &self.options.choice);
            self.history.restore(seen);
            self.path.recall(memory);
            if !self.history.seen().is_empty() {
                readings.extend(self.read());
            }
        }
        readings.extend(self.keeper.trouble().map(ReaderEvent::Remark));
        readings.extend(self.keeper.line().map(ReaderEvent::Kept));
        readings
    }

    fn apply(&mut self, change: Change) -> Vec<ReaderEvent> {
        for gone in &change.gone {
            self.history.vanish(gone);
        }
        let arrival = self.history.next_arrival();
        let mut remarks = Vec::new();
        for settled in change.settled {
            remarks.extend(settled.header.note.clone());
            self.arrive(settled, arrival);
        }
        let mut readings: Vec<ReaderEvent> = self.remarks(remarks);
        readings.extend(self.read());
        // What lay there at the start is kept when nothing else is to be done; later ones may be gone soon.
        if std::mem::replace(&mut self.has_begun, true) {
            let new = self
                .history
                .seen()
                .iter()
                .filter(|seen| seen.arrival == arrival);
            let new: Vec<Key> = new.map(key).collect();
            for key in new {
                readings.extend(self.keep(&key));
            }
        }
        readings
    }

    /// Takes a file that settled, where its content is not known already.
    fn arrive(&mut self, settled: Settled, arrival: u64) {
        let Settled { found, header } = settled;
        let key = self.options.choice.key.as_deref();
        let path = found.path.clone();
        self.history.take(found, header.facts, arrival, key);
        // A copy that is kept of it has none of them.
        if let Some(seen) = self.history.on_disk_at(&path) {
            seen.hyper.get_or_insert_with(|| Hyper::read(&path));
        }
    }

    /// Makes the path that of all that can be read, and fits it.
    fn read(&mut self) -> Vec<ReaderEvent> {
        self.history.forget_lost();
        let (mut wanted, remarks) = arranged(&mut self.history, self.options.choice.key.as_deref());
        let mut readings = self.choices(remarks);
        self.shorten(&mut wanted);
        let update = self.path.update(wanted, |_, _| {});
        self.lose(&update.lost);
        for change in &update.changes {
            self.leave(change);
            readings.extend(self.remarks(vec![change.to_string()]));
        }
        for rejected in update.rejected {
            readings.push(ReaderEvent::Rejected {
                reason: rejected.error.to_string(),
                is_unreadable: matches!(rejected.error, WeightsError::Format(_)),
                checkpoint: rejected.checkpoint,
            });
        }
        if update.lost.is_empty() {
            readings.push(ReaderEvent::Path(Box::new(self.fitted())));
        } else {
            // What lies on disk still comes back from there.
            readings.extend(self.read());
        }
        readings
    }

    /// Takes the points off a path that became too long which it can do without; their copies stay while there
    /// is room.
    fn shorten(&mut self, wanted: &mut Vec<Checkpoint>) {
        let lengths: HashMap<(&Path, u64), f64> = self
            .lengths
            .iter()
            .map(|(one, length)| (identity(one), *length))
            .collect();
        let on_disk = self.history.on_disk();
        let candidate = |one: &Checkpoint| ThinningCandidate {
            on_disk: on_disk.contains(&identity(one)),
            is_left: self.path.has_left(one),
            length: lengths.get(&identity(one)).copied(),
        };
        let candidates: Vec<ThinningCandidate> = wanted.iter().map(candidate).collect();
        let mut taken = superfluous(&candidates);
        taken.sort_unstable();
        for at in taken.into_iter().rev() {
            let checkpoint = wanted.remove(at);
            if let Some(seen) = self.history.find_mut(&checkpoint) {
                seen.is_left = true;
            }
            self.keeper.thin(&checkpoint, candidates[at].is_left);
        }
    }

    fn fitted(&mut self) -> PathReading {
        let (members, fit) = self.path.fit();
        self.keeper
            .remember(&self.path.memory(), &self.options.choice);
        let mut length = 0.0;
        let lengths = fit.trajectory.update_norm.iter().map(|norm| {
            length += norm;
            length
        });
        self.lengths = members.iter().cloned().zip(lengths).collect();
        let left = self.path.left_behind();
        let on_disk = self.history.on_disk();
        let is_gone = |c: &&Checkpoint| !on_disk.contains(&identity(c));
        let gone = members.iter().chain(&left).filter(is_gone);
        let gone: Vec<Checkpoint> = gone.cloned().collect();
        let shape = self.path.shape();
        let told = |member: &Checkpoint| {
            let seen = self.history.find(member);
            seen.and_then(|seen| seen.hyper).unwrap_or_default()
        };
        PathReading {
            hyper: members.iter().map(told).collect(),
            dynamics: Arc::new(self.path.dynamics()),
            products: Arc::new(self.path.products()),
            random_projection: shape
                .and_then(|shape| project(shape, &members, &fit, self.options.seed)),
            overlay: shape.and_then(|shape| overlay(shape, &members)),
            shape: shape.cloned(),
            members,
            left,
            gone,
            fit,
        }
    }

    /// Notes that copies are gone, as after `isoloss cache clear`: what lies on disk may be kept again.
    fn lose(&mut self, lost: &[Checkpoint]) {
        if lost.is_empty() {
            return;
        }
        self.keeper.refresh();
        for checkpoint in lost {
            if let Some(seen) = self.history.find_mut(checkpoint) {
                seen.kept = None;
            }
        }
        for key in self.history.forget_copies() {
            self.tried.remove(&key);
        }
        self.history.forget_lost();
    }

    /// Notes which checkpoints the path has left for good.
    fn leave(&mut self, change: &PathChange) {
        // An old branch stays in sight; the others are no part of the path any more.
        if let PathChange::AnotherRun { left, .. }
        | PathChange::SeveralRuns { left, .. }
        | PathChange::AnotherModel { left, .. } = change
        {
            for checkpoint in left {
                if let Some(seen) = self.history.find_mut(checkpoint) {
                    seen.is_left = true;
                }
            }
        }
        self.keeper.leave(change);
    }

    /// Returns the remarks that were not made before with other numbers: those grow with the folder, so that they alone make none
    /// new.
    fn choices(&mut self, remarks: Vec<String>) -> Vec<ReaderEvent> {
        self.untold(remarks, |remark| {
            remark.replace(|c: char| c.is_ascii_digit(), "")
        })
    }

    /// Returns the remarks that were not made before.
    fn remarks(&mut self, remarks: Vec<String>) -> Vec<ReaderEvent> {
        self.untold(remarks, str::to_owned)
    }

    /// Returns those remarks of which none with the same `identity` was reported.
    fn untold(&mut self, remarks: Vec<String>, identity: fn(&str) -> String) -> Vec<ReaderEvent> {
        let is_new = |remark: &String| self.told.insert(identity(remark));
        let new = remarks.into_iter().filter(is_new);
        new.map(ReaderEvent::Remark).collect()
    }

    /// Keeps one more of the checkpoints that lay there at the start; `None` if all are that can be.
    fn keep_another(&mut self) -> Option<Vec<ReaderEvent>> {
        let next = self.on_path(|seen| self.keeper.wants(seen) && !self.tried.contains(&key(seen)));
        let next = key(next?);
        self.tried.insert(next.clone());
        Some(self.keep(&next))
    }

    /// Reads one more of the files that are not kept for the identity of its weights. False if all were read that are
    /// to be.
    fn identify_another(&mut self) -> bool {
        let next = self.on_path(|seen| {
            let is_unknown = seen.on_disk && seen.facts.content.is_none();
            is_unknown && seen.size <= LARGEST_IDENTIFIED && !self.identified.contains(&key(seen))
        });
        let Some(mut next) = next.cloned() else {
            return false;
        };
        self.identified.insert(key(&next));
        keeper::identify(&mut next, self.options.choice.key.as_deref());
        if let Some(known) = self.history.find_mut(&next.at(0)) {
            known.facts.content = next.facts.content;
        }
        true
    }

    /// Returns the first content on the path of which this holds.
    fn on_path(&self, holds: impl Fn(&Seen) -> bool) -> Option<&Seen> {
        // The look through the path comes last: of most it does not hold, and paths and runs are long.
        let is_on_path = |seen: &Seen| self.lengths.iter().any(|(member, _)| seen.is(member));
        let mut seen = self.history.seen().iter();
        seen.find(|seen| holds(seen) && is_on_path(seen))
    }

    fn keep(&mut self, key: &Key) -> Vec<ReaderEvent> {
        let is = |seen: &&Seen| (&seen.path, seen.arrival) == (&key.0, key.1);
        let Some(mut seen) = self.history.seen().iter().find(is).cloned() else {
            return Vec::new();
        };
        let own = self.options.choice.key.as_deref();
        let kept = self
            .keeper
            .keep(&mut seen, &self.lengths, own, &self.options.run);
        if let Some(known) = self.history.find_mut(&seen.at(0)) {
            (known.kept, known.facts.content) = (seen.kept, seen.facts.content);
        }
        let mut is_shorter = false;
        for lost in &kept.lost {
            if let Some(seen) = self.history.find_mut(lost) {
                seen.kept = None;
                is_shorter |= !seen.on_disk;
            }
        }
        let mut readings = self.choices(kept.trouble.into_iter().collect());
        if is_shorter {
            readings.extend(self.read());
        }
        readings.extend(self.keeper.line().map(ReaderEvent::Kept));
        readings
    }
}

fn key(seen: &Seen) -> Key {
    (seen.path.clone(), seen.arrival)
}

fn identity(checkpoint: &Checkpoint) -> (&Path, u64) {
    (&checkpoint.path, checkpoint.arrival)
}

/// Returns the histograms of the first and the newest checkpoint.
fn overlay(shape: &RunShape, members: &[Checkpoint]) -> Option<Arc<Overlay>> {
    let [first, .., last] = members else {
        return None;
    };
    if shape.layout.parameters() > LARGEST_SHADOW {
        return None;
    }
    let [first, last] = [first, last].map(|member| RunCheckpoint::open(member, shape).ok());
    let found = Overlay::of([&first?, &last?], &shape.layout, BINS).ok()?;
    found.map(Arc::new)
}

/// Returns the projection of a path that is short and small enough to be read once more.
fn project(
    shape: &RunShape,
    members: &[Checkpoint],
    fit: &Fit,
    seed: u64,
) -> Option<Arc<RandomProjection>> {
    if members.len() < 3 || shape.layout.parameters() * members.len() > LARGEST_SHADOW {
        return None;
    }
    let found = random_projection::of(shape, members, &fit.trajectory.singular, seed);
    found
        .inspect_err(|error| tracing::info!("no random projection: {error}"))
        .ok()
        .map(Arc::new)
}
