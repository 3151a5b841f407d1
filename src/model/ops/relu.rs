//! ReLU on the CPU in one pass over the numbers, closed under differentiation: its derivative is a gate, and a
//! gate's derivative is the same gate.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType, bail};

/// (a, x) to a where x > 0 or x is NaN, to 0 elsewhere. With a = x it is the ReLU itself.
struct Gate;

impl Gate {
    fn of<T: WithDType>(a: &[T], x: &[T]) -> Vec<T> {
        let zero = T::zero();
        let pairs = a.iter().zip(x);
        pairs
            .map(|(a, x)| if *x <= zero { zero } else { *a })
            .collect()
    }
}

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (Some(a_range), Some(x_range)) =
            (a_layout.contiguous_offsets(), x_layout.contiguous_offsets())
        else {
            bail!("a gate of arrays with gaps");
        };
        let (a_range, x_range) = (a_range.0..a_range.1, x_range.0..x_range.1);
        let result = match (a, x) {
            (CpuStorage::F32(a), CpuStorage::F32(x)) => {
                CpuStorage::F32(Self::of(&a[a_range], &x[x_range]))
            }
            (CpuStorage::F64(a), CpuStorage::F64(x)) => {
                CpuStorage::F64(Self::of(&a[a_range], &x[x_range]))
            }
            _ => bail!("a gate of other numbers than f32 or f64"),
        };
        Ok((result, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        a: &Tensor,
        x: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = a.track_op().then(|| gate(gradient, x)).transpose()?;
        Ok((gradient, None))
    }
}

fn gate(a: &Tensor, x: &Tensor) -> Result<Tensor> {
    // Where the gate opens does not depend on x but at a jump, where the derivative counts as 0.
    a.contiguous()?.apply_op2(&x.detach().contiguous()?, Gate)
}

/// Returns true if [`relu`] can take it.
pub(super) fn fits(x: &Tensor) -> bool {
    x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64)
}

/// Returns max(x, 0), which lets NaN through.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    gate(x, x)
}
