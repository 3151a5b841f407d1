//! The loss at a point of weight space (math.md 1, 2).

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Storage, Tensor, TensorId};
use rayon::prelude::*;

use crate::data::Dataset;
use crate::loss::cross_entropy::{cross_entropy, predicted};
use crate::model::kernels::Kernels;
use crate::model::ops::BUFFER;
use crate::model::{Network, Recognized, Weights};
use crate::weights::layout::Layout;
use crate::weights::recipe::{BatchNorm, Plane};

use super::LandscapeError;
use super::device::Compute;
use super::sharpness::{CriticalStep, critical_step};
use super::surface::Measure;

/// Samples a forward pass on the CPU takes at once where the user does not say: batches run beside one
/// another and their activations should stay in cache.
const BATCH_CPU: usize = 64;
/// candle's kernels on a GPU count in 32 bits: no layer may have more numbers than that.
const COUNTED: usize = u32::MAX as usize;

/// Images of shape (B, C, H, W) and their labels.
pub(super) type Batch = (Tensor, Vec<u32>);

/// What the first layer gives for every sample at θ*, dx and dy.
type FirstLayer = Arc<[Vec<f32>; 3]>;

/// A model and the fixed samples, resident on a device.
#[derive(Debug)]
pub struct Objective {
    network: Arc<dyn Network>,
    /// On the CPU, where they know all of the network's layers.
    kernels: Option<Arc<Kernels>>,
    /// What the first layer gives at the three rows of the plane that was measured on last.
    first: Mutex<Option<(TensorId, FirstLayer)>>,
    layout: Arc<Layout>,
    device: Device,
    /// The type in which layers are computed.
    dtype: DType,
    /// Together every sample once.
    batches: Vec<Batch>,
    /// Samples that a forward pass takes at once, less than a batch has where the device had no room.
    at_once: AtomicUsize,
    samples: usize,
}

impl Objective {
    /// Copies the samples to the device.
    ///
    /// # Errors
    /// There are no samples, a label has no output, or the device has no room.
    pub fn new(
        recognized: &Recognized,
        layout: Arc<Layout>,
        data: &Dataset,
        compute: &Compute,
    ) -> Result<Self, LandscapeError> {
        let images = data.image().zip(data.labels());
        let (image, labels) = images.ok_or_else(|| LandscapeError::NoImages(data.name.clone()))?;
        if labels.is_empty() {
            return Err(LandscapeError::NoSamples(data.name.clone()));
        }
        if let Some(&label) = labels
            .iter()
            .max()
            .filter(|&&label| label as usize >= recognized.classes)
        {
            return Err(LandscapeError::Label {
                data: data.name.clone(),
                label,
                model: recognized.name.clone(),
                classes: recognized.classes,
            });
        }
        let (device, dtype) = (&compute.device, compute.precision.dtype());
        let batch = match compute.batch {
            Some(batch) if device.is_cpu() => batch.max(1),
            None if device.is_cpu() => BATCH_CPU,
            batch => {
                // A GPU wants work: as many samples as keep candle's im2col buffer, a new one for each
                // convolution, within bounds.
                let widest = recognized.network.graph(image)?.widest(image)?;
                let fits = batch_within(BUFFER, widest.saturating_mul(dtype.size_in_bytes()));
                batch.map_or(fits, |batch| batch.clamp(1, batch_within(COUNTED, widest)))
            }
        };
        let [channels, height, width] = image;
        let pixels = data.pixels().chunks(batch * channels * height * width);
        let batches = pixels
            .zip(labels.chunks(batch))
            .map(|(pixels, labels)| {
                let shape = (labels.len(), channels, height, width);
                Ok((Tensor::from_slice(pixels, shape, device)?, labels.to_vec()))
            })
            .collect::<Result<_, LandscapeError>>()?;
        let kernels = (device.is_cpu() && dtype == DType::F32)
            .then(|| Kernels::of(recognized.network.as_ref(), image));
        Ok(Self {
            network: Arc::clone(&recognized.network),
            kernels: kernels.flatten().map(Arc::new),
            first: Mutex::default(),
            layout,
            device: device.clone(),
            dtype,
            batches,
            at_once: batch.min(labels.len()).into(),
            samples: labels.len(),
        })
    }

