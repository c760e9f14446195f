//! Variables, and what they set.

use super::*;

fn with(variables: &[(&str, &str)]) -> Result<TraceConfig, Error> {
    read(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_string())
    })
}

fn none(more: &[(&str, &str)]) -> TraceConfig {
    with(&[&[("OTEL_TRACES_EXPORTER", "none")], more].concat()).unwrap()
}

/// What is in the way of `value`, with the variable's name.
fn why(name: &'static str, value: &str) -> String {
    let more = [("OTEL_TRACES_EXPORTER", "none")];
    let more = if name == more[0].0 { &[][..] } else { &more };
    let error = with(&[more, &[(name, value)]].concat()).unwrap_err();
    assert!(matches!(&error, Error::Variable { name: said, .. } if *said == name), "{error:?}");
    error.to_string()
}

#[test]
fn an_empty_variable_is_none() {
    let empty = none(&[("OTEL_TRACES_SAMPLER", ""), ("OTEL_SPAN_EVENT_COUNT_LIMIT", " ")]);
    assert_eq!(empty.sampler, Sampler::Always);
    assert_eq!(empty.limits.counts, [128; 3]);
    assert!(empty.exporters.is_empty() && empty.resource.is_empty());
}

#[test]
fn samplers_have_the_names_that_opentelemetry_gave_them() {
    let sampler = |name: &str, share: &str| {
        none(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", share)]).sampler
    };
    for (name, root) in [
        ("always_on", Sampler::Always),
        ("always_off", Sampler::Never),
        ("traceidratio", Sampler::Ratio(0.25)),
    ] {
        assert_eq!(sampler(&format!("parentbased_{name}"), "0.25"), root);
        assert_eq!(sampler(name, "0.25"), root.regardless());
    }
    assert_eq!(sampler("parentbased_traceidratio", ""), Sampler::Ratio(1.0));
    assert!(why("OTEL_TRACES_SAMPLER", "jaeger_remote").contains("may be"));
    for share in ["1.5", "-1", "NaN", "half"] {
        let of_ratio = [
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", share),
        ];
        let error = with(&of_ratio).unwrap_err().to_string();
        assert!(error.contains("OTEL_TRACES_SAMPLER_ARG"), "{error}");
    }
}

#[test]
fn a_process_says_what_the_environment_says_of_it() {
    let config = none(&[
        ("OTEL_RESOURCE_ATTRIBUTES", "deploy = eu%201 , service.name=a,%63=%C3%A6%,d=x=y,"),
        ("OTEL_SERVICE_NAME", "search"),
    ]);
    let text = |key: &str, value: &str| (key.to_owned(), value.into());
    assert_eq!(
        config.resource,
        [
            text("deploy", "eu 1"),
            text("service.name", "a"),
            text("c", "æ%"),
            text("d", "x=y"),
            text("service.name", "search")
        ]
    );
    for wrong in ["no pair", "=value", "key=%ff"] {
        assert!(why("OTEL_RESOURCE_ATTRIBUTES", wrong).contains("key=value"));
    }
}

#[test]
fn limits_are_bounded() {
    let config = none(&[
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "1000000"),
    ]);
    assert_eq!(config.limits.counts, [3, 0, 1_024]);
    assert!(why("OTEL_SPAN_LINK_COUNT_LIMIT", "-1").contains("whole number"));
}

#[test]
fn the_console_is_not_ours() {
    assert!(why("OTEL_TRACES_EXPORTER", "console").contains("stdout is the protocol's"));
    assert!(why("OTEL_TRACES_EXPORTER", "none,carbon").contains("may be"));
}

#[cfg(feature = "zipkin")]
#[test]
fn zipkin_is_asked_for_by_its_name() {
    let config = with(&[
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://host:9411/api/v2/spans"),
        ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", "250"),
    ]);
    let names: Vec<_> = config.unwrap().exporters.iter().map(|wanted| wanted.name).collect();
    assert_eq!(names, ["zipkin"]);
}

#[test]
fn a_process_that_is_disabled_exports_nothing() {
    assert!(with(&[("OTEL_SDK_DISABLED", "true")]).unwrap().exporters.is_empty());
}

#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
mod otlp {
    use super::*;

    fn exporter(variables: &[(&str, &str)]) -> Otlp {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        };
        super::super::otlp(&Variables(&find)).unwrap()
    }

    #[test]
    fn it_is_there_unless_somebody_says_otherwise() {
        let config = with(&[]).unwrap();
        assert_eq!(config.exporters.iter().map(|wanted| wanted.name).collect::<Vec<_>>(), ["otlp"]);
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn an_endpoint_of_traces_is_used_as_it_is() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/base/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/in");
        assert_eq!(exporter(&[]), Otlp::http("http://localhost:4318"));
        assert_eq!(exporter(&[base]), Otlp::http_at("http://all:4318/base/v1/traces"));
        assert_eq!(exporter(&[base, traces]), Otlp::http_at("http://traces/in"));
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn what_is_said_of_traces_counts_over_what_is_said_of_all() {
        let otlp = exporter(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=s%3Dcret,tenant=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ]);
        let expected = Otlp::http("http://localhost:4318")
            .json()
            .header("api-key", "s=cret")
            .header("tenant", "1")
            .timeout(Duration::from_millis(250))
            .gzip(true);
        assert_eq!(otlp, expected);
        let unlimited = exporter(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]);
        assert_eq!(
            unlimited,
            Otlp::http("http://localhost:4318").timeout(Duration::from_secs(300))
        );
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn an_endpoint_of_grpc_without_a_scheme_is_safe_unless_somebody_says_otherwise() {
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let host = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
        let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
        assert_eq!(exporter(&[grpc]), Otlp::grpc("http://localhost:4317"));
        assert_eq!(exporter(&[grpc, host]), Otlp::grpc("https://collector:4317"));
        assert_eq!(exporter(&[grpc, host, insecure]), Otlp::grpc("http://collector:4317"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_not_shown() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier pigeon"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "s3cret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "lzma"),
        ] {
            let error = with(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains(value), "{error}");
        }
    }
}
