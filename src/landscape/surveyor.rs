//! The worker that owns the compute device: it is told a plan of points and answers with losses.
//!
//! What it is told and what it answers are plain serde messages, so that the same loop can run in
//! another process with nothing but the transport changed. A newer plan cancels an older one
//! between two points.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvError, TryRecvError};

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::data::{self, Dataset, Split};
use crate::model::{self, Recognized};
use crate::run::Checkpoint;
use crate::weights::direction;
use crate::weights::member::{Member, Shape};
use crate::weights::recipe::{Plane, Recipe};

use super::curvature::product::Curvature;
use super::curvature::{Effort, Extremes, extremes};
use super::objective::{Objective, ResidentPlane};
use super::sharpness::CriticalStep;
use super::surface::Measure;
use super::{LandscapeError, device};

/// What stays the same for a whole session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The samples; without them there is a path and no surface.
    pub data: Option<data::Request>,
    /// `auto` or the name of an architecture.
    pub model: String,
    /// `auto`, `cpu`, `cuda:N` or `metal`.
    pub device: String,
    /// Samples a forward pass takes at once.
    pub batch: Option<usize>,
}

/// A place where the loss is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Spot {
    /// (α, β) on the plane.
    OnPlane([f64; 2]),
    /// A checkpoint itself, with its own running statistics.
    Checkpoint(Checkpoint),
    /// The mean of the weights and running statistics of several checkpoints.
    Average(Vec<Checkpoint>),
    /// The critical step along the update from one checkpoint to the next.
    Update {
        /// Where the update began.
        from: Checkpoint,
        /// Where it ended.
        to: Checkpoint,
    },
    /// The ends of the Hessian's spectrum at (α, β), on the first [`CURVATURE_SAMPLES`] samples.
    Curvature([f64; 2]),
}

/// A product with the Hessian costs as much as some ten losses, and an eigenvalue some twenty products.
pub const CURVATURE_SAMPLES: usize = 64;
/// Bound of the error of an eigenvalue on the screen, as a share of the largest.
const CURVATURE_TOLERANCE: f64 = 0.02;

/// What was found at a spot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Loss and accuracy; the loss is NaN where it is not a number.
    Measure(Measure),
    /// The critical step along an update.
    Critical(CriticalStep),
    /// The ends of the Hessian's spectrum.
    Curvature(Extremes),
}

/// A plan of points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Number of the plan; answers carry it.
    pub generation: u64,
    /// The plane.
    pub recipe: Recipe,
    /// The samples.
    pub split: Split,
    /// Where to measure, in this order.
    pub spots: Vec<Spot>,
}

/// What the surveyor is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Measure these points; forget the plan before.
    Measure(Plan),
    /// Measure these first, then go on; forget those that were to come first before.
    First(Vec<Plan>),
    /// Stop measuring, or go on.
    Pause(bool),
}

/// What the surveyor answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// The device that was opened.
    Device(String),
    /// The samples that were loaded: name and number.
    Data {
        /// What they are.
        name: String,
        /// How many.
        samples: usize,
    },
    /// There are no samples to measure on; one sentence says why.
    NoData(String),
    /// The architecture that was recognized.
    Model {
        /// The name that `--model` takes.
        name: String,
        /// What was seen, in a sentence.
        evidence: String,
    },
    /// No forward pass is known for these checkpoints; one sentence says why.
    NoModel(String),
    /// The value at `spots[index]` of a plan.
    Measured {
        /// The plan.
        generation: u64,
        /// Index of the spot.
        index: usize,
        /// What was found.
        value: Value,
    },
    /// The plan is done.
    Done(u64),
    /// The plan, or one of its spots, could not be measured; one sentence says why.
    Failed {
        /// The plan.
        generation: u64,
        /// The spot, where only that one failed.
        index: Option<usize>,
        /// The reason.
        reason: String,
    },
}

