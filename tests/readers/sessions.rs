//! Recordings of sessions.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use isoloss::report::lines;
use isoloss::session::{Recording, Snapshot};
use isoloss::tui::offscreen::still;
use isoloss::tui::{App, Appearance};
use ratatui::layout::Size;

use super::{assert_sentence, chosen, write};

/// A whole file, or what it unpacks to; all moments are told, and the last one is drawn.
pub fn recordings(input: &[u8]) {
    let Some((form, input)) = chosen(input, 2) else {
        return;
    };
    let path = if form == 0 {
        write("session.rec", input)
    } else {
        let mut packed = GzEncoder::new(Vec::new(), Compression::none());
        packed.write_all(input).unwrap();
        write("session.rec", &packed.finish().unwrap())
    };
    let recording = match Recording::open(&path) {
        Ok(recording) => recording,
        Err(error) => return assert_sentence(error),
    };
    let mut before = Arc::new(Snapshot::default());
    let mut is_any = false;
    for moment in recording {
        match moment {
            Ok(moment) => {
                is_any = true;
                let _ = lines::changes(&before, &moment.snapshot);
                before = moment.snapshot;
            }
            Err(error) => assert_sentence(error),
        }
    }
    if is_any {
        let mut app = App::new(Appearance::default());
        app.receive(before);
        let _ = still(&app, Size::new(60, 18));
    }
}
