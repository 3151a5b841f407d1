//! Tensors of a model that are no parameters, by their names and shapes.

/// Last parts of the names of buffers.
const BUFFERS: [&str; 16] = [
    "num_batches_tracked",
    "weight_u",
    "weight_v",
    "_u",
    "_v",
    "queue",
    "queue_ptr",
    "position_ids",
    "inv_freq",
    "original_inv_freq",
    "relative_position_index",
    "relative_coords_table",
    "attn_mask",
    "masked_bias",
    "causal_mask",
    "freqs_cis",
];

/// True for a buffer that training does not move by gradients, running statistics apart.
#[must_use]
pub fn is_buffer(name: &str, shape: &[usize]) -> bool {
    let mut parts = name.rsplit('.');
    let last = parts.next().unwrap_or_default();
    // GPT-2 keeps its causal mask as the bias of its attention: square, behind leading ones.
    let is_mask = matches!(shape, [1, .., rows, columns] if rows == columns && shape.len() > 2);
    let in_attention = parts
        .next()
        .is_some_and(|part| part.contains("attn") || part == "attention");
    // Spectral norm's vectors; the weight norm of old has a whole matrix of that name, which is trained.
    let is_matrix = matches!(last, "weight_v" | "_v") && shape.len() > 1;
    (BUFFERS.contains(&last) && !is_matrix)
        || name.split('.').any(|part| part == "rotary_emb")
        || (last == "bias" && is_mask && in_attention)
}
