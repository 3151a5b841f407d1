//! The loss by isoloss's own forward pass on the fixed samples (docs/math.md 1, 2).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::{Device, Storage, Tensor, TensorId};
use rayon::prelude::*;

use crate::data::Dataset;
use crate::loss::{Criterion, Score, Totals};
use crate::model::{Cost, FusedNetwork, Recognized, Weights};
use crate::weights::{BatchNorm, Layout, Plane};

use super::super::LandscapeError;
use super::super::coupling::{Coupling, PROBED, WEIGHED};
use super::super::forward::{Forward, PreparedBatch};
use super::super::plane::DevicePlane;
use super::super::samples::{Batch, Source, few, within};
use crate::landscape::device::Compute;
use crate::landscape::device::cuda;
use crate::landscape::grid::surface::Measure;

/// Samples a forward pass on the CPU takes at once where the user does not say: batches run beside one
/// another and their activations should stay in cache.
const BATCH_CPU: usize = 64;
/// Bytes that the largest array of such a batch may take.
const ROOM_CPU: usize = 256 << 20;
/// Arrays of the largest size that a layer and its convolution hold at once, about.
const ARRAYS: usize = 4;
/// candle's kernels on a GPU count in 32 bits: no layer may have more numbers than that.
const COUNTED: usize = u32::MAX as usize;

/// Results of the first layer for every sample at θ*, dx and dy.
type FirstLayer = Arc<[Vec<f32>; 3]>;

/// A model and the fixed samples, resident on a device.
#[derive(Debug)]
pub struct ModelObjective {
    forward: Forward,
    /// On the CPU, where they know all of the network's layers.
    kernels: Option<Arc<FusedNetwork>>,
    /// Results of the first layer at the three rows of the plane that was measured on last.
    first: Mutex<Option<(TensorId, FirstLayer)>>,
    layout: Arc<Layout>,
    device: Device,
    /// Together every sample once.
    batches: Mutex<Arc<Vec<PreparedBatch>>>,
    /// Samples that a forward pass takes at once, less than a batch has where the device had no room.
    at_once: AtomicUsize,
    samples: usize,
    /// Reason why a mean over batches is not that of all samples, once that was asked for.
    coupling: OnceLock<Option<Coupling>>,
}

impl ModelObjective {
    /// Copies the samples to the device.
    ///
    /// # Errors
    /// There are no samples, they do not fit the model or the loss, or the device has no room.
    pub fn new(
        recognized: &Recognized,
        layout: Arc<Layout>,
        data: &Dataset,
        criterion: &Criterion,
        compute: &Compute,
    ) -> Result<Self, LandscapeError> {
        let forward = Forward::new(recognized, criterion, compute)?;
        let source = Source::of(recognized, data, &forward.loss)?;
        let program = &forward.program;
        let one = source.batch(0..1, &Device::Cpu)?;
        let trace = program.trace(&layout, &one.inputs)?;
        let cost = program.cost(&trace);
        let device = &compute.device;
        let batches = source.batches(at_once(compute, cost, data.samples()), device)?;
        let output = program.outputs[forward.output].value;
        let dims = trace.dims(program, output).unwrap_or_default();
        source.check(&recognized.name, dims, &batches)?;
        let kernels = (device.is_cpu() && compute.precision.dtype() == candle_core::DType::F32)
            .then(|| FusedNetwork::of(program, &trace, forward.output));
        Self::of(
            forward,
            kernels.flatten().map(Arc::new),
            layout,
            device.clone(),
            &batches,
        )
    }

    fn of(
        forward: Forward,
        kernels: Option<Arc<FusedNetwork>>,
        layout: Arc<Layout>,
        device: Device,
        batches: &[Batch],
    ) -> Result<Self, LandscapeError> {
        let prepared = batches.iter().map(|batch| forward.prepare(batch));
        let prepared = prepared.collect::<candle_core::Result<Vec<_>>>()?;
        let most = batches.iter().map(Batch::samples).max();
        Ok(Self {
            forward,
            kernels,
            first: Mutex::default(),
            layout,
            device,
            batches: Mutex::new(Arc::new(prepared)),
            at_once: most.unwrap_or(1).into(),
            samples: batches.iter().map(Batch::samples).sum(),
            coupling: OnceLock::new(),
        })
    }

