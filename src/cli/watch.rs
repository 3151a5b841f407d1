//! `isoloss watch`: the screen, or plain lines where there is none.

use std::io::{self, IsTerminal, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use crate::report::{lines, summary};
use crate::session::snapshot::{Command, Snapshot};
use crate::session::{Options, Session};
use crate::tui::app::{App, Look};
use crate::tui::invocation::Invocation;
use crate::tui::keymap::Keymap;
use crate::tui::run::{End, run};
use crate::tui::terminal::Wishes;
use crate::tui::theme::ThemeName;
use crate::weights::recipe::BatchNorm;

use super::ending::{Ended, asked_to_end};
use super::headless::HeadlessOptions;
use super::notice;
use super::options::{FidelityOption, KeyOption, MeasureOptions, ScreenOptions};
use super::record::{RecordOption, Recording, Target};
use super::startup;

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
    headless: HeadlessOptions,
    #[command(flatten)]
    record: RecordOption,
}

impl Watch {
    pub(super) fn run(self, keymap: Keymap) -> anyhow::Result<()> {
        let setup = self.measure.setup()?;
        for run in std::iter::once(&self.run).chain(&self.others) {
            self.headless.check(run)?;
            self.record.check(run)?;
        }
        let keeper = self.headless.keeper(&self.run)?;
        let target = self.record.open()?;
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
        let record = |target: Target| target.start(session.snapshots.clone());
        let recording = target.map(record).transpose()?;
        let shown = if let Some(keeper) = keeper {
            let snapshots = session.snapshots.clone();
            runtime()?.block_on(self.headless.keep(keeper, snapshots));
            Ok(())
        } else if io::stdout().is_terminal() && !self.headless.headless {
            let others = self.others.into_iter().map(start);
            let others = others.collect::<io::Result<Vec<_>>>()?;
            let app = App::new(look()).with_keys(keymap).of(invocation);
            show_session(app, &session, &others, self.screen)
        } else {
            runtime()?.block_on(print_until_asked(&session, recording.is_some()))
        };
        // However the screen or the pipe ended, what was recorded is whole.
        recording.map_or(Ok(()), Recording::finish)?;
        shown
    }
}

/// One line an event. Where there is something to finish, a signal ends it in order.
async fn print_until_asked(session: &Session, finish: bool) -> anyhow::Result<()> {
    tokio::select! {
        printed = print_lines(session, |_| false) => Ok(printed.map(drop)?),
        number = asked_to_end(), if finish => Err(Ended(number).into()),
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Prints one line an event until the session or the reader of the lines is gone, or `over` says so.
pub(super) async fn print_lines(
    session: &Session,
    over: impl Fn(&Snapshot) -> bool,
) -> io::Result<Arc<Snapshot>> {
    let mut snapshots = session.snapshots.clone();
    let mut before = Arc::new(Snapshot::default());
    loop {
        let after = snapshots.borrow_and_update().clone();
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
        if snapshots.changed().await.is_err() {
            return Ok(before);
        }
    }
}

/// The screen of a session beside others.
pub(super) fn show_session(
    app: App,
    session: &Session,
    others: &[Session],
    screen: ScreenOptions,
) -> anyhow::Result<()> {
    let rivals = others.iter().map(|other| other.snapshots.clone()).collect();
    let command = |command| session.command(command);
    show(app, session.snapshots.clone(), rivals, screen, command)
}

/// The screen, until the user quits; then what was found, on the normal screen.
pub(super) fn show(
    app: App,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    rivals: Vec<watch::Receiver<Arc<Snapshot>>>,
    screen: ScreenOptions,
    command: impl Fn(Command),
) -> anyhow::Result<()> {
    let mut log = startup::open_log();
    let wishes = Wishes {
        mouse: screen.mouse,
        log: log.as_ref().and_then(|log| log.try_clone().ok()),
    };
    let shown = run(app, snapshots, rivals, screen.apart(), wishes, command);
    let shown = runtime()?.block_on(shown);
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

/// How the screen begins.
pub(super) fn look() -> Look {
    Look {
        theme: ThemeName::from_environment(),
        ..Look::default()
    }
}
