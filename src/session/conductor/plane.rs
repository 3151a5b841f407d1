//! The plane that is measured now: it is held while its path goes on, until `refit` says that another is due.

use std::sync::Arc;
use std::time::Duration;

use crate::landscape::{Lattice, LatticeWindow, Surface};
use crate::run::Checkpoint;
use crate::weights::{
    BatchNorm, Directions, Fit, FittedPlane, PathProducts, PlaneSpec, RunShape, Trajectory,
};

use super::super::measure_cache::MeasureCache;
use super::super::reader::PathReading;
use super::super::refit::{self, HeldPlane};
use super::super::schedule::whole_path;
use super::super::snapshot::{MapPlane, PlaneWindow};

/// The path as it was read last, and the plane that it would have by itself.
#[derive(Clone, Debug)]
pub(super) struct NewestPath {
    pub(super) shape: RunShape,
    pub(super) members: Vec<Checkpoint>,
    pub(super) fit: Arc<Fit>,
    pub(super) products: Arc<PathProducts>,
}

impl NewestPath {
    /// Takes the path of a reading; `None` without checkpoints.
    pub(super) fn of(reading: &PathReading) -> Option<Self> {
        Some(Self {
            shape: reading
                .shape
                .clone()
                .filter(|_| !reading.members.is_empty())?,
            members: reading.members.clone(),
            fit: Arc::clone(&reading.fit),
            products: Arc::clone(&reading.products),
        })
    }

    /// Returns the principal plane of the path as it is now.
    pub(super) fn plane(&self) -> FittedPlane {
        FittedPlane {
            members: self.members.clone(),
            combinations: self.fit.combinations.clone(),
        }
    }

    /// Returns the path on a plane; `None` if checkpoints of that are known no longer.
    fn on(&self, plane: &FittedPlane) -> Option<Trajectory> {
        plane.place(&self.products, &self.members, &self.fit.trajectory)
    }
}

/// The plane that is measured, and the path on it as it is now.
#[derive(Debug)]
pub(super) struct CurrentPlane {
    /// Trainable parameters of the model.
    pub(super) parameters: usize,
    pub(super) spec: PlaneSpec,
    /// The plane by the checkpoints of which it was fitted.
    pub(super) fitted: FittedPlane,
    /// The checkpoints of the path now.
    pub(super) members: Vec<Checkpoint>,
    /// The path on the plane.
    pub(super) trajectory: Arc<Trajectory>,
    /// The lines of all grids on it.
    lattice: Lattice,
    /// The window of the whole path, and that which is measured: it follows when its picture has two levels.
    window: LatticeWindow,
    measured: LatticeWindow,
    /// Distance of the first checkpoint that came after it was fitted; `None` before that.
    next: Option<f64>,
    /// Time at which it was fitted, by the session's clock.
    made: Duration,
    /// Losses that were measured on it.
    pub(super) known: MeasureCache,
}

impl CurrentPlane {
    /// Returns the plane of a path, on which nothing is measured yet.
    pub(super) fn new(path: &NewestPath, batch_norm: BatchNorm, now: Duration) -> Option<Self> {
        let fitted = path.plane();
        let trajectory = path
            .on(&fitted)
            .unwrap_or_else(|| path.fit.trajectory.clone());
        let whole = whole_path(&trajectory.coordinates);
        let (lattice, window) = Lattice::of([whole.x, whole.y]);
        Some(Self {
            parameters: path.shape.layout.parameters(),
            spec: PlaneSpec {
                shape: path.shape.clone(),
                origin: path.members.last()?.clone(),
                directions: Directions::Principal {
                    members: path.members.clone(),
                    combinations: fitted.combinations.clone(),
                },
                batch_norm,
            },
            fitted,
            members: path.members.clone(),
            trajectory: Arc::new(trajectory),
            lattice,
            window,
            measured: window,
            next: None,
            made: now,
            known: MeasureCache::default(),
        })
    }

