//! What the screen knows besides the snapshot: the view, the window, the checkpoint that is looked at.

use std::sync::Arc;

use crate::plot::levels::Scale;
use crate::plot::map::Layers;
use crate::plot::raster::Marker;
use crate::plot::relief;
use crate::session::agenda::{MARGIN, whole_path};
use crate::session::snapshot::{Command, Snapshot, Window};
use crate::session::study::Study;

use super::action::Action;
use super::keymap::Keymap;
use super::pictures::Pictures;
use super::theme::{Theme, ThemeName};
use super::view::help::scrolls;

/// What is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The map.
    #[default]
    Map,
    /// Slices and lines through the current checkpoint.
    Slices,
    /// The path on its own plane and on a random one.
    Path,
    /// Norms and angles of the weights over training.
    Weights,
    /// Eigenvalues of the Hessian around the current checkpoint.
    Curvature,
    /// The runs beside one another.
    Compare,
    /// The surface as a relief.
    Surface,
}

impl View {
    /// Every view, in the order of their keys.
    pub const ALL: [Self; 7] = [
        Self::Map,
        Self::Slices,
        Self::Path,
        Self::Weights,
        Self::Curvature,
        Self::Compare,
        Self::Surface,
    ];

    /// Its name on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Slices => "slices",
            Self::Path => "path",
            Self::Weights => "weights",
            Self::Curvature => "curvature",
            Self::Compare => "compare",
            Self::Surface => "surface",
        }
    }

    fn next(self) -> Self {
        self.after(1)
    }

    fn previous(self) -> Self {
        self.after(Self::ALL.len() - 1)
    }

    fn after(self, count: usize) -> Self {
        let at = Self::ALL.iter().position(|view| *view == self).unwrap_or(0);
        Self::ALL[(at + count) % Self::ALL.len()]
    }
}

/// What the slices run along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Along {
    /// Both principal components.
    #[default]
    Components,
    /// Random directions, overlaid.
    Random,
    /// The last update.
    Update,
    /// The line from the first checkpoint to the current one.
    Line,
}

impl Along {
    fn next(self) -> Self {
        match self {
            Self::Components => Self::Random,
            Self::Random => Self::Update,
            Self::Update => Self::Line,
            Self::Line => Self::Components,
        }
    }
}

/// Which plane the map shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plane {
    /// The path's own.
    #[default]
    Principal,
    /// Two random filter-normalized directions.
    Random,
}

/// How the weights are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weighing {
    /// Norms and angles over training.
    #[default]
    Norms,
    /// Histograms of the first and the newest checkpoint.
    Histogram,
}

/// Which figure of the spectrum the curvature map shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Figure {
    /// |λmin/λmax|.
    #[default]
    Ratio,
    /// λmax.
    Largest,
    /// λmin, upside down.
    Smallest,
}

impl Figure {
    fn next(self) -> Self {
        match self {
            Self::Ratio => Self::Largest,
            Self::Largest => Self::Smallest,
            Self::Smallest => Self::Ratio,
        }
    }
}

/// How pictures are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Bands, lines or both.
    pub layers: Layers,
    /// How levels are spread.
    pub scale: Scale,
    /// Characters to draw with.
    pub marker: Marker,
    /// Colours.
    pub theme: ThemeName,
}

/// Share of the window by which an arrow key moves it.
const PAN: f64 = 0.125;
/// Steps of the path that the neighbourhood of a checkpoint reaches to.
const NEAR_STEPS: usize = 5;
/// Factor by which a key zooms.
const ZOOM: f64 = 1.5;
/// Degrees by which an arrow key turns and tilts the relief.
const TURN: f64 = 15.0;
const TILT: f64 = 5.0;

/// The state of the screen. It changes by [`App::update`] and [`App::receive`] alone; beside it lie the
/// pictures that were drawn of it.
#[derive(Clone, Debug, Default)]
pub struct App {
    keymap: Keymap,
    live: Arc<Snapshot>,
    frozen: Option<Arc<Snapshot>>,
    look: Look,
    view: View,
    along: Along,
    figure: Figure,
    plane: Plane,
    weighing: Weighing,
    camera: relief::View,
    /// What the other runs of a comparison have found.
    rivals: Vec<Arc<Snapshot>>,
    /// None: the whole path.
    window: Option<Window>,
    /// Index of the checkpoint that is looked at; none: the current one, whichever that is.
    scrub: Option<usize>,
    paused: bool,
    helping: bool,
    /// How often the help was scrolled down.
    scrolled: usize,
    /// The banner that the user has seen.
    dismissed: Option<String>,
    over: bool,
    pictures: Pictures,
}

