//! Values that were measured before: found by the contents that a query is of, and kept as they come.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use crate::data::Split;
use crate::loss::Criterion;
use crate::model::reading::Reading;
use crate::run::fingerprint::Fingerprint;
use crate::run::scan::fingerprint_of;
use crate::run::{self, Checkpoint};
use crate::store::{Digest, KeptPoint, PointPlace, SceneId, Store, StoreError, digest};
use crate::weights::normalize::{Ignore, Norm};
use crate::weights::plane_spec::{BatchNorm, Directions, PlaneSpec};

use super::super::device::{Place, Precision};
use super::super::evidence::{Assumed, Function};
use super::super::surface::Measure;
use super::pending::Values;
use super::protocol::{Plan, Query, Report, Setup, Value};

/// The version of what is measured: raised when a kernel, a choice of samples or a plane's rule changes its values.
const NUMERICS: u32 = 1;

/// The store as a session uses it.
#[derive(Debug)]
pub(super) struct Recall {
    store: Arc<Store>,
    setup: Setup,
    /// Contents of the samples that were loaded.
    samples: Mutex<HashMap<Split, Digest>>,
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

/// The key of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ValueKey {
    /// A point of the scene.
    Point(PointPlace),
    /// Any other value.
    Spot(Digest),
}

/// All that a loss depends on beside the weights.
#[derive(Serialize)]
struct LossRecord<'a> {
    numerics: u32,
    version: &'static str,
    model: ModelRecord<'a>,
    criterion: &'a Criterion,
    asked: &'a Reading,
    function: &'a Function,
    precision: Precision,
    batch: Option<usize>,
    samples: Digest,
    shape: Digest,
}

#[derive(Serialize)]
enum ModelRecord<'a> {
    Named(&'a str),
    File(Digest),
}

/// A plane by the contents of its checkpoints.
#[derive(Serialize)]
struct PlaneRecord<'a> {
    loss: Digest,
    origin: Digest,
    directions: DirectionsRecord<'a>,
    batch_norm: BatchNorm,
}

#[derive(Serialize)]
enum DirectionsRecord<'a> {
    Principal(Vec<Digest>, &'a [Vec<f64>; 2]),
    Random(u64, Norm, Ignore, bool),
    Difference([Digest; 2]),
    File(Digest),
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
            plane: Mutex::default(),
        })
    }

    /// Takes the content of the samples of a split.
    pub(super) fn set_samples(&self, split: Split, content: Digest) {
        held(&self.samples).insert(split, content);
    }

    /// Returns the keys of a plan's queries; `None` if a file of it cannot be read, the samples are not known, or a
    /// content is not known and `may_read` says that it is not to be read now.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn keys(
        &self,
        plan: &Plan,
        function: &Function,
        may_read: &dyn Fn() -> bool,
    ) -> Result<Option<PlanKeys>, StoreError> {
        let samples = held(&self.samples).get(&plan.split).copied();
        let mut contents = Contents {
            store: &self.store,
            may_read,
            files: HashMap::new(),
        };
        let loss = match samples {
            Some(samples) => self.loss(plan, function, samples, &mut contents)?,
            None => None,
        };
        let Some((loss, findings)) = loss.and_then(|loss| Some((loss, digest(&(loss, 'f'))?)))
        else {
            return Ok(None);
        };
        let needs_plane = plan.queries.iter().any(is_on_plane);
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
            run: run_of(plan).to_path_buf(),
            findings,
        }))
    }

    /// Returns the plane of a plan with its key.
    fn plane(
        &self,
        plan: &Plan,
        loss: Digest,
        contents: &mut Contents<'_>,
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
            scene: self.store.scene(key, run_of(plan), &self.about(plan))?,
            files: contents.files.clone(),
        };
        *held(&self.plane) = Some(plane.clone());
        Ok(Some(plane))
    }

    fn loss(
        &self,
        plan: &Plan,
        function: &Function,
        samples: Digest,
        contents: &mut Contents<'_>,
    ) -> Result<Option<Digest>, StoreError> {
        let setup = &self.setup;
        let file = Path::new(&setup.model);
        let model = if file.is_file() {
            match contents.of_file(file)? {
                Some(content) => ModelRecord::File(content),
                None => return Ok(None),
            }
        } else {
            ModelRecord::Named(&setup.model)
        };
        let shape = &plan.spec.shape;
        let Some(shape) = digest(&(
            shape.layout.slots(),
            &shape.key,
            &shape.roles,
            &shape.settings,
        )) else {
            return Ok(None);
        };
        Ok(digest(&LossRecord {
            numerics: NUMERICS,
            version: env!("CARGO_PKG_VERSION"),
            model,
            criterion: &setup.criterion,
            asked: &setup.reading,
            function,
            precision: setup.precision,
            batch: setup.batch,
            samples,
            shape,
        }))
    }

    fn about(&self, plan: &Plan) -> String {
        let about = About {
            model: &self.setup.model,
            plane: match plan.spec.directions {
                Directions::Principal { .. } => "pca",
                Directions::Random { .. } => "random",
                Directions::Difference { .. } => "line",
                Directions::File(_) => "file",
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
                    Recalled::Value(Value::Measure(Measure {
                        loss: kept.loss,
                        score: kept.score,
                    }))
                }),
                ValueKey::Spot(key) => self.read(*key)?,
            };
            found.extend(value.map(|value| (index, value)));
        }
        Ok(found)
    }

    /// Returns what was found out about model and samples when this function was measured before.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn findings(&self, keys: &PlanKeys) -> Result<Vec<Report>, StoreError> {
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
            (Some(ValueKey::Point(at)), Recalled::Value(Value::Measure(measure))) => {
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
            (Some(ValueKey::Spot(key)), recalled) => self.write(*key, recalled, &keys.run, &device),
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
        findings: &[Report],
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

/// A value as the store has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Recalled {
    /// That of a query.
    Value(Value),
    /// The answer of a path.
    Answer(Box<Assumed>),
}

