//! Every way out: signals, a terminal that is gone, a reader who has seen enough.

use std::process::Stdio;
use std::time::Instant;

use super::program::{fixture, program};
use super::terminal::{PATIENCE, SOON, Terminal, command, isoloss};

/// Work for minutes: a network with convolutions, all its samples.
fn busy() -> [String; 6] {
    let (run, data) = (fixture("resnet8-fashion"), fixture("fashion-mnist"));
    ["watch", &run, "--data", &data, "--samples", "all"].map(str::to_owned)
}

#[test]
fn a_signal_ends_it_with_its_own_exit_code_and_the_terminal_as_it_was() {
    let run = tempfile::tempdir().unwrap();
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let mut terminal = Terminal::start(&["watch", run.path().to_str().unwrap()], 30, 100);
        terminal.wait("screen", |text| text.contains("isoloss"));
        assert!(terminal.is_up());
        terminal.send(signal);
        assert_eq!(terminal.exit_code(), 128 + number, "{signal}");
        assert!(terminal.is_restored(), "{signal}");
    }
}

#[test]
fn it_is_gone_soon_after_its_terminal_however_busy_it_is() {
    let busy = busy();
    let arguments: Vec<&str> = busy.iter().map(String::as_str).collect();
    let mut without_hang_up = command("/bin/sh");
    without_hang_up.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    without_hang_up.args([&[env!("CARGO_BIN_EXE_isoloss")], &arguments[..]].concat());
    for command in [isoloss(&arguments), isoloss(&["demo"]), without_hang_up] {
        let mut terminal = Terminal::spawn(command, 30, 100);
        terminal.wait("path", |text| text.contains("PC1"));
        terminal.hang_up();
        assert_eq!(terminal.exit_code_within(SOON), 128 + 1);
    }
}

#[test]
fn a_stalled_terminal_does_not_keep_it() {
    let mut terminal = Terminal::start(&["watch", &fixture("digits-run"), "--fps", "60"], 100, 300);
    terminal.wait("path", |text| text.contains("PC1"));
    // Nobody reads from now on: the next frames fill what the system buffers.
    terminal.stall();
    for _ in 0..50 {
        terminal.press("1");
        terminal.press("4");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    terminal.send("TERM");
    let asked = Instant::now();
    assert_eq!(terminal.exit_code_within(PATIENCE), 128 + 15);
    assert!(asked.elapsed() < 2 * SOON, "{:?}", asked.elapsed());
}

#[test]
fn whoever_reads_the_output_may_have_enough_of_it() {
    let run = fixture("digits-run");
    for command in [
        &["trajectory", &run][..],
        &["trajectory", &run, "--format", "csv"],
        &["weights", &run],
        &["inspect", &run],
        &["average", &run, "--data", "digits", "--samples", "16"],
        &["completions", "man"],
        &["watch", &run],
    ] {
        let mut child = program()
            .args(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // As `head` does once it has its lines.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
        assert_eq!(said, "", "{command:?}");
    }
}