    /// Returns why the loss of all samples is not that of the batches, and their number; `None` if every sample has a
    /// loss of its own, or all are in one batch. It runs the model the first time.
    #[must_use]
    pub fn coupled_batches(&self) -> Option<(Coupling, usize)> {
        let held = self.held();
        // What the kernels know takes each sample for itself.
        if held.len() < 2 || self.kernels.is_some() {
            return None;
        }
        let coupling = self.coupling.get_or_init(|| {
            let found = self.coupling_of(&held);
            found.unwrap_or_else(|error| {
                tracing::info!("the samples were not asked for their coupling: {error}");
                None
            })
        });
        coupling.map(|why| (why, held.len()))
    }

    fn coupling_of(&self, held: &[PreparedBatch]) -> Result<Option<Coupling>, LandscapeError> {
        let all: Vec<Batch> = held.iter().map(PreparedBatch::batch).collect();
        let (samples, many) = (few(&all, PROBED)?, few(&all, WEIGHED)?);
        Coupling::of(&self.forward, &samples, &many, &self.layout, &self.device)
    }

    /// Returns the number of samples that a forward pass takes at once.
    #[must_use]
    pub fn at_once(&self) -> usize {
        self.at_once.load(Ordering::Relaxed)
    }

    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Returns the place of each tensor.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the device on which it is measured.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(in super::super) fn forward(&self) -> &Forward {
        &self.forward
    }

