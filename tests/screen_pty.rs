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
    /// The bytes themselves.
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(arguments: &[&str], rows: u16, cols: u16) -> Self {
        Self::start_in(&[], arguments, rows, cols)
    }

    /// Starts with these variables set, beside those that every test sets.
    fn start_in(variables: &[(&str, &str)], arguments: &[&str], rows: u16, cols: u16) -> Self {
        let size = PtySize {
            rows,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_isoloss"));
        command.args(arguments);
        for name in [
            "COLORTERM",
            "COLORFGBG",
            "NO_COLOR",
            "TMUX",
            "STY",
            "TERM_PROGRAM",
        ] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        for (name, value) in variables {
            command.env(name, value);
        }
        command.env("XDG_STATE_HOME", std::env::temp_dir().join("isoloss-tests"));
        let child = pty.slave.spawn_command(command).unwrap();
        let mut output = pty.master.try_clone_reader().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, cols, 0)));
        let parser = Arc::clone(&screen);
        let written = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&written);
        let all = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&all);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                parser.lock().unwrap().process(&bytes[..count]);
                kept.lock().unwrap().extend_from_slice(&bytes[..count]);
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
            bytes: all,
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

    /// How often these bytes were written so far.
    fn sent(&self, wanted: &str) -> usize {
        let bytes = self.bytes.lock().unwrap();
        String::from_utf8_lossy(&bytes).matches(wanted).count()
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

/// The screen of a run that is not there, with its title.
fn bare(variables: &[(&str, &str)], options: &[&str]) -> Terminal {
    let missing = fixture("no-run");
    let arguments = [&["watch", &missing], options].concat();
    let terminal = Terminal::start_in(variables, &arguments, 30, 100);
    terminal.wait("screen", |text| text.contains("No checkpoint yet"));
    terminal
}

#[test]
fn the_terminal_is_sent_no_more_colours_than_it_has() {
    let truecolor = bare(&[("COLORTERM", "truecolor")], &[]);
    assert!(truecolor.sent("38;2;") > 0 && truecolor.sent("48;2;17;21;26") > 0);
    let few = bare(&[], &[]);
    assert_eq!(few.sent("8;2;"), 0);
    assert!(few.sent("48;5;233") > 0, "the ground of the dark theme");
    let sixteen = bare(&[("COLORTERM", "truecolor")], &["--color", "16"]);
    assert_eq!(sixteen.sent("8;2;"), 0);
    assert!(sixteen.sent("48;5;0m") > 0 || sixteen.sent("48;5;0;") > 0);
    let large = (16..256).map(|number| sixteen.sent(&format!("8;5;{number}")));
    assert_eq!(large.sum::<usize>(), 0);
}

#[test]
fn without_colours_bold_is_kept_and_no_colour_is_sent() {
    type Asked = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let asked: [Asked; 3] = [
        (&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")], &[]),
        (&[("TERM", "vt100")], &[]),
        (&[], &["--color", "never", "--theme", "nord"]),
    ];
    for (variables, options) in asked {
        let terminal = bare(variables, options);
        for coloured in ["8;2;", "8;5;"] {
            assert_eq!(terminal.sent(coloured), 0, "{variables:?} {options:?}");
        }
        let parser = terminal.screen.lock().unwrap();
        let name = parser.screen().cell(0, 1).unwrap();
        assert_eq!((name.contents(), name.bold()), ("i", true));
    }
}

#[test]
fn a_terminal_that_says_its_ground_is_light_gets_the_light_theme() {
    let missing = fixture("no-run");
    let mut terminal = Terminal::start_in(
        &[("COLORTERM", "truecolor"), ("SSH_CONNECTION", "a far one")],
        &["watch", &missing],
        30,
        100,
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    while terminal.sent("\x1b]11;?") == 0 {
        assert!(Instant::now() < deadline, "the terminal is not asked");
        thread::sleep(Duration::from_millis(5));
    }
    // A key before the answer is a key.
    terminal.press("?\x1b]11;rgb:fbfb/fbfb/f8f8\x1b\\\x1b[?62;c");
    terminal.wait("help", |text| text.contains("keys · "));
    assert!(terminal.sent("48;2;251;251;248") > 0);
    assert_eq!(terminal.sent("48;2;17;21;26"), 0);
}

#[test]
fn a_terminal_that_does_not_answer_is_not_waited_for_and_no_key_is_lost() {
    let missing = fixture("no-run");
    let mut terminal = Terminal::start_in(
        &[("COLORTERM", "truecolor"), ("COLORFGBG", "0;15")],
        &["watch", &missing],
        30,
        100,
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    while terminal.sent("\x1b]11;?") == 0 {
        assert!(Instant::now() < deadline, "the terminal is not asked");
        thread::sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    terminal.press("?");
    terminal.wait("help", |text| text.contains("keys · "));
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(
        terminal.sent("48;2;251;251;248") > 0,
        "COLORFGBG is asked next"
    );
    terminal.press("?q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn a_theme_that_was_asked_for_needs_no_answer_and_a_bad_file_is_named() {
    let home = tempfile::tempdir().unwrap();
    let themes = home.path().join("isoloss/themes");
    std::fs::create_dir_all(&themes).unwrap();
    std::fs::write(themes.join("sea.toml"), "ground = \"blue\"").unwrap();
    let variables = [
        ("XDG_CONFIG_HOME", home.path().to_str().unwrap()),
        ("COLORTERM", "truecolor"),
    ];
    let terminal = bare(&variables, &["--theme", "nord"]);
    assert_eq!(terminal.sent("\x1b]11;?"), 0);
    assert!(terminal.sent("48;2;46;52;64") > 0);
    let text = terminal.text();
    assert!(
        text.contains("ground: expected #rrggbb, found \"blue\""),
        "{text}"
    );
}

#[test]
fn in_ascii_the_terminal_is_sent_7_bits_alone() {
    for (variables, options) in [
        (&[][..], &["--ascii"][..]),
        (&[("LC_ALL", "POSIX")], &[]),
        (&[("TERM", "linux")], &[]),
    ] {
        let terminal = bare(variables, options);
        let bytes = terminal.bytes.lock().unwrap();
        assert!(bytes.iter().all(u8::is_ascii), "{variables:?} {options:?}");
    }
}
