//! A function, as far as an attribute has to know it. By its tokens: what is in its body or between
//! its angles is the compiler's affair, and reading it would be most of the macro's time.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{ParseStream, Parser as _};
use syn::{GenericArgument, PathArguments, Type};

pub(super) struct Function {
    /// All that stands before the body.
    pub(super) head: TokenStream,
    pub(super) name: Ident,
    pub(super) is_async: bool,
    /// Of the future, where it makes one.
    pub(super) output: Output,
    pub(super) body: Body,
}

/// What is recorded.
pub(super) enum Body {
    /// All of it: what is between its braces.
    Whole(TokenStream),
    /// The `async` block at its end, which others have made of an `async fn`.
    Future {
        before: TokenStream,
        block: TokenStream,
        by_move: TokenStream,
        /// Whether the block stands in the parentheses of a `Box::pin`.
        after: Option<()>,
    },
}

/// What a function gives back.
pub(super) enum Output {
    Unit,
    Never,
    Type(Box<Type>),
    /// It is not written in so many words.
    Unknown,
}

impl Output {
    fn of(tokens: TokenStream) -> Output {
        match syn::parse2::<Type>(tokens) {
            Ok(Type::Never(_)) => Output::Never,
            Ok(output) => Output::named(output),
            Err(_) => Output::Unknown,
        }
    }

    fn named(mut output: Type) -> Output {
        let whole = matches!(output, Type::ImplTrait(_));
        infer_impls(&mut output);
        if whole { Output::Unknown } else { Output::Type(Box::new(output)) }
    }

