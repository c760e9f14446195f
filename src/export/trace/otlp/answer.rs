//! What a server says that took a request: `ExportTraceServiceResponse`, in which one number matters.
//!
//! Whatever is no answer that makes sense rejects nothing: the status has said that all was taken.

/// A field of a message: its number, and what is in it.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The next field of `message`.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(message)?;
    let field = match key & 7 {
        0 => Field::Number(varint(message)?),
        1 => split(message, 8).map(|_| Field::Other)?,
        2 => {
            let length = usize::try_from(varint(message)?).ok()?;
            Field::Bytes(split(message, length)?)
        }
        5 => split(message, 4).map(|_| Field::Other)?,
        _ => return None,
    };
    Some((key >> 3, field))
}

fn split<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(first)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let byte = *split(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// How many spans were rejected, from protobuf.
pub(super) fn rejected(mut answer: &[u8]) -> u32 {
    let mut rejected = 0;
    while let Some((number, value)) = field(&mut answer) {
        // `partial_success`, and in it `rejected_spans`; the last of each counts.
        if let (1, Field::Bytes(mut partial)) = (number, value) {
            while let Some((number, value)) = field(&mut partial) {
                if let (1, Field::Number(count)) = (number, value) {
                    // A negative one is a large one here; it makes no sense.
                    rejected = (count as i64).clamp(0, u32::MAX.into());
                }
            }
        }
    }
    rejected as u32
}

/// The inside of the last field `number` of a message that is a message itself.
#[cfg(feature = "otlp-grpc")]
fn within(mut message: &[u8], number: u64) -> Option<&[u8]> {
    let mut last = None;
    while let Some((is, value)) = field(&mut message) {
        if let (true, Field::Bytes(inside)) = (is == number, value) {
            last = Some(inside);
        }
    }
    last
}

/// How long a server says to wait: `google.rpc.RetryInfo`, among the details of a `google.rpc.Status`.
#[cfg(feature = "otlp-grpc")]
pub(super) fn retry_delay(mut status: &[u8]) -> Option<std::time::Duration> {
    const DETAILS: u64 = 3;
    while let Some((number, value)) = field(&mut status) {
        let (DETAILS, Field::Bytes(any)) = (number, value) else { continue };
        if !within(any, 1).is_some_and(|name| name.ends_with(b"/google.rpc.RetryInfo")) {
            continue;
        }
        let mut delay = within(within(any, 2)?, 1)?;
        let (mut seconds, mut nanos) = (0, 0);
        while let Some((number, value)) = field(&mut delay) {
            match (number, value) {
                (1, Field::Number(value)) => seconds = value,
                (2, Field::Number(value)) => nanos = value,
                _ => {}
            }
        }
        // What is negative makes no sense.
        let seconds = u64::try_from(seconds as i64).ok()?;
        let nanos = u32::try_from(nanos).ok().filter(|&nanos| nanos < 1_000_000_000)?;
        return Some(std::time::Duration::new(seconds, nanos));
    }
    None
}

/// How many spans were rejected, from JSON.
#[cfg(feature = "otlp")]
pub(super) fn rejected_json(answer: &[u8]) -> u32 {
    const KEY: &[u8] = b"\"rejectedSpans\"";
    let Some(at) = answer.windows(KEY.len()).position(|window| window == KEY) else { return 0 };
    let rest = &answer[at + KEY.len()..];
    // `: 3`, or `: "3"`, as 64-bit integers are written.
    let is_before = |byte: &&u8| b": \t\r\n\"".contains(byte);
    let digits = rest.iter().skip_while(is_before).take_while(|byte| byte.is_ascii_digit());
    let add = |sum: u32, digit: &u8| sum.saturating_mul(10).saturating_add((digit - b'0').into());
    digits.fold(0, add)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn answer(rejected_spans: i64) -> ExportTraceServiceResponse {
        let error_message = "too old, \"rejectedSpans\": 9".into();
        let partial = ExportTracePartialSuccess { rejected_spans, error_message };
        ExportTraceServiceResponse { partial_success: Some(partial) }
    }

    #[test]
    fn what_was_rejected_is_read() {
        for (said, counted) in [(0, 0), (3, 3), (300, 300), (-1, 0), (1 << 40, u32::MAX)] {
            assert_eq!(rejected(&answer(said).encode_to_vec()), counted, "{said}");
        }
        assert_eq!(rejected(&ExportTraceServiceResponse::default().encode_to_vec()), 0);
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn the_same_in_json() {
        let json = serde_json::to_string(&answer(3)).unwrap();
        assert_eq!(rejected_json(json.as_bytes()), 3, "{json}");
        assert_eq!(rejected_json(b"{\"partialSuccess\":{\"rejectedSpans\": \"12\"}}"), 12);
        assert_eq!(rejected_json(b"{\"partialSuccess\":{\"rejectedSpans\": -1}}"), 0);
        assert_eq!(rejected_json(b"{\"partialSuccess\":{}}"), 0);
        assert_eq!(rejected_json(b"<html>"), 0);
    }

    /// Bytes by hand, from the definition of `google/rpc/status.proto` and `error_details.proto`.
    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn a_server_of_grpc_says_when_to_come_again() {
        let message =
            |field: u8, inside: &[u8]| [&[field << 3 | 2, inside.len() as u8], inside].concat();
        let info = |delay: &[u8]| {
            let name = message(1, b"type.googleapis.com/google.rpc.RetryInfo");
            let any = [name, message(2, &message(1, delay))].concat();
            let other = [message(1, b"x/google.rpc.Help"), message(2, b"?")].concat();
            [&[8, 14][..], &message(2, b"later"), &message(3, &other), &message(3, &any)].concat()
        };
        let delay = std::time::Duration::new(7, 5);
        assert_eq!(retry_delay(&info(&[8, 7, 16, 5])), Some(delay));
        assert_eq!(retry_delay(&info(&[])), Some(std::time::Duration::ZERO));
        let negative = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert_eq!(retry_delay(&info(&negative)), None);
        assert_eq!(retry_delay(&[8, 14]), None);
    }

    proptest! {
        #[test]
        fn nonsense_is_no_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            rejected(&bytes);
            #[cfg(feature = "otlp-grpc")]
            retry_delay(&bytes);
            #[cfg(feature = "otlp")]
            rejected_json(&bytes);
        }
    }
}
