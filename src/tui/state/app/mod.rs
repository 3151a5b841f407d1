//! The state of the screen, changed by actions alone.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::plot::relief;
use crate::session::{Command, PlaneWindow, Snapshot};

use super::super::invocation::Invocation;
use super::appearance::Appearance;
use super::choice::{Figure, ShownPlane, SliceKind, View, WeightsTab};
use super::messages::Messages;
use super::navigation::Navigation;
use super::playback::Playback;
use crate::tui::input::action::Action;
use crate::tui::input::help_text::scrolls;
use crate::tui::input::keymap::Keymap;
use crate::tui::input::prompt::{Prompt, PromptKey};
use crate::tui::theme::Theme;
use crate::tui::view::age::Age;
use crate::tui::view::pictures::Pictures;

/// A pane over the views.
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
    appearance: Appearance,
    navigation: Navigation,
    playback: Playback,
    /// Snapshots of the other runs of a comparison.
    compared: Vec<Arc<Snapshot>>,
    /// The step that is being typed.
    prompt: Option<Prompt>,
    paused: bool,
    overlay: Option<Overlay>,
    messages: Messages,
    /// The command line by which the session was asked for.
    invocation: Arc<Invocation>,
    /// The time of day; `None` if the run is not one of today, as a recording's.
    clock: Option<fn() -> SystemTime>,
    over: bool,
    pictures: Pictures,
}

impl App {
    /// Returns a screen that shows nothing yet.
    #[must_use]
    pub fn new(appearance: Appearance) -> Self {
        Self {
            appearance,
            ..Self::default()
        }
    }

    /// Returns the same screen with these keys.
    #[must_use]
    pub fn with_keys(self, keymap: Keymap) -> Self {
        Self { keymap, ..self }
    }

    /// Returns the same screen, which knows how its session was asked for.
    #[must_use]
    pub fn of(self, invocation: Invocation) -> Self {
        let invocation = Arc::new(invocation);
        Self { invocation, ..self }
    }

