//! A network of the known ones with another activation than ReLU.

use std::sync::Arc;

use candle_core::Result;

use super::Network;
use super::activation::Activation;
use super::graph::{Graph, Layer};

/// A network in which each ReLU is another activation.
#[derive(Debug)]
pub(super) struct Activated {
    network: Arc<dyn Network>,
    activation: Activation,
}

impl Activated {
    pub(super) fn of(network: Arc<dyn Network>, activation: Activation) -> Self {
        Self {
            network,
            activation,
        }
    }
}

impl Network for Activated {
    fn graph(&self, image: [usize; 3]) -> Result<Graph> {
        let mut graph = self.network.graph(image)?;
        for node in &mut graph.nodes {
            if matches!(node.layer, Layer::Relu) {
                node.layer = Layer::Activation(self.activation);
            }
        }
        Ok(graph)
    }
}
