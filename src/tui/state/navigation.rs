//! The place where the user looks: the view and its choices, the plane, the window on it, the cursor.

use crate::plot::relief;
use crate::session::schedule::whole_path;
use crate::session::{Analysis, Command, PlaneWindow, Snapshot};

use super::choice::{Figure, ShownPlane, SliceKind, View, WeightsTab};
use super::cursor::Cursor;
use super::window::{PAN, ZOOM, contains, middle, neighbourhood, panned, sees_something, zoomed};
use crate::tui::input::action::Action;

/// Degrees by which an arrow key turns and tilts the relief.
const TURN: f64 = 15.0;
const TILT: f64 = 5.0;

/// Directions on a random plane are as long as the weights: it is seen from −1 to 1.
pub(in crate::tui) const RANDOM_WINDOW: PlaneWindow = PlaneWindow {
    x: [-1.0, 1.0],
    y: [-1.0, 1.0],
};

/// Everything that is chosen to look at. What lies there is a snapshot's.
#[derive(Clone, Debug, Default)]
pub(super) struct Navigation {
    pub(super) view: View,
    pub(super) slice_kind: SliceKind,
    pub(super) figure: Figure,
    pub(super) plane: ShownPlane,
    pub(super) weights_tab: WeightsTab,
    pub(super) camera: relief::ViewAngle,
    /// `None` if the whole path is seen.
    pub(super) window: Option<PlaneWindow>,
    /// A point of the plane on the map.
    pub(super) cursor: Option<Cursor>,
    /// True if the view has the whole screen.
    pub(super) zoomed: bool,
}

impl Navigation {
    /// Turns to another view, or to other directions in this one; ignores other actions.
    pub(super) fn turn(&mut self, action: Action) -> Vec<Command> {
        let view = match action {
            Action::ShowMap => View::Map,
            Action::ShowSlices => View::Slices,
            Action::ShowPath => View::Path,
            Action::ShowWeights => View::Weights,
            Action::ShowCurvature => View::Curvature,
            Action::ShowCompare => View::Compare,
            Action::ShowRelief => View::Relief,
            Action::NextView => self.view.next(),
            Action::PreviousView => self.view.previous(),
            Action::NextDirections => return self.choose_next(),
            _ => return Vec::new(),
        };
        self.show(view)
    }

    /// Turns to what else the view can show.
    fn choose_next(&mut self) -> Vec<Command> {
        match self.view {
            View::Curvature => self.figure = self.figure.next(),
            View::Slices => self.slice_kind = self.slice_kind.next(),
            View::Map => {
                self.plane = self.plane.next();
                self.cursor = None;
            }
            View::Weights => self.weights_tab = self.weights_tab.next(),
            View::Path | View::Compare | View::Relief => return Vec::new(),
        }
        self.show(self.view)
    }

    /// Turns to a view, and has measured what it needs.
    fn show(&mut self, view: View) -> Vec<Command> {
        self.view = view;
        vec![Command::Analyze(self.analysis())]
    }

    /// Returns the analysis that the view needs beside those that are always measured.
    fn analysis(&self) -> Option<Analysis> {
        match (self.view, self.slice_kind) {
            (View::Curvature, _) => Some(Analysis::Curvature),
            (View::Weights, _) if self.weights_tab == WeightsTab::Stability => {
                Some(Analysis::Stability)
            }
            (View::Map, _) if self.plane == ShownPlane::Random => Some(Analysis::Plane),
            (View::Slices, SliceKind::Random) => Some(Analysis::Random),
            (View::Slices, SliceKind::Update) => Some(Analysis::Update),
            (View::Slices, SliceKind::Line) => Some(Analysis::Line),
            _ => None,
        }
    }

    /// Puts the cursor on the map, at the checkpoint that is looked at, or takes it away.
    pub(super) fn toggle_cursor(
        &mut self,
        snapshot: &Snapshot,
        selected: Option<usize>,
    ) -> Vec<Command> {
        let here = selected.and_then(|at| self.drawn_path(snapshot).get(at).copied());
        let here = here.map(|at| match self.drawn_window(snapshot) {
            Some(window) if !contains(window, at) => middle(window),
            _ => at,
        });
        self.cursor = match self.cursor {
            None => here.map(|at| Cursor { at }),
            Some(_) => None,
        };
        if self.view == View::Map || self.cursor.is_none() {
            return Vec::new();
        }
        self.show(View::Map)
    }

    /// Turns the relief, moves the cursor or pans, by steps to the right and up.
    pub(super) fn go(&mut self, [right, up]: [f64; 2], snapshot: &Snapshot) -> Vec<Command> {
        if self.view == View::Relief {
            self.camera = self.camera.moved(right * TURN, up * TILT);
        } else if let (View::Map, Some(cursor), Some(window)) =
            (self.view, self.cursor, self.drawn_window(snapshot))
        {
            self.cursor = Some(cursor.moved(window, [right, up]));
        } else {
            let target = self
                .window(snapshot)
                .and_then(|window| panned(window, [right * PAN, up * PAN]));
            return self.survey(target, snapshot);
        }
        Vec::new()
    }

