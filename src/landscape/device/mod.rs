//! Device and type in which losses are computed: the options `--device`, `--dtype` and `--batch`.

pub(super) mod cuda;
mod trial;

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use super::{LandscapeError, in_a_line};
use crate::model::ops::BUFFER;

/// A device by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// The first accelerator that this build knows and this machine has, else the CPU.
    Auto,
    /// Always there.
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            name => name
                .strip_prefix("cuda:")
                .and_then(|ordinal| ordinal.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "expected auto, cpu, cuda:N or metal".to_owned()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl Place {
    /// Returns true if this is the CPU on every machine that runs this build.
    #[must_use]
    pub fn is_cpu(self) -> bool {
        self == Self::Cpu || self == Self::Auto && accelerator().is_none()
    }

    /// Opens it. A CUDA device gets a stream of its own: candle's default stream is another one in every thread.
    fn open(self) -> candle_core::Result<Device> {
        match self {
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(ordinal) => Device::new_cuda_with_stream(ordinal),
            Self::Metal => Device::new_metal(0),
        }
    }
}

/// Returns the accelerator that this build knows.
fn accelerator() -> Option<Place> {
    if candle_core::utils::cuda_is_available() {
        Some(Place::Cuda(0))
    } else if candle_core::utils::metal_is_available() {
        Some(Place::Metal)
    } else {
        None
    }
}

/// The type in which layers are computed. Weights are combined and batch norm is folded in f32, and the
/// loss is taken from the logits in f64, whatever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub enum Precision {
    /// 24 significant bits.
    #[default]
    F32,
    /// 8 significant bits, over the range of f32.
    Bf16,
    /// 11 significant bits; beyond 65504 a loss is NaN.
    F16,
}

impl Precision {
    /// Returns its name as candle's type.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// Returns true if candle's CPU has a matrix product of this type.
    #[must_use]
    pub fn suits_cpu(self) -> bool {
        self != Self::Bf16
    }
}

/// Part of a process's memory that arrays may take, one in so many.
const FOR_ARRAYS: u64 = 4;
/// Bytes of a GPU's memory that must be free if it is chosen unasked: what trains there may need the rest.
const FREE: usize = 1 << 30;
/// Part of what is free there that candle's largest buffer may take, one in so many.
const FOR_BUFFER: usize = 8;
/// The first compute capability for which candle has kernels of bf16.
const WITH_BF16: (i32, i32) = (8, 0);

/// The way in which losses are computed.
#[derive(Clone, Debug)]
pub struct Compute {
    /// The device.
    pub device: Device,
    /// In which type.
    pub precision: Precision,
    /// Samples a forward pass takes at once, where the user said.
    pub batch: Option<usize>,
    /// Bytes of memory that the process may take; `None` if the user did not say.
    pub memory: Option<u64>,
    /// Bytes of the largest buffer that a layer may take on a GPU.
    pub buffer: usize,
    /// The reason why `auto` became the CPU where this build knows an accelerator, in a clause; `None` if it did not.
    pub passed_over: Option<String>,
}

impl Compute {
    /// Computes in f32 on a device, with the usual bounds.
    #[must_use]
    pub fn on(device: Device) -> Self {
        Self {
            device,
            precision: Precision::F32,
            batch: None,
            memory: None,
            buffer: BUFFER,
            passed_over: None,
        }
    }

    /// Opens a device, and says which it became. The thread that calls this is the one that uses it.
    ///
    /// # Errors
    /// The build has no support for it, it does not open, it cannot compute in this type, or what it computes is wrong.
    pub fn open(
        place: Place,
        precision: Precision,
        batch: Option<usize>,
    ) -> Result<(Self, Place), LandscapeError> {
        let opened = match place {
            Place::Auto => first_of_all(precision),
            place => tried(place, precision).map(|compute| (compute, place)),
        };
        let (compute, became) = opened.map_err(|why| LandscapeError::Device { place, why })?;
        let compute = Self {
            precision,
            batch,
            ..compute
        };
        Ok((compute, became))
    }

