//! The worker that owns a compute device, and the messages between it and those who want losses.
//!
//! What it is told and what it answers are plain serde messages, so that it can run in another process
//! with nothing but the transport changed. How several share a plan is told in `crew`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::{self, Dataset, Split};
use crate::loss::Criterion;
use crate::model::reading::Reading;
use crate::model::{self, ModelError, Recognized, Weights};
use crate::run::Checkpoint;
use crate::weights::direction;
use crate::weights::member::{Member, Shape};
use crate::weights::recipe::{Plane, Recipe};

use super::LandscapeError;
use super::curvature::product::Curvature;
use super::curvature::{Effort, Extremes, extremes};
use super::device::{Compute, Place, Precision};
use super::evidence::{Assumed, Function, Question};
use super::objective::Objective;
use super::plane::ResidentPlane;
use super::samples::settled;
use super::sharpness::CriticalStep;
use super::surface::Measure;

/// What stays the same for a whole session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The samples; without them there is a path and no surface.
    pub data: Option<data::Request>,
    /// The loss that is measured.
    #[serde(default)]
    pub criterion: Criterion,
    /// `auto`, the name of an architecture, or the file of an exported program.
    pub model: String,
    /// What the user answers of what names leave open.
    #[serde(default)]
    pub reading: Reading,
    /// Each has a surveyor.
    pub devices: Vec<Place>,
    /// The type in which layers are computed.
    pub precision: Precision,
    /// Samples a forward pass takes at once.
    pub batch: Option<usize>,
}

impl Setup {
    /// Seed of the samples, and of random directions.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.seed)
    }
}

/// A place where the loss is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Spot {
    /// (α, β) on the plane.
    OnPlane([f64; 2]),
    /// (α, β) on the plane, on few of the samples alone.
    OnFew {
        /// (α, β).
        at: [f64; 2],
        /// How many samples.
        samples: usize,
    },
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
    /// The ends of the Hessian's spectrum at (α, β), on [`CURVATURE_SAMPLES`] of the samples.
    Curvature([f64; 2]),
    /// Likewise at a checkpoint itself, with its own running statistics.
    CurvatureOf(Checkpoint),
    /// Which function a path of these checkpoints followed; the answer is told as [`Report::Assumed`].
    Evidence(Vec<Checkpoint>),
}

/// A product with the Hessian costs as much as some ten losses, and an eigenvalue some twenty products.
pub const CURVATURE_SAMPLES: usize = 64;
/// Bound of the error of an eigenvalue on the screen, as a share of the largest.
const CURVATURE_TOLERANCE: f64 = 0.02;

/// What was found at a spot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Loss and score; the loss is NaN where it is not a number.
    Measure(Measure),
    /// The critical step along an update.
    Critical(CriticalStep),
    /// The ends of the Hessian's spectrum.
    Curvature(Extremes),
    /// The path was asked; what it answered is told by itself.
    Assumed,
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
    /// Have a path asked, soon: when there is a first picture, or nothing else is to be done.
    Ask(Plan),
    /// Measure this function from now on; forget all plans.
    Assume(Function),
    /// Stop measuring, or go on.
    Pause(bool),
}

/// What the surveyor answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// The devices that were opened.
    Device(String),
    /// A device did not open or broke; one sentence says which and why.
    Lost(String),
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
    /// What is taken for granted of the function that is measured.
    Assumed(Box<Assumed>),
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

/// The device, the samples on it and the model that is measured.
#[derive(Debug)]
pub(super) struct Surveyor {
    setup: Setup,
    compute: Compute,
    /// The samples of the setup's split; without them the model is still recognized.
    data: Option<Arc<Dataset>>,
    ready: Option<Ready>,
    /// What is measured, as far as names do not tell it.
    function: Function,
    /// What was found out about the samples and the model since somebody took it.
    pub(super) findings: Vec<Report>,
}

/// A recognized model with its samples, and the plane that is on the device.
#[derive(Debug)]
struct Ready {
    shape: Shape,
    recognized: Recognized,
    objective: Objective,
    /// On few of the samples, and of which: those of the setup or the others, and how many.
    few: Option<((bool, usize), Objective)>,
    /// On the samples of the other split, once they were asked for.
    other: Option<Objective>,
    plane: Option<(Recipe, ResidentPlane)>,
}

impl Surveyor {
    pub(super) fn new(mut setup: Setup, data: Option<Arc<Dataset>>, compute: Compute) -> Self {
        if let Some(data) = &data {
            setup.criterion = settled(&setup.criterion, data);
        }
        Self {
            setup,
            compute,
            data,
            ready: None,
            function: Function::default(),
            findings: Vec::new(),
        }
    }

    /// Measures this function from now on.
    pub(super) fn assume(&mut self, function: Function) {
        if self.function != function {
            self.function = function;
            self.ready = None;
        }
    }

    /// Measures a spot of a plan.
    pub(super) fn measure(&mut self, plan: &Plan, index: usize) -> Result<Value, LandscapeError> {
        self.prepare(&plan.recipe)?;
        if let Spot::Evidence(members) = &plan.spots[index] {
            self.ask(members)?;
            return Ok(Value::Assumed);
        }
        self.measure_at(&plan.spots[index], plan)
    }

