//! What the screen knows besides the snapshot: the view, the window, the cursor, the checkpoint that is looked at.

use std::sync::Arc;

use crate::plot::levels::Scale;
use crate::plot::map::Layers;
use crate::plot::raster::Marker;
use crate::plot::relief;
use crate::session::agenda::whole_path;
use crate::session::snapshot::{Command, Snapshot, Window};
use crate::session::study::Study;

use super::action::Action;
use super::choice::{Along, Figure, Plane, View, Weighing};
use super::cursor::Cursor;
use super::guide::scrolls;
use super::invocation::Invocation;
use super::keymap::Keymap;
use super::news;
use super::pictures::Pictures;
use super::prompt::{Entry, Prompt};
use super::theme::Theme;
use super::themes::Themes;
use super::window::{PAN, ZOOM, contains, middle, neighbourhood, panned, sees_something, zoomed};

/// How pictures are drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// Bands, lines or both.
    pub layers: Layers,
    /// How levels are spread.
    pub scale: Scale,
    /// Characters to draw with.
    pub marker: Marker,
    /// Colours, and how many of them.
    pub themes: Themes,
}

/// Degrees by which an arrow key turns and tilts the relief.
const TURN: f64 = 15.0;
const TILT: f64 = 5.0;

/// Checkpoints that a leap passes.
const LEAP: isize = 10;
/// Pictures of a film at most: at eight a second a quarter of a minute.
const PICTURES: usize = 120;
/// Directions on a random plane are as long as the weights: it is seen from −1 to 1.
pub(super) const RANDOM_WINDOW: Window = Window {
    x: [-1.0, 1.0],
    y: [-1.0, 1.0],
};

/// Which checkpoint is looked at, by its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Gaze {
    /// The newest, whichever that is.
    #[default]
    Newest,
    /// This one, also when others come.
    At(usize),
    /// This one for a moment: the run is being replayed.
    Film(usize),
}

