//! A struct: a set with a label for each field.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{
    DataStruct, DeriveInput, Fields, GenericParam, Generics, Ident, LitStr, Type, parse_quote,
};

use super::{attributes, check_name};
use crate::errors::Errors;

/// Most labels that one metric may have.
const MOST_LABELS: usize = 16;

pub(super) fn derive(input: &DeriveInput, data: &DataStruct) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let of_type = attributes::of_struct(&input.attrs, &mut errors);
    let ident = &input.ident;
    match &data.fields {
        Fields::Unnamed(fields) => {
            errors.at(fields, "labels are named after fields: give each field a name");
        }
        fields if fields.is_empty() => errors.at(
            ident,
            "a struct without fields has no labels: give it one, or register the metric without",
        ),
        fields => {
            if let Some(field) = fields.iter().nth(MOST_LABELS) {
                let message = format!("a metric has at most {MOST_LABELS} labels: leave some out");
                errors.at(&field.ident, message);
            }
        }
    }
    let mut set = Set { ident, generics: &input.generics, names: vec![], fields: vec![] };
    for field in &data.fields {
        let Some(ident) = &field.ident else { continue };
        let said = attributes::of_field(&field.attrs, &mut errors);
        let name = attributes::text_or(said, ident, str::to_owned);
        check_name(&name, "on the field", &mut errors);
        if set.names.iter().any(|earlier| earlier.value() == name.value()) {
            let message = format!(
                "another field's label is `{}` already: give one of them another by \
                 `#[label(name = \"…\")]`",
                name.value()
            );
            errors.at(&name, message);
        }
        set.names.push(name);
        set.fields.push((ident, &field.ty));
    }

    let krate = &of_type.krate;
    let body = set.body(of_type.open);
    let bounded = set.bounded();
    let generics = set.with_bounds();
    let (impl_generics, type_generics, bounds) = generics.split_for_impl();
    // The module's long name, because the host's own are seen beside it: a field's type may begin
    // with one.
    errors.or(quote_spanned! {Span::mixed_site()=>
        const _: () = {
            use #krate::__private as __mcp_vitals;

            #[automatically_derived]
            #[allow(deprecated)]
            impl #impl_generics __mcp_vitals::Labels for #ident #type_generics #bounds {
                #body
            }

            #bounded
        };
    })
}

struct Set<'a> {
    ident: &'a Ident,
    generics: &'a Generics,
    names: Vec<LitStr>,
    fields: Vec<(&'a Ident, &'a Type)>,
}

impl Set<'_> {
    /// What is in the `impl`.
    fn body(&self, open: bool) -> TokenStream {
        let here = Span::mixed_site();
        let (names, count) = (&self.names, self.names.len());
        // Each with the place of its field's type, where an error about it belongs.
        let values: Vec<TokenStream> = self
            .fields
            .iter()
            .map(|(_, ty)| {
                quote_spanned!(here.located_at(ty.span())=> <#ty as __mcp_vitals::LabelValue>)
            })
            .collect();
        let extent = values.iter().fold(quote!(__mcp_vitals::Finite), |all, value| {
            quote_spanned!(value.span()=> <#all as __mcp_vitals::Extent>::And<#value::Extent>)
        });
        let extent = if open { quote!(__mcp_vitals::Open) } else { extent };
        let fields = || self.fields.iter().map(|(field, _)| field).zip(&values);
        let texts =
            fields().map(|(field, value)| quote_spanned!(here=> #value::value(&self.#field)));
        // By mixed radix: each label a digit, the last one the lowest.
        let index = fields().fold(quote!(0usize), |above, (field, value)| {
            quote_spanned!(here=> #value::index_after(&self.#field, #above))
        });
        // Underscored: a constant of the host's with the same name would be a pattern, not a binding.
        let digits: Vec<Ident> =
            (0..count).map(|digit| format_ident!("__digit_{digit}", span = here)).collect();
        let take =
            digits.iter().zip(&values).rev().map(
                |(digit, value)| quote_spanned!(here=> let #digit = #value::take(&mut __rest);),
            );
        quote_spanned! {here=>
            type Extent = #extent;
            type Values<'__v> = [&'__v ::core::primitive::str; #count];
            const NAMES: [&'static ::core::primitive::str; #count] = [#(#names),*];
            const COUNT: ::core::primitive::usize = 1usize #(.saturating_mul(#values::COUNT))*;

            #[inline]
            fn index(&self) -> ::core::primitive::usize {
                #index
            }

            #[inline]
            fn values(&self) -> [&::core::primitive::str; #count] {
                [#(#texts),*]
            }

            fn at(index: ::core::primitive::usize) -> [&'static ::core::primitive::str; #count] {
                let mut __rest = index;
                #(#take)*
                [#(#digits),*]
            }
        }
    }

    /// The test of the number of combinations where the struct stands; nothing where that depends on
    /// its parameters: then it fails where a metric is registered.
    fn bounded(&self) -> Option<TokenStream> {
        let lifetimes = self.generics.params.iter().map(|param| match param {
            GenericParam::Lifetime(_) => Some(quote!('static)),
            _ => None,
        });
        let lifetimes: Vec<TokenStream> = lifetimes.collect::<Option<_>>()?;
        let ident = self.ident;
        Some(quote_spanned! {Span::mixed_site().located_at(ident.span())=>
            const _: () = __mcp_vitals::bounded::<#ident<#(#lifetimes),*>>();
        })
    }

    /// The struct's parameters, of which each type is a label value.
    fn with_bounds(&self) -> Generics {
        let mut generics = self.generics.clone();
        let types: Vec<Ident> = generics.type_params().map(|param| param.ident.clone()).collect();
        if !types.is_empty() {
            let bounds = generics.make_where_clause();
            for ident in types {
                bounds.predicates.push(parse_quote!(#ident: __mcp_vitals::LabelValue));
            }
        }
        generics
    }
}