impl Recalled {
    /// The value as it is kept; `None` if it is told by itself.
    pub(super) fn of(value: Value) -> Option<Self> {
        match value {
            Value::Assumed => None,
            value => Some(Self::Value(value)),
        }
    }
}

impl PlanKeys {
    /// Returns true if the checkpoints of a query are still those whose contents were read.
    fn holds(&self, plan: &Plan, index: usize) -> bool {
        let is_as_it_was = |checkpoint: &&Checkpoint| {
            let file = file_of(checkpoint);
            let known = self.files.get(file);
            known.is_some() && fingerprint_of(file) == known.copied()
        };
        match plan.queries.get(index) {
            Some(Query::OnPlane(_) | Query::OnFew { .. } | Query::Curvature(_)) => *self
                .plane_holds
                .get_or_init(|| members(&plan.spec).iter().all(is_as_it_was)),
            Some(query) => checkpoints(query).iter().all(is_as_it_was),
            None => false,
        }
    }
}

/// The contents of files, by their stamps where they were read before.
struct Contents<'a> {
    store: &'a Store,
    may_read: &'a dyn Fn() -> bool,
    files: HashMap<PathBuf, Fingerprint>,
}

impl Contents<'_> {
    /// Returns the content of a checkpoint's weights; `None` if it cannot be read, or is not to be read now.
    fn of(
        &mut self,
        checkpoint: &Checkpoint,
        key: Option<&str>,
    ) -> Result<Option<Digest>, StoreError> {
        let file = file_of(checkpoint);
        // A copy holds the chosen state dict alone.
        let key = key.filter(|_| checkpoint.kept.is_none());
        self.known(file, key.unwrap_or_default(), || {
            run::content(file, key).map(Digest)
        })
    }

    /// Returns the content of a whole file.
    fn of_file(&mut self, file: &Path) -> Result<Option<Digest>, StoreError> {
        // No key of a state dict is a slash.
        self.known(file, "/", || {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(File::open(file).ok()?).ok()?;
            Some(Digest(*hasher.finalize().as_bytes()))
        })
    }

    fn known(
        &mut self,
        file: &Path,
        key: &str,
        read: impl FnOnce() -> Option<Digest>,
    ) -> Result<Option<Digest>, StoreError> {
        let Some(now) = fingerprint_of(file) else {
            return Ok(None);
        };
        let known = self.store.content(file, key, now)?;
        let content = match known {
            Some(content) => content,
            None if !(self.may_read)() => return Ok(None),
            None => {
                let Some(content) = read() else {
                    return Ok(None);
                };
                // What is written to while it is read has no content.
                if fingerprint_of(file) != Some(now) {
                    return Ok(None);
                }
                self.store.keep_content(file, key, now, content)?;
                content
            }
        };
        self.files.insert(file.to_path_buf(), now);
        Ok(Some(content))
    }

    fn of_all(
        &mut self,
        checkpoints: &[&Checkpoint],
        key: Option<&str>,
    ) -> Result<Option<Vec<Digest>>, StoreError> {
        let contents = checkpoints
            .iter()
            .map(|checkpoint| self.of(checkpoint, key));
        contents.collect()
    }
}

