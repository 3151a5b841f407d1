//! Ctrl-z and `fg`, in a shell with job control.

use std::process::Command;

use super::program::fixture;
use super::terminal::{PATIENCE, Terminal, command, send, state, wait_until};

/// A shell in which the program is the foreground job; and the program's process.
fn shell_with_job() -> (Terminal, u32) {
    let mut command = command("/bin/sh");
    command.arg("-i");
    command.env("ENV", "");
    command.env("PS1", "ready> ");
    let mut shell = Terminal::spawn(command, 30, 100);
    shell.wait("prompt", |text| text.contains("ready>"));
    let (program, run) = (env!("CARGO_BIN_EXE_isoloss"), fixture("digits-run"));
    shell.press(&format!(
        "'{program}' watch '{run}' --data digits --samples 16\n"
    ));
    shell.wait("map", |text| text.contains("PC1"));
    let children = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output();
    let children = String::from_utf8(children.unwrap().stdout).unwrap();
    let of_shell = |line: &str| {
        let (pid, parent) = line.trim().split_once(' ')?;
        (parent.trim() == shell.pid().to_string()).then(|| pid.parse().unwrap())
    };
    let job = children.lines().find_map(of_shell).unwrap();
    (shell, job)
}

/// Waits until the job is stopped and the shell has the terminal as it wants it.
fn assert_suspended(shell: &Terminal, job: u32) {
    wait_until("stopped", PATIENCE, || state(job).starts_with('T'));
    shell.wait("prompt", |text| {
        text.contains("ready>") && !text.contains("PC1")
    });
    assert!(shell.is_restored());
}

/// Waits until the whole picture is there again.
fn assert_resumed(shell: &Terminal) {
    let whole = |text: &str| {
        let last = text.lines().last().unwrap_or_default();
        text.contains("PC1") && text.contains("landscape") && last.contains("help")
    };
    shell.wait("map", whole);
    assert!(shell.is_up());
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_picture_back() {
    let (mut shell, job) = shell_with_job();
    for _ in 0..2 {
        shell.press("\x1a");
        assert_suspended(&shell, job);
        shell.press("fg\n");
        assert_resumed(&shell);
    }
    shell.press("q");
    let over = |text: &str| {
        text.contains("checkpoints, steps 0 to") && text.trim_end().ends_with("ready>")
    };
    shell.wait("end", over);
    assert!(shell.is_restored());
}

#[test]
fn signals_from_elsewhere_stop_it_and_make_it_go_on() {
    let (mut shell, job) = shell_with_job();
    send("TSTP", job);
    assert_suspended(&shell, job);
    shell.press("fg\n");
    assert_resumed(&shell);
    // Nobody can be asked before this one: the shell finds the terminal as it is.
    send("STOP", job);
    wait_until("stopped", PATIENCE, || state(job).starts_with('T'));
    shell.resize(24, 80);
    send("CONT", job);
    shell.press("fg\n");
    assert_resumed(&shell);
    shell.press("q");
    shell.wait("end", |text| text.contains("checkpoints, steps 0 to"));
}

#[test]
fn without_a_shell_nothing_stops_it() {
    let mut alone = Terminal::start(&["watch", &fixture("digits-run")], 30, 100);
    alone.wait("path", |text| text.contains("PC1"));
    alone.press("\x1a");
    alone.press("?");
    alone.wait("help", |text| text.contains("freeze"));
    assert!(!state(alone.pid()).starts_with('T'));
    alone.press("q");
    assert_eq!(alone.exit_code(), 0);
}
