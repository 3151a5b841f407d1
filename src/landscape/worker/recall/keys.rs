//! Keys of values, by the contents that they are of.

use std::path::Path;

use serde::Serialize;

use crate::loss::Criterion;
use crate::model::reading::Reading;
use crate::run::Checkpoint;
use crate::store::{Digest, FileContents, PointPlace, StoreError, digest};
use crate::weights::plane_spec::{BatchNorm, Directions, PlaneSpec};

use super::super::super::evidence::AssumedFunction;
use super::super::protocol::{Plan, Query, Setup};
use crate::landscape::device::Precision;

/// The version of what is measured: raised when a kernel, a choice of samples or a plane's rule changes its values.
const NUMERICS: u32 = 4;
/// The version of the decision which function a path followed: raised when another may be taken of the same run.
const DECISION: u32 = 6;

/// The key of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ValueKey {
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

/// The checkpoints that a plane is made of.
pub(super) fn members(spec: &PlaneSpec) -> Vec<&Checkpoint> {
    let origin = std::iter::once(&spec.origin);
    match &spec.directions {
        Directions::Principal { members, .. } => origin.chain(members).collect(),
        Directions::Difference { from, to } => origin.chain([from, to]).collect(),
        Directions::Random { .. } | Directions::File { .. } => origin.collect(),
    }
}

/// The checkpoints that a query is of, beside those of its plane.
pub(super) fn checkpoints(query: &Query) -> Vec<&Checkpoint> {
    match query {
        Query::Part { query, .. } => checkpoints(query),
        Query::Checkpoint(one) | Query::CurvatureOf(one) => vec![one],
        Query::Average(all) | Query::Recalibrated(all) | Query::Evidence(all) => {
            all.iter().collect()
        }
        Query::Update { from, to } => vec![from, to],
        Query::OnPlane(_)
        | Query::OnFew { .. }
        | Query::Curvature { .. }
        | Query::Density { .. } => Vec::new(),
    }
}

/// True if the value depends on the plane.
pub(super) fn is_on_plane(query: &Query) -> bool {
    if let Query::Part { query, .. } = query {
        return is_on_plane(query);
    }
    matches!(
        query,
        Query::OnPlane(_) | Query::OnFew { .. } | Query::Curvature { .. } | Query::Density { .. }
    )
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
    of: (Digest, Option<Digest>, Option<&str>),
    contents: &mut FileContents<'_>,
) -> Result<Option<ValueKey>, StoreError> {
    let (loss, plane, key) = of;
    let of = match query {
        Query::Part {
            query,
            part,
            of: parts,
        } => {
            let whole = self::key(query, of, contents)?;
            let spot = match whole {
                Some(ValueKey::Spot(whole)) => digest(&(whole, part, parts)),
                Some(ValueKey::Point(place)) => {
                    let at = place.at.map(f64::to_bits);
                    plane.and_then(|plane| digest(&(plane, 'p', at, place.samples, part, parts)))
                }
                None => None,
            };
            return Ok(spot.map(ValueKey::Spot));
        }
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
        Query::Curvature {
            at,
            effort,
            samples,
        } => {
            let at = at.map(f64::to_bits);
            let spot = plane.and_then(|plane| digest(&(plane, 'h', at, effort, samples)));
            return Ok(spot.map(ValueKey::Spot));
        }
        Query::Density { at, steps, seed } => {
            let at = at.map(f64::to_bits);
            let spot = plane.and_then(|plane| digest(&(plane, 'd', at, steps, seed)));
            return Ok(spot.map(ValueKey::Spot));
        }
        Query::Evidence(_) => 'e',
        Query::Checkpoint(_) => 'c',
        Query::CurvatureOf(_) => 'h',
        Query::Average(_) => 'a',
        Query::Recalibrated(_) => 'r',
        Query::Update { .. } => 'u',
    };
    let Some(contents) = contents.of_all(&checkpoints(query), key)? else {
        return Ok(None);
    };
    let spot = if matches!(query, Query::Evidence(_)) {
        digest(&(loss, of, DECISION, contents))
    } else {
        digest(&(loss, of, contents))
    };
    Ok(spot.map(ValueKey::Spot))
}
