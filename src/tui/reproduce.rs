//! The commands that give the numbers of the screen again, without the screen.

use crate::session::analysis::{CURVATURE_LINES, PLANE_LINES, POINTS, SEEDS};
use crate::session::pictures::LINES;
use crate::session::{CheckpointState, PlaneWindow, Slice, Snapshot};

use super::invocation::Invocation;
use super::state::App;
use super::state::choice::{ShownPlane, SliceKind, View, WeightsTab};

/// Returns the commands that show the same as the view: words, unquoted. None before there is a path, and none
/// of a recording, which does not hold the command line of its session.
#[must_use]
pub fn commands(app: &App) -> Vec<Vec<String>> {
    let watches = !app.invocation().run.as_os_str().is_empty();
    let Some(seen) = Seen::of(app).filter(|_| watches) else {
        return Vec::new();
    };
    match app.view() {
        View::Map | View::Relief => vec![seen.surface(app)],
        View::Slices => seen.slices(app),
        View::Path => {
            let options = [words(&["--plane", "random"]), seen.asked("--seed")].concat();
            vec![seen.command("trajectory", &seen.asked("--model"), &options)]
        }
        View::Weights if app.weights_tab() == WeightsTab::Stability => {
            vec![seen.command("hessian", &seen.measure(), &[])]
        }
        View::Weights => {
            let histogram = app.weights_tab() == WeightsTab::Histogram;
            let options = if histogram {
                words(&["--histogram"])
            } else {
                Vec::new()
            };
            vec![seen.command("weights", &seen.asked("--model"), &options)]
        }
        View::Curvature => {
            let options = [words(&["--map"]), seen.grid(CURVATURE_LINES)].concat();
            vec![seen.command_to(seen.origin, "hessian", &seen.measure(), &options)]
        }
        View::Compare => vec![seen.compare()],
    }
}

/// Returns the names of the session's axes that the commands have the other way round, if the view shows axes.
#[must_use]
pub fn mirrored(app: &App) -> Vec<&'static str> {
    let shows_axes = matches!(
        app.view(),
        View::Map | View::Relief | View::Path | View::Curvature
    );
    let seen = Seen::of(app).filter(|_| shows_axes);
    let turned = seen.map_or([false; 2], |seen| seen.turned);
    let axes = ["PC1", "PC2"].into_iter().zip(turned);
    axes.filter_map(|(name, turned)| turned.then_some(name))
        .collect()
}

/// The part of the invocation that is on the screen.
struct Seen<'a> {
    invocation: &'a Invocation,
    /// Ranges and numbers of the map's lines.
    lines: [([f64; 2], usize); 2],
    window: PlaneWindow,
    /// Step of the origin of the map's plane, which is that of the checkpoints up to there.
    origin: u64,
    /// Step of the newest checkpoint of the path: later ones are not part of the picture.
    last: u64,
    /// The session's axes that a fit from nothing would turn the other way.
    turned: [bool; 2],
    slices: &'a [Slice],
}

impl<'a> Seen<'a> {
    fn of(app: &'a App) -> Option<Self> {
        let snapshot = app.snapshot();
        let trajectory = snapshot.trajectory.as_ref()?;
        let first = trajectory.coordinates.first()?;
        let (window, last) = (app.window()?, *trajectory.steps.last()?);
        Some(Self {
            invocation: app.invocation(),
            lines: lines(snapshot).unwrap_or([window.x, window.y].map(|side| (side, LINES))),
            window,
            origin: snapshot.origin()?,
            last,
            turned: first.map(|coordinate| coordinate < 0.0),
            slices: &snapshot.slices,
        })
    }

    /// Returns a command on the run as far as it is seen.
    fn command(&self, name: &str, measure: &[String], options: &[String]) -> Vec<String> {
        self.command_to(self.last, name, measure, options)
    }

