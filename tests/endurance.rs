//! A session beside a training that saves in four ways, rotates, truncates, vanishes and branches, killed again and
//! again. Twenty seconds here; ISOLOSS_ENDURANCE_SECONDS=3600 for an hour.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use program::{fixture, program};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Time between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(400);
/// Checkpoints that rotation leaves.
const LEFT: usize = 20;
/// Time within which a quiet machine has measured what is left.
const SOON: Duration = Duration::from_secs(120);

fn seconds() -> u64 {
    let asked = std::env::var("ISOLOSS_ENDURANCE_SECONDS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(20)
}

/// The states of a real training and those on straight lines between them.
struct States(Vec<Vec<u8>>);

impl States {
    fn read() -> Self {
        let steps = (0..=240).step_by(10);
        let read = |step: u32| {
            fs::read(fixture(&format!("digits-run/step_{step:04}.safetensors"))).unwrap()
        };
        Self(steps.map(read).collect())
    }

    /// The bytes of a checkpoint after `time` of the whole training, 0 to 1, `bend` beside the path.
    fn at(&self, time: f64, bend: f32) -> Vec<u8> {
        let place = time.clamp(0.0, 1.0) * (self.0.len() - 2) as f64;
        let (low, share) = (place as usize, place.fract() as f32);
        let (a, b) = (&self.0[low], &self.0[low + 1]);
        let head = 8 + u64::from_le_bytes(a[..8].try_into().unwrap()) as usize;
        let mut bytes = a[..head].to_vec();
        for (at, (a, b)) in a[head..].chunks(4).zip(b[head..].chunks(4)).enumerate() {
            let [a, b] = [a, b].map(|four| f32::from_le_bytes(four.try_into().unwrap()));
            let value = a + share * (b - a) + bend * (at as f32).sin();
            bytes.extend(value.to_le_bytes());
        }
        bytes
    }
}

/// A training, and what it has left in its folder.
struct Trainer {
    run: PathBuf,
    states: States,
    left: BTreeMap<String, Vec<u8>>,
    order: Vec<String>,
    written: BTreeSet<u64>,
}

impl Trainer {
    /// Saves a checkpoint in one of four ways, and removes the oldest.
    fn save(&mut self, count: usize, step: u64, time: f64, bend: f32) {
        let (name, bytes) = (
            format!("step_{step:05}.safetensors"),
            self.states.at(time, bend),
        );
        let path = self.run.join(&name);
        match count % 4 {
            0 => {
                let other = self.run.join("being_written.tmp");
                fs::write(&other, &bytes).unwrap();
                fs::rename(&other, &path).unwrap();
            }
            1 => {
                let mut file = fs::File::create(&path).unwrap();
                for piece in bytes.chunks(bytes.len() / 3 + 1) {
                    file.write_all(piece).unwrap();
                    file.flush().unwrap();
                    thread::sleep(Duration::from_millis(20));
                }
            }
            2 => {
                fs::write(&path, b"").unwrap();
                thread::sleep(Duration::from_millis(50));
                fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
                thread::sleep(Duration::from_millis(50));
                fs::write(&path, &bytes).unwrap();
            }
            _ => {
                let other = self.run.with_extension("elsewhere");
                fs::write(&other, &bytes).unwrap();
                let _ = fs::remove_file(&path);
                fs::hard_link(&other, &path).unwrap();
                fs::remove_file(&other).unwrap();
            }
        }
        self.order.retain(|known| *known != name);
        self.order.push(name.clone());
        self.left.insert(name, bytes);
        self.written.insert(step);
        while self.order.len() > LEFT {
            let oldest = self.order.remove(0);
            fs::remove_file(self.run.join(&oldest)).unwrap();
            self.left.remove(&oldest);
        }
    }

    /// Returns what lies in the folder.
    fn found(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(&self.run).unwrap().map(Result::unwrap);
        let files = entries.map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        });
        files.collect()
    }
}

/// A watching program, and its events.
struct Session {
    child: Child,
    events: Receiver<Value>,
}

impl Session {
    fn start(run: &Path, cache: &Path) -> Self {
        let mut child = program()
            .args(["watch", run.to_str().unwrap(), "--data", "digits", "--json"])
            .env("XDG_CACHE_HOME", cache)
            .env("ISOLOSS_KEEP", "all")
            .env_remove("ISOLOSS_NO_CACHE")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, events) = channel();
        thread::spawn(move || {
            // The last line of a session that is killed may be cut.
            let whole = lines
                .map_while(Result::ok)
                .filter_map(|line| serde_json::from_str(&line).ok());
            whole.for_each(|event| {
                let _ = send.send(event);
            });
        });
        Self { child, events }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills one of its workers.
    fn kill_worker(&self) {
        let own = self.child.id().to_string();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let is_own = |path: &PathBuf| {
            let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
            let behind = stat.rsplit(')').next().unwrap_or_default();
            behind.split_whitespace().nth(1) == Some(own.as_str())
        };
        if let Some(child) = processes.map(|entry| entry.path()).find(is_own)
            && let Some(pid) = child
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Kilobytes that it has in memory.
    fn memory(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0)
    }
}

