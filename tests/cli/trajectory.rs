//! The answers of `trajectory`, `inspect` and `weights` about a run.

use std::fs;

use super::program::{fixture, json, program, refusal};
use super::{array, assert_fields, copy, stdout};

#[test]
fn trajectory_json_has_the_fields_that_programs_rely_on() {
    let text = stdout(&["trajectory", &fixture("mlp-fashion"), "--format", "json"]);
    let names = [
        "run",
        "parameters",
        "steps",
        "norm",
        "update_norm",
        "explained",
        "explained_null",
        "singular",
        "lissajous",
        "coordinates",
        "residual",
    ];
    assert_fields(&text, &names);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            &value["parameters"],
            value["steps"].as_array().unwrap().len()
        ),
        (&55050.into(), 3)
    );
}

#[test]
fn trajectory_csv_and_text_have_a_row_a_checkpoint() {
    let csv = stdout(&["trajectory", &fixture("mlp-fashion"), "--format", "csv"]);
    assert_eq!(
        csv.lines().next(),
        Some("step,x,y,residual,norm,update_norm")
    );
    assert_eq!(csv.lines().count(), 4);
    let text = stdout(&["trajectory", &fixture("mlp-fashion")]);
    assert!(
        text.contains("3 checkpoints, steps 0 to 1580, 55050 parameters")
            && text.contains("a random walk has 76.0 %")
    );
}

#[test]
fn inspect_tells_tensors_norms_and_the_architecture() {
    let value = json(&["inspect", &fixture("resnet8-fashion"), "--format", "json"]);
    assert_eq!(
        (&value["model"], &value["step"], &value["key"]),
        (&"resnet8".into(), &632.into(), &"state_dict".into())
    );
    assert_eq!(value["steps"], serde_json::json!([0, 632]));
    let tensors = value["tensors"].as_array().unwrap();
    assert_eq!(
        (&tensors[0]["name"], &tensors[0]["shape"]),
        (&"conv1.weight".into(), &serde_json::json!([16, 1, 3, 3]))
    );
    let squares = tensors
        .iter()
        .filter(|t| t["role"] == "parameter")
        .map(|t| t["norm"].as_f64().unwrap().powi(2));
    assert!((squares.sum::<f64>().sqrt() - value["norm"].as_f64().unwrap()).abs() < 1e-9);
    let text = stdout(&["inspect", &fixture("mlp-fashion/model_0.pt")]);
    assert!(
        text.contains("model mlp") && text.contains("64×784"),
        "{text}"
    );
}

#[test]
fn a_bad_checkpoint_is_left_out_with_its_reason_and_the_others_stand() {
    let run = tempfile::tempdir().unwrap();
    for step in [0, 395, 1580] {
        copy(
            &format!("mlp-fashion/model_{step}.pt"),
            &run.path().join(format!("model_{step}.pt")),
        );
    }
    copy(
        "resnet8-fashion/step=0.ckpt",
        &run.path().join("model_200.pt"),
    );
    let half = fs::read(fixture("mlp-fashion/model_395.pt")).unwrap();
    fs::write(run.path().join("model_500.pt"), &half[..half.len() / 2]).unwrap();
    let output = program()
        .args([
            "trajectory",
            run.path().to_str().unwrap(),
            "--format",
            "json",
        ])
        .output()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["steps"], serde_json::json!([0, 395, 1580]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("model_500.pt: expected a whole PyTorch file"),
        "{said}"
    );
    assert!(
        said.contains("model_200.pt: expected tensor fc1.weight of shape [64, 784]"),
        "{said}"
    );
}

#[test]
fn of_many_that_are_left_out_a_few_are_told() {
    let run = fixture("digits-run");
    let said = refusal(&["surface", &run, "--data", "digits", "--key", "nokey"], 1);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("step_0000.safetensors"), "{said}");
    assert!(lines[0].ends_with(", and 24 more files like it"), "{said}");
    assert!(
        lines[1].contains("none of the checkpoints can be read"),
        "{said}"
    );
}

