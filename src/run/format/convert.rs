//! Stored elements of any float type to `f32`.

use half::{bf16, f16};

use super::Dtype;

/// Bytes of one element; none for types that are not read.
pub(super) fn size(dtype: &Dtype) -> Option<usize> {
    match dtype {
        Dtype::F64 => Some(8),
        Dtype::F32 => Some(4),
        Dtype::F16 | Dtype::Bf16 => Some(2),
        Dtype::Other(_) => None,
    }
}

/// Little-endian elements to `f32`; none for types that are not read. Doubles are rounded: losses
/// are measured in single precision. Bytes beyond the last whole element are left out.
pub(super) fn to_f32(bytes: &[u8], dtype: &Dtype) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F64 => map(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::F32 => map(bytes, f32::from_le_bytes),
        Dtype::F16 => map(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::Bf16 => map(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::Other(_) => return None,
    })
}

fn map<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| value(chunk))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_type_gives_its_value() {
        let check =
            |bytes: &[u8], dtype| assert_eq!(to_f32(bytes, &dtype), Some(vec![-1.5]), "{dtype}");
        check(&(-1.5f64).to_le_bytes(), Dtype::F64);
        check(&(-1.5f32).to_le_bytes(), Dtype::F32);
        check(&[0x00, 0xbe], Dtype::F16);
        check(&[0xc0, 0xbf], Dtype::Bf16);
        assert_eq!(to_f32(&[0; 8], &Dtype::Other("I64".into())), None);
    }
}
