//! The screen in a real pseudo-terminal: the demo from start to quit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]
#![cfg(unix)]

mod program;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use program::fixture;

/// The program in a terminal of its own.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Bytes that were written to it so far.
    written: Arc<AtomicUsize>,
}

impl Terminal {
    fn start(arguments: &[&str], rows: u16, cols: u16) -> Self {
        let size = PtySize {
            rows,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_isoloss"));
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("XDG_STATE_HOME", std::env::temp_dir().join("isoloss-tests"));
        command.env(
            "XDG_CONFIG_HOME",
            std::env::temp_dir().join("isoloss-tests"),
        );
        let child = pty.slave.spawn_command(command).unwrap();
        let mut output = pty.master.try_clone_reader().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, cols, 0)));
        let parser = Arc::clone(&screen);
        let written = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&written);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                parser.lock().unwrap().process(&bytes[..count]);
                counter.fetch_add(count, Ordering::SeqCst);
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Self {
            child,
            master: pty.master,
            keys,
            screen,
            written,
        }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen is as wanted, and returns it.
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "no {what} on\n{text}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Bytes that are written within this time.
    fn written_in(&self, time: Duration) -> usize {
        let before = self.written.load(Ordering::SeqCst);
        thread::sleep(time);
        self.written.load(Ordering::SeqCst) - before
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn exit_code(&mut self) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("still running");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Dots of braille: contour lines and the path.
fn has_contours(text: &str) -> bool {
    text.contains("PC1")
        && text
            .chars()
            .filter(|c| ('\u{2801}'..='\u{28ff}').contains(c))
            .count()
            > 150
}

#[test]
fn the_demo_draws_contours_and_quits_cleanly() {
    let mut terminal = Terminal::start(&["demo"], 40, 120);
    let text = terminal.wait("contours", |text| {
        has_contours(text) && text.contains("step")
    });
    assert!(text.contains("isoloss") && text.contains("trust"), "{text}");
    terminal.press("?");
    terminal.wait("help", |text| text.contains("freeze"));
    terminal.press("?");
    let size = PtySize {
        rows: 12,
        cols: 40,
        pixel_width: 0,
        pixel_height: 0,
    };
    terminal.master.resize(size).unwrap();
    terminal
        .screen
        .lock()
        .unwrap()
        .screen_mut()
        .set_size(12, 40);
    terminal.wait("small map", |text| {
        !text.contains("trust") && text.contains("step")
    });
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    let parser = terminal.screen.lock().unwrap();
    let screen = parser.screen();
    assert!(
        !screen.alternate_screen() && !screen.hide_cursor(),
        "the terminal is as it was"
    );
    assert!(
        screen.contents().contains("checkpoints, steps 0 to"),
        "{}",
        screen.contents()
    );
}

#[test]
fn a_termination_signal_restores_the_terminal() {
    let run = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(&["watch", run.path().to_str().unwrap()], 30, 100);
    terminal.wait("screen", |text| text.contains("isoloss"));
    let before = terminal.text();
    assert!(
        terminal.screen.lock().unwrap().screen().alternate_screen(),
        "{before}"
    );
    let pid = terminal.child.process_id().unwrap().to_string();
    std::process::Command::new("kill")
        .arg(&pid)
        .status()
        .unwrap();
    assert_eq!(terminal.exit_code(), 0);
    thread::sleep(Duration::from_millis(200));
    assert!(!terminal.screen.lock().unwrap().screen().alternate_screen());
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let missing = fixture("no-run");
    let measured = fixture("digits-run");
    let run_alone: &[&str] = &["watch", &missing];
    let with_data: &[&str] = &["watch", &measured, "--data", "digits", "--samples", "16"];
    for arguments in [run_alone, with_data] {
        let terminal = Terminal::start(arguments, 30, 100);
        terminal.wait("screen", |text| text.contains("isoloss"));
        let deadline = Instant::now() + Duration::from_secs(120);
        while terminal.written_in(Duration::from_secs(4)) > 0 {
            assert!(Instant::now() < deadline, "no rest on\n{}", terminal.text());
        }
        // Two scans of the folder, and what a pace is taken over.
        assert_eq!(
            terminal.written_in(Duration::from_secs(5)),
            0,
            "{arguments:?}"
        );
        assert!(!terminal.text().contains("pt/s"), "{}", terminal.text());
    }
}