/// Serves requests until their sender is gone or `report` returns false.
pub fn serve(setup: Setup, requests: &Receiver<Request>, mut report: impl FnMut(Report) -> bool) {
    let mut surveyor = Surveyor::start(setup);
    let mut work: Option<(Plan, usize)> = None;
    let mut first: VecDeque<(Plan, usize)> = VecDeque::new();
    let mut paused = false;
    loop {
        for news in surveyor.news.drain(..) {
            if !report(news) {
                return;
            }
        }
        // Waits only when there is nothing to do.
        let busy = work.is_some() || !first.is_empty();
        let request = if busy && !paused {
            requests.try_recv()
        } else {
            requests
                .recv()
                .map_err(|RecvError| TryRecvError::Disconnected)
        };
        match request {
            Ok(Request::Measure(plan)) => work = Some((plan, 0)),
            Ok(Request::First(plans)) => first = plans.into_iter().map(|plan| (plan, 0)).collect(),
            Ok(Request::Pause(pause)) => paused = pause,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) if !first.is_empty() => {
                let (plan, next) = &mut first[0];
                let goes_on = surveyor.step(plan, *next);
                *next += 1;
                if !goes_on {
                    first.pop_front();
                }
            }
            Err(TryRecvError::Empty) => {
                work = work.and_then(|(plan, next)| {
                    surveyor.step(&plan, next).then_some((plan, next + 1))
                });
            }
        }
    }
}

/// The device, the samples on it and the model that is measured.
#[derive(Debug)]
struct Surveyor {
    setup: Setup,
    device: Device,
    /// The samples of the setup's split; without them the model is still recognized.
    data: Option<Dataset>,
    ready: Option<Ready>,
    /// What was found out since `serve` looked last.
    news: Vec<Report>,
}

/// A recognized model with its samples, and the plane that is on the device.
#[derive(Debug)]
struct Ready {
    shape: Shape,
    recognized: Recognized,
    objective: Objective,
    /// On the samples of the other split, once they were asked for.
    other: Option<Objective>,
    plane: Option<(Recipe, ResidentPlane)>,
}

impl Surveyor {
    /// Opens the device and loads the samples; what cannot be had is in the news.
    fn start(setup: Setup) -> Self {
        let mut news = Vec::new();
        let device = device::open(&setup.device).map(|(device, name)| {
            news.push(Report::Device(name));
            device
        });
        let loaded = match (&setup.data, &device) {
            (_, Err(_)) | (None, _) => Err(LandscapeError::NoData),
            (Some(request), _) => data::load(request).map_err(LandscapeError::from),
        };
        news.push(match (&device, &loaded) {
            (Err(error), _) | (_, Err(error)) => Report::NoData(error.to_string()),
            (_, Ok(data)) => Report::Data {
                name: data.name.clone(),
                samples: data.labels.len(),
            },
        });
        Self {
            setup,
            device: device.unwrap_or(Device::Cpu),
            data: loaded.ok(),
            ready: None,
            news,
        }
    }

    /// Measures spot `next` of the plan; false when the plan is at its end.
    fn step(&mut self, plan: &Plan, next: usize) -> bool {
        let generation = plan.generation;
        let Some(spot) = plan.spots.get(next) else {
            self.news.push(Report::Done(generation));
            return false;
        };
        let measured = match self.prepare(&plan.recipe) {
            Ok(()) => self.measure(spot, plan),
            Err(error) => Err(error),
        };
        // A checkpoint that is gone costs its own point, anything else the whole plan.
        let gone = matches!(
            (spot, &measured),
            (
                Spot::Checkpoint(_) | Spot::Average(_) | Spot::Update { .. },
                Err(LandscapeError::Weights(_))
            )
        );
        let goes_on = measured.is_ok() || gone;
        self.news.push(match measured {
            Ok(value) => Report::Measured {
                generation,
                index: next,
                value,
            },
            Err(error) => Report::Failed {
                generation,
                index: goes_on.then_some(next),
                reason: error.to_string(),
            },
        });
        goes_on
    }

    /// Recognizes the model when that was not done yet for this run's shapes.
    fn prepare(&mut self, recipe: &Recipe) -> Result<(), LandscapeError> {
        if self
            .ready
            .as_ref()
            .is_some_and(|ready| ready.shape.first == recipe.first)
        {
            return Ok(());
        }
        self.ready = None;
        let shape = Shape::of(&recipe.first, recipe.key.as_deref())?;
        let recognized = self.recognize(&shape)?;
        let data = self.data.as_ref().ok_or(LandscapeError::NoData)?;
        let objective = self
            .objective(&recognized, &shape, data)
            .inspect_err(|error| self.news.push(Report::NoData(error.to_string())))?;
        self.ready = Some(Ready {
            shape,
            recognized,
            objective,
            other: None,
            plane: None,
        });
        Ok(())
    }

