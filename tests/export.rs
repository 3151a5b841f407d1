//! The screen, written to files: names, contents, and never into the run.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod synthetic;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use isoloss::tui::export::{export, stem};
use isoloss::tui::offscreen::still;
use isoloss::tui::{Action, App, Appearance, Format};
use ratatui::layout::Size;
use serde_json::Value;

const SIZE: Size = Size::new(120, 40);

fn app(run: &Path) -> App {
    let mut snapshot = synthetic::snapshot();
    run.clone_into(&mut snapshot.run);
    let mut app = App::new(Appearance::default());
    app.receive(Arc::new(snapshot));
    app
}

#[test]
fn names_tell_step_and_view_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = app(&folder.path().join("run"));
    assert_eq!(stem(&app), "isoloss-step384-map");
    app.update(Action::ScrubBack);
    app.update(Action::ShowPath);
    assert_eq!(stem(&app), "isoloss-step368-path");
    let names = |formats: &[Format]| {
        let written = export(&app, SIZE, folder.path(), "a", formats).unwrap();
        assert!(written.iter().all(|path| path.is_file()));
        let names = written.iter().map(|path| path.file_name().unwrap());
        names
            .map(|name| name.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[Format::Svg]), ["a.svg"]);
    // Files of one moment share a name.
    let all = [
        "a-2.txt", "a-2.ansi", "a-2.svg", "a-2.png", "a-2.json", "a-2.npz", "a-2.vtp",
    ];
    assert_eq!(names(Format::value_variants()), all);
    assert_eq!(names(&[Format::Text]), ["a.txt"]);
    assert_eq!(names(&[Format::Text]), ["a-3.txt"]);
    let screen = still(&app, SIZE);
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(text("a-2.txt"), screen.text());
    assert_eq!(text("a-2.ansi"), screen.ansi());
    assert_eq!(text("a-2.svg"), screen.svg());
}

#[test]
fn the_surface_is_written_with_what_makes_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let written = export(&app(&run), SIZE, folder.path(), "a", &[Format::Json]).unwrap();
    let surface: Value = serde_json::from_slice(&fs::read(&written[0]).unwrap()).unwrap();
    assert_eq!(surface["run"], run.to_str().unwrap());
    assert_eq!(surface["origin"]["step"], 384);
    assert_eq!(surface["bn"], "frozen");
    assert_eq!(surface["plane"]["kind"], "pca");
    let map = synthetic::snapshot().map.unwrap().surface;
    assert_eq!(surface["evaluations"], map.measured());
    let (mut known, mut holes) = (0, 0);
    for (j, row) in surface["measured"].as_array().unwrap().iter().enumerate() {
        for (i, measured) in row.as_array().unwrap().iter().enumerate() {
            let loss = &surface["loss"][j][i];
            let Some(measure) = map.get(i, j) else {
                assert_eq!(*measured, Value::Bool(false));
                continue;
            };
            assert_eq!(*measured, Value::Bool(true));
            if measure.loss.is_finite() {
                // serde_json reads the last bit of a number as it likes.
                let loss = loss.as_f64().unwrap();
                assert!((loss / measure.loss - 1.0).abs() < 1e-15);
                known += 1;
            } else {
                assert!(loss.is_null());
                holes += 1;
            }
        }
    }
    assert!(known > 200 && holes > 0, "{known} and {holes}");
    assert_eq!(surface["path"].as_array().unwrap().len(), 25);
    assert!(surface["path"][3]["plane_loss"].is_f64());
}

#[test]
fn nothing_goes_into_the_run_and_no_surface_is_no_json() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    for inside in [
        run.clone(),
        run.join("deep"),
        folder.path().join("x/../run"),
    ] {
        let error = export(&app(&run), SIZE, &inside, "a", Format::value_variants()).unwrap_err();
        assert!(error.to_string().contains("is inside the run"), "{error}");
    }
    assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
    let mut app = App::new(Appearance::default());
    let mut snapshot = synthetic::path_only(5);
    snapshot.run = run;
    app.receive(Arc::new(snapshot));
    assert!(
        export(&app, SIZE, folder.path(), "a", &[Format::Json])
            .unwrap()
            .is_empty()
    );
    let missing = export(
        &app,
        SIZE,
        &folder.path().join("none"),
        "a",
        &[Format::Text],
    )
    .unwrap_err();
    assert!(
        missing.to_string().contains("a.txt: cannot be written"),
        "{missing}"
    );
}
