//! Checks a snapshot that comes from a file: parts that belong together have one length, and ranges that are
//! drawn over have finite ends.

use crate::landscape::Surface;
use crate::weights::{Dynamics, Overlay, Trajectory};

use super::analysis::{AnalysisPicture, AnalysisResult, CurvatureMap, LineCurve};
use super::snapshot::{Slice, Snapshot};

/// Slices, and lines of an analysis, are a handful.
const MOST_LINES: usize = 16;

impl Snapshot {
    /// Returns true if everything in it fits together, as in every snapshot of a session.
    pub(super) fn is_valid(&self) -> bool {
        let path = self.trajectory.as_deref();
        let steps = path.map_or(0, |path| path.steps.len());
        let maps = self.map.as_ref();
        path.is_none_or(|path| steps > 0 && trajectory(path))
            && maps.is_none_or(|map| map.surface.is_valid())
            && self.slices.len() <= 2
            && self.slices.iter().all(slice)
            && self.analysis.as_ref().is_none_or(findings)
            && (self.dynamics.as_deref()).is_none_or(|known| dynamics(known, steps))
            && (self.random_projection.as_deref()).is_none_or(|projection| {
                projection.coordinates.len() == steps && places(&projection.coordinates)
            })
            && self.overlay.as_deref().is_none_or(overlay)
            && (self.hyper.is_empty() || self.hyper.len() == steps)
    }
}

fn trajectory(path: &Trajectory) -> bool {
    let steps = path.steps.len();
    let components = path.singular.len();
    let each = [&path.residual, &path.norm, &path.update_norm];
    let shares = [&path.explained, &path.explained_null, &path.lissajous];
    path.steps.is_sorted()
        && path.coordinates.len() == steps
        && places(&path.coordinates)
        && each.iter().all(|values| values.len() == steps)
        && (path.distance.is_empty() || path.distance.len() == steps)
        && shares.iter().all(|values| values.len() == components)
}

fn places(coordinates: &[[f64; 2]]) -> bool {
    coordinates.as_flattened().iter().all(|at| at.is_finite())
}

/// Returns true if there are values at places that ascend.
fn line<T>(places: &[f64], values: &[T]) -> bool {
    let finite = places.iter().all(|at| at.is_finite());
    finite && places.is_sorted() && places.len() == values.len()
}

fn slice(slice: &Slice) -> bool {
    slice.axis < 2 && line(&slice.offset, &slice.values)
}

fn findings(analysis: &AnalysisResult) -> bool {
    let curve = |curve: &LineCurve| line(&curve.alpha, &curve.values);
    match &analysis.picture {
        AnalysisPicture::Lines(lines) => lines.len() <= MOST_LINES && lines.iter().all(curve),
        AnalysisPicture::Plane(plane) => plane.is_valid(),
        AnalysisPicture::Curvature(map) => curvature(map),
        AnalysisPicture::Stability(_) => true,
    }
}

fn curvature(map: &CurvatureMap) -> bool {
    // The places are those of a surface, with other values.
    Surface::new(map.x.clone(), map.y.clone()).is_valid()
        && map.values.len() == map.x.len() * map.y.len()
}

fn dynamics(dynamics: &Dynamics, steps: usize) -> bool {
    let updates = dynamics.cosines.len();
    dynamics
        .layers
        .iter()
        .all(|layer| layer.norm.len() == steps)
        && updates == steps.saturating_sub(1)
        && dynamics.cosines.iter().all(|row| row.len() == updates)
}

fn overlay(overlay: &Overlay) -> bool {
    let bins = overlay.edges.len().checked_sub(1);
    let whole = |counts: &Vec<u64>| Some(counts.len()) == bins;
    let each = overlay.histograms.iter();
    line(&overlay.edges, &overlay.edges) && each.map(|known| &known.counts).all(whole)
}
