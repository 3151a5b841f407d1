//! Commands on a folder that does not change.

use std::io::Read;
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::answer::{is_near, nearest, words};
use crate::folder::Folder;

/// Plays a case's command, and those of `more`; the differences of all.
pub(crate) fn play(folder: &Folder, case: &Value) -> Vec<String> {
    let more = case["more"].as_array().into_iter().flatten();
    std::iter::once(case)
        .chain(more)
        .flat_map(|check| {
            let output = finished(folder, &check["command"]);
            let command = check["command"].to_string();
            differences(check, &output)
                .into_iter()
                .map(move |difference| format!("{command}: {difference}"))
        })
        .collect()
}

/// Runs a command to its end; one that hangs is ended, so that the others are still played.
fn finished(folder: &Folder, arguments: &Value) -> Output {
    let mut command = folder.command(arguments);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = all(child.stdout.take().unwrap());
    let stderr = all(child.stderr.take().unwrap());
    let status = ended(&mut child, Duration::from_secs(120));
    Output {
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn all(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Waits for the end, and makes it where it does not come.
pub(crate) fn ended(child: &mut Child, within: Duration) -> std::process::ExitStatus {
    let deadline = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn differences(check: &Value, output: &Output) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    if stderr.contains("panicked") {
        return vec![stderr];
    }
    let mut sentences: Vec<String> = stderr.lines().map(str::to_owned).collect();
    let result = serde_json::from_str(&stdout).unwrap_or(Value::Null);
    match &result {
        Value::Null => sentences.extend(stdout.lines().map(str::to_owned)),
        result => strings(result, &mut sentences),
    }
    nearest(check, |answer| {
        let mut out = Vec::new();
        let code = answer["exit"].as_i64().unwrap_or(0);
        if output.status.code().map(i64::from) != Some(code) {
            out.push(format!("{}, not exit {code}: {stderr}", output.status));
        } else if code == 0 {
            out.extend(numbers(answer, &result));
        }
        out.extend(words(answer, &sentences));
        out
    })
}

/// Differences in numbers; a list of lists of steps has several right ones.
fn numbers(answer: &Value, result: &Value) -> Vec<String> {
    let keys = ["steps", "step", "parameters", "norm", "explained"];
    let named = keys.into_iter().filter(|key| !answer[key].is_null());
    named
        .filter(|key| {
            let any = answer[key].as_array().filter(|any| any[0].is_array());
            let is_right = |want| is_near(want, &result[key], key);
            !any.map_or_else(|| is_right(&answer[key]), |any| any.iter().any(is_right))
        })
        .map(|key| format!("{key} {}, not {}", result[key], answer[key]))
        .collect()
}

/// Every string of a JSON value.
fn strings(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
        Value::Object(values) => values.values().for_each(|value| strings(value, into)),
        _ => {}
    }
}
