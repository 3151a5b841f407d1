//! The loop of the screen: keys, the session's findings and signals in, frames out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::session::snapshot::{Command, Snapshot};

use super::app::App;
use super::prompt::Entry;
use super::terminal::Screen;

/// Time between two pictures of a film.
const FILM: Duration = Duration::from_millis(125);

/// Shows a session until the user quits, the terminal is closed or the process is asked to end.
/// Nothing is drawn while nothing changes. Needs a tokio runtime with I/O and time.
///
/// `rivals` are the other runs of a comparison. Frames are at least `apart` from one another. `command` passes
/// on what the user asks of the session; it must not wait.
///
/// # Errors
/// The terminal cannot be used any more. It was restored as far as it can be.
pub async fn run(
    mut app: App,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut rivals: Vec<watch::Receiver<Arc<Snapshot>>>,
    apart: Duration,
    command: impl Fn(Command),
) -> io::Result<App> {
    let mut signals = Signals::listen()?;
    let mut screen = Screen::enter()?;
    let mut events = EventStream::new();
    app.receive(Arc::clone(&snapshots.borrow_and_update()));
    let (mut dirty, mut next_frame, mut session_lives) = (true, Instant::now(), true);
    let mut next_picture = Instant::now();
    while !app.is_over() {
        if !app.is_filming() {
            next_picture = Instant::now() + FILM;
        }
        tokio::select! {
            event = events.next() => match event {
                Some(event) => dirty |= take(&mut app, &event?, &command),
                None => break,
            },
            changed = snapshots.changed(), if session_lives => {
                session_lives = changed.is_ok();
                app.receive(Arc::clone(&snapshots.borrow_and_update()));
                dirty = true;
            }
            () = any_changed(&mut rivals), if !rivals.is_empty() => {
                app.receive_rivals(latest(&mut rivals));
                dirty = true;
            }
            () = sleep_until(next_picture), if app.is_filming() => {
                app.advance();
                dirty = true;
                next_picture = Instant::now() + FILM;
            }
            () = sleep_until(next_frame), if dirty => {
                screen.draw(&app)?;
                dirty = false;
                next_frame = Instant::now() + apart;
            }
            () = signals.asked_to_end() => break,
        }
    }
    Ok(app)
}

/// The newest snapshot of each other run.
fn latest(rivals: &mut [watch::Receiver<Arc<Snapshot>>]) -> Vec<Arc<Snapshot>> {
    let newest = |rival: &mut watch::Receiver<_>| Arc::clone(&rival.borrow_and_update());
    rivals.iter_mut().map(newest).collect()
}

/// Waits until another run has news; a run that is over has none.
async fn any_changed(rivals: &mut [watch::Receiver<Arc<Snapshot>>]) {
    let each = rivals.iter_mut().map(|rival| {
        Box::pin(async {
            if rival.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    futures_util::future::select_all(each).await;
}

/// Does what an event asks, and tells whether the screen may have changed.
fn take(app: &mut App, event: &Event, command: impl Fn(Command)) -> bool {
    match event {
        Event::Key(key) if app.prompt().is_some() => {
            let entry = Entry::of(*key);
            entry.into_iter().for_each(|entry| app.enter(entry));
            entry.is_some()
        }
        Event::Key(key) => match app.keymap().action(*key) {
            Some(action) => {
                app.update(action).into_iter().for_each(command);
                true
            }
            None => false,
        },
        Event::Resize(..) => true,
        _ => false,
    }
}

/// The signals that ask a process to end.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
        ]))
    }

    async fn asked_to_end(&mut self) {
        let [terminate, hang_up, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn asked_to_end(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::app::Look;
    use crossterm::event::{KeyCode, KeyEvent};
    use std::cell::RefCell;

    #[test]
    fn only_events_that_mean_something_draw_a_frame() {
        let mut app = App::new(Look::default());
        let asked = RefCell::new(Vec::new());
        let mut event = |event: Event| take(&mut app, &event, |c| asked.borrow_mut().push(c));
        let key = |c: char| Event::Key(KeyEvent::from(KeyCode::Char(c)));
        assert!(!event(key('x')));
        assert!(!event(Event::FocusGained));
        assert!(event(Event::Resize(80, 24)));
        assert!(event(key('r')));
        assert_eq!(*asked.borrow(), [Command::Rescan]);
    }
}