    /// Returns the same screen of a run that goes on by this clock.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> SystemTime) -> Self {
        let clock = Some(clock);
        Self { clock, ..self }
    }

    /// Takes sentences for the banner, to be shown until the user has seen them.
    pub fn warn(&mut self, sentences: Vec<String>) {
        self.messages.warn(sentences);
    }

    /// Takes what the session found, and returns what it has to do for it.
    pub fn receive(&mut self, snapshot: Arc<Snapshot>) -> Vec<Command> {
        let commands = self.navigation.follow(self.playback.live(), &snapshot);
        self.playback.receive(snapshot);
        commands
    }

    /// Takes what the other runs of a comparison have found.
    pub fn receive_compared(&mut self, compared: Vec<Arc<Snapshot>>) {
        self.compared = compared;
    }

    /// Does what the user asks, and returns what the session has to do for it.
    pub fn update(&mut self, action: Action) -> Vec<Command> {
        if action != Action::Close {
            self.messages.untell();
        }
        match action {
            Action::Quit => self.over = true,
            Action::Help => self.toggle(Overlay::Help(0), self.is_helping()),
            Action::ShowCommand => self.toggle(Overlay::Command, self.shows_command()),
            Action::Close => self.close(),
            Action::ShowMap
            | Action::ShowSlices
            | Action::ShowPath
            | Action::ShowWeights
            | Action::ShowCurvature
            | Action::ShowCompare
            | Action::ShowRelief
            | Action::NextView
            | Action::PreviousView
            | Action::NextDirections => return self.navigation.turn(action),
            Action::ZoomView => self.navigation.zoomed = !self.navigation.zoomed,
            Action::Freeze
            | Action::ScrubBack
            | Action::ScrubForward
            | Action::LeapBack
            | Action::LeapForward
            | Action::Film => self.playback.update(action),
            Action::Jump => self.prompt = self.selected().map(|_| Prompt::default()),
            Action::NextLayers | Action::NextScale | Action::NextMarker | Action::NextTheme => {
                self.appearance.update(action);
            }
            Action::Pause => return self.pause(),
            Action::Rescan => return vec![Command::Rescan],
            Action::Cursor
            | Action::ZoomIn
            | Action::ZoomOut
            | Action::WholePath
            | Action::Neighbourhood => return self.look_at(action),
            Action::PanLeft => return self.arrow([-1.0, 0.0]),
            Action::PanRight => return self.arrow([1.0, 0.0]),
            Action::PanUp => return self.arrow([0.0, 1.0]),
            Action::PanDown => return self.arrow([0.0, -1.0]),
            // Handled by the event loop, which owns the terminal and the files.
            Action::Export | Action::Suspend => {}
        }
        Vec::new()
    }

    /// Shows something over the views, or hides it if it is shown.
    fn toggle(&mut self, overlay: Overlay, is_shown: bool) {
        self.overlay = (!is_shown).then_some(overlay);
    }

    /// Closes what lies on top: a pane, a message, a film, the cursor, the banner.
    fn close(&mut self) {
        if self.overlay.take().is_some() || self.messages.untell() {
            return;
        }
        if self.is_filming() {
            self.playback.follow();
        } else if self.navigation.cursor.take().is_none() {
            let is_map = self.view() == View::Map;
            self.messages.dismiss(self.playback.live(), is_map);
        }
    }

    fn pause(&mut self) -> Vec<Command> {
        self.paused = !self.paused;
        vec![Command::Pause(self.paused)]
    }

    /// Changes the window, or puts the cursor on it.
    fn look_at(&mut self, action: Action) -> Vec<Command> {
        let (snapshot, selected) = (self.playback.snapshot(), self.playback.selected());
        match action {
            Action::Cursor => self.navigation.toggle_cursor(snapshot, selected),
            _ => self.navigation.look_at(action, snapshot, selected),
        }
    }

    /// Does what an arrow does: it scrolls the help, turns the relief, moves the cursor or pans.
    fn arrow(&mut self, [right, up]: [f64; 2]) -> Vec<Command> {
        let Some(Overlay::Help(scrolled)) = self.overlay else {
            return self.navigation.go([right, up], self.playback.snapshot());
        };
        let down = if up < 0.0 {
            scrolled + 1
        } else {
            scrolled.saturating_sub(usize::from(up > 0.0))
        };
        self.overlay = Some(Overlay::Help(down.min(scrolls(&self.keymap))));
        Vec::new()
    }

    /// Moves on to the next picture of the film; after its last one the run is followed.
    pub fn advance(&mut self) {
        self.playback.advance();
    }

    /// Takes what the user types of a step; once it is accepted, the nearest checkpoint is looked at.
    pub fn enter(&mut self, entry: PromptKey) {
        let Some(mut prompt) = self.prompt.take() else {
            return;
        };
        match entry {
            PromptKey::Cancel => {}
            PromptKey::Accept => {
                let nearest = self.steps().and_then(|steps| prompt.nearest(steps));
                if nearest.is_some() {
                    self.playback.select(nearest);
                }
            }
            PromptKey::Digit(_) | PromptKey::Erase => {
                prompt.edit(entry);
                self.prompt = Some(prompt);
            }
        }
    }

    /// Zooms around a point of the plane, which stays where it is, and has the new window surveyed.
    pub fn zoom_at(&mut self, point: [f64; 2], closer: bool) -> Vec<Command> {
        let snapshot = self.playback.snapshot();
        self.navigation.zoom_at(point, closer, snapshot)
    }

    /// Puts the cursor on a point of the plane; where there is none, looks at the checkpoint nearest to the
    /// point, both axes as long as the window's.
    pub fn point_at(&mut self, point: [f64; 2]) {
        if let Some(cursor) = &mut self.navigation.cursor {
            cursor.at = point;
            return;
        }
        let nearest = self.navigation.nearest(point, self.snapshot());
        if nearest.is_some() {
            self.playback.select(nearest);
        }
    }

    /// Returns the snapshot that is drawn: the session as it is, or as it was when the picture was frozen.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        self.playback.snapshot()
    }

    /// Returns the age of the run's newest checkpoint, also while the picture is frozen; `None` if the times are
    /// not known, or there is no clock.
    pub(in crate::tui) fn age(&self) -> Option<Age> {
        let times = self.playback.live().saved.as_ref()?;
        Some(Age::of(times, self.clock?()))
    }

    /// Returns the time after which the screen says something else though nothing has happened; `None` if it
    /// never does.
    #[must_use]
    pub fn changes_in(&self) -> Option<Duration> {
        Some(self.age()?.changes_in())
    }

    /// Returns the window of the plane that is drawn; `None` without a path.
    #[must_use]
    pub fn window(&self) -> Option<PlaneWindow> {
        self.navigation.window(self.snapshot())
    }

    /// Returns the steps of the drawn path's checkpoints; `None` without a path.
    #[must_use]
    pub fn steps(&self) -> Option<&[u64]> {
        let path = self.snapshot().trajectory.as_ref();
        path.map(|path| &path.steps[..])
    }

    /// Returns true if the window is that of the whole path.
    #[must_use]
    pub fn is_whole_path(&self) -> bool {
        self.navigation.window.is_none()
    }

    /// Returns the index of the checkpoint that is looked at; `None` without a path.
    #[must_use]
    pub fn selected(&self) -> Option<usize> {
        self.playback.selected()
    }

    /// Returns the number of checkpoints on the drawn path.
    #[must_use]
    pub fn checkpoints(&self) -> usize {
        self.playback.checkpoints()
    }

    /// Returns the number of checkpoints that came since the picture was frozen; `None` if it is not.
    #[must_use]
    pub fn lag(&self) -> Option<usize> {
        self.playback.lag()
    }

    /// Returns the sentence for the banner: why the run folder cannot be read, else the newest notice, else
    /// what was wrong at the start.
    #[must_use]
    pub fn banner(&self) -> Option<&str> {
        let is_map = self.view() == View::Map;
        self.messages.banner(self.playback.live(), is_map)
    }

    /// Returns the table of keys and actions.
    #[must_use]
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// Returns the choices of how pictures are drawn.
    #[must_use]
    pub fn appearance(&self) -> &Appearance {
        &self.appearance
    }

    /// Returns the colours of the screen.
    #[must_use]
    pub fn theme(&self) -> &Theme {
        self.appearance.themes.current()
    }

    /// Returns the directions of the slices.
    #[must_use]
    pub fn slice_kind(&self) -> SliceKind {
        self.navigation.slice_kind
    }

    /// Returns the plane that the map shows.
    #[must_use]
    pub fn plane(&self) -> ShownPlane {
        self.navigation.plane
    }

    /// Returns the kind of picture of the weights.
    #[must_use]
    pub fn weights_tab(&self) -> WeightsTab {
        self.navigation.weights_tab
    }

    /// Returns the figure that the curvature map shows.
    #[must_use]
    pub fn figure(&self) -> Figure {
        self.navigation.figure
    }

    /// Returns the angles from which the relief is seen.
    #[must_use]
    pub fn camera(&self) -> relief::ViewAngle {
        self.navigation.camera
    }

    /// Returns the pictures that were drawn already.
    pub(in crate::tui) fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// Returns the snapshots of the other runs of a comparison.
    #[must_use]
    pub fn compared(&self) -> &[Arc<Snapshot>] {
        &self.compared
    }

    /// Returns the view that is looked at.
    #[must_use]
    pub fn view(&self) -> View {
        self.navigation.view
    }

    /// Returns the command line by which the session was asked for.
    #[must_use]
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// Returns true if the view has the whole screen.
    #[must_use]
    pub fn is_zoomed(&self) -> bool {
        self.navigation.zoomed
    }

    /// Returns true if the run is being replayed: then [`App::advance`] is due every so often.
    #[must_use]
    pub fn is_filming(&self) -> bool {
        self.playback.is_filming()
    }

    /// Returns the point of the plane that the user asks about.
    #[must_use]
    pub fn cursor(&self) -> Option<[f64; 2]> {
        self.navigation.cursor.map(|cursor| cursor.at)
    }

    /// Returns the step that is being typed: keys are for [`App::enter`] then.
    #[must_use]
    pub fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// Returns true if the keys are shown.
    #[must_use]
    pub fn is_helping(&self) -> bool {
        matches!(self.overlay, Some(Overlay::Help(_)))
    }

    /// Returns true if the command is shown that gives the same.
    #[must_use]
    pub fn shows_command(&self) -> bool {
        self.overlay == Some(Overlay::Command)
    }

    /// Returns the number of rows by which the help was scrolled down.
    #[must_use]
    pub fn scrolled(&self) -> usize {
        match self.overlay {
            Some(Overlay::Help(scrolled)) => scrolled,
            _ => 0,
        }
    }

    /// Says something in the banner's line until the next key.
    pub fn tell(&mut self, sentence: String) {
        self.messages.tell(sentence);
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

    /// Returns the screen's own answer to the last key.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.messages.message()
    }

    /// Returns true if the user paused the device.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Returns true if the user quit.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
