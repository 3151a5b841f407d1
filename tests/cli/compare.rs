//! Runs beside each other.

use std::fs;

use super::program::{fixture, json, refusal};
use super::{array, copy, digits_text};

#[test]
fn runs_are_compared_on_one_range_and_a_pair_on_one_plane() {
    let folder = tempfile::tempdir().unwrap();
    let [early, late] = ["early", "late"].map(|name| folder.path().join(name));
    for (half, steps) in [(&early, 0..12), (&late, 12..25)] {
        fs::create_dir(half).unwrap();
        for step in steps {
            let name = format!("step_{:04}.safetensors", 10 * step);
            copy(&format!("digits-run/{name}"), &half.join(&name));
        }
    }
    let runs = [&early, &late].map(|half| half.to_str().unwrap());
    let measure = [
        "--data",
        "digits",
        "--samples",
        "60",
        "--x=-1:1:5",
        "--y=-1:1:5",
        "--exact",
        "--format",
        "json",
    ];
    let compare = |more: &[&str]| json(&[&["compare"], &runs[..], &measure, more].concat());
    let found = compare(&["--label", "bs 32", "--label", "bs 512"]);
    assert_eq!(
        (array(&found["x"]).len(), array(&found["runs"]).len()),
        (5, 2)
    );
    assert_eq!(found["runs"][1]["label"], "bs 512");
    let error = found["runs"][0]["test_error"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&error), "{error}");
    assert_eq!(
        found["runs"][0]["loss"][2][2],
        found["runs"][0]["loss_at_origin"]
    );
    let shared = compare(&["--shared"]);
    let only = &shared["runs"][0];
    assert_eq!(
        (array(&only["path"]).len(), array(&only["other_path"]).len()),
        (12, 13)
    );
    assert_eq!(only["plane"]["kind"], "pca");
    let six = [runs[0]; 7];
    assert!(refusal(&[&["compare"], &six[..]].concat(), 2).contains("no more"));
    assert!(refusal(&["compare", runs[0]], 2).contains("expected 2 to 6 runs"));
    // A label may stand beside its run.
    let error = refusal(&["compare", runs[0], "--label", "one", runs[1]], 2);
    assert!(
        error.contains("--label: expected one for each of 2 runs"),
        "{error}"
    );
}

#[test]
fn a_test_error_names_its_samples_and_stands_first_over_its_panel() {
    let [a, b] =
        ["0000", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let label = "a label that is much too long for the width of a panel of a page";
    let compare = [
        "compare",
        &a,
        &b,
        "--label",
        label,
        "--label",
        "b",
        "--x=-1:1:3",
        "--y=-1:1:3",
    ];
    let text = digits_text(&compare);
    assert!(text.contains(&format!("{label}, test error ")), "{text}");
    assert_eq!(text.matches(" % of 60 samples").count(), 2, "{text}");
    let panels = text.lines().filter(|line| line.starts_with("test error "));
    assert_eq!(panels.count(), 1, "{text}");
    let found = json(
        &[
            &compare[..],
            &["--data", "digits", "--samples", "60", "--format", "json"],
        ]
        .concat(),
    );
    assert_eq!(found["runs"][1]["test_samples"], 60);
}

#[test]
fn a_shared_plane_needs_one_architecture_and_three_checkpoints() {
    let (mlp, resnet) = (fixture("mlp-fashion"), fixture("resnet8-fashion"));
    let compare = |a: &str, b: &str| {
        let arguments = ["compare", a, b, "--shared", "--data", "digits"];
        let said = refusal(&arguments, 1);
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    let said = compare(&mlp, &resnet);
    for words in [
        "expected the architecture of",
        "(mlp, 55050 parameters), found resnet8, ",
        "expected tensor fc1.weight",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let [a, b] =
        ["0000", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let said = compare(&a, &b);
    assert!(
        said.contains("three different checkpoints of both together"),
        "{said}"
    );
    assert!(
        said.contains("found 2 on one line") && !said.contains("--plane"),
        "{said}"
    );
}