impl App {
    /// A screen that shows nothing yet.
    #[must_use]
    pub fn new(look: Look) -> Self {
        Self {
            look,
            ..Self::default()
        }
    }

    /// The same screen with these keys.
    #[must_use]
    pub fn with_keys(self, keymap: Keymap) -> Self {
        Self { keymap, ..self }
    }

    /// Takes what the session found.
    pub fn receive(&mut self, snapshot: Arc<Snapshot>) {
        self.live = snapshot;
    }

    /// Takes what the other runs of a comparison have found.
    pub fn receive_rivals(&mut self, rivals: Vec<Arc<Snapshot>>) {
        self.rivals = rivals;
    }

    /// Does what the user asks, and returns what the session has to do for it.
    pub fn update(&mut self, action: Action) -> Vec<Command> {
        match action {
            Action::Quit => self.over = true,
            Action::Help => (self.helping, self.scrolled) = (!self.helping, 0),
            Action::Close if self.helping => self.helping = false,
            Action::Close => self.dismissed = self.banner().map(str::to_owned),
            Action::ShowMap => return self.show(View::Map),
            Action::ShowSlices => return self.show(View::Slices),
            Action::ShowPath => return self.show(View::Path),
            Action::ShowWeights => return self.show(View::Weights),
            Action::ShowCurvature => return self.show(View::Curvature),
            Action::ShowCompare => return self.show(View::Compare),
            Action::ShowSurface => return self.show(View::Surface),
            Action::NextView => return self.show(self.view.next()),
            Action::PreviousView => return self.show(self.view.previous()),
            Action::NextDirections => {
                match self.view {
                    View::Curvature => self.figure = self.figure.next(),
                    View::Slices => self.along = self.along.next(),
                    View::Map => {
                        self.plane = match self.plane {
                            Plane::Principal => Plane::Random,
                            Plane::Random => Plane::Principal,
                        };
                    }
                    View::Weights => {
                        self.weighing = match self.weighing {
                            Weighing::Norms => Weighing::Histogram,
                            Weighing::Histogram => Weighing::Norms,
                        };
                    }
                    _ => return Vec::new(),
                }
                return self.show(self.view);
            }
            Action::Freeze => {
                self.frozen = match self.frozen {
                    None => Some(Arc::clone(&self.live)),
                    Some(_) => None,
                };
            }
            Action::ScrubBack => self.scrub = self.selected().map(|i| i.saturating_sub(1)),
            Action::ScrubForward => {
                let last = self.checkpoints().saturating_sub(1);
                self.scrub = self.selected().map(|i| i + 1).filter(|next| *next < last);
            }
            Action::NextLayers => self.look.layers = self.look.layers.next(),
            Action::NextScale => self.look.scale = self.look.scale.next(),
            Action::NextMarker => self.look.marker = self.look.marker.next(),
            Action::NextTheme => self.look.theme = self.look.theme.next(),
            Action::Pause => {
                self.paused = !self.paused;
                return vec![Command::Pause(self.paused)];
            }
            Action::Rescan => return vec![Command::Rescan],
            Action::PanUp if self.helping => self.scrolled = self.scrolled.saturating_sub(1),
            Action::PanDown if self.helping => {
                self.scrolled = (self.scrolled + 1).min(scrolls(self));
            }
            Action::PanLeft
            | Action::PanRight
            | Action::PanUp
            | Action::PanDown
            | Action::ZoomIn
            | Action::ZoomOut
            | Action::WholePath
            | Action::Neighbourhood => return self.look_at(action),
            Action::ZoomView
            | Action::LeapBack
            | Action::LeapForward
            | Action::Jump
            | Action::Film
            | Action::Cursor
            | Action::ShowCommand
            | Action::Export
            | Action::Suspend => {}
        }
        Vec::new()
    }