    /// Returns a command on the run up to a step.
    fn command_to(
        &self,
        last: u64,
        name: &str,
        measure: &[String],
        options: &[String],
    ) -> Vec<String> {
        let Invocation { run, key, .. } = self.invocation;
        let run = run.display().to_string();
        let steps = format!("..{last}");
        let start = words(&["isoloss", name, &run, "--steps", &steps]);
        [&start[..], key, measure, options].concat()
    }

    fn measure(&self) -> Vec<String> {
        let Invocation {
            measure,
            batch_norm,
            ..
        } = self.invocation;
        [&measure[..], batch_norm].concat()
    }

    /// Returns an option with its value, for a command that measures nothing.
    fn asked(&self, option: &str) -> Vec<String> {
        let named = self.invocation.measure.iter();
        let named = named.skip_while(|word| *word != option).take(2);
        named.cloned().collect()
    }

    fn surface(&self, app: &App) -> Vec<String> {
        let is_random = app.plane() == ShownPlane::Random && app.view() == View::Map;
        let (last, mut options) = if is_random {
            let side = [-1.0, 1.0];
            let axes = ["--x", "--y"].map(|name| axis(name, side, PLANE_LINES));
            let options = [words(&["--plane", "random"]), axes.to_vec()];
            (self.last, options.concat())
        } else {
            let [x, y] = [0, 1].map(|k| {
                let (range, lines) = self.lines[k];
                (self.facing(k, range), lines)
            });
            let options = vec![axis("--x", x.0, x.1), axis("--y", y.0, y.1)];
            (self.origin, options)
        };
        options.extend(self.invocation.fidelity.iter().cloned());
        if app.view() == View::Relief {
            let camera = app.camera();
            options.push(format!("--relief={},{}", camera.turn, camera.tilt));
        }
        self.command_to(last, "surface", &self.measure(), &options)
    }

    fn compare(&self) -> Vec<String> {
        let Invocation {
            run, compared, key, ..
        } = self.invocation;
        let runs = std::iter::once(run).chain(compared);
        let runs: Vec<String> = runs.map(|run| run.display().to_string()).collect();
        [
            &words(&["isoloss", "compare"]),
            &runs,
            key,
            &self.measure()[..],
            &words(&["--plane", "pca"]),
            &self.invocation.fidelity,
        ]
        .concat()
    }

    /// Returns the window, `lines` a side.
    fn grid(&self, lines: usize) -> Vec<String> {
        let [x, y] =
            [(0, self.window.x), (1, self.window.y)].map(|(k, range)| self.facing(k, range));
        vec![axis("--x", x, lines), axis("--y", y, lines)]
    }

    /// Returns a range of axis `k` as a fit from nothing has it.
    fn facing(&self, k: usize, [min, max]: [f64; 2]) -> [f64; 2] {
        if self.turned[k] {
            [-max, -min]
        } else {
            [min, max]
        }
    }

    fn slices(&self, app: &App) -> Vec<Vec<String>> {
        let line = |options: Vec<String>| {
            let Invocation {
                run, key, measure, ..
            } = self.invocation;
            let start = words(&["isoloss", "line", &run.display().to_string()]);
            [&start[..], key, measure, &options].concat()
        };
        let origin = words(&["--origin", &self.last.to_string()]);
        let range = |range| vec![axis("--x", range, POINTS)];
        match app.slice_kind() {
            SliceKind::Components => (self.slices.iter())
                .filter_map(|slice| {
                    let (min, max) = slice.offset.first().zip(slice.offset.last())?;
                    let component = format!("pc{}", slice.axis + 1);
                    let x = axis(
                        "--x",
                        self.facing(slice.axis, [*min, *max]),
                        slice.offset.len(),
                    );
                    let origin = words(&["--origin", &self.origin.to_string()]);
                    let steps = words(&["--steps", &format!("..{}", self.origin)]);
                    let along = words(&["--along", &component, &x]);
                    Some(line([along, origin, steps].concat()))
                })
                .collect(),
            SliceKind::Random => {
                let seeds = words(&["--along", "random", "--seeds", &SEEDS.to_string()]);
                vec![line([seeds, range([-1.0, 1.0]), origin].concat())]
            }
            SliceKind::Update => vec![line(
                [words(&["--along", "update"]), range([-2.0, 2.0]), origin].concat(),
            )],
            SliceKind::Line => ends(app)
                .map(|ends| self.line_between(&ends))
                .into_iter()
                .collect(),
        }
    }

