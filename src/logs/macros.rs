//! `info!` and its like.

/// Logs a line of a level that is only known at the call: `log!(logger, level, "text", key = value)`.
///
/// ```
/// # let vitals = mcp_vitals::Vitals::disabled();
/// use mcp_vitals::{Level, log};
///
/// let logger = vitals.logger("search");
/// let (tool, took) = ("swarm.init", std::time::Duration::from_millis(3));
/// log!(logger, Level::Info, "called {tool}", tool, took_seconds = took, n = 3, ok = true);
/// ```
///
/// * The message is a literal; `{name}` puts a variable in. One without is not copied at all.
/// * A field is `key = value`, `"any key" = value`, or a variable by its name; of what types, see
///   [`Loggable`](crate::logs::Loggable). `%value` is its `Display`, `?value` its `Debug`, which run
///   before the line's room is taken; at most 8 KiB of each text are kept.
/// * Nothing of it runs when the level is not taken.
#[macro_export]
macro_rules! log {
    ($logger:expr, $level:expr, $message:literal $(, $($fields:tt)*)?) => {{
        let (logger, level): (&$crate::Logger, $crate::Level) = (&$logger, $level);
        if let ::core::option::Option::Some(logger) = logger.taking(level) {
            $crate::__log_fields!((logger, level, $message) [] [] $($($fields)*)?);
        }
    }};
}

/// Splits the fields into names and values.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_fields {
    (($logger:ident, $level:ident, $message:literal) [$($key:expr,)*] [$($value:expr,)*]) => {{
        fn here() {}
        fn function() -> &'static str {
            $crate::__private::function_name(here)
        }
        const PLAIN: bool = $crate::__private::is_plain($message);
        static SITE: $crate::__private::Site =
            $crate::__private::Site::new($crate::__private::StaticText {
                module: ::core::module_path!(),
                file: ::core::file!(),
                line: ::core::line!(),
                function,
                message: if PLAIN { ::core::option::Option::Some($message) } else { ::core::option::Option::None },
                keys: &[$($key),*],
            });
        if PLAIN {
            $logger.record($level, &SITE, &(), $crate::__log_values!($($value,)*));
        } else {
            let message = $crate::__private::display(&::core::format_args!($message));
            $logger.record($level, &SITE, &message, $crate::__log_values!($($value,)*));
        }
    }};
    ($call:tt $keys:tt $values:tt ,) => {
        $crate::__log_fields!($call $keys $values)
    };
    ($call:tt [$($keys:tt)*] [$($values:tt)*] $key:literal = $($rest:tt)+) => {
        $crate::__log_value!($call [$($keys)* $key,] [$($values)*] $($rest)+)
    };
    ($call:tt [$($keys:tt)*] [$($values:tt)*] $key:ident $(. $more:ident)* = $($rest:tt)+) => {
        $crate::__log_value!($call [$($keys)*
            ::core::concat!(::core::stringify!($key) $(, ".", ::core::stringify!($more))*),]
            [$($values)*] $($rest)+)
    };
    ($call:tt [$($keys:tt)*] [$($values:tt)*] % $name:ident $(, $($rest:tt)*)?) => {
        $crate::__log_fields!($call [$($keys)* ::core::stringify!($name),]
            [$($values)* &$crate::__private::display(&$name),] $($($rest)*)?)
    };
    ($call:tt [$($keys:tt)*] [$($values:tt)*] ? $name:ident $(, $($rest:tt)*)?) => {
        $crate::__log_fields!($call [$($keys)* ::core::stringify!($name),]
            [$($values)* &$crate::__private::debug(&$name),] $($($rest)*)?)
    };
    ($call:tt [$($keys:tt)*] [$($values:tt)*] $name:ident $(, $($rest:tt)*)?) => {
        $crate::__log_fields!($call [$($keys)* ::core::stringify!($name),]
            [$($values)* &$name,] $($($rest)*)?)
    };
}

/// What comes behind `key =`.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_value {
    ($call:tt $keys:tt [$($values:tt)*] % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__log_fields!($call $keys [$($values)* &$crate::__private::display(&$value),]
            $($($rest)*)?)
    };
    ($call:tt $keys:tt [$($values:tt)*] ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__log_fields!($call $keys [$($values)* &$crate::__private::debug(&$value),]
            $($($rest)*)?)
    };
    ($call:tt $keys:tt [$($values:tt)*] $value:expr $(, $($rest:tt)*)?) => {
        $crate::__log_fields!($call $keys [$($values)* &$value,] $($($rest)*)?)
    };
}

/// One value within the other.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_values {
    () => { () };
    ($first:expr, $($rest:expr,)*) => { ($first, $crate::__log_values!($($rest,)*)) };
}

/// Logs an error: `error!(logger, "text", key = value)`; see [`log!`](crate::log).
#[macro_export]
macro_rules! error {
    ($logger:expr, $($line:tt)+) => { $crate::log!($logger, $crate::Level::Error, $($line)+) };
}

/// Logs a warning: `warn!(logger, "text", key = value)`; see [`log!`](crate::log).
#[macro_export]
macro_rules! warn {
    ($logger:expr, $($line:tt)+) => { $crate::log!($logger, $crate::Level::Warn, $($line)+) };
}

/// Logs at `info`: `info!(logger, "text", key = value)`; see [`log!`](crate::log).
#[macro_export]
macro_rules! info {
    ($logger:expr, $($line:tt)+) => { $crate::log!($logger, $crate::Level::Info, $($line)+) };
}

/// Logs at `debug`: `debug!(logger, "text", key = value)`; see [`log!`](crate::log).
#[macro_export]
macro_rules! debug {
    ($logger:expr, $($line:tt)+) => { $crate::log!($logger, $crate::Level::Debug, $($line)+) };
}

/// Logs at `trace`: `trace!(logger, "text", key = value)`; see [`log!`](crate::log).
#[macro_export]
macro_rules! trace {
    ($logger:expr, $($line:tt)+) => { $crate::log!($logger, $crate::Level::Trace, $($line)+) };
}
