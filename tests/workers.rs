//! Worker processes measure what a thread measures, and no death of one ends a session.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use isoloss::data::Split;
use isoloss::landscape::device::{Place, Precision};
use isoloss::landscape::worker::client::Client;
use isoloss::landscape::worker::protocol::{
    Plan, Position, Quantity, Query, QueryAnswer, Setup, WorkerEvent, WorkerRequest,
};
use isoloss::landscape::worker::wire::{self, WorkerOrder};
use isoloss::landscape::worker::{Hosting, Launch, serve};
use isoloss::run::Checkpoint;
use program::{bits, digits, fixture, program, random_plane};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(120);

/// Points of a plane that a path of its own spans, that checkpoint, an update, and a curvature.
fn plan(points: u32) -> Plan {
    let checkpoint = |step: u64| {
        Checkpoint::new(
            step,
            fixture(&format!("digits-run/step_{step:04}.safetensors")),
        )
    };
    let [from, to] = [checkpoint(0), checkpoint(240)];
    let at = |i: u32| f64::from(i) / 7.0 - 0.3;
    let points = (0..points).map(|i| Query::on_plane([at(i % 5), at(i / 5)]));
    let others = [
        Query::of_checkpoint(to.clone()),
        Query::of(Quantity::CriticalStep {
            from,
            to: to.clone(),
        }),
        Query::curvature(Position::Plane([0.1, 0.0])),
    ];
    Plan {
        generation: 3,
        spec: random_plane(&to),
        split: Split::Train,
        queries: points.chain(others).collect(),
    }
}

fn setup() -> Setup {
    digits(&[Place::Cpu], Precision::F32)
}

/// The worker of this build; an argument that changes nothing tells those of one test.
fn worker(mark: &str) -> Launch {
    let own = env!("CARGO_BIN_EXE_isoloss");
    let state = std::env::temp_dir().join("isoloss-tests");
    let mark = format!("--memory-limit={mark}");
    Launch::new(
        vec![own.into(), "worker".into(), mark.into()],
        vec![("XDG_STATE_HOME".into(), state.into())],
    )
}

/// A shell's script in the place of a worker.
fn script(text: &str) -> Launch {
    Launch::new(vec!["sh".into(), "-c".into(), text.into()], Vec::new())
}

/// Measures a plan; `watch` sees every report as it comes.
fn measured(
    launch: Option<Launch>,
    plan: Plan,
    watch: impl FnMut(&WorkerEvent),
) -> Vec<WorkerEvent> {
    let hosting = Hosting {
        process: launch,
        ..Hosting::default()
    };
    measured_at(hosting, plan, watch)
}

/// Measures a plan by workers that are launched so.
fn measured_by(launches: Vec<Launch>, plan: Plan) -> Vec<WorkerEvent> {
    let hosting = Hosting {
        process: launches.first().cloned(),
        launches,
        ..Hosting::default()
    };
    measured_at(hosting, plan, |_| ())
}

fn measured_at(
    hosting: Hosting,
    plan: Plan,
    mut watch: impl FnMut(&WorkerEvent),
) -> Vec<WorkerEvent> {
    let ((requests, served), (send, reports)) = (channel(), channel());
    requests.send(WorkerRequest::Measure(plan)).unwrap();
    let setup = setup();
    let pool = thread::spawn(move || {
        serve(&setup, &hosting, &served, |report| {
            send.send(report).is_ok()
        });
    });
    let mut all = Vec::new();
    while !is_last(all.last()) {
        let report = reports.recv_timeout(SOON).unwrap();
        watch(&report);
        if !matches!(
            report,
            WorkerEvent::Cost { .. } | WorkerEvent::Product { .. }
        ) {
            all.push(report);
        }
    }
    drop(requests);
    pool.join().unwrap();
    all
}

fn is_last(report: Option<&WorkerEvent>) -> bool {
    matches!(
        report,
        Some(
            WorkerEvent::Done(_) | WorkerEvent::Failed { index: None, .. } | WorkerEvent::NoData(_)
        )
    )
}

