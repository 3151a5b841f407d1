//! The loop of a worker process: orders from its standard input, answers on its standard output (see `wire`).

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::LandscapeError;
use super::Worker;
use super::budget::{Budget, Fresh, Pacer};
use super::device_worker::DeviceWorker;
use super::pending::WorkerNumber;
use super::pool::{open, samples};
use super::protocol::Setup;
use super::queue::Task;
use super::waiting::{Waiting, Wish};
use super::wire::{self, Loaded, PROTOCOL, WorkerAnswer, WorkerOrder};
use crate::brief::brief;
use crate::data::DIGITS;
use crate::host;
use crate::landscape::device::{Compute, Place};

/// Bytes of an order at most.
const LONGEST: u64 = 1 << 30;
/// Time between two lines that say that a query is worked at.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// Time that a query has to end by itself once nobody waits for answers any more.
const GRACE: Duration = Duration::from_millis(200);
/// Most characters of a wrong order in a sentence.
const TOLD: usize = 240;

/// Measures what is asked for until the input ends; with `memory` bytes as its limit, batches are chosen so that it keeps
/// within that. Where a query is worked at then that does not end soon, `orphaned`
/// is called, which is to end the process.
///
/// # Errors
/// A line is no order, or comes before what it needs; the output is closed.
pub fn serve_lines<W: Write + Send + 'static>(
    input: impl Read + Send + 'static,
    output: W,
    budget: Budget,
    memory: Option<u64>,
    orphaned: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let wire = Arc::new(Wire::of(output));
    let (send, orders) = channel();
    let reader = Arc::clone(&wire);
    let read = move || {
        reader.read(BufReader::new(input), &send);
        drop(send);
        thread::sleep(GRACE);
        if !reader.finished.load(Ordering::SeqCst) {
            orphaned();
        }
    };
    wire.say(&WorkerAnswer::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        host: host::name(),
    })?;
    thread::Builder::new().name("orders".into()).spawn(read)?;
    let ticker = Arc::clone(&wire);
    let tick = move || ticker.say_alive();
    thread::Builder::new().name("alive".into()).spawn(tick)?;
    let mut serving = Serving {
        wire: &wire,
        pacer: Pacer::new(budget),
        memory,
        worker: None,
        place: Place::Auto,
        plan: None,
        fresh: Fresh::now(),
    };
    let mut orders = orders.into_iter();
    let served = orders.try_for_each(|order| serving.serve(order?));
    wire.finished.store(true, Ordering::SeqCst);
    served
}

/// The state of a worker process between two orders.
struct Serving<'a, W> {
    wire: &'a Wire<W>,
    pacer: Pacer,
    /// Bytes that this process may take; `None` if there is no limit.
    memory: Option<u64>,
    worker: Option<DeviceWorker>,
    place: Place,
    /// A task of the plan, whose index is that of the next query.
    plan: Option<Task>,
    /// The age of its plane.
    fresh: Fresh,
}

