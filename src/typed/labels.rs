//! What a label set and a label value are, and whether their number is known.

use std::any::Any;
use std::borrow::{Borrow, Cow};
use std::sync::Arc;

use super::{AnyFamily, MOST_COMBINATIONS, OTHER, Typed};
use crate::{Desc, Error, Family, Kind, Vitals};

/// A set of labels: `#[derive(Labels)]`, of the feature `macros`, makes one of a struct or an enum.
///
/// Recorded by a [`Typed`] metric, where there is an example. A name that is wrong does not compile;
/// by name ([`Metric`](crate::Metric)) it is counted in `mcp_vitals_mismatched_total`.
///
/// # A struct
/// Each field is a label: its name the label's name unless `#[label(name = "…")]` gives another, its
/// type a [`LabelValue`]. At most 16 fields; the names follow Prometheus's rules.
///
/// Where every field is finite (derived enums, `bool`), so is the set: up to 4,096 combinations, each
/// with its place in a table, found without hashing. A larger set does not compile, unless the struct
/// says `#[label(open)]`: it is then looked up by its values, as a set with a text among its fields.
/// A public struct's enums are public too.
///
/// # An enum
/// A label value: for a struct's field, or alone as the only label of a set, named after the type
/// (`Status` is `status`; `#[label(name = "…")]` on the enum gives another). Variants carry no data.
/// Their values are their names in snake_case (`RateLimited` is `rate_limited`);
/// `#[label(rename_all = "…")]` on the enum chooses another case, `#[label("…")]` on a variant its
/// value. No two are the same, none is empty (to Prometheus no label) or `_other` (what labels past
/// a limit share).
///
/// # Where the crate has another name
/// `#[label(crate = path::to::mcp_vitals)]` on the type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of labels",
    note = "derive `Labels` for a struct whose fields are the labels, or for an enum that is the only label"
)]
pub trait Labels {
    /// [`Finite`] or [`Open`].
    #[doc(hidden)]
    type Extent: Extent;
    /// `[&str; N]`.
    #[doc(hidden)]
    type Values<'v>: Values<'v>;
    #[doc(hidden)]
    const NAMES: Self::Values<'static>;
    /// Combinations; of an open set only those of its finite labels.
    #[doc(hidden)]
    const COUNT: usize;
    /// Below `COUNT`; no meaning in an open set.
    #[doc(hidden)]
    fn index(&self) -> usize;
    /// In the order of `NAMES`.
    #[doc(hidden)]
    fn values(&self) -> Self::Values<'_>;
    /// The values of the set that has this index; no meaning for an open one.
    #[doc(hidden)]
    fn at(index: usize) -> Self::Values<'static>;
}

/// One label's value: a fieldless enum with `#[derive(Labels)]`, a `bool`, or a text.
///
/// Numbers are none: each would be a series of its own. Name their ranges by an enum, or record
/// them into a histogram.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a label value",
    label = "not a label value",
    note = "a label value is an enum with `#[derive(Labels)]`, a `bool`, or a text: `&str`, `String`, `Cow<str>`",
    note = "each number would be a series of its own: name ranges by an enum, or record it into a histogram"
)]
pub trait LabelValue {
    #[doc(hidden)]
    type Extent: Extent;
    /// Values there are; 1 where that is not known.
    #[doc(hidden)]
    const COUNT: usize;
    /// The text.
    fn value(&self) -> &str;
    /// Below `COUNT`.
    #[doc(hidden)]
    fn index(&self) -> usize {
        0
    }
    /// The text of the value that has this index.
    #[doc(hidden)]
    fn at(_index: usize) -> &'static str {
        OTHER
    }
    /// The index of a set of which this is a label, after those whose index is `above`. Wrapping: of
    /// an open set neither the product nor the index is bounded, or used.
    #[doc(hidden)]
    #[inline]
    fn index_after(&self, above: usize) -> usize {
        above.wrapping_mul(Self::COUNT).wrapping_add(self.index())
    }
    /// The text of the last label in a set of this index, of which those before it are left.
    #[doc(hidden)]
    fn take(index: &mut usize) -> &'static str {
        let value = Self::at(*index % Self::COUNT);
        *index /= Self::COUNT;
        value
    }
}

