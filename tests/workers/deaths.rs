//! Workers that die, hang or kill points.

use super::*;

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
