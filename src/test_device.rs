//! Tests that run once on each device that is compiled in, as candle's own do.

/// The tests `$body::cpu` and, in builds that know them, `$body::cuda` and `$body::metal` of a function of
/// a device; an accelerator that this machine lacks is passed over, but fails the test where the variable
/// ISOLOSS_TEST_DEVICE names it: a run that is meant for a GPU must not pass without one.
macro_rules! test_device {
    ($body:ident) => {
        mod $body {
            #[test]
            fn cpu() {
                super::$body(&candle_core::Device::Cpu);
            }

            #[cfg(feature = "cuda")]
            #[test]
            fn cuda() {
                let device = candle_core::Device::new_cuda_with_stream(0);
                if let Some(device) = crate::test_device::opened("cuda", device) {
                    super::$body(&device);
                }
            }

            #[cfg(feature = "metal")]
            #[test]
            fn metal() {
                let device = candle_core::Device::new_metal(0);
                if let Some(device) = crate::test_device::opened("metal", device) {
                    super::$body(&device);
                }
            }
        }
    };
}

/// Returns the device, if it opened; panics where it did not and ISOLOSS_TEST_DEVICE says that it must.
#[cfg(any(feature = "cuda", feature = "metal"))]
pub(crate) fn opened(
    name: &str,
    device: candle_core::Result<candle_core::Device>,
) -> Option<candle_core::Device> {
    let wanted = std::env::var_os("ISOLOSS_TEST_DEVICE").is_some_and(|wanted| wanted == name);
    match device {
        Err(error) if wanted => panic!("{name} did not open: {error}"),
        device => device.ok(),
    }
}

/// Returns the name of the test that runs on a device.
pub(crate) fn name(device: &candle_core::Device) -> &'static str {
    match device {
        candle_core::Device::Cpu => "cpu",
        candle_core::Device::Cuda(_) => "cuda",
        candle_core::Device::Metal(_) => "metal",
    }
}