    /// Lays a path on the plane, reading the same contents from where they lie now; the window grows with it. False if
    /// that cannot be: the path has another model, or lacks checkpoints of which the plane is made.
    pub(super) fn hold(&mut self, path: &NewestPath) -> bool {
        let is_same_model = path.shape.layout == self.spec.shape.layout;
        let Some(trajectory) = path.on(&self.fitted).filter(|_| is_same_model) else {
            return false;
        };
        self.members.clone_from(&path.members);
        self.read_from(&path.products);
        let coordinates = &trajectory.coordinates;
        if let Some(grown) = self.lattice.grown(self.window, coordinates) {
            self.window = grown;
        }
        if self.members.len() > self.fitted.members.len() && self.next.is_none() {
            self.next = trajectory.distance.last().copied();
        }
        self.trajectory = Arc::new(trajectory);
        true
    }

    /// Reads the checkpoints of the plane from where they lie now: from copies of those that went.
    fn read_from(&mut self, products: &PathProducts) {
        let now = |old: &mut Checkpoint| {
            if let Some(new) = products.now(old) {
                old.clone_from(new);
            }
        };
        now(&mut self.spec.origin);
        if let Directions::Principal { members, .. } = &mut self.spec.directions {
            members.iter_mut().for_each(now);
        }
    }

    /// Returns the window of the whole path.
    pub(super) fn window(&self) -> PlaneWindow {
        let [x, y] = self.lattice.ranges(self.window);
        PlaneWindow { x, y }
    }

    /// Measures the window of the whole path from now on; false if that is measured already.
    pub(super) fn grow(&mut self) -> bool {
        std::mem::replace(&mut self.measured, self.window) != self.window
    }

    /// Returns the empty grid over a window, or over that of the path which is measured.
    pub(super) fn grid(&self, window: Option<PlaneWindow>) -> Surface {
        let window = window.map_or(self.measured, |window| {
            self.lattice.covering([window.x, window.y])
        });
        self.lattice.surface(window)
    }

    /// Returns the number of axes along which the path has an extent: 0 for a point, 1 for a line, 2 for a plane.
    pub(super) fn axes(&self) -> usize {
        let singular = self.trajectory.singular.iter().take(2);
        singular.filter(|sigma| **sigma > 0.0).count()
    }

    /// Compares the plane with that which the path would have by itself; time and what can be measured are for others
    /// to tell.
    pub(super) fn against(&self, newest: &NewestPath) -> HeldPlane {
        let share = |trajectory: &Trajectory| trajectory.explained.iter().take(2).sum();
        let last = self.trajectory.coordinates.last().copied();
        HeldPlane {
            members: self.fitted.members.len(),
            path: self.members.len(),
            explained: share(&self.trajectory),
            best: share(&newest.fit.trajectory),
            newest: self.share_of(self.trajectory.distance.last().copied(), &newest.products),
            next: self.share_of(self.next, &newest.products),
            is_in_window: last.is_none_or(|at| self.lattice.has(self.window, at)),
            is_quiet: false,
            is_refused: false,
        }
    }

    /// Returns true if the path has outgrown it.
    pub(super) fn is_outgrown(&self) -> bool {
        refit::is_outgrown(self.fitted.members.len(), self.members.len())
    }

    /// Returns a distance from the plane as a share of the path's extent; 0 if either is not known.
    fn share_of(&self, distance: Option<f64>, products: &PathProducts) -> f64 {
        let extent = products
            .extent(&self.members)
            .filter(|extent| *extent > 0.0);
        extent
            .zip(distance)
            .map_or(0.0, |(extent, distance)| distance / extent)
    }

    /// Returns the plane as the snapshot tells it.
    pub(super) fn map_plane(&self, newest: &NewestPath) -> MapPlane {
        let held = self.against(newest);
        MapPlane {
            origin: self.spec.origin.step,
            checkpoints: held.members,
            explained: held.explained,
            best: held.best,
            newest: held.newest,
        }
    }

    /// Returns the time since it was fitted.
    pub(super) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.made)
    }
}
