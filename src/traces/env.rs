//! OpenTelemetry's environment variables, as settings.
//!
//! A pure function of what looks a variable up, so that tests need no process.

#[cfg(any(feature = "otlp", feature = "otlp-grpc", feature = "zipkin"))]
use std::time::Duration;

#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
use super::Otlp;
#[cfg(feature = "zipkin")]
use super::Zipkin;
use super::config::TraceConfig;
use super::sample::Sampler;
use crate::error::Error;

/// The longest that an attempt may take.
#[cfg(any(feature = "otlp", feature = "otlp-grpc", feature = "zipkin"))]
const LONGEST: Duration = Duration::from_secs(300);

/// Most attributes, events or links of a span that a variable can ask for.
const MOST_ITEMS: u16 = 1_024;

impl TraceConfig {
    /// What OpenTelemetry's environment variables say; what they leave open is as in the default. Calls
    /// after it count over them, and add exporters to theirs.
    ///
    /// | variable | what of it counts |
    /// |---|---|
    /// | `OTEL_TRACES_EXPORTER` | `otlp`, which is the default, `zipkin`, `none`, or several with commas. `console` is refused: stdout is the protocol's |
    /// | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf`, which is the default, `http/json`, `grpc` |
    /// | `OTEL_EXPORTER_OTLP_ENDPOINT` | default `http://localhost:4318`, of gRPC `:4317`; `/v1/traces` is added for HTTP |
    /// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | the same, and nothing is added |
    /// | `OTEL_EXPORTER_OTLP_HEADERS` | `key=value,…`, percent-encoded |
    /// | `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds |
    /// | `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip`, `none` |
    /// | `OTEL_EXPORTER_OTLP_CERTIFICATE` | a file of authorities; feature `tls` |
    /// | `OTEL_EXPORTER_OTLP_INSECURE` | of gRPC, where the endpoint has no scheme |
    /// | `OTEL_EXPORTER_OTLP_TRACES_…` | each of these over the one without `TRACES_` |
    /// | `OTEL_EXPORTER_ZIPKIN_ENDPOINT`, `…_TIMEOUT` | default `http://localhost:9411/api/v2/spans`; milliseconds |
    /// | `OTEL_TRACES_SAMPLER`, `…_ARG` | `always_on`, `always_off`, `traceidratio`, each also with `parentbased_`; default `parentbased_always_on` |
    /// | `OTEL_SERVICE_NAME` | where the builder's [`service`](crate::VitalsBuilder::service) has no name |
    /// | `OTEL_RESOURCE_ATTRIBUTES` | `key=value,…`, percent-encoded |
    /// | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `…_EVENT_…`, `…_LINK_…` | at most 1,024; all of a span is bounded by 16 KiB anyway |
    /// | `OTEL_SDK_DISABLED` | by the builder, for all signals |
    ///
    /// An empty variable counts as not set. No other of OpenTelemetry's variables has an effect.
    ///
    /// # Errors
    ///
    /// [`Error::Variable`] for one that makes no sense, or asks for what is not there. Its value is not
    /// shown: it may be a secret.
    ///
    /// ```no_run
    /// use mcp_vitals::{Vitals, traces::TraceConfig};
    ///
    /// let vitals = Vitals::builder()
    ///     .service("search", "1.4.0")
    ///     .traces(TraceConfig::from_env()?)
    ///     .build()?;
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn from_env() -> Result<TraceConfig, Error> {
        read(|name| std::env::var(name).ok())
    }
}

