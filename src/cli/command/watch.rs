//! `isoloss watch`: the screen, or plain lines where there is none.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use tokio::time::timeout;

use crate::cli::appearance::AppearanceOptions;
use crate::cli::exit::{Ended, asked_to_end};
use crate::cli::headless::HeadlessOptions;
use crate::cli::late_settings::{Appeared, LateSettings};
use crate::cli::options::{FidelityOption, KeepOption, KeyOption, MeasureOptions, ScreenOptions};
use crate::cli::outlet::Outlet;
use crate::cli::recording::{RecordOption, Recording, Target};
use crate::cli::runtime;
use crate::cli::screen::{has_screen, show_session};
use crate::cli::startup;
use crate::cli::warn;
use crate::landscape::Budget;
use crate::report::{Event, lines, visible};
use crate::run::followed;
use crate::session::{Options, Session, Snapshot};
use crate::tui::invocation::{self};
use crate::tui::{App, Invocation, Keymap};
use crate::weights::BatchNorm;

#[derive(Debug, Args)]
pub(in crate::cli) struct Watch {
    /// Folder of the run; it need not be there yet
    run: PathBuf,
    /// Other runs, up to five, beside which it is shown (key 6)
    #[arg(num_args = 0..=5)]
    others: Vec<PathBuf>,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    keep: KeepOption,
    #[command(flatten)]
    measure: MeasureOptions,
    /// Treatment of batch norm's running statistics
    #[arg(
        long,
        env = "ISOLOSS_BN",
        help_heading = "Plane",
        value_enum,
        default_value = "frozen"
    )]
    bn: BatchNorm,
    #[command(flatten)]
    fidelity: FidelityOption,
    #[command(flatten)]
    screen: ScreenOptions,
    #[command(flatten)]
    look: AppearanceOptions,
    #[command(flatten)]
    headless: HeadlessOptions,
    /// Without a screen: one JSON object a line for each event, for other programs (isoloss help events)
    #[arg(long, help_heading = "Output", conflicts_with = "out")]
    json: bool,
    #[command(flatten)]
    record: RecordOption,
}

impl Watch {
    /// Returns the same, recorded so.
    pub(in crate::cli) fn recorded(self, record: RecordOption) -> Self {
        Self { record, ..self }
    }

    /// Returns the sessions of the run and of those beside which it is shown.
    pub(in crate::cli) fn sessions(&self) -> usize {
        1 + self.others.len()
    }

    pub(in crate::cli) fn run(mut self, keymap: Keymap) -> anyhow::Result<()> {
        self.run = followed(self.run);
        self.others = self.others.into_iter().map(followed).collect();
        let setup = self.measure.setup()?;
        for run in std::iter::once(&self.run).chain(&self.others) {
            self.headless.check(run)?;
            self.record.check(run)?;
        }
        let keeper = self.headless.keeper(&self.run)?;
        let target = self.record.open()?;
        let runs = std::iter::once(&self.run).chain(&self.others);
        let runs: Vec<&Path> = runs.map(PathBuf::as_path).collect();
        let hosting = self.measure.hosting.hosting(Budget::Auto, &runs)?;
        startup::be_nice();
        self.measure.hosting.step_back();
        let options = |run: PathBuf| Options {
            hosting: hosting.clone(),
            run,
            choice: self.key.choice(),
            keep: self.keep.keep,
            disk_only: self.key.disk_only,
            setup: setup.clone(),
            batch_norm: self.bn,
            fidelity: self.fidelity.fidelity,
        };
        let start = |run| Session::start(options(run));
        let invocation = Invocation::of(&options(self.run.clone()), &self.others);
        let settings = if target.is_some() {
            // A recording goes on to its end.
            LateSettings::none()
        } else {
            LateSettings::of(&self.run, &self.measure)
        };
        // A recording is brought to its end, and an evaluator ended.
        let finish = target.is_some() || setup.evaluator.is_some();
        let session = start(self.run)?;
        let record = |target: Target| target.start(session.snapshots.clone());
        let recording = target.map(record).transpose()?;
        let shown = if let Some(keeper) = keeper {
            let snapshots = session.snapshots.clone();
            let begin = self.look.choose_for_files().begin(keymap, invocation);
            runtime()?.block_on(async {
                tokio::select! {
                    () = self.headless.keep(keeper, begin.app, snapshots) => Ok(()),
                    appeared = settings.appear() => Err(appeared.into()),
                }
            })
        } else if has_screen() && !self.headless.headless && !self.json {
            let others = self.others.into_iter().map(start);
            let others = others.collect::<io::Result<Vec<_>>>()?;
            let begin = self.look.choose().begin(keymap, invocation);
            show_session(begin, &session, &others, self.screen, settings)
                .and_then(|app| say_how_to_resume(&app))
        } else {
            runtime()?.block_on(async {
                tokio::select! {
                    printed = print_until_asked(&session, finish, self.json) => printed,
                    appeared = settings.appear() => Err(appeared.into()),
                }
            })
        };
        if let Err(error) = &shown
            && error.is::<Appeared>()
        {
            warn::say(format_args!("{error}, starting again with it"))?;
            return Ok(startup::start_again([])?);
        }
        // However the screen or the pipe ended, what was recorded is whole.
        recording.map_or(Ok(()), Recording::finish)?;
        shown
    }
}

