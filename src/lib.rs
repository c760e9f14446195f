//! Observability for MCP servers: metrics, logs and traces for nanoseconds a record.
#![deny(unsafe_code)]