    fn recognize(&mut self, shape: &Shape) -> Result<Recognized, LandscapeError> {
        let image = self.data.as_ref().map(|data| data.shape);
        let recognized = model::recognize(&shape.layout, &self.setup.model, image)
            .map_err(|source| LandscapeError::Model {
                path: shape.first.path.clone(),
                source,
            })
            .inspect_err(|error| self.news.push(Report::NoModel(error.to_string())))?;
        self.news.push(Report::Model {
            name: recognized.name.clone(),
            evidence: recognized.evidence.clone(),
        });
        Ok(recognized)
    }

    fn objective(
        &self,
        recognized: &Recognized,
        shape: &Shape,
        data: &Dataset,
    ) -> Result<Objective, LandscapeError> {
        let layout = shape.layout.clone();
        Objective::new(recognized, layout, data, &self.device, self.setup.batch)
    }

    fn measure(&mut self, spot: &Spot, plan: &Plan) -> Result<Value, LandscapeError> {
        let own = self
            .setup
            .data
            .as_ref()
            .is_none_or(|data| data.split == plan.split);
        if !own {
            self.load_other(plan.split)?;
        }
        let ready = self.ready.as_mut().ok_or(LandscapeError::NoData)?;
        ready.measure(spot, &plan.recipe, own)
    }

    /// Loads the samples of the split that the setup does not name.
    fn load_other(&mut self, split: Split) -> Result<(), LandscapeError> {
        let Some(ready) = self.ready.as_ref().filter(|ready| ready.other.is_none()) else {
            return Ok(());
        };
        let mut request = self.setup.data.clone().ok_or(LandscapeError::NoData)?;
        request.split = split;
        let data = data::load(&request)?;
        let objective = self.objective(&ready.recognized, &ready.shape, &data)?;
        if let Some(ready) = &mut self.ready {
            ready.other = Some(objective);
        }
        Ok(())
    }
}

impl Ready {
    /// Measures on the samples of the setup, or on those of the other split.
    fn measure(
        &mut self,
        spot: &Spot,
        recipe: &Recipe,
        own: bool,
    ) -> Result<Value, LandscapeError> {
        let objective = if own {
            Some(&self.objective)
        } else {
            self.other.as_ref()
        };
        let objective = objective.ok_or(LandscapeError::NoData)?;
        let shape = &self.shape;
        let flat = |checkpoint: &Checkpoint| -> Result<Vec<f32>, LandscapeError> {
            let member = Member::open(checkpoint, shape)?;
            Ok(direction::flat(&shape.layout, &member)?)
        };
        match spot {
            Spot::Checkpoint(checkpoint) => objective.at_flat(&flat(checkpoint)?),
            Spot::Average(members) => {
                let open = |row: usize| Member::open(&members[row], shape);
                let mean = direction::mean(&shape.layout, members.len(), open)?;
                objective.at_flat(&mean)
            }
            Spot::Update { from, to } => {
                return objective
                    .critical(&flat(from)?, &flat(to)?)
                    .map(Value::Critical);
            }
            Spot::Curvature(at) => {
                let few = objective.first(CURVATURE_SAMPLES)?;
                let plane = resident(&mut self.plane, objective, recipe)?;
                let effort = Effort {
                    tolerance: CURVATURE_TOLERANCE,
                    ..Effort::default()
                };
                let curvature = Curvature::new(&few)?;
                let hessian = curvature.at(few.weights_on(plane, *at)?)?;
                return extremes(&hessian, effort, || true).map(Value::Curvature);
            }
            Spot::OnPlane(at) => {
                let plane = resident(&mut self.plane, objective, recipe)?;
                objective.on(plane, *at)
            }
        }
        .map(Value::Measure)
    }
}

/// The plane of a recipe on the device, made when it is not the one that is there.
fn resident<'a>(
    current: &'a mut Option<(Recipe, ResidentPlane)>,
    objective: &Objective,
    recipe: &Recipe,
) -> Result<&'a ResidentPlane, LandscapeError> {
    let plane = match current.take() {
        Some((known, resident)) if known == *recipe => resident,
        stale => {
            // Two planes at once may not fit the device.
            drop(stale);
            let plane: Plane = recipe.make()?;
            objective.resident(&plane)?
        }
    };
    Ok(&current.insert((recipe.clone(), plane)).1)
}