    /// Returns the line from the first checkpoint to the last one.
    fn line_between(&self, ends: &[String; 2]) -> Vec<String> {
        let Invocation { key, measure, .. } = self.invocation;
        let start = words(&["isoloss", "line", &ends[0], &ends[1]]);
        let options = words(&["--bn", "states", &axis("--x", [-0.5, 1.5], POINTS)]);
        [&start[..], key, measure, &options].concat()
    }
}

/// Returns the ranges and numbers of the lines of the map that is measured; `None` if there is none.
fn lines(snapshot: &Snapshot) -> Option<[([f64; 2], usize); 2]> {
    let surface = &snapshot.map.as_ref().filter(|map| !map.stale)?.surface;
    let side = |lines: &[f64]| Some(([*lines.first()?, *lines.last()?], lines.len()));
    Some([side(surface.x())?, side(surface.y())?])
}

/// Returns the files of the first and the last checkpoint of the path.
fn ends(app: &App) -> Option<[String; 2]> {
    let lines = app.snapshot().checkpoints.iter();
    let mut on_path = lines.filter(|line| line.state == CheckpointState::OnPath);
    let (first, last) = (on_path.next()?, on_path.next_back()?);
    Some([first, last].map(|line| line.path.display().to_string()))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Returns a range with as many digits as it takes to get the same numbers again.
fn axis(name: &str, [min, max]: [f64; 2], lines: usize) -> String {
    format!("{name}={min}:{max}:{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::input::action::Action;
    use crate::tui::state::Appearance;
    use crate::weights::Trajectory;
    use std::sync::Arc;

    #[test]
    fn commands_that_measure_nothing_carry_the_model_whose_tensors_count() {
        let trajectory = Trajectory {
            steps: vec![0, 10],
            coordinates: vec![[1.0, 0.0], [0.0, 0.0]],
            ..Trajectory::default()
        };
        let invocation = Invocation {
            run: "runs/a".into(),
            measure: words(&[
                "--data", "d", "--seed", "3", "--model", "m.pt2", "--loss", "nll",
            ]),
            ..Invocation::default()
        };
        let mut app = App::new(Appearance::default()).of(invocation);
        app.receive(Arc::new(Snapshot {
            trajectory: Some(Arc::new(trajectory)),
            ..Snapshot::default()
        }));
        let start = "isoloss trajectory runs/a --steps ..10 --model m.pt2";
        for (action, expected) in [
            (Action::ShowPath, format!("{start} --plane random --seed 3")),
            (Action::ShowWeights, start.replace("trajectory", "weights")),
        ] {
            let _ = app.update(action);
            assert_eq!(commands(&app)[0].join(" "), expected);
        }
    }

    #[test]
    fn an_axis_that_a_fit_from_nothing_turns_is_written_the_other_way_round() {
        let trajectory = Trajectory {
            steps: vec![0, 10, 20],
            coordinates: vec![[-5.0, 5.0], [-2.0, 0.0], [0.0, 0.0]],
            ..Trajectory::default()
        };
        let invocation = Invocation {
            run: "runs/a".into(),
            ..Invocation::default()
        };
        let mut app = App::new(Appearance::default()).of(invocation);
        app.receive(Arc::new(Snapshot {
            trajectory: Some(Arc::new(trajectory)),
            ..Snapshot::default()
        }));
        let commands = commands(&app);
        let words: Vec<&str> = commands[0].iter().map(String::as_str).collect();
        assert!(
            words.contains(&"--x=-1:6:65") && words.contains(&"--y=-1:6:65"),
            "{words:?}"
        );
        assert!(words.windows(2).any(|pair| pair == ["--steps", "..20"]));
    }
}
