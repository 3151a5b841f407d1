//! Seconds to open a run of forty ResNet-50s and to add one more checkpoint, against plainly reading the
//! files, all measured in turn in one run; the same by the processor's time for 300 checkpoints of 5 million
//! parameters; and how fast half precision becomes single:
//! `cargo bench --bench trajectory [-- --json]`.
//!
//! Each run is written to a temporary folder first: 4.2 GB as f32, after it, as bf16, half of that, then 6 GB.
//! Files are as warm as they can be, since each has just been written and read.

#[path = "shared/mod.rs"]
mod bench;

use std::borrow::Cow;
use std::cell::RefCell;
use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use half::{bf16, f16};
use isoloss::run::format::convert;
use isoloss::run::{Checkpoint, Dtype, RunChoice, open};
use isoloss::weights::RunPath;
use safetensors::tensor::{View, serialize_to_file};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use bench::{in_turn, in_turn_by, processor_seconds, random, wants_json};

const CHECKPOINTS: u64 = 40;
const ROUNDS: usize = 5;
/// A run of many checkpoints, of which opening takes a while.
const MANY: u64 = 300;
const LAYERS_OF_MANY: usize = 20;
const LAYER_OF_MANY: [usize; 2] = [500, 500];
const ROUNDS_OF_MANY: usize = 2;
/// Bytes that `cat` reads at once.
const PIECE: usize = 128 << 10;
/// Elements that are converted at once: they and their bytes stay in cache.
const CONVERTED: usize = 1 << 18;
/// A prime, so that strides through the numbers come to all of them.
const NUMBERS: usize = 65_537;

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Map::new();
    for stored in [safetensors::Dtype::F32, safetensors::Dtype::BF16] {
        let run = Run::of(CHECKPOINTS, &tensors(), stored)?;
        let start = Instant::now();
        let seconds = run.seconds(|| start.elapsed().as_secs_f64(), ROUNDS)?;
        table.insert(format!("{stored:?}"), seconds);
    }
    let layer = |number| (format!("{number}.weight"), LAYER_OF_MANY.to_vec());
    let layers: Vec<_> = (0..LAYERS_OF_MANY).map(layer).collect();
    let parameters_of_many = parameters(&layers);
    let many = Run::of(MANY, &layers, safetensors::Dtype::F32)?;
    let many = many.seconds(processor_seconds, ROUNDS_OF_MANY)?;
    let conversion = conversion();
    let peak = peak();
    if wants_json() {
        println!(
            "{}",
            json!({ "opening": table, "many_by_processor": many, "conversion": conversion, "peak_mb": peak })
        );
        return Ok(());
    }
    println!(
        "{CHECKPOINTS} checkpoints of {:.1} million parameters; seconds (times reading)",
        parameters(&tensors()) as f64 / 1e6
    );
    println!("{:<6} {:>8} {:>14} {:>14}", "", "read", "open", "one more");
    for (stored, row) in &table {
        tell(stored, row);
    }
    println!(
        "{MANY} checkpoints of {:.1} million parameters; seconds of the processor, all threads together",
        parameters_of_many as f64 / 1e6
    );
    tell("F32", &many);
    let rate = |from: &str| conversion[from].as_f64().unwrap_or(f64::NAN);
    println!(
        "GB/s of f32 written: from bf16 {:.0}, from f16 {:.0}, by a plain copy {:.0}",
        rate("bf16"),
        rate("f16"),
        rate("copy")
    );
    if let Some(peak) = peak {
        println!("peak memory {peak:.0} MB");
    }
    Ok(())
}

/// Prints a row of seconds.
fn tell(name: &str, row: &Value) {
    let figure = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
    let times = |key: &str| format!("{:.2} ({:.1})", figure(key), figure(key) / figure("read"));
    println!(
        "{name:<6} {:>8.2} {:>14} {:>14}",
        figure("read"),
        times("open"),
        times("one_more")
    );
}

/// A run that was written, and the checkpoint that comes after it.
struct Run {
    /// The temporary folder that holds both, as long as this is.
    folder: TempDir,
    files: Vec<PathBuf>,
    later: Checkpoint,
}

impl Run {
    fn of(
        checkpoints: u64,
        tensors: &[(String, Vec<usize>)],
        stored: safetensors::Dtype,
    ) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let [run, later] = ["run", "later"].map(|name| folder.path().join(name));
        fs::create_dir(&run)?;
        fs::create_dir(&later)?;
        let write = |folder: &Path, step| write(folder, step, tensors, stored);
        let files = (0..checkpoints).map(|step| write(&run, step));
        Ok(Self {
            files: files.collect::<Result<_, _>>()?,
            later: Checkpoint::new(checkpoints, write(&later, checkpoints)?),
            folder,
        })
    }

    /// Seconds by a clock of reading its files, of opening it as every command does, and of one checkpoint more.
    fn seconds(&self, clock: impl Fn() -> f64, rounds: usize) -> Result<Value, Box<dyn Error>> {
        let run = self.folder.path().join("run");
        let found = || open(&run, &RunChoice::default(), Vec::new());
        let all = [found()?.checkpoints, vec![self.later.clone()]].concat();
        let opened = RefCell::new(RunPath::default());
        let [read, opening, one_more] = in_turn_by(
            clock,
            rounds,
            &mut [
                &mut || {
                    for file in &self.files {
                        let _ = discard(file);
                    }
                },
                &mut || {
                    let mut path = RunPath::default();
                    path.update(found().unwrap_or_default().checkpoints, |_, _| {});
                    black_box((path.fit(), path.dynamics()));
                    opened.replace(path);
                },
                &mut || {
                    let mut path = opened.borrow_mut();
                    path.update(all.clone(), |_, _| {});
                    black_box((path.fit(), path.dynamics()));
                },
            ],
        );
        let placed = opened.borrow_mut().fit().0.len();
        if placed != all.len() {
            return Err(format!("expected every checkpoint on the path, found {placed}").into());
        }
        Ok(json!({ "read": read, "open": opening, "one_more": one_more }))
    }
}