/// The settings that the variables which `lookup` knows ask for.
pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<TraceConfig, Error> {
    let variables = Variables(&lookup);
    let mut config = TraceConfig::default().sampler(sampler(&variables)?);
    for (limit, name) in config.limits.counts.iter_mut().zip([
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
    ]) {
        if let Some(most) = variables.number(name)? {
            *limit = u16::try_from(most).unwrap_or(MOST_ITEMS).min(MOST_ITEMS);
        }
    }
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
    for (key, value) in pairs(ATTRIBUTES, variables.get(ATTRIBUTES))? {
        config = config.resource(&key, value);
    }
    if let Some(name) = variables.get("OTEL_SERVICE_NAME") {
        config = config.resource("service.name", name);
    }
    if variables.get("OTEL_SDK_DISABLED").is_some_and(|on| on.eq_ignore_ascii_case("true")) {
        return Ok(config);
    }
    const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
    let exporters = variables.get(EXPORTER).unwrap_or_else(|| "otlp".into());
    for exporter in exporters.split(',').map(str::trim) {
        config = match exporter {
            "none" | "" => config,
            #[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
            "otlp" => config.otlp(otlp(&variables)?),
            #[cfg(not(any(feature = "otlp", feature = "otlp-grpc")))]
            "otlp" => return Err(refused(EXPORTER, "otlp needs the feature `otlp`")),
            #[cfg(feature = "zipkin")]
            "zipkin" => config.zipkin(zipkin(&variables)?),
            #[cfg(not(feature = "zipkin"))]
            "zipkin" => return Err(refused(EXPORTER, "zipkin needs the feature `zipkin`")),
            "console" | "logging" => {
                let why = "there is no exporter to the console: stdout is the protocol's";
                return Err(refused(EXPORTER, why));
            }
            _ => return Err(refused(EXPORTER, "may be otlp, zipkin or none")),
        };
    }
    Ok(config)
}

fn refused(name: &'static str, why: &str) -> Error {
    Error::Variable { name, why: why.to_owned() }
}

/// What looks variables up.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let number = self.get(name).map(|value| value.parse());
        number.transpose().map_err(|_| refused(name, "must be a whole number"))
    }

    /// In milliseconds. 0 is no limit in OpenTelemetry, and there is no such thing here: the longest
    /// instead.
    #[cfg(any(feature = "otlp", feature = "otlp-grpc", feature = "zipkin"))]
    fn timeout(&self, name: &'static str) -> Result<Option<Duration>, Error> {
        let millis = self.number(name)?;
        Ok(millis.map(|millis| if millis > 0 { Duration::from_millis(millis) } else { LONGEST }))
    }

    /// Of traces, or else of all signals; with the name of the one that it was.
    #[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
    fn either(&self, [traces, all]: [&'static str; 2]) -> Option<(&'static str, String)> {
        [traces, all].into_iter().find_map(|name| Some((name, self.get(name)?)))
    }
}

fn sampler(variables: &Variables<'_>) -> Result<Sampler, Error> {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let Some(name) = variables.get(SAMPLER) else { return Ok(Sampler::Always) };
    let (root, is_parent_based) = match name.strip_prefix("parentbased_") {
        Some(root) => (root, true),
        None => (&*name, false),
    };
    let sampler = match root {
        "always_on" => Sampler::Always,
        "always_off" => Sampler::Never,
        "traceidratio" => {
            let share = variables.get(ARGUMENT).map_or(Ok(1.0), |share| share.parse());
            let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
            Sampler::Ratio(share.ok_or_else(|| refused(ARGUMENT, "must be a number, 0 to 1"))?)
        }
        _ => {
            let why = "may be always_on, always_off or traceidratio, each also with parentbased_";
            return Err(refused(SAMPLER, why));
        }
    };
    Ok(if is_parent_based { sampler } else { sampler.regardless() })
}

/// `key=value,…`, percent-encoded, as W3C's baggage has it without its properties.
fn pairs(name: &'static str, list: Option<String>) -> Result<Vec<(String, String)>, Error> {
    let list = list.unwrap_or_default();
    let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (decoded(key.trim())?, decoded(value.trim())?);
        (!key.is_empty()).then_some((key, value))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| refused(name, "must be key=value,key=value,…"))
}

