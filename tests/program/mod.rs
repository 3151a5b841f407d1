//! The built program, for tests that use it as a user does.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::process::{Command, Output};

use isoloss::data::DataRequest;
use isoloss::landscape::worker::protocol::QueryAnswer as Measured;
use isoloss::landscape::{Place, Precision, Setup};
use isoloss::run::Checkpoint;
use isoloss::weights::{BatchNorm, Directions, Ignore, Norm, PlaneSpec, RunShape};
use serde_json::Value;

/// The digits on these devices, measured by a model that names tell.
pub(crate) fn digits(devices: &[Place], precision: Precision) -> Setup {
    Setup {
        devices: devices.to_vec(),
        precision,
        ..Setup::of(DataRequest::whole("digits"))
    }
}

/// A random plane through a checkpoint.
pub(crate) fn random_plane(origin: &Checkpoint) -> PlaneSpec {
    PlaneSpec {
        shape: RunShape::of(origin, None).unwrap(),
        origin: origin.clone(),
        directions: Directions::Random {
            seed: 1,
            norm: Norm::Filter,
            ignore: Ignore::Biasbn,
            orthogonal: false,
        },
        batch_norm: BatchNorm::Frozen,
    }
}

/// The bits of a measured value's numbers.
pub(crate) fn bits(value: &Measured) -> Vec<u64> {
    let numbers = match value {
        Measured::Measure(measure) => vec![measure.loss, measure.score],
        Measured::Critical(step) => vec![step.step],
        Measured::Curvature(ends) => vec![ends.lambda_max, ends.lambda_min],
        Measured::Density(density) => [&density.nodes[..], &density.weights].concat(),
        Measured::Part(sums) => vec![sums.totals.loss.value()],
        Measured::Assumed => Vec::new(),
    };
    numbers.into_iter().map(f64::to_bits).collect()
}

/// Path of a file or folder of tests/fixtures.
pub(crate) fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// The program with its log in a folder that goes away, and without a configuration of whoever runs the tests.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isoloss"));
    command.env("XDG_STATE_HOME", std::env::temp_dir().join("isoloss-tests"));
    command.env(
        "XDG_CONFIG_HOME",
        std::env::temp_dir().join("isoloss-tests"),
    );
    // Copies of one test's run must not be the start of another's.
    let cache = format!("isoloss-tests/cache-{}", std::process::id());
    command.env("XDG_CACHE_HOME", std::env::temp_dir().join(cache));
    command.env("ISOLOSS_KEEP", "none");
    command.env("ISOLOSS_NO_CACHE", "true");
    // Behind the other tests its workers would wait for ever.
    command.env("ISOLOSS_BUDGET", "all");
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// Runs it and expects success and JSON.
pub(crate) fn json(arguments: &[&str]) -> Value {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs it and expects this exit code; returns what it said on stderr.
pub(crate) fn refusal(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "stdout carries only the result");
    stderr
}
