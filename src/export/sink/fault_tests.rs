//! What goes wrong at sinks, and what is left to read then.