    /// For a closure.
    pub(super) fn arrow(&self) -> TokenStream {
        match self {
            Output::Unit | Output::Unknown => TokenStream::new(),
            Output::Never => quote!(-> !),
            Output::Type(output) => quote!(-> #output),
        }
    }

    /// For a variable.
    pub(super) fn annotation(&self) -> Option<TokenStream> {
        match self {
            Output::Unit => Some(quote_spanned!(Span::mixed_site()=> ())),
            Output::Never | Output::Unknown => None,
            Output::Type(output) => Some(output.to_token_stream()),
        }
    }

    pub(super) fn is_never(&self) -> bool {
        matches!(self, Output::Never)
    }
}

/// What `impl Trait` stands for can't be named in a body: the compiler finds it out.
fn infer_impls(output: &mut Type) {
    match output {
        Type::ImplTrait(_) => *output = Type::Verbatim(quote_spanned!(Span::mixed_site()=> _)),
        Type::Array(array) => infer_impls(&mut array.elem),
        Type::Group(group) => infer_impls(&mut group.elem),
        Type::Paren(paren) => infer_impls(&mut paren.elem),
        Type::Ptr(pointer) => infer_impls(&mut pointer.elem),
        Type::Reference(reference) => infer_impls(&mut reference.elem),
        Type::Slice(slice) => infer_impls(&mut slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(infer_impls),
        Type::Path(path) => {
            for segment in &mut path.path.segments {
                let PathArguments::AngleBracketed(of) = &mut segment.arguments else { continue };
                for argument in &mut of.args {
                    if let GenericArgument::Type(ty) = argument {
                        infer_impls(ty);
                    }
                }
            }
        }
        _ => {}
    }
}

fn is_ident(tree: Option<&TokenTree>, name: &str) -> bool {
    matches!(tree, Some(TokenTree::Ident(ident)) if ident == name)
}

fn is_punct(tree: Option<&TokenTree>, char: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

fn group(tree: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// The braces at the end, which a macro may have wrapped.
fn braces(tree: Option<&TokenTree>) -> Option<Group> {
    if let Some(wrapped) = group(tree, Delimiter::None) {
        return braces(wrapped.stream().into_iter().next().as_ref());
    }
    group(tree, Delimiter::Brace).cloned()
}

/// The place behind the angles that begin at `at`.
fn behind_angles(trees: &[TokenTree], mut at: usize) -> usize {
    let mut depth = 0;
    while at < trees.len() {
        // An arrow's is no angle.
        let arrow = at > 0 && is_punct(trees.get(at - 1), '-');
        if is_punct(trees.get(at), '<') {
            depth += 1;
        } else if is_punct(trees.get(at), '>') && !arrow {
            depth -= 1;
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

impl Function {
    pub(super) fn parse(attribute: &str, item: TokenStream) -> syn::Result<Function> {
        let trees: Vec<TokenTree> = item.into_iter().collect();
        let span = |at: usize| trees.get(at).map_or_else(Span::call_site, TokenTree::span);
        let refuse = |at: usize, why: &str| {
            Err(syn::Error::new(span(at), format!("`#[{attribute}]` {why}")))
        };
        let mut at = 0;
        while is_punct(trees.get(at), '#') && group(trees.get(at + 1), Delimiter::Bracket).is_some()
        {
            at += 2;
        }
        if group(trees.get(at), Delimiter::None).is_some() {
            at += 1;
        } else if is_ident(trees.get(at), "pub") {
            at += 1;
            at += usize::from(group(trees.get(at), Delimiter::Parenthesis).is_some());
        }
        let mut is_async = false;
        let begin = at;
        loop {
            match trees.get(at) {
                tree if is_ident(tree, "async") => is_async = true,
                tree if is_ident(tree, "const") && !is_ident(trees.get(at + 1), "fn") => {
                    let more = ["async", "unsafe", "extern"];
                    if !more.iter().any(|word| is_ident(trees.get(at + 1), word)) {
                        return refuse(begin, NO_FUNCTION);
                    }
                }
                tree if ["const", "unsafe", "extern"].iter().any(|word| is_ident(tree, word)) => {}
                Some(TokenTree::Literal(_)) if at > begin => {}
                _ => break,
            }
            at += 1;
        }
        let (true, Some(TokenTree::Ident(name))) =
            (is_ident(trees.get(at), "fn"), trees.get(at + 1))
        else {
            return refuse(begin, NO_FUNCTION);
        };
        if let Some(word) = (begin..at).find(|&word| is_ident(trees.get(word), "const")) {
            return refuse(
                word,
                "can't be on a `const fn`: there is no clock and no engine where the compiler runs \
                 it; leave `const` out, or call it from a function that has the attribute",
            );
        }
        if let Some(word) = (begin..at).find(|&word| is_ident(trees.get(word), "unsafe")) {
            return refuse(
                word,
                "can't be on an `unsafe fn`: its body would stand in a closure, where it is not \
                 unsafe; put the attribute on a safe function that calls it",
            );
        }
        let Some(body) = braces(trees.last()) else {
            return refuse(
                at + 1,
                "needs a function with a body: put it on the one that implements the trait's",
            );
        };
        let mut behind = at + 2;
        if is_punct(trees.get(behind), '<') {
            behind = behind_angles(&trees, behind);
        }
        // The parameters.
        behind += 1;
        let rest = &trees[behind.min(trees.len() - 1)..trees.len() - 1];
        let arrow = is_punct(rest.first(), '-') && is_punct(rest.get(1), '>');
        let output = if arrow { &rest[2..] } else { &[] };
        let end = output.iter().position(|tree| is_ident(Some(tree), "where"));
        let output = &output[..end.unwrap_or(output.len())];
        let head = trees[..trees.len() - 1].iter().cloned().collect();
        let (name, written) = (name.clone(), output.iter().cloned().collect::<TokenStream>());
        let whole = || if arrow { Output::of(written.clone()) } else { Output::Unit };
        if is_async {
            let body = Body::Whole(body.stream());
            return Ok(Function { head, name, is_async, output: whole(), body });
        }
        if let Some(body) = future_at_end(body.stream()) {
            let output = of_future(written);
            return Ok(Function { head, name, is_async, output, body });
        }
        let future = ["Future", "BoxFuture", "LocalBoxFuture"];
        let is_future = |tree: &&TokenTree| future.iter().any(|word| is_ident(Some(tree), word));
        if let Some(future) = output.iter().find(is_future) {
            let why = "would record how long it takes to make this future, and not to run it; write \
                       `async fn`, or end the body with an `async` block or with \
                       `Box::pin(async move { … })`";
            return Err(syn::Error::new(future.span(), format!("`#[{attribute}]` {why}")));
        }
        let body = Body::Whole(body.stream());
        Ok(Function { head, name, is_async, output: whole(), body })
    }
}

const NO_FUNCTION: &str = "goes on a function: `fn` or `async fn`, free or a method";

/// A body's `async` block, where that is all that is left to do at its end.
fn future_at_end(body: TokenStream) -> Option<Body> {
    let mut before: Vec<TokenTree> = body.into_iter().collect();
    let last = before.pop()?;
    let last = Some(&last);
    if let Some(pinned) = group(last, Delimiter::Parenthesis) {
        let ends = ["pin", ":", ":", "Box"];
        let is = |(tree, end): (&TokenTree, &str)| tree.to_string() == end;
        if before.len() < ends.len() || !before.iter().rev().zip(ends).all(is) {
            return None;
        }
        let mut within: Vec<TokenTree> = pinned.stream().into_iter().collect();
        if is_punct(within.last(), ',') {
            within.pop();
        }
        let block = group(within.pop().as_ref(), Delimiter::Brace)?.stream();
        let by_move = keywords(&mut within)?;
        let before = before.into_iter().collect();
        return within.is_empty().then_some(Body::Future {
            before,
            block,
            by_move,
            after: Some(()),
        });
    }
    let block = group(last, Delimiter::Brace)?.stream();
    let by_move = keywords(&mut before)?;
    Some(Body::Future { before: before.into_iter().collect(), block, by_move, after: None })
}

/// Takes `async` or `async move` from the end, and gives the second word.
fn keywords(before: &mut Vec<TokenTree>) -> Option<TokenStream> {
    let by_move = if is_ident(before.last(), "move") { before.pop() } else { None };
    let is_async = is_ident(before.last(), "async");
    before.pop();
    is_async.then(|| by_move.into_iter().collect())
}

/// What a future gives, which a function says that it gives back.
fn of_future(written: TokenStream) -> Output {
    let trees: Vec<TokenTree> = written.into_iter().collect();
    let Some(at) = (0..trees.len())
        .find(|&at| is_ident(trees.get(at), "Output") && is_punct(trees.get(at + 1), '='))
    else {
        return Output::Unknown;
    };
    let behind: TokenStream = trees[at + 2..].iter().cloned().collect();
    let first = |input: ParseStream<'_>| {
        let output = input.call(Type::without_plus)?;
        input.parse::<TokenStream>()?;
        Ok(output)
    };
    match first.parse2(behind) {
        Ok(Type::Never(_)) | Err(_) => Output::Unknown,
        Ok(output) => Output::named(output),
    }
}
