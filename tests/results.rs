//! Results in files: each command knows its own again, replaces nothing else unasked, and a checkpoint never.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod program;

use std::fs;
use std::path::Path;

use program::{fixture, program, refusal, run};
use rstest::rstest;

const CHEAP: [&str; 4] = ["--data", "digits", "--samples", "32"];

fn checkpoint(step: u32) -> String {
    fixture(&format!("digits-run/step_{step:04}.safetensors"))
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[rstest]
#[case::trajectory("trajectory RUN")]
#[case::surface("surface RUN --x=-1:1:5 --y=-1:1:5 DATA")]
#[case::compare("compare RUN RUN --x=-1:1:5 --y=-1:1:5 DATA")]
#[case::line("line A B --x=-1:1:5 DATA")]
#[case::slices("line RUN --x=-1:1:5 DATA")]
#[case::hessian("hessian RUN DATA")]
#[case::density("hessian RUN --density --probes 1 --iterations 5 DATA")]
#[case::weights("weights RUN")]
#[case::histogram("weights A")]
#[case::histograms("weights A B")]
#[case::average("average RUN DATA")]
#[case::sharpness("sharpness RUN DATA")]
#[case::inspect("inspect A")]
#[case::inspect_run("inspect RUN")]
fn a_result_is_replaced_by_the_next(
    #[case] command: &str,
    #[values("text", "json", "csv")] format: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (run_folder, a, b) = (fixture("digits-run"), checkpoint(0), checkpoint(240));
    let mut arguments = Vec::new();
    for word in command.split(' ') {
        match word {
            "RUN" => arguments.push(&*run_folder),
            "A" => arguments.push(&*a),
            "B" => arguments.push(&*b),
            "DATA" => arguments.extend(CHEAP),
            word => arguments.push(word),
        }
    }
    arguments.extend(["--format", format, "--out", path(&out)]);
    for _ in 0..2 {
        let output = run(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
    }
    fs::write(&out, "Loaded data: mnist, 60000 train samples\n").unwrap();
    assert!(refusal(&arguments, 2).contains("--force"));
}

#[rstest]
#[case("trajectory RUN")]
#[case("surface RUN --x=-1:1:5 --y=-1:1:5 --data digits")]
#[case("compare RUN RUN --x=-1:1:5 --y=-1:1:5 --data digits")]
#[case("line RUN --x=-1:1:5 --data digits")]
#[case("weights RUN --histogram")]
fn sentences_are_broken_where_a_width_is_told_and_lose_nothing(#[case] command: &str) {
    let run_folder = fixture("digits-run");
    let words = command.split(' ');
    let arguments: Vec<&str> = words
        .map(|word| if word == "RUN" { &*run_folder } else { word })
        .collect();
    let text = |columns: Option<&str>| {
        let mut command = program();
        command.args(&arguments).env_remove("COLUMNS");
        command.envs(columns.map(|columns| ("COLUMNS", columns)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let narrow = text(Some("80"));
    // A path alone may be longer.
    let fits = |line: &str| line.chars().count() <= 80 || !line.trim().contains(' ');
    assert!(narrow.lines().all(fits), "{narrow}");
    let head = |text: &str| {
        let lines = text.lines().take_while(|line| !line.is_empty());
        lines.flat_map(str::split_whitespace).collect::<String>()
    };
    let wide = text(None);
    assert!(!wide.lines().all(fits), "{wide}");
    assert_eq!(head(&narrow), head(&wide));
}

#[test]
fn a_checkpoint_is_not_replaced_and_nothing_is_written_beside_one() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pt");
    fs::write(&other, b"\x80\x03}q\0.").unwrap();
    let own = folder.path().join("model.safetensors");
    fs::copy(checkpoint(0), &own).unwrap();
    let away = checkpoint(0);
    let said = refusal(&["inspect", &away, "--out", path(&other), "--force"], 2);
    assert!(said.contains("weights"), "{said}");
    let beside = folder.path().join("new.json");
    let said = refusal(&["inspect", path(&own), "--out", path(&beside)], 2);
    assert!(said.contains("beside the checkpoint"), "{said}");
    assert!(!beside.exists());
}

#[test]
fn a_dash_is_stdout() {
    let plain = run(&["inspect", &checkpoint(0)]);
    for name in ["-", "/dev/stdout"] {
        let output = run(&["inspect", &checkpoint(0), "--out", name]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout, plain.stdout);
    }
}

#[test]
fn a_plane_is_written_over_nothing_but_a_plane_and_not_beside_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("model.safetensors");
    fs::copy(checkpoint(240), &own).unwrap();
    let beside = folder.path().join("plane.json");
    let surface = ["surface", path(&own), "--x=-1:1:3", "--y=-1:1:3", "--exact"];
    let to = |file: &Path| {
        let mut all = surface.to_vec();
        all.extend(CHEAP);
        all.extend(["--plane-out", path(file)]);
        all.iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let refused = |file: &Path| {
        let arguments = to(file);
        refusal(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 2)
    };
    let said = refused(&beside);
    assert!(
        said.contains("--plane-out") && said.contains("beside the checkpoint"),
        "{said}"
    );
    assert!(!beside.exists());

    let elsewhere = tempfile::tempdir().unwrap();
    let plane = elsewhere.path().join("plane.json");
    for _ in 0..2 {
        let arguments = to(&plane);
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            fs::read_to_string(&plane)
                .unwrap()
                .contains("\"isoloss_plane\": 1")
        );
    }
    let mut both = to(&plane);
    both.extend(["--out".to_owned(), path(&plane).to_owned()]);
    let said = refusal(&both.iter().map(String::as_str).collect::<Vec<_>>(), 2);
    assert!(said.contains("--out names the same file"), "{said}");
    let said = refused(Path::new("-"));
    assert!(said.contains("--plane-out -: expected a file"), "{said}");
    let again = [
        "surface",
        path(&own),
        "--plane",
        path(&plane),
        "--norm",
        "none",
    ];
    let said = refusal(&[&again[..], &["--data", "digits"]].concat(), 2);
    assert!(said.contains("--norm: --plane"), "{said}");
    // A result is one of isoloss too, but no plane.
    let notes = elsewhere.path().join("notes");
    for text in [
        "my notes\n",
        "{\"layer\":null,\"edges\":[],\"checkpoints\":[]}\n",
    ] {
        fs::write(&notes, text).unwrap();
        refused(&notes);
        assert_eq!(fs::read_to_string(&notes).unwrap(), text);
    }
    fs::write(&notes, "").unwrap();
    let arguments = to(&notes);
    assert!(
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
            .status
            .success()
    );
}
