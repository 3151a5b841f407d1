//! The picture: at every size, in every kind of terminal, and nothing while nothing changes.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::program::fixture;
use super::terminal::{PATIENCE, Terminal, isoloss, wait_until};

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
    terminal.resize(12, 40);
    terminal.wait("small map", |text| {
        !text.contains("trust") && text.contains("step")
    });
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    assert!(terminal.is_restored());
    let text = terminal.text();
    assert!(text.contains("checkpoints, steps 0 to"), "{text}");
}

/// Copies a run that was over months ago: its age is said in days, and does not change.
fn old_run(folder: &Path) {
    let months_ago = SystemTime::now() - Duration::from_secs((100 * 24 + 12) * 3600);
    for entry in fs::read_dir(fixture("digits-run")).unwrap() {
        let from = entry.unwrap();
        let to = folder.join(from.file_name());
        fs::copy(from.path(), &to).unwrap();
        let file = File::options().write(true).open(to).unwrap();
        file.set_modified(months_ago).unwrap();
    }
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let missing = fixture("no-run");
    let folder = tempfile::tempdir().unwrap();
    old_run(folder.path());
    let measured = folder.path().to_str().unwrap();
    let run_alone: &[&str] = &["watch", &missing];
    let with_data: &[&str] = &["watch", measured, "--data", "digits", "--samples", "16"];
    for arguments in [run_alone, with_data] {
        let terminal = Terminal::start(arguments, 30, 100);
        terminal.wait("screen", |text| text.contains("? help"));
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
        assert!(!terminal.text().contains("points/s"), "{}", terminal.text());
    }
}

/// A watched run whose map is there.
fn watched(rows: u16, cols: u16, more: &[&str]) -> Terminal {
    let run = fixture("digits-run");
    let measured = ["watch", &run, "--data", "digits", "--samples", "64"];
    let terminal = Terminal::start(&[&measured[..], more].concat(), rows, cols);
    terminal.wait("path", |text| text.contains("240"));
    terminal
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let mut terminal = watched(40, 120, &[]);
    let sizes = [
        (1, 1),
        (1, 300),
        (2, 5),
        (3, 20),
        (5, 20),
        (10, 40),
        (12, 40),
        (24, 80),
        (100, 1),
        (100, 300),
    ];
    for (rows, cols) in sizes {
        let before = terminal.written();
        terminal.resize(rows, cols);
        wait_until("a frame after a resize", PATIENCE, || {
            terminal.written() > before
        });
        if rows >= 3 && cols >= 20 {
            terminal.wait("status line", |text| {
                text.lines()
                    .nth(usize::from(rows) - 1)
                    .is_some_and(|line| !line.trim().is_empty())
            });
        }
        assert!(terminal.is_running(), "{rows}×{cols}");
    }
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn a_storm_of_resizes_ends_in_a_whole_picture() {
    let (rows, cols) = (60, 160);
    let mut terminal = watched(rows, cols, &[]);
    for step in 0..50 {
        terminal.tell_size(1 + step * 17 % rows, 1 + step * 53 % cols);
        thread::sleep(Duration::from_millis(5));
    }
    terminal.tell_size(rows, cols);
    let whole = |text: &str| {
        let ends = text
            .lines()
            .last()
            .is_some_and(|line| line.contains("help"));
        has_contours(text) && text.contains("trust") && text.lines().count() == 60 && ends
    };
    terminal.wait("whole picture", whole);
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn every_kind_of_terminal_shows_the_run_and_is_given_back() {
    let run = fixture("digits-run");
    for kind in [
        "xterm-256color",
        "screen",
        "tmux-256color",
        "linux",
        "dumb",
        "",
    ] {
        let mut command = isoloss(&["watch", &run, "--data", "digits", "--samples", "16"]);
        command.env_remove("TERM");
        if !kind.is_empty() {
            command.env("TERM", kind);
        }
        let mut terminal = Terminal::spawn(command, 30, 100);
        if kind == "dumb" {
            // It cannot move its cursor, and has lines instead.
            terminal.wait(kind, |text| text.contains("map at rest"));
            terminal.press("\x03");
            assert_ne!(terminal.exit_code(), 0);
        } else {
            terminal.wait(kind, |text| text.contains("PC1"));
            terminal.press("q");
            assert_eq!(terminal.exit_code(), 0, "{kind}");
        }
        assert!(terminal.is_restored(), "{kind}");
    }
}

#[test]
fn pasted_text_presses_no_keys() {
    let mut terminal = watched(30, 100, &[]);
    terminal.press("\x1b[200~q?q\n\x1b[201~");
    // The keys that come after it do what they do.
    terminal.press("4");
    terminal.wait("weights", |text| text.contains("norms"));
    assert!(
        !terminal.text().contains("these keys"),
        "{}",
        terminal.text()
    );
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn the_mouse_zooms_only_where_it_was_asked_for() {
    let mut terminal = watched(40, 120, &["--mouse"]);
    assert!(terminal.reports_the_mouse());
    terminal.press("\x1b[<64;40;15M");
    terminal.wait("window", |text| text.contains("PCA plane, window"));
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    assert!(terminal.is_restored());
    assert!(!watched(40, 120, &[]).reports_the_mouse());
}
