//! In real tmux, where there is one.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::program::fixture;
use super::terminal::{PATIENCE, SOON, state, wait_until};

static SERVERS: AtomicUsize = AtomicUsize::new(0);

/// A tmux server of its own with one session.
struct Tmux(String);

impl Tmux {
    /// A session of this command; none where tmux is not installed.
    fn start(command: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: tmux is not installed");
            return None;
        }
        let number = SERVERS.fetch_add(1, Ordering::SeqCst);
        let tmux = Self(format!("isoloss-test-{}-{number}", std::process::id()));
        tmux.call(&["new-session", "-d", "-x", "100", "-y", "30", command]);
        Some(tmux)
    }

    fn call(&self, arguments: &[&str]) -> String {
        let output: Output = Command::new("tmux")
            .args(["-f", "/dev/null", "-L", &self.0])
            .args(arguments)
            .env("ISOLOSS_KEEP", "none")
            .env("ISOLOSS_NO_CACHE", "true")
            .env("XDG_STATE_HOME", std::env::temp_dir().join("isoloss-tests"))
            .env(
                "XDG_CONFIG_HOME",
                std::env::temp_dir().join("isoloss-tests"),
            )
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the pane shows what is wanted.
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.call(&["capture-pane", "-p"]);
            if wanted(&text) {
                return;
            }
            assert!(Instant::now() < deadline, "no {what} on\n{text}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first process of the pane.
    fn pid(&self) -> u32 {
        let pid = self.call(&["list-panes", "-F", "#{pane_pid}"]);
        pid.trim().parse().unwrap()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", &self.0, "kill-server"])
            .output();
    }
}

fn watching() -> String {
    let (program, run) = (env!("CARGO_BIN_EXE_isoloss"), fixture("digits-run"));
    format!("'{program}' watch '{run}' --data digits --samples all")
}

#[test]
fn a_pane_may_be_resized_and_killed() {
    let Some(tmux) = Tmux::start(&format!("exec {}", watching())) else {
        return;
    };
    tmux.wait("map", |text| text.contains("PC1") && text.contains("trust"));
    tmux.call(&["resize-window", "-x", "40", "-y", "12"]);
    tmux.wait("small map", |text| {
        text.contains("240") && !text.contains("trust")
    });
    tmux.call(&["resize-window", "-x", "120", "-y", "40"]);
    tmux.wait("large map", |text| {
        text.contains("PC1") && text.contains("trust")
    });
    let pid = tmux.pid();
    assert!(!state(pid).is_empty());
    // The server goes with its last pane.
    tmux.call(&["set-option", "-g", "exit-empty", "off"]);
    tmux.call(&["kill-pane"]);
    wait_until("gone", SOON, || state(pid).is_empty());
}

#[test]
fn ctrl_z_and_fg_in_a_shell_of_a_pane() {
    let Some(tmux) = Tmux::start("ENV= PS1='ready> ' exec sh -i") else {
        return;
    };
    tmux.wait("prompt", |text| text.contains("ready>"));
    tmux.call(&["send-keys", &watching(), "Enter"]);
    tmux.wait("map", |text| {
        text.contains("PC1") && !text.contains("ready>")
    });
    tmux.call(&["send-keys", "C-z"]);
    tmux.wait("prompt", |text| {
        text.contains("ready>") && !text.contains("PC1")
    });
    tmux.call(&["send-keys", "fg", "Enter"]);
    tmux.wait("map", |text| {
        text.contains("PC1") && !text.contains("ready>")
    });
    tmux.call(&["send-keys", "q"]);
    tmux.wait("end", |text| text.contains("checkpoints, steps 0 to"));
}