impl<W: Write + Send> Serving<'_, W> {
    fn serve(&mut self, order: WorkerOrder) -> io::Result<()> {
        match order {
            WorkerOrder::Setup(setup) => {
                self.wire.state().busy = Some(0);
                let (answer, worker) = match enter(&setup) {
                    Ok(()) => open_device(*setup, self.memory),
                    Err(reason) => (WorkerAnswer::Refused(reason), None),
                };
                self.worker = worker;
                if let WorkerAnswer::Ready { place, .. } = answer {
                    self.place = place;
                }
                self.wire.state().busy = None;
                self.wire.say(&answer)
            }
            WorkerOrder::Plan { plan, function } => {
                let before = self.plan.as_ref().map(|task| &task.plan.spec);
                if before != Some(&plan.spec) {
                    self.fresh = Fresh::now();
                }
                self.plan = Some(Task {
                    worker: WorkerNumber::default(),
                    plan,
                    index: 0,
                    function,
                });
                Ok(())
            }
            WorkerOrder::Measure { id, index } => self.measure(id, index),
            // The reader has seen to it.
            WorkerOrder::Forget { .. } | WorkerOrder::Pause(_) => Ok(()),
        }
    }

    fn measure(&mut self, id: u64, index: usize) -> io::Result<()> {
        let task = self.plan.as_mut();
        let task = task.filter(|task| index < task.plan.queries.len());
        let (Some(worker), Some(task)) = (&mut self.worker, task) else {
            let why = format!("query {index} is asked for before a setup and a plan that has it");
            return Err(io::Error::other(why));
        };
        task.index = index;
        self.wire.state().busy = Some(id);
        self.pacer.restart();
        let waiting = WireWaiting {
            wire: self.wire,
            id,
            pacer: &self.pacer,
            place: self.place,
            is_fresh: self.fresh.is_fresh(),
        };
        // It may have been asked ahead, and be wanted later or no longer.
        let found = if waiting.goes_on() {
            worker.measure(task, &[], &waiting)
        } else {
            Err(LandscapeError::Stopped)
        };
        for finding in worker.take_findings() {
            self.wire.say(&WorkerAnswer::Finding(finding))?;
        }
        // Those that were asked ahead and then forgotten are no part of its picture.
        if found.is_ok() {
            self.fresh.count();
        }
        self.wire.say(&WorkerAnswer::of(id, found))?;
        waiting.rest();
        self.wire.state().busy = None;
        Ok(())
    }
}

/// Goes to the folder in which the paths of a setup begin, where a launcher started this process in another one.
fn enter(setup: &Setup) -> Result<(), String> {
    let Some(folder) = &setup.folder else {
        return Ok(());
    };
    if env::current_dir().is_ok_and(|own| own == *folder) {
        return Ok(());
    }
    let data = setup.data.as_ref().map(|data| data.source.as_path());
    match (env::set_current_dir(folder), data) {
        (Err(error), Some(data)) if data.is_relative() && data != Path::new(DIGITS) => {
            Err(format!(
                "{}: isoloss was started there, and {} is looked for in it: {error}",
                folder.display(),
                data.display()
            ))
        }
        // Paths from the root need no folder.
        _ => Ok(()),
    }
}

/// Opens the first device of a setup and loads its samples; without samples the model is still recognized.
fn open_device(setup: Setup, memory: Option<u64>) -> (WorkerAnswer, Option<DeviceWorker>) {
    let data = samples(&setup);
    let place = setup.devices.first().copied().unwrap_or(Place::Auto);
    let (compute, place) = match open(place, setup.precision, setup.batch) {
        Ok(opened) => opened,
        Err(reason) => return (WorkerAnswer::Refused(reason), None),
    };
    let compute = Compute { memory, ..compute };
    let loaded = Loaded::of(&data);
    let ready = WorkerAnswer::Ready {
        place,
        data: loaded,
    };
    (ready, Some(DeviceWorker::new(setup, data.ok(), compute)))
}

/// The output, and the wishes that the input brings.
struct Wire<W> {
    output: Mutex<W>,
    state: Mutex<State>,
    changed: Condvar,
    finished: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// The last query that nobody waits for any more, nor for those before it.
    forgotten: Option<u64>,
    paused: bool,
    over: bool,
    /// The query that is worked at.
    busy: Option<u64>,
}

