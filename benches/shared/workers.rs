//! A survey by one to eight workers whose points take 20 ms each, without a processor: what handing them out costs.

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use isoloss::data::{DataRequest, Split};
use isoloss::landscape::grid::explore::explore;
use isoloss::landscape::grid::survey::spread;
use isoloss::landscape::worker::client::measures;
use isoloss::landscape::worker::wire::{PROTOCOL, line, message};
use isoloss::landscape::{
    Client, Hosting, LandscapeError, Launch, Loaded, Place, Plan, Query, QueryAnswer, Setup,
    Surface, TimedValue, Until, WorkerAnswer, WorkerOrder,
};
use isoloss::loss::Measure;
use isoloss::run::Checkpoint;
use isoloss::weights::{PlaneSpec, RunShape};
use serde_json::{Value as Json, json};

/// The option by which this program is a worker.
pub(super) const AS_WORKER: &str = "--as-worker";
/// Time that a point takes.
const POINT: Duration = Duration::from_millis(20);
/// Lines a side of the grid that is measured whole, and of the one that is measured until it is good.
const WHOLE: usize = 21;
const GOOD: usize = 51;

/// Answers every query after the time of a point.
pub(super) fn serve() -> Result<(), Box<dyn Error>> {
    let say = |answer: &WorkerAnswer| -> std::io::Result<()> {
        let mut stdout = stdout().lock();
        writeln!(stdout, "{}", line(answer)?)?;
        stdout.flush()
    };
    say(&WorkerAnswer::Hello {
        protocol: PROTOCOL,
        version: "bench".into(),
        host: None,
    })?;
    let mut held: Option<Arc<Plan>> = None;
    for order in stdin().lock().lines() {
        match message(&order?)? {
            WorkerOrder::Setup(_) => say(&WorkerAnswer::Ready {
                place: Place::Cpu,
                data: Loaded::Loaded {
                    name: "none".into(),
                    samples: 1,
                    content: None,
                },
            })?,
            WorkerOrder::Plan { plan, .. } => held = Some(plan),
            WorkerOrder::Measure { id, index } => {
                sleep(POINT);
                let query = held.as_ref().and_then(|plan| plan.queries.get(index));
                let loss = match query.and_then(|query| query.quantity.plane_point()) {
                    Some([x, y]) => 1.0 + 5.0 * (-((x + 0.3 * y - 0.123) / 0.08).powi(2)).exp(),
                    None => f64::NAN,
                };
                let value = QueryAnswer::Measure(Measure { loss, score: 0.0 });
                let seconds = POINT.as_secs_f64();
                say(&WorkerAnswer::Found {
                    id,
                    found: TimedValue { value, seconds },
                })?;
            }
            WorkerOrder::Forget { .. } | WorkerOrder::Pause(_) => {}
        }
    }
    Ok(())
}

/// Returns the seconds of both grids by 1, 2, 4 and 8 workers, with how many times as fast as one they are.
pub(super) fn report() -> Result<Json, Box<dyn Error>> {
    let mut rows = Vec::new();
    let mut one = None;
    for count in [1, 2, 4, 8] {
        let [whole, good] = by(count)?;
        let [one_whole, one_good] = *one.get_or_insert([whole, good]);
        rows.push(json!({
            "workers": count,
            "whole_seconds": whole, "whole_times": one_whole / whole,
            "good_seconds": good, "good_times": one_good / good,
        }));
    }
    Ok(rows.into())
}

/// The seconds of both grids by so many workers, which have started before.
fn by(count: usize) -> Result<[f64; 2], Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let launch = Launch::new(vec![program.into(), AS_WORKER.into()], Vec::new());
    let hosting = Hosting {
        process: Some(launch.clone()),
        launches: vec![launch; count],
        ..Hosting::default()
    };
    let tell: isoloss::evaluator::Tell = Arc::new(|sentence| eprintln!("{sentence}"));
    let mut client = Client::start(
        Setup::of(DataRequest::whole("digits")),
        hosting,
        Arc::clone(&tell),
    )?;
    let run = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/digits-run");
    let origin = Checkpoint::new(240, run.join("step_0240.safetensors"));
    let spec = PlaneSpec::through(&RunShape::of(&origin, None)?, &origin);
    let mut measure = |places: &[[f64; 2]]| -> Result<Vec<Measure>, LandscapeError> {
        let queries = places.iter().map(|at| Query::on_plane(*at)).collect();
        let values = client.values(&spec, Split::Train, queries, |_| ())?;
        Ok(measures(values, &tell))
    };
    // All have started once each had a point.
    measure(&vec![[0.0, 0.0]; 4 * count])?;
    let mut timed = |lines: usize, until| {
        let lines = spread(-1.0, 1.0, lines);
        let mut surface = Surface::new(lines.clone(), lines);
        let begin = Instant::now();
        explore(&mut surface, &[], until, &mut measure)?;
        Ok::<_, LandscapeError>(begin.elapsed().as_secs_f64())
    };
    Ok([timed(WHOLE, Until::Exact)?, timed(GOOD, Until::Good)?])
}
