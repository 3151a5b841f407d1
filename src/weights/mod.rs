//! Weight space: which tensors span it, the path of a run through it, planes across it.

pub mod layout;
pub mod trajectory;
