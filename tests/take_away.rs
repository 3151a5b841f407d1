//! Results for other programs: pictures, arrays, meshes, events and films, made by the built program.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![cfg(unix)]

mod program;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use program::{fixture, json, program, refusal, run};
use serde_json::Value;

const GRID: [&str; 9] = [
    "--data",
    "digits",
    "--samples",
    "32",
    "--x=-1:1:5",
    "--y=-1:1:4",
    "--exact",
    "--steps",
    "0..60",
];

fn surface<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["surface", run], &GRID[..], more].concat()
}

/// Numbers of one array of an archive.
fn array<T: npyz::Deserialize>(file: &Path, name: &str) -> (Vec<u64>, Vec<T>) {
    let mut archive = zip::ZipArchive::new(File::open(file).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut entry = archive.by_name(&format!("{name}.npy")).unwrap();
    entry.read_to_end(&mut bytes).unwrap();
    let npy = npyz::NpyFile::new(Cursor::new(bytes)).unwrap();
    (npy.shape().to_vec(), npy.into_vec().unwrap())
}

#[test]
fn a_surface_is_the_same_in_every_format_and_replaces_only_its_like() {
    let folder = tempfile::tempdir().unwrap();
    let digits = fixture("digits-run");
    let known = json(&surface(&digits, &["--format", "json"]));
    for format in ["png", "npz", "vtp", "svg"] {
        let out = folder.path().join(format!("a.{format}"));
        let out = out.to_str().unwrap();
        // The second time it replaces its own; anything else it leaves alone.
        for _ in 0..2 {
            let output = run(&surface(&digits, &["--format", format, "--out", out]));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.success() && output.stdout.is_empty(),
                "{said}"
            );
        }
        let other = folder.path().join(format!("other.{format}"));
        fs::write(&other, b"\x89PNG\r\n\x1a\n\0mine").unwrap();
        let other = other.to_str().unwrap();
        let said = refusal(&surface(&digits, &["--format", format, "--out", other]), 2);
        assert!(said.contains("expected a result of isoloss"), "{said}");
    }
    let at = |name: &str| folder.path().join(name);
    let (shape, loss) = array::<f64>(&at("a.npz"), "loss");
    assert_eq!(shape, [4, 5]);
    let rows = known["loss"].as_array().unwrap().iter();
    let rows: Vec<f64> = rows
        .flat_map(|row| row.as_array().unwrap())
        .map(|value| value.as_f64().unwrap())
        .collect();
    // serde_json reads the last bit of a number as it likes.
    let same = loss
        .iter()
        .zip(&rows)
        .all(|(a, b)| (a / b - 1.0).abs() < 1e-14);
    assert!(same && loss.len() == rows.len());
    assert_eq!(
        array::<u64>(&at("a.npz"), "steps").1,
        [0, 10, 20, 30, 40, 50, 60]
    );
    assert_eq!(array::<f64>(&at("a.npz"), "path").0, [7, 2]);
    assert_eq!(array::<f64>(&at("a.npz"), "path_loss").0, [7]);
    let about = array::<String>(&at("a.npz"), "isoloss").1.remove(0);
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!(
        (&about["samples"], &about["plane"]["kind"]),
        (&32.into(), &"pca".into())
    );
    let vtp = fs::read_to_string(at("a.vtp")).unwrap();
    assert!(vtp.contains("<Piece NumberOfPoints=\"20\" NumberOfVerts=\"0\" NumberOfLines=\"0\" NumberOfStrips=\"0\" NumberOfPolys=\"12\">"));
    assert!(vtp.contains("<Piece NumberOfPoints=\"7\" NumberOfVerts=\"0\" NumberOfLines=\"1\""));
    let png = png::Decoder::new(BufReader::new(File::open(at("a.png")).unwrap()));
    let png = png.read_info().unwrap();
    // 120 columns, 40 lines and two lines about them, at twice 8 by 16.
    assert_eq!((png.info().width, png.info().height), (1920, 1344));
}

