//! Where losses are computed: the option `--device`.

use candle_core::Device;

use super::LandscapeError;

/// Opens `auto`, `cpu`, `cuda:N` or `metal`, and says which it became.
///
/// `auto` takes the first device that this build knows and this machine has, else the CPU. A CUDA
/// device gets a stream of its own: candle's default stream is another one in every thread.
///
/// # Errors
/// The name is unknown, the build has no support for it, or the device does not open.
pub fn open(name: &str) -> Result<(Device, String), LandscapeError> {
    let refused = |why: String| LandscapeError::Device {
        name: name.to_owned(),
        why,
    };
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", _) => Ok((Device::Cpu, "cpu".into())),
        ("auto", _) => Ok(accelerator().unwrap_or((Device::Cpu, "cpu".into()))),
        ("cuda", ordinal) => {
            let ordinal = ordinal
                .parse::<usize>()
                .map_err(|_| refused(format!("expected a number behind cuda:, got {ordinal}")))?;
            let device =
                Device::new_cuda_with_stream(ordinal).map_err(|e| refused(e.to_string()))?;
            Ok((device, format!("cuda:{ordinal}")))
        }
        ("metal", _) => {
            let device = Device::new_metal(0).map_err(|e| refused(e.to_string()))?;
            Ok((device, "metal".into()))
        }
        _ => Err(refused("expected auto, cpu, cuda:N or metal".into())),
    }
}

fn accelerator() -> Option<(Device, String)> {
    if candle_core::utils::cuda_is_available() {
        return open("cuda:0").ok();
    }
    if candle_core::utils::metal_is_available() {
        return open("metal").ok();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_nonsense_is_named() {
        assert_eq!(
            open("cpu").map(|(_, name)| name).ok().as_deref(),
            Some("cpu")
        );
        for name in ["tpu", "cuda:x", ""] {
            let error = open(name)
                .map(|(_, name)| name)
                .expect_err("no such device");
            assert!(
                error.to_string().contains(&format!("device {name}:")),
                "{error}"
            );
        }
    }
}
