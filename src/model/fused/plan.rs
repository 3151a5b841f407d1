//! From layers to steps on buffers: convolution, norm, sum and ReLU become one step, and a
//! buffer is used again as soon as nobody needs what is in it.

use super::layers::{self, Layer, Layers, Node, Value};
use super::passes::Passes;
use super::steps::{Features, Step, Way};
use crate::model::kernels::blocked::Blocked;
use crate::model::kernels::conv::Shape;
use crate::model::kernels::simd::Rectifier;
use crate::model::ops::ConvWindow;

/// A fully connected layer with its batch norm and ReLU.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    pub(super) linear: layers::Linear,
    pub(super) norm: Option<layers::Norm>,
    pub(super) rectifier: Rectifier,
}

/// Steps for one image, then layers for a group of vectors.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) lanes: usize,
    pub(super) buffers: Vec<Blocked>,
    pub(super) steps: Vec<Step>,
    pub(super) passes: Passes,
    pub(super) features: Features,
    /// Length of the vector.
    pub(super) length: usize,
    pub(super) head: Vec<Dense>,
}

impl Plan {
    /// Returns the plan of layers; `None` where their order is one that the kernels do not know.
    pub(super) fn of(graph: &Layers, lanes: usize) -> Option<Self> {
        let is_joint = |node: &Node| matches!(node.layer, Layer::Flatten | Layer::GlobalAverage);
        let Some(body) = graph.nodes.iter().position(is_joint) else {
            // Vectors from the start.
            let length = graph.sample.iter().product();
            return Some(Self {
                lanes,
                buffers: Vec::new(),
                steps: Vec::new(),
                passes: Passes::default(),
                features: Features::Raw,
                length,
                head: head(graph, 0)?,
            });
        };
        let mut builder = Builder::new(graph, body, lanes)?;
        builder.steps()?;
        let joint = graph.nodes.get(body)?;
        let average = matches!(joint.layer, Layer::GlobalAverage);
        let source = *joint.takes.first()?;
        let [channels, height, width] = builder.extents[source.0]?;
        let features = match builder.buffer_of[source.0] {
            Some(buffer) if average => Features::Average(buffer),
            Some(buffer) => Features::Flatten(buffer),
            None if source == Layers::SAMPLES && !average => Features::Raw,
            None => return None,
        };
        Some(Self {
            lanes,
            passes: Passes::of(&builder.steps, &builder.buffers, features),
            buffers: builder.buffers,
            steps: builder.steps,
            features,
            length: if average {
                channels
            } else {
                channels * height * width
            },
            head: head(graph, body + 1)?,
        })
    }
}

/// Returns the layers behind the one that makes vectors of images: a chain, one taking what the other gives.
fn head(graph: &Layers, first: usize) -> Option<Vec<Dense>> {
    let mut head: Vec<Dense> = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate().skip(first) {
        if node.takes != [Value(i)] {
            return None;
        }
        match (&node.layer, head.last_mut()) {
            (Layer::Linear(linear), _) => head.push(Dense {
                linear: linear.clone(),
                norm: None,
                rectifier: Rectifier::Off,
            }),
            (Layer::Norm(norm), Some(last))
                if last.norm.is_none() && last.rectifier == Rectifier::Off =>
            {
                last.norm = Some(norm.clone());
            }
            (Layer::Rectify(rectifier), Some(last)) if last.rectifier == Rectifier::Off => {
                last.rectifier = *rectifier;
            }
            _ => return None,
        }
    }
    (!head.is_empty()).then_some(head)
}

/// A plan while it is made.
struct Builder<'a> {
    graph: &'a Layers,
    /// Layers before this one work on images.
    body: usize,
    /// Number of convolutions.
    depth: usize,
    lanes: usize,
    /// Number of layers that still have to take each value.
    takers: Vec<usize>,
    /// Channels, height, width of each image value.
    extents: Vec<Option<[usize; 3]>>,
    /// Width of the frame that each value's takers need.
    halos: Vec<usize>,
    buffers: Vec<Blocked>,
    free: Vec<usize>,
    buffer_of: Vec<Option<usize>>,
    steps: Vec<Step>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Layers, body: usize, lanes: usize) -> Option<Self> {
        let count = graph.nodes.len() + 1;
        let is_conv = |node: &&Node| matches!(node.layer, Layer::Conv(_));
        let mut builder = Self {
            graph,
            body,
            depth: graph.nodes.iter().filter(is_conv).count(),
            lanes,
            takers: graph.takers(),
            extents: vec![None; count],
            halos: vec![0; count],
            buffers: Vec::new(),
            free: Vec::new(),
            buffer_of: vec![None; count],
            steps: Vec::new(),
        };
        builder.extents[0] = Some(graph.sample);
        for (i, node) in graph.nodes[..=body].iter().enumerate() {
            for value in &node.takes {
                if let Layer::Conv(conv) = &node.layer {
                    let halo = &mut builder.halos[value.0];
                    *halo = conv.padding.max(*halo);
                }
            }
            if i < body {
                builder.extents[i + 1] = Some(builder.extent(i)?);
            }
        }
        Some(builder)
    }

    /// Returns the extents of what a layer gives.
    fn extent(&self, node: usize) -> Option<[usize; 3]> {
        let node = &self.graph.nodes[node];
        let [channels, height, width] = self.extents[node.takes.first()?.0]?;
        Some(match &node.layer {
            Layer::Conv(conv) => {
                let window = ConvWindow::plain(conv.stride, conv.padding);
                let [rows, columns] = window.places([height, width], [conv.kernel; 2])?;
                [conv.outputs, rows, columns]
            }
            Layer::Max(pool) | Layer::Average(pool) => {
                let [rows, columns] = pool.windows([height, width])?;
                [channels, rows, columns]
            }
            Layer::Norm(_) | Layer::Rectify(_) | Layer::Add => [channels, height, width],
            Layer::Padded { stride, channels } => {
                [*channels, height.div_ceil(*stride), width.div_ceil(*stride)]
            }
            Layer::Concat => {
                let [others, ..] = self.extents[node.takes.get(1)?.0]?;
                [channels + others, height, width]
            }
            _ => return None,
        })
    }

    /// Joins to a convolution or a norm what it takes along: the sum with a value that stands already, and the ReLU,
    /// where nobody else takes what comes before.
    fn fused(&self, i: usize) -> Fused {
        let mut fused = Fused {
            layers: vec![i],
            value: Value(i + 1),
            residual: None,
            rectifier: Rectifier::Off,
        };
        let is_conv = matches!(self.graph.nodes[i].layer, Layer::Conv(_));
        if !is_conv && !matches!(self.graph.nodes[i].layer, Layer::Norm(_)) {
            return fused;
        }
        if is_conv
            && let Some(taker) = self.only_taker(fused.value)
            && let Node {
                layer: Layer::Add,
                takes,
            } = &self.graph.nodes[taker]
            && let [a, b] = takes[..]
        {
            let other = if a == fused.value { b } else { a };
            if self.buffer_of[other.0].is_some() {
                fused.layers.push(taker);
                (fused.value, fused.residual) = (Value(taker + 1), Some(other));
            }
        }
        if let Some(taker) = self.only_taker(fused.value)
            && let Layer::Rectify(rectifier) = self.graph.nodes[taker].layer
        {
            fused.layers.push(taker);
            (fused.value, fused.rectifier) = (Value(taker + 1), rectifier);
        }
        fused
    }

    /// Returns the layer on images that alone takes a value.
    fn only_taker(&self, value: Value) -> Option<usize> {
        let takes = |i: &usize| self.graph.nodes[*i].takes.contains(&value);
        let mut takers = (value.0..=self.body).filter(takes);
        let first = takers.next();
        first.filter(|&i| i < self.body && takers.next().is_none())
    }
}

