//! Tests that run once on each device that is compiled in, as candle's own do.

/// The tests `$body::cpu` and, in builds that know them, `$body::cuda` and `$body::metal` of a function of
/// a device; an accelerator that this machine lacks is passed over.
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
                if let Ok(device) = candle_core::Device::new_cuda_with_stream(0) {
                    super::$body(&device);
                }
            }

            #[cfg(feature = "metal")]
            #[test]
            fn metal() {
                if let Ok(device) = candle_core::Device::new_metal(0) {
                    super::$body(&device);
                }
            }
        }
    };
}
