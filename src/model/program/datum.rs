//! The values of a program: floats where the engine runs, whole numbers and truth values on the host.

use candle_core::{D, DType, Device, Result, Tensor, bail};

use super::super::ops;
use super::kind::Kind;
use super::op::Function;

/// An array with its kind. Whole numbers and truth values are float64 on the CPU, which is exact up to 2^53,
/// because candle's own integers panic, wrap or round in most operations.
#[derive(Clone, Debug)]
pub struct Datum {
    tensor: Tensor,
    kind: Kind,
}

/// Device and type in which floats are computed.
#[derive(Clone, Debug)]
pub struct FloatPlace {
    /// The device.
    pub device: Device,
    /// The type of floats.
    pub dtype: DType,
}

impl Datum {
    /// Returns the floats of any type and device.
    #[must_use]
    pub fn float(tensor: Tensor) -> Self {
        Self {
            tensor,
            kind: Kind::Float,
        }
    }

    /// Copies it to a device; a copy to where it is costs nothing. Whole numbers stay where they are.
    ///
    /// # Errors
    /// The device has no room.
    pub(crate) fn to_device(&self, device: &Device) -> Result<Self> {
        match self.kind {
            Kind::Float => Ok(Self::float(self.tensor.to_device(device)?)),
            _ => Ok(self.clone()),
        }
    }

    /// Returns the whole numbers.
    ///
    /// # Errors
    /// candle's, when the values are not as many as the shape says.
    pub fn ints(values: &[i64], shape: &[usize]) -> Result<Self> {
        let values: Vec<f64> = values.iter().map(|value| *value as f64).collect();
        Self::host(values, shape, Kind::Int)
    }

    /// Returns one float without dimensions, exact in float64.
    ///
    /// # Errors
    /// candle's.
    pub(in crate::model) fn number(number: f64) -> Result<Self> {
        Ok(Self::float(Tensor::from_slice(
            &[number],
            (),
            &Device::Cpu,
        )?))
    }

    /// Returns the numbers on the host.
    ///
    /// # Errors
    /// As [`Datum::ints`].
    pub(in crate::model) fn host(values: Vec<f64>, shape: &[usize], kind: Kind) -> Result<Self> {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        Ok(Self { tensor, kind })
    }

    /// Returns one whole number without dimensions.
    ///
    /// # Errors
    /// candle's.
    pub(in crate::model) fn int(value: i64) -> Result<Self> {
        Self::ints(&[value], &[])
    }

    /// Makes truth values of candle's (0 or 1 in any type).
    ///
    /// # Errors
    /// candle's.
    pub(in crate::model) fn truth(tensor: &Tensor) -> Result<Self> {
        let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        Ok(Self {
            tensor,
            kind: Kind::Bool,
        })
    }

    /// Returns the array.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Returns the kind of its numbers.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns its extents.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// Returns `len` of the samples from a start on.
    ///
    /// # Errors
    /// There are fewer.
    pub fn narrow(&self, start: usize, len: usize) -> Result<Self> {
        self.map(|tensor| tensor.narrow(0, start, len)?.contiguous())
    }

    /// Returns the samples of these numbers.
    ///
    /// # Errors
    /// candle's.
    pub fn pick(&self, samples: &[u32]) -> Result<Self> {
        let samples = Tensor::new(samples, self.tensor.device())?;
        self.map(|tensor| tensor.contiguous()?.index_select(&samples, 0))
    }

    /// Returns the samples of several values, one after another.
    ///
    /// # Errors
    /// There are none, or they do not fit one another.
    pub fn cat(parts: &[Self]) -> Result<Self> {
        let Some(first) = parts.first() else {
            bail!("no samples");
        };
        let tensors: Vec<&Tensor> = parts.iter().map(Self::tensor).collect();
        Ok(first.with(Tensor::cat(&tensors, 0)?))
    }

    /// Returns the same kind with another array, which a change of shape or a selection made of this one.
    #[must_use]
    pub(in crate::model) fn with(&self, tensor: Tensor) -> Self {
        Self {
            tensor,
            kind: self.kind,
        }
    }

