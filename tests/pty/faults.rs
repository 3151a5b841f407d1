//! Faults beside the picture: panics, and libraries that write where the picture is.
//!
//! No command of the program fails on demand, so this test program runs itself in the terminal: a
//! screen whose session has a fault when `r` is pressed.

use std::fs::{self, File};
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use isoloss::session::{Command, Snapshot};
use isoloss::tui::run::run;
use isoloss::tui::{App, Appearance, End, Wishes};
use tokio::sync::watch;

use super::terminal::{Terminal, command};

const FAULT: &str = "ISOLOSS_TEST_FAULT";
const LOG: &str = "ISOLOSS_TEST_LOG";

#[test]
#[ignore = "the program that the other tests run in a terminal"]
fn screen_with_a_fault() {
    let fault = std::env::var(FAULT).unwrap();
    let log = File::options()
        .append(true)
        .create(true)
        .open(std::env::var(LOG).unwrap())
        .unwrap();
    let (publish, snapshots) = watch::channel(Arc::new(Snapshot::default()));
    let session = Mutex::new(Some(publish));
    let command = |command| {
        if command != Command::Rescan {
            return;
        }
        match fault.as_str() {
            "worker" => {
                let publish = session.lock().unwrap().take();
                let worker = move || {
                    let _publish = publish;
                    panic!("the worker is broken");
                };
                let _ = thread::spawn(worker).join();
            }
            "library" => {
                let noise = "echo noise of a library >&2";
                Process::new("sh").args(["-c", noise]).status().unwrap();
            }
            _ => panic!("the screen is broken"),
        }
    };
    let wishes = Wishes {
        mouse: true,
        log: Some(log),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let shown = run(
        App::new(Appearance::default()),
        snapshots,
        Vec::new(),
        Duration::ZERO,
        wishes,
        command,
        std::future::pending(),
    );
    let (_, end) = runtime.block_on(shown).unwrap();
    assert_eq!(end, End::Quit);
    eprintln!("the end is told");
}

/// A screen that has had its fault, and the path of its log.
fn faulty(fault: &str) -> (Terminal, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(std::env::current_exe().unwrap());
    command.args([
        "--ignored",
        "--exact",
        "faults::screen_with_a_fault",
        "--nocapture",
    ]);
    command.env(FAULT, fault);
    command.env(LOG, folder.path().join("log"));
    let mut terminal = Terminal::spawn(command, 30, 100);
    terminal.wait("screen", |text| text.contains("No checkpoint yet"));
    assert!(terminal.is_up() && terminal.reports_the_mouse());
    terminal.press("r");
    (terminal, folder)
}

#[test]
fn a_worker_that_panics_becomes_a_banner_and_the_screen_lives_on() {
    let (mut terminal, _folder) = faulty("worker");
    terminal.wait("banner", |text| text.contains("the session stopped"));
    terminal.press("?");
    let text = terminal.wait("help", |text| text.contains("freeze"));
    assert!(!text.contains("the worker is broken"), "{text}");
    assert!(terminal.is_up());
    terminal.press("?q");
    assert_eq!(terminal.exit_code(), 0);
    assert!(terminal.is_restored());
}

#[test]
fn a_panic_of_the_screen_is_told_on_the_restored_terminal() {
    let (mut terminal, _folder) = faulty("screen");
    assert_eq!(terminal.exit_code(), 101);
    assert!(terminal.is_restored());
    let text = terminal.text();
    assert!(text.contains("the screen is broken"), "{text}");
}

#[test]
fn what_a_library_writes_to_stderr_is_in_the_log_and_not_on_the_picture() {
    let (mut terminal, folder) = faulty("library");
    // Keys are dealt with in turn: once the help is there, the noise was made.
    terminal.press("?");
    let text = terminal.wait("help", |text| text.contains("freeze"));
    assert!(!text.contains("noise"), "{text}");
    terminal.press("?q");
    assert_eq!(terminal.exit_code(), 0);
    let text = terminal.text();
    assert!(
        text.contains("the end is told") && !text.contains("noise"),
        "{text}"
    );
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log, "noise of a library\n");
}
