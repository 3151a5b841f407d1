//! `isoloss worker`: measures for another isoloss, by lines on its standard input and output.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::cli::{limits, memory, startup};
use crate::landscape::worker::{serve_lines, yielding};
use crate::landscape::{Budget, Contest};

/// Measure for another isoloss, by JSON lines on standard input and output.
///
/// Commands that measure start one for each device, so that a device that fails, memory that
/// runs out or a fault in a driver costs a point and not the session. It speaks first:
///
///   {"hello": {"protocol": 1, "version": "0.1.0", "host": "node7"}}
///
/// Then it takes, a line each, `setup` (samples, model, device), `plan` (a plane and the
/// points on it) and `measure` (one of them), and answers each `measure` with one `found`
/// or `failed`. `forget` and `pause` are heeded between two products. A number that JSON
/// lacks is written by its bits, as {"f64": "7ff8000000000000"}.
///
/// It stands in a session of its own, at the priority that --budget leaves it, and ends
/// with its input. All else that it says goes to standard error.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Worker {
    /// Share of all cores, or of a GPU's time, that it may take: auto (what is idle), all, or a share such as 50%
    #[arg(long, default_value_t = Budget::Auto)]
    budget: Budget,
    /// Memory above which it ends, e.g. 4G; none by default
    #[arg(long, value_name = "SIZE", value_parser = memory::size)]
    memory_limit: Option<u64>,
    /// Compute on one core for a moment once a line comes, and print the seconds of it that it got
    #[arg(long, hide = true)]
    contest: Option<Side>,
}

/// A side of the contest by which `doctor` sees whether a worker yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    /// It steps back first.
    Polite,
    /// It does not.
    Ordinary,
}

/// Stack of the thread that measures: the graph of a deep network is taken down by recursion.
const STACK: usize = 64 << 20;
/// Time that the loops of a contest take: a scheduler's turns are a few milliseconds long.
const CONTEST: Duration = Duration::from_millis(300);
/// Contests at most, as long as other work takes of the core.
const CONTESTS: usize = 3;

impl Worker {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        yielding::leave_session();
        if let Some(side) = self.contest {
            return compete(side);
        }
        let output = own_stdout().context("the output cannot be kept apart")?;
        if let Some(niceness) = self.budget.niceness() {
            yielding::step_back(niceness);
        }
        if let Some(limit) = self.memory_limit {
            memory::watch(limit)?;
        }
        let (budget, memory) = (self.budget, self.memory_limit);
        limits::reserve(0, budget.threads(startup::threads()))?;
        let serve = move || serve_lines(io::stdin(), output, budget, memory, die);
        let thread = std::thread::Builder::new().name("worker".into());
        let served = thread.stack_size(STACK).spawn(serve)?.join();
        // Its panic was reported when it happened.
        served.unwrap_or_else(|_| std::process::exit(PANICKED))?;
        Ok(())
    }
}

/// Exit code of a process whose thread panicked, as the standard library has it.
const PANICKED: i32 = 101;

/// Waits for a line, computes, and prints the processor time that it got.
fn compete(side: Side) -> anyhow::Result<()> {
    if side == Side::Polite
        && let Some(niceness) = Budget::Auto.niceness()
    {
        yielding::step_back(niceness);
    }
    let mut stdout = io::stdout();
    writeln!(stdout, "ready")?;
    io::stdin().read_line(&mut String::new())?;
    Ok(writeln!(stdout, "{}", yielding::busy(CONTEST))?)
}

/// Lets a loop that steps back and one that does not compete for a core, again as long as other work takes of it; returns
/// the contest in which the two had most of it.
///
/// # Errors
/// A process cannot be started or says nothing.
pub(in crate::cli) fn contest() -> io::Result<Contest> {
    let mut best = contest_once()?;
    for _ in 1..CONTESTS {
        if best.is_alone() {
            break;
        }
        let next = contest_once()?;
        if next.of_core() > best.of_core() {
            best = next;
        }
    }
    Ok(best)
}

/// Lets the two compete once, each in a session of its own.
fn contest_once() -> io::Result<Contest> {
    let program = std::env::current_exe()?;
    let start = |side: &str| {
        let mut command = Command::new(&program);
        command.args(["worker", "--contest", side]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::null()).spawn()
    };
    let mut sides = [start("ordinary")?, start("polite")?];
    let outputs = sides.each_mut().map(|side| side.stdout.take());
    let mut outputs = outputs.map(|output| output.map(BufReader::new));
    let mut told = |index: usize| {
        let mut line = String::new();
        let output: &mut Option<_> = &mut outputs[index];
        let output = output.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        output.read_line(&mut line)?;
        Ok::<_, io::Error>(line)
    };
    // Neither begins before the other has stepped back.
    told(0).and(told(1))?;
    for side in &mut sides {
        side.stdin
            .take()
            .ok_or(io::ErrorKind::BrokenPipe)?
            .write_all(b"\n")?;
    }
    let mut seconds = |index| told(index)?.trim().parse().map_err(io::Error::other);
    let (ordinary, polite) = (seconds(0)?, seconds(1)?);
    for side in &mut sides {
        side.wait()?;
    }
    Ok(Contest {
        ordinary,
        polite,
        seconds: CONTEST.as_secs_f64(),
    })
}

/// Takes standard output for the answers alone: what a library prints goes to standard error from now on.
#[cfg(unix)]
fn own_stdout() -> io::Result<impl Write + Send + 'static> {
    use std::os::fd::AsFd;
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(std::fs::File::from(own))
}

#[cfg(not(unix))]
fn own_stdout() -> io::Result<impl Write + Send + 'static> {
    Ok(io::stdout())
}

/// Ends the process without a word: nobody waits for it, and what it is at may never end.
fn die() {
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpid, kill_process};
        let _ = kill_process(getpid(), Signal::KILL);
    }
    std::process::exit(0);
}
