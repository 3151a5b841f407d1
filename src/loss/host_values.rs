//! The numbers of a tensor where the host can read them.

use candle_core::{DType, Device, Error, FloatDType, Result, Storage, Tensor};

/// Returns all numbers, in f64.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.flatten_all()?.to_device(&Device::Cpu)?;
    flat.to_dtype(DType::F64)?.to_vec1()
}

/// Calls `work` with the numbers of a tensor of the type `T`, which are not copied where they lie in memory.
pub(super) fn with<T: FloatDType, R>(tensor: &Tensor, work: impl FnOnce(&[T]) -> R) -> Result<R> {
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((from, to))) => Ok(work(&storage.as_slice::<T>()?[from..to])),
        _ => Err(Error::Msg("numbers that are not in memory".into())),
    }
}