/// Values by query; a hole is `None`.
fn values(reports: &[WorkerEvent], queries: usize) -> Vec<Option<QueryAnswer>> {
    let mut values = vec![None; queries];
    for report in reports {
        if let WorkerEvent::Measured { index, value, .. } = report {
            assert!(
                values[*index].replace(value.clone()).is_none(),
                "{index} twice"
            );
        }
    }
    values
}

/// The workers of this process that have a mark.
fn marked(mark: &str) -> Vec<Pid> {
    let mark = format!("--memory-limit={mark}");
    let marked = workers_of(std::process::id()).into_iter().filter(|id| {
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let mut words = arguments.split(|byte| *byte == 0);
        words.any(|word| word == mark.as_bytes())
    });
    marked
        .filter_map(|id| Pid::from_raw(id.cast_signed()))
        .collect()
}

/// Sends a signal to the workers of this process that have a mark; returns true if there is one.
fn signal(mark: &str, signal: Signal) -> bool {
    let pids = marked(mark).into_iter();
    pids.filter(|pid| kill_process(*pid, signal).is_ok())
        .count()
        > 0
}

#[test]
fn a_process_gives_what_a_thread_gives_to_the_bit() {
    let count = plan(25).queries.len();
    // Curvature needs a process that keeps its graphs, which this one is not.
    let here = measured(None, plan(25), |_| ());
    let there = measured(Some(worker("1003G")), plan(25), |_| ());
    let [mut here, mut there] = [here, there].map(|reports| values(&reports, count));
    let curvature = there.pop().unwrap();
    assert!(
        matches!(curvature, Some(QueryAnswer::Curvature(_))),
        "{curvature:?}"
    );
    here.pop();
    assert!(here.iter().all(Option::is_some), "{here:?}");
    let [here, there] = [here, there].map(|values| {
        let all = values.iter().flatten().map(bits);
        all.collect::<Vec<_>>()
    });
    assert_eq!(here, there);
}

/// An allocation that fails aborts, and so does a stack that overflows.
#[rstest]
#[case(
    "1001G",
    Signal::KILL,
    "it was killed, perhaps because memory ran out (signal 9)"
)]
#[case("1004G", Signal::ABORT, "it aborted (signal 6)")]
fn a_worker_that_dies_costs_no_point(#[case] mark: &str, #[case] by: Signal, #[case] how: &str) {
    let mut killed = false;
    let reports = measured(Some(worker(mark)), plan(400), |report| {
        if matches!(report, WorkerEvent::Measured { index: 40, .. }) {
            killed |= signal(mark, by);
        }
    });
    assert!(killed);
    let count = plan(400).queries.len();
    let values = values(&reports, count);
    assert!(values.iter().all(Option::is_some));
    let told = reports.iter().find_map(|report| match report {
        WorkerEvent::Trouble(told) => Some(told.clone()),
        _ => None,
    });
    let told = told.unwrap();
    assert!(
        told.starts_with("worker on cpu starts again with batches of "),
        "{told}"
    );
    assert!(told.ends_with(&format!(": {how}")), "{told}");
}

#[test]
fn a_launcher_that_hangs_and_a_machine_without_the_samples_hold_up_nobody() {
    let blind = script(
        r#"echo '{"hello":{"protocol":1,"version":"0","host":"node2"}}'
read -r setup
echo '{"ready":{"place":"Cpu","data":{"missing":"no such folder: /scratch/data"}}}'
cat > /dev/null"#,
    );
    let launches = vec![script("exec sleep 600"), blind.clone(), worker("43G")];
    let reports = measured_by(launches, plan(30));
    let values = values(&reports, plan(30).queries.len());
    assert!(values.iter().all(Option::is_some));

    // Where no machine has them, the first is named.
    let hosting = Hosting {
        process: Some(blind.clone()),
        launches: vec![blind; 2],
        ..Hosting::default()
    };
    let mut client = Client::start(setup(), hosting, Arc::new(|_| ())).unwrap();
    let spec = plan(1).spec;
    let begun = client.begin(&spec.shape, std::slice::from_ref(&spec.origin));
    let said = begun.unwrap_err().to_string();
    assert_eq!(said, "node2: no such folder: /scratch/data");
}

