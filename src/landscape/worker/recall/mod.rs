//! Values that were measured before: found by the contents that a query is of, and kept as they come.

mod keys;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use crate::data::{self, Split};
use crate::run::contains::resolved;
use crate::run::scan::fingerprint_of;
use crate::run::{Checkpoint, Fingerprint};
use crate::store::{
    Digest, FileContents, KeptPoint, PointPlace, SceneId, Store, StoreError, digest,
};
use crate::weights::{Directions, PlaneSpec};

use super::super::evidence::{Assumed, AssumedFunction};
use super::Task;
use super::protocol::{Plan, QueryAnswer, Setup, WorkerEvent};
use crate::landscape::device::Place;
use crate::landscape::grid::surface::Measure;
use keys::{ValueKey, key, loss, members, plane};

/// The store as a session uses it.
#[derive(Debug)]
pub(super) struct Recall {
    store: Arc<Store>,
    setup: Setup,
    /// Contents of the samples that were loaded.
    samples: Mutex<HashMap<Split, Digest>>,
    /// The samples that were loaded here.
    found: Mutex<Vec<WorkerEvent>>,
    /// The plane that was asked for last.
    plane: Mutex<Option<KnownPlane>>,
}

/// A plane with its key: plan after plan is of the same one.
#[derive(Clone, Debug)]
struct KnownPlane {
    spec: PlaneSpec,
    loss: Digest,
    key: Digest,
    scene: SceneId,
    files: HashMap<PathBuf, Fingerprint>,
}

/// The keys of a plan's queries.
#[derive(Debug)]
pub(super) struct PlanKeys {
    scene: Option<SceneId>,
    queries: Vec<ValueKey>,
    /// The files that it is of as they were when their contents were read.
    files: HashMap<PathBuf, Fingerprint>,
    /// True if those of the plane were still so when its first value came.
    plane_holds: OnceLock<bool>,
    /// The folder of its checkpoints.
    run: PathBuf,
    /// Key of what is found out about model and samples.
    findings: Digest,
}

/// A scene in words.
#[derive(Serialize)]
struct About<'a> {
    model: &'a str,
    plane: &'static str,
}

impl Recall {
    /// Uses a store for a session's values; `None` if they are an evaluator's, which may change without a sign.
    pub(super) fn new(store: Arc<Store>, setup: &Setup) -> Option<Self> {
        setup.evaluator.is_none().then(|| Self {
            store,
            setup: setup.clone(),
            samples: Mutex::default(),
            found: Mutex::default(),
            plane: Mutex::default(),
        })
    }

    /// Takes the content of the samples of a split. Returns false if they are others than were found here.
    pub(super) fn set_samples(&self, split: Split, content: Digest) -> bool {
        let before = held(&self.samples).insert(split, content);
        before.is_none_or(|before| before == content)
    }

    /// Returns the content of the samples of a split. Those of the other one are read for it, as a worker reads them
    /// when it is asked for them first.
    fn samples(&self, split: Split, may_read: &dyn Fn(u64) -> bool) -> Option<Digest> {
        let known = held(&self.samples).get(&split).copied();
        // How much there is to read is not known.
        if known.is_some() || !may_read(u64::MAX) {
            return known;
        }
        let mut request = self.setup.data.clone()?;
        request.split = split;
        let data = data::load(&request).ok()?;
        let content = Digest(data.content());
        held(&self.found).push(WorkerEvent::Data {
            split,
            name: data.name.clone(),
            samples: data.samples(),
            content: Some(content),
        });
        self.set_samples(split, content).then_some(content)
    }

    /// Returns the findings about samples since it was asked last.
    pub(super) fn take_found(&self) -> Vec<WorkerEvent> {
        std::mem::take(&mut *held(&self.found))
    }

    /// Returns true if samples were loaded: until then nothing can be looked up.
    pub(super) fn knows_samples(&self) -> bool {
        !held(&self.samples).is_empty()
    }

