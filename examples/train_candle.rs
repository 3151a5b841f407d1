//! Trains a small `ResNet` on the embedded digits with candle, and saves checkpoints to watch:
//!
//! ```sh
//! cargo run --release --example train_candle -- runs/digits &
//! cargo run --release -- runs/digits --data digits
//! ```

use anyhow::Context;
use isoloss::data::{self, DataRequest};
use isoloss::demo::{self, DemoOptions};

fn main() -> anyhow::Result<()> {
    let out = std::env::args()
        .nth(1)
        .context("usage: train_candle FOLDER")?;
    let digits = data::load(&DataRequest::whole("digits"))?;
    demo::train(&digits, out.as_ref(), &DemoOptions::default())?;
    Ok(())
}