    /// Applies a change of shape or a selection.
    pub(in crate::model) fn map(
        &self,
        change: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        Ok(self.with(change(&self.tensor)?))
    }

    /// Returns the numbers as floats in a place.
    ///
    /// # Errors
    /// candle's: the device failed or has no room.
    pub fn to_float(&self, place: &FloatPlace) -> Result<Tensor> {
        self.tensor.to_dtype(place.dtype)?.to_device(&place.device)
    }

    /// Returns the numbers as float64 on the host.
    ///
    /// # Errors
    /// candle's.
    pub(in crate::model) fn to_host(&self) -> Result<Tensor> {
        self.tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)
    }

    /// Returns the same numbers as another kind: floats are cut off toward 0, and what is not 0 is true.
    ///
    /// # Errors
    /// candle's.
    pub(in crate::model) fn cast(&self, kind: Kind, place: &FloatPlace) -> Result<Self> {
        if kind == self.kind {
            return Ok(self.clone());
        }
        let tensor = match kind {
            Kind::Float => self.to_float(place)?,
            Kind::Bool => {
                let host = self.to_host()?;
                host.ne(&host.zeros_like()?)?.to_dtype(DType::F64)?
            }
            Kind::Int if self.kind == Kind::Float => Function::Trunc.of(&self.to_host()?)?,
            Kind::Int => self.tensor.clone(),
        };
        Ok(Self { tensor, kind })
    }

    /// Returns the whole numbers one after another.
    ///
    /// # Errors
    /// These are floats.
    pub(in crate::model) fn to_ints(&self) -> Result<Vec<i64>> {
        if self.kind == Kind::Float {
            bail!("expected whole numbers, found floats");
        }
        let values: Vec<f64> = self.tensor.flatten_all()?.to_vec1()?;
        Ok(values.into_iter().map(|value| value as i64).collect())
    }

    /// Returns the one whole number.
    ///
    /// # Errors
    /// There is not exactly one, or it is a float.
    pub(in crate::model) fn to_int(&self) -> Result<i64> {
        match self.to_ints()?[..] {
            [value] => Ok(value),
            _ => bail!("expected one number, found {:?}", self.dims()),
        }
    }

    /// Returns a condition as candle takes it, of a shape and in a place.
    ///
    /// # Errors
    /// candle's, when the shape does not fit.
    pub(in crate::model) fn condition(&self, dims: &[usize], place: &FloatPlace) -> Result<Tensor> {
        let truth = self.cast(Kind::Bool, place)?;
        let truth = truth.tensor.to_dtype(DType::U8)?;
        truth
            .to_device(&place.device)?
            .broadcast_as(dims)?
            .contiguous()
    }
}

/// Returns the axis of a number that counts from the end when it is negative. Of the axes of a single number there is
/// none.
pub(in crate::model) fn axis(dim: i64, rank: usize) -> Result<usize> {
    let from_start = if dim < 0 {
        dim.saturating_add(rank as i64)
    } else {
        dim
    };
    if (0..rank as i64).contains(&from_start) {
        Ok(from_start as usize)
    } else {
        bail!("dimension {dim} of {rank}")
    }
}

/// Returns the extents to which two shapes broadcast.
pub(in crate::model) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], i: usize| {
        let missing = rank - dims.len();
        if i < missing { 1 } else { dims[i - missing] }
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => bail!("shapes {a:?} and {b:?} do not fit one another"),
        })
        .collect()
}

/// Returns the sum over some axes, which stay with extent 1.
pub(in crate::model) fn sum_keeping(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    ops::summed(x, |x| {
        axes.iter()
            .try_fold(x.clone(), |sum, &axis| sum.sum_keepdim(axis))
    })
}

/// Returns the mean over the last axis, which stays with extent 1.
pub(in crate::model) fn mean_of_last(x: &Tensor) -> Result<Tensor> {
    ops::summed(x, |x| x.mean_keepdim(D::Minus1))
}
