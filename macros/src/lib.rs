//! The macros of `mcp-vitals`. Use them by that crate's feature `macros`: the code that they write
//! names it.
#![forbid(unsafe_code)]

mod errors;
mod functions;
mod labels;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a set of labels, and an enum a label's value; the trait of the same name says how.
#[proc_macro_derive(Labels, attributes(label))]
pub fn labels(input: TokenStream) -> TokenStream {
    labels::derive(&parse_macro_input!(input as DeriveInput))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Counts and times each call of a function, as a request of this tool and operation is; within a
/// request it gives that its names, and counts nothing beside it.
///
/// `#[track_request_metrics(tool = "swarm.init", operation = "execute")]`
#[proc_macro_attribute]
pub fn track_request_metrics(keys: TokenStream, item: TokenStream) -> TokenStream {
    functions::wrap(&functions::TRACK_REQUEST_METRICS, keys.into(), item.into()).into()
}

/// Makes a span of each call of a tool's function; within a request it gives the request's span its
/// names, and makes none.
///
/// `#[trace_mcp_tool(tool = "swarm", operation = "init")]`; further `scope = "…"`, the tracer's name.
#[proc_macro_attribute]
pub fn trace_mcp_tool(keys: TokenStream, item: TokenStream) -> TokenStream {
    functions::wrap(&functions::TRACE_MCP_TOOL, keys.into(), item.into()).into()
}

/// Logs where a call of a function begins, and how it ended.
///
/// `#[log_operation(operation = "init", tool = "swarm")]`; further `level = "…"` of an end without an
/// error (`info`), and `logger = "…"`, its name.
#[proc_macro_attribute]
pub fn log_operation(keys: TokenStream, item: TokenStream) -> TokenStream {
    functions::wrap(&functions::LOG_OPERATION, keys.into(), item.into()).into()
}

/// Makes a span of each call of a function.
///
/// `#[traced]`, or `#[traced(name = "query", kind = "client", scope = "…", fields(rows = rows.len()))]`.
#[proc_macro_attribute]
pub fn traced(keys: TokenStream, item: TokenStream) -> TokenStream {
    functions::wrap(&functions::TRACED, keys.into(), item.into()).into()
}
