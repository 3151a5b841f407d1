//! How many numbers candle lays out for a sample at once, which bounds how many samples fit a device.

use candle_core::{Result, bail};

use super::graph::{Graph, Layer, Node};

/// Channels, height and width; a vector has its length as channels of one pixel.
type Extents = [usize; 3];

impl Graph {
    /// The numbers of a sample in the layer that has the most of them. A convolution has its patches,
    /// places × inputs × taps: on a GPU candle lays them out as one matrix (im2col) for all samples of a
    /// batch. Any other layer has what it gives.
    ///
    /// # Errors
    /// The images do not fit.
    pub fn widest(&self, image: Extents) -> Result<usize> {
        let mut values = vec![image];
        let mut widest = product(&image);
        for node in &self.nodes {
            let given = extents(node, &values)?;
            let numbers = match &node.layer {
                Layer::Conv(conv) => {
                    product(&[given[1], given[2], conv.inputs, conv.kernel, conv.kernel])
                }
                _ => product(&given),
            };
            widest = widest.max(numbers);
            values.push(given);
        }
        Ok(widest)
    }
}

/// Work and room of a sample's forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications of convolutions and fully connected layers.
    pub products: usize,
    /// Numbers that all layers give together, and the widest patches.
    pub numbers: usize,
}

impl Graph {
    /// What a sample costs.
    ///
    /// # Errors
    /// The images do not fit.
    pub fn cost(&self, image: Extents) -> Result<Cost> {
        let mut values = vec![image];
        let mut cost = Cost {
            products: 0,
            numbers: self.widest(image)?,
        };
        for node in &self.nodes {
            let given = extents(node, &values)?;
            let products = match &node.layer {
                Layer::Conv(conv) => {
                    product(&[product(&given), conv.inputs, conv.kernel, conv.kernel])
                }
                Layer::Linear(linear) => product(&[linear.inputs, linear.outputs]),
                _ => 0,
            };
            cost.products = cost.products.saturating_add(products);
            cost.numbers = cost.numbers.saturating_add(product(&given));
            values.push(given);
        }
        Ok(cost)
    }
}

/// What a layer gives, of the values before it.
fn extents(node: &Node, values: &[Extents]) -> Result<Extents> {
    let taken = node.takes.iter().map(|value| values.get(value.0).copied());
    let taken: Vec<Extents> = taken.flatten().collect();
    let Some(&[channels, height, width]) = taken.first() else {
        bail!("a layer of no values");
    };
    let each = |count: &dyn Fn(usize) -> Option<usize>| match (count(height), count(width)) {
        (Some(rows), Some(columns)) => Ok([rows, columns]),
        _ => bail!("{:?} on {height}×{width} pixels", node.layer),
    };
    Ok(match &node.layer {
        Layer::Conv(conv) => {
            let [rows, columns] = each(&|len| {
                let travel = (len + 2 * conv.padding).checked_sub(conv.kernel)?;
                Some(travel.checked_div(conv.stride)? + 1)
            })?;
            [conv.outputs, rows, columns]
        }
        Layer::Max(pool) | Layer::Average(pool) => {
            let Some([rows, columns]) = pool.windows([height, width]) else {
                bail!("{pool:?} on {height}×{width} pixels");
            };
            [channels, rows, columns]
        }
        Layer::Padded { stride, channels } => {
            let [rows, columns] = each(&|len| (*stride > 0).then(|| len.div_ceil(*stride)))?;
            [*channels, rows, columns]
        }
        Layer::Linear(linear) => [linear.outputs, 1, 1],
        Layer::GlobalAverage => [channels, 1, 1],
        Layer::Flatten => [product(&[channels, height, width]), 1, 1],
        Layer::Norm(_) | Layer::Relu | Layer::Activation(_) | Layer::Add => {
            [channels, height, width]
        }
        Layer::Concat => [taken.iter().map(|value| value[0]).sum(), height, width],
    })
}

/// Saturating: extents are read from files.
fn product(extents: &[usize]) -> usize {
    extents
        .iter()
        .fold(1, |product, extent| product.saturating_mul(*extent))
}
