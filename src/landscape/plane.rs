//! A plane where its points are measured: on a device, or with the user's evaluator.

use candle_core::{Device, Result, Tensor, TensorId};

use crate::evaluator::SentPlane;
use crate::weights::{BatchNorm, Plane};

/// A plane where its points are measured.
#[derive(Debug)]
pub enum ResidentPlane {
    /// On the device of isoloss's own forward pass.
    Device(DevicePlane),
    /// In files for an evaluator.
    Sent(SentPlane),
}

/// θ*, dx and dy as the rows of one matrix on the device.
#[derive(Debug)]
pub struct DevicePlane {
    pub(super) rows: Tensor,
    pub(super) batch_norm: BatchNorm,
}

impl DevicePlane {
    /// Copies a plane to a device.
    ///
    /// # Errors
    /// The device has no room.
    pub fn of(plane: &Plane, device: &Device) -> Result<Self> {
        let row = |flat: &[f32]| Tensor::from_slice(flat, flat.len(), device);
        let [x, y] = &plane.directions;
        Ok(Self {
            rows: Tensor::stack(&[row(&plane.origin)?, row(x)?, row(y)?], 0)?,
            batch_norm: plane.batch_norm,
        })
    }

    /// Returns the number that distinguishes the plane from others.
    pub(super) fn id(&self) -> TensorId {
        self.rows.id()
    }

    /// Returns θ* + α·dx + β·dy. On the CPU this is the matrix product (1, α, β)·(θ*; dx; dy), in one pass over
    /// memory. A GPU's products may be rounded to fewer digits than f32 has, which small steps need, so
    /// there it is summed.
    ///
    /// # Errors
    /// candle's: the device failed or has no room.
    pub fn point(&self, [alpha, beta]: [f64; 2]) -> Result<Tensor> {
        let coefficients = [1.0, alpha as f32, beta as f32];
        let device = self.rows.device();
        if !device.is_cpu() {
            let along = |row, by| self.rows.get(row)?.affine(by, 0.0);
            return (self.rows.get(0)? + along(1, alpha)?)? + along(2, beta)?;
        }
        let coefficients = Tensor::from_slice(&coefficients, (1, 3), device)?;
        coefficients.matmul(&self.rows)?.squeeze(0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    test_device!(a_point_of_the_plane_is_the_combination);
    fn a_point_of_the_plane_is_the_combination(device: &Device) {
        let rows = Tensor::new(&[[1f32, 2.], [10., 20.], [0.5, -0.5]], device).unwrap();
        let point = DevicePlane {
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
        let plane = DevicePlane {
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
