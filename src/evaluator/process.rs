//! A program as a child process, the user's evaluator or a worker: lines to its stdin, lines from its stdout, its stderr
//! in the log.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::EvaluatorCommand;
use crate::brief::brief;

/// Bytes of a line at most.
const LONGEST: u64 = 1 << 20;
/// Most characters of a program's own words in a sentence.
const TOLD: usize = 240;
/// Lines of stderr that are kept for the sentence about an end.
const LAST_LINES: usize = 8;
/// Lines that may wait to be read; a program that writes more waits itself.
const WAITING: usize = 64;
/// Time that a program has to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(2);
/// The same where the user is waiting for the end.
const SHORT_GRACE: Duration = Duration::from_millis(400);
/// Time between two looks for whether all is over, while an answer is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time for the last lines of stderr to arrive once stdout is closed.
const LINGER: Duration = Duration::from_millis(300);

/// A running program. Dropping it asks it to end, and kills it with all that it has started if it does not.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    spoken: Spoken,
    /// `None` once it was closed.
    stdin: Option<ChildStdin>,
    lines: Receiver<io::Result<String>>,
    stderr: Stderr,
    stop: Stop,
}

/// The manner in which a program is spoken to.
#[derive(Debug)]
pub(crate) struct Spoken {
    /// Its name in the log.
    pub(crate) name: &'static str,
    /// The line that asks it to end, where the end of its input alone does not.
    pub(crate) farewell: Option<String>,
}

/// The sign that nobody waits for answers any more.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Gives the sign.
    pub fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns true once it was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps until a time, or until the sign is given.
    pub(crate) fn sleep_until(&self, until: Instant) {
        while !self.is_given() && Instant::now() < until {
            thread::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

/// Reasons why no line came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing was said in time.
    Late,
    /// The program has ended or cannot be read; one sentence says how.
    Ended(String),
}

impl Process {
    /// Starts the program in the working directory.
    pub(super) fn start(command: &EvaluatorCommand, stop: Stop) -> io::Result<Self> {
        let [program, arguments @ ..] = command.words() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut command = Command::new(program);
        command.args(arguments);
        // A group of its own is killed whole, and Ctrl-C at the terminal is isoloss's alone.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let spoken = Spoken {
            name: "evaluator",
            farewell: serde_json::to_string(&super::message::EvaluatorRequest::Stop {}).ok(),
        };
        Self::spawn(command, spoken, stop)
    }

    /// Starts a program whose input, output and errors are pipes.
    pub(crate) fn spawn(mut command: Command, spoken: Spoken, stop: Stop) -> io::Result<Self> {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let errors = child.stderr.take();
        let (send, lines) = sync_channel(WAITING);
        // From here on the program is ended where an error is returned.
        let mut process = Self {
            child,
            spoken,
            stdin,
            lines,
            stderr: Stderr::default(),
            stop,
        };
        let name = process.spoken.name;
        if let Some(stdout) = stdout {
            let read = move || pass_lines(stdout, &send);
            thread::Builder::new().name(name.into()).spawn(read)?;
        }
        process.stderr = Stderr::follow(errors, name)?;
        Ok(process)
    }

    /// Says a line to the program; one that has ended is found out when its answer is waited for.
    pub(super) fn say(&mut self, message: &impl Serialize) {
        if let Ok(line) = serde_json::to_string(message) {
            self.write(&line);
        }
    }

    /// Writes a line to the program, which is given without its end.
    pub(crate) fn write(&mut self, line: &str) {
        let line = format!("{line}\n");
        if let Some(stdin) = &mut self.stdin {
            let written = stdin.write_all(line.as_bytes());
            if written.and_then(|()| stdin.flush()).is_err() {
                self.stdin = None;
            }
        }
    }

    /// Returns the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its exit status; `None` if it has not ended.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Returns the last line of its errors, once all of them have come or enough time has passed.
    pub(crate) fn last_line(&self) -> Option<String> {
        self.stderr.last_line()
    }

    /// Waits for the next line.
    pub(crate) fn line(&mut self, timeout: Duration) -> Result<String, Silence> {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left.min(LOOK_EVERY)) {
                Ok(Ok(line)) => return Ok(line),
                Ok(Err(error)) => return Err(Silence::Ended(error.to_string())),
                Err(RecvTimeoutError::Disconnected) => return Err(Silence::Ended(self.end())),
                Err(RecvTimeoutError::Timeout) if self.stop.is_given() => {
                    return Err(Silence::Ended("nobody waits for it any more".into()));
                }
                Err(RecvTimeoutError::Timeout) if left <= LOOK_EVERY => return Err(Silence::Late),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Says how the program has ended, with its last words.
    fn end(&mut self) -> String {
        self.stdin = None;
        let status = self.wait(GRACE);
        if status.is_none() {
            self.kill();
        }
        let how = status.map_or_else(
            || "it closed its stdout".to_owned(),
            |status| format!("it ended ({status})"),
        );
        match self.stderr.last_line() {
            Some(last) => format!("{how}: {last}"),
            None => how,
        }
    }

    /// Waits until the program has ended; `None` if it has not in time.
    fn wait(&mut self, at_most: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if begin.elapsed() >= at_most {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the program and all that it has started.
    pub(crate) fn kill(&mut self) {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process_group};
            if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(farewell) = self.spoken.farewell.take() {
            self.write(&farewell);
        }
        self.stdin = None;
        let grace = if self.stop.is_given() {
            SHORT_GRACE
        } else {
            GRACE
        };
        self.wait(grace);
        // What it has started may live on where it does not.
        self.kill();
    }
}

/// Passes lines on until the program has ended or nobody waits for them; a line without an end is an error.
fn pass_lines(stdout: impl Read, send: &SyncSender<io::Result<String>>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(LONGEST).read_until(b'\n', &mut line);
        let passed = match read {
            Ok(0) => return,
            Ok(_) if line.len() as u64 == LONGEST && line.last() != Some(&b'\n') => {
                Err(io::Error::other("it wrote a line of more than 1 MiB"))
            }
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim().to_owned()),
            Err(error) => Err(error),
        };
        let is_over = passed.is_err();
        if send.send(passed).is_err() || is_over {
            return;
        }
    }
}

