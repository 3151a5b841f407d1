//! `isoloss watch`: the screen, or plain lines where there is none.

use std::io::{self, IsTerminal, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use crossterm::event::KeyEvent;

use crate::report::{lines, summary};
use crate::session::snapshot::Snapshot;
use crate::session::{Options, Session};
use crate::tui::app::App;
use crate::tui::invocation::Invocation;
use crate::tui::keymap::Keymap;
use crate::tui::run::{End, run};
use crate::tui::terminal::Wishes;
use crate::weights::recipe::BatchNorm;

use super::look::LookOptions;
use super::notice;
use super::options::{FidelityOption, KeyOption, MeasureOptions, ScreenOptions};
use super::startup;

/// A signal asked the process to end: nothing is said, and the exit code is that of a process which
/// the signal ended.
#[derive(Debug, thiserror::Error)]
#[error("ended by signal {0}")]
pub(super) struct Ended(pub(super) i32);

impl Ended {
    /// As shells report it.
    pub(super) fn code(&self) -> u8 {
        128_u8.saturating_add(self.0.try_into().unwrap_or(0))
    }
}

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Folder of the run; it need not be there yet
    run: PathBuf,
    /// Other runs, up to five, beside which it is shown (key 6)
    #[arg(num_args = 0..=5)]
    others: Vec<PathBuf>,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    measure: MeasureOptions,
    /// What becomes of batch norm's running statistics
    #[arg(long, env = "ISOLOSS_BN", value_enum, default_value = "frozen")]
    bn: BatchNorm,
    #[command(flatten)]
    fidelity: FidelityOption,
    #[command(flatten)]
    screen: ScreenOptions,
    #[command(flatten)]
    look: LookOptions,
}

impl Watch {
    pub(super) fn run(self, keymap: Keymap) -> anyhow::Result<()> {
        let setup = self.measure.setup()?;
        let chosen = self.look.choose()?;
        startup::be_nice();
        let options = |run| Options {
            run,
            key: self.key.key.clone(),
            setup: setup.clone(),
            batch_norm: self.bn,
            fidelity: self.fidelity.fidelity,
        };
        let start = |run| Session::start(options(run));
        let invocation = Invocation::of(&options(self.run.clone()), &self.others);
        let session = start(self.run)?;
        if io::stdout().is_terminal() {
            let others = self
                .others
                .into_iter()
                .map(start)
                .collect::<io::Result<Vec<_>>>()?;
            let (app, typed) = chosen.app();
            let app = app.with_keys(keymap).of(invocation);
            return show(app, &session, &others, self.screen, typed);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(print_lines(session, |_| false))?;
        Ok(())
    }
}

/// Prints one line an event until the session or the reader of the lines is gone, or `over` says so.
pub(super) async fn print_lines(
    mut session: Session,
    over: impl Fn(&Snapshot) -> bool,
) -> io::Result<Arc<Snapshot>> {
    let mut before = Arc::new(Snapshot::default());
    loop {
        let after = session.snapshots.borrow_and_update().clone();
        let mut stdout = io::stdout().lock();
        for line in lines::changes(&before, &after) {
            writeln!(stdout, "{line}")?;
        }
        stdout.flush()?;
        drop(stdout);
        if over(&after) {
            return Ok(after);
        }
        before = after;
        if session.snapshots.changed().await.is_err() {
            return Ok(before);
        }
    }
}

/// The screen, until the user quits; then what was found, on the normal screen.
pub(super) fn show(
    mut app: App,
    session: &Session,
    others: &[Session],
    screen: ScreenOptions,
    typed: Vec<KeyEvent>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let snapshots = session.snapshots.clone();
    let rivals = others.iter().map(|other| other.snapshots.clone()).collect();
    let command = |command| session.command(command);
    for key in typed {
        if let Some(action) = app.keymap().action(key) {
            app.update(action).into_iter().for_each(command);
        }
    }
    let mut log = startup::open_log();
    let wishes = Wishes {
        mouse: screen.mouse,
        log: log.as_ref().and_then(|log| log.try_clone().ok()),
    };
    let shown = run(app, snapshots, rivals, screen.apart(), wishes, command);
    let shown = runtime.block_on(shown);
    if let (Some(log), Some(path)) = (&mut log, startup::log_path())
        // Nobody else writes to this handle, which every clone of it moves on.
        && log.stream_position()? > 0
    {
        let _ = notice::say(format_args!(
            "what stderr was told meanwhile is in {}",
            path.display()
        ));
    }
    let (app, end) = shown?;
    match end {
        End::Quit => Ok(writeln!(
            io::stdout(),
            "{}",
            summary::sentence(app.snapshot())
        )?),
        End::Signal(number) => Err(Ended(number).into()),
    }
}