#[test]
fn a_command_that_cannot_ask_the_path_measures_nothing_in_silence() {
    let dies = script(
        r#"echo '{"hello":{"protocol":1,"version":"0"}}'
while read -r line; do
  case "$line" in
    '{"setup"'*) echo '{"ready":{"place":"Cpu","data":{"loaded":{"name":"x","samples":9}}}}' ;;
    '{"measure"'*) kill -9 $$ ;;
  esac
done"#,
    );
    let hosting = Hosting {
        process: Some(dies),
        ..Hosting::default()
    };
    let mut client = Client::start(setup(), hosting, Arc::new(|_| ())).unwrap();
    let spec = plan(1).spec;
    let begun = client.begin(&spec.shape, std::slice::from_ref(&spec.origin));
    let said = begun.unwrap_err().to_string();
    assert!(
        said.starts_with("the path was not asked which function it followed"),
        "{said}"
    );
}

/// Kills one of four workers at random times, 12 or `ISOLOSS_KILLS` times in all: all values are those of one worker.
#[test]
fn random_kills_lose_no_point() {
    let kills = std::env::var("ISOLOSS_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let count = plan(400).queries.len();
    let expected = values(&measured(Some(worker("41G")), plan(400), |_| ()), count);
    let launches = vec![worker("42G"); 4];
    let (send, measured) = channel();
    let pool = thread::spawn(move || {
        // It ends with those who wait for it.
        while send.send(measured_by(launches.clone(), plan(400))).is_ok() {}
    });
    let mut random = ChaCha8Rng::seed_from_u64(kills);
    let mut killed = 0;
    while killed < kills {
        thread::sleep(Duration::from_millis(random.random_range(20..150)));
        if let Some(pid) = marked("42G").get(random.random_range(0..4)) {
            killed += u64::from(kill_process(*pid, Signal::KILL).is_ok());
        }
    }
    let all: Vec<_> = measured.try_iter().chain(measured.recv()).collect();
    drop(measured);
    pool.join().unwrap();
    for reports in all {
        let failed = |report: &&WorkerEvent| matches!(report, WorkerEvent::Failed { .. });
        assert_eq!(reports.iter().find(failed), None);
        let found = values(&reports, count);
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            match (found.as_ref().unwrap(), expected.as_ref().unwrap()) {
                // Gradients are summed in f32 over batches, which are halved after a death.
                (QueryAnswer::Curvature(found), QueryAnswer::Curvature(expected)) => {
                    let apart = (found.lambda_max / expected.lambda_max - 1.0).abs();
                    assert!(apart < 1e-6, "{apart}");
                }
                (found, expected) => assert_eq!(bits(found), bits(expected), "{index}"),
            }
        }
    }
}

/// A worker of a few words that says how many seconds each query takes, dies at every query of index 3, and writes each
/// setup to a file.
fn dies_at_three(folder: &TempDir, seconds: f64) -> Launch {
    let setups = folder.path().join("setups");
    script(&format!(
        r#"echo '{{"hello":{{"protocol":1,"version":"0"}}}}'
number() {{ echo "$line" | sed "s/.*\"$1\":\([0-9]*\).*/\1/"; }}
while read -r line; do
  case "$line" in
    '{{"setup"'*) echo "$line" >> '{}'; echo '{{"ready":{{"place":"Cpu","data":{{"loaded":{{"name":"x","samples":9}}}}}}}}' ;;
    '{{"measure"'*)
      if [ "$(number index)" = 3 ]; then echo no room >&2; kill -9 $$; fi
      echo '{{"batch":100}}'
      echo "{{\"found\":{{\"id\":$(number id),\"found\":{{\"value\":{{\"Measure\":{{\"loss\":$(number index).5,\"score\":{{\"f64\":\"7ff8000000000001\"}}}}}},\"seconds\":{seconds}}}}}}}" ;;
  esac
done"#,
        setups.display()
    ))
}

