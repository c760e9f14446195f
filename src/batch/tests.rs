//! Records made up for the tests of whatever reads them.

use proptest::prelude::*;

use super::record::Names;
use super::{Record, SiteText};
use crate::logs::Level;
use crate::ring::frame::{Frame, HEADER, kind, tag};
use crate::ring::writer::{self, Head, MOST_TEXT, Writer};

/// A value, and how many bytes of it had been cut off before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Str(Vec<u8>, u32),
    Bytes(Vec<u8>, u32),
    Redacted,
    Error([Vec<u8>; 3], u32),
}

impl Given {
    fn write(&self, key: Option<&str>, writer: &mut Writer<'_>) {
        match self {
            Given::Null => writer.bare(key, tag::NULL),
            Given::Bool(false) => writer.bare(key, tag::FALSE),
            Given::Bool(true) => writer.bare(key, tag::TRUE),
            Given::I64(n) => writer.word(key, tag::I64, *n as u64),
            Given::U64(n) => writer.word(key, tag::U64, *n),
            Given::F64(n) => writer.word(key, tag::F64, n.to_bits()),
            Given::Str(text, lost) => writer.text(key, tag::STR, text, *lost),
            Given::Bytes(text, lost) => writer.text(key, tag::BYTES, text, *lost),
            Given::Redacted => writer.bare(key, tag::SECRET),
            Given::Error(parts, lost) => {
                writer.error(key, [&parts[0], &parts[1], &parts[2]], *lost);
            }
        }
    }
}

/// What a record is made of.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) unix_nanos: u64,
    pub(crate) level: Level,
    pub(crate) site: SiteText,
    /// Where the call site has none.
    pub(crate) logger: String,
    pub(crate) thread: String,
    /// In the frame; `None` leaves it to the call site.
    pub(crate) message: Option<(Vec<u8>, u32)>,
    /// Request, user and session.
    pub(crate) ids: [Option<String>; 3],
    pub(crate) trace: Option<([u8; 16], [u8; 8])>,
    pub(crate) context_fields: Vec<(String, Given)>,
    /// Those of the call site's keys first, then some that carry their own.
    pub(crate) values: Vec<Given>,
    pub(crate) keyed: Vec<(String, Given)>,
    pub(crate) recovered: bool,
}

impl Line {
    /// The one of the examples.
    pub(crate) fn example() -> Line {
        Line {
            unix_nanos: 1_709_210_096_789_012_345,
            level: Level::Info,
            site: SiteText {
                logger: Some("swarm.server".into()),
                module: "swarm::server".into(),
                file: "src/server.rs".into(),
                line: 42,
                function: "swarm::server::call_tool".into(),
                message: Some("tool called".into()),
                keys: ["tool", "attempt", "seconds"].map(Box::from).into(),
            },
            logger: String::new(),
            thread: "worker-1".to_owned(),
            message: None,
            ids: ["42", "alice", "5f3c9a"].map(|id| Some(id.to_owned())),
            trace: Some((
                *b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c",
                *b"\xb7\xad\x6b\x71\x69\x20\x33\x31",
            )),
            context_fields: vec![("tenant".to_owned(), Given::Str(b"acme".into(), 0))],
            values: vec![Given::Str(b"swarm.init".into(), 0), Given::I64(3), Given::F64(0.25)],
            keyed: Vec::new(),
            recovered: false,
        }
    }

    /// The same with an error.
    pub(crate) fn failed() -> Line {
        let mut line = Line::example();
        line.level = Level::Error;
        line.message = Some((b"tool failed: \"disk full\"\nC:\\data\x1b[2J".into(), 0));
        let causes = b"os error 28: No space left on device\nwhile \"flushing\"".to_vec();
        line.keyed = vec![
            (
                "error".to_owned(),
                Given::Error([b"StoreError".into(), b"disk full".into(), causes], 0),
            ),
            ("token".to_owned(), Given::Redacted),
            ("note".to_owned(), Given::Str(b"two words".into(), 7)),
        ];
        line
    }

    /// The bytes of its context.
    fn context(&self) -> Vec<u8> {
        let ids = self.ids.each_ref().map(Option::as_deref);
        let mut context = writer::context(ids, self.trace);
        context.extend(body(&self.context_fields));
        context
    }

