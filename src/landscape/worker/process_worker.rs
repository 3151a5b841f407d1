//! Answers the queries of a plan by a process of its own (`isoloss worker`), started anew when it dies.

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::evaluator::process::shortened;
use crate::evaluator::{Process, Silence, Stop, Tell};
use crate::host;

use super::super::{Fault, LandscapeError};
use super::Worker;
use super::budget::Budget;
use super::cost::Metered;
use super::ending::how_it_ended;
use super::gpu_room::{Advice, GpuRoom};
use super::gpu_turns::GpuTurns;
use super::launch::Launch;
use super::lookahead::Quickest;
use super::nvidia::Room;
use super::protocol::{Setup, TimedValue, WorkerEvent};
use super::queue::Task;
use super::recall::sees_files;
use super::running::{Failure, Running, no_answer, say};
use super::waiting::{Waiting, Wish};
use super::wire::{Loaded, PROTOCOL, WorkerAnswer, WorkerOrder, message};
use crate::landscape::device::Place;

/// Deaths at a query after which it is given up.
const DEATHS: u32 = 2;
/// The option that a worker names which ends because it took more memory than it may.
const MEMORY_LIMIT: &str = "--memory-limit";
/// Starts in a row that may fail.
const STARTS: u32 = 5;
/// Longest time between a death and the next start.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Time between two looks at whether the query is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time after which a query that has taken longer than any before may hang in a driver.
const LONGEST_QUERY: Duration = Duration::from_secs(30 * 60);
/// Time without a line after which a worker is reported as silent, because it says every second that it lives.
const TOLD_AFTER: Duration = Duration::from_secs(10);
/// Multiple of the longest query so far up to which another may take.
const SLOWER: u32 = 20;
/// Samples at once that are halved where the worker died before it told its own number.
const USUAL_BATCH: usize = 64;

/// Lines that a launcher may write before the worker's hello.
const LONGEST_BANNER: usize = 1000;

/// The facts that a worker tells of itself once its device is open.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Opened {
    /// The device, and its machine where that is another one.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) data: Loaded,
}

/// A process that measures on one device.
pub(super) struct ProcessWorker {
    launch: Launch,
    setup: Setup,
    place: Place,
    /// The machine that it is on; `None` if that is this one.
    host: Option<String>,
    tell: Tell,
    stop: Stop,
    running: Option<Running>,
    /// Samples at once, as the worker told it last.
    batch: Option<usize>,
    /// Deaths since the last answer.
    deaths: u32,
    /// Longest time of an answer so far.
    longest: Duration,
    quickest: Quickest,
    last_id: u64,
    findings: Vec<WorkerEvent>,
    /// Tells who reads the cost which process it is.
    metered: Arc<Metered>,
    /// The GPU that it measures on, or that it left because others need its memory.
    gpu: Option<Place>,
    room: GpuRoom,
    turns: GpuTurns,
    budget: Budget,
    /// Samples at once that were asked for at the start.
    asked: Option<usize>,
}

impl ProcessWorker {
    /// Describes a worker for one device of a setup; `tell` takes a sentence about each of its deaths.
    pub(super) fn new(
        launch: Launch,
        setup: &Setup,
        place: Place,
        tell: Tell,
        stop: Stop,
        metered: Arc<Metered>,
        budget: Budget,
    ) -> Self {
        Self {
            launch,
            setup: Setup {
                devices: vec![place],
                // A launcher may start it in another one. A name that is not Unicode cannot be passed on.
                folder: env::current_dir().ok().filter(|own| own.to_str().is_some()),
                ..setup.clone()
            },
            place,
            host: None,
            tell,
            stop,
            running: None,
            batch: None,
            deaths: 0,
            longest: Duration::ZERO,
            quickest: Quickest::default(),
            last_id: 0,
            findings: Vec::new(),
            metered,
            gpu: None,
            room: GpuRoom::default(),
            turns: GpuTurns::default(),
            budget,
            asked: setup.batch,
        }
    }