    /// Number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Which tensor lies where.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where it is measured.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(super) fn network(&self) -> &dyn Network {
        self.network.as_ref()
    }

    /// The same objective on `count` of its samples alone, or on all where there are no more. They are spread
    /// evenly over the file's order, which may be that of the classes.
    ///
    /// # Errors
    /// candle's.
    pub fn few(&self, count: usize) -> Result<Self, LandscapeError> {
        let samples = count.min(self.samples);
        let most = self.batches.iter().map(|batch| batch.1.len()).max();
        let (mut images, mut labels, mut from) = (Vec::new(), Vec::new(), 0);
        for batch in &self.batches {
            let chosen = spread(from..from + batch.1.len(), samples, self.samples);
            from += batch.1.len();
            if chosen.is_empty() {
                // A GPU cannot start a kernel over nothing.
                continue;
            }
            labels.extend(chosen.iter().map(|&i| batch.1[i as usize]));
            let chosen = Tensor::new(chosen, batch.0.device())?;
            images.push(batch.0.index_select(&chosen, 0)?);
        }
        let together = (Tensor::cat(&images, 0)?, labels);
        let batches = chunks(&together, most.unwrap_or(1))?;
        Ok(Self {
            network: Arc::clone(&self.network),
            kernels: self.kernels.clone(),
            first: Mutex::default(),
            layout: Arc::clone(&self.layout),
            device: self.device.clone(),
            dtype: self.dtype,
            batches,
            at_once: self.at_once.load(Ordering::Relaxed).into(),
            samples,
        })
    }

    /// The samples in batches of at most `most`, at least one each.
    pub(super) fn batches(&self, most: usize) -> Result<Vec<Batch>, LandscapeError> {
        let mut smaller = Vec::new();
        for batch in &self.batches {
            smaller.extend(chunks(batch, most)?);
        }
        Ok(smaller)
    }

    /// Loss and accuracy at a flat vector of the layout on the device, of shape (`layout.len()`,).
    ///
    /// # Errors
    /// candle's: the device failed or has no room.
    pub fn at(&self, point: Tensor) -> Result<Measure, LandscapeError> {
        self.measure(&Weights::new(point, Arc::clone(&self.layout)))
    }

    /// Loss and accuracy at the point θ* + α·dx + β·dy of a plane, with the running statistics that
    /// the plane has there.
    ///
    /// # Errors
    /// As [`Objective::at`].
    pub fn on(&self, plane: &ResidentPlane, at: [f64; 2]) -> Result<Measure, LandscapeError> {
        let weights = self.weights_on(plane, at)?;
        if let Some(kernels) = &self.kernels
            && let Some(first) = self.first_layer(kernels, plane)?
        {
            let coefficients = [1.0, at[0] as f32, at[1] as f32];
            return Ok(self.measured(&kernels.logits_from(&weights, &first, coefficients)?));
        }
        self.measure(&weights)
    }

    /// Weights and running statistics at a point of a plane.
    ///
    /// # Errors
    /// As [`Objective::at`].
    pub fn weights_on(
        &self,
        plane: &ResidentPlane,
        at: [f64; 2],
    ) -> Result<Weights, LandscapeError> {
        let weights = Weights::new(plane.point(at)?, Arc::clone(&self.layout));
        if plane.batch_norm == BatchNorm::Recalibrated {
            self.recalibrated(&weights)
        } else {
            Ok(weights)
        }
    }

    fn recalibrated(&self, weights: &Weights) -> Result<Weights, LandscapeError> {
        let images: Vec<&Tensor> = self.batches.iter().map(|batch| &batch.0).collect();
        let images = Tensor::cat(&images, 0)?;
        Ok(weights.recalibrated(self.network.as_ref(), &images)?)
    }

    /// Loss and accuracy at a point that lies in memory, with running statistics taken anew.
    ///
    /// # Errors
    /// As [`Objective::at`].
    pub fn at_recalibrated(&self, flat: &[f32]) -> Result<Measure, LandscapeError> {
        let point = Tensor::from_slice(flat, flat.len(), &self.device)?;
        let weights = Weights::new(point, Arc::clone(&self.layout));
        self.measure(&self.recalibrated(&weights)?)
    }

    fn measure(&self, weights: &Weights) -> Result<Measure, LandscapeError> {
        if let Some(kernels) = &self.kernels {
            let logits = self.with_images(|images| kernels.logits(weights, images))?;
            return Ok(self.measured(&logits));
        }
        let sums: Vec<(f64, usize)> = if self.device.is_cpu() {
            // candle spreads only part of its work over the cores; whole batches fill them.
            let batches = self.batches.par_iter();
            batches
                .map(|batch| self.sums(weights, batch))
                .collect::<Result<_, _>>()?
        } else {
            with_room(&self.at_once, |most| {
                let batches = self.batches(most)?;
                let sums = batches.iter().map(|batch| self.sums(weights, batch));
                sums.collect()
            })?
        };
        // In the order of the samples, so that the sum does not depend on the threads.
        let loss: f64 = sums.iter().map(|sums| sums.0).sum();
        let right: usize = sums.iter().map(|sums| sums.1).sum();
        Ok(self.mean(loss, right))
    }

    /// Loss and accuracy of the logits of all samples.
    fn measured(&self, logits: &[f32]) -> Measure {
        let labels = self.batches.iter().flat_map(|batch| &batch.1);
        let (loss, right) = sums(logits.chunks(logits.len() / self.samples), labels);
        self.mean(loss, right)
    }

    fn mean(&self, loss: f64, right: usize) -> Measure {
        Measure {
            loss: loss / self.samples as f64,
            score: right as f64 / self.samples as f64,
        }
    }

    /// Calls `work` with the numbers of all samples, which lie in memory.
    fn with_images<T>(
        &self,
        work: impl FnOnce(&[&[f32]]) -> candle_core::Result<T>,
    ) -> Result<T, LandscapeError> {
        let images = self
            .batches
            .iter()
            .map(|batch| batch.0.storage_and_layout());
        let held: Vec<_> = images.collect();
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

    /// What a fully connected first layer gives at the three rows of a plane; each point's is their
    /// combination (math.md 1), and for an MLP this layer is most of the work.
    fn first_layer(
        &self,
        kernels: &Kernels,
        plane: &ResidentPlane,
    ) -> Result<Option<FirstLayer>, LandscapeError> {
        if !kernels.begins_linear() {
            return Ok(None);
        }
        let mut known = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, first)) = &*known
            && *id == plane.rows.id()
        {
            return Ok(Some(Arc::clone(first)));
        }
        let row = |row: usize| {
            let weights = Weights::new(plane.rows.get(row)?, Arc::clone(&self.layout));
            self.with_images(|images| kernels.first_layer(&weights, images))
        };
        let rows = Arc::new([row(0)?, row(1)?, row(2)?]);
        *known = Some((plane.rows.id(), Arc::clone(&rows)));
        Ok(Some(rows))
    }

    /// Sum of losses and number of correct predictions of one batch.
    fn sums(
        &self,
        weights: &Weights,
        (images, labels): &Batch,
    ) -> Result<(f64, usize), LandscapeError> {
        let logits = self
            .network
            .forward(weights, &images.to_dtype(self.dtype)?)?
            .to_dtype(DType::F32)?
            .to_vec2::<f32>()?;
        Ok(sums(logits.iter().map(Vec::as_slice), labels))
    }

    /// Loss and accuracy at a point that lies in memory.
    ///
    /// # Errors
    /// As [`Objective::at`].
    pub fn at_flat(&self, flat: &[f32]) -> Result<Measure, LandscapeError> {
        self.measure(&self.weights_of(flat)?)
    }

    /// The weights of a point that lies in memory.
    pub(super) fn weights_of(&self, flat: &[f32]) -> Result<Weights, LandscapeError> {
        let point = Tensor::from_slice(flat, flat.len(), &self.device)?;
        Ok(Weights::new(point, Arc::clone(&self.layout)))
    }

    /// The critical step from one point along the way to another; running statistics move along.
    ///
    /// # Errors
    /// As [`Objective::at`].
    pub fn critical(&self, from: &[f32], to: &[f32]) -> Result<CriticalStep, LandscapeError> {
        let start = self.at_flat(from)?.loss;
        critical_step(start, |step| {
            let ends = from.iter().zip(to);
            let along = |(from, to): (&f32, &f32)| from + step as f32 * (to - from);
            let point: Vec<f32> = ends.map(along).collect();
            self.at_flat(&point).map(|measure| measure.loss)
        })
    }

    /// Copies a plane to the device.
    ///
    /// # Errors
    /// The device has no room.
    pub fn resident(&self, plane: &Plane) -> Result<ResidentPlane, LandscapeError> {
        let row = |flat: &[f32]| Tensor::from_slice(flat, flat.len(), &self.device);
        let [x, y] = &plane.directions;
        let rows = Tensor::stack(&[row(&plane.origin)?, row(x)?, row(y)?], 0)?;
        Ok(ResidentPlane {
            rows,
            batch_norm: plane.batch_norm,
        })
    }
}

