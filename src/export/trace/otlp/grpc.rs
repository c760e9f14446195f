//! OTLP by gRPC: tonic's channel on a runtime of one thread, which is the exporter's own. It runs only
//! while a request is under way, so nothing of the host's is needed, and nothing runs between requests.
//!
//! The message is bytes already when it comes here, so the codec only passes them on.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tokio::runtime::{Builder, Runtime};
use tonic::client::Grpc as Client;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::{NAME, Otlp, answer};
use crate::batch::SpanRecord;
use crate::encode::otlp::{Form, Request};
use crate::error::Error;
use crate::export::sink::{Again, Setback, Sink};
use crate::export::trace::parcel::{Carrier, MOST_BYTES, Parcels};
use crate::traces::config::Origin;

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Bytes of an answer that are read, and of a server's own words.
const MOST_ANSWER: usize = 64 << 10;
const MOST_WORDS: usize = 200;

/// The longest that a server may have us wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub(super) fn open(otlp: &Otlp, origin: Origin<'_>) -> Result<Box<dyn Sink>, Error> {
    let refused = |why: String| Error::Exporter { name: NAME, why };
    let endpoint = Endpoint::from_shared(otlp.url.clone());
    let endpoint = endpoint.map_err(|_| refused("the address is no URL".into()))?;
    match endpoint.uri().scheme_str() {
        _ if endpoint.uri().host().is_none_or(str::is_empty) => {
            return Err(refused("the address needs a scheme and a host: http://host:4317".into()));
        }
        Some("http") => {}
        Some("https") if cfg!(feature = "tls") => {}
        Some("https") => return Err(refused("https needs the feature `tls`".into())),
        _ => return Err(refused("the address must begin with http:// or https://".into())),
    }
    let endpoint = endpoint
        .user_agent(concat!("mcp-vitals/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| refused(error.to_string()))?
        .connect_timeout(otlp.timeout);
    #[cfg(feature = "tls")]
    let endpoint = with_tls(otlp, endpoint)?;
    let headers = otlp.headers.iter().map(|(name, value)| {
        // In HTTP/2 they are in lower case, whoever wrote them.
        let key = AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes());
        let key = key.map_err(|_| refused(format!("header {name:?} can't be a name")))?;
        let value = AsciiMetadataValue::try_from(value);
        let mut value =
            value.map_err(|_| refused(format!("header {name:?} has a value that can't be")))?;
        value.set_sensitive(true);
        Ok((key, value))
    });
    let grpc = Grpc {
        request: Request::new(Form::Protobuf, origin.resource),
        headers: headers.collect::<Result<_, Error>>()?,
        endpoint,
        gzip: otlp.gzip,
        timeout: otlp.timeout,
        running: None,
    };
    Ok(Box::new(Parcels::new(grpc, origin.engine)))
}

#[cfg(feature = "tls")]
fn with_tls(otlp: &Otlp, endpoint: Endpoint) -> Result<Endpoint, Error> {
    use tonic::transport::{Certificate, ClientTlsConfig};

    if endpoint.uri().scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let tls = match otlp.pem()? {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_webpki_roots(),
    };
    endpoint.tls_config(tls).map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        Error::Exporter { name: NAME, why: format!("{error}: {cause}") }
    })
}

struct Grpc {
    request: Request,
    endpoint: Endpoint,
    headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
    gzip: bool,
    timeout: Duration,
    /// From the first request on: it must begin on the thread that it is used on, and end there.
    running: Option<Running>,
}

struct Running {
    /// Taken when it ends.
    runtime: Option<Runtime>,
    client: Client<Channel>,
}

impl Running {
    fn start(endpoint: &Endpoint, gzip: bool) -> std::io::Result<Running> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let channel = {
            let _within = runtime.enter();
            endpoint.connect_lazy()
        };
        let mut client = Client::new(channel).max_decoding_message_size(MOST_ANSWER);
        if gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        Ok(Running { runtime: Some(runtime), client })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A name's lookup that hangs in the system is not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Carrier for Grpc {
    fn pack(&mut self, spans: &mut dyn Iterator<Item = SpanRecord<'_>>, most: usize) -> usize {
        self.request.fill(spans, most, MOST_BYTES)
    }