    /// Starts the process, which opens its device and loads its samples. A death is forgiven once.
    pub(super) fn open(&mut self) -> Result<Opened, String> {
        for _ in 1..DEATHS {
            match self.start() {
                Ok(opened) => return Ok(opened),
                Err(Failure::Told(error)) => return Err(error.to_string()),
                Err(Failure::Ended(why)) => tracing::warn!("worker on {}: {why}", self.name()),
            }
        }
        self.start().map_err(|failure| match failure {
            Failure::Told(error) => error.to_string(),
            Failure::Ended(why) => format!("worker on {}: {why}", self.name()),
        })
    }

    fn start(&mut self) -> Result<Opened, Failure> {
        let mut process = self.launch.start(&self.stop).map_err(|error| {
            let program = self.launch.command.first();
            let program = program.map_or_else(String::new, |word| word.display().to_string());
            refused(format!("worker {program} cannot be started: {error}"))
        })?;
        self.metered.set_process(process.id());
        self.host = self.hello(&mut process)?;
        say(
            &mut process,
            &WorkerOrder::Setup(Box::new(self.setup.clone())),
        )?;
        loop {
            let line = self.first_lines(&mut process)?;
            match message(&line) {
                Ok(WorkerAnswer::Ready { place, data }) => {
                    self.place = place;
                    self.metered.set_place(place);
                    if matches!(place, Place::Cuda(_)) {
                        self.gpu = Some(place);
                    }
                    self.running = Some(Running::of(process));
                    let name = self.name();
                    let data = match (data, &self.host) {
                        (Loaded::Missing(reason), Some(host)) => {
                            Loaded::Missing(format!("{host}: {reason}"))
                        }
                        (data, _) => data,
                    };
                    return Ok(Opened { name, place, data });
                }
                Ok(WorkerAnswer::Refused(reason)) => return Err(refused(reason)),
                Ok(WorkerAnswer::Alive { .. }) => {}
                _ => return Err(Failure::Ended(no_answer(&line))),
            }
        }
    }

