//! The macros of `mcp-vitals`. Use them by that crate's feature `macros`: the code that they write
//! names it.
#![forbid(unsafe_code)]

mod errors;
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
