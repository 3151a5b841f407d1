//! An evaluator that is kept running: its introduction, planes, points, and a new start when it fails.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::data::{Count, Split};
use crate::loss::{Measure, Score};
use crate::weights::{Layout, Plane};

use super::files::{SentPlane, SentWeights, sweep_memory};
use super::message::{
    EvaluatorAnswer, EvaluatorRequest, Hello, PlaneFilesMessage, PointMessage, Ready,
    WeightsMessage,
};
use super::process::{Process, Silence, Stop, shortened};
use super::{EvaluatorError, EvaluatorOptions, PROTOCOL};

/// Multiple of the usual time for the first answer of a process, because it loads data and compiles.
const FIRST: u32 = 10;
/// Longest time between an end and the next start.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Ends at a point after which it is given up.
const ENDS: u32 = 2;

/// Takes a sentence about an end, for a banner or stderr.
pub type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// An evaluator, started when it is first needed and again when it fails.
pub struct Connection {
    options: EvaluatorOptions,
    device: String,
    checkpoint: PathBuf,
    tell: Tell,
    stop: Stop,
    state: Mutex<State>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    /// The introduction of the first process.
    ready: Option<Ready>,
    /// Number that was given last.
    last_id: u64,
    /// Ends since the last answer.
    ends: u32,
    /// Earliest time of the next start.
    not_before: Option<Instant>,
    /// Time for which answers to points were waited.
    answering: Duration,
}

/// A process that has said it is ready.
#[derive(Debug)]
struct Running {
    process: Process,
    /// The plane that it holds.
    plane: Option<u64>,
    has_answered: bool,
}

/// Reasons why a process gave no answer.
enum Failure {
    /// It is to be started again; the clause says what it did.
    Ended(String),
    /// A new start would not help.
    Final(EvaluatorError),
}