/// One query at a time where they take long, several ahead where they are quick.
#[rstest]
fn a_point_that_kills_twice_is_a_hole_and_the_next_is_measured(#[values(0.5, 0.001)] seconds: f64) {
    let folder = TempDir::new().unwrap();
    let launch = dies_at_three(&folder, seconds);
    let reports = measured(Some(launch), plan(5), |_| ());
    let values = values(&reports, plan(5).queries.len());
    for (index, value) in values.iter().enumerate() {
        let expected =
            (index != 3).then(|| vec![(index as f64 + 0.5).to_bits(), 0x7ff8_0000_0000_0001]);
        assert_eq!(value.as_ref().map(bits), expected, "{index}");
    }
    let failed = reports.iter().find_map(|report| match report {
        WorkerEvent::Failed { index, reason, .. } => Some((*index, reason.clone())),
        _ => None,
    });
    let reason = "the worker on cpu died twice at what it was asked: it was killed, perhaps because memory ran out (signal 9): no room";
    assert_eq!(failed, Some((Some(3), reason.to_owned())));
    let setups = fs::read_to_string(folder.path().join("setups")).unwrap();
    let batches = setups.lines().map(|setup| {
        let setup: serde_json::Value = serde_json::from_str(setup).unwrap();
        setup["setup"]["batch"].as_u64()
    });
    // Half of what it had told, and half of that. After all others it is tried once more.
    let halves = [None, Some(50), Some(25), Some(50)];
    assert_eq!(batches.collect::<Vec<_>>(), halves);
}

/// A worker that dies again and again, whatever it is asked, has answered something before each time.
#[test]
fn deaths_that_are_no_point_s_fault_cost_no_point() {
    let folder = TempDir::new().unwrap();
    let left = folder.path().join("left");
    fs::write(&left, "6").unwrap();
    let launch = script(&format!(
        r#"echo '{{"hello":{{"protocol":1,"version":"0"}}}}'
number() {{ echo "$line" | sed "s/.*\"$1\":\([0-9]*\).*/\1/"; }}
asked=0
while read -r line; do
  case "$line" in
    '{{"setup"'*) echo '{{"ready":{{"place":"Cpu","data":{{"loaded":{{"name":"x","samples":9}}}}}}}}' ;;
    '{{"measure"'*)
      asked=$((asked + 1)); left=$(cat '{0}')
      if [ $asked = 3 ] && [ $left -gt 0 ]; then echo $((left - 1)) > '{0}'; kill -9 $$; fi
      echo "{{\"found\":{{\"id\":$(number id),\"found\":{{\"value\":{{\"Measure\":{{\"loss\":$(number index).5,\"score\":0.5}}}},\"seconds\":0.001}}}}}}" ;;
  esac
done"#,
        left.display()
    ));
    let count = plan(5).queries.len();
    let values = values(&measured(Some(launch), plan(5), |_| ()), count);
    assert!(values.iter().all(Option::is_some), "{values:?}");
    let left: usize = fs::read_to_string(left).unwrap().trim().parse().unwrap();
    assert!(left < 6, "it never died");
}

/// A worker of a few words that answers quickly, each query by its index and the number of the plan that it holds.
const BY_PLAN: &str = r#"echo '{"hello":{"protocol":1,"version":"0"}}'
number() { echo "$line" | sed "s/.*\"$1\":\([0-9]*\).*/\1/"; }
while read -r line; do
  case "$line" in
    '{"setup"'*) echo '{"ready":{"place":"Cpu","data":{"loaded":{"name":"x","samples":9}}}}' ;;
    '{"plan"'*) plan=$(number generation) ;;
    '{"measure"'*)
      echo "{\"found\":{\"id\":$(number id),\"found\":{\"value\":{\"Measure\":{\"loss\":$(number index).5,\"score\":$plan.5}},\"seconds\":0.001}}}" ;;
  esac
