//! What needs no derive; the rest is in `tests/typed_labels.rs`.