/// Weights at which the loss is wanted.
enum WeightsPlace<'a> {
    OnPlane(&'a SentPlane, [f64; 2]),
    Weights(&'a Path),
}

impl Connection {
    /// Describes an evaluator; `device` is that of `--device`, `checkpoint` the newest one.
    #[must_use]
    pub fn new(options: EvaluatorOptions, device: String, checkpoint: PathBuf, tell: Tell) -> Self {
        Self {
            options,
            device,
            checkpoint,
            tell,
            stop: Stop::default(),
            state: Mutex::default(),
        }
    }

    /// Returns the same, which ends when a sign is given.
    #[must_use]
    pub fn with_stop(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the program if it does not run, and waits until it is ready.
    ///
    /// # Errors
    /// It does not start, ends before it is ready, or speaks another protocol.
    pub fn open(&self) -> Result<(), EvaluatorError> {
        let mut state = self.state();
        match self.running(&mut state) {
            Ok(_) => Ok(()),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Ended(why)) => Err(self.not_ready(why)),
        }
    }

    fn unstarted(&self, error: &std::io::Error) -> String {
        let program = self.options.command.words().first();
        let program = program.map_or("", String::as_str);
        let hint = if program.contains('=') {
            "; no shell runs it, `env NAME=VALUE …` sets a variable"
        } else {
            ""
        };
        format!("{program} cannot be started: {error}{hint}")
    }

    fn not_ready(&self, why: String) -> EvaluatorError {
        EvaluatorError::NotReady {
            command: self.options.command.clone(),
            why,
        }
    }

    /// Returns the number of samples of a split, as the evaluator told it.
    ///
    /// # Errors
    /// The evaluator is not open, or has no such samples.
    pub fn samples(&self, split: Split) -> Result<usize, EvaluatorError> {
        let state = self.state();
        let known = state.ready.as_ref().map(|ready| &ready.samples);
        let name = split.name();
        let own = known.and_then(|known| known.get(name)).copied();
        let own = own.filter(|own| *own > 0);
        own.ok_or_else(|| {
            let known = known.into_iter().flatten().filter(|(_, count)| **count > 0);
            let names = known.map(|(name, _)| name.clone());
            let names: Vec<String> = names.collect();
            EvaluatorError::NoSplit {
                command: self.options.command.clone(),
                split: name,
                known: shortened(&names.join(", ")),
            }
        })
    }

    /// Returns the score beside the loss; `None` if there is none, or isoloss does not know it.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        let state = self.state();
        let name = state.ready.as_ref()?.score.as_deref()?;
        of_score(name)
    }

    /// Returns the device that the evaluator says it measures on.
    #[must_use]
    pub fn device(&self) -> String {
        let state = self.state();
        let device = state.ready.as_ref().map(|ready| shortened(&ready.device));
        device
            .filter(|device| !device.is_empty())
            .unwrap_or_else(|| "evaluator".into())
    }

    /// Returns the time for which answers to points were waited so far, without starts and planes.
    #[must_use]
    pub fn answering(&self) -> Duration {
        self.state().answering
    }

    /// Returns the options that it was made of.
    #[must_use]
    pub fn options(&self) -> &EvaluatorOptions {
        &self.options
    }

    /// Writes a plane for the evaluator, which takes it when a point of it is measured.
    ///
    /// # Errors
    /// There is no room for its files.
    pub fn plane(&self, plane: &Plane) -> Result<SentPlane, EvaluatorError> {
        let id = self.state().new_id();
        SentPlane::write(plane, id, &self.checkpoint).map_err(|source| self.no_file(source))
    }

    fn no_file(&self, source: std::io::Error) -> EvaluatorError {
        EvaluatorError::Files {
            command: self.options.command.clone(),
            source,
        }
    }

    /// Measures θ* + α·dx + β·dy on the first `samples` of a split.
    ///
    /// # Errors
    /// The evaluator has no loss there, fails there twice, or cannot be started.
    pub fn measure_on_plane(
        &self,
        plane: &SentPlane,
        at: [f64; 2],
        split: Split,
        samples: usize,
    ) -> Result<Measure, EvaluatorError> {
        self.ask(&WeightsPlace::OnPlane(plane, at), split, samples)
    }

    /// Measures weights that lie in memory.
    ///
    /// # Errors
    /// As [`Connection::measure_on_plane`], or there is no room for their file.
    pub fn measure_weights(
        &self,
        layout: &Arc<Layout>,
        flat: &[f32],
        split: Split,
        samples: usize,
    ) -> Result<Measure, EvaluatorError> {
        let sent = SentWeights::write(layout, flat).map_err(|source| self.no_file(source))?;
        self.ask(&WeightsPlace::Weights(&sent.file()), split, samples)
    }

    /// Asks until there is an answer, or the point has ended the program twice.
    fn ask(
        &self,
        place: &WeightsPlace<'_>,
        split: Split,
        samples: usize,
    ) -> Result<Measure, EvaluatorError> {
        let mut state = self.state();
        let mut time = 0;
        loop {
            time += 1;
            let why = match self.try_to_ask(&mut state, place, split, samples) {
                Ok(measure) => {
                    state.ends = 0;
                    return Ok(measure);
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Ended(why)) => why,
            };
            let wait = state.end();
            if self.stop.is_given() {
                return Err(self.no_loss(place, &format!("it was stopped: {why}")));
            }
            if time == ENDS {
                return Err(self.no_loss(place, &format!("it ended twice there: {why}")));
            }
            (self.tell)(format!(
                "evaluator {}: {why}; it is started again in {} s",
                self.options.command,
                wait.as_secs()
            ));
        }
    }

    fn no_loss(&self, place: &WeightsPlace<'_>, why: &str) -> EvaluatorError {
        let place = match place {
            WeightsPlace::OnPlane(_, [alpha, beta]) => format!("at ({alpha:.3}, {beta:.3})"),
            WeightsPlace::Weights(_) => "at a checkpoint or average".into(),
        };
        EvaluatorError::Point {
            command: self.options.command.clone(),
            why: format!("no loss {place}: {why}"),
        }
    }

    fn try_to_ask(
        &self,
        state: &mut State,
        place: &WeightsPlace<'_>,
        split: Split,
        samples: usize,
    ) -> Result<Measure, Failure> {
        let id = state.new_id();
        let split = split.name();
        let usual = self.options.timeout;
        let running = self.running(state)?;
        let timeout = if running.has_answered {
            usual
        } else {
            usual * FIRST
        };
        if let WeightsPlace::OnPlane(plane, _) = place {
            running.hold(plane, timeout)?;
        }
        running.process.say(&match place {
            WeightsPlace::OnPlane(plane, at) => EvaluatorRequest::Measure(PointMessage {
                id,
                plane: plane.id,
                at: *at,
                split,
                samples,
            }),
            WeightsPlace::Weights(file) => EvaluatorRequest::Weights(WeightsMessage {
                id,
                file,
                split,
                samples,
            }),
        });
        let asked = Instant::now();
        let answer = running.answer(timeout)?;
        running.has_answered = true;
        state.answering += asked.elapsed();
        match answer {
            EvaluatorAnswer::Measured {
                id: own,
                loss,
                score,
            } if own == id => Ok(Measure { loss, score }),
            EvaluatorAnswer::Failed { id: own, why } if own == id => {
                let why = if why.is_empty() {
                    "no reason was given"
                } else {
                    &why
                };
                Err(Failure::Final(self.no_loss(place, &shortened(why))))
            }
            _ => Err(Failure::Ended(format!(
                "it answered another question than {id}"
            ))),
        }
    }

    /// Returns the running process, started if there is none.
    fn running<'a>(&self, state: &'a mut State) -> Result<&'a mut Running, Failure> {
        if state.running.is_none() {
            if let Some(not_before) = state.not_before.take() {
                self.stop.sleep_until(not_before);
            }
            let (process, ready) = self.start()?;
            if state.ready.is_none() {
                self.tell_unknown_score(&ready);
                state.ready = Some(ready);
            }
            state.running = Some(Running {
                process,
                plane: None,
                has_answered: false,
            });
        }
        match &mut state.running {
            Some(running) => Ok(running),
            None => Err(Failure::Ended("it does not run".into())),
        }
    }

    /// Says that a score is left out which isoloss has no scale for.
    fn tell_unknown_score(&self, ready: &Ready) {
        if let Some(name) = ready
            .score
            .as_deref()
            .filter(|name| of_score(name).is_none())
        {
            let keys = Score::ALL.map(Score::key).join(", ");
            let (command, name) = (&self.options.command, shortened(name));
            (self.tell)(format!(
                "evaluator {command}: the score {name} is left out, expected one of {keys}"
            ));
        }
    }

    /// Starts the program and greets it; lines before its answer are those of launchers.
    fn start(&self) -> Result<(Process, Ready), Failure> {
        sweep_memory();
        let process = Process::start(&self.options.command, self.stop.clone());
        let mut process =
            process.map_err(|error| Failure::Final(self.not_ready(self.unstarted(&error))))?;
        let folder = self.checkpoint.parent().unwrap_or(Path::new(""));
        process.say(&EvaluatorRequest::Hello(Hello {
            protocol: PROTOCOL,
            isoloss: env!("CARGO_PKG_VERSION"),
            run: folder,
            checkpoint: &self.checkpoint,
            samples: match self.options.samples {
                Count::At(count) => Some(count),
                Count::All => None,
            },
            seed: self.options.seed,
            device: &self.device,
        }));
        let until = Instant::now() + self.options.timeout * FIRST;
        let late = || {
            let time = (self.options.timeout * FIRST).as_secs_f64();
            Failure::Ended(format!("it was not ready after {time} s"))
        };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            let line = process.line(left).map_err(|silence| match silence {
                Silence::Late => late(),
                Silence::Ended(why) => Failure::Ended(format!("not ready: {why}")),
            })?;
            if EvaluatorAnswer::is_malformed_greeting(&line) {
                return Err(Failure::Final(self.not_ready(format!(
                    "expected {{\"ready\": {{\"protocol\": {PROTOCOL}, \"samples\": {{\"train\": 1024}}}}}}, found {}",
                    shortened(&line)
                ))));
            }
            if let Some(EvaluatorAnswer::Ready(ready)) = EvaluatorAnswer::of(&line) {
                return if ready.protocol == PROTOCOL {
                    Ok((process, ready))
                } else {
                    Err(Failure::Final(EvaluatorError::Protocol {
                        command: self.options.command.clone(),
                        theirs: ready.protocol,
                    }))
                };
            }
        }
    }
}