#[test]
fn what_needs_no_samples_is_drawn_as_it_is_printed() {
    let digits = fixture("digits-run");
    let printed = |arguments: &[&str]| {
        let text = run(arguments).stdout;
        let svg = run(&[arguments, &["--format", "svg"]].concat()).stdout;
        [text, svg].map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let both_planes = ["trajectory", &digits, "--plane", "random"];
    let histogram = ["weights", &digits, "--histogram"];
    for (arguments, words) in [
        (
            &both_planes[..],
            &["PC1", "random 1", "910 parameters", "A random plane"][..],
        ),
        (
            &["weights", &digits],
            &["norm of the weights", "910 parameters"],
        ),
        (&histogram, &["exact zeros", "standard deviation"]),
    ] {
        let [text, svg] = printed(arguments);
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
            // A picture has each word where it stands.
            let drawn = |part: &str| svg.contains(&format!(">{part}<"));
            assert!(word.split(' ').all(drawn), "{word}: {svg}");
        }
        // The curve itself, which is no text.
        assert!(svg.contains("<path"), "{svg}");
    }
}

#[test]
fn a_path_without_a_plane_is_drawn_as_what_is_said_of_it() {
    let one = fixture("digits-run/step_0000.safetensors");
    let output = run(&["trajectory", &one, "--format", "svg"]);
    let svg = String::from_utf8(output.stdout).unwrap();
    for word in ["910", "parameters", "point:"] {
        assert!(svg.contains(&format!(">{word}<")), "{svg}");
    }
}

#[test]
fn a_format_that_makes_no_sense_is_refused_with_those_that_do() {
    let digits = fixture("digits-run");
    let said = refusal(&["line", &digits, "--data", "digits", "--format", "vtp"], 2);
    assert!(
        said.contains("but text, json, csv, svg, png, npz"),
        "{said}"
    );
    let said = refusal(
        &["hessian", &digits, "--data", "digits", "--format", "png"],
        2,
    );
    assert!(
        said.contains("one point has no such form; add --map or --density"),
        "{said}"
    );
    let density = ["hessian", &digits, "--data", "digits", "--density"];
    let said = refusal(&[&density[..], &["--format", "vtp"]].concat(), 2);
    assert!(
        said.contains("but text, json, csv, svg, png, npz"),
        "{said}"
    );
    let said = refusal(&["trajectory", &digits, "--format", "npz"], 2);
    assert!(said.contains("but text, json, csv, svg, png"), "{said}");
}