    /// Returns a sentence about the card behind the device; `None` if it is no NVIDIA GPU.
    #[must_use]
    pub fn card(&self) -> Option<String> {
        let card = cuda::card(&self.device)?;
        let [free, total] = [card.free, card.total].map(|bytes| bytes as f64 / f64::from(1 << 30));
        let (major, minor) = card.capability;
        Some(format!(
            "{}, {free:.1} of {total:.1} GiB free, compute capability {major}.{minor}",
            card.name
        ))
    }

    /// Returns the bytes that arrays may take together of `usual`: a quarter of the memory at most, because samples,
    /// weights and what the allocator holds back take the rest.
    #[must_use]
    pub fn room(&self, usual: usize) -> usize {
        let most = self.memory.map(|memory| memory / FOR_ARRAYS);
        most.map_or(usual, |most| {
            usual.min(most.try_into().unwrap_or(usize::MAX))
        })
    }
}

/// Opens the accelerator that this build knows, where it computes and has room, else the CPU.
fn first_of_all(precision: Precision) -> Result<(Compute, Place), String> {
    let cpu = |passed_over| {
        let compute = tried(Place::Cpu, precision)?;
        let compute = Compute {
            passed_over,
            ..compute
        };
        Ok((compute, Place::Cpu))
    };
    let Some(place) = accelerator() else {
        return cpu(None);
    };
    let room = |compute: Compute| match cuda::card(&compute.device) {
        Some(card) if card.free < FREE => {
            Err(format!("others have left it {} MiB", card.free >> 20))
        }
        _ => Ok(compute),
    };
    match tried(place, precision).and_then(room) {
        Ok(compute) => Ok((compute, place)),
        Err(reason) => {
            let passed_over = format!("{place} was passed over for the CPU: {reason}");
            cpu(Some(passed_over)).map_err(|why: String| format!("{place}: {reason}; and {why}"))
        }
    }
}

/// Opens a device and has it compute; an error is a clause that says why it cannot be used.
fn tried(place: Place, precision: Precision) -> Result<Compute, String> {
    let device = place.open().map_err(|error| in_a_line(&error))?;
    if device.is_cpu() {
        return if precision.suits_cpu() {
            Ok(Compute::on(device))
        } else {
            Err("the CPU has no matrix product in bf16".into())
        };
    }
    let card = cuda::card(&device);
    if let Some(card) = card
        .as_ref()
        .filter(|card| precision == Precision::Bf16 && card.capability < WITH_BF16)
    {
        let (major, minor) = card.capability;
        return Err(format!(
            "{} has compute capability {major}.{minor}, and bf16 needs 8.0",
            card.name
        ));
    }
    trial::run(&device, precision.dtype())
        .map_err(|error| format!("it opens, and does not compute: {}", in_a_line(&error)))?;
    let buffer = card.map_or(BUFFER, |card| BUFFER.min(card.free / FOR_BUFFER));
    Ok(Compute {
        buffer,
        ..Compute::on(device)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_read_and_told_alike() {
        for name in ["auto", "cpu", "cuda:0", "cuda:17", "metal"] {
            let place = name.parse::<Place>().map(|place| place.to_string());
            assert_eq!(place.as_deref(), Ok(name));
        }
        assert_eq!("cuda".parse(), Ok(Place::Cuda(0)));
        for name in ["tpu", "cuda:x", "cuda:-1", "cuda:", "cpu:0", ""] {
            assert!(name.parse::<Place>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_cpu_is_always_there_but_not_for_bf16() {
        let open = |precision| {
            let opened = Compute::open(Place::Cpu, precision, None);
            opened
                .map(|(_, place)| place)
                .map_err(|error| error.to_string())
        };
        assert_eq!(open(Precision::F32), Ok(Place::Cpu));
        assert_eq!(open(Precision::F16), Ok(Place::Cpu));
        let refused = "device cpu: the CPU has no matrix product in bf16";
        assert_eq!(open(Precision::Bf16), Err(refused.into()));
    }
}
