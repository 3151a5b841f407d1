//! The findings of `doctor`.

use std::fs;

use super::program::{fixture, program, run};
use super::{array, assert_fields, copy, stdout};

/// Returns what `doctor` prints of a fact.
fn fact<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let of = |line: &'a str| Some(line.strip_prefix(name)?.strip_prefix("  ")?.trim_start());
    text.lines().filter_map(of).collect()
}

#[test]
fn doctor_tells_of_a_good_run() {
    let run = fixture("digits-run");
    let text = stdout(&["doctor", &run]);
    assert_eq!(fact(&text, "version"), [env!("CARGO_PKG_VERSION")]);
    assert!(fact(&text, "stdout")[0].starts_with("no terminal"));
    assert!(fact(&text, "glyphs")[0].contains('⣿'));
    let checkpoints = fact(&text, "checkpoints")[0];
    assert!(
        checkpoints.starts_with("25, the last one step 240: "),
        "{text}"
    );
    assert!(checkpoints.ends_with("step_0240.safetensors"), "{text}");
    assert!(fact(&text, "left out").is_empty(), "{text}");
    assert_eq!(fact(&text, "cpu"), ["opens"]);
    assert!(fact(&text, "log")[0].ends_with("isoloss.log"));
    let found = text
        .lines()
        .map(|line| line.chars().nth("checkpoints  ".len()));
    assert!(
        found.clone().all(|first| first.is_some_and(|c| c != ' ')),
        "{text}"
    );
}

#[test]
fn doctor_tells_what_the_environment_makes_of_the_screen() {
    let terminal = |variables: &[(&str, &str)]| {
        let mut command = program();
        for name in [
            "COLORTERM",
            "NO_COLOR",
            "LC_ALL",
            "LC_CTYPE",
            "TMUX",
            "STY",
            "TERM_PROGRAM",
            "COLORFGBG",
            "SSH_CONNECTION",
        ] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let output = command
            .args(["doctor", "--format", "json"])
            .output()
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["run"].is_null() && output.status.success());
        report["terminal"].clone()
    };
    let bare = terminal(&[
        ("TERM", "xterm"),
        ("LANG", "C"),
        ("SSH_CONNECTION", "::1 9 ::1 22"),
    ]);
    assert_eq!(
        (&bare["theme"], &bare["color"]),
        (&"dark".into(), &"256".into())
    );
    assert_eq!(bare["color_reason"], "TERM is xterm");
    assert_eq!(bare["screen_marker"], "ascii");
    assert_eq!(bare["screen_marker_reason"], "LANG is C, without UTF-8");
    assert_eq!(
        (&bare["text_marker"], &bare["utf8"]),
        (&"ascii".into(), &false.into())
    );
    assert_eq!(bare["within"], serde_json::json!(["ssh"]));
    assert!(bare["environment"]["COLORTERM"].is_null());
    let rich = terminal(&[
        ("COLORTERM", "truecolor"),
        ("LANG", "C.UTF-8"),
        ("NO_COLOR", "1"),
    ]);
    assert_eq!(
        (&rich["theme"], &rich["color"]),
        (&"mono".into(), &"never".into())
    );
    assert_eq!(rich["color_reason"], "NO_COLOR is set");
    let light = terminal(&[
        ("TERM", "xterm-kitty"),
        ("LANG", "C.UTF-8"),
        ("COLORFGBG", "0;15"),
    ]);
    assert_eq!(
        (&light["theme"], &light["color"], &light["screen_marker"]),
        (&"light".into(), &"truecolor".into(), &"braille".into())
    );
    assert_eq!(light["theme_reason"], "COLORFGBG is 0;15");
    assert_eq!(
        (&rich["text_marker"], &rich["utf8"]),
        (&"braille".into(), &true.into())
    );
    assert_eq!(rich["environment"]["COLORTERM"], "truecolor");
}

#[test]
fn doctor_json_has_the_fields_that_programs_rely_on() {
    let run = fixture("digits-run");
    let text = stdout(&["doctor", &run, "--format", "json"]);
    let names = [
        "version",
        "terminal",
        "stdout_is_terminal",
        "size",
        "environment",
        "color",
        "color_reason",
        "theme",
        "theme_reason",
        "themes",
        "unusable_themes",
        "screen_marker",
        "screen_marker_reason",
        "text_marker",
        "utf8",
        "within",
        "run",
        "path",
        "filesystem",
        "watching",
        "checkpoints",
        "last",
        "step",
        "path",
        "left_out",
        "error",
        "threads",
        "cores",
        "vectors",
        "lanes",
        "devices",
        "name",
        "error",
        "auto",
        "yielding",
        "ordinary",
        "polite",
        "log",
    ];
    assert_fields(&text, &names);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            &report["run"]["checkpoints"],
            &report["run"]["last"]["step"]
        ),
        (&25.into(), &240.into())
    );
    let devices: Vec<&str> = array(&report["devices"])
        .iter()
        .map(|device| device["name"].as_str().unwrap())
        .collect();
    assert_eq!(devices, ["cpu", "cuda:0", "metal"]);
}

#[test]
fn doctor_counts_what_cannot_be_read_and_fails_where_nothing_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    copy(
        "digits-run/step_0240.safetensors",
        &folder.path().join("step_240.safetensors"),
    );
    for step in 1..=5 {
        fs::write(
            folder.path().join(format!("step_{step}.pt")),
            "no checkpoint",
        )
        .unwrap();
    }
    let text = stdout(&["doctor", path]);
    assert!(
        fact(&text, "checkpoints")[0].starts_with("1, the last one step 240: "),
        "{text}"
    );
    let left_out = fact(&text, "left out");
    assert!(left_out[0].contains("step_1.pt: "), "{text}");
    assert_eq!((left_out.len(), left_out[3]), (4, "2 more"), "{text}");

    fs::remove_file(folder.path().join("step_240.safetensors")).unwrap();
    let missing = folder.path().join("nowhere");
    for (run, reason) in [
        (path, "none of the checkpoints can be read"),
        (missing.to_str().unwrap(), "found nothing there"),
    ] {
        let output = program().args(["doctor", run]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(fact(&text, "error")[0].ends_with(reason), "{text}");
        assert!(
            !fact(&text, "log").is_empty(),
            "the rest is told all the same"
        );
    }
    let output = run(&["doctor", missing.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(fact(&text, "watched by"), ["a scan every 2 s"]);
}

#[test]
fn a_theme_that_there_is_not_is_wrong_usage_and_a_bad_file_stops_nothing() {
    let home = tempfile::tempdir().unwrap();
    let themes = home.path().join("isoloss/themes");
    std::fs::create_dir_all(&themes).unwrap();
    std::fs::write(themes.join("sea.toml"), "colour = 3").unwrap();
    let doctor = |theme: &str| {
        let mut command = program();
        command.env("XDG_CONFIG_HOME", home.path());
        command.args(["doctor", "--theme", theme]).output().unwrap()
    };
    let unknown = doctor("norse");
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(
        said.contains("expected one of dark, light, gruvbox, nord"),
        "{said}"
    );
    assert!(said.contains("or a file norse.toml in "), "{said}");
    for theme in ["nord", "sea"] {
        let found = doctor(theme);
        assert!(found.status.success());
        let text = String::from_utf8(found.stdout).unwrap();
        let [bad] = fact(&text, "bad theme")[..] else {
            panic!("{text}");
        };
        assert!(
            bad.contains("sea.toml: colour: no such token, expected colormap"),
            "{bad}"
        );
    }
}