#[test]
fn lines_curvature_and_comparisons_have_arrays_too() {
    let folder = tempfile::tempdir().unwrap();
    let digits = fixture("digits-run");
    let out = |name: &str| folder.path().join(name);
    let made = |arguments: &[&str], name: &str| {
        let out = out(name);
        let format = ["--format", "npz", "--out", out.to_str().unwrap()];
        let output = run(&[arguments, &format].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        out
    };
    let few = ["--data", "digits", "--samples", "32"];
    let line = made(
        &[&["line", &digits][..], &few, &["--x=-1:1:9"]].concat(),
        "line.npz",
    );
    assert_eq!(array::<f64>(&line, "alpha").1.len(), 9);
    assert_eq!(array::<f64>(&line, "train_loss").0, [9]);
    let map = ["--map", "--x=-1:1:3", "--y=-1:1:2", "--iterations", "8"];
    let hessian = made(
        &[&["hessian", &digits][..], &few, &map].concat(),
        "hessian.npz",
    );
    assert_eq!(array::<f64>(&hessian, "ratio").0, [2, 3]);
    assert_eq!(array::<f64>(&hessian, "path").0, [25, 2]);
    let grid = ["--x=-1:1:3", "--y=-1:1:3", "--exact"];
    let both = made(
        &[&["compare", &digits, &digits][..], &few, &grid].concat(),
        "both.npz",
    );
    assert_eq!(array::<f64>(&both, "run1_loss").0, [3, 3]);
}

/// The first checkpoints of the run, in a folder of their own.
fn copied_run(at: &Path, checkpoints: usize) -> String {
    let run = at.join("run");
    fs::create_dir_all(&run).unwrap();
    for i in 0..checkpoints {
        let name = format!("step_{:04}.safetensors", 10 * i);
        fs::copy(fixture(&format!("digits-run/{name}")), run.join(name)).unwrap();
    }
    run.to_str().unwrap().to_owned()
}

/// Waits until something holds.
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn events_are_lines_of_json_and_the_last_one_tells_the_signal() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args([
        "watch",
        &copied_run(folder.path(), 4),
        "--json",
        "--data",
        "digits",
    ]);
    command.args(["--samples", "32"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut events: Vec<Value> = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is = |event: &Value, name: &str| event["event"] == name;
    while !events.iter().any(|event| is(event, "at_rest")) {
        let line = lines.next().unwrap().unwrap();
        events.push(serde_json::from_str(&line).unwrap());
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let rest = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    events.extend(rest);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    let last = events.last().unwrap();
    assert!(is(last, "ended") && last["signal"] == 15, "{last}");
    assert!(
        events
            .iter()
            .all(|event| event["time"].as_f64().unwrap() > 1.7e9)
    );
    let of = |name: &'static str| events.iter().filter(move |event| is(event, name));
    let mut steps: Vec<u64> = of("loss")
        .map(|event| event["step"].as_u64().unwrap())
        .collect();
    steps.sort_unstable();
    assert_eq!(steps, [0, 10, 20, 30]);
    assert!(of("loss").all(|event| event["loss"].is_f64() && event["accuracy"].is_f64()));
    let on_path = of("checkpoint").filter(|event| event["state"] == "on_path");
    assert!(on_path.clone().count() == 4 && on_path.clone().all(|event| event["norm"].is_f64()));
    let plane = of("plane").next_back().unwrap();
    assert_eq!(
        (&plane["origin"], &plane["checkpoints"]),
        (&30.into(), &4.into())
    );
    let rest = of("at_rest").next_back().unwrap();
    assert!(
        rest["share"].as_f64().unwrap() > 0.99 && rest["lowest"]["loss"].is_f64(),
        "{rest}"
    );
    // A reader that has had enough is no error.
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.starts_with('{'));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_film_has_a_picture_for_each_frame() {
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frames");
    for checkpoints in [3, 4] {
        let mut command = program();
        command.args([
            "watch",
            &copied_run(folder.path(), checkpoints),
            "--headless",
            "--every",
            "1s",
        ]);
        command.args(["--out", frames.to_str().unwrap(), "--format", "png,npz"]);
        command.args(["--data", "digits", "--samples", "32", "--size", "60x20"]);
        let mut child = command.spawn().unwrap();
        let name = format!("frame-0000{}0.npz", checkpoints - 1);
        wait_for("a frame with a map", || frames.join(&name).exists());
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(
        array::<u64>(&frames.join("frame-000030.npz"), "steps").1,
        [0, 10, 20, 30]
    );
    let made = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let arguments = ["film", frames.to_str().unwrap(), out.to_str().unwrap()];
        let output = run(&[&arguments[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        out
    };
    for _ in 0..2 {
        let film = made("a.gif", &["--fps", "4"]);
        let mut decoder = gif::DecodeOptions::new()
            .read_info(File::open(film).unwrap())
            .unwrap();
        assert_eq!((decoder.width(), decoder.height()), (960, 640));
        let mut delays = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            delays.push(frame.delay);
        }
        assert_eq!(delays, [25, 200]);
    }
    let film = made("a.png", &[]);
    let mut film = png::Decoder::new(BufReader::new(File::open(film).unwrap()))
        .read_info()
        .unwrap();
    assert_eq!(film.info().animation_control().unwrap().num_frames, 2);
    let mut first = vec![0; film.output_buffer_size().unwrap()];
    film.next_frame(&mut first).unwrap();
    let frame = File::open(frames.join("frame-000020.png")).unwrap();
    let mut frame = png::Decoder::new(BufReader::new(frame))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; frame.output_buffer_size().unwrap()];
    frame.next_frame(&mut pixels).unwrap();
    assert_eq!(first, pixels);
    let empty = folder.path().to_str().unwrap();
    let said = refusal(&["film", empty, "b.gif"], 1);
    assert!(
        said.contains("expected frame-*.png or frame-*.svg"),
        "{said}"
    );
    let said = refusal(&["film", frames.to_str().unwrap(), "b.mp4"], 2);
    assert!(said.contains(".gif, .png or .apng"), "{said}");
}
