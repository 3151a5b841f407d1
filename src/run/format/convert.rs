//! Stored elements of any float type to `f32`, in vector code.

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::Dtype;

/// Half-precision elements that are lined up at once.
const LINE: usize = 256;

/// Returns the bytes of one element; `None` for types that are not read.
pub(super) fn size(dtype: &Dtype) -> Option<usize> {
    match dtype {
        Dtype::F64 => Some(8),
        Dtype::F32 => Some(4),
        Dtype::F16 | Dtype::Bf16 => Some(2),
        Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::F8E4M3Fnuz | Dtype::F8E5M2Fnuz => Some(1),
        Dtype::Other(_) => None,
    }
}

/// Converts little-endian elements to `f32`, one a value; `None` for types that are not read, and if the bytes
/// are not as many as the values take. Doubles are rounded: losses are measured in single precision.
pub fn to_f32(bytes: &[u8], dtype: &Dtype, values: &mut [f32]) -> Option<()> {
    if bytes.len() != values.len() * size(dtype)? {
        return None;
    }
    match dtype {
        Dtype::F64 => map(bytes, values, |b| f64::from_le_bytes(b) as f32),
        Dtype::F32 => map(bytes, values, f32::from_le_bytes),
        Dtype::F16 => halves(bytes, values),
        // The upper half of an f32. `half` would look at each for NaN first, one after the other.
        Dtype::Bf16 => map(bytes, values, |b| {
            f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
        }),
        Dtype::F8E4M3 => map(bytes, values, |[b]| e4m3(b)),
        // The upper half of an f16.
        Dtype::F8E5M2 => map(bytes, values, |[b]| {
            f16::from_bits(u16::from(b) << 8).to_f32_const()
        }),
        Dtype::F8E4M3Fnuz => map(bytes, values, |[b]| finite_eight(b, 3)),
        Dtype::F8E5M2Fnuz => map(bytes, values, |[b]| finite_eight(b, 2)),
        Dtype::Other(_) => return None,
    }
    Some(())
}

/// Decodes eight bits without infinities and without a negative zero, whose pattern is NaN. Exponents are counted from
/// 8 or 16, as there are `places` of 3 or 2 bits of mantissa.
fn finite_eight(bits: u8, places: u32) -> f32 {
    if bits == 0x80 {
        return f32::NAN;
    }
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    let mantissa = f32::from(bits & ((1 << places) - 1)) / f32::from(1u8 << places);
    let exponent = i32::from((bits & 0x7f) >> places);
    let bias = 1 << (6 - places);
    match exponent {
        0 => sign * mantissa * 2f32.powi(1 - bias),
        _ => sign * (1.0 + mantissa) * 2f32.powi(exponent - bias),
    }
}

/// Decodes eight bits without infinities: exponents are counted from 7, all ones is NaN.
fn e4m3(bits: u8) -> f32 {
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = ((bits >> 3) & 15, f32::from(bits & 7));
    match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => sign * mantissa * 2f32.powi(-9),
        _ => sign * (1.0 + mantissa / 8.0) * 2f32.powi(i32::from(exponent) - 7),
    }
}

fn map<const N: usize>(bytes: &[u8], values: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    for (to, &from) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *to = value(from);
    }
}