    /// Returns the batches as they are now.
    fn held(&self) -> Arc<Vec<PreparedBatch>> {
        let held = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&held)
    }

    /// Returns the same objective on `count` of its samples alone, or on all where there are no more. They are spread
    /// evenly over the file's order, which may be that of the classes.
    ///
    /// # Errors
    /// candle's.
    pub fn few(&self, count: usize) -> Result<Self, LandscapeError> {
        let held = self.held();
        let all: Vec<Batch> = held.iter().map(PreparedBatch::batch).collect();
        let most = self.at_once.load(Ordering::Relaxed);
        let chosen = few(&all, count.min(self.samples))?.pieces(most)?;
        Self::of(
            self.forward.clone(),
            self.kernels.clone(),
            Arc::clone(&self.layout),
            self.device.clone(),
            &chosen,
        )
    }

    /// Returns the same objective on one of `of` equal parts of its samples; `None` if there are fewer samples than
    /// parts.
    ///
    /// # Errors
    /// candle's.
    pub(in super::super) fn part(
        &self,
        part: usize,
        of: usize,
    ) -> Result<Option<Self>, LandscapeError> {
        let range = part * self.samples / of..(part + 1) * self.samples / of;
        let held = self.held();
        let all: Vec<Batch> = held.iter().map(PreparedBatch::batch).collect();
        let chosen = within(&all, range)?;
        if chosen.is_empty() {
            return Ok(None);
        }
        let part = Self::of(
            self.forward.clone(),
            self.kernels.clone(),
            Arc::clone(&self.layout),
            self.device.clone(),
            &chosen,
        );
        part.map(Some)
    }

    /// Returns the same objective with its samples in memory, computed on the CPU with all digits of f32.
    ///
    /// # Errors
    /// candle's.
    pub(in super::super) fn in_memory(&self) -> Result<Self, LandscapeError> {
        let held = self.held();
        let batches = held
            .iter()
            .map(|batch| batch.batch().to_device(&Device::Cpu));
        let batches = batches.collect::<candle_core::Result<Vec<_>>>()?;
        Self::of(
            self.forward.in_memory(),
            self.kernels.clone(),
            Arc::clone(&self.layout),
            Device::Cpu,
            &batches,
        )
    }

    /// Returns the samples in batches of at most `most`, at least one each.
    pub(in super::super) fn batches(
        &self,
        most: usize,
    ) -> Result<Vec<PreparedBatch>, LandscapeError> {
        let mut smaller = Vec::new();
        for batch in self.held().iter() {
            for piece in batch.batch().pieces(most)? {
                smaller.push(self.forward.prepare(&piece)?);
            }
        }
        Ok(smaller)
    }

    /// Returns the loss and score at a flat vector of the layout on the device, of shape (`layout.len()`,).
    ///
    /// # Errors
    /// candle's: the device failed or has no room.
    pub fn at(&self, point: Tensor) -> Result<Measure, LandscapeError> {
        self.measure(&Weights::new(point, Arc::clone(&self.layout)))
    }

    /// Returns the loss and score at the point θ* + α·dx + β·dy of a plane, with the running statistics that
    /// the plane has there.
    ///
    /// # Errors
    /// As [`ModelObjective::at`].
    pub fn on(&self, plane: &DevicePlane, at: [f64; 2]) -> Result<Measure, LandscapeError> {
        Ok(self.totals_on(plane, at)?.measure(self.score()))
    }

    /// Returns the sums of the loss at a point of a plane.
    pub(in super::super) fn totals_on(
        &self,
        plane: &DevicePlane,
        at: [f64; 2],
    ) -> Result<Totals, LandscapeError> {
        let weights = self.weights_on(plane, at)?;
        if let Some(kernels) = &self.kernels
            && let Some(first) = self.first_layer(kernels, plane)?
        {
            let coefficients = [1.0, at[0] as f32, at[1] as f32];
            let logits = kernels.logits_from(&weights, &first, coefficients)?;
            return self.of_logits(&logits);
        }
        self.totals(&weights)
    }

    /// Returns the score beside the loss; `None` if it has none.
    pub(in super::super) fn score(&self) -> Option<Score> {
        self.forward.loss.score()
    }

    /// Returns the weights and running statistics at a point of a plane.
    ///
    /// # Errors
    /// As [`ModelObjective::at`].
    pub fn weights_on(&self, plane: &DevicePlane, at: [f64; 2]) -> Result<Weights, LandscapeError> {
        let weights = Weights::new(plane.point(at)?, Arc::clone(&self.layout));
        if plane.batch_norm == BatchNorm::Recalibrated {
            self.recalibrated(&weights)
        } else {
            Ok(weights)
        }
    }

    fn recalibrated(&self, weights: &Weights) -> Result<Weights, LandscapeError> {
        let held = self.held();
        let [one] = &held[..] else {
            let all: Vec<Batch> = held.iter().map(PreparedBatch::batch).collect();
            let one = self.forward.prepare(&Batch::cat(&all)?)?;
            return self.forward.recalibrated(weights, &one);
        };
        self.forward.recalibrated(weights, one)
    }

    /// Returns the loss and score at a point that lies in memory, with running statistics taken anew.
    ///
    /// # Errors
    /// As [`ModelObjective::at`].
    pub fn at_recalibrated(&self, flat: &[f32]) -> Result<Measure, LandscapeError> {
        self.measure(&self.recalibrated(&self.weights_of(flat)?)?)
    }

    fn measure(&self, weights: &Weights) -> Result<Measure, LandscapeError> {
        Ok(self.totals(weights)?.measure(self.score()))
    }

    /// Returns the sums of the loss over all samples.
    pub(in super::super) fn totals(&self, weights: &Weights) -> Result<Totals, LandscapeError> {
        if let Some(kernels) = &self.kernels {
            let logits = self.with_images(|images| kernels.logits(weights, images))?;
            return self.of_logits(&logits);
        }
        let held = self.held();
        // In the order of the samples, so that the sum does not depend on the threads.
        let totals: Vec<Totals> = if self.device.is_cpu() {
            // candle spreads only part of its work over the cores; whole batches fill them.
            let batches = held.par_iter();
            batches
                .map(|batch| self.forward.totals(weights, batch))
                .collect::<Result<_, _>>()?
        } else {
            let _shapes = cuda::keep_shapes(&self.device);
            with_room(&self.at_once, |most| {
                self.hold(most)?;
                let held = self.held();
                let batches = held.iter();
                batches
                    .map(|batch| self.forward.totals(weights, batch))
                    .collect()
            })?
        };
        Ok(totals.into_iter().sum())
    }

    /// Cuts the batches to at most `most` samples from now on.
    fn hold(&self, most: usize) -> Result<(), LandscapeError> {
        let held = self.held();
        if held.iter().all(|batch| batch.samples() <= most) {
            return Ok(());
        }
        let smaller = Arc::new(self.batches(most)?);
        *self.batches.lock().unwrap_or_else(PoisonError::into_inner) = smaller;
        Ok(())
    }

    /// Returns the sums of the loss for the logits of all samples.
    fn of_logits(&self, logits: &[f32]) -> Result<Totals, LandscapeError> {
        let loss = &self.forward.loss;
        let classes = logits.len() / self.samples.max(1);
        let (mut totals, mut rest) = (Totals::default(), logits);
        for batch in self.held().iter() {
            let samples = batch.samples();
            let (own, others) = rest.split_at(samples * classes);
            rest = others;
            let logits = Tensor::from_slice(own, (samples, classes), &Device::Cpu)?;
            totals = totals + loss.totals(&logits, &batch.target)?;
        }
        Ok(totals)
    }

    /// Calls `work` with the numbers of all samples, which lie in memory.
    fn with_images<T>(
        &self,
        work: impl FnOnce(&[&[f32]]) -> candle_core::Result<T>,
    ) -> Result<T, LandscapeError> {
        let batches = self.held();
        let inputs = batches.iter().filter_map(|batch| batch.inputs().first());
        let held: Vec<_> = inputs
            .map(|input| input.tensor().storage_and_layout())
            .collect();
        let mut images: Vec<&[f32]> = Vec::with_capacity(held.len());
        for (storage, layout) in &held {
            if let (Storage::Cpu(storage), Some((from, to))) =
                (&**storage, layout.contiguous_offsets())
            {
                images.push(&storage.as_slice::<f32>()?[from..to]);
            }
        }
        Ok(work(&images)?)
    }

    /// Computes a fully connected first layer at the three rows of a plane; each point's result is their
    /// combination (docs/math.md 1), and for an MLP this layer is most of the work.
    fn first_layer(
        &self,
        kernels: &FusedNetwork,
        plane: &DevicePlane,
    ) -> Result<Option<FirstLayer>, LandscapeError> {
        if !kernels.begins_linear() {
            return Ok(None);
        }
        let mut known = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, first)) = &*known
            && *id == plane.id()
        {
            return Ok(Some(Arc::clone(first)));
        }
        let row = |row: usize| {
            let weights = Weights::new(plane.rows.get(row)?, Arc::clone(&self.layout));
            self.with_images(|images| kernels.first_layer(&weights, images))
        };
        let rows = Arc::new([row(0)?, row(1)?, row(2)?]);
        *known = Some((plane.id(), Arc::clone(&rows)));
        Ok(Some(rows))
    }

    /// Returns the loss and score at a point that lies in memory.
    ///
    /// # Errors
    /// As [`ModelObjective::at`].
    pub fn at_flat(&self, flat: &[f32]) -> Result<Measure, LandscapeError> {
        self.measure(&self.weights_of(flat)?)
    }

    /// Returns the weights of a point that lies in memory.
    pub(in super::super) fn weights_of(&self, flat: &[f32]) -> Result<Weights, LandscapeError> {
        let point = Tensor::from_slice(flat, flat.len(), &self.device)?;
        Ok(Weights::new(point, Arc::clone(&self.layout)))
    }

    /// Copies a plane to the device.
    ///
    /// # Errors
    /// The device has no room.
    pub fn resident(&self, plane: &Plane) -> Result<DevicePlane, LandscapeError> {
        Ok(DevicePlane::of(plane, &self.device)?)
    }
}