    /// The bytes of its frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut room = vec![0xff; 1 << 20];
        let mut writer = Writer::over(&mut room, MOST_TEXT, &self.context());
        if let Some((text, lost)) = &self.message {
            writer.message(text, *lost);
        }
        assert_eq!(self.values.len(), self.site.keys.len());
        self.values.iter().for_each(|value| value.write(None, &mut writer));
        self.keyed.iter().for_each(|(key, value)| value.write(Some(key), &mut writer));
        let level = self.level as u8;
        let length = writer.finish(Head { kind: kind::LINE, level, ..Head::default() }).unwrap();
        room.truncate(length);
        room
    }

    /// What is read from that frame.
    pub(crate) fn record<'a>(&'a self, frame: &'a [u8]) -> Record<'a> {
        let recovered = self.recovered;
        let names = Names { logger: &self.logger, thread: &self.thread, recovered };
        let frame = Frame::first(frame).unwrap();
        Record::read(frame, &self.site, names, self.unix_nanos).unwrap()
    }

    /// The free fields, in the order of a line.
    pub(crate) fn fields(&self) -> Vec<(&str, &Given)> {
        let of_site = self.site.keys.iter().map(|key| &**key).zip(&self.values);
        let own = |(key, value)| (str::from_utf8(writer::short(key)).unwrap(), value);
        let context = self.context_fields.iter().map(|(key, value)| own((key, value)));
        context
            .chain(of_site)
            .chain(self.keyed.iter().map(|(key, value)| own((key, value))))
            .collect()
    }

    /// Any line whose keys and texts are made of these.
    pub(crate) fn any(
        keys: impl Strategy<Value = String> + Clone + 'static,
        texts: impl Strategy<Value = Vec<u8>> + Clone + 'static,
    ) -> impl Strategy<Value = Line> {
        let string = texts.clone().prop_map(|text| String::from_utf8_lossy(&text).into_owned());
        let lost = prop_oneof![Just(0u32), any::<u32>()];
        let value = prop_oneof![
            Just(Given::Null),
            any::<bool>().prop_map(Given::Bool),
            any::<i64>().prop_map(Given::I64),
            any::<u64>().prop_map(Given::U64),
            any::<u64>().prop_map(|bits| Given::F64(f64::from_bits(bits))),
            prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, -0.0])
                .prop_map(Given::F64),
            (texts.clone(), lost.clone()).prop_map(|(text, lost)| Given::Str(text, lost)),
            (texts.clone(), lost.clone()).prop_map(|(text, lost)| Given::Bytes(text, lost)),
            Just(Given::Redacted),
            ([texts.clone(), texts.clone(), texts.clone()], lost.clone())
                .prop_map(|(parts, lost)| Given::Error(parts, lost)),
        ];
        let field = (keys, value);
        let fields = prop::collection::vec(field, 0..5);
        let site = ([string.clone(), string.clone(), string.clone()], any::<u32>());
        let who = (
            prop::array::uniform3(prop::option::of(string.clone())),
            prop::option::of(any::<([u8; 16], [u8; 8])>()),
            fields.clone(),
        );
        let told =
            ([string.clone(), string], prop::option::of((texts, lost)), fields.clone(), fields);
        let head = (any::<u64>(), prop::sample::select(Level::ALL.to_vec()), any::<bool>());
        (head, site, who, told).prop_map(|(head, site, who, told)| {
            let (unix_nanos, level, recovered) = head;
            let ([module, file, function], line) = site;
            let (ids, trace, context_fields) = who;
            let ([logger, thread], message, of_site, keyed) = told;
            let (keys, values) =
                of_site.into_iter().map(|(key, value)| (Box::from(key), value)).unzip();
            let [module, file, function] = [module, file, function].map(Box::from);
            let (logger_of_site, message_of_site) = (None, Some("of the site".into()));
            Line {
                unix_nanos,
                level,
                site: SiteText {
                    logger: logger_of_site,
                    module,
                    file,
                    line,
                    function,
                    message: message_of_site,
                    keys,
                },
                logger,
                thread,
                message,
                ids,
                trace,
                context_fields,
                values,
                keyed,
                recovered,
            }
        })
    }
}

fn body(fields: &[(String, Given)]) -> Vec<u8> {
    let mut room = vec![0; 1 << 20];
    let mut writer = Writer::over(&mut room, MOST_TEXT, &[]);
    fields.iter().for_each(|(key, value)| value.write(Some(key), &mut writer));
    let length = writer.written();
    room[HEADER..length].to_vec()
}
