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

/// The same from JSON.
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

    proptest! {
        #[test]
        fn nonsense_is_no_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            rejected(&bytes);
            #[cfg(feature = "otlp")]
            rejected_json(&bytes);
        }
    }
}