/// Returns the samples that a forward pass takes at once.
fn at_once(compute: &Compute, cost: Cost, samples: usize) -> usize {
    let size = compute.precision.dtype().size_in_bytes();
    let widest = cost.widest.saturating_mul(size);
    if compute.device.is_cpu() {
        // Each core has batches of its own.
        let threads = rayon::current_num_threads();
        let each = samples.div_ceil(threads);
        let room = ROOM_CPU.min(compute.room(usize::MAX) / (threads * ARRAYS));
        let fits = batch_within(room, widest).min(BATCH_CPU).min(each);
        return compute.batch.map_or(fits, |batch| batch.max(1));
    }
    // A GPU wants work: as many samples as keep candle's im2col buffer, a new one for each convolution,
    // within bounds.
    let fits = batch_within(compute.buffer, widest);
    // Two batches of 512 take less time than one of 910 and one of 114, which leaves most of a GPU idle.
    let fits = samples.div_ceil(samples.div_ceil(fits).max(1));
    let counted = batch_within(COUNTED, cost.widest);
    compute.batch.map_or(fits, |batch| batch.clamp(1, counted))
}

/// Returns the samples of which the largest layer, `sample` for each, stays within a bound.
fn batch_within(bound: usize, sample: usize) -> usize {
    (bound / sample.max(1)).max(1)
}

