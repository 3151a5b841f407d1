//! Plans that are under way, and which of their spots are taken, answered or free again.

use std::sync::Arc;

use super::super::LandscapeError;
use super::super::device::Place;
use super::super::evidence::Function;
use super::super::surveyor::{Plan, Report, Request, Spot, Value};

/// Spots that make a first picture: a path is asked after them.
const FIRST_PICTURE: usize = 32;

/// A plan on the board.
#[derive(Debug)]
struct Sheet {
    plan: Arc<Plan>,
    /// The first spot that nobody has taken yet.
    next: usize,
    /// Spots that a device broke at.
    returned: Vec<usize>,
    answered: usize,
}

impl Sheet {
    fn of(plan: Plan) -> Self {
        Self {
            plan: Arc::new(plan),
            next: 0,
            returned: Vec::new(),
            answered: 0,
        }
    }

    fn take(&mut self) -> Option<usize> {
        self.returned.pop().or_else(|| {
            let index = self.next;
            (index < self.plan.spots.len()).then(|| {
                self.next += 1;
                index
            })
        })
    }

    fn is_done(&self) -> bool {
        self.answered == self.plan.spots.len()
    }
}

/// A spot of a plan, taken by one surveyor.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
}

/// What all surveyors know.
#[derive(Debug)]
pub(super) struct Board<R> {
    report: R,
    /// Plans that come first, in this order.
    first: Vec<Sheet>,
    work: Option<Sheet>,
    /// A path to be asked, and spots that were answered since that was wanted.
    asked: Option<(Sheet, usize)>,
    /// What is measured, as far as names do not tell it.
    pub(super) function: Function,
    paused: bool,
    pub(super) over: bool,
    /// Surveyors that can measure.
    pub(super) able: usize,
    /// What was said last about the samples and about the model, and for which plan: all find out the same.
    told: [Option<(u64, Report)>; 2],
}

impl<R: FnMut(Report) -> bool> Board<R> {
    pub(super) fn new(report: R) -> Self {
        Self {
            report,
            first: Vec::new(),
            work: None,
            asked: None,
            function: Function::default(),
            paused: false,
            over: false,
            able: 0,
            told: [None, None],
        }
    }

    pub(super) fn post(&mut self, request: Request) {
        match request {
            Request::Measure(plan) => self.work = Some(Sheet::of(plan)),
            Request::First(plans) => self.first = plans.into_iter().map(Sheet::of).collect(),
            Request::Ask(plan) => self.asked = Some((Sheet::of(plan), 0)),
            Request::Assume(function) => {
                self.function = function;
                self.first.clear();
                self.work = None;
            }
            Request::Pause(pause) => self.paused = pause,
        }
        self.close_done();
    }

    pub(super) fn report(&mut self, report: Report) {
        self.over |= !(self.report)(report);
    }

    /// Reports something about the samples or the model that was found for a plan, where it is new.
    pub(super) fn tell(&mut self, generation: u64, finding: Report) {
        if matches!(finding, Report::Assumed(_)) {
            self.report(finding);
            return;
        }
        let subject = match finding {
            Report::Data { .. } | Report::NoData(_) => 0,
            _ => 1,
        };
        let told = &mut self.told[subject];
        let (since, is_new) = match told {
            Some((since, last)) => (*since, *last != finding),
            None => (0, true),
        };
        // A device may be late with what it found for a plan that others have left behind.
        if generation >= since {
            *told = Some((generation, finding.clone()));
            if is_new {
                self.report(finding);
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Task> {
        if self.paused {
            return None;
        }
        let take = |sheet: &mut Sheet| {
            let index = sheet.take()?;
            let plan = Arc::clone(&sheet.plan);
            Some(Task { plan, index })
        };
        let asked = self.asked.as_mut();
        let due = asked.filter(|(_, answered)| *answered >= FIRST_PICTURE);
        if let Some(task) = due.and_then(|(sheet, _)| take(sheet)) {
            return Some(task);
        }
        let plans = self.first.iter_mut().chain(&mut self.work);
        let asked = self.asked.as_mut().map(|asked| &mut asked.0);
        plans.chain(asked).find_map(take)
    }

    /// The sheet of a plan that was not cancelled.
    fn sheet(&mut self, plan: &Arc<Plan>) -> Option<&mut Sheet> {
        let asked = self.asked.as_mut().map(|asked| &mut asked.0);
        let mut sheets = self.first.iter_mut().chain(&mut self.work).chain(asked);
        sheets.find(|sheet| Arc::ptr_eq(&sheet.plan, plan))
    }

    /// Takes a surveyor's answer; an error is that of a device which cannot compute what another may.
    pub(super) fn settle(
        &mut self,
        task: &Task,
        found: Result<Value, LandscapeError>,
    ) -> Result<(), String> {
        match found {
            Err(LandscapeError::Candle(error)) if self.able > 1 => Err(error.to_string()),
            found => {
                self.answer(task, found);
                Ok(())
            }
        }
    }

    /// Reports what was found, unless nobody waits for it any more.
    pub(super) fn answer(&mut self, task: &Task, found: Result<Value, LandscapeError>) {
        let (generation, index) = (task.plan.generation, task.index);
        let Some(sheet) = self.sheet(&task.plan) else {
            return;
        };
        sheet.answered += 1;
        if let Some((_, answered)) = &mut self.asked {
            *answered += 1;
        }
        match found {
            Ok(value) => self.report(Report::Measured {
                generation,
                index,
                value,
            }),
            Err(error) => {
                let alone = costs_one_spot(&task.plan.spots[index], &error);
                self.report(Report::Failed {
                    generation,
                    index: alone.then_some(index),
                    reason: error.to_string(),
                });
                if !alone {
                    self.forget(&task.plan);
                }
            }
        }
        self.close_done();
    }

    /// Takes a plan off the board.
    fn forget(&mut self, plan: &Arc<Plan>) {
        let other = |sheet: &Sheet| !Arc::ptr_eq(&sheet.plan, plan);
        self.first.retain(other);
        self.work.take_if(|sheet| !other(sheet));
        self.asked.take_if(|(sheet, _)| !other(sheet));
    }

    /// Takes the plans off whose spots are all answered.
    fn close_done(&mut self) {
        let asked = self.asked.as_ref().map(|asked| &asked.0);
        let sheets = self.first.iter().chain(&self.work).chain(asked);
        let done = sheets.filter(|sheet| sheet.is_done());
        let done: Vec<Arc<Plan>> = done.map(|sheet| Arc::clone(&sheet.plan)).collect();
        for plan in done {
            self.forget(&plan);
            self.report(Report::Done(plan.generation));
        }
    }

    /// A device broke: its spot is for the others.
    pub(super) fn lose(&mut self, place: Place, task: &Task, reason: &str) {
        self.able -= 1;
        if let Some(sheet) = self.sheet(&task.plan) {
            sheet.returned.push(task.index);
        }
        let rest = if self.able > 0 {
            "the others go on"
        } else {
            "what was found so far stays"
        };
        self.report(Report::Lost(format!("{place} stopped: {reason}; {rest}")));
    }
}

/// A checkpoint that is gone costs its own spot, anything else the whole plan.
fn costs_one_spot(spot: &Spot, error: &LandscapeError) -> bool {
    let reads = matches!(
        spot,
        Spot::Checkpoint(_) | Spot::Average(_) | Spot::CurvatureOf(_) | Spot::Update { .. }
    );
    reads && matches!(error, LandscapeError::Weights(_))
}
