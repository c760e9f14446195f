//! `#[derive(Labels)]`: a struct is a set of labels, an enum a label's value.

mod attributes;
mod set;
#[cfg(test)]
mod tests;
mod value;
mod words;

use proc_macro2::TokenStream;
use syn::{Data, DeriveInput, LitStr};

use crate::errors::Errors;

/// The derive. Each error says where it is, and what to do.
pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    match &input.data {
        Data::Struct(data) => set::derive(input, data),
        Data::Enum(data) => value::derive(input, data),
        Data::Union(data) => Err(syn::Error::new_spanned(
            data.union_token,
            "labels are a struct's fields, or an enum's variants; a union has neither",
        )),
    }
}

/// Prometheus's rules, and the names that the engine would refuse at set-up.
fn check_name(name: &LitStr, place: &str, errors: &mut Errors) {
    let text = name.value();
    let mut bytes = text.bytes();
    let begin = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let matches =
        bytes.next().is_some_and(begin) && bytes.all(|byte| begin(byte) || byte.is_ascii_digit());
    let rule = match text.as_str() {
        _ if !matches => "it must match [a-zA-Z_][a-zA-Z0-9_]*",
        "le" => "it is the label of a histogram's buckets",
        "vitals_copy" => "it tells apart the textfiles of a server's copies",
        _ if text.starts_with("__") => "names that begin with __ are Prometheus's own",
        _ => return,
    };
    errors.at(
        name,
        format!(
            "`{text}` is no label name: {rule}; say another by `#[label(name = \"…\")]` {place}"
        ),
    );
}
