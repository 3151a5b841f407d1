//! The pace that a training keeps beside isoloss, and the time until the first map of 5×5 stands:
//! `cargo bench --bench neighbour -- [--isoloss PROGRAM] [--rounds N] [--seconds S] [-- RUN
//! OPTIONS]`.
//!
//! A training of two busy threads in a session of its own, as in a terminal of its own. Phases of the same length take
//! turns: it alone, and beside an `isoloss watch` that begins with the phase, in a session of its own too. RUN and OPTIONS
//! are those of `watch`, e.g. `runs/resnet --data fashion-mnist`; without them it watches a small run on the digits. The
//! run lies still, so that every phase measures the same.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use isoloss::landscape::worker::yielding;

/// Threads of the training.
const THREADS: usize = 2;
/// Numbers of a layer's side in it.
const SIDE: usize = 128;
/// The pace that the training is to keep, and the seconds within which 5×5 is to stand.
const TARGETS: (f64, f64) = (0.97, 20.0);

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let arguments: Vec<String> = arguments.collect();
    let mut own = arguments.split(|word| word == "--");
    let (own, watch) = (
        own.next().unwrap_or_default(),
        own.next().unwrap_or_default(),
    );
    let value = |name: &str| {
        let at = own.iter().position(|word| word == name)?;
        own.get(at + 1).cloned()
    };
    if own.first().is_some_and(|word| word == "train") {
        return train();
    }
    if own.first().is_some_and(|word| word == "watch") {
        return watch_apart(&own[1..]);
    }
    let isoloss = value("--isoloss").unwrap_or_else(|| "target/release/isoloss".into());
    let rounds: usize = value("--rounds").map_or(Ok(5), |text| text.parse())?;
    let seconds: f64 = value("--seconds").map_or(Ok(40.0), |text| text.parse())?;
    let phase = Duration::from_secs_f64(seconds);
    let training = Training::start()?;
    thread::sleep(Duration::from_secs(2));
    println!("round   alone   beside  kept      5×5");
    let (mut kept, mut firsts) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let alone = training.pace(phase);
        let watched = Watched::start(&isoloss, watch)?;
        let beside = training.pace(phase);
        let first = watched.first();
        drop(watched);
        let shown = first.map_or("not yet".into(), |first| format!("{first:.1} s"));
        println!(
            "{round:>5} {alone:>7.0} {beside:>8.0} {:>5.3} {shown:>8}",
            beside / alone
        );
        kept.push(beside / alone);
        firsts.push(first.unwrap_or(f64::INFINITY));
        // What is left of it is no part of the next phase.
        thread::sleep(Duration::from_secs(1));
    }
    let [kept, first] = [&mut kept, &mut firsts].map(|all| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    });
    let met = kept >= TARGETS.0 && first <= TARGETS.1;
    println!(
        "median: {kept:.3} of the pace kept (target {}), 5×5 after {first:.1} s (target {} s): {}",
        TARGETS.0,
        TARGETS.1,
        if met { "met" } else { "not met" }
    );
    Ok(())
}

/// Trains a layer on two threads until the input ends, and prints the steps so far ten times a second. The threads wait
/// for each other after every step, as those of a framework do: whoever takes one core away stops both.
fn train() -> Result<(), Box<dyn Error>> {
    yielding::leave_session();
    let (steps, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for seed in 0..THREADS {
        let (steps, done) = (Arc::clone(&steps), Arc::clone(&done));
        thread::spawn(move || {
            let mut weights = vec![seed as f32 + 0.5; SIDE * SIDE];
            for round in 1u64.. {
                step(&mut weights);
                done.fetch_add(1, Ordering::AcqRel);
                while done.load(Ordering::Acquire) < round * THREADS as u64 {
                    std::hint::spin_loop();
                }
                steps.fetch_max(round, Ordering::Relaxed);
            }
        });
    }
    thread::spawn(move || {
        loop {
            println!("{}", steps.load(Ordering::Relaxed));
            thread::sleep(Duration::from_millis(100));
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// A step of W ← W − η·(W·Wᵀ·W), which keeps it small.
fn step(weights: &mut [f32]) {
    let mut product = vec![0.0f32; SIDE * SIDE];
    for (row, out) in weights
        .chunks_exact(SIDE)
        .zip(product.chunks_exact_mut(SIDE))
    {
        for (factor, other) in row.iter().zip(weights.chunks_exact(SIDE)) {
            for (sum, value) in out.iter_mut().zip(other) {
                *sum += factor * value;
            }
        }
    }
    for (weight, gradient) in weights.iter_mut().zip(&product) {
        *weight -= 1e-4 * gradient.clamp(-1.0, 1.0);
    }
    std::hint::black_box(weights);
}

/// The training's process.
struct Training {
    child: Child,
    steps: Arc<AtomicU64>,
}

impl Training {
    fn start() -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("train")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let steps = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&steps);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.store(line.parse().unwrap_or(0), Ordering::Relaxed);
            }
        });
        Ok(Self { child, steps })
    }

    /// Steps a second over a time.
    fn pace(&self, time: Duration) -> f64 {
        let steps = || self.steps.load(Ordering::Relaxed);
        let (begin, before) = (Instant::now(), steps());
        thread::sleep(time);
        (steps() - before) as f64 / begin.elapsed().as_secs_f64()
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Becomes the program of these words in a session of its own.
fn watch_apart(words: &[String]) -> Result<(), Box<dyn Error>> {
    yielding::leave_session();
    let (program, words) = words.split_first().ok_or("no program")?;
    Err(std::os::unix::process::CommandExt::exec(Command::new(program).args(words)).into())
}

/// An isoloss that watches.
struct Watched {
    child: Child,
    first: std::sync::mpsc::Receiver<f64>,
}

impl Watched {
    fn start(isoloss: &str, options: &[String]) -> Result<Self, Box<dyn Error>> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/digits-run");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("watch").arg(isoloss).arg("watch");
        if options.is_empty() {
            command.arg(own).args(["--data", "digits"]);
        }
        command.args(options);
        command.args(["--headless", "--disk-only", "--keep", "none", "--no-cache"]);
        let begin = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let (send, first) = channel();
        thread::spawn(move || {
            // On a fast machine the second level is told at once.
            let mut lines = lines.map_while(Result::ok);
            if lines.any(|line| line.starts_with("map ")) {
                let _ = send.send(begin.elapsed().as_secs_f64());
            }
            lines.for_each(drop);
        });
        Ok(Self { child, first })
    }

    /// Seconds until 5×5 stood; `None` if it does not stand yet.
    fn first(&self) -> Option<f64> {
        self.first.try_recv().ok()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