    /// Returns the keys of a plan's queries; `None` if a file of it cannot be read, the samples are not known, or a
    /// content is not known and `may_read` says that its bytes are not to be read now.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn keys(
        &self,
        plan: &Plan,
        function: &AssumedFunction,
        may_read: &dyn Fn(u64) -> bool,
    ) -> Result<Option<PlanKeys>, StoreError> {
        let samples = self.samples(plan.split, may_read);
        let mut contents = FileContents {
            store: &self.store,
            may_read,
            files: HashMap::new(),
        };
        let loss = match samples {
            Some(samples) => loss(&self.setup, (plan, function), samples, &mut contents)?,
            None => None,
        };
        let Some((loss, findings)) = loss.and_then(|loss| Some((loss, digest(&(loss, 'f'))?)))
        else {
            return Ok(None);
        };
        let needs_plane = plan
            .queries
            .iter()
            .any(|query| query.quantity.plane_point().is_some());
        let plane = if needs_plane {
            self.plane(plan, loss, &mut contents)?
        } else {
            None
        };
        if needs_plane && plane.is_none() {
            return Ok(None);
        }
        let own = plan.spec.shape.key.as_deref();
        let of = (loss, plane.as_ref().map(|plane| plane.key), own);
        let mut queries = Vec::with_capacity(plan.queries.len());
        for query in &plan.queries {
            let Some(key) = key(query, of, &mut contents)? else {
                return Ok(None);
            };
            queries.push(key);
        }
        Ok(Some(PlanKeys {
            scene: plane.map(|plane| plane.scene),
            queries,
            files: contents.files,
            plane_holds: OnceLock::new(),
            run: resolved(run_of(plan)),
            findings,
        }))
    }

    /// Returns the plane of a plan with its key.
    fn plane(
        &self,
        plan: &Plan,
        loss: Digest,
        contents: &mut FileContents<'_>,
    ) -> Result<Option<KnownPlane>, StoreError> {
        let known = held(&self.plane).clone();
        let known = known.filter(|known| known.loss == loss && known.spec == plan.spec);
        if let Some(known) = known {
            contents.files.extend(known.files.clone());
            return Ok(Some(known));
        }
        let Some(key) = plane(&plan.spec, loss, contents)? else {
            return Ok(None);
        };
        let plane = KnownPlane {
            spec: plan.spec.clone(),
            loss,
            key,
            scene: self
                .store
                .scene(key, &resolved(run_of(plan)), &self.about(plan))?,
            files: contents.files.clone(),
        };
        *held(&self.plane) = Some(plane.clone());
        Ok(Some(plane))
    }

    fn about(&self, plan: &Plan) -> String {
        let about = About {
            model: &self.setup.model,
            plane: match plan.spec.directions {
                Directions::Principal { .. } => "pca",
                Directions::Random { .. } => "random",
                Directions::Difference { .. } => "line",
                Directions::File { .. } => "file",
            },
        };
        serde_json::to_string(&about).unwrap_or_default()
    }

    /// Returns the values of a plan that are known, by the index of their queries.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn values(&self, keys: &PlanKeys) -> Result<Values, StoreError> {
        let mut points = HashMap::new();
        if let Some(scene) = keys.scene {
            for kept in self.store.points(scene)? {
                points.insert(bits(kept.place), kept);
            }
        }
        let mut found = Vec::new();
        for (index, key) in keys.queries.iter().enumerate() {
            let value = match key {
                ValueKey::Point(place) => points.get(&bits(*place)).map(|kept| {
                    Recalled::Value(QueryAnswer::Measure(Measure {
                        loss: kept.loss,
                        score: kept.score,
                    }))
                }),
                ValueKey::Value(key) => self.read(*key)?,
            };
            found.extend(value.map(|value| (index, value)));
        }
        Ok(found)
    }

    /// Returns the findings about model and samples of the time when this function was measured before.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn findings(&self, keys: &PlanKeys) -> Result<Vec<WorkerEvent>, StoreError> {
        let found = self.store.spot(keys.findings)?;
        Ok(found
            .and_then(|bytes| ciborium::from_reader(&bytes[..]).ok())
            .unwrap_or_default())
    }

    fn read(&self, key: Digest) -> Result<Option<Recalled>, StoreError> {
        let found = self.store.spot(key)?;
        Ok(found.and_then(|bytes| ciborium::from_reader(&bytes[..]).ok()))
    }

    /// Keeps the value of a query, unless a file that it is of has changed since.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn keep(
        &self,
        (plan, keys): (&Plan, &PlanKeys),
        index: usize,
        recalled: &Recalled,
        place: Place,
    ) -> Result<(), StoreError> {
        if !keys.holds(plan, index) {
            return Ok(());
        }
        let device = place.to_string();
        match (keys.queries.get(index), recalled) {
            (Some(ValueKey::Point(at)), Recalled::Value(QueryAnswer::Measure(measure))) => {
                let Some(scene) = keys.scene else {
                    return Ok(());
                };
                let kept = KeptPoint {
                    place: *at,
                    loss: measure.loss,
                    score: measure.score,
                };
                self.store.keep_point(scene, &kept, &device)
            }
            (Some(ValueKey::Value(key)), recalled) => {
                self.write(*key, recalled, &keys.run, &device)
            }
            _ => Ok(()),
        }
    }

    /// Keeps what was found out about model and samples.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn keep_findings(
        &self,
        keys: &PlanKeys,
        findings: &[WorkerEvent],
        place: Place,
    ) -> Result<(), StoreError> {
        self.write(keys.findings, findings, &keys.run, &place.to_string())
    }

    fn write(
        &self,
        key: Digest,
        value: &(impl Serialize + ?Sized),
        run: &Path,
        device: &str,
    ) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        if ciborium::into_writer(value, &mut bytes).is_ok() {
            self.store.keep_spot(key, &bytes, run, device)?;
        }
        Ok(())
    }

    /// Commits what is not safe yet.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.store.flush()
    }
}

