//! A real training run to watch: a small ResNet learns the samples and saves checkpoints as it goes.

mod network;
mod save;
mod sgd;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use self::network::ResNet;
use self::sgd::Sgd;
use crate::data::Dataset;

/// Samples a step.
const BATCH: usize = 64;
/// Steps from one checkpoint to the next.
const STEPS: usize = 4;
/// Learning rate, before and after the drop. The drop bends the path.
const RATES: [f64; 2] = [0.1, 0.02];
/// Share of the steps before the drop.
const BEFORE_DROP: f64 = 0.7;
/// Backward passes recurse along the graph.
const STACK: usize = 64 << 20;

/// Duration of the demo's training, and the interval of its saves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemoOptions {
    /// Number of checkpoints, the untrained one at step 0 included.
    pub checkpoints: usize,
    /// Wall-clock time over which they are spread evenly; a slow machine takes longer.
    pub seconds: f64,
    /// Seed of the first weights and of the order of the samples.
    pub seed: u64,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            checkpoints: 60,
            seconds: 60.0,
            seed: 0,
        }
    }
}

/// Reasons why the demo could not train.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder or a checkpoint could not be written.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// There are not enough samples for one step.
    #[error("the demo trains on batches of {BATCH} samples, and there are {0}")]
    TooFewSamples(usize),
    /// The samples are not images with a class each.
    #[error("the demo trains on images with a class each, and the data have none")]
    NoImages,
    /// The time is not one that can be waited for.
    #[error("{0} is no number of seconds that the demo can last")]
    Seconds(f64),
    /// The thread that trains could not be started.
    #[error("the training thread cannot be started: {0}")]
    Thread(#[from] rayon::ThreadPoolBuildError),
    /// A tensor operation failed.
    #[error("training failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// Trains a ResNet-8 with channels 8-16-32 on `samples` and saves its checkpoints into `out` as
/// `step_00012.safetensors`, with PyTorch's names. The same seed gives the same checkpoints.
///
/// # Errors
/// See [`DemoError`].
pub fn train(samples: &Dataset, out: &Path, options: &DemoOptions) -> Result<(), DemoError> {
    let duration = Duration::try_from_secs_f64(options.seconds)
        .map_err(|_| DemoError::Seconds(options.seconds))?;
    if samples.samples() < BATCH {
        return Err(DemoError::TooFewSamples(samples.samples()));
    }
    std::fs::create_dir_all(out).map_err(|source| DemoError::Write {
        path: out.into(),
        source,
    })?;
    // One thread: the other cores are the worker's, which measures while this trains.
    let thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .stack_size(STACK)
        .build()?;
    thread.install(|| {
        let mut training = Training::new(samples, options)?;
        training.run(out, duration, options.checkpoints)
    })
}

/// The state of training between two steps.
struct Training {
    network: ResNet,
    sgd: Sgd,
    /// (N, C, H, W).
    images: Tensor,
    /// (N).
    labels: Tensor,
    /// Sample indices in this epoch's order, those already seen at the end cut off.
    remaining: Vec<u32>,
    rng: ChaCha8Rng,
}

impl Training {
    fn new(samples: &Dataset, options: &DemoOptions) -> Result<Self, DemoError> {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let of_classes = samples.image().zip(samples.labels());
        let ([channels, height, width], labels) = of_classes.ok_or(DemoError::NoImages)?;
        let shape = (labels.len(), channels, height, width);
        let image = [channels, height, width];
        let network = ResNet::new(&mut rng, image, samples.classes())?;
        Ok(Self {
            sgd: Sgd::new(network.parameters())?,
            network,
            images: Tensor::from_slice(samples.pixels(), shape, &Device::Cpu)?,
            labels: Tensor::new(labels, &Device::Cpu)?,
            remaining: Vec::new(),
            rng,
        })
    }

    /// Trains step by step, no faster than `duration` for all, and saves every [`STEPS`] steps.
    fn run(&mut self, out: &Path, duration: Duration, checkpoints: usize) -> Result<(), DemoError> {
        let start = Instant::now();
        let last = checkpoints.saturating_sub(1).saturating_mul(STEPS);
        for step in 0..last {
            if step % STEPS == 0 {
                save::checkpoint(out, step, &self.network.state_dict()?)?;
            }
            let progress = step as f64 / last as f64;
            self.step(RATES[usize::from(progress >= BEFORE_DROP)])?;
            let due = start + duration.mul_f64((step + 1) as f64 / last as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        if checkpoints > 0 {
            save::checkpoint(out, last, &self.network.state_dict()?)?;
        }
        Ok(())
    }

    /// Makes one step of gradient descent on the next batch of the epoch.
    fn step(&mut self, rate: f64) -> candle_core::Result<()> {
        if self.remaining.len() < BATCH {
            self.remaining = (0..self.labels.elem_count() as u32).collect();
            self.remaining.shuffle(&mut self.rng);
        }
        let batch = self.remaining.split_off(self.remaining.len() - BATCH);
        let batch = Tensor::new(batch, &Device::Cpu)?;
        let images = self.images.index_select(&batch, 0)?;
        let labels = self.labels.index_select(&batch, 0)?;
        let logits = self.network.forward(&images)?;
        let loss = candle_nn::loss::cross_entropy(&logits, &labels)?;
        self.sgd.step(&loss.backward()?, rate)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use candle_core::safetensors;
    use rand::Rng;

    use super::*;
    use crate::data::column::Column;
    use crate::loss::Loss;
    use crate::model::{Weights, recognize};
    use crate::run::{Dtype, TensorInfo};
    use crate::weights::Layout;

    /// Returns 8×8 images of noise with a bright bar whose place is the class.
    fn bars() -> Dataset {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let labels: Vec<u32> = (0..320).map(|i| i % 8).collect();
        let pixel = |label: u32, row: u32| if label == row { 1.5 } else { 0.0 };
        let mut pixels = Vec::new();
        for &label in &labels {
            for row in 0..8 {
                pixels.extend((0..8).map(|_| pixel(label, row) + rng.random_range(-1.0..1.0)));
            }
        }
        let images = Column::images([1, 8, 8], pixels);
        Dataset::of("bars", vec![images], Some(Column::labels(&labels)))
    }

    fn trained(checkpoints: usize, seconds: f64) -> (tempfile::TempDir, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let options = DemoOptions {
            checkpoints,
            seconds,
            seed: 5,
        };
        train(&bars(), folder.path(), &options).unwrap();
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        (folder, names)
    }

    /// Returns the loss and accuracy of a checkpoint in evaluation mode, by the network that is recognized.
    fn measure(path: &Path, samples: &Dataset) -> (f64, f64) {
        let tensors: HashMap<String, Tensor> = safetensors::load(path, &Device::Cpu).unwrap();
        let infos: Vec<TensorInfo> = tensors
            .iter()
            .map(|(name, tensor)| TensorInfo {
                name: name.clone(),
                shape: tensor.dims().to_vec(),
                dtype: match tensor.dtype() {
                    candle_core::DType::F32 => Dtype::F32,
                    other => Dtype::Other(other.as_str().into()),
                },
            })
            .collect();
        let layout = Layout::of(&infos);
        let recognized = recognize(&layout, "auto", samples.image()).unwrap();
        assert_eq!(recognized.name, "resnet8");
        let slots = layout.slots().iter();
        let flat: Vec<Tensor> = slots
            .map(|slot| tensors[&slot.name].flatten_all().unwrap())
            .collect();
        let weights = Weights::new(Tensor::cat(&flat, 0).unwrap(), Arc::new(layout));
        let shape = (samples.samples(), 1, 8, 8);
        let images = Tensor::from_slice(samples.pixels(), shape, &Device::Cpu).unwrap();
        let labels = Tensor::new(samples.labels().unwrap(), &Device::Cpu).unwrap();
        let logits = recognized.logits(&weights, &images).unwrap();
        let loss = Loss::default();
        let measure = loss.totals(&logits, &labels).unwrap().measure(loss.score());
        (measure.loss, measure.score)
    }

    #[test]
    fn it_learns_and_what_it_saves_is_recognized() {
        let (folder, names) = trained(11, 0.0);
        let expected: Vec<String> = (0..11)
            .map(|i| format!("step_{:05}.safetensors", i * STEPS))
            .collect();
        assert_eq!(names, expected);
        let samples = bars();
        let (first, _) = measure(&folder.path().join(&names[0]), &samples);
        let (last, accuracy) = measure(&folder.path().join(&names[10]), &samples);
        assert!(
            (first - 8f64.ln()).abs() < 0.5,
            "untrained loss {first}, expected about ln 8"
        );
        assert!(last < 0.3 && accuracy > 0.95, "{last} {accuracy}");
    }

    #[test]
    fn the_same_seed_gives_the_same_checkpoints() {
        let ((one, names), (other, _)) = (trained(3, 0.0), trained(3, 0.0));
        for name in names {
            let read = |folder: &tempfile::TempDir| {
                safetensors::load(folder.path().join(&name), &Device::Cpu).unwrap()
            };
            let (one, other) = (read(&one), read(&other));
            for (tensor, values) in &one {
                let bits = |t: &Tensor| t.flatten_all().unwrap().to_dtype(candle_core::DType::F64);
                let bits = |t: &Tensor| bits(t).unwrap().to_vec1::<f64>().unwrap();
                assert_eq!(bits(values), bits(&other[tensor]), "{name}: {tensor}");
            }
        }
    }

    #[test]
    fn metadata_tells_the_step_and_names_are_those_of_pytorch() {
        let (folder, _) = trained(2, 0.0);
        let path = folder.path().join(format!("step_{STEPS:05}.safetensors"));
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().as_ref().unwrap();
        assert_eq!(metadata["step"], STEPS.to_string());
        let tensors = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        // Nine convolutions with batch norm (stem, six in blocks, two projections), and the head.
        assert_eq!(tensors.len(), 9 * 6 + 2);
        let batches = tensors
            .tensor("layer3.0.shortcut.1.num_batches_tracked")
            .unwrap();
        assert_eq!(batches.data(), STEPS.to_le_bytes());
    }

    #[test]
    fn it_takes_as_long_as_it_was_told() {
        let start = Instant::now();
        trained(3, 1.5);
        assert!(start.elapsed() >= Duration::from_millis(1500));
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let run = |samples: &Dataset, out: &Path, seconds| {
            let options = DemoOptions {
                checkpoints: 1,
                seconds,
                seed: 0,
            };
            train(samples, out, &options).unwrap_err().to_string()
        };
        let few = bars().evenly_chosen(9);
        assert_eq!(
            run(&few, folder.path(), 0.0),
            "the demo trains on batches of 64 samples, and there are 9"
        );
        assert!(run(&bars(), folder.path(), -1.0).starts_with("-1 is no number of seconds"));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let message = run(&bars(), &file, 0.0);
        assert!(message.starts_with(&format!("{}: cannot be written", file.display())));
    }
}