/// Reads a file as `cat` does, and throws it away.
fn discard(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    while file.read(&mut piece)? > 0 {
        black_box(&piece);
    }
    Ok(())
}

/// The tensors of a ResNet-50, without running statistics.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut tensors = Vec::new();
    let mut conv = |name: String, outputs: usize, inputs: usize, kernel: usize| {
        let bn = name.replace("conv", "bn");
        tensors.push((
            format!("{name}.weight"),
            vec![outputs, inputs, kernel, kernel],
        ));
        tensors.push((format!("{bn}.weight"), vec![outputs]));
        tensors.push((format!("{bn}.bias"), vec![outputs]));
    };
    conv("conv1".into(), 64, 3, 7);
    let mut inputs = 64;
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let width = 64 << stage;
        for block in 0..blocks {
            let name = format!("layer{}.{block}", stage + 1);
            conv(format!("{name}.conv1"), width, inputs, 1);
            conv(format!("{name}.conv2"), width, width, 3);
            conv(format!("{name}.conv3"), 4 * width, width, 1);
            if block == 0 {
                conv(format!("{name}.downsample.conv"), 4 * width, inputs, 1);
            }
            inputs = 4 * width;
        }
    }
    tensors.push(("fc.weight".into(), vec![1000, inputs]));
    tensors.push(("fc.bias".into(), vec![1000]));
    tensors
}

fn parameters(tensors: &[(String, Vec<usize>)]) -> usize {
    let len = |(_, shape): &(String, Vec<usize>)| shape.iter().product::<usize>();
    tensors.iter().map(len).sum()
}

/// One tensor at one step; its values are made when it is written, so that no checkpoint is in memory.
struct Tensor<'a> {
    shape: Vec<usize>,
    stored: safetensors::Dtype,
    step: u64,
    /// The source of all numbers.
    numbers: &'a [f32],
}

impl Tensor<'_> {
    /// A start that stays, a drift, and some noise.
    fn values(&self) -> impl Iterator<Item = f32> {
        let number = |k: usize| self.numbers[k % self.numbers.len()];
        let step = self.step as usize;
        (0..self.shape.iter().product()).map(move |k| {
            number(k) + 0.01 * step as f32 * number(3 * k) + 0.05 * number((2 * step + 5) * k)
        })
    }
}

impl View for Tensor<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        self.stored
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match self.stored {
            safetensors::Dtype::BF16 => self
                .values()
                .flat_map(|value| bf16::from_f32(value).to_le_bytes())
                .collect(),
            _ => self.values().flat_map(f32::to_le_bytes).collect(),
        })
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.stored.bitsize() / 8
    }
}

fn write(
    folder: &Path,
    step: u64,
    tensors: &[(String, Vec<usize>)],
    stored: safetensors::Dtype,
) -> Result<PathBuf, Box<dyn Error>> {
    let path = folder.join(format!("step_{step}.safetensors"));
    let numbers = random(NUMBERS);
    let tensors = tensors.iter().map(|(name, shape)| {
        let tensor = Tensor {
            shape: shape.clone(),
            stored,
            step,
            numbers: &numbers,
        };
        (name, tensor)
    });
    serialize_to_file(tensors, None, &path)?;
    Ok(path)
}

/// Bytes of f32 that are written a second, from bf16, from f16 and by a plain copy.
fn conversion() -> Value {
    let numbers = random(CONVERTED);
    let bytes = |number: fn(f32) -> [u8; 2]| -> Vec<u8> {
        numbers.iter().flat_map(|value| number(*value)).collect()
    };
    let from_bf16 = bytes(|value| bf16::from_f32(value).to_le_bytes());
    let from_f16 = bytes(|value| f16::from_f32(value).to_le_bytes());
    let [mut a, mut b, mut c] = [(); 3].map(|()| vec![0.0; CONVERTED]);
    let seconds = in_turn(
        101,
        &mut [
            &mut || {
                convert::to_f32(&from_bf16, &Dtype::Bf16, &mut a);
                black_box(&a);
            },
            &mut || {
                convert::to_f32(&from_f16, &Dtype::F16, &mut b);
                black_box(&b);
            },
            &mut || {
                c.copy_from_slice(black_box(&numbers));
                black_box(&c);
            },
        ],
    );
    let [bf16, f16, copy] = seconds.map(|seconds| (4 * CONVERTED) as f64 / seconds / 1e9);
    json!({ "bf16": bf16, "f16": f16, "copy": copy })
}

/// The most memory this process ever had, in MB, where the system tells.
fn peak() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}