/// Values by the index of their queries.
pub(super) type Values = Vec<(usize, Recalled)>;

/// A value as the store has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Recalled {
    /// That of a query.
    Value(QueryAnswer),
    /// The answer of a path.
    Answer(Box<Assumed>),
}

impl Recalled {
    /// Returns the value as it is kept; `None` if it is kept elsewhere.
    pub(super) fn of(value: &QueryAnswer) -> Option<Self> {
        (*value != QueryAnswer::Assumed).then(|| Self::Value(value.clone()))
    }
}

impl PlanKeys {
    /// Returns true if the checkpoints of a query are still those whose contents were read.
    fn holds(&self, plan: &Plan, index: usize) -> bool {
        let is_as_it_was = |checkpoint: &&Checkpoint| {
            let (file, _) = checkpoint.source(None);
            let known = self.files.get(file);
            known.is_some() && fingerprint_of(file) == known.copied()
        };
        match plan.queries.get(index) {
            Some(query) if query.quantity.plane_point().is_some() => *self
                .plane_holds
                .get_or_init(|| members(&plan.spec).iter().all(is_as_it_was)),
            Some(query) => query.quantity.checkpoints().iter().all(is_as_it_was),
            None => false,
        }
    }
}

/// Returns true if this machine sees all files that a query is of.
pub(super) fn sees_files(task: &Task) -> bool {
    let of_query = task.query().quantity.checkpoints().into_iter();
    let mut all = of_query.chain(members(&task.plan.spec));
    all.all(|checkpoint| checkpoint.source(None).0.exists())
}

/// Returns the folder of the checkpoint that a plan's plane goes through.
fn run_of(plan: &Plan) -> &Path {
    let path = &plan.spec.origin.path;
    path.parent().unwrap_or(path)
}

fn held<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a place by its bits; the zero below 0 is the other one.
fn bits(place: PointPlace) -> ([u64; 2], Option<usize>) {
    (place.at.map(|at| (at + 0.0).to_bits()), place.samples)
}