/// Whether all values are known beforehand: decides how [`Typed`] finds a handle, and gives it.
pub trait Extent: Sized {
    /// Finite only if both are.
    type And<Other: Extent>: Extent;
    /// `&'f K` or `K`.
    type Handle<'f, K: Kind>: Borrow<K>;
    /// Whether this is [`Finite`].
    const FINITE: bool;
    /// The handle of one set.
    fn find<'f, K: Kind, L: Labels>(typed: &'f Typed<K, L>, labels: &L) -> Self::Handle<'f, K>;
}

/// All values are known: each set has a place in a table.
pub enum Finite {}

/// Some label is any text: sets are looked up by their values.
pub enum Open {}

impl Extent for Finite {
    type And<Other: Extent> = Other;
    type Handle<'f, K: Kind> = &'f K;
    const FINITE: bool = true;

    #[inline]
    fn find<'f, K: Kind, L: Labels>(typed: &'f Typed<K, L>, labels: &L) -> &'f K {
        typed.at(labels.index())
    }
}

impl Extent for Open {
    type And<Other: Extent> = Open;
    type Handle<'f, K: Kind> = K;
    const FINITE: bool = false;

    #[inline]
    fn find<K: Kind, L: Labels>(typed: &Typed<K, L>, labels: &L) -> K {
        typed.look_up(labels)
    }
}

/// `[&str; N]`, where `N` can't be named: an associated constant is no array's length.
pub trait Values<'v>: Sized {
    /// Registers `desc` with these label names.
    fn register<K: Kind>(
        self,
        vitals: &Vitals,
        desc: Desc<K, 0>,
        declared: impl Iterator<Item = Self>,
    ) -> Result<Box<dyn AnyFamily<K>>, Error>;
    /// The handle of these values, in a family that was registered with as many names.
    fn look_up<K: Kind>(self, family: &dyn AnyFamily<K>) -> K;
}

impl<'v, const N: usize> Values<'v> for [&'v str; N] {
    fn register<K: Kind>(
        self,
        vitals: &Vitals,
        desc: Desc<K, 0>,
        declared: impl Iterator<Item = Self>,
    ) -> Result<Box<dyn AnyFamily<K>>, Error> {
        Ok(Box::new(vitals.register(desc.labels(self).declare(declared))?))
    }

    #[inline]
    fn look_up<K: Kind>(self, family: &dyn AnyFamily<K>) -> K {
        match (family as &dyn Any).downcast_ref::<Family<K, N>>() {
            Some(family) => family.with(self),
            // Names and values come from one `Labels`.
            None => family.other(),
        }
    }
}

/// Refuses to compile a finite set that is too large for a table.
pub const fn bounded<L: Labels>() {
    assert!(
        !L::Extent::FINITE || L::COUNT <= MOST_COMBINATIONS,
        "these labels make more than 4096 combinations: take one out, or say #[label(open)] on the \
         struct to have them looked up by their values, under the metric's series limit"
    );
}

impl LabelValue for str {
    type Extent = Open;
    const COUNT: usize = 1;

    #[inline]
    fn value(&self) -> &str {
        self
    }
}

impl LabelValue for bool {
    type Extent = Finite;
    const COUNT: usize = 2;

    #[inline]
    fn value(&self) -> &str {
        Self::at(self.index())
    }

    #[inline]
    fn index(&self) -> usize {
        usize::from(*self)
    }

    #[inline]
    fn at(index: usize) -> &'static str {
        if index == 0 { "false" } else { "true" }
    }
}

impl<T: LabelValue + ?Sized> LabelValue for &T {
    type Extent = T::Extent;
    const COUNT: usize = T::COUNT;

    #[inline]
    fn value(&self) -> &str {
        T::value(self)
    }

    #[inline]
    fn index(&self) -> usize {
        T::index(self)
    }

    #[inline]
    fn at(index: usize) -> &'static str {
        T::at(index)
    }
}

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl LabelValue for $text {
            type Extent = Open;
            const COUNT: usize = 1;

            #[inline]
            fn value(&self) -> &str {
                self
            }
        }
    )*};
}
texts!(String, Cow<'_, str>, Box<str>, Arc<str>);
