//! Prints the screen of a real run as text, once all of its surface is measured:
//! `cargo run --release --example screen_of_a_run -- tests/fixtures/digits-run digits 100 34`.
//!
//! Arguments: the run, the data, width and height in characters.

use std::env::args;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use isoloss::cache::KeepLimit;
use isoloss::data::DataRequest;
use isoloss::landscape::Setup;
use isoloss::run::RunChoice;
use isoloss::session::{Options, Session, Snapshot};
use isoloss::tui::offscreen::still;
use isoloss::tui::{App, Appearance};
use isoloss::weights::BatchNorm;
use ratatui::layout::Size;

fn main() -> Result<(), Box<dyn Error>> {
    let [run, data, width, height] = &args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("expected RUN DATA WIDTH HEIGHT".into());
    };
    let snapshot = surveyed(run.into(), data.into())?;
    let mut app = App::new(Appearance::default());
    app.receive(snapshot);
    let size = Size::new(width.parse()?, height.parse()?);
    print!("{}", still(&app, size).text());
    Ok(())
}

/// Watches the run until there is nothing left to measure.
fn surveyed(run: PathBuf, data: PathBuf) -> Result<Arc<Snapshot>, Box<dyn Error>> {
    let mut session = Session::start(Options {
        run,
        choice: RunChoice::default(),
        keep: KeepLimit::Nothing,
        disk_only: true,
        hosting: isoloss::landscape::worker::Hosting::default(),
        setup: Setup::of(DataRequest::whole(data)),
        batch_norm: BatchNorm::Frozen,
        fidelity: None,
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let at_rest = |snapshot: &Arc<Snapshot>| {
        let stands = snapshot.map.as_ref().is_some_and(|map| !map.stale);
        stands && snapshot.progress.rests
    };
    let snapshot = runtime
        .block_on(session.snapshots.wait_for(at_rest))?
        .clone();
    Ok(snapshot)
}
