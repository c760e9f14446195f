//! A line as the background sees it: read where its frame stands, nothing copied.

use crate::logs::Level;
use crate::ring::frame::{ContextView, Fields, Frame, Text};
use crate::ring::names::SiteText;

/// One line of a log.
#[derive(Clone)]
#[non_exhaustive]
pub struct Record<'a> {
    /// Nanoseconds since 1970, UTC.
    pub unix_nanos: u64,
    /// How much it matters.
    pub level: Level,
    /// The logger's name, or the target of a record from `log` or `tracing`.
    pub logger: Text<'a>,
    /// What it says.
    pub message: Text<'a>,
    /// The path of the module; empty where it is not known, as are the next ones.
    pub module: &'a str,
    /// The source file.
    pub file: &'a str,
    /// The line in it; 0 where it is not known.
    pub line: u32,
    /// The path of the function.
    pub function: &'a str,
    /// The thread's name, or its number where it has none.
    pub thread: Text<'a>,
    /// Who asked for what.
    pub context: ContextView<'a>,
    /// Read from what a process left behind that had died.
    pub recovered: bool,
    fields: Fields<'a>,
}

impl<'a> Record<'a> {
    /// What `frame` says; nothing where it makes no sense.
    pub(crate) fn read(
        frame: Frame<'a>,
        site: &'a SiteText,
        names: Names<'a>,
        unix_nanos: u64,
    ) -> Option<Record<'a>> {
        let (message, fields) = frame.body(&site.keys)?;
        let text = |text: &'a str| Text::new(text.as_bytes());
        Some(Record {
            unix_nanos,
            level: Level::of(frame.level())?,
            logger: text(site.logger.as_deref().unwrap_or(names.logger)),
            message: message.unwrap_or(text(site.message.as_deref().unwrap_or_default())),
            module: &site.module,
            file: &site.file,
            line: site.line,
            function: &site.function,
            thread: text(names.thread),
            context: frame.context()?,
            recovered: names.recovered,
            fields,
        })
    }

    /// The same line with context, message and fields from `frame`, where each field has its key;
    /// its own message stays where the frame has none.
    pub(crate) fn with(self, frame: Frame<'a>) -> Option<Record<'a>> {
        let (message, fields) = frame.body(&[])?;
        let (message, context) = (message.unwrap_or(self.message), frame.context()?);
        Some(Record { message, context, fields, ..self })
    }

    /// The fields that its call gave, in their order. Those of its context are
    /// [`ContextView::fields`].
    pub fn fields(&self) -> Fields<'a> {
        self.fields.clone()
    }
}

/// What a frame says by number.
#[derive(Clone, Copy, Default)]
pub(crate) struct Names<'a> {
    pub(crate) logger: &'a str,
    pub(crate) thread: &'a str,
    pub(crate) recovered: bool,
}
