//! What stands under `docs/deploy/` is of one piece: it can be read, ports and labels fit together, and
//! what is mounted is there. Whether a cluster or a Docker takes it, is not known from here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(under: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(under)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
            let path = entry.unwrap().path();
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if endings.contains(&end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Each document of a file.
fn read(path: &Path) -> Vec<Yaml> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn deploy(file: &str) -> Vec<Yaml> {
    read(&root().join("docs/deploy").join(file))
}

/// The value at `a/b/0/c`.
fn at<'a>(yaml: &'a Yaml, path: &str) -> &'a Yaml {
    path.split('/').fold(yaml, |yaml, part| match part.parse::<usize>() {
        Ok(index) if yaml.is_array() => &yaml[index],
        _ => &yaml[part],
    })
}

fn text<'a>(yaml: &'a Yaml, path: &str) -> &'a str {
    at(yaml, path).as_str().unwrap_or_else(|| panic!("no text at {path} of {yaml:?}"))
}

fn list<'a>(yaml: &'a Yaml, path: &str) -> &'a [Yaml] {
    at(yaml, path).as_vec().unwrap_or_else(|| panic!("no list at {path} of {yaml:?}"))
}

fn of_kind<'a>(documents: &'a [Yaml], kind: &str) -> Vec<&'a Yaml> {
    documents.iter().filter(|document| document["kind"].as_str() == Some(kind)).collect()
}

/// Whether what has `labels` is meant by `selector`.
fn selects(selector: &Yaml, labels: &Yaml) -> bool {
    let wanted = selector.as_hash().expect("a selector");
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key.as_str().unwrap()] == *value)
}

#[test]
fn every_file_is_yaml() {
    let mut all = files("docs/deploy", &["yaml", "yml"]);
    all.extend(files("dashboards/provisioning", &["yaml", "yml"]));
    all.extend(["prometheus.yml", "alertmanager.yml"].map(|file| root().join(file)));
    assert!(all.len() >= 10, "{all:?}");
    for path in all {
        let documents = read(&path);
        assert!(!documents.is_empty(), "{path:?} is empty");
        assert!(documents.iter().all(|document| document.as_hash().is_some()), "{path:?}");
    }
}

#[test]
fn of_kubernetes_labels_and_ports_fit_together() {
    let server = deploy("kubernetes/server.yaml");
    let deployment = of_kind(&server, "Deployment")[0];
    let pod = at(deployment, "spec/template");
    let labels = at(pod, "metadata/labels");
    assert!(selects(at(deployment, "spec/selector/matchLabels"), labels));

    let container = at(pod, "spec/containers/0");
    let ports: Vec<(&str, i64)> = list(container, "ports")
        .iter()
        .map(|port| (text(port, "name"), port["containerPort"].as_i64().unwrap()))
        .collect();
    let named = |name: &str| ports.iter().find(|port| port.0 == name).map(|port| port.1);
    let metrics = named("metrics").expect("a port for metrics");
    let annotations = at(pod, "metadata/annotations");
    assert_eq!(annotations["prometheus.io/port"].as_str(), Some(metrics.to_string().as_str()));
    for probe in ["livenessProbe", "startupProbe"] {
        assert_eq!(text(container, &format!("{probe}/httpGet/path")), "/healthz");
        assert_eq!(named(text(container, &format!("{probe}/httpGet/port"))), Some(metrics));
    }
    assert!(named(text(container, "readinessProbe/tcpSocket/port")).is_some());
    assert!(!at(container, "resources/requests/memory").is_badvalue());
    assert!(!at(container, "resources/limits/memory").is_badvalue());

    let volumes: Vec<&str> =
        list(pod, "spec/volumes").iter().map(|volume| text(volume, "name")).collect();
    for mount in list(container, "volumeMounts") {
        assert!(volumes.contains(&text(mount, "name")), "{mount:?}");
    }

    let services = of_kind(&server, "Service");
    assert_eq!(services.len(), 2);
    for service in &services {
        assert!(selects(at(service, "spec/selector"), labels));
        for port in list(service, "spec/ports") {
            assert_eq!(named(text(port, "targetPort")), port["port"].as_i64());
        }
    }
    let policy = of_kind(&server, "NetworkPolicy")[0];
    assert!(selects(at(policy, "spec/podSelector/matchLabels"), labels));

    // One service is scraped, and not the one of the clients.
    let monitor = &deploy("kubernetes/servicemonitor.yaml")[0];
    let endpoint = at(monitor, "spec/endpoints/0");
    let scraped: Vec<_> = services
        .iter()
        .filter(|service| {
            selects(at(monitor, "spec/selector/matchLabels"), at(service, "metadata/labels"))
        })
        .collect();
    assert_eq!(scraped.len(), 1);
    assert_eq!(text(scraped[0], "spec/ports/0/name"), text(endpoint, "port"));
    assert_eq!(text(endpoint, "path"), "/metrics");
    let pods = &deploy("kubernetes/podmonitor.yaml")[0];
    assert!(selects(at(pods, "spec/selector/matchLabels"), labels));
    assert_eq!(named(text(pods, "spec/podMetricsEndpoints/0/port")), Some(metrics));
}