/// Converts by the machine's own instructions where it has them. They want whole numbers; bytes of a file may
/// start anywhere.
fn halves(bytes: &[u8], values: &mut [f32]) {
    let mut line = [0u16; LINE];
    for (values, bytes) in values.chunks_mut(LINE).zip(bytes.chunks(2 * LINE)) {
        let line = &mut line[..values.len()];
        for (bits, &bytes) in line.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *bits = u16::from_le_bytes(bytes);
        }
        line.reinterpret_cast::<f16>().convert_to_f32_slice(values);
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn converted(bytes: &[u8], dtype: &Dtype, count: usize) -> Option<Vec<f32>> {
        let mut values = vec![9.0; count];
        to_f32(bytes, dtype, &mut values).map(|()| values)
    }

    #[test]
    fn every_float_type_gives_its_value() {
        let check = |bytes: &[u8], dtype| {
            assert_eq!(converted(bytes, &dtype, 1), Some(vec![-1.5]), "{dtype}");
        };
        check(&(-1.5f64).to_le_bytes(), Dtype::F64);
        check(&(-1.5f32).to_le_bytes(), Dtype::F32);
        check(&[0x00, 0xbe], Dtype::F16);
        check(&[0xc0, 0xbf], Dtype::Bf16);
        assert_eq!(converted(&[0; 8], &Dtype::Other("I64".into()), 1), None);
    }

    /// Values by torch 2.15: `torch.arange(256, dtype=torch.uint8).view(dtype).float()`.
    #[test]
    fn eight_bits_are_as_torch_has_them() {
        let cases = [
            (
                Dtype::F8E4M3,
                [0x01, 0x08, 0x38, 0x7e, 0xb4],
                [0.001_953_125, 0.015_625, 1.0, 448.0, -0.75],
            ),
            (
                Dtype::F8E5M2,
                [0x01, 0x04, 0x3c, 0x7b, 0xb6],
                [1.525_878_9e-5, 6.103_515_6e-5, 1.0, 57_344.0, -0.375],
            ),
            (
                Dtype::F8E4M3Fnuz,
                [0x01, 0x08, 0x40, 0x7f, 0xbc],
                [0.000_976_562_5, 0.007_812_5, 1.0, 240.0, -0.75],
            ),
            (
                Dtype::F8E5M2Fnuz,
                [0x01, 0x04, 0x40, 0x7f, 0xba],
                [7.629_394_5e-6, 3.051_757_8e-5, 1.0, 57_344.0, -0.375],
            ),
        ];
        for (dtype, bytes, values) in cases {
            assert_eq!(
                converted(&bytes, &dtype, 5),
                Some(values.to_vec()),
                "{dtype}"
            );
        }
        for dtype in [Dtype::F8E4M3Fnuz, Dtype::F8E5M2Fnuz] {
            let found = converted(&[0x80], &dtype, 1).unwrap_or_default();
            assert!(found.iter().all(|value| value.is_nan()) && found.len() == 1);
        }
    }

    #[test]
    fn other_numbers_of_bytes_than_of_values_are_refused() {
        for (bytes, count) in [(3, 1), (5, 1), (4, 2), (0, 1)] {
            assert_eq!(converted(&vec![0; bytes], &Dtype::F32, count), None);
        }
        assert_eq!(converted(&[], &Dtype::F16, 0), Some(Vec::new()));
    }

    /// Returns each of the 65 536 numbers, in buffers that start at any byte and end after any number of them.
    fn assert_every_half(dtype: &Dtype, scalar: fn(u16) -> f32) {
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for start in 0..64 {
            let mut bytes = vec![0xaa; start];
            bytes.extend_from_slice(&all);
            // Odd starts too: a number is where its buffer says, not where memory would like it.
            let bytes = &bytes[start..bytes.len() - 2 * start];
            let found = converted(bytes, dtype, bytes.len() / 2).unwrap_or_default();
            assert_eq!(found.len(), (1 << 16) - start);
            for (bits, found) in (0..=u16::MAX).zip(found) {
                let expected = scalar(bits);
                let same = found.to_bits() == expected.to_bits();
                assert!(
                    same || (found.is_nan() && expected.is_nan()),
                    "{dtype} {bits:#06x} from byte {start}: expected {expected}, found {found}"
                );
            }
        }
    }

    #[test]
    fn every_f16_is_its_scalar_definition() {
        assert_every_half(&Dtype::F16, |bits| f16::from_bits(bits).to_f32_const());
    }

    #[test]
    fn every_bf16_is_its_scalar_definition() {
        assert_every_half(&Dtype::Bf16, |bits| bf16::from_bits(bits).to_f32_const());
    }
}
