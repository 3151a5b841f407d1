//! Stub.
use super::{Dtype, FormatError, StateDict};
// STUB: replaced by the helper's
/// Stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentId(pub [u8; 32]);
impl StateDict {
    /// Stub.
    pub fn content(&self) -> Result<ContentId, FormatError> {
        let mut hasher = blake3::Hasher::new();
        for (index, tensor) in self.tensors().iter().enumerate() {
            hasher.update(tensor.name.as_bytes());
            if matches!(tensor.dtype, Dtype::Other(_)) { continue; }
            let values = self.read(index, 0..tensor.shape.iter().product())?;
            hasher.update(bytemuck::cast_slice(&values));
        }
        Ok(ContentId(*hasher.finalize().as_bytes()))
    }
    /// Stub.
    pub fn write_safetensors(&self, out: &mut impl std::io::Write) -> Result<(), FormatError> {
        let mut data = Vec::new();
        let mut header = serde_json::Map::new();
        for (index, tensor) in self.tensors().iter().enumerate() {
            if matches!(tensor.dtype, Dtype::Other(_)) { continue; }
            let values = self.read(index, 0..tensor.shape.iter().product())?;
            let start = data.len();
            data.extend_from_slice(bytemuck::cast_slice(&values));
            header.insert(tensor.name.clone(), serde_json::json!({"dtype":"F32","shape":tensor.shape,"data_offsets":[start,data.len()]}));
        }
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let io = |source| FormatError::Io { path: self.path.clone(), source };
        out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        out.write_all(&header).map_err(io)?;
        out.write_all(&data).map_err(io)
    }
    /// Stub.
    pub fn is_nothing_else(&self) -> bool { false }
    /// Stub.
    pub fn counters(&self) -> crate::run::catalog::InnerCounters {
        crate::run::catalog::InnerCounters { step: self.step(), epoch: None }
    }
}