    /// Turns to a view, and has measured what it needs.
    fn show(&mut self, view: View) -> Vec<Command> {
        self.view = view;
        vec![Command::Study(self.study())]
    }

    /// What the view shows beside what is always measured.
    fn study(&self) -> Option<Study> {
        match (self.view, self.along) {
            (View::Curvature, _) => Some(Study::Curvature),
            (View::Map, _) if self.plane == Plane::Random => Some(Study::Plane),
            (View::Slices, Along::Random) => Some(Study::Random),
            (View::Slices, Along::Update) => Some(Study::Update),
            (View::Slices, Along::Line) => Some(Study::Line),
            _ => None,
        }
    }

    /// Turns and tilts the relief.
    fn turn(&mut self, action: Action) {
        let [turn, tilt] = match action {
            Action::PanLeft => [-TURN, 0.0],
            Action::PanRight => [TURN, 0.0],
            Action::PanUp => [0.0, TILT],
            Action::PanDown => [0.0, -TILT],
            _ => [0.0, 0.0],
        };
        self.camera = self.camera.moved(turn, tilt);
    }

    /// Moves the window, and has it surveyed.
    fn look_at(&mut self, action: Action) -> Vec<Command> {
        let turns = [
            Action::PanLeft,
            Action::PanRight,
            Action::PanUp,
            Action::PanDown,
        ];
        if self.view == View::Surface && turns.contains(&action) {
            self.turn(action);
            return Vec::new();
        }
        let Some(window) = self.window() else {
            return Vec::new();
        };
        let target = match action {
            Action::PanLeft => Some(panned(window, -PAN, 0.0)),
            Action::PanRight => Some(panned(window, PAN, 0.0)),
            Action::PanUp => Some(panned(window, 0.0, PAN)),
            Action::PanDown => Some(panned(window, 0.0, -PAN)),
            Action::ZoomIn => Some(zoomed(window, 1.0 / ZOOM)),
            Action::ZoomOut => Some(zoomed(window, ZOOM)),
            Action::Neighbourhood => self.neighbourhood().or(self.window),
            _ => None,
        };
        // A window that has lost its extent to rounding, or overflowed, shows nothing.
        if target.is_some_and(|window| !is_sound(window)) || target == self.window {
            return Vec::new();
        }
        self.window = target;
        vec![Command::Survey(target)]
    }

    /// The window around the checkpoint that is looked at, as wide as the last few steps before it.
    fn neighbourhood(&self) -> Option<Window> {
        let path = &self.snapshot().trajectory.as_ref()?.coordinates;
        let selected = self.selected()?;
        let here = path.get(selected)?;
        let recent = path.get(selected.saturating_sub(NEAR_STEPS)..=selected)?;
        let furthest = |axis: usize| {
            let distances = recent.iter().map(|at| (at[axis] - here[axis]).abs());
            distances.fold(0.0, f64::max)
        };
        let widest = furthest(0).max(furthest(1));
        let around = |axis: usize| {
            // An axis along which the path stands still is looked at as far as the other one.
            let reach = if furthest(axis) > 1e-3 * widest {
                furthest(axis)
            } else {
                widest
            };
            let half = reach * (1.0 + MARGIN);
            [here[axis] - half, here[axis] + half]
        };
        (widest > 0.0).then(|| Window {
            x: around(0),
            y: around(1),
        })
    }

