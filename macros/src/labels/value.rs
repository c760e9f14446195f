//! An enum: a label's value, and a set of one label.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{DataEnum, DeriveInput, Fields, LitStr};

use super::words::Case;
use super::{attributes, check_name};
use crate::errors::Errors;

pub(super) fn derive(input: &DeriveInput, data: &DataEnum) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let of_type = attributes::of_enum(&input.attrs, &mut errors);
    let ident = &input.ident;
    if data.variants.is_empty() {
        errors.at(ident, "an enum without variants has no value that a label could take");
    }
    let mut values: Vec<LitStr> = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let message = format!(
                "a label value carries no data: make `{}` a unit variant, and of what it carries \
                 a label of its own where that takes few values",
                variant.ident
            );
            errors.at(&variant.fields, message);
        }
        let said = attributes::of_variant(&variant.attrs, &mut errors);
        let value = attributes::text_or(said, &variant.ident, |name| of_type.case.apply(name));
        check(&value, &values, &mut errors);
        values.push(value);
    }
    let name = attributes::text_or(of_type.name, ident, |name| Case::Snake.apply(name));
    check_name(&name, "on the enum", &mut errors);

    let krate = &of_type.krate;
    let count = values.len();
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let indices = 0..count;
    // Mixed site: what is bound here does not meet the host's names. The module's long name, because
    // the host's own modules are seen beside it.
    errors.or(quote_spanned! {Span::mixed_site()=>
        const _: () = {
            use #krate::__private as __mcp_vitals;

            #[automatically_derived]
            #[allow(deprecated)]
            impl __mcp_vitals::LabelValue for #ident {
                type Extent = __mcp_vitals::Finite;
                const COUNT: ::core::primitive::usize = #count;

                #[inline]
                fn value(&self) -> &::core::primitive::str {
                    match *self { #(#ident::#variants => #values,)* }
                }

                #[inline]
                fn index(&self) -> ::core::primitive::usize {
                    match *self { #(#ident::#variants => #indices,)* }
                }

                fn at(index: ::core::primitive::usize) -> &'static ::core::primitive::str {
                    [#(#values),*].get(index).copied().unwrap_or(__mcp_vitals::OTHER)
                }
            }

            #[automatically_derived]
            impl __mcp_vitals::Labels for #ident {
                type Extent = __mcp_vitals::Finite;
                type Values<'__v> = [&'__v ::core::primitive::str; 1];
                const NAMES: [&'static ::core::primitive::str; 1] = [#name];
                const COUNT: ::core::primitive::usize = #count;

                #[inline]
                fn index(&self) -> ::core::primitive::usize {
                    __mcp_vitals::LabelValue::index(self)
                }

                #[inline]
                fn values(&self) -> [&::core::primitive::str; 1] {
                    [__mcp_vitals::LabelValue::value(self)]
                }

                fn at(index: ::core::primitive::usize) -> [&'static ::core::primitive::str; 1] {
                    [<Self as __mcp_vitals::LabelValue>::at(index)]
                }
            }

            const _: () = __mcp_vitals::bounded::<#ident>();
        };
    })
}

/// No value is empty, the shared one, or there already.
fn check(value: &LitStr, earlier: &[LitStr], errors: &mut Errors) {
    let text = value.value();
    match text.as_str() {
        "" => errors.at(
            value,
            "an empty value is to Prometheus no label: say another by `#[label(\"…\")]`",
        ),
        "_other" => errors.at(
            value,
            "`_other` is what labels past a limit share: say another by `#[label(\"…\")]`",
        ),
        _ if earlier.iter().any(|earlier| earlier.value() == text) => {
            let message = format!(
                "another variant's value is `{text}` already: give one of them another by \
                 `#[label(\"…\")]`"
            );
            errors.at(value, message);
        }
        _ => {}
    }
}
