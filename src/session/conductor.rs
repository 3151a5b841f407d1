//! The thread that folds what the others found into one snapshot, and plans what is measured next.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::data::Split;
use crate::landscape::evidence::Assumed;
use crate::landscape::fidelity;
use crate::landscape::sharpness::CriticalStep;
use crate::landscape::surface::{Measure, Surface};
use crate::landscape::surveyor::{Plan, Report, Request, Spot, Value};
use crate::run::Checkpoint;
use crate::run::log::Clock;
use crate::run::settle::RunEvent;
use crate::run::watch::Watcher;
use crate::weights::recipe::{Directions, Recipe};
use crate::weights::trajectory::Fit;

use super::agenda::{Agenda, Meaning, whole_path};
use super::inquiry::{self, InquirySchedule};
use super::known::Known;
use super::pace::{self, Pace};
use super::pictures::{Few, Shown};
use super::reader::{Change, PathReading, Reading};
use super::snapshot::{
    CheckpointLine, CheckpointState, Command, Finding, Map, ModelLine, Snapshot, Window,
};
use super::study::{Findings, Study};
use super::{Options, data_finding};

/// Snapshots are published at most this often; a screen draws ten a second where it is not told otherwise.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// Words of the sentence about weights that are NaN or infinite.
const NOT_FINITE: &str = "not finite";
/// Notices that are kept.
const NOTICES: usize = 20;

/// Everything that the conductor is told.
#[derive(Debug)]
pub(super) enum Input {
    /// By the scanner.
    Run(RunEvent),
    /// By the reader.
    Reading(Reading),
    /// By the surveyor.
    Report(Report),
    /// By the user.
    Command(Command),
    /// A worker panicked.
    Broken(String),
    /// The session is over.
    Stop,
}

/// The identity of a content: its path and its number there.
type Key = (PathBuf, u64);

fn key(checkpoint: &Checkpoint) -> Key {
    (checkpoint.path.clone(), checkpoint.arrival)
}

/// The plane of the path as it is now.
#[derive(Debug)]
struct CurrentPlane {
    /// Trainable parameters of the model.
    parameters: usize,
    recipe: Recipe,
    members: Vec<Checkpoint>,
    fit: Arc<Fit>,
    /// What was measured on it.
    known: Known,
}

#[derive(Debug)]
pub(super) struct Conductor {
    options: Options,
    watcher: Watcher,
    to_reader: Sender<Change>,
    to_surveyor: Sender<Request>,
    publish: watch::Sender<Arc<Snapshot>>,
    snapshot: Snapshot,
    /// What the scan that is under way has found for the reader.
    change: Change,
    plane: Option<CurrentPlane>,
    agenda: Option<Agenda>,
    generation: u64,
    /// Losses of checkpoints themselves: they hold for every plane.
    truths: HashMap<Key, Measure>,
    /// The critical step of each update, by its ends.
    updates: HashMap<[Key; 2], CriticalStep>,
    /// λmax of each checkpoint where it was measured.
    sharpness: HashMap<Key, f64>,
    /// Files of the run that are no checkpoints, in words.
    others: Option<String>,
    window: Option<Window>,
    /// How many samples are measured everywhere, once the samples are known; none where all are.
    few: Option<Few>,
    /// What is wanted on demand.
    study: Option<Study>,
    /// Generation of the plan that measures the current checkpoint on test samples.
    test_plan: Option<u64>,
    pace: Pace,
    /// What was asked of the path.
    inquiry: InquirySchedule,
}

impl Conductor {
    pub(super) fn new(
        options: Options,
        watcher: Watcher,
        to_reader: Sender<Change>,
        to_surveyor: Sender<Request>,
        publish: watch::Sender<Arc<Snapshot>>,
    ) -> Self {
        let snapshot = Snapshot {
            run: options.run.clone(),
            watching: watcher.mode(),
            batch_norm: options.batch_norm.name().into(),
            loss: options.setup.criterion.loss.clone(),
            ..Snapshot::default()
        };
        Self {
            options,
            watcher,
            to_reader,
            to_surveyor,
            publish,
            snapshot,
            change: Change::default(),
            plane: None,
            agenda: None,
            generation: 0,
            truths: HashMap::new(),
            updates: HashMap::new(),
            sharpness: HashMap::new(),
            others: None,
            window: None,
            few: None,
            study: None,
            test_plan: None,
            pace: Pace::default(),
            inquiry: InquirySchedule::default(),
        }
    }

