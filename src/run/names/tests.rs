//! Tests of the grammar of names.