/// What lies over the views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overlay {
    /// The keys, scrolled down so often.
    Help(usize),
    /// The command that gives the same.
    Command,
}

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
    gaze: Gaze,
    /// A point of the plane on the map.
    cursor: Option<Cursor>,
    /// The step that is being typed.
    prompt: Option<Prompt>,
    /// The view has the whole screen.
    zoomed: bool,
    paused: bool,
    overlay: Option<Overlay>,
    /// What the screen itself has to say of the last key.
    told: Option<String>,
    /// How the session was asked for.
    invocation: Arc<Invocation>,
    /// The banner that the user has seen.
    dismissed: Option<String>,
    /// Sentences for the banner that do not come from the session, the first to be shown last.
    warnings: Vec<String>,
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

    /// The same screen, which knows how its session was asked for.
    #[must_use]
    pub fn of(self, invocation: Invocation) -> Self {
        let invocation = Arc::new(invocation);
        Self { invocation, ..self }
    }

    /// Takes sentences for the banner, to be shown until the user has seen them.
    pub fn warn(&mut self, sentences: Vec<String>) {
        self.warnings = sentences;
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
        if action != Action::Close {
            self.told = None;
        }
        match action {
            Action::Quit => self.over = true,
            Action::Help => {
                let helps = self.is_helping();
                self.overlay = (!helps).then_some(Overlay::Help(0));
            }
            Action::ShowCommand => {
                let shows = self.shows_command();
                self.overlay = (!shows).then_some(Overlay::Command);
            }
            Action::Close => self.close(),
            Action::ShowMap => return self.show(View::Map),
            Action::ShowSlices => return self.show(View::Slices),
            Action::ShowPath => return self.show(View::Path),
            Action::ShowWeights => return self.show(View::Weights),
            Action::ShowCurvature => return self.show(View::Curvature),
            Action::ShowCompare => return self.show(View::Compare),
            Action::ShowSurface => return self.show(View::Surface),
            Action::NextView => return self.show(self.view.next()),
            Action::PreviousView => return self.show(self.view.previous()),
            Action::NextDirections => return self.choose_next(),
            Action::ZoomView => self.zoomed = !self.zoomed,
            Action::Freeze => self.freeze(),
            Action::ScrubBack => self.scrub_by(-1),
            Action::ScrubForward => self.scrub_by(1),
            Action::LeapBack => self.scrub_by(-LEAP),
            Action::LeapForward => self.scrub_by(LEAP),
            Action::Jump => self.prompt = self.selected().map(|_| Prompt::default()),
            Action::Film => self.play(),
            Action::Cursor => return self.point(),
            Action::NextLayers => self.look.layers = self.look.layers.next(),
            Action::NextScale => self.look.scale = self.look.scale.next(),
            Action::NextMarker => self.look.marker = self.look.marker.next(),
            Action::NextTheme => self.look.themes.next(),
            Action::Pause => {
                self.paused = !self.paused;
                return vec![Command::Pause(self.paused)];
            }
            Action::Rescan => return vec![Command::Rescan],
            Action::PanLeft | Action::PanRight | Action::PanUp | Action::PanDown => {
                return self.arrow(action);
            }
            Action::ZoomIn | Action::ZoomOut | Action::WholePath | Action::Neighbourhood => {
                return self.look_at(action);
            }
            // Theirs who have the terminal and the files.
            Action::Export | Action::Suspend => {}
        }
        Vec::new()
    }

    /// Closes what lies on top: a pane, a message, a film, the cursor, the banner.
    fn close(&mut self) {
        if self.overlay.take().is_some() || self.told.take().is_some() {
            return;
        }
        if self.is_filming() {
            self.gaze = Gaze::Newest;
        } else if self.cursor.take().is_none() {
            match self.news() {
                Some(news) => self.dismissed = Some(news.to_owned()),
                None => drop(self.warnings.pop()),
            }
        }
    }

    /// Holds the picture, a film's too, or follows the run again.
    fn freeze(&mut self) {
        if let Gaze::Film(at) = self.gaze {
            self.gaze = Gaze::At(at);
        }
        if self.frozen.take().is_some() {
            self.gaze = Gaze::Newest;
        } else {
            self.frozen = Some(Arc::clone(&self.live));
        }
    }

    /// Turns to what else the view can show.
    fn choose_next(&mut self) -> Vec<Command> {
        match self.view {
            View::Curvature => self.figure = self.figure.next(),
            View::Slices => self.along = self.along.next(),
            View::Map => {
                self.plane = self.plane.next();
                self.cursor = None;
            }
            View::Weights => self.weighing = self.weighing.next(),
            View::Path | View::Compare | View::Surface => return Vec::new(),
        }
        self.show(self.view)
    }

    /// Looks at a checkpoint so many further on; from the last one on the run is followed.
    fn scrub_by(&mut self, count: isize) {
        let to = self.selected().map(|at| at.saturating_add_signed(count));
        self.look_at_checkpoint(to, Gaze::At);
    }

    fn look_at_checkpoint(&mut self, checkpoint: Option<usize>, gaze: fn(usize) -> Gaze) {
        let last = self.checkpoints().saturating_sub(1);
        let checkpoint = checkpoint.filter(|at| *at < last);
        self.gaze = checkpoint.map_or(Gaze::Newest, gaze);
    }

    /// Begins the film: at the checkpoint that is looked at, or at the first when that is the last. Or stops it.
    fn play(&mut self) {
        self.gaze = match self.gaze {
            Gaze::Film(at) => Gaze::At(at),
            Gaze::At(at) => Gaze::Film(at),
            Gaze::Newest if self.checkpoints() > 1 => Gaze::Film(0),
            Gaze::Newest => Gaze::Newest,
        };
    }

    /// The next picture of the film; after its last one the run is followed.
    pub fn advance(&mut self) {
        let stride = self.checkpoints().div_ceil(PICTURES);
        let next = self.selected().map(|at| at + stride);
        self.look_at_checkpoint(next, Gaze::Film);
    }

    /// Takes what the user types of a step; once it is accepted, the nearest checkpoint is looked at.
    pub fn enter(&mut self, entry: Entry) {
        let Some(mut prompt) = self.prompt.take() else {
            return;
        };
        match entry {
            Entry::Cancel => {}
            Entry::Accept => {
                let nearest = self.steps().and_then(|steps| prompt.nearest(steps));
                if nearest.is_some() {
                    self.look_at_checkpoint(nearest, Gaze::At);
                }
            }
            Entry::Digit(_) | Entry::Erase => {
                prompt.edit(entry);
                self.prompt = Some(prompt);
            }
        }
    }

    /// Puts the cursor on the map, at the checkpoint that is looked at, or takes it away.
    fn point(&mut self) -> Vec<Command> {
        let here = self
            .selected()
            .and_then(|at| self.drawn_path().get(at).copied());
        let here = here.map(|at| match self.drawn_window() {
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

    /// What an arrow does: it scrolls the help, turns the relief, moves the cursor or pans.
    fn arrow(&mut self, action: Action) -> Vec<Command> {
        let [right, up] = match action {
            Action::PanLeft => [-1.0, 0.0],
            Action::PanRight => [1.0, 0.0],
            Action::PanUp => [0.0, 1.0],
            _ => [0.0, -1.0],
        };
        if let Some(Overlay::Help(scrolled)) = self.overlay {
            let down = if up < 0.0 {
                scrolled + 1
            } else {
                scrolled.saturating_sub(usize::from(up > 0.0))
            };
            self.overlay = Some(Overlay::Help(down.min(scrolls(&self.keymap))));
        } else if self.view == View::Surface {
            self.camera = self.camera.moved(right * TURN, up * TILT);
        } else if let (View::Map, Some(cursor), Some(window)) =
            (self.view, self.cursor, self.drawn_window())
        {
            self.cursor = Some(cursor.moved(window, [right, up]));
        } else {
            let target = self
                .window()
                .and_then(|window| panned(window, [right * PAN, up * PAN]));
            return self.survey(target);
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
            (View::Weights, _) if self.weighing == Weighing::Stability => Some(Study::Stability),
            (View::Map, _) if self.plane == Plane::Random => Some(Study::Plane),
            (View::Slices, Along::Random) => Some(Study::Random),
            (View::Slices, Along::Update) => Some(Study::Update),
            (View::Slices, Along::Line) => Some(Study::Line),
            _ => None,
        }
    }

    /// Changes the window, and has it surveyed. Around the cursor, where there is one.
    fn look_at(&mut self, action: Action) -> Vec<Command> {
        let Some(window) = self.window() else {
            return Vec::new();
        };
        let around = match (self.cursor, self.plane) {
            (Some(cursor), Plane::Principal) => cursor.at,
            _ => middle(window),
        };
        let target = match action {
            Action::ZoomIn => zoomed(window, around, 1.0 / ZOOM),
            Action::ZoomOut => zoomed(window, around, ZOOM),
            Action::Neighbourhood => (self.selected()).and_then(|at| {
                neighbourhood(&self.snapshot().trajectory.as_ref()?.coordinates, at)
            }),
            _ => {
                let changes = self.window.take().is_some();
                return if changes {
                    vec![Command::Survey(None)]
                } else {
                    Vec::new()
                };
            }
        };
        self.survey(target)
    }

    /// Looks at a window from now on; stays with the one there is where there is none.
    fn survey(&mut self, target: Option<Window>) -> Vec<Command> {
        let whole = self
            .snapshot()
            .trajectory
            .as_ref()
            .map(|path| whole_path(&path.coordinates));
        let sees = |target| whole.is_some_and(|whole| sees_something(target, whole));
        if target == self.window || !target.is_some_and(sees) {
            return Vec::new();
        }
        self.window = target;
        vec![Command::Survey(target)]
    }

    /// Zooms around a point of the plane, which stays where it is, and has the new window surveyed.
    pub fn zoom_at(&mut self, point: [f64; 2], closer: bool) -> Vec<Command> {
        let factor = if closer { 1.0 / ZOOM } else { ZOOM };
        let window = self.window();
        self.survey(window.and_then(|window| zoomed(window, point, factor)))
    }

    /// Puts the cursor on a point of the plane; where there is none, looks at the checkpoint nearest to the
    /// point, both axes as long as the window's.
    pub fn point_at(&mut self, point: [f64; 2]) {
        if let Some(cursor) = &mut self.cursor {
            cursor.at = point;
            return;
        }
        let (Some(trajectory), Some(window)) = (&self.snapshot().trajectory, self.window()) else {
            return;
        };
        let [wide, high] = [window.x, window.y].map(|[min, max]| max - min);
        let distance = |at: &[f64; 2]| ((at[0] - point[0]) / wide).hypot((at[1] - point[1]) / high);
        let path = trajectory.coordinates.iter().map(distance).enumerate();
        let nearest = path.min_by(|(_, one), (_, other)| one.total_cmp(other));
        let nearest = nearest.map(|(index, _)| index);
        self.look_at_checkpoint(nearest, Gaze::At);
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

    /// The window that the map shows: on a random plane always the same; none without a path.
    fn drawn_window(&self) -> Option<Window> {
        match self.plane {
            Plane::Principal => self.window(),
            Plane::Random => Some(RANDOM_WINDOW),
        }
    }

    /// The path as the map shows it.
    fn drawn_path(&self) -> &[[f64; 2]] {
        let snapshot = self.snapshot();
        let own = snapshot
            .trajectory
            .as_ref()
            .map(|path| &path.coordinates[..]);
        let shadow = snapshot
            .shadow
            .as_ref()
            .map(|shadow| &shadow.coordinates[..]);
        let path = match self.plane {
            Plane::Principal => own,
            Plane::Random => shadow,
        };
        path.unwrap_or_default()
    }

    /// Steps of the checkpoints of the drawn path; none without one.
    #[must_use]
    pub fn steps(&self) -> Option<&[u64]> {
        let path = self.snapshot().trajectory.as_ref();
        path.map(|path| &path.steps[..])
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
        Some(match self.gaze {
            Gaze::Newest => last,
            Gaze::At(at) | Gaze::Film(at) => at.min(last),
        })
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

    /// What went wrong last: the run folder first, then the newest notice, then what was wrong at the start.
    #[must_use]
    pub fn banner(&self) -> Option<&str> {
        self.news().or(self.warnings.last().map(String::as_str))
    }

    /// What went wrong last in the session, where the user has not seen it.
    fn news(&self) -> Option<&str> {
        let newest = news::newest(&self.live, self.view() == View::Map)?;
        (self.dismissed.as_deref() != Some(newest)).then_some(newest)
    }

    /// Which key does what.
    #[must_use]
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// How pictures are drawn.
    #[must_use]
    pub fn look(&self) -> &Look {
        &self.look
    }

    /// The colours of the screen.
    #[must_use]
    pub fn theme(&self) -> &Theme {
        self.look.themes.current()
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

    /// How the session was asked for.
    #[must_use]
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// Whether the view has the whole screen.
    #[must_use]
    pub fn is_zoomed(&self) -> bool {
        self.zoomed
    }

    /// Whether the run is being replayed: then [`App::advance`] is due every so often.
    #[must_use]
    pub fn is_filming(&self) -> bool {
        matches!(self.gaze, Gaze::Film(_))
    }

    /// The point of the plane that the user asks about.
    #[must_use]
    pub fn cursor(&self) -> Option<[f64; 2]> {
        self.cursor.map(|cursor| cursor.at)
    }

    /// The step that is being typed: keys are for [`App::enter`] then.
    #[must_use]
    pub fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// Whether the keys are shown.
    #[must_use]
    pub fn is_helping(&self) -> bool {
        matches!(self.overlay, Some(Overlay::Help(_)))
    }

    /// Whether the command is shown that gives the same.
    #[must_use]
    pub fn shows_command(&self) -> bool {
        self.overlay == Some(Overlay::Command)
    }

    /// How often the help was scrolled down.
    #[must_use]
    pub fn scrolled(&self) -> usize {
        match self.overlay {
            Some(Overlay::Help(scrolled)) => scrolled,
            _ => 0,
        }
    }

    /// Says something in the banner's line until the next key.
    pub fn tell(&mut self, sentence: String) {
        self.told = Some(sentence);
    }

    /// Says to somebody who sees the screen for the first time how to go on.
    pub fn welcome(&mut self) {
        let wanted = [
            (Action::Help, "shows all keys"),
            (Action::ShowCommand, "the command behind what you see"),
            (Action::Quit, "quits"),
        ];
        let hints = wanted.iter().filter_map(|(action, does)| {
            let key = self.keymap.keys(*action).first()?;
            Some(format!("{key} {does}"))
        });
        let hints: Vec<String> = hints.collect();
        self.tell(format!("Welcome. {}", hints.join(", ")));
    }

    /// What the screen itself has to say of the last key.
    #[must_use]
    pub fn told(&self) -> Option<&str> {
        self.told.as_deref()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::weights::trajectory::Trajectory;
    use crossterm::event::{KeyCode, KeyEvent};

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
    fn leaps_pass_ten_checkpoints() {
        let mut app = app(25);
        let mut at = |action| {
            app.update(action);
            app.selected().unwrap()
        };
        assert_eq!(
            [
                at(Action::LeapBack),
                at(Action::LeapBack),
                at(Action::LeapBack)
            ],
            [14, 4, 0]
        );
        assert_eq!(
            [
                at(Action::LeapForward),
                at(Action::LeapForward),
                at(Action::LeapForward)
            ],
            [10, 20, 24]
        );
    }

    #[test]
    fn a_film_shows_every_checkpoint_and_then_follows_the_run() {
        let mut app = app(5);
        app.update(Action::Film);
        let mut seen = Vec::new();
        while app.is_filming() {
            seen.push(app.selected().unwrap());
            app.advance();
        }
        assert_eq!((seen, app.selected()), (vec![0, 1, 2, 3], Some(4)));
        // From where the user looks, and no further once told.
        app.update(Action::ScrubBack);
        app.update(Action::ScrubBack);
        app.update(Action::Film);
        assert_eq!(app.selected(), Some(2));
        app.update(Action::Close);
        assert!(!app.is_filming());
    }

    #[test]
    fn a_long_film_leaves_checkpoints_out_but_never_the_last() {
        let mut app = app(1000);
        app.update(Action::Film);
        let mut pictures = 1;
        while app.is_filming() {
            app.advance();
            pictures += 1;
        }
        assert!((100..=PICTURES).contains(&pictures), "{pictures}");
        assert_eq!(app.selected(), Some(999));
    }

    fn types(app: &mut App, keys: &[KeyCode]) {
        for code in keys {
            app.enter(Entry::of(KeyEvent::from(*code)).unwrap());
        }
    }

    #[test]
    fn a_step_that_is_typed_is_looked_at() {
        let mut app = app(50);
        app.update(Action::Jump);
        types(&mut app, &[KeyCode::Char('1'), KeyCode::Char('2')]);
        assert_eq!(app.prompt().unwrap().typed(), "12");
        types(&mut app, &[KeyCode::Enter]);
        assert_eq!((app.selected(), app.prompt()), (Some(12), None));
        app.update(Action::Jump);
        types(&mut app, &[KeyCode::Char('3'), KeyCode::Esc]);
        assert_eq!((app.selected(), app.prompt()), (Some(12), None));
    }

    #[test]
    fn the_cursor_starts_at_the_checkpoint_and_stays_in_the_window() {
        let mut app = app(5);
        app.update(Action::ShowWeights);
        assert_eq!(app.update(Action::Cursor), [Command::Study(None)]);
        assert_eq!((app.view(), app.cursor()), (View::Map, Some([0.0, 0.0])));
        let window = app.window().unwrap();
        for _ in 0..200 {
            assert_eq!(app.update(Action::PanRight), []);
        }
        assert_eq!(app.cursor(), Some([window.x[1], 0.0]));
        app.update(Action::ZoomIn);
        assert_eq!(
            app.window().unwrap().x[1],
            window.x[1],
            "zoomed around the cursor"
        );
        app.update(Action::Close);
        assert_eq!(app.cursor(), None);
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
    fn the_point_that_is_zoomed_at_stays_where_it_is() {
        let mut app = app(5);
        let before = app.window().unwrap();
        let point = [
            before.x[0] + 0.25 * (before.x[1] - before.x[0]),
            before.y[1],
        ];
        let asked = app.zoom_at(point, true);
        let after = app.window().unwrap();
        assert_eq!(asked, [Command::Survey(Some(after))]);
        let share = (point[0] - after.x[0]) / (after.x[1] - after.x[0]);
        assert!((share - 0.25).abs() < 1e-12, "{after:?}");
        assert!((after.y[1] - before.y[1]).abs() < 1e-12, "{after:?}");
        let extent = |window: Window| window.x[1] - window.x[0];
        assert!((extent(before) / extent(after) - ZOOM).abs() < 1e-12);
        app.zoom_at(point, false);
        assert!((extent(app.window().unwrap()) - extent(before)).abs() < 1e-12);
    }

    #[test]
    fn the_checkpoint_nearest_to_a_point_is_looked_at() {
        let mut app = app(5);
        app.point_at([3.1, 1.4]);
        assert_eq!(app.selected(), Some(1));
        app.point_at([0.2, 0.0]);
        app.receive(snapshot(7));
        assert_eq!(app.selected(), Some(6), "the last one is followed");
        app.update(Action::Cursor);
        app.point_at([3.1, 1.4]);
        assert_eq!((app.selected(), app.cursor()), (Some(6), Some([3.1, 1.4])));
    }

    #[test]
    fn zooming_ends_where_there_is_nothing_left_to_see() {
        let mut app = app(5);
        let whole = app.window().unwrap();
        let extent = |w: Window| w.x[1] - w.x[0];
        for (action, ratio) in [(Action::ZoomIn, 1e-5), (Action::ZoomOut, 100.0)] {
            app.update(Action::WholePath);
            let mut count = 0;
            while !app.update(action).is_empty() {
                count += 1;
            }
            let reached = extent(app.window().unwrap()) / extent(whole);
            assert!(
                count > 5 && (ratio / ZOOM..=ratio * ZOOM).contains(&reached),
                "{reached}"
            );
        }
    }

    #[test]
    fn freezing_stops_a_film_and_going_on_follows_the_run() {
        let mut app = app(9);
        app.update(Action::Film);
        app.advance();
        app.update(Action::Freeze);
        assert!(!app.is_filming() && app.selected() == Some(1) && app.behind() == Some(0));
        app.update(Action::Freeze);
        assert_eq!((app.selected(), app.behind()), (Some(8), None));
    }

    #[test]
    fn a_cursor_that_would_be_out_of_sight_starts_in_the_middle() {
        let mut app = app(9);
        for action in [Action::ZoomIn, Action::ZoomIn, Action::ZoomIn] {
            app.update(action);
        }
        app.update(Action::Cursor);
        assert_eq!(app.cursor(), app.window().map(middle));
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

    #[test]
    fn what_was_wrong_at_the_start_is_told_one_by_one_after_the_news() {
        let mut app = App::new(Look::default());
        app.warn(vec!["one".into(), "two".into()]);
        app.receive(Arc::new(Snapshot {
            notices: vec!["news".into()],
            ..Snapshot::default()
        }));
        for expected in [Some("news"), Some("two"), Some("one"), None, None] {
            assert_eq!(app.banner(), expected);
            app.update(Action::Close);
        }
    }
}