/// The program's stderr: each line goes to the log, the last ones are kept.
#[derive(Debug, Default)]
struct Stderr {
    last: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stderr {
    fn follow(stderr: Option<impl Read + Send + 'static>, name: &'static str) -> io::Result<Self> {
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&last);
        let follow = move |stderr| {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while let Ok(1..) = (&mut reader).take(LONGEST).read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                line.clear();
                if text.is_empty() {
                    continue;
                }
                tracing::info!("{name}: {text}");
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(shortened(&text));
                if kept.len() > LAST_LINES {
                    kept.pop_front();
                }
            }
        };
        let thread = thread::Builder::new().name(format!("{name} stderr"));
        let reader = stderr.map(|stderr| thread.spawn(move || follow(stderr)));
        Ok(Self {
            last,
            reader: reader.transpose()?,
        })
    }

    /// Returns the last line, once all of them have come or enough time has passed.
    fn last_line(&self) -> Option<String> {
        let begin = Instant::now();
        let is_open = |reader: &JoinHandle<()>| !reader.is_finished();
        while self.reader.as_ref().is_some_and(is_open) && begin.elapsed() < LINGER {
            thread::sleep(Duration::from_millis(5));
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.back().cloned()
    }
}

/// Returns a program's own words, cut to what a sentence has room for.
pub(crate) fn shortened(text: &str) -> String {
    brief(text, TOLD).into_owned()
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn is_there(process: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    fn process(script: &str) -> Process {
        let command = format!("sh -c {}", shlex::try_quote(script).unwrap());
        Process::start(&command.parse().unwrap(), Stop::default()).unwrap()
    }

    #[test]
    fn an_end_is_told_with_the_last_words() {
        let mut process = process("echo one; echo trouble >&2; echo no memory >&2; exit 3");
        assert_eq!(process.line(SOON).as_deref(), Ok("one"));
        let end = Silence::Ended("it ended (exit status: 3): no memory".into());
        assert_eq!(process.line(SOON), Err(end));
    }

    #[test]
    fn a_silent_program_is_late_and_killed_with_its_children() {
        let mut process = process("sleep 600 & echo $!; wait");
        let child: u32 = process.line(SOON).unwrap().parse().unwrap();
        let late = process.line(Duration::from_millis(20));
        assert_eq!(late, Err(Silence::Late));
        process.kill();
        // The kernel may take a moment to remove it.
        let begin = Instant::now();
        while is_there(child) && begin.elapsed() < SOON {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!is_there(child));
    }

    #[test]
    fn nobody_waits_once_the_sign_is_given_and_children_end_too() {
        let mut process = process("sleep 600 & echo $!; trap '' TERM; sleep 600");
        let child: u32 = process.line(SOON).unwrap().parse().unwrap();
        process.stop.give();
        let begin = Instant::now();
        let said = process.line(Duration::from_secs(600));
        assert_eq!(
            said,
            Err(Silence::Ended("nobody waits for it any more".into()))
        );
        drop(process);
        assert!(begin.elapsed() < SOON);
        while is_there(child) && begin.elapsed() < SOON {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!is_there(child));
    }

    #[test]
    fn a_line_without_an_end_is_an_error() {
        let mut process = process("yes | tr -d '\\n'");
        let said = process.line(SOON);
        let end = Silence::Ended("it wrote a line of more than 1 MiB".into());
        assert_eq!(said, Err(end));
    }
}
