//! The moment of the run that is shown: the newest, a chosen one, a frozen one, or each in turn.

use std::sync::Arc;

use crate::session::Snapshot;

use crate::tui::input::action::Action;

/// Checkpoints that a leap passes.
const LEAP: isize = 10;
/// Maximum number of pictures of a film: at eight a second a quarter of a minute.
pub(super) const PICTURES: usize = 120;

/// The checkpoint that is looked at, by its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Selection {
    /// The newest, whichever that is.
    #[default]
    Newest,
    /// This one, also when others come.
    At(usize),
    /// This one for a moment: the run is being replayed.
    Film(usize),
}

/// Findings of the session, and the moment of them that the screen shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Playback {
    live: Arc<Snapshot>,
    frozen: Option<Arc<Snapshot>>,
    selection: Selection,
}

impl Playback {
    /// Takes what the session found.
    pub(super) fn receive(&mut self, snapshot: Arc<Snapshot>) {
        self.live = snapshot;
    }

    /// Returns the session as it is, also while the picture is frozen.
    pub(super) fn live(&self) -> &Snapshot {
        &self.live
    }

    /// Returns the session as it is, or as it was when the picture was frozen.
    pub(super) fn snapshot(&self) -> &Snapshot {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// Returns the number of checkpoints on the drawn path.
    pub(super) fn checkpoints(&self) -> usize {
        checkpoints(self.snapshot())
    }

    /// Returns the number of checkpoints that came since the picture was frozen; `None` if it is not.
    pub(super) fn lag(&self) -> Option<usize> {
        let frozen = self.frozen.as_ref()?;
        Some(checkpoints(&self.live).saturating_sub(checkpoints(frozen)))
    }

    /// Returns the index of the checkpoint that is looked at; `None` without a path.
    pub(super) fn selected(&self) -> Option<usize> {
        let last = self.checkpoints().checked_sub(1)?;
        Some(match self.selection {
            Selection::Newest => last,
            Selection::At(at) | Selection::Film(at) => at.min(last),
        })
    }

    /// Returns true if the run is being replayed.
    pub(super) fn is_filming(&self) -> bool {
        matches!(self.selection, Selection::Film(_))
    }

    /// Freezes, scrubs or starts and stops the film; ignores other actions.
    pub(super) fn update(&mut self, action: Action) {
        match action {
            Action::Freeze => self.freeze(),
            Action::ScrubBack => self.scrub_by(-1),
            Action::ScrubForward => self.scrub_by(1),
            Action::LeapBack => self.scrub_by(-LEAP),
            Action::LeapForward => self.scrub_by(LEAP),
            Action::Film => self.play(),
            _ => {}
        }
    }

    /// Looks at a checkpoint; follows the run from the last one on, and if there is none.
    pub(super) fn select(&mut self, checkpoint: Option<usize>) {
        self.set(checkpoint, Selection::At);
    }

    /// Looks at the newest checkpoint, whichever that is.
    pub(super) fn follow(&mut self) {
        self.selection = Selection::Newest;
    }

    /// Shows the next picture of the film; after its last one the run is followed.
    pub(super) fn advance(&mut self) {
        let stride = self.checkpoints().div_ceil(PICTURES);
        let next = self.selected().map(|at| at + stride);
        self.set(next, Selection::Film);
    }

    /// Holds the picture, a film's too, or follows the run again.
    fn freeze(&mut self) {
        if let Selection::Film(at) = self.selection {
            self.selection = Selection::At(at);
        }
        if self.frozen.take().is_some() {
            self.follow();
        } else {
            self.frozen = Some(Arc::clone(&self.live));
        }
    }

    fn scrub_by(&mut self, count: isize) {
        let to = self.selected().map(|at| at.saturating_add_signed(count));
        self.select(to);
    }

    /// Begins the film: at the checkpoint that is looked at, or at the first when that is the last. Or stops it.
    fn play(&mut self) {
        self.selection = match self.selection {
            Selection::Film(at) => Selection::At(at),
            Selection::At(at) => Selection::Film(at),
            Selection::Newest if self.checkpoints() > 1 => Selection::Film(0),
            Selection::Newest => Selection::Newest,
        };
    }

    fn set(&mut self, checkpoint: Option<usize>, selection: fn(usize) -> Selection) {
        let last = self.checkpoints().saturating_sub(1);
        let checkpoint = checkpoint.filter(|at| *at < last);
        self.selection = checkpoint.map_or(Selection::Newest, selection);
    }
}

fn checkpoints(snapshot: &Snapshot) -> usize {
    let trajectory = snapshot.trajectory.as_ref();
    trajectory.map_or(0, |trajectory| trajectory.coordinates.len())
}
