//! Whether what a function gave back is an error, of what type, and what it says of itself.
//!
//! Nothing is asked of the type. Where the function stands, a method is called on a sixfold reference,
//! and the compiler takes the first trait that fits: the one for the most references, of an `E` that
//! can say the most. So a `Result` is found by any name, and what is none is no error.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::ops::Deref;

use crate::logs::private::{debug, display};
use crate::logs::{Exception, exception_of};

/// An error that a function gave back.
pub struct Failure<'a> {
    type_name: &'static str,
    says: Says<'a>,
}

enum Says<'a> {
    Error(&'a dyn Error),
    Display(&'a dyn Display),
    Debug(&'a dyn Debug),
    Nothing,
}

/// What a function gave back.
pub struct Of<'a, T>(pub &'a T);

/// Of an error.
pub trait ViaError<'a> {
    /// The failure, where it is one.
    fn failure(&self) -> Option<Failure<'a>>;
}

impl<'a, T, E: Error> ViaError<'a> for &&&&&Of<'a, Result<T, E>> {
    #[inline(always)]
    fn failure(&self) -> Option<Failure<'a>> {
        failure(self.0, |error| Says::Error(error))
    }
}

/// Of what holds an error and is none: `Box<dyn Error>`, `anyhow::Error`.
pub trait ViaCause<'a> {
    /// The failure, where it is one.
    fn failure(&self) -> Option<Failure<'a>>;
}

impl<'a, T, E: Deref<Target: Cause>> ViaCause<'a> for &&&&Of<'a, Result<T, E>> {
    #[inline(always)]
    fn failure(&self) -> Option<Failure<'a>> {
        failure(self.0, |error| Says::Error((**error).as_error()))
    }
}

/// An error as an object, however it may be sent about.
pub trait Cause {
    /// The error.
    fn as_error(&self) -> &(dyn Error + 'static);
}

macro_rules! causes {
    ($($cause:ty),*) => {$(
        impl Cause for $cause {
            fn as_error(&self) -> &(dyn Error + 'static) {
                self
            }
        }
    )*};
}
causes!(dyn Error, dyn Error + Send, dyn Error + Send + Sync);

/// Of what can be shown.
pub trait ViaDisplay<'a> {
    /// The failure, where it is one.
    fn failure(&self) -> Option<Failure<'a>>;
}

impl<'a, T, E: Display> ViaDisplay<'a> for &&&Of<'a, Result<T, E>> {
    #[inline(always)]
    fn failure(&self) -> Option<Failure<'a>> {
        failure(self.0, |error| Says::Display(error))
    }
}

/// Of what a programmer can be shown.
pub trait ViaDebug<'a> {
    /// The failure, where it is one.
    fn failure(&self) -> Option<Failure<'a>>;
}

impl<'a, T, E: Debug> ViaDebug<'a> for &&Of<'a, Result<T, E>> {
    #[inline(always)]
    fn failure(&self) -> Option<Failure<'a>> {
        failure(self.0, |error| Says::Debug(error))
    }
}

/// Of any other error.
pub trait ViaResult<'a> {
    /// The failure, where it is one.
    fn failure(&self) -> Option<Failure<'a>>;
}

impl<'a, T, E> ViaResult<'a> for &Of<'a, Result<T, E>> {
    #[inline(always)]
    fn failure(&self) -> Option<Failure<'a>> {
        failure(self.0, |_| Says::Nothing)
    }
}

/// Of what is no `Result`.
pub trait ViaAny<'a> {
    /// Nothing.
    fn failure(&self) -> Option<Failure<'a>>;
}

impl<'a, T> ViaAny<'a> for Of<'a, T> {
    #[inline(always)]
    fn failure(&self) -> Option<Failure<'a>> {
        None
    }
}

#[inline(always)]
fn failure<'a, T, E>(
    result: &'a Result<T, E>,
    says: impl FnOnce(&'a E) -> Says<'a>,
) -> Option<Failure<'a>> {
    let error = result.as_ref().err()?;
    Some(Failure { type_name: std::any::type_name::<E>(), says: says(error) })
}

impl Failure<'_> {
    /// What it is called: see [`TypeName`].
    pub(super) fn error_type(&self) -> TypeName {
        TypeName::of(self.type_name)
    }

    /// What it says; nothing where its type can't say anything.
    pub(super) fn exception(&self) -> Option<Exception> {
        let (message, source) = match self.says {
            Says::Error(error) => (display(&error), error.source()),
            Says::Display(value) => (display(&value), None),
            Says::Debug(value) => (debug(&value), None),
            Says::Nothing => return None,
        };
        Some(exception_of(self.type_name, message, source))
    }
}

/// A type's name, short enough for a label: `ParseIntError`, `io::Error`. Its paths and parameters
/// are left out; of a box what is in it.
pub(super) struct TypeName {
    bytes: [u8; MOST_NAME],
    length: usize,
}

/// Bytes of a type's name.
const MOST_NAME: usize = 64;

