//! The state of the screen, changed by actions alone.

use std::sync::Arc;

use crate::plot::relief;
use crate::session::snapshot::{Command, Snapshot, Window};

use super::super::action::Action;
use super::super::help_text::scrolls;
use super::super::invocation::Invocation;
use super::super::keymap::Keymap;
use super::super::pictures::Pictures;
use super::super::prompt::{Entry, Prompt};
use super::super::theme::Theme;
use super::appearance::Appearance;
use super::choice::{Figure, Plane, SliceKind, View, WeightsTab};
use super::messages::Messages;
use super::navigation::Navigation;
use super::playback::Playback;

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
    appearance: Appearance,
    navigation: Navigation,
    playback: Playback,
    /// What the other runs of a comparison have found.
    compared: Vec<Arc<Snapshot>>,
    /// The step that is being typed.
    prompt: Option<Prompt>,
    paused: bool,
    overlay: Option<Overlay>,
    messages: Messages,
    /// How the session was asked for.
    invocation: Arc<Invocation>,
    over: bool,
    pictures: Pictures,
}

impl App {
    /// A screen that shows nothing yet.
    #[must_use]
    pub fn new(appearance: Appearance) -> Self {
        Self {
            appearance,
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
        self.messages.warn(sentences);
    }

    /// Takes what the session found.
    pub fn receive(&mut self, snapshot: Arc<Snapshot>) {
        self.playback.receive(snapshot);
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
            | Action::ShowSurface
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

    /// The next picture of the film; after its last one the run is followed.
    pub fn advance(&mut self) {
        self.playback.advance();
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
                    self.playback.select(nearest);
                }
            }
            Entry::Digit(_) | Entry::Erase => {
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

    /// What is drawn: the session as it is, or as it was when the picture was frozen.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        self.playback.snapshot()
    }

    /// The window of the plane that is drawn; none without a path.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.navigation.window(self.snapshot())
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
        self.navigation.window.is_none()
    }

    /// Index of the checkpoint that is looked at; none without a path.
    #[must_use]
    pub fn selected(&self) -> Option<usize> {
        self.playback.selected()
    }

    /// How many checkpoints the drawn path has.
    #[must_use]
    pub fn checkpoints(&self) -> usize {
        self.playback.checkpoints()
    }

    /// How many checkpoints came since the picture was frozen; none when it is not.
    #[must_use]
    pub fn lag(&self) -> Option<usize> {
        self.playback.lag()
    }

    /// What went wrong last: the run folder first, then the newest notice, then what was wrong at the start.
    #[must_use]
    pub fn banner(&self) -> Option<&str> {
        let is_map = self.view() == View::Map;
        self.messages.banner(self.playback.live(), is_map)
    }

    /// Which key does what.
    #[must_use]
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// How pictures are drawn.
    #[must_use]
    pub fn appearance(&self) -> &Appearance {
        &self.appearance
    }

    /// The colours of the screen.
    #[must_use]
    pub fn theme(&self) -> &Theme {
        self.appearance.themes.current()
    }

    /// What the slices run along.
    #[must_use]
    pub fn slice_kind(&self) -> SliceKind {
        self.navigation.slice_kind
    }

    /// Which plane the map shows.
    #[must_use]
    pub fn plane(&self) -> Plane {
        self.navigation.plane
    }

    /// How the weights are shown.
    #[must_use]
    pub fn weights_tab(&self) -> WeightsTab {
        self.navigation.weights_tab
    }

    /// Which figure the curvature map shows.
    #[must_use]
    pub fn figure(&self) -> Figure {
        self.navigation.figure
    }

    /// How the relief is turned.
    #[must_use]
    pub fn camera(&self) -> relief::View {
        self.navigation.camera
    }

    /// What was drawn already.
    pub(in crate::tui) fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// What the other runs of a comparison have found.
    #[must_use]
    pub fn compared(&self) -> &[Arc<Snapshot>] {
        &self.compared
    }

    /// What is looked at.
    #[must_use]
    pub fn view(&self) -> View {
        self.navigation.view
    }

    /// How the session was asked for.
    #[must_use]
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// Whether the view has the whole screen.
    #[must_use]
    pub fn is_zoomed(&self) -> bool {
        self.navigation.zoomed
    }

    /// Whether the run is being replayed: then [`App::advance`] is due every so often.
    #[must_use]
    pub fn is_filming(&self) -> bool {
        self.playback.is_filming()
    }

    /// The point of the plane that the user asks about.
    #[must_use]
    pub fn cursor(&self) -> Option<[f64; 2]> {
        self.navigation.cursor.map(|cursor| cursor.at)
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

    /// What the screen itself has to say of the last key.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.messages.message()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
