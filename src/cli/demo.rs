//! `isoloss demo`: trains a small real network in a child process and watches it.
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct Demo {}
impl Demo {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        Ok(())
    }
}
#[derive(Debug, Args)]
pub(super) struct DemoTrain {}
impl DemoTrain {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        Ok(())
    }
}
