//! GPT-2 by the names that it has in Hugging Face's library, nanoGPT and minGPT: tables of tokens and places, blocks of
//! causal attention and two dense layers, and a head.

use std::sync::Arc;

use super::detect::{Inventory, Mismatch};
use super::layers::{Norm, Writer};
use super::{Recognized, count};
use crate::model::activation::Activation;
use crate::model::program::kind::Kind;
use crate::model::program::op::{Binary, Op, Operand};
use crate::model::program::{Input, Program, Size, Value};
use crate::model::reading::Reading;

/// Numbers of a head where nobody tells them, as in all sizes of GPT-2.
const HEAD: usize = 64;

/// The names that `--model` takes: weights (outputs, inputs) as in nanoGPT, or (inputs, outputs).
const NANOGPT: &str = "nanogpt";
const GPT2: &str = "gpt2";
pub(super) const NAMES: [&str; 2] = [NANOGPT, GPT2];

/// Name of the argument, as nanoGPT has it.
const IDS: &str = "idx";

/// A dense layer.
#[derive(Debug)]
struct Dense {
    name: String,
    weight: Value,
    bias: Option<Value>,
    /// The weight is (inputs, outputs).
    is_turned: bool,
}

#[derive(Debug)]
struct Block {
    norms: [Norm; 2],
    /// Queries, keys and values of all heads.
    attention: Dense,
    out: Dense,
    up: Dense,
    down: Dense,
}

#[derive(Debug)]
struct Gpt {
    tokens: Value,
    places: Value,
    blocks: Vec<Block>,
    norm: Norm,
    head: Value,
    /// Numbers of a token within the network.
    width: usize,
    heads: usize,
    /// Rows of the tables.
    rows: [usize; 2],
}

/// Returns the names in front of the tables: `transformer.`, or nothing.
fn prefix(inventory: &Inventory) -> Option<String> {
    let prefixes = inventory.names().filter_map(|name| {
        let prefix = name.strip_suffix("wte.weight")?;
        let others = ["wpe.weight", "h.0.ln_1.weight", "h.0.attn.c_attn.weight"];
        let mut others = others.iter().map(|other| format!("{prefix}{other}"));
        others
            .all(|name| inventory.has(&name))
            .then(|| prefix.to_owned())
    });
    prefixes.min()
}

/// Returns the argument of such a model.
pub(super) fn arguments() -> Vec<Input> {
    vec![Input {
        name: IDS.into(),
        kind: Kind::Int,
        shape: vec![None; 2],
    }]
}

/// Returns true when the names are those of GPT-2.
pub(super) fn claims(inventory: &Inventory) -> bool {
    prefix(inventory).is_some()
}

/// Reads a GPT; `told` are answers of the checkpoint itself.
pub(super) fn recognize(
    mut inventory: Inventory,
    asked: Reading,
    told: Reading,
) -> Result<Recognized, Mismatch> {
    let prefix = prefix(&inventory)
        .ok_or_else(|| Mismatch::Missing("transformer.h.0.attn.c_attn.weight".into()))?;
    let (gpt, is_turned, is_tied) = Gpt::take(&mut inventory, &prefix, asked.or(told).heads)?;
    let usual = if is_turned {
        Activation::GeluTanh
    } else {
        Activation::Gelu
    };
    let activation = asked.or(told).activation.unwrap_or(usual);
    let [tokens, places] = gpt.rows;
    let own = |is_asked: bool, is_told: bool| match (is_asked, is_told) {
        (true, _) => "",
        (false, true) => " told beside the weights",
        (false, false) => " assumed",
    };
    let evidence = format!(
        "{} named like GPT-2, weights as in {}: {}, width {}, {}{}, {places} places, {tokens} tokens{}, \
         activation {activation}{}, ε 0.00001 assumed",
        count(inventory.slots().len(), "tensor"),
        if is_turned {
            "Hugging Face's library"
        } else {
            "nanoGPT"
        },
        count(gpt.blocks.len(), "block"),
        gpt.width,
        count(gpt.heads, "head"),
        own(asked.heads.is_some(), told.heads.is_some()),
        if is_tied {
            ", their table is the head"
        } else {
            ""
        },
        own(asked.activation.is_some(), told.activation.is_some()),
    );
    Ok(Recognized {
        name: if is_turned { GPT2 } else { NANOGPT }.into(),
        evidence,
        reading: Reading {
            heads: Some(gpt.heads),
            activation: Some(activation),
            ..Reading::default()
        },
        readings: Vec::new(),
        activations: Vec::new(),
        kept: None,
        untold: None,
        program: gpt.program(&prefix),
    })
}

