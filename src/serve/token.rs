//! A token that whoever reads the metrics must bring, as RFC 6750 has it.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

use super::answer::{self, Answer};
use crate::error::Error;

/// Bytes of a token. One that is shorter can be guessed; one that is longer than a header may be would
/// keep everybody out.
const BYTES: std::ops::RangeInclusive<usize> = 16..=1024;

/// What has to be there; it can't be printed.
pub(crate) struct Token(Box<[u8]>);

impl Token {
    /// # Errors
    /// Of another length, or with characters that a header can't carry.
    pub(crate) fn new(text: &str) -> Result<Token, Error> {
        // `b64token`, whose `=` stand at the end; a client's own code may not know that.
        let is_plain =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
        let fits = BYTES.contains(&text.len()) && is_plain;
        fits.then(|| Token(text.as_bytes().into())).ok_or(Error::MetricsToken)
    }

    /// Whether these headers bring it: once, and nothing else in its place.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return false };
        let Some((scheme, token)) = line.as_bytes().split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer ") && is_same(token.trim_ascii(), &self.0)
    }
}

/// Takes as long whichever byte differs: how long a refusal takes must not tell how much was right.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    given.len() == token.len()
        && given.iter().zip(token).fold(0, |differ, (a, b)| differ | a ^ b) == 0
}

/// What a client without it is answered.
pub(crate) fn refusal(head: bool) -> Answer {
    let how = "a token is needed: the header  Authorization: Bearer TOKEN\n";
    let mut answer: Response<_> = answer::text(StatusCode::UNAUTHORIZED, how, head);
    let challenge = HeaderValue::from_static("Bearer realm=\"metrics\"");
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef-._~+/==";

    #[test]
    fn only_the_token_itself_and_only_once() {
        let token = Token::new(TOKEN).unwrap();
        let is_in = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(AUTHORIZATION, HeaderValue::from_str(line).unwrap());
            }
            token.is_in(&headers)
        };
        let right = format!("Bearer {TOKEN}");
        assert!(is_in(&[&right]) && is_in(&[&format!("bEARER  {TOKEN} ")]));
        assert!(!is_in(&[]) && !is_in(&[&right, &right]) && !is_in(&[&right, "Basic eA=="]));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            TOKEN,
            &format!("Basic {TOKEN}"),
            &format!("Bearer{TOKEN}"),
            &format!("Bearer {TOKEN}x"),
            &right[..right.len() - 1],
            &format!("Bearer {}", TOKEN.to_uppercase()),
        ] {
            assert!(!is_in(&[wrong]), "{wrong}");
        }
    }

    #[test]
    fn what_no_client_could_send_is_refused() {
        for wrong in ["", "short", "0123456789abcde", "0123456789 abcdef", "0123456789abcdefß\n"] {
            assert!(Token::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Token::new(&"x".repeat(1025)).is_err() && Token::new(&"x".repeat(1024)).is_ok());
    }
}
