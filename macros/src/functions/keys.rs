//! What stands in an attribute's parentheses.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Ident, LitStr, Path, Token, parenthesized};

use super::Attribute;
use crate::errors::Errors;

pub(super) struct Keys {
    texts: Vec<(Ident, LitStr)>,
    pub(super) fields: Vec<Field>,
    /// The path of `mcp_vitals`.
    pub(super) krate: Option<Path>,
    /// Whether all could be read.
    whole: bool,
}

/// An attribute of a span.
pub(super) struct Field {
    pub(super) key: LitStr,
    pub(super) value: TokenTree,
    /// The function that puts it into words, where it is no value of its own.
    pub(super) shown: Option<&'static str>,
}

impl Keys {
    pub(super) fn parse(attribute: &Attribute, keys: TokenStream, errors: &mut Errors) -> Keys {
        let mut found = Keys { texts: Vec::new(), fields: Vec::new(), krate: None, whole: true };
        let read = |input: ParseStream<'_>| {
            while !input.is_empty() {
                found.key(attribute, input, errors)?;
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        let read = read.parse2(keys);
        if let Err(error) = read {
            // What is missing may stand behind it.
            errors.push(error);
            found.whole = false;
        }
        found
    }

    /// Says what is missing, where the function's name stands: a place that is nobody's macro.
    pub(super) fn check(&self, attribute: &Attribute, name: &Ident, errors: &mut Errors) {
        let missing = |needed: &&&str| self.whole && self.said(needed).is_none();
        for needed in attribute.needed.iter().filter(missing) {
            errors.at(name, format!("`#[{}]` needs {needed} = \"…\"", attribute.name));
        }
    }

    fn key(
        &mut self,
        attribute: &Attribute,
        input: ParseStream<'_>,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        let known = || format!("`#[{}]` takes {}", attribute.name, attribute.takes);
        if !input.peek(Ident::peek_any) {
            return Err(input.error(known()));
        }
        let key = input.call(Ident::parse_any)?;
        let word = key.to_string();
        if !attribute.keys.contains(&&*word) {
            let why = match &*word {
                "skip" | "skip_all" => {
                    "no argument is recorded unless `fields(…)` names it: leave it out; "
                }
                _ => "",
            };
            return Err(syn::Error::new_spanned(key, format!("{why}{}", known())));
        }
        let twice = "said twice: leave one of them";
        match &*word {
            "crate" => {
                input.parse::<Token![=]>()?;
                if self.krate.replace(input.call(Path::parse_mod_style)?).is_some() {
                    errors.at(&key, twice);
                }
            }
            "fields" => {
                let within;
                parenthesized!(within in input);
                while !within.is_empty() {
                    self.fields.push(field(&within)?);
                    if !within.is_empty() {
                        within.parse::<Token![,]>()?;
                    }
                }
            }
            _ => {
                input.parse::<Token![=]>()?;
                if !input.peek(LitStr) {
                    let message = format!("`{word}` takes a string literal: {word} = \"…\"");
                    return Err(input.error(message));
                }
                let text: LitStr = input.parse()?;
                if text.value().trim().is_empty() {
                    errors.at(&text, format!("`{word}` is empty: it is what this is found by"));
                }
                if self.said(&word).is_some() {
                    errors.at(&key, twice);
                } else {
                    self.texts.push((key, text));
                }
            }
        }
        Ok(())
    }

    /// What is said of `key`.
    pub(super) fn said(&self, key: &str) -> Option<&LitStr> {
        self.texts.iter().find(|(said, _)| said == key).map(|(_, text)| text)
    }

    /// What is said of `key`, which is needed: nothing is made where it is missing.
    pub(super) fn text(&self, key: &str) -> LitStr {
        self.said(key).cloned().unwrap_or_else(|| LitStr::new("", Span::call_site()))
    }

    /// Says `key` where nobody did.
    pub(super) fn set_default(&mut self, key: &str, name: &Ident) {
        if self.said(key).is_none() {
            let text = LitStr::new(&name.unraw().to_string(), name.span());
            self.texts.push((Ident::new(key, name.span()), text));
        }
    }

    /// The variant that is named after what is said of `key`.
    pub(super) fn one_of(
        &self,
        key: &str,
        words: &[&str],
        default: &str,
        errors: &mut Errors,
    ) -> Ident {
        let mut word = default;
        if let Some(said) = self.said(key) {
            match words.iter().find(|word| **word == said.value()) {
                Some(known) => word = known,
                None => {
                    errors
                        .at(said, format!("no such {key}; these are known: {}", words.join(", ")));
                }
            }
        }
        let (first, rest) = word.split_at(1);
        Ident::new(&format!("{}{rest}", first.to_uppercase()), Span::mixed_site())
    }
}

const FIELDS: &str = "a field is `key = value`, `\"any key\" = value`, or a variable by its name; `%value` is its \
     Display, `?value` its Debug";

/// One field, up to the comma behind it.
fn field(input: ParseStream<'_>) -> syn::Result<Field> {
    let shown = shown(input)?;
    if shown.is_some() || !(input.peek(LitStr) || is_key(input)) {
        if !input.peek(Ident) {
            return Err(input.error(FIELDS));
        }
        let name: Ident = input.parse()?;
        if !(input.is_empty() || input.peek(Token![,])) {
            return Err(input.error(FIELDS));
        }
        let key = LitStr::new(&name.unraw().to_string(), name.span());
        return Ok(Field { key, value: TokenTree::Ident(name), shown });
    }
    let key = match input.parse::<Option<LitStr>>()? {
        Some(key) => key,
        None => dotted(input)?,
    };
    if input.is_empty() || !input.peek(Token![=]) {
        return Err(input.error(FIELDS));
    }
    input.parse::<Token![=]>()?;
    let shown = self::shown(input)?;
    let value = value(input)?;
    Ok(Field { key, value, shown })
}

fn shown(input: ParseStream<'_>) -> syn::Result<Option<&'static str>> {
    if input.parse::<Option<Token![%]>>()?.is_some() {
        return Ok(Some("display"));
    }
    Ok(input.parse::<Option<Token![?]>>()?.map(|_| "debug"))
}

/// Whether a key comes, and not a variable alone.
fn is_key(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    dotted(&ahead).is_ok() && ahead.peek(Token![=])
}

/// `a.b.c`
fn dotted(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let first = input.call(Ident::parse_any)?;
    let mut key = first.unraw().to_string();
    while input.parse::<Option<Token![.]>>()?.is_some() {
        key.push('.');
        key.push_str(&input.call(Ident::parse_any)?.unraw().to_string());
    }
    Ok(LitStr::new(&key, first.span()))
}

/// An expression, as one token: what is in it is the compiler's affair. It ends at a comma that is
/// not within the angles of a `::<…>`.
fn value(input: ParseStream<'_>) -> syn::Result<TokenTree> {
    let mut tokens: Vec<TokenTree> = Vec::new();
    let mut depth = 0usize;
    while !input.is_empty() && (depth > 0 || !input.peek(Token![,])) {
        let angles = input.peek(Token![<]) && ends_with(&tokens, "::");
        let tree: TokenTree = input.parse()?;
        match tree.to_string().as_str() {
            "<" if angles || depth > 0 => depth += 1,
            ">" if depth > 0 && !ends_with(&tokens, "-") => depth -= 1,
            _ => {}
        }
        tokens.push(tree);
    }
    if tokens.is_empty() {
        return Err(input.error(FIELDS));
    }
    let span = tokens[0].span();
    let mut group = Group::new(Delimiter::None, tokens.into_iter().collect());
    group.set_span(span);
    Ok(TokenTree::Group(group))
}

fn ends_with(tokens: &[TokenTree], puncts: &str) -> bool {
    let is =
        |(tree, char): (&TokenTree, char)| tree.to_token_stream().to_string() == char.to_string();
    tokens.len() >= puncts.len() && tokens.iter().rev().zip(puncts.chars().rev()).all(is)
}
