//! Completions of shells and pages of the manual.

use std::fs;
use std::process::Command;

use super::program::refusal;
use super::stdout;

/// The commands that `--help` tells of.
fn commands() -> Vec<String> {
    let help = stdout(&["--help"]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn shells_complete_every_command_and_no_hidden_one() {
    let known = commands();
    assert!(known.len() > 10 && known.contains(&"surface".into()));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&["completions", shell]);
        for name in &known {
            assert!(script.contains(name), "{shell} lacks {name}");
        }
        assert!(!script.contains("demo-train"), "{shell}");
    }
    assert!(
        refusal(&["completions", "dos"], 2).contains("bash, zsh, fish, powershell, elvish, man")
    );
}

#[test]
fn bash_takes_its_script_and_completes_with_it() {
    if Command::new("bash").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("isoloss.bash");
    fs::write(&script, stdout(&["completions", "bash"])).unwrap();
    let bash = |arguments: &[&str]| {
        let mut command = Command::new("bash");
        let output = command.args(arguments).arg(&script).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.is_empty(), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    bash(&["-n"]);
    let ask = "source \"$0\"; COMP_WORDS=(isoloss ''); COMP_CWORD=1; _isoloss isoloss '' isoloss; \
               printf '%s\\n' \"${COMPREPLY[@]}\"";
    let offered = bash(&["-c", ask]);
    for name in commands() {
        assert!(
            offered.lines().any(|word| word == name),
            "{name}: {offered}"
        );
    }
}

#[test]
fn the_manual_has_a_page_of_every_command() {
    let pages = stdout(&["completions", "man"]);
    assert!(pages.contains(".TH isoloss 1"), "{pages}");
    for name in commands() {
        let title = format!(".TH isoloss-{name} 1");
        let listed = format!("isoloss\\-{name}(1)");
        assert!(pages.contains(&title) && pages.contains(&listed), "{name}");
    }
    assert!(pages.contains("\\-\\-relief") && !pages.contains("demo\\-train"));
}