    /// Waits for the hello, and returns the machine where that is another one. Lines of launchers before it are passed
    /// over; the last of them is quoted if it never comes.
    fn hello(&self, process: &mut Process) -> Result<Option<String>, Failure> {
        let mut last = String::new();
        for _ in 0..LONGEST_BANNER {
            let line = self.first_lines(process).map_err(|failure| match failure {
                Failure::Ended(why) if !last.is_empty() => {
                    let last = shortened(&last);
                    Failure::Ended(format!("{why}; it said no hello, and before: {last}"))
                }
                failure => failure,
            })?;
            // What a login says may lack an end, such as the title of a terminal.
            let begin = line.find(r#"{"hello""#).unwrap_or(0);
            match message(line.get(begin..).unwrap_or(&line)) {
                Ok(WorkerAnswer::Hello {
                    protocol: PROTOCOL,
                    host: there,
                    ..
                }) => return Ok(there.filter(|there| host::name().as_ref() != Some(there))),
                Ok(WorkerAnswer::Hello {
                    protocol, version, ..
                }) => {
                    return Err(refused(format!(
                        "the worker is isoloss {} and speaks protocol {protocol}, this one speaks protocol {PROTOCOL}",
                        shortened(&version)
                    )));
                }
                _ => last = line,
            }
        }
        Err(refused(format!(
            "the worker said no hello in {LONGEST_BANNER} lines; the last was: {}",
            shortened(&last)
        )))
    }

    /// Returns the device, and its machine where that is another one.
    fn name(&self) -> String {
        let place = self.place;
        match (&self.host, &self.launch.launcher) {
            (Some(host), _) => format!("{host} {place}"),
            // Where it would be is not known before it speaks.
            (None, Some(launcher)) if self.running.is_none() => format!("{place} by `{launcher}`"),
            (None, _) => place.to_string(),
        }
    }

    /// Waits for a line of a process that opens its device, and tells of it where that is late.
    fn first_lines(&self, process: &mut Process) -> Result<String, Failure> {
        let patience = self.launch.silence;
        let soon = TOLD_AFTER.min(patience);
        let line = process.line(soon).or_else(|silence| match silence {
            Silence::Late if soon < patience => {
                self.tell_silence();
                process.line(patience.saturating_sub(soon))
            }
            silence => Err(silence),
        });
        line.map_err(|silence| Failure::Ended(self.ending(process, &silence)))
    }

    fn tell_silence(&self) {
        let [heard, silence] = [TOLD_AFTER, self.launch.silence].map(|time| time.as_secs());
        let place = self.name();
        (self.tell)(format!(
            "worker on {place}: silent for {heard} s; after {silence} s it is killed and starts again"
        ));
    }

    /// Says how a process has ended that does not speak, and sees to it that it has.
    fn ending(&self, process: &mut Process, silence: &Silence) -> String {
        match silence {
            // It ends with the session, and holds nothing that would be lost.
            Silence::Ended(_) if self.stop.is_given() => {
                process.kill();
                String::new()
            }
            Silence::Late => {
                process.kill();
                let seconds = self.launch.silence.as_secs_f64();
                format!("it said nothing for {seconds:.0} s and was killed")
            }
            Silence::Ended(_) => {
                let status = process.status();
                how_it_ended(status, process.last_line().as_deref())
            }
        }
    }

    /// Starts the process where it does not run. A death before it is asked anything is no query's fault.
    fn start_again(&mut self) -> Result<(), Failure> {
        let mut why = String::new();
        for _ in 0..STARTS {
            if self.running.is_some() {
                return Ok(());
            }
            self.wait();
            match self.start() {
                Err(Failure::Ended(ended)) if !self.stop.is_given() => {
                    self.deaths += 1;
                    tracing::warn!("worker on {}: {ended}", self.name());
                    why = ended;
                }
                started => started.map(drop)?,
            }
        }
        Err(Failure::Told(Box::new(LandscapeError::Worker {
            reason: format!("the worker on {} does not start again: {why}", self.name()),
            fault: Fault::Device,
        })))
    }

    fn try_to_measure(
        &mut self,
        task: &Task,
        following: &[Task],
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, Failure> {
        self.start_again()?;
        let Some(mut running) = self.running.take() else {
            return Err(Failure::Ended("it does not run".into()));
        };
        let begin = Instant::now();
        running.hold(task)?;
        let is_first = running.asked.is_empty();
        let unasked = (std::iter::once(task).chain(following)).skip(running.asked.len());
        for Task { index, .. } in unasked {
            self.last_id += 1;
            running.ask(self.last_id, *index)?;
        }
        let answer = self.hear(&mut running, waiting);
        self.turns.work(begin.elapsed());
        let is_broken = |error: &LandscapeError| {
            // An error of an accelerator's driver may stay for as long as the process lives.
            error.fault() == Fault::Device && !self.place.is_cpu()
        };
        match &answer {
            Err(Failure::Ended(_)) => {}
            Err(Failure::Told(error)) if is_broken(error) => {
                return Err(Failure::Ended(error.to_string()));
            }
            answer => {
                self.running = Some(running);
                if let Ok(found) = answer {
                    self.longest = self.longest.max(begin.elapsed());
                    self.quickest.take(task, found.seconds, is_first);
                }
            }
        }
        answer
    }

    /// Waits for the answer to the first of the queries that were asked.
    fn hear(
        &mut self,
        running: &mut Running,
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, Failure> {
        let patience = LONGEST_QUERY.max(self.longest * SLOWER);
        let id = running.asked.pop_front().unwrap_or(self.last_id);
        let (mut asked, mut heard) = (Instant::now(), Instant::now());
        let (mut is_forgotten, mut is_told) = (false, false);
        loop {
            match waiting.wish() {
                Wish::Stop if !is_forgotten => {
                    is_forgotten = true;
                    // Those that follow are of the same plan.
                    running.say(&WorkerOrder::Forget { id: self.last_id })?;
                }
                wish if running.rests != (wish == Wish::Rest) && !is_forgotten => {
                    running.rests = !running.rests;
                    running.say(&WorkerOrder::Pause(running.rests))?;
                }
                _ => {}
            }
            match running.process.line(LOOK_EVERY) {
                Ok(line) => {
                    heard = Instant::now();
                    if let Some(answer) = self.take(&line, id, waiting) {
                        return answer;
                    }
                }
                Err(Silence::Late) if heard.elapsed() < self.launch.silence => {}
                Err(silence) => {
                    return Err(Failure::Ended(self.ending(&mut running.process, &silence)));
                }
            }
            if running.rests {
                asked = Instant::now();
            }
            if heard.elapsed() > TOLD_AFTER && !is_told {
                is_told = true;
                self.tell_silence();
            }
            if asked.elapsed() > patience {
                running.process.kill();
                let minutes = patience.as_secs() / 60;
                return Err(Failure::Ended(format!(
                    "it gave no answer for {minutes} minutes and was killed"
                )));
            }
        }
    }

    /// Takes a line that came while a query is worked at; returns the answer if it is that.
    fn take(
        &mut self,
        line: &str,
        asked: u64,
        waiting: &dyn Waiting,
    ) -> Option<Result<TimedValue, Failure>> {
        match message(line) {
            Ok(WorkerAnswer::Found { id, found }) if id == asked => return Some(Ok(found)),
            Ok(WorkerAnswer::Failed { id, reason, fault }) if id == asked => {
                let error = match fault {
                    Fault::Stopped => LandscapeError::Stopped,
                    fault => {
                        // A file may be missing there alone.
                        let host = self.host.iter().map(|host| format!("{host}: "));
                        let reason = host.collect::<String>() + &reason;
                        LandscapeError::Worker { reason, fault }
                    }
                };
                return Some(Err(Failure::Told(Box::new(error))));
            }
            Ok(WorkerAnswer::Product { id, done, of }) if id == asked => waiting.product(done, of),
            Ok(WorkerAnswer::Batch(samples)) => self.batch = Some(samples),
            Ok(WorkerAnswer::Finding(report)) => self.findings.push(report),
            Ok(WorkerAnswer::Alive { .. }) => {}
            _ => return Some(Err(Failure::Ended(no_answer(line)))),
        }
        None
    }

    /// Takes an error about a file that is missing on the worker's machine alone for one of the device: it is not there
    /// for other queries either.
    fn or_blind(&self, task: &Task, error: LandscapeError) -> LandscapeError {
        if error.fault() != Fault::File || self.host.is_none() || !sees_files(task) {
            return error;
        }
        LandscapeError::Worker {
            reason: error.to_string(),
            fault: Fault::Device,
        }
    }

    /// Takes half of the samples at once from now on, and returns their number.
    fn halve(&mut self) -> usize {
        let now = self.batch.take().or(self.setup.batch);
        let half = (now.unwrap_or(USUAL_BATCH) / 2).max(1);
        self.setup.batch = Some(half);
        half
    }

    /// Gives a GPU's memory back where others need it, or comes back where there is room again.
    fn mind_others(&mut self, waiting: &dyn Waiting) -> Result<(), LandscapeError> {
        let Some(gpu) = self.gpu else { return Ok(()) };
        let batch = self.batch.or(self.setup.batch).unwrap_or(USUAL_BATCH);
        loop {
            let is_held = match self.room.look(gpu, batch) {
                None => self.room.is_away() && !self.setup.precision.suits_cpu(),
                Some((advice, room)) => self.follow(advice, gpu, room),
            };
            if !is_held {
                return Ok(());
            }
            // The CPU has no product in this type: it waits for the GPU.
            if self.stop.is_given() || waiting.wish() == Wish::Stop {
                return Err(LandscapeError::Stopped);
            }
            self.stop.sleep_until(Instant::now() + LOOK_EVERY);
        }
    }

    /// Rests beside other work on the GPU, unless the budget is all of it.
    fn give_way(&mut self, waiting: &dyn Waiting) -> Result<(), LandscapeError> {
        let is_asked = (self.running.as_ref()).is_some_and(|running| !running.asked.is_empty());
        let Some(gpu) = self.gpu.filter(|_| !is_asked && self.budget != Budget::All) else {
            return Ok(());
        };
        let changed = (self.metered.process()).and_then(|own| self.turns.look(gpu, own));
        if let Some(changed) = changed {
            (self.tell)(changed);
        }
        let until = Instant::now() + self.turns.rest();
        while Instant::now() < until {
            if self.stop.is_given() || waiting.wish() == Wish::Stop {
                return Err(LandscapeError::Stopped);
            }
            self.stop
                .sleep_until(until.min(Instant::now() + LOOK_EVERY));
        }
        Ok(())
    }

    /// Does what is advised; returns true if it has to wait for the GPU.
    fn follow(&mut self, advice: Advice, gpu: Place, room: Room) -> bool {
        let can_move = self.setup.precision.suits_cpu();
        let done = match advice {
            Advice::Stay => return self.room.is_away() && !can_move,
            Advice::Halve => format!("it measures {} samples at once from now on", self.halve()),
            Advice::Leave if can_move => {
                self.setup.devices = vec![Place::Cpu];
                "measuring goes on on the CPU until there is room again".into()
            }
            Advice::Leave => "measuring pauses until there is room again".into(),
            Advice::Return => {
                self.setup.devices = vec![gpu];
                self.setup.batch = self.asked;
                "measuring comes back to it".into()
            }
        };
        self.running = None;
        (self.tell)(format!("{gpu} has {room} free: {done}"));
        matches!(advice, Advice::Leave) && !can_move
    }

    /// Waits before a new start, the longer the more often it died: not at first, then 1, 2, 4 … 60 s.
    fn wait(&self) {
        let times = self.deaths.saturating_sub(2);
        let wait = match self.deaths {
            0 | 1 => Duration::ZERO,
            _ => Duration::from_secs(1u64.checked_shl(times).unwrap_or(u64::MAX)),
        };
        self.stop
            .sleep_until(Instant::now() + wait.min(LONGEST_WAIT));
    }
}

impl Worker for ProcessWorker {
    fn measure(
        &mut self,
        task: &Task,
        following: &[Task],
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError> {
        self.mind_others(waiting)?;
        self.give_way(waiting)?;
        let mut why = String::new();
        for time in 1..=DEATHS {
            // After a death nothing is asked ahead: what follows may be what it died at.
            let following = if self.deaths == 0 { following } else { &[] };
            match self.try_to_measure(task, following, waiting) {
                Ok(found) => {
                    self.deaths = 0;
                    return Ok(found);
                }
                Err(Failure::Told(error)) => return Err(self.or_blind(task, *error)),
                Err(Failure::Ended(ended)) => why = ended,
            }
            if self.stop.is_given() {
                return Err(LandscapeError::Stopped);
            }
            self.deaths += 1;
            let had_one = self.batch.or(self.setup.batch) == Some(1);
            if had_one && why.contains(MEMORY_LIMIT) {
                return Err(LandscapeError::Worker {
                    reason: format!("{why}, with one sample at once; it needs a higher limit"),
                    fault: Fault::Device,
                });
            }
            let half = self.halve();
            tracing::warn!("worker on {}: {why}", self.name());
            if time < DEATHS {
                (self.tell)(format!(
                    "worker on {} starts again with batches of {half}: {why}",
                    self.name()
                ));
            }
        }
        Err(LandscapeError::Worker {
            reason: format!(
                "the worker on {} died twice at what it was asked: {why}",
                self.name()
            ),
            fault: Fault::Death,
        })
    }

    fn ahead(&self, task: &Task) -> usize {
        self.quickest.ahead(task)
    }

    fn take_findings(&mut self) -> Vec<WorkerEvent> {
        std::mem::take(&mut self.findings)
    }
}

fn refused(reason: String) -> Failure {
    let fault = Fault::Other;
    Failure::Told(Box::new(LandscapeError::Worker { reason, fault }))
}

/// A process that ends with the session is not waited for: it holds nothing that would be lost.
impl Drop for ProcessWorker {
    fn drop(&mut self) {
        if let Some(running) = self.running.as_mut().filter(|_| self.stop.is_given()) {
            running.process.kill();
        }
    }
}