impl Gpt {
    /// Takes all tensors; returns too if the weights are (inputs, outputs), and if the head is the table of tokens.
    fn take(
        inventory: &mut Inventory,
        prefix: &str,
        heads: Option<usize>,
    ) -> Result<(Self, bool, bool), Mismatch> {
        let (tokens, shape) = inventory.take(&format!("{prefix}wte.weight"), &[None, None])?;
        let (vocabulary, width) = (shape[0], shape[1]);
        let table = format!("{prefix}wpe.weight");
        let (places, shape) = inventory.take(&table, &[None, Some(width)])?;
        let rows = [vocabulary, shape[0]];
        let first = inventory.shape(&format!("{prefix}h.0.attn.c_attn.weight"));
        let is_turned = first.is_some_and(|shape| shape.first() == Some(&width));
        let blocks = inventory.numbers(&format!("{prefix}h")).len();
        let blocks = (0..blocks).map(|i| {
            let prefix = format!("{prefix}h.{i}");
            Block::take(inventory, &prefix, width, is_turned)
        });
        let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
        let norm = Norm::take_layer(inventory, &format!("{prefix}ln_f"), width)?;
        let outer = prefix.strip_suffix("transformer.").unwrap_or(prefix);
        let head = format!("{outer}lm_head.weight");
        let head = inventory.take_if_there(&head, &[None, Some(width)])?;
        inventory.finish()?;
        let heads = number_of_heads(heads, width)?;
        let head = head.map_or(tokens, |(head, _)| head);
        let gpt = Self {
            tokens: Value::Slot(tokens),
            places: Value::Slot(places),
            blocks,
            norm,
            head: Value::Slot(head),
            width,
            heads,
            rows,
        };
        Ok((gpt, is_turned, head == tokens))
    }

    fn program(&self, prefix: &str) -> Arc<Program> {
        let (mut writer, ids) = Writer::of_ids(IDS);
        let table = format!("{prefix}wte");
        let tokens = writer.push(Op::Embedding, &[self.tokens, ids], &table);
        let length = writer.push(Op::Extent(1), &[ids], "size");
        let range = Op::Range {
            start: Operand::Fixed(0.0),
            end: Operand::Of(Size::Of(length)),
            step: Operand::Fixed(1.0),
            kind: Kind::Int,
        };
        let range = writer.push(range, &[], "arange");
        let most = self.rows[1];
        let table =
            format!("{prefix}wpe, which has {most} places: expected --block {most} or less");
        let places = writer.push(Op::Embedding, &[self.places, range], &table);
        let mut x = writer.add(tokens, places);
        for block in &self.blocks {
            x = block.write(&mut writer, x, self.width, self.heads);
        }
        x = writer.norm(x, &self.norm);
        let logits = writer.push(Op::Linear, &[x, self.head], "lm_head");
        writer.finish(logits)
    }
}

impl Block {
    fn take(
        inventory: &mut Inventory,
        prefix: &str,
        width: usize,
        is_turned: bool,
    ) -> Result<Self, Mismatch> {
        let mut norm = |name| Norm::take_layer(inventory, &format!("{prefix}.{name}"), width);
        let norms = [norm("ln_1")?, norm("ln_2")?];
        let mut dense = |name: &str, inputs, outputs| {
            Dense::take(
                inventory,
                &format!("{prefix}.{name}"),
                [inputs, outputs],
                is_turned,
            )
        };
        let width = Some(width);
        let (attention, _) = dense("attn.c_attn", width, width.and_then(|w| w.checked_mul(3)))?;
        let (out, _) = dense("attn.c_proj", width, width)?;
        let (up, inner) = dense("mlp.c_fc", width, None)?;
        let (down, _) = dense("mlp.c_proj", Some(inner), width)?;
        Ok(Self {
            norms,
            attention,
            out,
            up,
            down,
        })
    }