    /// Folds inputs until the session is over, publishing what changed.
    pub(super) fn run(mut self, inputs: &Receiver<Input>) {
        let mut published = Instant::now();
        let mut dirty = true;
        loop {
            let wait = if dirty {
                PUBLISH_EVERY.saturating_sub(published.elapsed())
            } else {
                pace::OVER
            };
            match inputs.recv_timeout(wait) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(input) => dirty |= self.fold(input),
                Err(RecvTimeoutError::Timeout) => {}
            }
            dirty |= self.has_come_to_rest();
            if dirty && published.elapsed() >= PUBLISH_EVERY {
                let shown = self.agenda.as_ref().map(|agenda| agenda.pictures.shown());
                self.show_progress(shown.as_ref());
                self.show_pictures(shown);
                inquiry::weigh(&mut self.snapshot);
                self.publish.send_replace(Arc::new(self.snapshot.clone()));
                published = Instant::now();
                dirty = false;
            }
        }
    }

    /// Whether the pace that was shown last is that of a time gone by.
    fn has_come_to_rest(&self) -> bool {
        self.pace.rests() && self.snapshot.progress.points_per_second > 0.0
    }

    /// Folds an input, and tells whether there may be something new to publish: a screen is drawn for
    /// each snapshot, and a folder in which nothing happens is scanned all the time.
    fn fold(&mut self, input: Input) -> bool {
        match input {
            Input::Run(event) => return self.run_event(event),
            Input::Reading(Reading::Path(reading)) => self.path(*reading),
            Input::Reading(Reading::Rejected {
                checkpoint,
                reason,
                is_unreadable,
            }) => {
                let line = self.line(&checkpoint.path, 0);
                line.step = Some(checkpoint.step);
                line.state = if is_unreadable {
                    CheckpointState::Unreadable(reason)
                } else {
                    CheckpointState::LeftOut(reason)
                };
            }
            Input::Reading(Reading::Remark(remark)) => self.notice(remark),
            Input::Reading(Reading::Kept(kept)) => self.snapshot.kept = Some(kept),
            Input::Report(report) => self.report(report),
            Input::Command(command) => self.command(command),
            Input::Broken(reason) => self.notice(reason),
            Input::Stop => {}
        }
        true
    }

    /// Folds what the scanner saw, and tells whether it is new.
    fn run_event(&mut self, event: RunEvent) -> bool {
        let mut is_new = true;
        match event {
            RunEvent::Waiting(path) => self.line(&path, 0).state = CheckpointState::Waiting,
            RunEvent::Unreadable { path, reason } => {
                let state = CheckpointState::Unreadable(reason);
                let known = &mut self.line(&path, 0).state;
                is_new = *known != state;
                *known = state;
            }
            RunEvent::Settled(settled) => {
                self.line(&settled.found.path, 0).state = CheckpointState::Settled;
                self.change.settled.push(settled);
            }
            RunEvent::Vanished(path) => {
                let lines = &mut self.snapshot.checkpoints;
                lines.retain(|line| line.path != path || line.arrival > 0);
                self.change.gone.push(path);
            }
            RunEvent::Logged(news) => {
                for trouble in news.troubles {
                    self.notice(trouble);
                }
                self.snapshot.training = news.log;
                self.look_up();
            }
            RunEvent::Scanned { others } => {
                self.others = others;
                let watching = self.watcher.mode();
                let trouble = self.emptiness();
                is_new = self.snapshot.watching != watching || self.snapshot.trouble != trouble;
                self.snapshot.watching = watching;
                self.snapshot.trouble = trouble;
                self.send_change();
            }
            RunEvent::Failed(reason) => {
                is_new = self.snapshot.trouble.as_ref() != Some(&reason);
                self.snapshot.trouble = Some(reason);
                self.send_change();
            }
        }
        sort(&mut self.snapshot.checkpoints);
        is_new
    }

    fn send_change(&mut self) {
        if self.change != Change::default() {
            let _ = self.to_reader.send(std::mem::take(&mut self.change));
        }
    }

    /// Says why there is no path where files lie that were all looked at; `None` while there is one, or one
    /// may come.
    fn emptiness(&self) -> Option<String> {
        let lines = &self.snapshot.checkpoints;
        let is_open = |line: &CheckpointLine| {
            matches!(
                line.state,
                CheckpointState::Waiting | CheckpointState::Settled | CheckpointState::OnPath
            )
        };
        if lines.iter().any(is_open) {
            return None;
        }
        let run = self.snapshot.run.display();
        let reasons: Vec<&str> = lines
            .iter()
            .filter_map(|line| match &line.state {
                CheckpointState::Unreadable(reason) | CheckpointState::LeftOut(reason) => {
                    Some(reason.as_str())
                }
                _ => None,
            })
            .collect();
        let Some(first) = reasons.first() else {
            let Some(others) = &self.others else {
                return Some(format!("{run}: no checkpoint yet"));
            };
            return Some(format!(
                "{run}: no file in it begins like a checkpoint of torch.save or safetensors, passed over {others}"
            ));
        };
        let count = reasons.len();
        let files = if count == 1 { "file" } else { "files" };
        Some(
            if reasons.iter().all(|reason| reason.contains(NOT_FINITE)) {
                format!("{run}: {count} {files}, none usable yet: all hold NaN or infinite weights")
            } else {
                format!("{run}: {count} {files}, none usable yet: {first}")
            },
        )
    }

    /// The line of a content, made when it is new; number 0 is a file that was not read yet.
    fn line(&mut self, path: &Path, arrival: u64) -> &mut CheckpointLine {
        let lines = &mut self.snapshot.checkpoints;
        let index = lines
            .iter()
            .position(|line| line.path == path && line.arrival == arrival)
            .unwrap_or_else(|| {
                lines.push(CheckpointLine {
                    arrival,
                    ..CheckpointLine::new(path)
                });
                lines.len() - 1
            });
        &mut lines[index]
    }

    /// The path moves at once; its plane is new, so what was measured is shown as stale. Where only files
    /// went of which copies are kept, the plane is the same and what is measured on it goes on.
    fn path(&mut self, reading: PathReading) {
        let is_same = self.plane.as_ref().is_some_and(|plane| {
            let pairs = plane.members.iter().zip(&reading.members);
            plane.members.len() == reading.members.len()
                && pairs
                    .into_iter()
                    .all(|(old, new)| old.is(new) && old.step == new.step)
                && plane.fit == reading.fit
                && reading.shape.as_ref() == Some(&plane.recipe.shape)
        });
        self.show_lines(&reading);
        self.snapshot.overlay = reading.overlay;
        self.snapshot.growth = Some(reading.growth);
        self.snapshot.shadow = reading.shadow;
        self.snapshot.hyper = reading.hyper;
        let members = reading.members;
        if is_same {
            if let Some(plane) = &mut self.plane {
                plane.members = members;
                // The next plan is made from the copies.
                if let Some(origin) = plane.members.last() {
                    plane.recipe.origin = origin.clone();
                }
                if let Directions::Principal { members, .. } = &mut plane.recipe.directions {
                    members.clone_from(&plane.members);
                }
            }
            return;
        }
        for line in &mut self.snapshot.checkpoints {
            line.on_plane = None;
        }
        self.snapshot.averages.clear();
        self.snapshot.test = None;
        let fit = reading.fit;
        self.snapshot.trajectory =
            Some(Arc::new(fit.trajectory.clone())).filter(|_| !members.is_empty());
        self.plane = (reading.shape)
            .zip(members.last().cloned())
            .map(|(shape, origin)| CurrentPlane {
                parameters: shape.layout.parameters(),
                recipe: Recipe {
                    shape,
                    origin,
                    directions: Directions::Principal {
                        members: members.clone(),
                        combinations: fit.combinations.clone(),
                    },
                    batch_norm: self.options.batch_norm,
                },
                members,
                fit,
                known: Known::default(),
            });
        self.snapshot.trouble = self.emptiness();
        self.look_up();
        self.show_sharpness();
        self.plan();
    }

    /// The lines of the path and of old branches, and of files that are no part of it yet.
    fn show_lines(&mut self, reading: &PathReading) {
        let PathReading {
            members,
            left,
            gone,
            ..
        } = reading;
        let known = |line: &CheckpointLine| {
            let mut all = members.iter().chain(left);
            all.any(|c| c.arrival == line.arrival && c.path == line.path)
        };
        // A file that was read and is no part of the path is no point of it by its name.
        let is_read =
            |line: &CheckpointLine| line.arrival == 0 && line.state == CheckpointState::Settled;
        let lines = &mut self.snapshot.checkpoints;
        lines.retain(|line| known(line) || line.arrival == 0 && !is_read(line));
        let is_gone = |checkpoint: &Checkpoint| gone.iter().any(|gone| gone.is(checkpoint));
        for (i, member) in members.iter().enumerate() {
            let critical = self.updates.get(&update(members, i)).copied();
            let truth = self.truths.get(&key(member)).copied();
            let line = self.line(&member.path, member.arrival);
            (line.step, line.is_gone) = (Some(member.step), is_gone(member));
            line.state = CheckpointState::OnPath;
            (line.critical, line.truth) = (critical, truth);
        }
        for checkpoint in left {
            let line = self.line(&checkpoint.path, checkpoint.arrival);
            (line.step, line.is_gone) = (Some(checkpoint.step), is_gone(checkpoint));
            line.state = CheckpointState::OldBranch;
        }
        sort(&mut self.snapshot.checkpoints);
    }

    /// What training's own log tells at the checkpoints of the path.
    fn look_up(&mut self) {
        let members = self.plane.as_ref().map_or(&[][..], |plane| &plane.members);
        let log = self.snapshot.training.as_deref();
        self.snapshot.clock = log.and_then(|log| Clock::of(log, members, &self.options.run));
        let logged = log.zip(self.snapshot.clock);
        self.snapshot.logged =
            logged.map_or_else(Vec::new, |(log, clock)| clock.logged(log, members));
    }

    fn show_sharpness(&mut self) {
        let members = self.plane.iter().flat_map(|plane| &plane.members);
        let known = members.filter_map(|member| {
            let lambda_max = *self.sharpness.get(&key(member))?;
            Some((member.step, lambda_max))
        });
        self.snapshot.lambda_max = known.collect();
    }

    /// Plans anew for the plane and window that count now.
    fn plan(&mut self) {
        if let Some(map) = &mut self.snapshot.map {
            map.stale = true;
        }
        let Some(plane) = &self.plane else {
            self.agenda = None;
            self.snapshot.map = None;
            self.snapshot.slices.clear();
            return;
        };
        self.generation += 1;
        let trajectory = Arc::new(plane.fit.trajectory.clone());
        let averages = &self.snapshot.averages;
        let known = |meaning: Meaning| match meaning {
            Meaning::Truth(i) => self.truths.contains_key(&key(&plane.members[i])),
            Meaning::Update(i) => self.updates.contains_key(&update(&plane.members, i)),
            Meaning::Average(last) => averages.iter().any(|average| average.0 == last),
            _ => false,
        };
        let mut agenda = Agenda::new(
            self.generation,
            &trajectory,
            &plane.members,
            self.window,
            self.few,
            known,
        );
        let recalled = agenda.recall(&plane.known);
        self.agenda = Some(agenda);
        for (i, measure) in recalled {
            self.set_projection(i, measure);
        }
        self.send_plan();
        self.plan_study();
        self.ask();
    }

    /// Has the path asked which function it followed, when it is time.
    fn ask(&mut self) {
        if self.snapshot.data == Finding::Pending {
            return;
        }
        let split = self.split();
        if let Some(plane) = &self.plane
            && let Some(plan) = self.inquiry.due(&plane.recipe, &plane.members, split)
        {
            let _ = self.to_surveyor.send(Request::Ask(plan));
        }
    }

    /// Takes what is assumed of the function; what was measured of another one is dropped.
    fn assume(&mut self, assumed: Assumed) {
        if !self.inquiry.counts(&assumed) {
            return;
        }
        let changed = self.inquiry.fold(&assumed);
        // A new answer takes the place of the one before, with what that warned of.
        if let Some(before) = &self.snapshot.assumed {
            let is_told = |notice: &String| before.warnings().any(|warning| warning == notice);
            self.snapshot.notices.retain(|notice| !is_told(notice));
        }
        for warning in assumed.warnings() {
            self.notice(warning.clone());
        }
        self.snapshot.assumed = Some(assumed);
        let Some(function) = changed else { return };
        let _ = self.to_surveyor.send(Request::Assume(function));
        self.truths.clear();
        self.updates.clear();
        self.sharpness.clear();
        for line in &mut self.snapshot.checkpoints {
            (line.truth, line.on_plane, line.critical) = (None, None, None);
        }
        if let Some(plane) = &mut self.plane {
            plane.known = Known::default();
        }
        self.snapshot.averages.clear();
        self.snapshot.test = None;
        self.snapshot.map = None;
        self.show_sharpness();
        self.plan();
    }

    /// The samples are known, or that there are none: what was planned is measured from now on.
    fn begin(&mut self) {
        if let Finding::Is(data) = &self.snapshot.data {
            let all = data.samples;
            match fidelity::few(self.options.fidelity, all) {
                Ok(few) => {
                    let score = self.snapshot.loss.score();
                    self.few = few.map(|few| Few { few, all, score });
                }
                Err(error) => self.notice(format!("{error}; all are measured everywhere")),
            }
        }
        if self.few.is_some() {
            self.snapshot.map = None;
            self.plan();
        } else {
            self.send_plan();
            self.plan_study();
            self.ask();
        }
    }

    /// Has the agenda's spots measured, once it is known on what.
    fn send_plan(&self) {
        if self.snapshot.data == Finding::Pending {
            return;
        }
        if let (Some(plane), Some(agenda)) = (&self.plane, &self.agenda) {
            let _ = self.to_surveyor.send(Request::Measure(Plan {
                generation: agenda.generation,
                recipe: plane.recipe.clone(),
                split: self.split(),
                spots: agenda.spots.clone(),
            }));
        }
    }

    /// A plan is done: what it found tells what comes next.
    fn go_on(&mut self, done: u64) {
        let next = self.generation + 1;
        if let Some(plan) = (self.snapshot.study.as_mut()).and_then(|study| study.go_on(done, next))
        {
            self.generation = next;
            let _ = self.to_surveyor.send(Request::First(vec![plan]));
        }
        if let Some(agenda) = &mut self.agenda
            && agenda.generation == done
        {
            self.generation += 1;
            if agenda.go_on(self.generation) {
                self.send_plan();
            }
        }
    }

    /// Plans what is wanted on demand, for the plane that counts now.
    fn plan_study(&mut self) {
        if self.snapshot.data == Finding::Pending {
            return;
        }
        let planned = self
            .study
            .zip(self.plane.as_ref())
            .and_then(|(study, plane)| {
                let path = &plane.fit.trajectory.coordinates;
                let window = self.window.unwrap_or_else(|| whole_path(path));
                let window = [window.x, window.y];
                let next = self.generation + 1;
                let split = self.split();
                let seed = self.options.setup.seed();
                let mut members = plane.members.clone();
                if study == Study::Stability {
                    members.retain(|member| !self.sharpness.contains_key(&key(member)));
                }
                Findings::plan(study, &plane.recipe, &members, window, split, seed, next)
            });
        let mut plans = planned
            .as_ref()
            .map_or(Vec::new(), |planned| planned.1.clone());
        self.generation += plans.len() as u64;
        self.snapshot.study = planned.map(|planned| planned.0);
        if let Some(test) = self.plan_test() {
            plans.insert(0, test);
        }
        let _ = self.to_surveyor.send(Request::First(plans));
    }

    /// The current checkpoint on test samples, until that is known. Where there are none the plan fails, and
    /// nobody is told.
    fn plan_test(&mut self) -> Option<Plan> {
        let plane = self.plane.as_ref()?;
        if self.split() == Split::Test || self.snapshot.test.is_some() {
            return None;
        }
        self.generation += 1;
        self.test_plan = Some(self.generation);
        Some(Plan {
            generation: self.generation,
            recipe: plane.recipe.clone(),
            split: Split::Test,
            spots: vec![Spot::Checkpoint(plane.recipe.origin.clone())],
        })
    }

    fn report(&mut self, report: Report) {
        if let Some(finding) = data_finding(&self.options.setup, &report) {
            let is_first = self.snapshot.data == Finding::Pending;
            self.snapshot.data = finding;
            if is_first {
                self.begin();
            }
        }
        match report {
            Report::Device(name) => self.snapshot.device = name,
            Report::Model { name, evidence } => {
                self.snapshot.model = Finding::Is(ModelLine {
                    name,
                    evidence,
                    parameters: self.plane.as_ref().map_or(0, |plane| plane.parameters),
                });
            }
            Report::Assumed(assumed) => self.assume(*assumed),
            Report::Lost(reason) => self.notice(reason),
            Report::NoModel(reason) => self.snapshot.model = Finding::Not(reason),
            Report::Measured {
                generation,
                index,
                value,
            } => self.measured(generation, index, value),
            Report::Failed {
                generation,
                index,
                reason,
            } => {
                tracing::warn!(generation, ?index, "{reason}");
                let explained = matches!(self.snapshot.model, Finding::Not(_))
                    || matches!(self.snapshot.data, Finding::Not(_));
                let current = self
                    .agenda
                    .as_ref()
                    .is_some_and(|a| a.generation == generation);
                if current && !explained {
                    self.notice(reason);
                }
            }
            Report::Done(generation) => self.go_on(generation),
            Report::Data { .. } | Report::NoData(_) => {}
        }
    }

    fn split(&self) -> Split {
        self.options
            .setup
            .data
            .as_ref()
            .map_or_else(Split::default, |data| data.split)
    }

    /// What a point cost, in points of the samples that are measured everywhere.
    fn cost(&self, generation: u64, index: usize) -> usize {
        let Some(agenda) = &self.agenda else { return 1 };
        let own = agenda.generation == generation;
        match agenda.spots.get(index).filter(|_| own) {
            Some(Spot::OnFew { .. }) => 1,
            _ => agenda.pictures.cost_of_all(),
        }
    }

    fn measured(&mut self, generation: u64, index: usize, value: Value) {
        self.pace.count(self.cost(generation, index));
        if let (true, Value::Measure(measure)) = (self.test_plan == Some(generation), value) {
            self.snapshot.test = Some(measure);
            return;
        }
        if let (Some(study), Value::Curvature(found)) = (&self.snapshot.study, value)
            && let Some(station) = study.station(generation, index)
        {
            let station = key(station);
            self.sharpness.insert(station, found.lambda_max);
            self.show_sharpness();
        }
        if let Some(study) = &mut self.snapshot.study
            && study.take(generation, index, value)
        {
            return;
        }
        let Some(agenda) = self
            .agenda
            .as_mut()
            .filter(|agenda| agenda.generation == generation)
        else {
            return;
        };
        let (Some(spot), Some(&meaning)) = (agenda.spots.get(index), agenda.meanings.get(index))
        else {
            return;
        };
        match value {
            Value::Measure(measure) => {
                if let Some(plane) = &mut self.plane {
                    plane.known.insert(spot, measure);
                }
                agenda.fill(meaning, measure);
                match meaning {
                    Meaning::Truth(i) => self.set_truth(i, measure),
                    Meaning::Projection(i) => self.set_projection(i, measure),
                    Meaning::Average(last) => self.set_average(last, measure),
                    Meaning::Slice { .. }
                    | Meaning::Grid { .. }
                    | Meaning::Full { .. }
                    | Meaning::Update(_) => {}
                }
            }
            Value::Curvature(_) | Value::Assumed => {}
            Value::Critical(step) => {
                if let Meaning::Update(i) = meaning {
                    self.set_critical(i, step);
                }
            }
        }
    }

    fn set_truth(&mut self, i: usize, measure: Measure) {
        if let Some((path, arrival)) = self.member_key(i) {
            self.line(&path, arrival).truth = Some(measure);
            self.truths.insert((path, arrival), measure);
        }
    }

    fn set_projection(&mut self, i: usize, measure: Measure) {
        if let Some((path, arrival)) = self.member_key(i) {
            self.line(&path, arrival).on_plane = Some(measure);
        }
    }

    fn set_average(&mut self, last: usize, measure: Measure) {
        let averages = &mut self.snapshot.averages;
        averages.retain(|(known, _)| *known != last);
        averages.push((last, measure));
        averages.sort_by_key(|average| average.0);
    }

    fn set_critical(&mut self, i: usize, step: CriticalStep) {
        let Some(plane) = &self.plane else { return };
        let ends = update(&plane.members, i);
        self.updates.insert(ends, step);
        if let Some((path, arrival)) = self.member_key(i) {
            self.line(&path, arrival).critical = Some(step);
        }
    }

    fn member_key(&self, i: usize) -> Option<Key> {
        Some(key(self.plane.as_ref()?.members.get(i)?))
    }

    /// The old map stays, stale, until the first level of the new one stands.
    fn show_pictures(&mut self, shown: Option<Shown>) {
        let (Some(agenda), Some(shown)) = (&self.agenda, shown) else {
            return;
        };
        self.snapshot.slices = shown.slices;
        let mappable = !shown.surface.x().is_empty();
        if !mappable {
            self.snapshot.map = None;
        } else if agenda.pictures.stands()
            || self.snapshot.map.as_ref().is_none_or(|map| !map.stale)
        {
            self.snapshot.map = Some(Map {
                surface: shown.surface,
                fidelity: shown.fidelity,
                stale: false,
                trajectory: Arc::clone(&agenda.trajectory),
            });
        }
    }

    fn show_progress(&mut self, shown: Option<&Shown>) {
        let pace = self.pace.rate();
        let progress = &mut self.snapshot.progress;
        progress.points_per_second = pace.points;
        let agenda = self.agenda.as_ref();
        let left = agenda.map_or(0, Agenda::remaining);
        let surface = shown.map(|shown| &shown.surface);
        let is_begun = |surface: &&Surface| !surface.x().is_empty();
        progress.lines = surface.filter(is_begun).map(Surface::finest);
        progress.rests = agenda.is_some_and(Agenda::rests);
        progress.done = agenda.map_or(0, |agenda| agenda.pictures.done());
        progress.planned = progress.done + left;
        progress.error = shown.and_then(|shown| shown.error);
        progress.seconds_left = (left > 0 && pace.cost > 0.0).then(|| left as f64 / pace.cost);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Pause(pause) => {
                self.snapshot.progress.paused = pause;
                let _ = self.to_surveyor.send(Request::Pause(pause));
            }
            Command::Survey(window) => {
                if self.window != window {
                    self.window = window;
                    self.plan();
                }
            }
            Command::Study(study) => {
                if self.study != study {
                    self.study = study;
                    self.plan_study();
                }
            }
            Command::Rescan => self.watcher.rescan(),
        }
    }

    fn notice(&mut self, notice: String) {
        if self.snapshot.notices.last() != Some(&notice) {
            self.snapshot.notices.push(notice);
        }
        let surplus = self.snapshot.notices.len().saturating_sub(NOTICES);
        self.snapshot.notices.drain(..surplus);
    }
}

/// The ends of the update that led to checkpoint `i`.
fn update(members: &[Checkpoint], i: usize) -> [Key; 2] {
    [i.saturating_sub(1), i].map(|i| key(&members[i]))
}

/// By step; those whose step is not known yet are last.
fn sort(lines: &mut [CheckpointLine]) {
    lines.sort_by(|a, b| {
        let key = |line: &CheckpointLine| line.step.unwrap_or(u64::MAX);
        key(a)
            .cmp(&key(b))
            .then_with(|| (&a.path, a.arrival).cmp(&(&b.path, b.arrival)))
    });
}