/// Returns the score of this name in files and protocols.
fn of_score(name: &str) -> Option<Score> {
    Score::ALL.into_iter().find(|score| score.key() == name)
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Kills what runs, and returns the time until the next start: 1, 2, 4 … 60 s.
    fn end(&mut self) -> Duration {
        if let Some(mut running) = self.running.take() {
            running.process.kill();
        }
        let seconds = 1u64.checked_shl(self.ends).unwrap_or(u64::MAX);
        self.ends += 1;
        let wait = Duration::from_secs(seconds).min(LONGEST_WAIT);
        self.not_before = Some(Instant::now() + wait);
        wait
    }
}

impl Running {
    /// Has the process take a plane, where it holds another one.
    fn hold(&mut self, plane: &SentPlane, timeout: Duration) -> Result<(), Failure> {
        if self.plane == Some(plane.id) {
            return Ok(());
        }
        self.process
            .say(&EvaluatorRequest::Plane(PlaneFilesMessage {
                id: plane.id,
                checkpoint: &plane.checkpoint,
                origin: &plane.file("origin"),
                x: &plane.file("x"),
                y: &plane.file("y"),
            }));
        match self.answer(timeout)? {
            EvaluatorAnswer::Plane(id) if id == plane.id => {
                self.plane = Some(id);
                Ok(())
            }
            _ => Err(Failure::Ended(format!(
                "it answered something else to plane {}",
                plane.id
            ))),
        }
    }

    fn answer(&mut self, timeout: Duration) -> Result<EvaluatorAnswer, Failure> {
        let line = self
            .process
            .line(timeout)
            .map_err(|silence| match silence {
                Silence::Late => {
                    Failure::Ended(format!("no answer in {} s", timeout.as_secs_f64()))
                }
                Silence::Ended(why) => Failure::Ended(why),
            })?;
        let wrong = || {
            Failure::Ended(format!(
                "it wrote a line that is no answer: {}",
                shortened(&line)
            ))
        };
        EvaluatorAnswer::of(&line).ok_or_else(wrong)
    }
}

#[cfg(all(test, unix))]
mod tests;