#[test]
fn of_kubernetes_what_stdio_servers_write_is_what_the_node_exporter_reads() {
    let documents = deploy("kubernetes/stdio.yaml");
    let folder = |kind: &str| {
        let spec = at(of_kind(&documents, kind)[0], "spec/template/spec");
        let container = at(spec, "containers/0");
        assert_eq!(text(container, "volumeMounts/0/name"), text(spec, "volumes/0/name"));
        (text(spec, "volumes/0/hostPath/path"), text(container, "volumeMounts/0/mountPath"))
    };
    let (writes, reads) = (folder("Deployment"), folder("DaemonSet"));
    assert_eq!(writes.0, reads.0);
    let exporter = at(of_kind(&documents, "DaemonSet")[0], "spec/template/spec/containers/0");
    assert_eq!(text(exporter, "args/0"), format!("--collector.textfile.directory={}", reads.1));
}

#[test]
fn of_kustomize_all_resources_are_there() {
    let folder = root().join("docs/deploy/kubernetes");
    let kustomization = &deploy("kubernetes/kustomization.yaml")[0];
    for file in list(kustomization, "resources") {
        assert!(folder.join(file.as_str().unwrap()).is_file(), "{file:?}");
    }
}

#[test]
fn of_compose_what_is_mounted_is_there_and_who_is_scraped_listens() {
    let folder = root().join("docs/deploy/compose");
    let compose = &deploy("compose/compose.yaml")[0];
    let services = compose["services"].as_hash().unwrap();
    let named = compose["volumes"].as_hash().unwrap();
    let mut mounts = 0;
    for (name, service) in services {
        let Some(volumes) = service["volumes"].as_vec() else { continue };
        for volume in volumes {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let known = match source.starts_with('.') {
                true => folder.join(source).exists(),
                false => named.contains_key(&Yaml::String(source.to_owned())),
            };
            assert!(known, "{name:?}: {source}");
            mounts += 1;
        }
    }
    assert!(mounts > 5, "{mounts}");
    // Whatever is published is so on this machine alone.
    for (name, service) in services {
        for port in list(service, "ports") {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name:?}: {port:?}");
        }
    }
    let server = &compose["services"]["server"];
    assert!(folder.join(text(server, "build/context")).join("Cargo.toml").is_file());
    assert!(root().join(text(server, "build/dockerfile")).is_file());

    let listens: Vec<&str> =
        list(server, "command").iter().map(|word| word.as_str().unwrap()).collect();
    let metrics = listens.iter().position(|word| *word == "--metrics").unwrap() + 1;
    let port = listens[metrics].strip_prefix("0.0.0.0:").expect("reached from other containers");
    let prometheus = &deploy("compose/prometheus.yml")[0];
    assert_eq!(
        text(prometheus, "scrape_configs/0/static_configs/0/targets/0"),
        format!("server:{port}")
    );
    for file in list(prometheus, "rule_files") {
        assert!(root().join(file.as_str().unwrap()).is_file(), "{file:?}");
    }

    // The same data source as ours, under another address.
    let plain = |file: &str| {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
        lines.collect::<Vec<_>>().join("\n")
    };
    let ours = plain("dashboards/provisioning/datasources.yml");
    let ours = ours.replace("http://127.0.0.1:9090", "http://prometheus:9090");
    let theirs = plain("docs/deploy/compose/datasources.yml");
    assert_eq!(ours, theirs);
}

/// Without systemd on the machine there is nothing to ask.
#[cfg(target_os = "linux")]
#[test]
fn the_units_are_what_systemd_understands() {
    let units = files("docs/deploy/systemd", &["service", "socket"]);
    assert_eq!(units.len(), 3, "{units:?}");
    let folder = std::env::temp_dir().join(format!("mcp-vitals-units-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let copies: Vec<PathBuf> = units
        .iter()
        .map(|unit| {
            let text = fs::read_to_string(unit).unwrap();
            // The server of the example is not on this machine.
            let lines = text.lines().map(|line| match line.starts_with("ExecStart=") {
                true => "ExecStart=/bin/true",
                false => line,
            });
            let copy = folder.join(unit.file_name().unwrap());
            fs::write(&copy, lines.collect::<Vec<_>>().join("\n")).unwrap();
            copy
        })
        .collect();
    let verify = Command::new("systemd-analyze").arg("verify").args(&copies).output();
    fs::remove_dir_all(&folder).unwrap();
    let Ok(verify) = verify else { return };
    let said = String::from_utf8_lossy(&verify.stderr);
    // It says more about the units of the machine; an unknown setting is told, and no error.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("search-server")).collect();
    assert!(verify.status.success() && ours.is_empty(), "{said}");
}
