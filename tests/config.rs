//! Settings that last: what files may say, which of them counts, and the keys that they bind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use crossterm::event::{KeyCode, KeyEvent};
use isoloss::config::{File, Settings};
use isoloss::tui::render::render;
use isoloss::tui::{Action, App, Appearance, Keymap};
use program::{fixture, program, refusal, run};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use rstest::rstest;
use tempfile::TempDir;

/// Beside each file that is wrong lies what is said of it.
#[rstest]
fn a_file_is_right_or_told_what_is_wrong(#[files("tests/config/*.toml")] path: PathBuf) {
    let file = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
    let arguments = ["config", "validate", file.to_str().unwrap()];
    match fs::read_to_string(path.with_extension("txt")) {
        Ok(message) => assert_eq!(refusal(&arguments, 2), format!("isoloss: {message}")),
        Err(_) => assert!(run(&arguments).status.success()),
    }
}

/// A folder with a run in it, from which the program is run, and a user's configuration.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(TempDir::new().unwrap());
        fs::create_dir_all(home.path("runs/digits")).unwrap();
        fs::create_dir_all(home.path("user/isoloss")).unwrap();
        for step in ["step_0000", "step_0120", "step_0240"] {
            let name = format!("digits-run/{step}.safetensors");
            let file = Path::new(&name).file_name().unwrap();
            fs::copy(fixture(&name), home.path("runs/digits").join(file)).unwrap();
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("XDG_CONFIG_HOME", self.path("user"));
        command
    }
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The line of `config print` for a setting, without the blanks that align it.
fn line(text: &str, setting: &str) -> String {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{setting} = ")));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    words.join(" ")
}

