//! A screen that keeps its pictures shows what one shows that draws them all anew.

#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

mod synthetic;

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use isoloss::loss::Measure;
use isoloss::session::{Analysis, Map, Snapshot};
use isoloss::tui::render::render;
use isoloss::tui::{Action, App, Appearance, Keymap};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// An event on a screen.
#[derive(Clone, Debug)]
enum Event {
    Action(Action),
    Received(Index),
    Rival(Index),
}

/// Snapshots that are alike but for one thing each.
fn snapshots() -> Vec<Arc<Snapshot>> {
    let changed = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = synthetic::snapshot();
        change(&mut snapshot);
        snapshot
    };
    let of_map =
        |change: &dyn Fn(&mut Map)| changed(&|snapshot| snapshot.map.iter_mut().for_each(change));
    let record = |loss| {
        let measure = Measure { loss, score: 0.5 };
        of_map(&|map| map.surface.record(32, 32, measure))
    };
    let shorter = |snapshot: &mut Snapshot| {
        let path = synthetic::trajectory(24);
        snapshot.trajectory = Some(Arc::new(path));
    };
    // In the midst of the path, so that its window stays.
    let bent = |snapshot: &mut Snapshot| {
        let mut path = synthetic::trajectory(25);
        path.coordinates[16] = path.coordinates[19];
        snapshot.trajectory = Some(Arc::new(path));
    };
    let all = vec![
        synthetic::path_only(0),
        synthetic::path_only(2),
        synthetic::snapshot(),
        synthetic::studied(Analysis::Plane),
        synthetic::studied(Analysis::Curvature),
        synthetic::studied(Analysis::Line),
        record(1e-6),
        record(f64::NAN),
        of_map(&|map| map.stale = true),
        of_map(&|map| map.surface = map.surface.clone().with_tolerance(1.0)),
        changed(&shorter),
        changed(&bent),
        changed(&|snapshot| snapshot.checkpoints[12].truth = None),
        changed(&|snapshot| snapshot.hyper.truncate(10)),
        changed(&|snapshot| snapshot.hyper[14] = snapshot.hyper[15]),
        changed(&|snapshot| snapshot.random_projection = None),
        changed(&|snapshot| snapshot.run = "runs/other".into()),
        changed(&|snapshot| snapshot.progress.done += 1),
        changed(&|snapshot| snapshot.notices.push("a worker is gone".into())),
    ];
    all.into_iter().map(Arc::new).collect()
}

fn happen(app: &mut App, event: &Event, snapshots: &[Arc<Snapshot>]) {
    match event {
        Event::Action(action) => drop(app.update(*action)),
        Event::Received(index) => drop(app.receive(Arc::clone(index.get(snapshots)))),
        Event::Rival(index) => app.receive_compared(vec![Arc::clone(index.get(snapshots))]),
    }
}

fn screen(app: &App, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test terminal");
    terminal.draw(|frame| render(app, frame)).expect("a frame");
    terminal.backend().buffer().clone()
}

/// Returns what the keys ask for.
fn actions() -> Vec<Action> {
    let characters = (' '..='~').map(KeyCode::Char);
    let others = [KeyCode::Left, KeyCode::Right, KeyCode::Up, KeyCode::Down];
    let keys = characters.chain(others).map(KeyEvent::from);
    keys.filter_map(|key| Keymap::default().action(key))
        .collect()
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => select(actions()).prop_map(Event::Action),
        2 => any::<Index>().prop_map(Event::Received),
        1 => any::<Index>().prop_map(Event::Rival),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_kept_picture_is_stale(
        steps in prop::collection::vec((event(), select(vec![(100, 30), (101, 30), (70, 20), (40, 12)])), 1..40),
    ) {
        let snapshots = snapshots();
        let mut keeping = App::new(Appearance::default());
        for (count, (event, size)) in steps.iter().enumerate() {
            happen(&mut keeping, event, &snapshots);
            let mut fresh = App::new(Appearance::default());
            for (event, _) in &steps[..=count] {
                happen(&mut fresh, event, &snapshots);
            }
            prop_assert_eq!(screen(&keeping, *size), screen(&fresh, *size));
        }
    }
}