    fn write(&self, writer: &mut Writer, x: Value, width: usize, heads: usize) -> Value {
        let y = writer.norm(x, &self.norms[0]);
        let y = self.attention.write(writer, y);
        let part = Size::Fixed(width.cast_signed() as i64);
        let split = writer.push(Op::Split(-1, vec![part; 3]), &[y], "split");
        let parts = [0, 1, 2].map(|output| {
            let Value::Node { node, .. } = split else {
                return split;
            };
            let heads = Size::Fixed(heads.cast_signed() as i64);
            let unflatten = Op::Unflatten(-1, vec![heads, Size::Fixed(-1)]);
            let part = writer.push(unflatten, &[Value::Node { node, output }], "heads");
            writer.push(Op::Transpose(1, 2), &[part], "transpose")
        });
        let attention = Op::Attention {
            causal: true,
            scale: None,
            grouped: false,
        };
        let y = writer.push(attention, &parts, "scaled_dot_product_attention");
        let y = writer.push(Op::Transpose(1, 2), &[y], "transpose");
        let y = writer.push(Op::Flatten(2, 3), &[y], "flatten");
        let y = self.out.write(writer, y);
        let x = writer.add(x, y);
        let y = writer.norm(x, &self.norms[1]);
        let y = self.up.write(writer, y);
        let y = writer.relu(y);
        let y = self.down.write(writer, y);
        writer.add(x, y)
    }
}

impl Dense {
    /// Takes `prefix.weight` and, where it is there, `prefix.bias`; returns the number of outputs too.
    fn take(
        inventory: &mut Inventory,
        prefix: &str,
        [inputs, outputs]: [Option<usize>; 2],
        is_turned: bool,
    ) -> Result<(Self, usize), Mismatch> {
        let (expected, at) = if is_turned {
            ([inputs, outputs], 1)
        } else {
            ([outputs, inputs], 0)
        };
        let (weight, shape) = inventory.take(&format!("{prefix}.weight"), &expected)?;
        let outputs = shape[at];
        let bias = inventory.take_if_there(&format!("{prefix}.bias"), &[Some(outputs)])?;
        let dense = Self {
            name: prefix.into(),
            weight: Value::Slot(weight),
            bias: bias.map(|(index, _)| Value::Slot(index)),
            is_turned,
        };
        Ok((dense, outputs))
    }

    fn write(&self, writer: &mut Writer, x: Value) -> Value {
        if !self.is_turned {
            let operands: Vec<Value> = [x, self.weight].into_iter().chain(self.bias).collect();
            return writer.push(Op::Linear, &operands, &self.name);
        }
        let product = writer.push(Op::MatMul, &[x, self.weight], &self.name);
        match self.bias {
            Some(bias) => writer.push(Op::Binary(Binary::Add(1.0)), &[product, bias], &self.name),
            None => product,
        }
    }
}

/// Returns the number of heads that settings name, else that of GPT-2 for such a width.
fn number_of_heads(told: Option<usize>, width: usize) -> Result<usize, Mismatch> {
    match told {
        Some(heads) if heads > 0 && width.is_multiple_of(heads) => Ok(heads),
        Some(heads) => Err(Mismatch::Structure(format!(
            "{heads} heads do not share a width of {width} evenly: expected a divisor of it (--heads)"
        ))),
        None if width.is_multiple_of(HEAD) => Ok(width / HEAD),
        None => Err(Mismatch::Structure(format!(
            "neither config.json nor the checkpoint tells its number of heads, and its width of {width} is not a \
             multiple of {HEAD}: say it with --heads"
        ))),
    }
}