/// Calls `work` with the number of samples it may take at once, and with half of that as long as the
/// device has no room; what it had room for counts from then on.
fn with_room<T>(
    at_once: &AtomicUsize,
    mut work: impl FnMut(usize) -> Result<T, LandscapeError>,
) -> Result<T, LandscapeError> {
    loop {
        let samples = at_once.load(Ordering::Relaxed);
        match work(samples) {
            Err(LandscapeError::Candle(error)) if samples > 1 && is_out_of_memory(&error) => {
                tracing::info!("no room for {samples} samples at once, trying half");
                at_once.store(samples / 2, Ordering::Relaxed);
            }
            done => return done,
        }
    }
}

/// Recognizes it by its words, because candle has no kind of its own for this error of the CUDA driver, nor for those
/// of its libraries.
fn is_out_of_memory(error: &candle_core::Error) -> bool {
    let error = error.to_string();
    let texts = [
        "CUDA_ERROR_OUT_OF_MEMORY",
        "STATUS_ALLOC_FAILED",
        "out of memory",
    ];
    (texts.iter()).any(|told| error.contains(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_the_buffer_allows_and_at_least_one_sample() {
        // The first stage of a ResNet-20: 32×32 places, 16 channels, 3×3 taps, 4 bytes: 589824 a sample.
        use crate::model::ops::BUFFER;
        let stage = 32 * 32 * 16 * 9;
        assert_eq!(batch_within(BUFFER, stage * 4), 910);
        assert_eq!(batch_within(BUFFER, stage * 2), 1820);
        assert_eq!(batch_within(589_824 * 7, stage * 4), 7);
        assert_eq!(batch_within(589_824 * 7 - 1, stage * 4), 6);
        assert_eq!(batch_within(589_823, stage * 4), 1);
        assert_eq!(batch_within(BUFFER, usize::MAX), 1);
    }

    fn no_room() -> LandscapeError {
        let driver = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
        candle_core::Error::Cuda(driver.into())
            .context("conv2d")
            .into()
    }

    #[test]
    fn without_room_a_batch_is_halved_and_that_is_remembered() {
        let at_once = AtomicUsize::new(100);
        let mut tried = Vec::new();
        let mut measure = |room: usize| {
            with_room(&at_once, |samples| {
                tried.push(samples);
                if samples > room {
                    Err(no_room())
                } else {
                    Ok(samples)
                }
            })
        };
        assert_eq!(measure(30).ok(), Some(25));
        assert_eq!(measure(30).ok(), Some(25));
        assert_eq!(
            measure(0).err().map(|e| e.to_string()),
            Some(no_room().to_string())
        );
        assert_eq!(tried, [100, 50, 25, 25, 25, 12, 6, 3, 1]);
    }

    #[test]
    fn other_errors_are_not_tried_again() {
        let at_once = AtomicUsize::new(100);
        let mut tries = 0;
        let failed = with_room(&at_once, |_| -> Result<(), _> {
            tries += 1;
            Err(candle_core::Error::Msg("CUDA_ERROR_ILLEGAL_ADDRESS".into()).into())
        });
        assert!(failed.is_err());
        assert_eq!((tries, at_once.into_inner()), (1, 100));
    }
}