    /// What is drawn: the session as it is, or as it was when the picture was frozen.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// The window of the plane that is drawn; none without a path.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        let path = &self.snapshot().trajectory.as_ref()?.coordinates;
        Some(self.window.unwrap_or_else(|| whole_path(path)))
    }

    /// Whether the window is that of the whole path.
    #[must_use]
    pub fn is_whole_path(&self) -> bool {
        self.window.is_none()
    }

    /// Index of the checkpoint that is looked at; none without a path.
    #[must_use]
    pub fn selected(&self) -> Option<usize> {
        let last = self.checkpoints().checked_sub(1)?;
        Some(self.scrub.unwrap_or(last).min(last))
    }

    /// How many checkpoints the drawn path has.
    #[must_use]
    pub fn checkpoints(&self) -> usize {
        checkpoints(self.snapshot())
    }

    /// How many checkpoints came since the picture was frozen; none when it is not.
    #[must_use]
    pub fn behind(&self) -> Option<usize> {
        let frozen = self.frozen.as_ref()?;
        Some(checkpoints(&self.live).saturating_sub(checkpoints(frozen)))
    }

    /// What went wrong last: the run folder first, then the newest notice.
    #[must_use]
    pub fn banner(&self) -> Option<&str> {
        let newest = self.live.trouble.as_ref().or(self.live.notices.last());
        newest
            .map(String::as_str)
            .filter(|banner| self.dismissed.as_deref() != Some(*banner))
    }

    /// Which key does what.
    #[must_use]
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// How pictures are drawn.
    #[must_use]
    pub fn look(&self) -> Look {
        self.look
    }

    /// The colours of the screen.
    #[must_use]
    pub fn theme(&self) -> Theme {
        Theme::of(self.look.theme)
    }

    /// What the slices run along.
    #[must_use]
    pub fn along(&self) -> Along {
        self.along
    }

    /// Which plane the map shows.
    #[must_use]
    pub fn plane(&self) -> Plane {
        self.plane
    }

    /// How the weights are shown.
    #[must_use]
    pub fn weighing(&self) -> Weighing {
        self.weighing
    }

    /// Which figure the curvature map shows.
    #[must_use]
    pub fn figure(&self) -> Figure {
        self.figure
    }

    /// How the relief is turned.
    #[must_use]
    pub fn camera(&self) -> relief::View {
        self.camera
    }

    /// What was drawn already.
    pub(super) fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// What the other runs of a comparison have found.
    #[must_use]
    pub fn rivals(&self) -> &[Arc<Snapshot>] {
        &self.rivals
    }

    /// What is looked at.
    #[must_use]
    pub fn view(&self) -> View {
        self.view
    }

    /// Whether the keys are shown.
    #[must_use]
    pub fn is_helping(&self) -> bool {
        self.helping
    }

    /// How often the help was scrolled down.
    #[must_use]
    pub fn scrolled(&self) -> usize {
        self.scrolled
    }

    /// Whether the user paused the device.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether the user quit.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }
}

fn checkpoints(snapshot: &Snapshot) -> usize {
    let trajectory = snapshot.trajectory.as_ref();
    trajectory.map_or(0, |trajectory| trajectory.coordinates.len())
}

fn panned(window: Window, across: f64, up: f64) -> Window {
    let moved = |[min, max]: [f64; 2], share: f64| [min, max].map(|v| v + (max - min) * share);
    Window {
        x: moved(window.x, across),
        y: moved(window.y, up),
    }
}

fn zoomed(window: Window, factor: f64) -> Window {
    let scaled = |[min, max]: [f64; 2]| {
        let middle = f64::midpoint(min, max);
        [min, max].map(|v| middle + (v - middle) * factor)
    };
    Window {
        x: scaled(window.x),
        y: scaled(window.y),
    }
}