#[test]
fn flags_count_more_than_variables_than_the_run_s_file_than_the_user_s() {
    let home = Home::new();
    let small = ["--x=-1:1:2", "--y=-1:1:2", "--format", "json"];
    let samples = |command: &mut Command| {
        let value: serde_json::Value = serde_json::from_str(&stdout(command)).unwrap();
        value["samples"].as_u64()
    };
    let surface = |more: &[&str]| {
        let arguments = [&["surface", "runs/digits"], &small[..], more].concat();
        home.command(&arguments)
    };
    home.write(
        "user/isoloss/config.toml",
        "samples = 10\nseed = 1\nsplit = \"test\"\ndata = \"digits\"\n",
    );
    assert_eq!(samples(&mut surface(&[])), Some(10));
    home.write("isoloss.toml", "samples = 15");
    assert_eq!(samples(&mut surface(&[])), Some(15));
    home.write("runs/isoloss.toml", "seed = 2\nsamples = 20\n");
    assert_eq!(samples(&mut surface(&[])), Some(20));
    let variable = |mut command: Command| {
        command.env("ISOLOSS_SAMPLES", "30");
        command
    };
    assert_eq!(samples(&mut variable(surface(&[]))), Some(30));
    let flag = surface(&["--samples", "40"]);
    assert_eq!(samples(&mut variable(flag)), Some(40));

    let print = home.command(&["config", "print", "runs/digits"]);
    let text = stdout(&mut variable(print));
    assert_eq!(line(&text, "samples"), "samples = 30 # ISOLOSS_SAMPLES");
    assert_eq!(line(&text, "seed"), "seed = 2 # runs/isoloss.toml:1");
    let user = home.path("user/isoloss/config.toml");
    let expected = format!("split = \"test\" # {}:3", user.display());
    assert_eq!(line(&text, "split"), expected);
    assert_eq!(line(&text, "fps"), "fps = 10 # default");
    let places = stdout(&mut home.command(&["config", "path", "runs/digits"]));
    let states: Vec<String> = places
        .lines()
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(
        states,
        [
            "not there",
            "read",
            "there, but the one above it counts",
            "read"
        ]
    );
    home.write(
        "runs/digits/isoloss.toml",
        "samples = 25\nmodel = \"model.pt2\"\n",
    );
    let text = stdout(&mut home.command(&["config", "print", "runs/digits"]));
    assert_eq!(
        line(&text, "samples"),
        "samples = 25 # runs/digits/isoloss.toml:1"
    );
    let model = home.path("runs/digits/model.pt2");
    let expected = format!("model = \"{}\"", model.display());
    assert!(line(&text, "model").starts_with(&expected), "{text}");
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let home = Home::new();
    home.write(
        "runs/isoloss.toml",
        "data = \"images\"\nmean = [0.1, 0.2]\n[keys]\nquit = \"Q\"\n",
    );
    let text = stdout(&mut home.command(&["config", "print", "runs/digits"]));
    let images = home.path("runs/images");
    let expected = format!("data = \"{}\" # runs/isoloss.toml:1", images.display());
    assert_eq!(line(&text, "data"), expected);
    assert_eq!(line(&text, "quit"), "quit = \"Q\" # runs/isoloss.toml:4");
    home.write("runs/isoloss.toml", &text);
    let again = stdout(&mut home.command(&["config", "print", "runs/digits"]));
    let settings = |text: &str| {
        let lines = text.lines().map(|line| {
            line.split("  #")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(settings(&text), settings(&again));
}

#[test]
fn what_is_wrong_stops_commands_but_not_those_that_help_to_mend_it() {
    let home = Home::new();
    home.write("isoloss.toml", "sample = 3");
    let refused = home.command(&["inspect", "runs/digits"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let message =
        "isoloss: isoloss.toml:1:1: expected a setting, got `sample`; the nearest is `samples`\n";
    assert_eq!(String::from_utf8_lossy(&refused.stderr), message);
    stdout(&mut home.command(&["config", "path"]));
    stdout(&mut home.command(&["completions", "bash"]));
    fs::remove_file(home.path("isoloss.toml")).unwrap();
    let mut command = home.command(&["inspect", "runs/digits"]);
    let refused = command.env("ISOLOSS_SPLIT", "trian").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let message =
        "isoloss: ISOLOSS_SPLIT: split: expected train, test, got trian; the nearest is train\n";
    assert_eq!(String::from_utf8_lossy(&refused.stderr), message);
}

#[test]
fn every_action_can_be_bound_and_help_and_readme_show_its_key() {
    let none = Settings::of(&clap::Command::new("no settings"));
    for action in Action::value_variants() {
        let text = format!("[keys]\n{action} = [\"f9\"]\n");
        let file = File::parse("isoloss.toml".into(), &text, &none).unwrap();
        let keymap = Keymap::default().rebound(&file.changes()).unwrap();
        assert_eq!(keymap.action(KeyEvent::from(KeyCode::F(9))), Some(*action));
        let row = |line: &&str| line.contains("`f9`") && line.contains(&format!("`{action}`"));
        assert_eq!(keymap.markdown().lines().filter(row).count(), 1);

        let mut app = App::new(Appearance::default()).with_keys(keymap);
        app.update(Action::Help);
        let mut terminal = Terminal::new(TestBackend::new(140, 50)).unwrap();
        terminal.draw(|frame| render(&app, frame)).unwrap();
        assert!(terminal.backend().to_string().contains("f9"), "{action}");
    }
}

#[test]
fn weights_of_classes_stand_in_a_file_themselves_or_in_one_beside_it() {
    let home = Home::new();
    let settings = |class_weights: &str| {
        home.write(
            "runs/isoloss.toml",
            &format!("class-weights = {class_weights}\n"),
        );
        let printed = stdout(&mut home.command(&["config", "print", "runs/digits"]));
        line(&printed, "class-weights")
    };
    assert!(settings("[0.5, 1.5, 2]").contains("0.5,1.5,2"));
    let beside = settings("\"weights.txt\"");
    assert!(
        beside.contains("runs/weights.txt") && beside.contains(home.path("").to_str().unwrap()),
        "{beside}"
    );
}