/// The folder of the checkpoint that a plan's plane goes through.
fn run_of(plan: &Plan) -> &Path {
    let path = &plan.spec.origin.path;
    path.parent().unwrap_or(path)
}

fn held<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file that is read for a checkpoint.
fn file_of(checkpoint: &Checkpoint) -> &Path {
    checkpoint.kept.as_deref().unwrap_or(&checkpoint.path)
}

/// The checkpoints that a plane is made of.
fn members(spec: &PlaneSpec) -> Vec<&Checkpoint> {
    let origin = std::iter::once(&spec.origin);
    match &spec.directions {
        Directions::Principal { members, .. } => origin.chain(members).collect(),
        Directions::Difference { from, to } => origin.chain([from, to]).collect(),
        Directions::Random { .. } | Directions::File(_) => origin.collect(),
    }
}

/// The checkpoints that a query is of, beside those of its plane.
fn checkpoints(query: &Query) -> Vec<&Checkpoint> {
    match query {
        Query::Checkpoint(one) | Query::CurvatureOf(one) => vec![one],
        Query::Average(all) | Query::Evidence(all) => all.iter().collect(),
        Query::Update { from, to } => vec![from, to],
        Query::OnPlane(_) | Query::OnFew { .. } | Query::Curvature(_) => Vec::new(),
    }
}

/// True if the value depends on the plane.
fn is_on_plane(query: &Query) -> bool {
    matches!(
        query,
        Query::OnPlane(_) | Query::OnFew { .. } | Query::Curvature(_)
    )
}

/// Returns the key of a plane; `None` if a file of it cannot be read.
fn plane(
    spec: &PlaneSpec,
    loss: Digest,
    contents: &mut Contents<'_>,
) -> Result<Option<Digest>, StoreError> {
    let key = spec.shape.key.as_deref();
    let Some(origin) = contents.of(&spec.origin, key)? else {
        return Ok(None);
    };
    let directions = match &spec.directions {
        Directions::Principal {
            members,
            combinations,
        } => {
            let members: Vec<&Checkpoint> = members.iter().collect();
            let contents = contents.of_all(&members, key)?;
            contents.map(|contents| DirectionsRecord::Principal(contents, combinations))
        }
        Directions::Random {
            seed,
            norm,
            ignore,
            orthogonal,
        } => Some(DirectionsRecord::Random(*seed, *norm, *ignore, *orthogonal)),
        Directions::Difference { from, to } => {
            let contents = contents.of(from, key)?.zip(contents.of(to, key)?);
            contents.map(|(from, to)| DirectionsRecord::Difference([from, to]))
        }
        Directions::File(file) => contents.of_file(file)?.map(DirectionsRecord::File),
    };
    Ok(directions.and_then(|directions| {
        digest(&PlaneRecord {
            loss,
            origin,
            directions,
            batch_norm: spec.batch_norm,
        })
    }))
}

/// Returns the key of a query's value; `None` if a file of it cannot be read.
fn key(
    query: &Query,
    of: (Digest, Option<Digest>, Option<&str>),
    contents: &mut Contents<'_>,
) -> Result<Option<ValueKey>, StoreError> {
    let (loss, plane, key) = of;
    let of = match query {
        Query::OnPlane(at) => {
            return Ok(Some(ValueKey::Point(PointPlace {
                at: *at,
                samples: None,
            })));
        }
        Query::OnFew { at, samples } => {
            let samples = Some(*samples);
            return Ok(Some(ValueKey::Point(PointPlace { at: *at, samples })));
        }
        Query::Curvature(at) => {
            let at = at.map(f64::to_bits);
            let spot = plane.and_then(|plane| digest(&(plane, 'h', at)));
            return Ok(spot.map(ValueKey::Spot));
        }
        Query::Evidence(_) => 'e',
        Query::Checkpoint(_) => 'c',
        Query::CurvatureOf(_) => 'h',
        Query::Average(_) => 'a',
        Query::Update { .. } => 'u',
    };
    let contents = contents.of_all(&checkpoints(query), key)?;
    let spot = contents.and_then(|contents| digest(&(loss, of, contents)));
    Ok(spot.map(ValueKey::Spot))
}

/// A place by its bits; the zero below 0 is the other one.
fn bits(place: PointPlace) -> ([u64; 2], Option<usize>) {
    (place.at.map(|at| (at + 0.0).to_bits()), place.samples)
}