    /// Recognizes the model when that was not done yet for this run's shapes.
    fn prepare(&mut self, recipe: &Recipe) -> Result<(), LandscapeError> {
        if self
            .ready
            .as_ref()
            .is_some_and(|ready| ready.shape == recipe.shape)
        {
            return Ok(());
        }
        self.ready = None;
        let shape = recipe.shape.clone();
        let recognized = self.recognize(&shape)?;
        let data = self.data.clone().ok_or(LandscapeError::NoData)?;
        let objective = self.objective(&recognized, &shape, &data);
        if self.function == Function::default() {
            let unasked = self.question(&shape, &[], &data).unasked();
            let unasked = of_batches(unasked, objective.as_ref().ok());
            self.findings.push(Report::Assumed(Box::new(unasked)));
        }
        let objective =
            objective.inspect_err(|error| self.findings.push(Report::NoData(error.to_string())))?;
        self.ready = Some(Ready {
            shape,
            recognized,
            objective,
            few: None,
            other: None,
            plane: None,
        });
        Ok(())
    }

    fn recognize(&mut self, shape: &Shape) -> Result<Recognized, LandscapeError> {
        let image = self.data.as_ref().and_then(|data| data.image());
        let of = |reading| model::recognize_as(&shape.layout, &self.setup.model, image, reading);
        let reading = self.function.reading.or(self.setup.reading);
        // An answer of the path may be that of another model, which the run had before.
        let recognized = of(reading)
            .or_else(|error| match error {
                ModelError::Settled { .. } => of(self.setup.reading),
                error => Err(error),
            })
            .map_err(|source| LandscapeError::of_model(&shape.newest, source))
            .inspect_err(|error| self.findings.push(Report::NoModel(error.to_string())))?;
        self.findings.push(Report::Model {
            name: recognized.name.clone(),
            evidence: recognized.evidence.clone(),
        });
        Ok(recognized)
    }

    fn question<'a>(
        &'a self,
        shape: &'a Shape,
        members: &'a [Checkpoint],
        data: &'a Dataset,
    ) -> Question<'a> {
        Question {
            shape,
            members,
            data,
            model: &self.setup.model,
            criterion: &self.setup.criterion,
            asked: self.setup.reading,
            compute: &self.compute,
        }
    }

    /// Asks a path which function it followed; where it cannot be asked, all is as usual.
    fn ask(&mut self, members: &[Checkpoint]) -> Result<(), LandscapeError> {
        let data = self.data.as_ref().ok_or(LandscapeError::NoData)?;
        let ready = self.ready.as_ref().ok_or(LandscapeError::NoData)?;
        let question = self.question(&ready.shape, members, data);
        let answer = question.answer().inspect_err(|error| {
            tracing::info!("the path was not asked: {error}");
        });
        if let Ok(assumed) = answer {
            let assumed = of_batches(assumed, Some(&ready.objective));
            self.findings.push(Report::Assumed(Box::new(assumed)));
        }
        Ok(())
    }

    fn objective(
        &self,
        recognized: &Recognized,
        shape: &Shape,
        data: &Dataset,
    ) -> Result<Objective, LandscapeError> {
        let layout = shape.layout.clone();
        let rescaled = self.function.pixels.as_ref();
        let rescaled = rescaled.map(|scale| data.rescaled(scale));
        let data = rescaled.as_ref().unwrap_or(data);
        Objective::new(
            recognized,
            layout,
            data,
            &self.setup.criterion,
            &self.compute,
        )
    }

    fn measure_at(&mut self, spot: &Spot, plan: &Plan) -> Result<Value, LandscapeError> {
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
                let few = objective.few(CURVATURE_SAMPLES)?;
                let plane = resident(&mut self.plane, objective, recipe)?;
                return curvature(&few, few.weights_on(plane, *at)?);
            }
            Spot::CurvatureOf(checkpoint) => {
                let few = objective.few(CURVATURE_SAMPLES)?;
                return curvature(&few, few.weights_of(&flat(checkpoint)?)?);
            }
            Spot::OnFew { at, samples } => {
                let plane = resident(&mut self.plane, objective, recipe)?;
                let which = (own, *samples);
                let few = match self.few.take() {
                    Some((known, few)) if known == which => few,
                    _ => objective.few(*samples)?,
                };
                self.few.insert((which, few)).1.on(plane, *at)
            }
            // A surveyor asks before it measures.
            Spot::Evidence(_) => return Ok(Value::Assumed),
            Spot::OnPlane(at) => {
                let plane = resident(&mut self.plane, objective, recipe)?;
                objective.on(plane, *at)
            }
        }
        .map(Value::Measure)
    }
}

/// Says where the loss is a mean over batches that the model takes itself.
fn of_batches(mut assumed: Assumed, objective: Option<&Objective>) -> Assumed {
    let cut = objective.and_then(|own| Some((own.averaged_batches()?, own.samples())));
    if let Some((batches, samples)) = cut {
        assumed.is_of_batches(batches, samples);
    }
    assumed
}

/// The ends of the spectrum, as exactly as the screen needs them.
fn curvature(objective: &Objective, weights: Weights) -> Result<Value, LandscapeError> {
    let effort = Effort {
        tolerance: CURVATURE_TOLERANCE,
        ..Effort::default()
    };
    let curvature = Curvature::new(objective)?;
    extremes(&curvature.at(weights)?, effort, || true).map(Value::Curvature)
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