done"#;

#[test]
fn a_plan_that_comes_while_queries_are_asked_ahead_gets_its_own_answers() {
    let hosting = Hosting {
        process: Some(script(BY_PLAN)),
        ..Hosting::default()
    };
    let ((requests, served), (send, reports)) = (channel(), channel());
    requests.send(WorkerRequest::Measure(plan(200))).unwrap();
    let pool = thread::spawn(move || {
        serve(&setup(), &hosting, &served, |report| {
            send.send(report).is_ok()
        });
    });
    let second = Plan {
        generation: 4,
        ..plan(30)
    };
    let mut answered = Vec::new();
    loop {
        match reports.recv_timeout(SOON).unwrap() {
            WorkerEvent::Measured {
                generation,
                index,
                value: QueryAnswer::Measure(measure),
                ..
            } => {
                let told = (measure.loss, measure.score);
                assert_eq!(told, (index as f64 + 0.5, generation as f64 + 0.5));
                answered.push((generation, index));
                if (generation, index) == (3, 10) {
                    requests
                        .send(WorkerRequest::Measure(second.clone()))
                        .unwrap();
                }
            }
            WorkerEvent::Done(generation) => {
                assert_eq!(generation, 4);
                break;
            }
            _ => {}
        }
    }
    drop(requests);
    pool.join().unwrap();
    let of_second = answered.iter().filter(|(generation, _)| *generation == 4);
    assert_eq!(of_second.count(), second.queries.len());
    assert!(
        answered.len() < plan(200).queries.len(),
        "the first went on"
    );
}

#[test]
fn a_worker_that_hangs_is_killed_and_its_point_asked_again() {
    let mut launch = worker("1002G");
    launch.silence = Duration::from_secs(3);
    let mut stopped = false;
    let reports = measured(Some(launch), plan(400), |report| {
        if matches!(report, WorkerEvent::Measured { index: 40, .. }) {
            stopped |= signal("1002G", Signal::STOP);
        }
    });
    assert!(stopped);
    let values = values(&reports, plan(400).queries.len());
    assert!(values.iter().all(Option::is_some));
    let hung = |report: &WorkerEvent| matches!(report, WorkerEvent::Trouble(told) if told.contains("it said nothing for 3 s"));
    assert!(reports.iter().any(hung), "{reports:?}");
}

#[test]
fn workers_behind_launchers_with_banners_give_the_values_of_one() {
    let one = measured(Some(worker("40G")), plan(12), |_| ());
    let launch = worker("40G");
    let banner = |text: &str| {
        let own = launch.command.iter().map(|word| word.to_string_lossy());
        let own = own.collect::<Vec<_>>().join(" ");
        let script = format!("{text}; exec {own}");
        Launch::new(
            vec!["sh".into(), "-c".into(), script.into()],
            launch.environment.clone(),
        )
    };
    let launches = vec![
        banner("echo Welcome to node 7; echo; echo '{}'"),
        banner("seq 900"),
        banner(r"printf '\033]0;node7\007'"),
    ];
    let queries = plan(12).queries.len();
    let of = |reports: &[WorkerEvent]| -> Vec<Vec<u64>> {
        let values = values(reports, queries).into_iter();
        values.map(|value| bits(&value.unwrap())).collect()
    };
    for launch in &launches {
        let alone = measured_by(vec![launch.clone()], plan(12));
        assert!(
            alone.contains(&WorkerEvent::Device("cpu".into())),
            "{alone:?}"
        );
        assert_eq!(of(&alone), of(&one));
    }
    let several = measured_by(launches, plan(12));
    assert_eq!(of(&several), of(&one));
}