impl<W: Write + Send> Wire<W> {
    fn of(output: W) -> Self {
        Self {
            output: Mutex::new(output),
            state: Mutex::default(),
            changed: Condvar::new(),
            finished: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, answer: &WorkerAnswer) -> io::Result<()> {
        let mut line = wire::line(answer)?;
        line.push('\n');
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(line.as_bytes())?;
        output.flush()
    }

    /// Says something that can be left out: a closed output is found out by the answer.
    fn mention(&self, answer: &WorkerAnswer) {
        if let Err(error) = self.say(answer) {
            tracing::info!("a line was not written: {error}");
        }
    }

    fn say_alive(&self) {
        loop {
            thread::sleep(ALIVE_EVERY);
            let (over, busy) = {
                let state = self.state();
                (state.over, state.busy)
            };
            if over {
                return;
            }
            if let Some(id) = busy {
                self.mention(&WorkerAnswer::Alive { id });
            }
        }
    }

    /// Reads orders until the input ends or one is wrong.
    fn read(&self, mut input: impl BufRead, send: &Sender<io::Result<WorkerOrder>>) {
        loop {
            let mut line = Vec::new();
            let order = match (&mut input).take(LONGEST).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => order(&line),
                Err(error) => Err(error),
            };
            match &order {
                Ok(WorkerOrder::Forget { id }) => self.state().forgotten = Some(*id),
                Ok(WorkerOrder::Pause(pause)) => self.state().paused = *pause,
                _ => {}
            }
            self.changed.notify_all();
            let is_wrong = order.is_err();
            if send.send(order).is_err() || is_wrong {
                break;
            }
        }
        self.state().over = true;
        self.changed.notify_all();
    }
}

/// Reads an order; an error quotes what is none.
fn order(line: &[u8]) -> io::Result<WorkerOrder> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    wire::message(text).map_err(|error| {
        let told = brief(text, TOLD);
        io::Error::other(format!(
            "expected an order as a line of JSON, got {told:?} ({error})"
        ))
    })
}

/// Those who wait for a query at the other end of the wire.
struct WireWaiting<'a, W> {
    wire: &'a Wire<W>,
    id: u64,
    pacer: &'a Pacer,
    place: Place,
    is_fresh: bool,
}

impl<W: Write + Send> WireWaiting<'_, W> {
    fn wish_in(&self, state: &State) -> Wish {
        if state.over || state.forgotten >= Some(self.id) {
            Wish::Stop
        } else if state.paused {
            Wish::Rest
        } else {
            Wish::GoOn
        }
    }

    /// Rests as long as the budget says after the work since the last rest.
    fn rest(&self) {
        let Some(until) = self.pacer.due(self.place, self.is_fresh) else {
            return;
        };
        let mut state = self.wire.state();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.wish_in(&state) == Wish::Stop {
                break;
            }
            let woken = self.wire.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.pacer.restart();
    }
}

impl<W: Write + Send> Waiting for WireWaiting<'_, W> {
    fn wish(&self) -> Wish {
        self.wish_in(&self.wire.state())
    }

    fn goes_on(&self) -> bool {
        self.rest();
        let mut state = self.wire.state();
        while self.wish_in(&state) == Wish::Rest {
            let woken = self.wire.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        self.wish_in(&state) == Wish::GoOn
    }

    fn product(&self, done: usize, of: usize) {
        let id = self.id;
        self.wire.mention(&WorkerAnswer::Product { id, done, of });
    }

    fn batch(&self, samples: usize) {
        self.wire.mention(&WorkerAnswer::Batch(samples));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    /// An output that a test can read.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the answers to such lines, and the end.
    fn served(input: &'static str) -> (Vec<String>, io::Result<()>) {
        let written = Written::default();
        let ended = serve_lines(input.as_bytes(), written.clone(), Budget::Auto, None, || {});
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        (text.lines().map(str::to_owned).collect(), ended)
    }

    #[test]
    fn the_end_of_the_input_ends_it_in_order_after_a_hello() {
        let (lines, ended) = served("");
        assert!(ended.is_ok());
        let [hello] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert!(matches!(
            wire::message(hello).unwrap(),
            WorkerAnswer::Hello {
                protocol: PROTOCOL,
                ..
            }
        ));
    }

    #[test]
    fn a_line_that_is_no_order_is_quoted() {
        for wrong in ["Welcome to node 7\n", "{\"measure\": {\"id\": 1}}\n", "{}"] {
            let (_, ended) = served(wrong);
            let error = ended.unwrap_err().to_string();
            assert!(
                error.contains(&format!("{:?}", wrong.trim_end())),
                "{error}"
            );
        }
    }

    #[test]
    fn a_query_needs_a_setup_and_a_plan() {
        let (_, ended) = served("{\"measure\": {\"id\": 1, \"index\": 0}}\n");
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("before a setup and a plan"), "{error}");
    }
}