/// Layers that become one step.
struct Fused {
    layers: Vec<usize>,
    /// Their result.
    value: Value,
    residual: Option<Value>,
    rectifier: Rectifier,
}

impl Builder<'_> {
    /// Makes the steps of all layers on images.
    fn steps(&mut self) -> Option<()> {
        if self.graph.nodes[self.body].takes[..] != [Layers::SAMPLES] {
            let to = self.take_buffer(Layers::SAMPLES)?;
            self.steps.push(Step::Load { to });
        }
        // What a convolution took along needs no step of its own.
        let mut done = vec![false; self.body];
        for i in 0..self.body {
            if done[i] {
                continue;
            }
            let fused = self.fused(i);
            let to = self.take_buffer(fused.value)?;
            let step = self.step(i, &fused, to)?;
            self.steps.push(step);
            for layer in fused.layers {
                done[layer] = true;
                self.release(layer);
            }
        }
        Some(())
    }

    fn step(&self, i: usize, fused: &Fused, to: usize) -> Option<Step> {
        let rectifier = fused.rectifier;
        let node = &self.graph.nodes[i];
        let from = self.buffer_of[node.takes.first()?.0]?;
        Some(match &node.layer {
            Layer::Conv(conv) => {
                let shape = Shape {
                    input: self.buffers[from],
                    output: self.buffers[to],
                    kernel: conv.kernel,
                    stride: conv.stride,
                    padding: conv.padding,
                    rectifier,
                };
                Step::Conv {
                    shape,
                    way: Way::of(conv, &shape, self.depth),
                    conv: conv.clone(),
                    from,
                    residual: match fused.residual {
                        Some(value) => Some(self.buffer_of[value.0]?),
                        None => None,
                    },
                    to,
                }
            }
            Layer::Max(pool) | Layer::Average(pool) => Step::Pool {
                pool: *pool,
                mean: matches!(node.layer, Layer::Average(_)),
                from,
                to,
            },
            Layer::Norm(norm) => Step::Norm {
                norm: norm.clone(),
                rectifier,
                from,
                to,
            },
            Layer::Padded { stride, channels } => {
                let added = channels.checked_sub(self.buffers[from].channels)?;
                Step::Place {
                    parts: vec![(from, *stride, added / 2)],
                    to,
                }
            }
            Layer::Concat => {
                let other = self.buffer_of[node.takes.get(1)?.0]?;
                let first = self.buffers[from].channels;
                Step::Place {
                    parts: vec![(from, 1, 0), (other, 1, first)],
                    to,
                }
            }
            _ => return None,
        })
    }

    /// Returns a buffer of a value's extents that is free, or a new one. Its frame, and lanes without a channel,
    /// stay zero because no other extents ever use it.
    fn take_buffer(&mut self, value: Value) -> Option<usize> {
        let [channels, height, width] = self.extents[value.0]?;
        let wanted = Blocked {
            channels,
            height,
            width,
            halo: self.halos[value.0],
            lanes: self.lanes,
        };
        let fits = |&free: &usize| self.buffers[free] == wanted;
        let buffer = if let Some(found) = self.free.iter().position(fits) {
            self.free.swap_remove(found)
        } else {
            self.buffers.push(wanted);
            self.buffers.len() - 1
        };
        self.buffer_of[value.0] = Some(buffer);
        Some(buffer)
    }

    /// Frees the buffers that nobody needs once layer `i` is done.
    fn release(&mut self, i: usize) {
        for value in &self.graph.nodes[i].takes {
            self.takers[value.0] -= 1;
            if self.takers[value.0] == 0
                && let Some(buffer) = self.buffer_of[value.0].take()
            {
                self.free.push(buffer);
            }
        }
    }
}
