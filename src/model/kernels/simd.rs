//! The vector instructions of the kernels: the widest that the machine has, picked at run time.

use pulp::{Arch, Scalar256b, Simd, WithSimd};

/// Vector instructions of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    /// AVX-512, AVX2 with FMA, or NEON.
    Native(Arch),
    /// AVX2 with FMA on a machine that has AVX-512 too.
    #[cfg(all(test, target_arch = "x86_64"))]
    Avx2(pulp::x86::V3),
    /// Vector of whatever the compiler makes of arrays of eight numbers, on any machine.
    Portable,
}

impl Level {
    /// Returns the widest.
    pub(crate) fn best() -> Self {
        match Arch::new() {
            Arch::Scalar => Self::Portable,
            arch => Self::Native(arch),
        }
    }

    /// All that this machine can run, the widest first.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut levels = vec![Self::best()];
        #[cfg(target_arch = "x86_64")]
        if matches!(Arch::new(), Arch::V4(_)) {
            levels.extend(pulp::x86::V3::try_new().map(Self::Avx2));
        }
        if !matches!(levels[0], Self::Portable) {
            levels.push(Self::Portable);
        }
        levels
    }

    /// Runs `op` compiled for these instructions.
    #[inline]
    pub(crate) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        match self {
            Self::Native(arch) => arch.dispatch(op),
            #[cfg(all(test, target_arch = "x86_64"))]
            Self::Avx2(simd) => Simd::vectorize(simd, op),
            Self::Portable => Scalar256b.vectorize(op),
        }
    }

    /// Returns their names, as makers of processors have them.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Native(Arch::V4(_)) => "AVX-512",
            #[cfg(all(test, target_arch = "x86_64"))]
            Self::Avx2(_) => "AVX2 with FMA",
            #[cfg(target_arch = "x86_64")]
            Self::Native(Arch::V3(_)) => "AVX2 with FMA",
            #[cfg(target_arch = "aarch64")]
            Self::Native(Arch::Neon(_)) => "NEON",
            Self::Native(_) | Self::Portable => "portable",
        }
    }

    /// Returns the numbers in a vector: as many channels lie beside one another.
    pub(crate) fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> usize {
                S::F32_LANES
            }
        }
        self.run(Lanes)
    }
}

/// The function behind a layer; NaN goes through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::model) enum Rectifier {
    /// None.
    Off,
    /// max(x, 0).
    Relu,
    /// The same, at most this number: ReLU6.
    Capped(f32),
}

impl Rectifier {
    #[inline(always)]
    pub(in crate::model) fn apply<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        let positive = || simd.select_f32s(simd.less_than_or_equal_f32s(x, zero), zero, x);
        match self {
            Self::Off => x,
            Self::Relu => positive(),
            Self::Capped(cap) => {
                let (cap, x) = (simd.splat_f32s(cap), positive());
                simd.select_f32s(simd.less_than_or_equal_f32s(cap, x), cap, x)
            }
        }
    }

    /// Returns the same of one number.
    pub(in crate::model) fn of(self, x: f32) -> f32 {
        let positive = if x <= 0.0 { 0.0 } else { x };
        match self {
            Self::Off => x,
            Self::Relu => positive,
            Self::Capped(cap) => {
                if cap <= positive {
                    cap
                } else {
                    positive
                }
            }
        }
    }
}
