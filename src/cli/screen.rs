//! The screen of a session, and what is said on the normal screen when it ends.

use std::io::{self, IsTerminal, Seek, Write};
use std::sync::Arc;
use std::time::SystemTime;

use crossterm::event::KeyEvent;
use tokio::sync::watch;

use crate::report::{summary, visible};
use crate::session::{Command, Session, Snapshot};
use crate::terminal;
use crate::tui::run::run;
use crate::tui::{App, End, Wishes};

use super::exit::Ended;
use super::late_settings::LateSettings;
use super::options::ScreenOptions;
use super::startup;
use super::warn;

/// Returns true if stdout is a terminal that can show a screen; elsewhere one line an event is printed.
pub(super) fn has_screen() -> bool {
    let variable = |name: &str| std::env::var(name).ok();
    io::stdout().is_terminal() && !terminal::is_dumb(variable)
}

/// The beginning of a screen.
pub(super) struct Begin {
    /// The state that it shows first.
    pub(super) app: App,
    /// Keys that came before it was there.
    pub(super) typed: Vec<KeyEvent>,
}

/// Returns the screen of a session beside others.
pub(super) fn show_session(
    begin: Begin,
    session: &Session,
    others: &[Session],
    screen: ScreenOptions,
    settings: LateSettings,
) -> anyhow::Result<App> {
    let compared = others.iter().map(|other| other.snapshots.clone()).collect();
    let command = |command| session.command(command);
    let begin = Begin {
        app: begin.app.with_clock(SystemTime::now),
        ..begin
    };
    let snapshots = session.snapshots.clone();
    show(begin, snapshots, compared, screen, settings, command)
}

/// Shows the screen, until the user quits; then what was found, on the normal screen.
pub(super) fn show(
    Begin { mut app, typed }: Begin,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    compared: Vec<watch::Receiver<Arc<Snapshot>>>,
    screen: ScreenOptions,
    settings: LateSettings,
    command: impl Fn(Command),
) -> anyhow::Result<App> {
    if startup::is_first_time() {
        app.welcome();
    }
    for key in typed {
        let action = app.keymap().action(key);
        let asked = action.map_or_else(Vec::new, |action| app.update(action));
        asked.into_iter().for_each(&command);
    }
    let mut log = startup::open_log();
    let wishes = Wishes {
        mouse: screen.mouse,
        log: log.as_ref().and_then(|log| log.try_clone().ok()),
    };
    let mut appeared = None;
    let awaited = async { appeared = Some(settings.appear().await) };
    let apart = screen.apart();
    let shown = run(app, snapshots, compared, apart, wishes, command, awaited);
    let shown = super::runtime()?.block_on(shown);
    if let Some(appeared) = appeared {
        return Err(appeared.into());
    }
    if let (Some(log), Some(path)) = (&mut log, startup::log_path())
        // Nobody else writes to this handle, which every clone of it moves on.
        && log.stream_position()? > 0
    {
        let _ = warn::say(format_args!(
            "what stderr was told meanwhile is in {}",
            path.display()
        ));
    }
    let (app, end) = shown?;
    if let End::Signal(number) = end {
        return Err(Ended(number).into());
    }
    let sentence = summary::sentence(app.snapshot());
    writeln!(io::stdout(), "{}", visible::line(&sentence))?;
    Ok(app)
}
