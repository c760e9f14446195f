//! The families of a collector, said when it is registered.

use super::samples::Collected;
use crate::metrics::{Counter, Desc, Gauge};
use crate::registry::Spec;

/// What a collector gives samples of: one [`Desc`] of a gauge or a counter, or several as a tuple
/// (up to eight), an array or a `Vec`, also nested.
pub trait Describe {
    /// What the collector's closure says a sample belongs to with: a [`Collected`] for each
    /// description, in the same shape.
    type Families: Send + 'static;

    /// Not to be called, or implemented, elsewhere: its argument can't be named.
    #[doc(hidden)]
    fn describe(self, wanted: &mut Wanted) -> Self::Families;
}

/// What was described so far.
#[derive(Default)]
pub struct Wanted(pub(crate) Vec<WantedFamily>);

/// One description.
pub struct WantedFamily {
    pub(crate) spec: Spec,
    /// The host's own limit.
    pub(crate) series_limit: Option<u32>,
    /// Label sets that were to be there from the start.
    pub(crate) declared: usize,
}

impl Wanted {
    /// A description whose samples are of `spec`.
    pub(crate) fn add<K, const N: usize>(&mut self, desc: Desc<K, N>) -> Collected<N> {
        let Desc { spec, series_limit, declared, .. } = desc;
        self.0.push(WantedFamily { spec, series_limit, declared: declared.len() });
        Collected { place: self.0.len() - 1 }
    }
}

impl<const N: usize> Describe for Desc<Gauge, N> {
    type Families = Collected<N>;

    fn describe(self, wanted: &mut Wanted) -> Collected<N> {
        wanted.add(self)
    }
}

impl<const N: usize> Describe for Desc<Counter, N> {
    type Families = Collected<N>;

    fn describe(self, wanted: &mut Wanted) -> Collected<N> {
        wanted.add(self)
    }
}

impl<D: Describe, const M: usize> Describe for [D; M] {
    type Families = [D::Families; M];

    fn describe(self, wanted: &mut Wanted) -> Self::Families {
        self.map(|desc| desc.describe(wanted))
    }
}

impl<D: Describe> Describe for Vec<D> {
    type Families = Vec<D::Families>;

    fn describe(self, wanted: &mut Wanted) -> Self::Families {
        self.into_iter().map(|desc| desc.describe(wanted)).collect()
    }
}

macro_rules! tuples {
    ($($($name:ident)*;)*) => {$(
        impl<$($name: Describe),*> Describe for ($($name,)*) {
            type Families = ($($name::Families,)*);

            #[allow(non_snake_case)] // the parts of the tuple have the names of their types
            fn describe(self, wanted: &mut Wanted) -> Self::Families {
                let ($($name,)*) = self;
                ($($name.describe(wanted),)*)
            }
        }
    )*};
}
tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}