/// Whether both ranges have an extent that f64 can divide into lines.
fn is_sound(window: Window) -> bool {
    [window.x, window.y].iter().all(|[min, max]| {
        let extent = max - min;
        extent.is_finite() && extent > 1e-9 * min.abs().max(max.abs()).max(f64::MIN_POSITIVE)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::weights::trajectory::Trajectory;

    fn snapshot(count: usize) -> Arc<Snapshot> {
        let last = count as f64 - 1.0;
        let trajectory = Trajectory {
            steps: (0..count as u64).collect(),
            coordinates: (0..count)
                .map(|i| [last - i as f64, (last - i as f64) / 2.0])
                .collect(),
            ..Trajectory::default()
        };
        Arc::new(Snapshot {
            trajectory: Some(Arc::new(trajectory)),
            ..Snapshot::default()
        })
    }

    fn app(count: usize) -> App {
        let mut app = App::new(Look::default());
        app.receive(snapshot(count));
        app
    }

    #[test]
    fn scrubbing_goes_back_and_forward_and_then_follows_again() {
        let mut app = app(3);
        assert_eq!(app.selected(), Some(2));
        for expected in [1, 0, 0] {
            app.update(Action::ScrubBack);
            assert_eq!(app.selected(), Some(expected));
        }
        for _ in 0..4 {
            app.update(Action::ScrubForward);
        }
        app.receive(snapshot(5));
        assert_eq!(app.selected(), Some(4));
    }

    #[test]
    fn a_checkpoint_that_is_looked_at_stays_when_new_ones_come() {
        let mut app = app(4);
        app.update(Action::ScrubBack);
        app.receive(snapshot(9));
        assert_eq!(app.selected(), Some(2));
        app.receive(snapshot(2));
        assert_eq!(app.selected(), Some(1));
    }

    #[test]
    fn a_frozen_picture_stands_still_and_counts_what_came_since() {
        let mut app = app(4);
        app.update(Action::Freeze);
        app.receive(snapshot(6));
        assert_eq!((app.checkpoints(), app.behind()), (4, Some(2)));
        app.update(Action::Freeze);
        assert_eq!((app.checkpoints(), app.behind()), (6, None));
    }

    #[test]
    fn zoom_and_pan_have_the_new_window_surveyed() {
        let mut app = app(5);
        let whole = app.window().unwrap();
        let commands = app.update(Action::ZoomIn);
        let window = app.window().unwrap();
        assert_eq!(commands, [Command::Survey(Some(window))]);
        let extent = |w: Window| w.x[1] - w.x[0];
        assert!((extent(whole) / extent(window) - ZOOM).abs() < 1e-12);
        app.update(Action::PanRight);
        let moved = app.window().unwrap();
        assert!((moved.x[0] - window.x[0] - PAN * extent(window)).abs() < 1e-12);
        assert_eq!(app.update(Action::WholePath), [Command::Survey(None)]);
        assert_eq!(app.update(Action::WholePath), []);
        assert_eq!(app.window(), Some(whole));
    }

    #[test]
    fn the_neighbourhood_is_as_wide_as_the_last_steps_before_the_checkpoint() {
        let mut app = app(20);
        app.update(Action::ScrubBack);
        app.update(Action::Neighbourhood);
        let window = app.window().unwrap();
        let reach = NEAR_STEPS as f64 * (1.0 + MARGIN);
        assert_eq!(window.x, [1.0 - reach, 1.0 + reach]);
        assert_eq!(window.y, [0.5 - reach / 2.0, 0.5 + reach / 2.0]);
    }

    #[test]
    fn zooming_ends_where_numbers_do() {
        let mut app = app(5);
        for _ in 0..5000 {
            app.update(Action::ZoomIn);
        }
        assert!(is_sound(app.window().unwrap()));
        for _ in 0..5000 {
            app.update(Action::ZoomOut);
        }
        assert!(is_sound(app.window().unwrap()));
    }

    #[test]
    fn without_a_path_nothing_moves() {
        let mut app = App::new(Look::default());
        for action in [
            Action::ZoomIn,
            Action::PanUp,
            Action::Neighbourhood,
            Action::ScrubBack,
        ] {
            assert_eq!(app.update(action), []);
        }
        assert_eq!((app.window(), app.selected()), (None, None));
    }

    #[test]
    fn views_go_round_both_ways() {
        let mut app = app(2);
        app.update(Action::PreviousView);
        assert_eq!(app.view(), View::Surface);
        app.update(Action::PreviousView);
        assert_eq!(app.view(), View::Compare);
        app.update(Action::NextView);
        app.update(Action::NextView);
        assert_eq!(app.view(), View::Map);
    }

    #[test]
    fn pausing_twice_goes_on() {
        let mut app = app(2);
        assert_eq!(app.update(Action::Pause), [Command::Pause(true)]);
        assert_eq!(app.update(Action::Pause), [Command::Pause(false)]);
    }

    #[test]
    fn a_dismissed_banner_comes_back_only_with_news() {
        let with = |notices: &[&str]| {
            Arc::new(Snapshot {
                notices: notices.iter().map(|n| (*n).to_owned()).collect(),
                ..Snapshot::default()
            })
        };
        let mut app = App::new(Look::default());
        app.receive(with(&["first"]));
        assert_eq!(app.banner(), Some("first"));
        app.update(Action::Close);
        assert_eq!(app.banner(), None);
        app.receive(with(&["first", "second"]));
        assert_eq!(app.banner(), Some("second"));
    }
}
