//! Device and type in which losses are computed: the options `--device`, `--dtype` and `--batch`.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use super::LandscapeError;

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

    /// A CUDA device gets a stream of its own: candle's default stream is another one in every thread.
    fn open(self) -> candle_core::Result<(Device, Self)> {
        Ok(match self {
            Self::Auto => {
                let found = accelerator().and_then(|place| place.open().ok());
                found.unwrap_or((Device::Cpu, Self::Cpu))
            }
            Self::Cpu => (Device::Cpu, self),
            Self::Cuda(ordinal) => (Device::new_cuda_with_stream(ordinal)?, self),
            Self::Metal => (Device::new_metal(0)?, self),
        })
    }
}

/// The accelerator that this build knows.
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
    /// Its name as candle's type.
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
}

impl Compute {
    /// Opens a device, and says which it became. The thread that calls this is the one that uses it.
    ///
    /// # Errors
    /// The build has no support for it, it does not open, or it cannot compute in this type.
    pub fn open(
        place: Place,
        precision: Precision,
        batch: Option<usize>,
    ) -> Result<(Self, Place), LandscapeError> {
        let refused = |why| LandscapeError::Device { place, why };
        let (device, became) = place.open().map_err(|error| refused(error.to_string()))?;
        if device.is_cpu() && !precision.suits_cpu() {
            return Err(refused("the CPU has no matrix product in bf16".into()));
        }
        let compute = Self {
            device,
            precision,
            batch,
            memory: None,
        };
        Ok((compute, became))
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
