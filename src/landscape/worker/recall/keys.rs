//! Keys of values, by the contents that they are of.

use std::path::Path;

use serde::Serialize;

use crate::loss::Criterion;
use crate::model::Reading;
use crate::run::Checkpoint;
use crate::store::{Digest, FileContents, PointPlace, StoreError, digest};
use crate::weights::{BatchNorm, Directions, PlaneSpec};

use super::super::super::curvature::Effort;
use super::super::super::evidence::AssumedFunction;
use super::super::protocol::{Plan, Quantity, Query, Setup, Subset};
use crate::landscape::device::Precision;

/// The version of what is measured: raised when a kernel, a choice of samples or a plane's rule changes its values.
const NUMERICS: u32 = 4;
/// The version of the decision which function a path followed: raised when another may be taken of the same run.
const DECISION: u32 = 8;

/// The key of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ValueKey {
    /// A point of the scene.
    Point(PointPlace),
    /// Any other value.
    Value(Digest),
}

/// All that a loss depends on beside the weights.
#[derive(Serialize)]
struct LossRecord<'a> {
    numerics: u32,
    version: &'static str,
    model: ModelRecord<'a>,
    criterion: &'a Criterion,
    asked: &'a Reading,
    function: &'a AssumedFunction,
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
    directions: &'a Directions<Digest>,
    /// The content of the file that the directions are; its path says nothing.
    file: Option<Digest>,
    batch_norm: BatchNorm,
}

/// A value by the contents of its checkpoints.
#[derive(Serialize)]
struct ValueRecord<C> {
    loss: Digest,
    /// The plane and the bits of (α, β) on it.
    at: Option<(Digest, [u64; 2])>,
    quantity: QuantityRecord,
    samples: Subset,
    contents: C,
}

/// A quantity by all but its weights.
#[derive(Serialize)]
enum QuantityRecord {
    Loss,
    RecalibratedLoss,
    CriticalStep,
    Extremes(Effort),
    Density { steps: usize, seed: u64 },
    Function { decision: u32 },
}

impl QuantityRecord {
    fn of(quantity: &Quantity) -> Self {
        match *quantity {
            Quantity::Loss(_) => Self::Loss,
            Quantity::RecalibratedLoss(_) => Self::RecalibratedLoss,
            Quantity::CriticalStep { .. } => Self::CriticalStep,
            Quantity::Extremes { effort, .. } => Self::Extremes(effort),
            Quantity::Density { steps, seed, .. } => Self::Density { steps, seed },
            Quantity::Function(_) => Self::Function { decision: DECISION },
        }
    }
}

/// Returns the key of a loss; `None` if the file of its model cannot be read.
pub(super) fn loss(
    setup: &Setup,
    (plan, function): (&Plan, &AssumedFunction),
    samples: Digest,
    contents: &mut FileContents<'_>,
) -> Result<Option<Digest>, StoreError> {
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

/// Returns the checkpoints that a plane is made of.
pub(super) fn members(spec: &PlaneSpec) -> Vec<&Checkpoint> {
    let origin = std::iter::once(&spec.origin);
    match &spec.directions {
        Directions::Principal { members, .. } => origin.chain(members).collect(),
        Directions::Difference { from, to } => origin.chain([from, to]).collect(),
        Directions::Random { .. } | Directions::File { .. } => origin.collect(),
    }
}

/// Returns the key of a plane; `None` if a file of it cannot be read.
pub(super) fn plane(
    spec: &PlaneSpec,
    loss: Digest,
    contents: &mut FileContents<'_>,
) -> Result<Option<Digest>, StoreError> {
    let key = spec.shape.key.as_deref();
    let Some(origin) = contents.of(&spec.origin, key)? else {
        return Ok(None);
    };
    // The error is `None` for a checkpoint that cannot be read.
    let mut content =
        |checkpoint: &Checkpoint| contents.of(checkpoint, key).map_err(Some)?.ok_or(None);
    let mut directions = match spec.directions.told_as(&mut content) {
        Err(None) => return Ok(None),
        Err(Some(error)) => return Err(error),
        Ok(directions) => directions,
    };
    let mut file = None;
    if let Directions::File { path } = &mut directions {
        file = contents.of_file(&std::mem::take(path))?;
        if file.is_none() {
            return Ok(None);
        }
    }
    Ok(digest(&PlaneRecord {
        loss,
        origin,
        directions: &directions,
        file,
        batch_norm: spec.batch_norm,
    }))
}

/// Returns the key of a query's value; `None` if a file of it cannot be read.
pub(super) fn key(
    query: &Query,
    (loss, plane, key): (Digest, Option<Digest>, Option<&str>),
    contents: &mut FileContents<'_>,
) -> Result<Option<ValueKey>, StoreError> {
    let at = query.quantity.plane_point();
    let few = match query.samples {
        Subset::All => Some(None),
        Subset::Few(count) => Some(Some(count)),
        Subset::Part { .. } => None,
    };
    if let (Quantity::Loss(_), Some(at), Some(samples)) = (&query.quantity, at, few) {
        return Ok(Some(ValueKey::Point(PointPlace { at, samples })));
    }
    let Some(contents) = contents.of_all(&query.quantity.checkpoints(), key)? else {
        return Ok(None);
    };
    let record = ValueRecord {
        loss,
        // A point is nothing without its plane, and nothing else depends on one.
        at: match (at, plane) {
            (Some(_), None) => return Ok(None),
            (at, plane) => plane
                .zip(at)
                .map(|(plane, at)| (plane, at.map(f64::to_bits))),
        },
        quantity: QuantityRecord::of(&query.quantity),
        samples: query.samples,
        contents,
    };
    Ok(digest(&record).map(ValueKey::Value))
}
