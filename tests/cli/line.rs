//! Lines and slices.

use super::program::{fixture, json, refusal};
use super::{array, assert_fields, digits_json, digits_text, stdout};

#[test]
fn a_line_has_its_fields_and_its_middle_is_the_average_of_its_ends() {
    let [a, b] =
        ["0230", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let arguments = [
        "line",
        &a,
        &b,
        "--data",
        "digits",
        "--samples",
        "100",
        "--x=0:1:3",
        "--format",
        "json",
    ];
    let text = stdout(&arguments);
    assert_fields(&text, &["a", "b", "alpha", "train", "test", "barrier"]);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let average = digits_json("average", &["--last", "2"]);
    let middle = line["train"]["loss"][1].as_f64().unwrap();
    let mean = average["averages"][1]["loss"].as_f64().unwrap();
    assert!((middle - mean).abs() < 1e-6, "{middle} {mean}");
    // On a line the first layer is combined from its ends, so the last digit may differ.
    let newest = average["averages"][0]["loss"].as_f64().unwrap();
    let end = line["train"]["loss"][2].as_f64().unwrap();
    assert!((newest - end).abs() < 1e-6, "{newest} {end}");
    assert_ne!(line["train"]["loss"], line["test"]["loss"]);
}

#[test]
fn slices_run_along_what_was_asked_for() {
    let along = [
        "--along",
        "random,pc1,pc2,update",
        "--seeds",
        "2",
        "--x=-1:1:3",
    ];
    let found = digits_json("line", &along);
    let names: Vec<&str> = array(&found["curves"])
        .iter()
        .map(|c| c["direction"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["random", "random", "pc1", "pc2", "update"]);
    let middles: Vec<&serde_json::Value> = array(&found["curves"])
        .iter()
        .map(|curve| &curve["train"]["loss"][1])
        .collect();
    assert!(
        middles.iter().all(|loss| *loss == middles[0]),
        "all run through the checkpoint"
    );
    let ends = |i: usize| &found["curves"][i]["train"]["loss"][0];
    assert_ne!(ends(0), ends(1), "seeds differ");
    let one = fixture("digits-run/step_0000.safetensors");
    let error = refusal(&["line", &one, "--data", "digits", "--along", "update"], 1);
    assert!(error.contains("no checkpoint before it"), "{error}");
    let error = refusal(&["line", &one], 1);
    assert!(error.contains("--data"), "{error}");
}

#[test]
fn the_barrier_does_not_depend_on_the_grid() {
    let [a, b] =
        ["0000", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let found = |range: &str| {
        let line = [
            "line",
            &a,
            &b,
            "--data",
            "digits",
            "--samples",
            "300",
            range,
        ];
        let line = json(&[&line[..], &["--format", "json"]].concat());
        ["train", "test"].map(|split| {
            let barrier = &line["barrier"][split];
            ["height", "alpha"].map(|name| barrier[name].as_f64().unwrap())
        })
    };
    let (coarse, fine) = (found("--x=-0.5:1.5:51"), found("--x=0:0.2:401"));
    for ([height, alpha], [exact, at]) in coarse.into_iter().zip(fine) {
        assert!((height / exact - 1.0).abs() < 0.01, "{height} {exact}");
        assert!((alpha - at).abs() < 0.01, "{alpha} {at}");
    }
}

#[test]
fn lines_say_which_is_which_and_where_the_update_began() {
    let run = fixture("digits-run");
    let text = digits_text(&[
        "line",
        &run,
        "--seeds",
        "3",
        "--x=-2:2:5",
        "--along",
        "random,update",
    ]);
    for (at, end) in [("at α -2,", 0), ("at α 2,", 4)] {
        let line = text.lines().find(|line| line.starts_with(at)).unwrap();
        let found = json(&[
            "line",
            &run,
            "--seeds",
            "3",
            "--x=-2:2:5",
            "--data",
            "digits",
            "--samples",
            "60",
            "--format",
            "json",
        ]);
        let mut losses: Vec<(f64, u64)> = array(&found["curves"])
            .iter()
            .map(|curve| {
                let loss = curve["train"]["loss"][end].as_f64().unwrap();
                (loss, curve["seed"].as_u64().unwrap())
            })
            .collect();
        losses.sort_by(|a, b| b.0.total_cmp(&a.0));
        let places = losses
            .iter()
            .map(|(_, seed)| line.find(&format!("seed {seed} ")).unwrap());
        assert!(places.is_sorted(), "{line}");
    }
    let before = text.lines().filter(|line| line.contains("before"));
    assert_eq!(before.count(), 1, "{text}");
}

#[test]
fn a_line_says_where_its_loss_is_not_finite_and_why() {
    let [a, b] =
        ["000", "160"].map(|step| fixture(&format!("readings/resnet8/step_{step}.safetensors")));
    let line = |bn| {
        let options = [
            "--x=-4:1:6",
            "--data",
            "digits",
            "--samples",
            "64",
            "--bn",
            bn,
        ];
        stdout(&[&["line", &a, &b], &options[..]].concat())
    };
    let sentence =
        "the loss is not finite at α -4 to -1; beyond A and B batch norm's variances fall below 0";
    let text = line("states");
    assert!(text.contains(sentence), "{text}");
    let text = line("recalibrated");
    assert!(!text.contains("not finite"), "{text}");
}