/// θ*, dx and dy as the rows of one matrix on the device.
#[derive(Debug)]
pub struct ResidentPlane {
    rows: Tensor,
    batch_norm: BatchNorm,
}

impl ResidentPlane {
    /// θ* + α·dx + β·dy. On the CPU this is the matrix product (1, α, β)·(θ*; dx; dy), in one pass over
    /// memory. A GPU's products may be rounded to fewer digits than f32 has, which small steps need, so
    /// there it is summed.
    ///
    /// # Errors
    /// candle's: the device failed or has no room.
    pub fn point(&self, [alpha, beta]: [f64; 2]) -> Result<Tensor, LandscapeError> {
        let coefficients = [1.0, alpha as f32, beta as f32];
        let device = self.rows.device();
        if !device.is_cpu() {
            let along = |row, by| self.rows.get(row)?.affine(by, 0.0);
            return Ok(((self.rows.get(0)? + along(1, alpha)?)? + along(2, beta)?)?);
        }
        let coefficients = Tensor::from_slice(&coefficients, (1, 3), device)?;
        Ok(coefficients.matmul(&self.rows)?.squeeze(0)?)
    }
}

/// Samples of which the largest layer, `sample` for each, stays within a bound.
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

/// candle has no kind of its own for this error of the CUDA driver, nor for those of its libraries.
fn is_out_of_memory(error: &candle_core::Error) -> bool {
    let error = error.to_string();
    ["CUDA_ERROR_OUT_OF_MEMORY", "STATUS_ALLOC_FAILED"]
        .iter()
        .any(|told| error.contains(told))
}