/// Lines of all sessions.
#[derive(Default)]
struct Told {
    /// Steps of checkpoints with a loss, and the bits of each.
    losses: BTreeMap<(String, u64), BTreeSet<u64>>,
    steps: BTreeSet<u64>,
    levels: usize,
}

impl Told {
    fn take(&mut self, event: &Value) {
        if std::env::var_os("SHOW").is_some() {
            println!("{event}");
        }
        match event["event"].as_str() {
            Some("loss") => {
                let step = event["step"].as_u64().unwrap();
                self.steps.insert(step);
                let loss = event["loss"].as_f64().unwrap_or(f64::NAN).to_bits();
                let path = event["path"].as_str().unwrap().to_owned();
                self.losses.entry((path, step)).or_default().insert(loss);
            }
            Some("checkpoint") => self.steps.extend(event["step"].as_u64()),
            Some("level") => self.levels += 1,
            _ => {}
        }
    }
}

/// Notes every value that comes to the database a second time.
fn count_twice(cache: &Path) -> rusqlite::Connection {
    let path = cache.join("isoloss/measured.sqlite");
    let deadline = Instant::now() + SOON;
    while !path.exists() {
        assert!(Instant::now() < deadline, "no database");
        thread::sleep(Duration::from_millis(20));
    }
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.busy_timeout(SOON).unwrap();
    let trigger = "CREATE TABLE twice (scene INT, x INT, y INT);
        CREATE TRIGGER note BEFORE INSERT ON point
        WHEN EXISTS (SELECT 1 FROM point WHERE scene = new.scene AND samples = new.samples AND x = new.x AND y = new.y)
        BEGIN INSERT INTO twice VALUES (new.scene, new.x, new.y); END;";
    // The first session may be making its tables.
    while let Err(error) = connection.execute_batch(trigger) {
        assert!(Instant::now() < deadline, "{error}");
        thread::sleep(Duration::from_millis(50));
    }
    connection
}

#[test]
fn nothing_is_lost_measured_twice_or_touched_beside_a_training_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let (run, cache) = (folder.path().join("run"), folder.path().join("cache"));
    fs::create_dir_all(&run).unwrap();
    let mut trainer = Trainer {
        run: run.clone(),
        states: States::read(),
        left: BTreeMap::new(),
        order: Vec::new(),
        written: BTreeSet::new(),
    };
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut told = Told::default();
    let mut session = Session::start(&run, &cache);
    let database = count_twice(&cache);
    let (begin, end) = (Instant::now(), Duration::from_secs(seconds()));
    let (mut step, mut bend, mut kills) = (0, 0.0, 0);
    let mut next_kill = Duration::from_secs(3);
    for count in 0.. {
        let age = begin.elapsed();
        if age > end {
            break;
        }
        let half = age > end / 2;
        if half && bend == 0.0 {
            // Training is resumed from an earlier checkpoint.
            (step, bend) = (step - 35, 0.002);
        }
        let time = age.as_secs_f64() / end.as_secs_f64();
        trainer.save(count, step, time, bend);
        step += 10;
        if count % 40 == 17 {
            let away = folder.path().join("away");
            fs::rename(&run, &away).unwrap();
            thread::sleep(INTERVAL);
            fs::rename(&away, &run).unwrap();
        }
        if age > next_kill {
            next_kill = age + Duration::from_millis(random.random_range(2000..6000));
            if random.random_bool(0.5) {
                session.kill();
                session.events.iter().for_each(|event| told.take(&event));
                session = Session::start(&run, &cache);
            } else {
                session.kill_worker();
            }
            kills += 1;
        }
        session
            .events
            .try_iter()
            .for_each(|event| told.take(&event));
        thread::sleep(INTERVAL);
    }
    let left: BTreeSet<u64> = trainer
        .order
        .iter()
        .map(|name| name[5..10].parse().unwrap())
        .collect();
    let has_all = |told: &Told| {
        let known: BTreeSet<u64> = told.losses.keys().map(|(_, step)| *step).collect();
        known.is_superset(&left)
    };
    let (deadline, at_rest) = (Instant::now() + SOON, session.memory());
    while !has_all(&told) {
        let event = session
            .events
            .recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let Ok(event) = event else {
            let known: Vec<u64> = told.losses.keys().map(|(_, step)| *step).collect();
            panic!("of {left:?} only {known:?} have a loss");
        };
        told.take(&event);
    }
    let grown = session.memory();
    session.kill();
    let unseen: Vec<&u64> = trainer.written.difference(&told.steps).collect();
    assert!(
        unseen.is_empty(),
        "never seen: {unseen:?} of {}",
        trainer.written.len()
    );
    let twice: i64 = database
        .query_row("SELECT count(*) FROM twice", [], |row| row.get(0))
        .unwrap();
    assert_eq!(twice, 0, "points measured twice");
    assert!(
        told.levels > 0 && kills >= 2,
        "{} levels, {kills} kills",
        told.levels
    );
    assert!(grown < at_rest + 100_000, "{at_rest} kB became {grown} kB");
    assert_eq!(trainer.found(), trainer.left);
    let points: i64 = database
        .query_row("SELECT count(*) FROM point", [], |row| row.get(0))
        .unwrap();
    println!(
        "{} checkpoints, {kills} kills, {} levels, {points} points kept, {grown} kB",
        trainer.written.len(),
        told.levels
    );
}
