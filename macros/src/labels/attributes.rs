//! `#[label(…)]`.

use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, LitStr, Meta, Path, Token, parse_quote};

use super::words::Case;
use crate::errors::Errors;

/// One entry of a `#[label(…)]`.
enum Entry {
    Text(LitStr),
    Name(Ident, LitStr),
    RenameAll(Ident, LitStr),
    Open(Ident),
    Crate(Ident, Path),
}

/// What a type says.
pub(super) struct OfType {
    pub(super) name: Option<LitStr>,
    pub(super) case: Case,
    pub(super) open: bool,
    /// The path of `mcp_vitals`.
    pub(super) krate: Path,
}

const KNOWN: &str =
    "`#[label(…)]` takes \"…\", name = \"…\", rename_all = \"…\", open, and crate = …";

impl Parse for Entry {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        if input.peek(LitStr) {
            return Ok(Entry::Text(input.parse()?));
        }
        if !input.peek(Ident::peek_any) {
            return Err(input.error(KNOWN));
        }
        let key = input.call(Ident::parse_any)?;
        let is = || input.parse::<Token![=]>();
        match key.to_string().as_str() {
            "name" => is().and_then(|_| Ok(Entry::Name(key, input.parse()?))),
            "rename_all" => is().and_then(|_| Ok(Entry::RenameAll(key, input.parse()?))),
            "crate" => is().and_then(|_| Ok(Entry::Crate(key, input.call(Path::parse_mod_style)?))),
            "open" => Ok(Entry::Open(key)),
            _ => Err(syn::Error::new_spanned(key, KNOWN)),
        }
    }
}

/// The entries of all `#[label(…)]` among `attributes`.
fn entries(attributes: &[Attribute], errors: &mut Errors) -> Vec<Entry> {
    let mut found = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("label")) {
        if !matches!(attribute.meta, Meta::List(_)) {
            errors.at(attribute, "write `#[label(…)]`, with parentheses");
            continue;
        }
        match attribute.parse_args_with(Punctuated::<Entry, Token![,]>::parse_terminated) {
            Ok(entries) => found.extend(entries),
            Err(error) => errors.push(error),
        }
    }
    found
}

/// Puts `new` into `place`, once.
fn once<T>(place: &mut Option<T>, new: T, key: impl quote::ToTokens, errors: &mut Errors) {
    if place.replace(new).is_some() {
        errors.at(key, "said twice: leave one of them");
    }
}

/// What stands on an enum, which may have `rename_all` and a `name`.
pub(super) fn of_enum(attributes: &[Attribute], errors: &mut Errors) -> OfType {
    of_type(attributes, true, errors)
}

/// What stands on a struct, which may be `open`.
pub(super) fn of_struct(attributes: &[Attribute], errors: &mut Errors) -> OfType {
    of_type(attributes, false, errors)
}

fn of_type(attributes: &[Attribute], is_enum: bool, errors: &mut Errors) -> OfType {
    let (mut name, mut case, mut open, mut krate) = (None, None, None, None);
    for entry in entries(attributes, errors) {
        match entry {
            Entry::Crate(key, path) => once(&mut krate, path, key, errors),
            Entry::Name(key, text) if is_enum => once(&mut name, text, key, errors),
            Entry::RenameAll(key, text) if is_enum => {
                match Case::NAMES.iter().find(|(name, _)| *name == text.value()) {
                    Some((_, known)) => once(&mut case, *known, key, errors),
                    None => {
                        let known = Case::NAMES.map(|(name, _)| name).join(", ");
                        errors.at(text, format!("no such case; these are known: {known}"));
                    }
                }
            }
            Entry::Open(key) if !is_enum => once(&mut open, (), key, errors),
            Entry::Open(key) => errors.at(
                key,
                "an enum's values are all known; `open` is for a struct with too many combinations",
            ),
            Entry::Name(key, _) => errors.at(
                key,
                "a struct has a name for each label: put `#[label(name = \"…\")]` on a field",
            ),
            Entry::RenameAll(key, _) => errors.at(
                key,
                "a struct's fields are named one by one: put `#[label(name = \"…\")]` on a field",
            ),
            Entry::Text(text) => errors.at(
                text,
                "a text is a variant's value; on an enum, `name = \"…\"` is the label's name",
            ),
        }
    }
    OfType {
        name,
        case: case.unwrap_or(Case::Snake),
        open: open.is_some(),
        krate: krate.unwrap_or_else(|| parse_quote!(::mcp_vitals)),
    }
}

/// The value that a variant says, if it says one.
pub(super) fn of_variant(attributes: &[Attribute], errors: &mut Errors) -> Option<LitStr> {
    let mut value = None;
    for entry in entries(attributes, errors) {
        match entry {
            Entry::Text(text) => once(&mut value, text.clone(), text, errors),
            Entry::Name(key, _) => {
                errors.at(key, "a variant has no name but a value: write `#[label(\"…\")]`");
            }
            Entry::RenameAll(key, _) | Entry::Open(key) | Entry::Crate(key, _) => {
                errors.at(key, "this is for the whole type; a variant takes `#[label(\"…\")]`");
            }
        }
    }
    value
}

/// The name that a field says, if it says one.
pub(super) fn of_field(attributes: &[Attribute], errors: &mut Errors) -> Option<LitStr> {
    let mut name = None;
    for entry in entries(attributes, errors) {
        match entry {
            Entry::Name(key, text) => once(&mut name, text, key, errors),
            Entry::Text(text) => {
                errors.at(text, "for the label's name write `#[label(name = \"…\")]`");
            }
            Entry::RenameAll(key, _) | Entry::Open(key) | Entry::Crate(key, _) => {
                errors.at(key, "this is for the whole type; a field takes `#[label(name = \"…\")]`")
            }
        }
    }
    name
}

/// What is said, else what is made of the name of what it stands on.
pub(super) fn text_or(
    said: Option<LitStr>,
    name: &Ident,
    make: impl FnOnce(&str) -> String,
) -> LitStr {
    said.unwrap_or_else(|| LitStr::new(&make(&name.unraw().to_string()), name.span()))
}