/// A `%` that nothing follows which makes sense stands for itself.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        rest = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                &after[2..]
            }
            _ => {
                bytes.push(*first);
                after
            }
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
fn otlp(variables: &Variables<'_>) -> Result<Otlp, Error> {
    const PROTOCOL: [&str; 2] =
        ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
    const COMPRESSION: [&str; 2] =
        ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
    const CERTIFICATE: [&str; 2] =
        ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
    let protocol = variables.either(PROTOCOL);
    let mut otlp = match protocol.as_ref().map(|(name, protocol)| (*name, &**protocol)) {
        #[cfg(feature = "otlp")]
        None | Some((_, "http/protobuf")) => by_http(variables),
        #[cfg(not(feature = "otlp"))]
        None => by_grpc(variables),
        #[cfg(feature = "otlp")]
        Some((_, "http/json")) => by_http(variables).json(),
        #[cfg(not(feature = "otlp"))]
        Some((name, "http/protobuf" | "http/json")) => {
            return Err(refused(name, "HTTP needs the feature `otlp`"));
        }
        #[cfg(feature = "otlp-grpc")]
        Some((_, "grpc")) => by_grpc(variables),
        #[cfg(not(feature = "otlp-grpc"))]
        Some((name, "grpc")) => return Err(refused(name, "gRPC needs the feature `otlp-grpc`")),
        Some((name, _)) => {
            return Err(refused(name, "may be http/protobuf, http/json or grpc"));
        }
    };
    if let Some((name, list)) = variables.either(HEADERS) {
        for (key, value) in pairs(name, Some(list))? {
            otlp = otlp.header(&key, &value);
        }
    }
    if let Some((name, _)) = variables.either(TIMEOUT) {
        otlp = otlp.timeout(variables.timeout(name)?.unwrap_or(LONGEST));
    }
    if let Some((name, compression)) = variables.either(COMPRESSION) {
        otlp = match &*compression {
            "gzip" => otlp.gzip(true),
            "none" => otlp.gzip(false),
            _ => return Err(refused(name, "may be gzip or none")),
        };
    }
    match variables.either(CERTIFICATE) {
        #[cfg(feature = "tls")]
        Some((_, path)) => otlp = otlp.authorities(path),
        #[cfg(not(feature = "tls"))]
        Some((name, _)) => return Err(refused(name, "needs the feature `tls`")),
        None => {}
    }
    Ok(otlp)
}

#[cfg(feature = "zipkin")]
fn zipkin(variables: &Variables<'_>) -> Result<Zipkin, Error> {
    let endpoint = variables.get("OTEL_EXPORTER_ZIPKIN_ENDPOINT");
    let zipkin = Zipkin::to(endpoint.as_deref().unwrap_or("http://localhost:9411"));
    let timeout = variables.timeout("OTEL_EXPORTER_ZIPKIN_TIMEOUT")?;
    Ok(match timeout {
        Some(timeout) => zipkin.timeout(timeout),
        None => zipkin,
    })
}

#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
const OF_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

#[cfg(feature = "otlp")]
fn by_http(variables: &Variables<'_>) -> Otlp {
    match (variables.get(OF_TRACES), variables.get(OF_ALL)) {
        (Some(url), _) => Otlp::http_at(&url),
        (None, Some(endpoint)) => Otlp::http(&endpoint),
        (None, None) => Otlp::http("http://localhost:4318"),
    }
}

#[cfg(feature = "otlp-grpc")]
fn by_grpc(variables: &Variables<'_>) -> Otlp {
    const INSECURE: [&str; 2] =
        ["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"];
    let is_insecure =
        variables.either(INSECURE).is_some_and(|(_, on)| on.eq_ignore_ascii_case("true"));
    match variables.either([OF_TRACES, OF_ALL]) {
        Some((_, endpoint)) if endpoint.contains("://") => Otlp::grpc(&endpoint),
        Some((_, host)) if is_insecure => Otlp::grpc(&format!("http://{host}")),
        Some((_, host)) => Otlp::grpc(&format!("https://{host}")),
        None => Otlp::grpc("http://localhost:4317"),
    }
}

#[cfg(test)]
mod tests;