    fn send(&mut self) -> Result<u32, Setback> {
        let running = match &mut self.running {
            Some(running) => running,
            absent => {
                let started = Running::start(&self.endpoint, self.gzip);
                absent.insert(started.map_err(|error| later(error.to_string()))?)
            }
        };
        let Running { runtime: Some(runtime), client } = running else { return Ok(0) };
        let mut request = tonic::Request::new(Bytes::copy_from_slice(self.request.bytes()));
        for (key, value) in &self.headers {
            request.metadata_mut().append(key.clone(), value.clone());
        }
        let call = async {
            client.ready().await.map_err(|error| later(words(&error)))?;
            let answer = client.unary(request, PathAndQuery::from_static(METHOD), Raw).await;
            answer.map_err(|status| refusal(&status))
        };
        let answer = runtime.block_on(async { tokio::time::timeout(self.timeout, call).await });
        match answer {
            Ok(answer) => Ok(answer::rejected(answer?.get_ref())),
            Err(_) => Err(later("no answer in time".into())),
        }
    }
}

fn later(why: String) -> Setback {
    Setback { again: Again::Later(None), why }
}

/// An error with its causes, which say more.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}

/// What a status says of the next attempt, by OTLP's word.
fn refusal(status: &Status) -> Setback {
    let after = answer::retry_delay(status.details()).map(|after| after.min(LONGEST_WAIT));
    let again = match status.code() {
        // Of the connection and not of the server.
        _ if status.source().is_some() => Again::Later(None),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Again::Later(after),
        Code::ResourceExhausted if after.is_some() => Again::Later(after),
        // What servers of Go and C++ say of a request past their limit.
        Code::ResourceExhausted if status.message().contains("larger than max") => Again::Smaller,
        _ => Again::Never,
    };
    let cause = status.source().map(|cause| format!(": {}", words(cause))).unwrap_or_default();
    let said: String =
        status.message().chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
    Setback { again, why: format!("the server answered {:?}: {said}{cause}", status.code()) }
}

/// Bytes out, bytes in.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(code: Code, message: &str, details: &'static [u8]) -> Again {
        refusal(&Status::with_details(code, message, Bytes::from_static(details))).again
    }

    /// `google.rpc.Status`, and in it `RetryInfo` with seven seconds.
    const IN_SEVEN_SECONDS: &[u8] =
        b"\x08\x08\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x07";

    #[test]
    fn what_a_status_means() {
        let later = Again::Later(None);
        let seven = Again::Later(Some(Duration::from_secs(7)));
        for code in [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ] {
            assert_eq!(again(code, "busy", b""), later, "{code:?}");
            assert_eq!(again(code, "busy", IN_SEVEN_SECONDS), seven, "{code:?}");
        }
        for code in [
            Code::Unknown,
            Code::InvalidArgument,
            Code::NotFound,
            Code::AlreadyExists,
            Code::PermissionDenied,
            Code::FailedPrecondition,
            Code::Unimplemented,
            Code::Internal,
            Code::Unauthenticated,
            Code::ResourceExhausted,
        ] {
            assert_eq!(again(code, "no", b""), Again::Never, "{code:?}");
        }
        assert_eq!(again(Code::ResourceExhausted, "quota", IN_SEVEN_SECONDS), seven);
        let large = "grpc: received message larger than max (5 vs. 4)";
        assert_eq!(again(Code::ResourceExhausted, large, b""), Again::Smaller);
    }

    #[test]
    fn what_makes_no_sense_is_refused_at_the_start() {
        let refused = |otlp: Otlp| {
            let origin = Origin {
                resource: &Default::default(),
                service: "",
                engine: 1,
                events: Default::default(),
            };
            open(&otlp, origin).err().map(|error| error.to_string())
        };
        assert_eq!(refused(Otlp::grpc("http://localhost:4317").header("X-Key", "k")), None);
        for url in ["", "localhost:4317", "ftp://host/", "http:///", "http://a b/"] {
            assert!(refused(Otlp::grpc(url)).is_some(), "{url}");
        }
        let secret = Otlp::grpc("http://h").header("a b", "secret");
        assert!(refused(secret).is_some_and(|why| why.contains("a b") && !why.contains("secret")));
        let https = refused(Otlp::grpc("https://h"));
        assert_eq!(https.is_none(), cfg!(feature = "tls"), "{https:?}");
    }
}
