//! The loop of the screen: keys, the session's findings and signals in, frames out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::Event;
use ratatui::layout::Rect;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::session::{Command, Snapshot};

use super::export;
use super::state::App;
use crate::tui::input::action::Action;
use crate::tui::input::key_reader;
use crate::tui::input::mouse;
use crate::tui::input::prompt::PromptKey;
use crate::tui::terminal::signals::{self, Signals, Told};
use crate::tui::terminal::{Screen, Wishes};

/// Number of the signal that a hung-up terminal stands for.
const SIGHUP: i32 = 1;

/// Time between two pictures of a film.
const FILM: Duration = Duration::from_millis(125);

/// Reasons why the screen ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The user quit.
    Quit,
    /// The signal of this number asked for it; a hung-up terminal counts as SIGHUP.
    Signal(i32),
    /// The event that the caller waited for has come.
    Awaited,
}

/// Shows a session until the user quits, the terminal is hung up or the process is asked to end: then
/// the process has a second and a half to end by itself.
/// Nothing is drawn while nothing changes; the age of the newest checkpoint does, by itself. Needs a tokio runtime with I/O and time.
///
/// `compared` are the other runs of a comparison. It ends when `awaited` does. Frames are at least `apart` from one another. `command` passes
/// on what the user asks of the session; it must not wait.
///
/// # Errors
/// The terminal cannot be used any more. It was restored as far as it can be.
pub async fn run(
    mut app: App,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    compared: Vec<watch::Receiver<Arc<Snapshot>>>,
    apart: Duration,
    wishes: Wishes,
    command: impl Fn(Command),
    awaited: impl Future<Output = ()>,
) -> io::Result<(App, End)> {
    let mut signals = Signals::listen()?;
    let mut screen = Screen::enter(wishes)?;
    let shown = show(
        &mut app,
        &mut screen,
        &mut signals,
        snapshots,
        compared,
        apart,
        command,
    );
    let shown = tokio::select! {
        shown = shown => shown,
        () = awaited => Ok(End::Awaited),
    };
    match shown {
        Ok(end) => Ok((app, end)),
        // The draw or the read that failed was there before the signal.
        Err(_) if signals::is_gone() => Ok((app, End::Signal(SIGHUP))),
        Err(error) => Err(error),
    }
}

async fn show(
    app: &mut App,
    screen: &mut Screen,
    signals: &mut Signals,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut compared: Vec<watch::Receiver<Arc<Snapshot>>>,
    apart: Duration,
    command: impl Fn(Command),
) -> io::Result<End> {
    let mut events = key_reader::listen()?;
    let asked = app.receive(Arc::clone(&snapshots.borrow_and_update()));
    asked.into_iter().for_each(&command);
    let (mut dirty, mut next_frame, mut session_lives) = (true, Instant::now(), true);
    let mut next_picture = Instant::now();
    let mut next_words = None;
    while !app.is_over() {
        if !app.is_filming() {
            next_picture = Instant::now() + FILM;
        }
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => dirty |= take(app, &event?, screen.area()?, &command),
                None => break,
            },
            changed = snapshots.changed(), if session_lives => {
                session_lives = changed.is_ok();
                let newest = Arc::clone(&snapshots.borrow_and_update());
                let newest = if session_lives { newest } else { orphaned(&newest) };
                app.receive(newest).into_iter().for_each(&command);
                dirty = true;
            }
            () = any_changed(&mut compared), if !compared.is_empty() => {
                app.receive_compared(latest(&mut compared));
                dirty = true;
            }
            () = sleep_until(next_picture), if app.is_filming() => {
                app.advance();
                dirty = true;
                next_picture = Instant::now() + FILM;
            }
            () = sleep_until(next_words.unwrap_or(next_picture)), if next_words.is_some() => {
                next_words = None;
                dirty = true;
            }
            () = sleep_until(next_frame), if dirty => {
                screen.draw(app)?;
                dirty = false;
                next_words = app.changes_in().map(|time| Instant::now() + time);
                next_frame = Instant::now() + apart;
            }
            told = signals.next() => match told {
                Told::End(signal) => return Ok(End::Signal(signal)),
                Told::Stop => {
                    screen.leave();
                    signals.stop().await?;
                    screen.take_again()?;
                    dirty = true;
                }
                // Stopped without being asked. Whoever had the terminal meanwhile left it as it likes.
                Told::GoesOn => {
                    screen.take_again()?;
                    dirty = true;
                }
            },
        }
    }
    Ok(End::Quit)
}

/// Returns the last snapshot of a session that ended while it was shown: only its panic does that.
fn orphaned(last: &Snapshot) -> Arc<Snapshot> {
    let mut last = last.clone();
    let notice = "the session stopped, the log says why; what was found so far stays";
    last.notices.push(notice.into());
    Arc::new(last)
}

/// Returns the newest snapshot of each other run.
fn latest(compared: &mut [watch::Receiver<Arc<Snapshot>>]) -> Vec<Arc<Snapshot>> {
    let newest = |other: &mut watch::Receiver<_>| Arc::clone(&other.borrow_and_update());
    compared.iter_mut().map(newest).collect()
}

/// Waits until another run has news; a run that is over has none.
async fn any_changed(compared: &mut [watch::Receiver<Arc<Snapshot>>]) {
    let each = compared.iter_mut().map(|other| {
        Box::pin(async {
            if other.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    futures_util::future::select_all(each).await;
}

/// Does what an event asks, and tells whether the screen may have changed.
fn take(app: &mut App, event: &Event, screen: Rect, command: impl Fn(Command)) -> bool {
    match event {
        Event::Key(key) if app.keymap().action(*key) == Some(Action::Suspend) => {
            signals::stop_group();
            false
        }
        Event::Key(key)
            if app.prompt().is_none() && app.keymap().action(*key) == Some(Action::Export) =>
        {
            let said = export::here(app, screen.as_size());
            app.tell(said);
            true
        }
        Event::Key(key) if app.prompt().is_some() => {
            let entry = PromptKey::of(*key);
            entry.map(|entry| app.enter(entry)).is_some()
        }
        Event::Key(key) => match app.keymap().action(*key) {
            Some(action) => {
                app.update(action).into_iter().for_each(command);
                true
            }
            None => false,
        },
        Event::Mouse(event) => match mouse::take(app, *event, screen) {
            Some(asked) => {
                asked.into_iter().for_each(command);
                true
            }
            None => false,
        },
        Event::Resize(..) => true,
        // What is pasted is not meant for keys.
        Event::Paste(_) | Event::FocusGained | Event::FocusLost => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::state::Appearance;
    use crossterm::event::{KeyCode, KeyEvent};
    use std::cell::RefCell;

    #[test]
    fn only_events_that_mean_something_draw_a_frame() {
        let mut app = App::new(Appearance::default());
        let screen = Rect::new(0, 0, 80, 24);
        let asked = RefCell::new(Vec::new());
        let mut event =
            |event: Event| take(&mut app, &event, screen, |c| asked.borrow_mut().push(c));
        let key = |c: char| Event::Key(KeyEvent::from(KeyCode::Char(c)));
        assert!(!event(key('x')));
        assert!(!event(Event::FocusGained));
        assert!(!event(Event::Paste("rrq".into())));
        assert!(event(Event::Resize(80, 24)));
        assert!(event(key('r')));
        assert_eq!(*asked.borrow(), [Command::Rescan]);
    }
}
