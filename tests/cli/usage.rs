//! Wrong usage, exit codes, and one clear sentence for bad input.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::program::{fixture, program, refusal};

#[test]
fn what_is_not_there_is_one_sentence_and_exit_code_1() {
    let empty = tempfile::tempdir().unwrap();
    fs::write(empty.path().join("notes.txt"), "x").unwrap();
    let empty = empty.path().to_str().unwrap();
    assert!(
        refusal(&["trajectory", "no/such/run"], 1)
            .contains("no/such/run: expected a run folder or a checkpoint")
    );
    assert!(
        refusal(&["trajectory", empty], 1)
            .contains("holds no checkpoint: expected files of torch.save")
    );
    let run = fixture("mlp-fashion");
    assert!(refusal(&["surface", &run], 1).contains("no data given"));
    assert!(refusal(&["surface", &run, "--data", empty], 1).contains("found notes.txt"));
    assert!(refusal(&["surface", &run, "--data", "digits"], 1).contains("784"));
    assert!(
        refusal(
            &[
                "surface",
                &run,
                "--data",
                &fixture("fashion-mnist"),
                "--model",
                "vgg9"
            ],
            1
        )
        .contains("model_1580.pt: the tensors were taken for a VGG")
    );
    assert!(
        refusal(
            &[
                "surface",
                &run,
                "--data",
                &fixture("fashion-mnist"),
                "--origin",
                "7"
            ],
            1
        )
        .contains("no checkpoint has step 7")
    );
    assert!(refusal(&["trajectory", &run, "--steps", "5..9"], 1).contains("steps 0 to 1580"));
    assert!(
        refusal(&["inspect", &fixture("torch"), "--key", "nothing"], 1)
            .contains("no checkpoint can be read")
    );
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let run = fixture("mlp-fashion");
    assert!(refusal(&["surface", &run, "--x", "3:1"], 2).contains("MIN:MAX"));
    assert!(refusal(&["trajectory"], 2).contains("<RUN>"));
    let inside = format!("{run}/out.json");
    assert!(refusal(&["trajectory", &run, "--out", &inside], 2).contains("is inside the run"));
    assert!(!Path::new(&inside).exists());
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let mut child = program()
        .args(["trajectory", &fixture("mlp-fashion"), "--format", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn devices_and_types_that_cannot_be_are_wrong_usage() {
    let (run, data) = (fixture("mlp-fashion"), fixture("fashion-mnist"));
    let refused = |more: &[&str]| {
        let arguments = ["surface", &run, "--data", &data];
        refusal(&[&arguments[..], more].concat(), 2)
    };
    let error = refused(&["--device", "cpu,tpu"]);
    assert!(
        error.contains("'tpu' for '--device <DEVICE>': expected auto, cpu, cuda:N or metal\n"),
        "{error}"
    );
    let error = refused(&["--device", "cpu", "--dtype", "bf16"]);
    assert!(error.contains("--dtype bf16 --device cpu: the CPU has no matrix product in bf16"));
    let error = refusal(&["watch", &run, "--device", "cpu", "--dtype", "bf16"], 2);
    assert!(error.contains("expected f32 or f16, or a GPU"), "{error}");
}

#[test]
fn nobody_need_read_what_is_said_on_stderr() {
    let mut child = program()
        .args([
            "surface",
            &fixture("digits-run"),
            "--data",
            "digits",
            "--key",
            "nokey",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "and not a panic's");
}

#[test]
fn what_was_asked_for_in_vain_is_repeated() {
    let run = fixture("digits-run");
    assert!(
        refusal(&["trajectory", &run, "--steps", "5..2"], 1)
            .contains("--steps 5..2 leaves no checkpoint; the run has steps 0 to 240")
    );
    let said = refusal(&["weights", &run, "--layer", "nope"], 1);
    assert!(
        said.contains("step_0000.safetensors: no layer is named nope"),
        "{said}"
    );
    assert!(!said.contains("others"), "all four are named: {said}");
    let said = refusal(
        &["weights", &fixture("resnet8-fashion"), "--layer", "nope"],
        1,
    );
    assert!(said.contains(" and others"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reference.json");
    fs::write(&file, "{\"loss\": [1, 2, 3]}").unwrap();
    let file = file.to_str().unwrap();
    let said = refusal(
        &["surface", &run, "--data", "digits", "--directions", file],
        1,
    );
    assert!(
        said.contains("reference.json: expected the weights of a model, found a JSON text"),
        "{said}"
    );
    assert!(!said.contains("PyTorch"), "{said}");
}

#[test]
fn frames_a_second_are_from_1_to_60() {
    for command in ["watch", "demo"] {
        for fps in ["0", "61", "ten"] {
            let error = refusal(&[command, "--fps", fps], 2);
            assert!(error.contains("--fps <COUNT>"), "{command} {fps}: {error}");
        }
    }
}

#[test]
fn a_tolerance_is_a_number_above_nothing() {
    let run = fixture("digits-run");
    for wrong in ["nan", "inf", "-1", "0", "much"] {
        let said = refusal(
            &["surface", &run, "--data", "digits", "--tolerance", wrong],
            2,
        );
        let expected = format!(
            "'{wrong}' for '--tolerance <ERROR>': expected a number above 0, such as 0.01\n"
        );
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn a_slip_in_the_name_of_a_command_is_no_run_to_wait_for() {
    let said = refusal(&["doctr"], 2);
    assert!(
        said.contains("unrecognized subcommand") && said.contains("'doctor'"),
        "{said}"
    );
    assert!(said.ends_with("isoloss watch doctr\n"), "{said}");
}

#[test]
fn a_theme_that_is_not_there_is_refused_also_in_a_pipe() {
    let said = refusal(&["watch", "runs/x", "--theme", "drak"], 2);
    assert!(
        said.contains("--theme") && said.contains("expected one of dark, light"),
        "{said}"
    );
}

#[test]
fn settings_that_are_not_used_are_named() {
    let beside = tempfile::tempdir().unwrap();
    let runs = ["a", "b"].map(|name| beside.path().join(name));
    for (run, settings) in runs.iter().zip(["seed = 3\n", "seed = 4\nlabels = 5\n"]) {
        fs::create_dir(run).unwrap();
        for step in ["0000", "0010"] {
            let name = format!("step_{step}.safetensors");
            fs::copy(fixture(&format!("digits-run/{name}")), run.join(name)).unwrap();
        }
        let settings = settings.replace("labels = 5", "samples = \"50\"");
        fs::write(run.join("isoloss.toml"), settings).unwrap();
    }
    let said = |more: &[&str]| {
        let mut command = program();
        command.arg("compare").args(&runs);
        command.args(["--data", "digits", "--x=-1:1:3", "--y=-1:1:3"]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let all = said(&[]);
    assert!(
        all.contains("b/isoloss.toml: seed, samples are not used: all runs are read by"),
        "{all}"
    );
    // What is given for all is meant for all.
    let one = said(&["--samples", "40"]);
    assert!(one.contains("b/isoloss.toml: seed is not used"), "{one}");
    let none = said(&["--samples", "40", "--seed", "3"]);
    assert!(!none.contains("not used"), "{none}");
}

#[test]
fn a_slip_in_the_name_of_a_variable_is_said() {
    let mut command = program();
    command.args(["trajectory", &fixture("digits-run")]);
    command
        .env("ISOLOSS_SAMPELS", "7")
        .env("ISOLOSS_LOG", "warn");
    let output = command.output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let sentence = "ISOLOSS_SAMPELS is no setting and is not read; ISOLOSS_SAMPLES is one\n";
    assert_eq!(said, format!("isoloss: {sentence}"));
}

#[test]
fn a_value_that_is_given_twice_is_wrong_usage() {
    let run = fixture("mlp-fashion");
    for option in ["--mean", "--std", "--pos-weight"] {
        let twice = ["surface", &run, option, "0.5", option, "0.4"];
        let said = refusal(&twice, 2);
        assert!(
            said.contains(option) && said.contains("multiple times"),
            "{said}"
        );
    }
}