    /// Changes the window, and has it surveyed. Around the cursor, where there is one.
    pub(super) fn look_at(
        &mut self,
        action: Action,
        snapshot: &Snapshot,
        selected: Option<usize>,
    ) -> Vec<Command> {
        let Some(window) = self.window(snapshot) else {
            return Vec::new();
        };
        let around = match (self.cursor, self.plane) {
            (Some(cursor), ShownPlane::Principal) => cursor.at,
            _ => middle(window),
        };
        let target = match action {
            Action::ZoomIn => zoomed(window, around, 1.0 / ZOOM),
            Action::ZoomOut => zoomed(window, around, ZOOM),
            Action::Neighbourhood => selected
                .and_then(|at| neighbourhood(&snapshot.trajectory.as_ref()?.coordinates, at)),
            _ => return self.look_at_whole_path(),
        };
        self.survey(target, snapshot)
    }

    fn look_at_whole_path(&mut self) -> Vec<Command> {
        let changes = self.window.take().is_some();
        if changes {
            vec![Command::Survey(None)]
        } else {
            Vec::new()
        }
    }

    /// Zooms around a point of the plane, which stays where it is, and has the new window surveyed.
    pub(super) fn zoom_at(
        &mut self,
        point: [f64; 2],
        closer: bool,
        snapshot: &Snapshot,
    ) -> Vec<Command> {
        let factor = if closer { 1.0 / ZOOM } else { ZOOM };
        let window = self.window(snapshot);
        let target = window.and_then(|window| zoomed(window, point, factor));
        self.survey(target, snapshot)
    }

    /// Looks at a window from now on; stays with the present one if there is none.
    fn survey(&mut self, target: Option<PlaneWindow>, snapshot: &Snapshot) -> Vec<Command> {
        let whole = whole_window(snapshot);
        let sees = |target| whole.is_some_and(|whole| sees_something(target, whole));
        if target == self.window || !target.is_some_and(sees) {
            return Vec::new();
        }
        self.window = target;
        vec![Command::Survey(target)]
    }

    /// Keeps the window and the cursor beside the same checkpoint when the map has another plane, whose coordinates are
    /// others.
    pub(super) fn follow(&mut self, before: &Snapshot, after: &Snapshot) -> Vec<Command> {
        let fitted = |snapshot: &Snapshot| {
            snapshot
                .plane
                .map(|plane| (plane.origin, plane.checkpoints))
        };
        if self.plane == ShownPlane::Random || fitted(before) == fitted(after) {
            return Vec::new();
        }
        let moved = |at: [f64; 2]| {
            let (old, new) = (before.trajectory.as_ref()?, after.trajectory.as_ref()?);
            let nearest = self.nearest(at, before)?;
            let same = new
                .steps
                .iter()
                .position(|step| *step == old.steps[nearest])?;
            let (from, to) = (old.coordinates[nearest], new.coordinates[same]);
            Some([0, 1].map(|axis| to[axis] - from[axis]))
        };
        let cursor = self.cursor.and_then(|cursor| {
            let by = moved(cursor.at)?;
            let at = [0, 1].map(|axis| cursor.at[axis] + by[axis]);
            Some(Cursor { at })
        });
        let window = self.window.and_then(|window| {
            let [right, up] = moved(middle(window))?;
            Some(PlaneWindow {
                x: window.x.map(|at| at + right),
                y: window.y.map(|at| at + up),
            })
        });
        self.cursor = cursor;
        self.survey(window, after)
    }

    /// Returns the index of the checkpoint nearest to a point of the plane, both axes as long as the window's.
    pub(super) fn nearest(&self, point: [f64; 2], snapshot: &Snapshot) -> Option<usize> {
        let (trajectory, window) = (snapshot.trajectory.as_ref()?, self.window(snapshot)?);
        let [wide, high] = [window.x, window.y].map(|[min, max]| max - min);
        let distance = |at: &[f64; 2]| ((at[0] - point[0]) / wide).hypot((at[1] - point[1]) / high);
        let path = trajectory.coordinates.iter().map(distance).enumerate();
        let nearest = path.min_by(|(_, one), (_, other)| one.total_cmp(other));
        nearest.map(|(index, _)| index)
    }

    /// Returns the window of the path's plane; `None` without a path.
    pub(super) fn window(&self, snapshot: &Snapshot) -> Option<PlaneWindow> {
        self.window.or_else(|| whole_window(snapshot))
    }

    /// Returns the window that the map shows: on a random plane always the same; `None` without a path.
    fn drawn_window(&self, snapshot: &Snapshot) -> Option<PlaneWindow> {
        match self.plane {
            ShownPlane::Principal => self.window(snapshot),
            ShownPlane::Random => Some(RANDOM_WINDOW),
        }
    }

    /// Returns the path as the map shows it.
    fn drawn_path<'a>(&self, snapshot: &'a Snapshot) -> &'a [[f64; 2]] {
        let own = snapshot
            .trajectory
            .as_ref()
            .map(|path| &path.coordinates[..]);
        let projection = snapshot
            .random_projection
            .as_ref()
            .map(|projection| &projection.coordinates[..]);
        let path = match self.plane {
            ShownPlane::Principal => own,
            ShownPlane::Random => projection,
        };
        path.unwrap_or_default()
    }
}

/// Returns the window of the whole path: that of its map; `None` without a path.
fn whole_window(snapshot: &Snapshot) -> Option<PlaneWindow> {
    let path = snapshot.trajectory.as_ref()?;
    let window = snapshot.window;
    Some(window.unwrap_or_else(|| whole_path(&path.coordinates)))
}
