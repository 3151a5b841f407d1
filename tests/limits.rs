//! The program where the system gives little: few descriptors, small files, no reader. One sentence tells of it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![cfg(target_os = "linux")]

mod program;

use std::fs;
use std::process::Output;

use program::{fixture, program};
use rstest::rstest;

/// Runs the program, which is `$0`, in a shell.
fn shell(script: &str, arguments: &[&str]) -> Output {
    let program = program();
    let mut shell = std::process::Command::new("bash");
    let variables = program.get_envs();
    shell.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    shell.args(["-c", script]).arg(program.get_program());
    shell.args(arguments).output().unwrap()
}

/// The one sentence that was said of a failure.
fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.starts_with("isoloss: ") && text.lines().count() == 1,
        "{text}"
    );
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn too_few_descriptors_are_told_before_a_session_begins() {
    let script = r#"ulimit -n 12; exec timeout 20 "$0" watch "$1""#;
    let text = said(&shell(script, &[&fixture("digits-run")]));
    assert!(text.contains("ulimit -n"), "{text}");
}

#[test]
fn a_limit_on_the_size_of_files_is_told_like_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.json");
    let script = r#"ulimit -f 1; exec "$0" trajectory "$1" --format json --out "$2""#;
    let run = fixture("digits-run");
    let text = said(&shell(script, &[&run, out.to_str().unwrap()]));
    assert!(text.contains("cannot be written"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[rstest]
#[case::help(r#"exec "$0" --help >/dev/full"#)]
#[case::version(r#"exec "$0" --version >/dev/full"#)]
#[case::result(r#"exec "$0" inspect "$1" >/dev/full"#)]
#[case::only_read(r#"exec "$0" inspect "$1" 1</dev/null"#)]
#[case::watch_only_read(r#"exec timeout 20 "$0" watch "$1" 1</dev/null"#)]
fn what_nobody_can_read_is_a_failure(#[case] script: &str) {
    said(&shell(script, &[&fixture("digits-run")]));
}

#[test]
fn doctor_tells_of_names_that_are_not_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"m\xff_1.safetensors");
    let from = fixture("digits-run/step_0010.safetensors");
    fs::copy(from, folder.path().join(name)).unwrap();
    for format in ["text", "json"] {
        let output = program()
            .args(["doctor", "--format", format])
            .arg(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}
