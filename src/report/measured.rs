//! The surface that a live session has measured, as the command `surface` reports one.

use clap::ValueEnum;

use crate::loss::Measure;
use crate::session::{Fidelity, Finding, Snapshot};
use crate::weights::BatchNorm;
use crate::weights::plane::expected_cosine;

use super::path::PathPoint;
use super::plane::PlaneReport;
use super::surface::{self, SurfaceReport};

/// Reports the map of the path's own plane as far as it is measured; `None` if there is no map of the path as
/// it is.
#[must_use]
pub fn surface(snapshot: &Snapshot) -> Option<SurfaceReport> {
    let map = snapshot.map.as_ref().filter(|map| !map.stale)?;
    let (Finding::Is(model), Finding::Is(data)) = (&snapshot.model, &snapshot.data) else {
        return None;
    };
    if map.surface.measured() == 0 {
        return None;
    }
    Some(SurfaceReport {
        run: snapshot.run.display().to_string(),
        origin: snapshot.origin()?,
        model: model.name.clone(),
        assumed: snapshot.assumed.clone().unwrap_or_default(),
        parameters: model.parameters,
        samples: match map.fidelity {
            Some(
                Fidelity::Few(few)
                | Fidelity::Estimate {
                    few: _,
                    of: Some(few),
                    ..
                },
            ) => few,
            _ => data.samples,
        },
        split: data.split,
        seed: data.seed,
        bn: BatchNorm::from_str(&snapshot.batch_norm, false).ok()?,
        has_statistics: snapshot.has_batch_norm == Some(true),
        plane: PlaneReport {
            kind: "pca",
            norm: None,
            ignore: None,
            explained: snapshot
                .trajectory
                .as_ref()?
                .explained
                .get(..2)
                .map(<[f64]>::to_vec),
            // Principal components are orthogonal.
            cosine: 0.0,
            expected_cosine: expected_cosine(model.parameters),
            expected_cosine_normalized: None,
        },
        score: snapshot.score(),
        grid: map.surface.clone(),
        fidelity: match map.fidelity {
            Some(Fidelity::Estimate {
                few,
                of: None,
                points,
                error,
            }) => Some(surface::FidelityReport {
                samples: few,
                points,
                error,
            }),
            _ => None,
        },
        path: path(snapshot)?,
        drops: snapshot.drops(),
    })
}

/// Returns the path of the map; a loss that is not known is NaN.
fn path(snapshot: &Snapshot) -> Option<Vec<PathPoint>> {
    let trajectory = snapshot.trajectory.as_ref()?;
    let places = trajectory.coordinates.iter().zip(&trajectory.residual);
    let points = trajectory.steps.iter().zip(places);
    let point = |(&step, (&[x, y], &residual)): (&u64, (&[f64; 2], &f64))| {
        let mut lines = snapshot.checkpoints.iter();
        let line = lines.find(|line| line.step == Some(step));
        let loss = |measure: Option<_>| measure.map_or(f64::NAN, |measure: Measure| measure.loss);
        PathPoint {
            step,
            x,
            y,
            residual,
            loss: loss(line.and_then(|line| line.truth)),
            plane_loss: loss(line.and_then(|line| line.on_plane)),
        }
    };
    Some(points.map(point).collect())
}