#[test]
fn what_is_said_instead_of_a_hello_is_quoted() {
    for (text, told) in [
        (
            "echo Welcome to node 7; exit 3",
            "worker on cpu: it ended with exit code 3; it said no hello, and before: Welcome to node 7",
        ),
        (
            r#"echo '{"hello":{"protocol":9,"version":"9.1"}}'; cat"#,
            "the worker is isoloss 9.1 and speaks protocol 9, this one speaks protocol 1",
        ),
        (
            "echo no such device >&2; exit 3",
            "worker on cpu: it ended with exit code 3: no such device",
        ),
    ] {
        let reports = measured(Some(script(text)), plan(1), |_| ());
        assert!(
            reports.contains(&WorkerEvent::NoData(told.into())),
            "{reports:?}"
        );
    }
}

/// Starts a worker and returns what it says.
fn started() -> (std::process::Child, Receiver<String>) {
    let mut child = program()
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = channel();
    thread::spawn(move || {
        let mut lines = stdout.lines().map_while(Result::ok);
        lines.all(|line| send.send(line).is_ok())
    });
    (child, lines)
}

#[test]
fn paths_of_the_command_line_are_those_of_a_worker_that_starts_in_another_folder() {
    let surface = |more: &[&str]| {
        let words = "surface resnet8-fashion --data fashion-mnist --samples 16 --plane random \
                     --x=-1:1:2 --y=-1:1:2 --exact --format json";
        let mut program = program();
        program.args(words.split_whitespace()).args(more);
        let output = program.current_dir(fixture("")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        output.stdout
    };
    let by_login = surface(&["--worker", "sh -c 'cd / && echo Welcome && {}'"]);
    assert!(by_login == surface(&["--in-process"]));
}

#[test]
fn a_folder_that_a_worker_does_not_see_is_named() {
    let (mut child, lines) = started();
    let setup = Setup {
        folder: Some("/not/there".into()),
        ..Setup::of(isoloss::data::DataRequest::whole("data"))
    };
    let order = wire::line(&WorkerOrder::Setup(Box::new(setup))).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{order}\n").as_bytes()).unwrap();
    let _hello = lines.recv_timeout(SOON).unwrap();
    let refused = lines.recv_timeout(SOON).unwrap();
    assert!(
        refused.contains("/not/there: isoloss was started there, and data is looked for in it"),
        "{refused}"
    );
    drop(stdin);
    child.wait().unwrap();
}

#[test]
fn the_end_of_its_input_ends_a_worker_in_order() {
    let (mut child, lines) = started();
    let hello = lines.recv_timeout(SOON).unwrap();
    let hello: serde_json::Value = serde_json::from_str(&hello).unwrap();
    assert_eq!(hello["hello"]["protocol"], 1, "{hello}");
    assert!(hello["hello"]["host"].is_string(), "{hello}");
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3);
    assert_eq!(
        session,
        Some(child.id().to_string().as_str()),
        "its own session"
    );
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(lines.recv_timeout(SOON).is_err());
}

#[test]
fn a_line_that_is_no_order_is_an_error_that_quotes_it() {
    let (mut child, _lines) = started();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"ls -l\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(r#"got "ls -l""#), "{stderr}");
}

/// Ids of worker processes whose parent is this one.
fn workers_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let is_worker = arguments
            .split(|byte| *byte == 0)
            .any(|word| word == b"worker");
        is_worker && fields.split_whitespace().nth(1) == Some(&parent.to_string())
    })
    .collect()
}

#[test]
fn no_worker_is_left_when_the_session_is_killed() {
    let run = fixture("digits-run");
    let mut child = program()
        .args(["watch", &run, "--data", "digits", "--samples", "all"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let workers = loop {
        let workers = workers_of(child.id());
        if !workers.is_empty() {
            break workers;
        }
        assert!(begin.elapsed() < SOON);
        thread::sleep(Duration::from_millis(10));
    };
    // It is at work by now, or about to be.
    thread::sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    let lives = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let begin = Instant::now();
    while workers.iter().any(lives) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{workers:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_worker_above_its_memory_ends_with_the_reason() {
    let mut child = program()
        .args(["worker", "--memory-limit", "1M"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nothing fits there, not even the program.
    let _stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("it took ") && stderr.contains(" MiB, more than --memory-limit 1.00 MiB"),
        "{stderr}"
    );
}
