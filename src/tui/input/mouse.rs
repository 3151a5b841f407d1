//! Mouse events, when they are asked for: the wheel zooms at the pointer, a click places the cursor or selects.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Margin, Position, Rect};

use crate::session::Command;

use crate::tui::render::arranged;
use crate::tui::state::App;
use crate::tui::state::choice::{ShownPlane, View};
use crate::tui::view::layout::ScreenLayout;
use crate::tui::view::map;

/// Does what an event asks, and returns what the session has to do for it; `None` if nothing is asked.
pub(in crate::tui) fn take(app: &mut App, event: MouseEvent, screen: Rect) -> Option<Vec<Command>> {
    let at = Position::new(event.column, event.row);
    let point = map::point(app, map_area(app, screen)?, at)?;
    match event.kind {
        MouseEventKind::ScrollUp => Some(app.zoom_at(point, true)),
        MouseEventKind::ScrollDown => Some(app.zoom_at(point, false)),
        MouseEventKind::Down(MouseButton::Left) => {
            app.point_at(point);
            Some(Vec::new())
        }
        _ => None,
    }
}

/// Returns the area of the path's plane, without its frame; `None` if it is not looked at.
fn map_area(app: &App, screen: Rect) -> Option<Rect> {
    if app.view() != View::Map
        || app.plane() != ShownPlane::Principal
        || app.is_helping()
        || app.shows_command()
    {
        return None;
    }
    match arranged(app, screen) {
        ScreenLayout::Full { map, .. }
        | ScreenLayout::Compact { body: map, .. }
        | ScreenLayout::Zoomed { body: map, .. } => Some(map.inner(Margin::new(1, 1))),
        ScreenLayout::Tiny { map, .. } => Some(map),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crossterm::event::KeyModifiers;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use rstest::rstest;

    use crate::session::Snapshot;
    use crate::tui::input::action::Action;
    use crate::tui::render::render;
    use crate::tui::state::Appearance;
    use crate::weights::Trajectory;

    /// Returns a path of six checkpoints.
    fn app() -> App {
        let path = [
            [6.0, 1.0],
            [5.0, 3.0],
            [3.5, 2.5],
            [2.0, 3.0],
            [1.0, 1.0],
            [0.0, 0.0],
        ];
        let trajectory = Trajectory {
            steps: (0..6).collect(),
            coordinates: path.to_vec(),
            explained: vec![0.7, 0.2],
            ..Trajectory::default()
        };
        let mut app = App::new(Appearance::default());
        app.receive(Arc::new(Snapshot {
            trajectory: Some(Arc::new(trajectory)),
            ..Snapshot::default()
        }));
        app
    }

    fn event(kind: MouseEventKind, at: Position) -> MouseEvent {
        MouseEvent {
            kind,
            column: at.x,
            row: at.y,
            modifiers: KeyModifiers::NONE,
        }
    }

    /// Returns the cell of the checkpoint that is looked at.
    fn mark(app: &App, screen: Rect) -> Position {
        let mut terminal = Terminal::new(TestBackend::new(screen.width, screen.height)).unwrap();
        terminal.draw(|frame| render(app, frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let area = map_area(app, screen).unwrap();
        let is_mark = |at: &Position| ["●", "◆"].contains(&buffer[*at].symbol());
        let mut marks = area.positions().filter(is_mark);
        marks.next().unwrap()
    }

    #[rstest]
    fn a_click_on_a_checkpoint_selects_it(
        #[values((120, 40), (70, 20), (40, 12))] (width, height): (u16, u16),
    ) {
        let screen = Rect::new(0, 0, width, height);
        let mut app = app();
        let last = mark(&app, screen);
        let first = Position::new(area_right(&app, screen), last.y);
        let click = MouseEventKind::Down(MouseButton::Left);
        assert_eq!(take(&mut app, event(click, first), screen), Some(vec![]));
        assert_eq!(app.selected(), Some(0));
        assert_eq!(take(&mut app, event(click, last), screen), Some(vec![]));
        assert_eq!(app.selected(), Some(5));
    }

    /// Returns the last column in which the plane is drawn.
    fn area_right(app: &App, screen: Rect) -> u16 {
        let area = map_area(app, screen).unwrap();
        let row = area.y + 1;
        let shows = |x: &u16| map::point(app, area, Position::new(*x, row)).is_some();
        (area.left()..area.right()).rev().find(shows).unwrap()
    }

    #[test]
    fn the_wheel_zooms_where_it_points_and_nowhere_beside_the_map() {
        let screen = Rect::new(0, 0, 120, 40);
        let mut app = app();
        let at = mark(&app, screen);
        let whole = app.window().unwrap();
        let zoomed = take(&mut app, event(MouseEventKind::ScrollUp, at), screen).unwrap();
        assert_eq!(zoomed, [Command::Survey(app.window())]);
        let window = app.window().unwrap();
        assert!(window.x[1] - window.x[0] < whole.x[1] - whole.x[0]);
        // A cell's middle stays; the checkpoint is somewhere in the cell.
        let now = mark(&app, screen);
        let moved = [now.x.abs_diff(at.x), now.y.abs_diff(at.y)];
        assert!(moved.iter().all(|cells| *cells <= 1), "{at} to {now}");
        for corner in [Position::new(0, 0), Position::new(119, 20)] {
            let wheel = event(MouseEventKind::ScrollUp, corner);
            assert_eq!(take(&mut app, wheel, screen), None);
        }
        app.update(Action::Help);
        let wheel = event(MouseEventKind::ScrollDown, at);
        assert_eq!(take(&mut app, wheel, screen), None);
    }
}
