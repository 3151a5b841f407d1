//! A watch of a folder that changes: each action waits for the line that the one before must cause, so that a slow machine
//! is no other answer.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::answer::{is_near, nearest, words};
use crate::folder::Folder;
use crate::once::ended;

/// Time in which a line must come; a right program needs a second or two.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between actions of which nothing is printed for sure.
const PAUSE: Duration = Duration::from_millis(400);

/// A watching program and what it has printed.
struct Watch {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Checkpoint as the watch prints it.
#[derive(Debug)]
struct Told {
    step: Value,
    moved: Value,
    norm: Value,
    share: Option<f64>,
}

/// Plays a script; the differences of what was printed.
pub(crate) fn play(folder: &Folder, case: &Value) -> Vec<String> {
    let mut watch = Watch::start(folder, &case["command"]);
    if !watch.waits(|lines| !lines.is_empty()) {
        return vec!["prints nothing".to_owned()];
    }
    if let Err(difference) = watch.follows(folder, case) {
        return vec![difference];
    }
    let compare = |lines: &[String]| {
        nearest(case, |answer| {
            let mut out = told(answer, lines);
            out.extend(words(answer, lines));
            out
        })
    };
    watch.waits(|lines| compare(lines).is_empty());
    let mut differences = compare(&watch.lines.lock().unwrap());
    differences.extend(watch.ends());
    differences
}

impl Watch {
    fn start(folder: &Folder, arguments: &Value) -> Self {
        let mut command = folder.command(arguments);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().unwrap(), &lines);
        collect(child.stderr.take().unwrap(), &lines);
        Self { child, lines }
    }

    /// Waits until the lines are such; `false` where they never are, or where the program has ended or panicked.
    fn waits(&mut self, are_such: impl Fn(&[String]) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The end is looked for before the lines: what was printed last counts.
            let is_over = self.child.try_wait().unwrap().is_some() || Instant::now() > deadline;
            let lines = self.lines.lock().unwrap();
            if are_such(&lines) {
                return true;
            }
            if is_over || lines.iter().any(|line| is_broken(line)) {
                return false;
            }
            drop(lines);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Does what the script says; each checkpoint that an action brings is waited for, behind those before it.
    fn follows(&mut self, folder: &Folder, case: &Value) -> Result<(), String> {
        let begins = case["begins"].as_u64().map_or(0, |count| count as usize);
        let first: Vec<&Value> = case["told"].as_array().into_iter().flatten().collect();
        let mut seen = 0;
        for want in first.into_iter().take(begins) {
            self.expects(want, 0).map(|at| seen = seen.max(at))?;
        }
        for action in case["script"].as_array().into_iter().flatten() {
            folder.act(action);
            if action["then"].is_null() {
                thread::sleep(PAUSE);
            } else {
                seen = self.expects(&action["then"], seen)?;
            }
        }
        Ok(())
    }

    /// Waits for a checkpoint among the lines from `start` on; gives the place behind it.
    fn expects(&mut self, want: &Value, start: usize) -> Result<usize, String> {
        let place = |lines: &[String]| {
            let mut later = lines.iter().enumerate().skip(start);
            later.find_map(|(at, line)| fits(want, &parsed(line)?).then_some(at + 1))
        };
        self.waits(|lines| place(lines).is_some());
        let lines = self.lines.lock().unwrap();
        place(&lines).ok_or_else(|| format!("not told: {want}; it says:\n{}", lines.join("\n")))
    }

    /// Sends SIGTERM; the differences of how it ended.
    fn ends(mut self) -> Vec<String> {
        if let Some(status) = self.child.try_wait().unwrap() {
            return vec![format!("ended by itself: {status}")];
        }
        let asked = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        ended(&mut self.child, Duration::from_secs(20));
        let lines = self.lines.lock().unwrap();
        let broken = lines.iter().find(|line| is_broken(line)).cloned();
        let is_late = asked.elapsed() >= Duration::from_secs(20);
        let late = is_late.then(|| "did not end with SIGTERM".to_owned());
        broken.into_iter().chain(late).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
}

fn is_broken(line: &str) -> bool {
    line.contains("panicked") || line.contains("reader stopped")
}

/// Reads `checkpoint step S (FILE): moved M, norm N, PC1+2 P %`.
fn parsed(line: &str) -> Option<Told> {
    let (step, rest) = line.strip_prefix("checkpoint step ")?.split_once(" (")?;
    let (_, numbers) = rest.rsplit_once("): moved ")?;
    let (moved, rest) = numbers.split_once(", norm ")?;
    let end = rest.find(|c: char| !"0123456789.e+-".contains(c));
    let norm = &rest[..end.unwrap_or(rest.len())];
    let share = rest.split_once("PC1+2 ");
    let share = share.and_then(|(_, share)| share.split_once(" %")?.0.parse().ok());
    let number = |text: &str| text.parse::<f64>().ok();
    Some(Told {
        step: json!(step.parse::<i64>().ok()?),
        moved: json!(number(moved)?),
        norm: json!(number(norm)?),
        share,
    })
}

/// Tells whether a checkpoint is the one expected; steps may be several, `moved` may be open.
fn fits(want: &Value, told: &Told) -> bool {
    let is_step = match &want["step"] {
        Value::Array(any) => any.contains(&told.step),
        step => *step == told.step,
    };
    let is_moved = want["moved"].is_null() || is_near(&want["moved"], &told.moved, "moved");
    is_step && is_near(&want["norm"], &told.norm, "norm") && is_moved
}

/// Differences of the checkpoints printed: `told` in this order, others may stand between; `share` is PC1+2 of the last.
fn told(answer: &Value, lines: &[String]) -> Vec<String> {
    let got: Vec<Told> = lines.iter().filter_map(|line| parsed(line)).collect();
    let mut at = 0;
    for want in answer["told"].as_array().into_iter().flatten() {
        match got[at..].iter().position(|told| fits(want, told)) {
            Some(further) => at += further + 1,
            None => return vec![format!("not told in its place: {want}; told: {got:?}")],
        }
    }
    let Some(want) = answer["share"].as_f64() else {
        return Vec::new();
    };
    let share = got.last().and_then(|told| told.share);
    let is_near = share.is_some_and(|share| (share - want).abs() <= 0.3);
    let difference = || format!("PC1+2 {share:?} % at the end, not {want:.1} % of the whole path");
    (!is_near).then(difference).into_iter().collect()
}

#[test]
fn a_printed_checkpoint_is_read_back() {
    let told = parsed("checkpoint step 7 (a (1).pt): moved 0.5, norm 2.25, PC1+2 98.1 %").unwrap();
    assert_eq!((told.step, told.share), (json!(7), Some(98.1)));
    assert_eq!((told.moved, told.norm), (json!(0.5), json!(2.25)));
    assert!(parsed("checkpoint step x (a): moved 1, norm 2").is_none());
}
