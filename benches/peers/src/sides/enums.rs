//! Counters whose three labels are enums of four values each, in the sides that have a way of their
//! own for it. `fast-telemetry` has counters of one label: there it is one enum of all 64 sets.

use std::hash::Hash;
use std::sync::{Arc, LazyLock};

use ::fastmetrics::derive as fastmetrics_derive;
use ::measured::{CounterVec, FixedCardinalityLabel, LabelGroup};
use fast_telemetry::{LabelEnum, LabeledCounter};
use mcp_vitals::{Counter, Desc, Typed};
use prometheus_client::encoding as client_encoding;

use super::called::looked_up_static;
use super::{Subject, client, fast, fastmetrics, measured, ours};
use crate::totals::{Holdings, Point, join_labels};
use crate::work;

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    FixedCardinalityLabel,
    client_encoding::EncodeLabelValue,
    fastmetrics_derive::EncodeLabelValue,
)]
#[label(rename_all = "UpperCamelCase")]
enum Tool {
    Search,
    Fetch,
    Write,
    Plan,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    FixedCardinalityLabel,
    client_encoding::EncodeLabelValue,
    fastmetrics_derive::EncodeLabelValue,
)]
#[label(rename_all = "UpperCamelCase")]
enum Operation {
    Execute,
    List,
    Call,
    Read,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    FixedCardinalityLabel,
    client_encoding::EncodeLabelValue,
    fastmetrics_derive::EncodeLabelValue,
)]
#[label(rename_all = "UpperCamelCase")]
enum Status {
    Success,
    Error,
    Cancelled,
    Timeout,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    LabelGroup,
    client_encoding::EncodeLabelSet,
    fastmetrics_derive::LabelSet,
)]
#[label(set = Set)]
struct Labels {
    tool: Tool,
    operation: Operation,
    status: Status,
}

/// All sets, in the order in which they are called.
static SETS: LazyLock<Vec<Labels>> = LazyLock::new(|| {
    let of = |&[tool, operation, status]: &[usize; 3]| Labels {
        tool: Tool::decode(tool),
        operation: Operation::decode(operation),
        status: Status::decode(status),
    };
    work::called_enums().iter().map(of).collect()
});

/// Ours of the same enums. They are others, because `measured` takes the attribute `label` as well.
mod of_ours {
    use mcp_vitals::Labels;

    #[derive(Clone, Copy, Labels)]
    #[label(rename_all = "PascalCase")]
    pub enum Tool {
        Search,
        Fetch,
        Write,
        Plan,
    }

    #[derive(Clone, Copy, Labels)]
    #[label(rename_all = "PascalCase")]
    pub enum Operation {
        Execute,
        List,
        Call,
        Read,
    }

    #[derive(Clone, Copy, Labels)]
    #[label(rename_all = "PascalCase")]
    pub enum Status {
        Success,
        Error,
        Cancelled,
        Timeout,
    }

    #[derive(Clone, Copy, Labels)]
    pub struct Call {
        pub tool: Tool,
        pub operation: Operation,
        pub status: Status,
    }

    pub fn call(&[tool, operation, status]: &[usize; 3]) -> Call {
        Call {
            tool: [Tool::Search, Tool::Fetch, Tool::Write, Tool::Plan][tool],
            operation: [Operation::Execute, Operation::List, Operation::Call, Operation::Read]
                [operation],
            status: [Status::Success, Status::Error, Status::Cancelled, Status::Timeout][status],
        }
    }
}

pub fn ours(sets: usize, threads: usize) -> Subject {
    static SETS: LazyLock<Vec<of_ours::Call>> =
        LazyLock::new(|| work::called_enums().iter().map(of_ours::call).collect());
    let vitals = ours::engine(sets);
    let family: Typed<Counter, of_ours::Call> =
        vitals.register_typed(Desc::counter(work::COUNTER, work::HELP)).expect("the name is new");
    let runs = looked_up_static(threads, &SETS, || family.clone(), |f, call| f.with(call).inc());
    Subject::new(ours::NAME, runs, ours::reader(vitals, work::COUNTER))
}

pub fn measured(_: usize, threads: usize) -> Subject {
    let family = Arc::new(CounterVec::<Set>::new());
    let handle = || Arc::clone(&family);
    let runs = looked_up_static(threads, &SETS, handle, |f, labels| f.inc(labels));
    Subject::new(measured::NAME, runs, measured::reader(family, work::COUNTER))
}

pub fn client(_: usize, threads: usize) -> Subject {
    let (registry, family) = client::counter_family::<Labels>();
    let handle = || family.clone();
    let runs = looked_up_static(threads, &SETS, handle, |f, labels| {
        f.get_or_create(&labels).inc();
    });
    Subject::new(client::NAME, runs, client::reader(registry, work::COUNTER))
}

pub fn fastmetrics(_: usize, threads: usize) -> Subject {
    let (registry, family) = fastmetrics::counter_family::<Labels>();
    let handle = || family.clone();
    let runs = looked_up_static(threads, &SETS, handle, |f, labels| {
        f.with_or_new(&labels, |counter| counter.inc());
    });
    Subject::new(fastmetrics::NAME, runs, fastmetrics::reader(registry, work::COUNTER))
}

impl LabelEnum for Labels {
    const CARDINALITY: usize = 64;
    const LABEL_NAME: &'static str = "labels";

    fn as_index(self) -> usize {
        (self.tool as usize * 4 + self.operation as usize) * 4 + self.status as usize
    }

    fn from_index(index: usize) -> Labels {
        Labels {
            tool: Tool::decode(index / 16),
            operation: Operation::decode(index / 4 % 4),
            status: Status::decode(index % 4),
        }
    }

    fn variant_name(self) -> &'static str {
        // Its text isn't asked for.
        "set"
    }
}

pub fn fast(_: usize, threads: usize) -> Subject {
    let family = Arc::new(LabeledCounter::<Labels>::new(fast::shards()));
    let handle = || Arc::clone(&family);
    let runs = looked_up_static(threads, &SETS, handle, |f, labels| f.inc(labels));
    let read = move || {
        let of = |(labels, value): (Labels, isize)| {
            let values = [
                format!("{:?}", labels.tool),
                format!("{:?}", labels.operation),
                format!("{:?}", labels.status),
            ];
            let pairs = work::LABELS.into_iter().zip(values.iter().map(String::as_str));
            let point = Point { value: value as f64, ..Point::default() };
            (join_labels(pairs.collect()), point)
        };
        Ok(family.iter().map(of).collect::<Holdings>())
    };
    Subject::new(fast::NAME, runs, read)
}