impl TypeName {
    fn of(full: &str) -> TypeName {
        let mut name = TypeName { bytes: [0; MOST_NAME], length: 0 };
        let mut full = full.trim_start_matches(['&', '(', '[']);
        full = full.strip_prefix("mut ").unwrap_or(full);
        for holder in ["alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<"] {
            full = full.strip_prefix(holder).unwrap_or(full);
        }
        if let Some(object) = full.strip_prefix("dyn ") {
            name.push("dyn ");
            full = object;
        }
        let path = full.split(['<', '>', ' ', ',', ';', ')', ']']).next().unwrap_or_default();
        let mut segments = path.rsplit("::");
        let last = segments.next().unwrap_or_default();
        // Half of all crates have one of this name: the module says whose it is.
        if last == "Error" && name.length == 0 {
            let module = segments.find(|module| !["error", "errors"].contains(module));
            if let Some(module) = module {
                name.push(module);
                name.push("::");
            }
        }
        name.push(last);
        name
    }

    fn push(&mut self, text: &str) {
        let room = MOST_NAME - self.length;
        let end = (0..=room.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
        let text = &text.as_bytes()[..end.unwrap_or(0)];
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text);
        self.length += text.len();
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! failure {
        ($result:expr) => {
            (&&&&&&Of(&$result)).failure()
        };
    }

    fn says<T, E>(failure: Option<Failure<'_>>, _: &Result<T, E>) -> (String, Option<String>) {
        let failure = failure.unwrap();
        let text = match failure.says {
            Says::Error(error) => {
                let (mut text, mut next) = (format!("E {error}"), error.source());
                while let Some(cause) = next {
                    text.push_str(&format!(" < E {cause}"));
                    next = cause.source();
                }
                Some(text)
            }
            Says::Display(value) => Some(format!("D {value}")),
            Says::Debug(value) => Some(format!("? {value:?}")),
            Says::Nothing => None,
        };
        (failure.error_type().as_str().to_owned(), text)
    }

    struct Mute;
    #[derive(Debug)]
    struct Seen;
    struct Shown;
    impl Display for Shown {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("shown")
        }
    }

    #[test]
    fn the_most_that_an_error_can_say_is_used() {
        macro_rules! check {
            ($error:expr, $name:literal, $text:expr) => {{
                let result: Result<(), _> = Err($error);
                let text: Option<&str> = $text;
                assert_eq!(says(failure!(result), &result), ($name.into(), text.map(Into::into)));
            }};
        }
        let digit = || "x".parse::<u8>().unwrap_err();
        let invalid = "E invalid digit found in string";
        check!(digit(), "ParseIntError", Some(invalid));
        check!(&digit(), "ParseIntError", Some(invalid));
        check!(Box::new(digit()), "ParseIntError", Some(invalid));
        check!(Box::<dyn Error>::from(digit()), "dyn Error", Some(invalid));
        check!(Box::<dyn Error + Send + Sync>::from(digit()), "dyn Error", Some(invalid));
        check!(std::io::Error::other("full"), "io::Error", Some("E full"));
        check!(
            std::fmt::Error,
            "fmt::Error",
            Some("E an error occurred when formatting an argument")
        );
        check!("text", "str", Some("D text"));
        check!(String::from("text"), "String", Some("D text"));
        check!(Shown, "Shown", Some("D shown"));
        check!(Seen, "Seen", Some("? Seen"));
        check!((Seen, 1), "Seen", Some("? (Seen, 1)"));
        check!(Mute, "Mute", None);
        check!((), "", Some("? ()"));
    }

    #[test]
    fn what_is_no_error_is_none() {
        struct Wrapper<T>(T);
        let ok: Result<Mute, Mute> = Ok(Mute);
        assert!(failure!(ok).is_none());
        assert!(failure!(Some(1)).is_none() && failure!(Mute).is_none());
        let within = Wrapper(Err::<(), _>(Seen));
        assert!(failure!(within).is_none() && within.0.is_err());
    }

    #[test]
    fn in_generic_code_its_bounds_say_what_is_known() {
        fn shown<E: Display>(result: &Result<(), E>) -> (String, Option<String>) {
            says(failure!(*result), result)
        }
        fn unknown<E>(result: &Result<(), E>) -> (String, Option<String>) {
            says(failure!(*result), result)
        }
        assert_eq!(shown(&Err(Shown)), ("Shown".into(), Some("D shown".into())));
        assert_eq!(unknown(&Err(Shown)), ("Shown".into(), None));
    }

    #[test]
    fn a_name_is_short() {
        let long = format!("a::{}::B{}", "m".repeat(80), "é".repeat(80));
        assert_eq!(TypeName::of(&long).as_str().len(), 63);
        for (full, short) in [
            ("anyhow::Error", "anyhow::Error"),
            ("serde_json::error::Error", "serde_json::Error"),
            ("Error", "Error"),
            ("error::Error", "Error"),
            ("a::b::Wrapped<c::D<e::F>>", "Wrapped"),
            ("alloc::boxed::Box<dyn a::Failure + core::marker::Send>", "dyn Failure"),
        ] {
            assert_eq!(TypeName::of(full).as_str(), short);
        }
    }
}