/// Prints one line an event. Where there is something to finish, or a program that waits for the last event, a signal
/// ends it in order.
async fn print_until_asked(session: &Session, finish: bool, json: bool) -> anyhow::Result<()> {
    let outlet = Outlet::start()?;
    let signal = tokio::select! {
        printed = print_lines(session, &outlet, json, |_| false) => {
            printed?;
            None
        }
        number = asked_to_end(), if finish || json => Some(number),
    };
    if json {
        let last = [Event::ended(signal).json(now())];
        // A reader that does not read holds up no end.
        let _ = timeout(LAST_WORD, outlet.print(&last)).await;
    }
    signal.map_or(Ok(()), |number| Err(Ended(number).into()))
}

/// Returns the seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Says by which command the same is watched again.
fn say_how_to_resume(app: &App) -> anyhow::Result<()> {
    let again = invocation::shell(&app.invocation().watch());
    Ok(writeln!(
        io::stdout(),
        "Watch it again: {}",
        visible::line(&again)
    )?)
}

/// Prints one line an event until the session or the reader of the lines is gone, or `over` says so.
pub(in crate::cli) async fn print_lines(
    session: &Session,
    outlet: &Outlet,
    json: bool,
    over: impl Fn(&Snapshot) -> bool,
) -> io::Result<Arc<Snapshot>> {
    let mut snapshots = session.snapshots.clone();
    let mut before = Arc::new(Snapshot::default());
    loop {
        let after = snapshots.borrow_and_update().clone();
        let new = if json {
            let events = lines::events(&before, &after).into_iter();
            events.map(|event| event.json(now())).collect()
        } else {
            lines::changes(&before, &after)
        };
        if !new.is_empty() {
            outlet.print(&new).await?;
        }
        if over(&after) {
            return Ok(after);
        }
        before = after;
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return Ok(before);
                }
            }
            () = nobody_reads() => return Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Time that the last event has to be taken.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Time between two checks that the lines still have a reader.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until the pipe on stdout has lost its reader: a run at rest prints no line that would tell.
async fn nobody_reads() {
    while has_reader() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(unix)]
fn has_reader() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = io::stdout();
    let mut pipe = [PollFd::new(&stdout, PollFlags::empty())];
    // A pipe without a reader is an error of its writing end; whatever cannot be asked is written to.
    let asked = poll(&mut pipe, Some(&Timespec::default()));
    asked.is_err() || !pipe[0].revents().contains(PollFlags::ERR)
}

#[cfg(not(unix))]
fn has_reader() -> bool {
    true
}
