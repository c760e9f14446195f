//! Models of the rings' orderings, run by loom.
