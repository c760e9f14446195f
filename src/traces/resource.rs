//! What an exporter says of the process that made the spans.

/// The value of an attribute of a process.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ResourceValue {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
}

impl From<&str> for ResourceValue {
    fn from(text: &str) -> Self {
        ResourceValue::Text(text.to_owned())
    }
}

impl From<String> for ResourceValue {
    fn from(text: String) -> Self {
        ResourceValue::Text(text)
    }
}

impl From<i64> for ResourceValue {
    fn from(number: i64) -> Self {
        ResourceValue::Int(number)
    }
}

impl From<bool> for ResourceValue {
    fn from(truth: bool) -> Self {
        ResourceValue::Bool(truth)
    }
}

/// The attributes of a process, each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Resource {
    attributes: Vec<(String, ResourceValue)>,
}

impl Resource {
    /// Of an engine.
    ///
    /// * `service`: name and version; each counts where it is not empty.
    /// * `more`: as the host set them. The last of a name counts; over `service` only where that says
    ///   nothing.
    pub(crate) fn of(service: &(String, String), more: &[(String, ResourceValue)]) -> Resource {
        let mut resource = Resource::default();
        let program = program();
        let unknown = format!("unknown_service:{program}");
        resource.set("service.name", unknown.into());
        resource.set("telemetry.sdk.name", "mcp-vitals".into());
        resource.set("telemetry.sdk.language", "rust".into());
        resource.set("telemetry.sdk.version", env!("CARGO_PKG_VERSION").into());
        resource.set("process.pid", i64::from(std::process::id()).into());
        resource.set("process.executable.name", program.into());
        resource.set("os.type", os().into());
        if let Some(host) = host() {
            resource.set("host.name", host.into());
        }
        for (key, value) in more {
            resource.set(key, value.clone());
        }
        for (key, text) in [("service.name", &service.0), ("service.version", &service.1)] {
            if !text.is_empty() {
                resource.set(key, text.as_str().into());
            }
        }
        resource
    }

    /// Name and value, in the order in which they came.
    pub(crate) fn attributes(&self) -> &[(String, ResourceValue)] {
        &self.attributes
    }

    /// `service.name`.
    #[cfg(any(test, feature = "zipkin"))]
    pub(crate) fn service_name(&self) -> &str {
        match self.attributes.iter().find(|(key, _)| key == "service.name") {
            Some((_, ResourceValue::Text(name))) => name,
            _ => "",
        }
    }

    fn set(&mut self, key: &str, value: ResourceValue) {
        match self.attributes.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.attributes.push((key.to_owned(), value)),
        }
    }
}

fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// As OpenTelemetry names them.
fn os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

fn host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(resource: &Resource, key: &str) -> Vec<ResourceValue> {
        let of_key = resource.attributes().iter().filter(|(known, _)| known == key);
        of_key.map(|(_, value)| value.clone()).collect()
    }

    #[test]
    fn a_process_that_says_nothing_still_says_what_it_is() {
        let resource = Resource::of(&Default::default(), &[]);
        assert!(resource.service_name().starts_with("unknown_service:mcp_vitals"));
        assert_eq!(text(&resource, "service.version"), []);
        assert_eq!(text(&resource, "telemetry.sdk.language"), ["rust".into()]);
        assert_eq!(text(&resource, "process.pid"), [i64::from(std::process::id()).into()]);
    }

    #[test]
    fn each_name_is_there_once_and_what_was_said_last_counts() {
        let more = [
            ("host.name".to_owned(), ResourceValue::from("a")),
            ("host.name".to_owned(), "b".into()),
            ("service.name".to_owned(), "from elsewhere".into()),
            ("service.version".to_owned(), "9".into()),
        ];
        let resource = Resource::of(&("search".into(), String::new()), &more);
        assert_eq!(text(&resource, "host.name"), ["b".into()]);
        assert_eq!(resource.service_name(), "search");
        assert_eq!(text(&resource, "service.version"), ["9".into()]);
    }
}
