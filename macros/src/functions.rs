//! The attributes of functions: one wrapper each, around what the function does.

mod item;
mod keys;
#[cfg(test)]
mod tests;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{LitStr, Path, parse_quote};

use crate::errors::Errors;
use item::{Body, Function};
use keys::{Field, Keys};

/// One of the attributes.
pub(crate) struct Attribute {
    /// As it is written.
    name: &'static str,
    /// What it takes, for whoever wrote something else.
    takes: &'static str,
    keys: &'static [&'static str],
    needed: &'static [&'static str],
    /// The static that looks up what it needs, from a path to what the code names.
    site: fn(&Keys, &Path, &mut Errors) -> TokenStream,
}

pub(crate) const TRACK_REQUEST_METRICS: Attribute = Attribute {
    name: "track_request_metrics",
    takes: "tool = \"…\", operation = \"…\", and crate = …",
    keys: &["tool", "operation", "crate"],
    needed: &["tool", "operation"],
    site: |keys, here, _| {
        let (tool, operation) = (keys.text("tool"), keys.text("operation"));
        quote!(static SITE: #here::Tracked = #here::Tracked::new(#tool, #operation);)
    },
};

pub(crate) const TRACE_MCP_TOOL: Attribute = Attribute {
    name: "trace_mcp_tool",
    takes: "tool = \"…\", operation = \"…\", scope = \"…\", and crate = …",
    keys: &["tool", "operation", "scope", "crate"],
    needed: &["tool", "operation"],
    site: |keys, here, _| {
        let (tool, operation) = (keys.text("tool"), keys.text("operation"));
        let name = format!("execute_tool {}.{}", tool.value(), operation.value());
        let scope = module_unless(keys.said("scope"));
        quote! {
            static SITE: #here::ToolTraced =
                #here::ToolTraced::new(#name, #tool, #operation, #scope);
        }
    },
};

pub(crate) const LOG_OPERATION: Attribute = Attribute {
    name: "log_operation",
    takes: "operation = \"…\", tool = \"…\", level = \"…\", logger = \"…\", and crate = …",
    keys: &["operation", "tool", "level", "logger", "crate"],
    needed: &["operation", "tool"],
    site: |keys, here, errors| {
        let (tool, operation) = (keys.text("tool"), keys.text("operation"));
        let levels = ["trace", "debug", "info", "warn", "error"];
        let level = keys.one_of("level", &levels, "info", errors);
        let logger = module_unless(keys.said("logger"));
        quote! {
            fn here() {}
            fn function() -> &'static ::core::primitive::str {
                #here::function_name(here)
            }
            static SITE: #here::Logged = #here::Logged::new(
                #operation,
                #tool,
                #here::Level::#level,
                #logger,
                #here::Place {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                    function,
                },
            );
        }
    },
};

pub(crate) const TRACED: Attribute = Attribute {
    name: "traced",
    takes: "name = \"…\", kind = \"…\", scope = \"…\", fields(…), and crate = …",
    keys: &["name", "kind", "scope", "fields", "crate"],
    needed: &[],
    site: |keys, here, errors| {
        let name = keys.text("name");
        let kinds = ["internal", "server", "client", "producer", "consumer"];
        let kind = keys.one_of("kind", &kinds, "internal", errors);
        let scope = module_unless(keys.said("scope"));
        quote! {
            static SITE: #here::Traced =
                #here::Traced::new(#name, #scope, #here::SpanKind::#kind);
        }
    },
};

/// What is said, else the path of the module.
fn module_unless(said: Option<&LitStr>) -> TokenStream {
    match said {
        Some(text) => text.to_token_stream(),
        None => quote!(::core::module_path!()),
    }
}

/// Puts the attribute's wrapper into the function `item`. Each error says where it is, and what to
/// do; `item` is then left as it is, so that nothing else goes wrong in its wake.
pub(crate) fn wrap(attribute: &Attribute, keys: TokenStream, item: TokenStream) -> TokenStream {
    try_wrap(attribute, keys, item.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #item)
    })
}

