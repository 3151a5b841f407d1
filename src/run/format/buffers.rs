//! Tensors of a model that are no parameters, by their names and shapes.

use std::collections::HashSet;

use super::TensorInfo;

/// Last parts of the names of buffers: counters, position tables, masks, schedules of a diffusion, averages of
/// a codebook, ranges of an observer.
const BUFFERS: [&str; 38] = [
    "num_batches_tracked",
    "queue_ptr",
    "position_ids",
    "pe",
    "inv_freq",
    "original_inv_freq",
    "freqs_cis",
    "cos_cached",
    "sin_cached",
    "relative_position_index",
    "relative_coords_table",
    "attn_mask",
    "masked_bias",
    "causal_mask",
    "tril",
    "pixel_mean",
    "pixel_std",
    "anchor_grid",
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "embed_avg",
    "cluster_size",
    "ema_cluster_size",
    "_ema_cluster_size",
    "min_val",
    "max_val",
    "fake_quant_enabled",
    "observer_enabled",
];

/// The buffers of a state dict, which training does not move by gradients; running statistics apart.
#[derive(Debug)]
pub struct Buffers<'a> {
    names: HashSet<&'a str>,
}

impl<'a> Buffers<'a> {
    /// Looks at all names, because spectral norm's vectors are recognized by the weight beside them.
    #[must_use]
    pub fn of(tensors: &'a [TensorInfo]) -> Self {
        let names = tensors.iter().map(|tensor| tensor.name.as_str());
        Self {
            names: names.collect(),
        }
    }

    /// Returns true for a buffer.
    #[must_use]
    pub fn has(&self, tensor: &TensorInfo) -> bool {
        let (name, shape) = (tensor.name.as_str(), tensor.shape.as_slice());
        let mut parts = name.rsplit('.');
        let last = parts.next().unwrap_or_default();
        let within = parts.next().unwrap_or_default();
        // GPT-2 keeps its causal mask as the bias of its attention: square, behind leading ones.
        let is_square = matches!(shape, [ones @ .., rows, columns]
            if rows == columns && !ones.is_empty() && ones.iter().all(|one| *one == 1));
        let in_attention = within.contains("attn") || within == "attention";
        let is_queue = last.trim_end_matches(|c: char| c.is_ascii_digit()) == "queue"
            || last.starts_with("queue_")
            || last.ends_with("_queue");
        let is_rotary =
            within == "rotary_emb" && (last.starts_with("cos") || last.starts_with("sin"));
        let is_base = last == "base" && name.contains("parametrizations.");
        BUFFERS.contains(&last)
            || is_queue
            || is_rotary
            || is_base
            || self.is_of_spectral_norm(name, shape)
            || is_square && in_attention && matches!(last, "bias" | "mask")
    }

    /// Returns true for the vectors u and v of spectral norm: `weight_u` beside `weight_orig`, whatever the weight is
    /// called; `u0` beside `sv0`; `_u` within a parametrization. The weight norm of old has a `weight_v`
    /// that is trained, beside `weight_g`.
    fn is_of_spectral_norm(&self, name: &str, shape: &[usize]) -> bool {
        let beside =
            |front: &str, back: &str| self.names.contains(format!("{front}{back}").as_str());
        if shape.len() > 1 && !matches!(shape, [1, _]) {
            return false;
        }
        if let Some(weight) = name.strip_suffix("_u").or(name.strip_suffix("_v")) {
            let is_parametrization = weight.ends_with('.') && name.contains("parametrizations.");
            return is_parametrization || beside(weight, "_orig") || beside(weight, "_bar");
        }
        let is_numbered = |mark: &str, other: &str| {
            let (front, number) = name.rsplit_once(mark).unwrap_or_default();
            let at_start = front.is_empty() || front.ends_with('.');
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            at_start && digits && beside(front, &format!("{other}{number}"))
        };
        is_numbered("sv", "u") || is_numbered("u", "sv")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dtype;
    use super::*;

    /// Returns the names of the buffers among tensors of these names and shapes.
    fn buffers<'a>(tensors: &[(&'a str, &[usize])]) -> Vec<&'a str> {
        let all: Vec<TensorInfo> = tensors
            .iter()
            .map(|(name, shape)| TensorInfo {
                name: (*name).to_owned(),
                shape: shape.to_vec(),
                dtype: Dtype::F32,
            })
            .collect();
        let buffers = Buffers::of(&all);
        let both = tensors.iter().zip(&all);
        let found = both.filter(|(_, tensor)| buffers.has(tensor));
        found.map(|((name, _), _)| *name).collect()
    }

    #[test]
    fn spectral_norm_is_told_by_the_weight_beside_it() {
        let named: [(&str, &[usize]); 3] = [
            ("a.kernel_orig", &[4, 3]),
            ("a.kernel_u", &[4]),
            ("a.kernel_v", &[3]),
        ];
        assert_eq!(buffers(&named), ["a.kernel_u", "a.kernel_v"]);
        let big_gan: [(&str, &[usize]); 3] =
            [("b.weight", &[4, 3]), ("b.u0", &[1, 4]), ("b.sv0", &[1])];
        assert_eq!(buffers(&big_gan), ["b.u0", "b.sv0"]);
        let new = "c.parametrizations.weight.0._u";
        assert_eq!(buffers(&[(new, &[4])]), [new]);
    }

    #[test]
    fn names_that_only_look_so_are_trained() {
        let old: [(&str, &[usize]); 2] = [("a.weight_g", &[4, 1]), ("a.weight_v", &[4, 3])];
        assert!(buffers(&old).is_empty());
        let gates: [(&str, &[usize]); 3] = [
            ("gate.weight_u", &[4]),
            ("gate.weight_v", &[4]),
            ("u0", &[4]),
        ];
        assert!(buffers(&gates).is_empty());
        assert!(buffers(&[("layer.attn.bias", &[4])]).is_empty());
        // A learned bias of each head, and learned frequencies.
        assert!(buffers(&[("layer.attn.bias", &[1, 4, 8, 8])]).is_empty());
        assert!(buffers(&[("rotary_emb.freqs", &[8])]).is_empty());
    }

    #[test]
    fn masks_and_tables_are_buffers() {
        let all: [(&str, &[usize]); 8] = [
            ("h.0.attn.bias", &[1, 1, 8, 8]),
            ("h.0.attn.rotary_emb.cos", &[8, 2]),
            ("encoder.pe", &[8, 1, 4]),
            ("queue", &[4, 8]),
            ("image_queue", &[4, 8]),
            ("queue2", &[4, 8]),
            ("attn.mask", &[1, 1, 8, 8]),
            ("fc.parametrizations.weight.0.base", &[4, 4]),
        ];
        assert_eq!(buffers(&all).len(), 8);
    }
}