/// Sum of losses and number of correct predictions.
fn sums<'a>(
    logits: impl Iterator<Item = &'a [f32]>,
    labels: impl IntoIterator<Item = &'a u32>,
) -> (f64, usize) {
    let (mut loss, mut right) = (0.0, 0);
    for (logits, label) in logits.zip(labels) {
        loss += cross_entropy(logits, *label as usize);
        right += usize::from(predicted(logits) == *label as usize);
    }
    (loss, right)
}

/// A batch in pieces of at most `most` samples, at least one each.
fn chunks((images, labels): &Batch, most: usize) -> Result<Vec<Batch>, LandscapeError> {
    let most = most.max(1);
    let pieces = labels.chunks(most).enumerate();
    pieces
        .map(|(i, labels)| Ok((images.narrow(0, i * most, labels.len())?, labels.to_vec())))
        .collect()
}

/// Which of the samples `range` are among `count` that are spread evenly over `all`, counted from its start.
fn spread(range: Range<usize>, count: usize, all: usize) -> Vec<u32> {
    let before = |sample: usize| sample * count / all.max(1);
    let chosen = range
        .clone()
        .filter(|&sample| before(sample + 1) > before(sample));
    chosen.map(|sample| (sample - range.start) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_are_spread_evenly_whatever_the_batches() {
        // Ten samples of three, and all there are.
        assert_eq!(spread(0..10, 3, 10), [3, 6, 9]);
        assert_eq!(
            [spread(0..4, 3, 10), spread(4..10, 3, 10)],
            [vec![3], vec![2, 5]]
        );
        assert_eq!(spread(0..10, 10, 10), (0..10).collect::<Vec<_>>());
        // Of 60000 in the order of ten classes each has its share.
        let chosen = spread(0..60_000, 1024, 60_000);
        assert_eq!(chosen.len(), 1024);
        let of_class = |class: u32| chosen.iter().filter(|i| **i / 6000 == class).count();
        assert!((0..10).all(|class| (102..=103).contains(&of_class(class))));
    }

    #[test]
    fn a_batch_is_as_large_as_the_buffer_allows_and_at_least_one_sample() {
        // The first stage of a ResNet-20: 32×32 places, 16 channels, 3×3 taps, 4 bytes: 589824 a sample.
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

    test_device!(a_point_of_the_plane_is_the_combination);
    fn a_point_of_the_plane_is_the_combination(device: &Device) {
        let rows = Tensor::new(&[[1f32, 2.], [10., 20.], [0.5, -0.5]], device).unwrap();
        let point = ResidentPlane {
            rows,
            batch_norm: BatchNorm::Frozen,
        }
        .point([2.0, -4.0])
        .unwrap();
        assert_eq!(point.to_vec1::<f32>().unwrap(), [19.0, 44.0]);
    }

    test_device!(a_point_of_the_plane_has_all_digits_of_f32);
    fn a_point_of_the_plane_has_all_digits_of_f32(device: &Device) {
        let unit = 0.5f32.powi(23);
        let count = 5000;
        let row = |of: &dyn Fn(f32) -> f32| (0..count).map(|i| of(i as f32)).collect::<Vec<_>>();
        let origin = row(&|i| 1.0 + i * unit);
        let (x, y) = (row(&|i| (i * 0.7).sin()), row(&|i| (i * 1.3).cos()));
        let rows = [&origin, &x, &y].map(|row| Tensor::new(row.as_slice(), device).unwrap());
        let plane = ResidentPlane {
            rows: Tensor::stack(&rows, 0).unwrap(),
            batch_norm: BatchNorm::Frozen,
        };
        let point = |at| plane.point(at).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(point([0.0, 0.0]), origin);
        for (alpha, beta) in [(1e-6, 0.0), (0.0, 1e-6), (1e-4, -3e-5), (0.3, 0.7)] {
            for (i, found) in point([alpha, beta]).into_iter().enumerate() {
                let wide = |row: &[f32]| f64::from(row[i]);
                let exact = wide(&origin) + alpha * wide(&x) + beta * wide(&y);
                let off = (f64::from(found) - exact).abs();
                assert!(
                    off < 4.0 * f64::from(unit),
                    "({alpha}, {beta}): off by {off}"
                );
            }
        }
    }
}