#[test]
fn norms_of_layers_make_that_of_all_weights() {
    let found = json(&["weights", &fixture("digits-run"), "--format", "json"]);
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    for (i, norm) in array(&found["norm"]).iter().enumerate() {
        let squares = array(&found["layers"])
            .iter()
            .map(|layer| number(&layer["norm"][i]).powi(2));
        assert!((squares.sum::<f64>().sqrt() / number(norm) - 1.0).abs() < 1e-9);
    }
    assert_eq!(array(&found["cosine_matrix"]).len(), 24);
    assert_eq!(found["cosine_matrix"][0][1], found["update_cosine"][0]);
    assert!((number(&found["cosine_matrix"][3][3]) - 1.0).abs() < 1e-9);
    let [a, b] =
        ["0000", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let both = json(&["weights", &a, &b, "--bins", "7", "--format", "json"]);
    assert_eq!(array(&both["edges"]).len(), 8);
    for spread in array(&both["checkpoints"]) {
        let counted: u64 = array(&spread["counts"])
            .iter()
            .map(|count| count.as_u64().unwrap())
            .sum();
        assert_eq!(spread["count"], counted, "every weight is in a bin");
    }
    let error = refusal(&["weights", &a, "--layer", "nine"], 1);
    assert!(error.contains("no layer is named nine"), "{error}");
}

#[test]
fn the_log_of_training_fills_in_the_learning_rate() {
    let run = tempfile::tempdir().unwrap();
    for step in ["0100", "0200", "0240"] {
        let name = format!("step_{step}.safetensors");
        fs::copy(
            fixture(&format!("digits-run/{name}")),
            run.path().join(name),
        )
        .unwrap();
    }
    let table = "step,train_loss,lr-SGD\n100,1,0.5\n190,0.5,0.25\n230,0.25,0.125\n";
    fs::write(run.path().join("metrics.csv"), table).unwrap();
    let run = run.path().to_str().unwrap();
    let log = &json(&["inspect", run, "--format", "json"])["log"];
    assert_eq!(
        (&log["last_step"], &log["train_loss"]),
        (&230.into(), &0.25.into())
    );
    let data = ["--data", "digits", "--samples", "64", "--format", "json"];
    let of = |command: &str| json(&[&[command, run], &data[..]].concat());
    // The update to step 240 began at one rate and ended at another.
    let of_update = |at: usize| of("sharpness")["updates"][at]["learning_rate"].clone();
    assert_eq!(of_update(1), serde_json::Value::Null);
    let hessian = of("hessian");
    assert_eq!(
        (&hessian["learning_rate"], &hessian["edge"]),
        (&0.125.into(), &16.0.into())
    );
    let rates = &json(&["weights", run, "--format", "json"])["learning_rate"];
    assert_eq!(rates, &serde_json::json!([0.5, 0.25, 0.125]));

    // Both drops are marked wherever the path is drawn.
    let dropped = serde_json::json!([200, 240]);
    assert_eq!(
        json(&["weights", run, "--format", "json"])["drops"],
        dropped
    );
    assert_eq!(
        json(&["trajectory", run, "--format", "json"])["drops"],
        dropped
    );
    let lines = ["--x=-2:2:5", "--y=-2:2:5"];
    let surface = |format| {
        let data = ["--data", "digits", "--samples", "64", "--format", format];
        [&["surface", run], &data[..], &lines[..]].concat()
    };
    assert_eq!(json(&surface("json"))["drops"], dropped);
    let text = stdout(&surface("text"));
    assert!(text.contains("lr drop") && text.contains('▼'), "{text}");
    let compared = json(&[&["compare", run, run], &data[..], &lines[..]].concat());
    assert_eq!(compared["runs"][1]["drops"], dropped);

    let steady = table.replace("0.125", "0.25");
    fs::write(format!("{run}/metrics.csv"), steady).unwrap();
    assert_eq!(of_update(1), 0.25);
}
