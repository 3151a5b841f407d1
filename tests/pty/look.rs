//! Colours, themes and characters: what of them reaches the terminal.

use std::time::{Duration, Instant};

use super::program::fixture;
use super::terminal::{PATIENCE, Terminal, isoloss, wait_until};

/// The program with these variables set, and none of those that would tell of the terminal around the tests.
fn start(variables: &[(&str, &str)], arguments: &[&str]) -> Terminal {
    let mut command = isoloss(arguments);
    let others = [
        "COLORTERM",
        "COLORFGBG",
        "NO_COLOR",
        "TMUX",
        "STY",
        "SSH_CONNECTION",
        "TERM_PROGRAM",
    ];
    for name in others {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8");
    for (name, value) in variables {
        command.env(name, value);
    }
    Terminal::spawn(command, 30, 100)
}

/// The screen of a run that is not there, with its title.
fn bare(variables: &[(&str, &str)], options: &[&str]) -> Terminal {
    let missing = fixture("no-run");
    let arguments = [&["watch", &missing], options].concat();
    let terminal = start(variables, &arguments);
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
        assert!(terminal.is_bold(0, 1), "{}", terminal.text());
    }
}

#[test]
fn a_terminal_that_says_its_ground_is_light_gets_the_light_theme() {
    let missing = fixture("no-run");
    let mut terminal = start(
        &[("COLORTERM", "truecolor"), ("SSH_CONNECTION", "a far one")],
        &["watch", &missing],
    );
    wait_until("the terminal is asked", PATIENCE, || {
        terminal.sent("\x1b]11;?") > 0
    });
    // A key before the answer is a key.
    terminal.press("?\x1b]11;rgb:fbfb/fbfb/f8f8\x1b\\\x1b[?62;c");
    terminal.wait("help", |text| text.contains("keys · "));
    assert!(terminal.sent("48;2;251;251;248") > 0);
    assert_eq!(terminal.sent("48;2;17;21;26"), 0);
}

#[test]
fn a_terminal_that_does_not_answer_is_not_waited_for_and_no_key_is_lost() {
    let missing = fixture("no-run");
    let mut terminal = start(
        &[("COLORTERM", "truecolor"), ("COLORFGBG", "0;15")],
        &["watch", &missing],
    );
    wait_until("the terminal is asked", PATIENCE, || {
        terminal.sent("\x1b]11;?") > 0
    });
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
        let text = terminal.text();
        assert!(text.is_ascii(), "{variables:?} {options:?}\n{text}");
    }
}