fn try_wrap(
    attribute: &Attribute,
    keys: TokenStream,
    item: TokenStream,
) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let mut keys = Keys::parse(attribute, keys, &mut errors);
    let function = match Function::parse(attribute.name, item) {
        Ok(function) => function,
        Err(error) => {
            errors.push(error);
            return errors.or(TokenStream::new());
        }
    };
    keys.check(attribute, &function.name, &mut errors);
    keys.set_default("name", &function.name);
    let krate: Path = keys.krate.clone().unwrap_or_else(|| parse_quote!(::mcp_vitals));
    let here = parse_quote!(#krate::__private::attributes);
    let site = (attribute.site)(&keys, &here, &mut errors);
    let wrapper = Wrapper { here, site, fields: &keys.fields };
    errors.or(wrapper.around(function))
}

/// What is around a function's body.
struct Wrapper<'a> {
    /// The path of what the code names.
    here: Path,
    site: TokenStream,
    fields: &'a [Field],
}

impl Wrapper<'_> {
    fn around(&self, function: Function) -> TokenStream {
        let Function { head, is_async, output, body, .. } = function;
        let span = Span::mixed_site();
        match body {
            Body::Whole(body) if is_async => {
                let watched = self.watched(&quote!(move), &body, &output);
                quote_spanned!(span=> #head { #watched })
            }
            Body::Whole(body) => {
                let (begin, failure, here) = (self.begin(), self.failure(&output), &self.here);
                let arrow = output.arrow();
                quote_spanned! {span=>
                    #head {
                        #begin
                        #here::run(__record, move || #arrow { #body }, #failure)
                    }
                }
            }
            Body::Future { before, block, by_move, after } => {
                let watched = self.watched(&by_move, &block, &output);
                let block = quote_spanned!(span=> async #by_move { #watched });
                let block = match after {
                    Some(()) => quote_spanned!(span=> (#block)),
                    None => block,
                };
                quote_spanned!(span=> #head { #before #block })
            }
        }
    }

    /// The statements of an `async` body.
    fn watched(
        &self,
        by_move: &TokenStream,
        body: &TokenStream,
        output: &item::Output,
    ) -> TokenStream {
        let (begin, failure, here) = (self.begin(), self.failure(output), &self.here);
        // Never run: from it the compiler learns the block's type, which it is not told otherwise.
        let typed = output.annotation().map(|output| {
            quote_spanned! {Span::mixed_site()=>
                #[allow(
                    unknown_lints,
                    unreachable_code,
                    clippy::all,
                    clippy::pedantic,
                    clippy::restriction
                )]
                if false {
                    let __output: #output = loop {};
                    return __output;
                }
            }
        });
        let watched = quote_spanned! {Span::mixed_site()=>
            #here::watch(__record, async #by_move { #typed #body }, #failure).await
        };
        match output.is_never() {
            false => quote_spanned!(Span::mixed_site()=> #begin #watched),
            true => quote_spanned! {Span::mixed_site()=>
                #begin
                #[allow(unreachable_code)]
                {
                    #watched;
                    ::core::unreachable!()
                }
            },
        }
    }

    /// Begins the record, and says more of it where it is a span.
    fn begin(&self) -> TokenStream {
        let (site, here) = (&self.site, &self.here);
        let span = Span::mixed_site();
        if self.fields.is_empty() {
            return quote_spanned!(span=> let __record = { #site SITE.begin() };);
        }
        let fields = self.fields.iter().map(|Field { key, value, shown }| {
            let value = match shown {
                None => quote_spanned!(span=> &#value),
                Some(shown) => {
                    let shown = format_ident!("{shown}");
                    quote_spanned!(span=> #here::#shown(&#value))
                }
            };
            quote_spanned!(span=> __span.set_attribute(#key, #value);)
        });
        quote_spanned! {span=>
            let mut __record = { #site SITE.begin() };
            if let ::core::option::Option::Some(__span) = #here::recording(&mut __record) {
                #(#fields)*
            }
        }
    }

    /// Looks whether the output is an error.
    fn failure(&self, output: &item::Output) -> TokenStream {
        let here = &self.here;
        if output.is_never() {
            return quote_spanned!(Span::mixed_site()=> |_| ::core::option::Option::None);
        }
        quote_spanned! {Span::mixed_site()=>
            |__output| {
                #[allow(unused_imports)]
                use #here::{
                    ViaAny as _, ViaCause as _, ViaDebug as _, ViaDisplay as _, ViaError as _,
                    ViaResult as _,
                };
                (&&&&&&#here::Of(__output)).failure()
            }
        }
    }
}
