//! The manifests for Kubernetes: each is an object of its kind without a field that it does not have, what they name is
//! there, and their node is one that starts and that the probes find healthy.

use std::collections::BTreeMap;
use std::process::Command;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Probe, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::common::{Folder, Running, free_port, http_status, outcome, run_command, skyring, wait_until};
use crate::files::read;
use crate::profile::Profile;

/// How long a stop may take beside the two times that `stop_timeout_ms` bounds, in milliseconds.
const STOP_REST_MS: i64 = 3_000;

/// The objects of the file.
struct Manifests {
    service: Service,
    budget: PodDisruptionBudget,
    configs: ConfigMap,
    set: StatefulSet,
}

impl Manifests {
    fn read() -> Manifests {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&read("kubernetes/scene.yaml")).expect("YAML");
        assert_eq!(documents.len(), 4, "each is looked at");
        Manifests {
            service: object(&documents, "v1", "Service"),
            budget: object(&documents, "policy/v1", "PodDisruptionBudget"),
            configs: object(&documents, "v1", "ConfigMap"),
            set: object(&documents, "apps/v1", "StatefulSet"),
        }
    }

    fn pod(&self) -> &PodSpec {
        let template = &self.set.spec.as_ref().expect("it has one").template;
        template.spec.as_ref().expect("a pod")
    }

    fn container(&self) -> &Container {
        let containers = &self.pod().containers;
        assert_eq!(containers.len(), 1);
        &containers[0]
    }

    fn labels(&self) -> &BTreeMap<String, String> {
        let template = &self.set.spec.as_ref().expect("it has one").template;
        let labels = template
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.labels.as_ref());
        labels.expect("labels")
    }

    /// A file of the config map.
    fn file(&self, name: &str) -> &str {
        &self.configs.data.as_ref().expect("files")[name]
    }
}

/// The object of this kind, or what is wrong with it.
fn parse<T: DeserializeOwned + Serialize>(
    documents: &[Value],
    version: &str,
    kind: &str,
) -> Result<T, String> {
    let found = documents
        .iter()
        .find(|value| value["apiVersion"] == version && value["kind"] == kind);
    let found = found.ok_or_else(|| format!("no {kind} of {version}"))?;
    let object: T = serde_json::from_value(found.clone()).map_err(|error| format!("{kind}: {error}"))?;
    let known = serde_json::to_value(&object).map_err(|error| error.to_string())?;
    match unknown(found, &known) {
        Some(field) => Err(format!("{kind}{field} is no field")),
        None => Ok(object),
    }
}

fn object<T: DeserializeOwned + Serialize>(documents: &[Value], version: &str, kind: &str) -> T {
    parse(documents, version, kind).unwrap_or_else(|error| panic!("{error}"))
}

/// The first field of `found` that is missing in what the typed object was made of.
fn unknown(found: &Value, known: &Value) -> Option<String> {
    match (found, known) {
        (Value::Object(found), Value::Object(known)) => {
            found.iter().find_map(|(name, value)| match known.get(name) {
                Some(known) => unknown(value, known).map(|rest| format!(".{name}{rest}")),
                None => Some(format!(".{name}")),
            })
        }
        (Value::Array(found), Value::Array(known)) => {
            let pairs = found.iter().zip(known).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (found, known))| unknown(found, known).map(|rest| format!("[{at}]{rest}")))
        }
        _ => (found != known).then(String::new),
    }
}

/// The numbers of the node's config, by their keys.
fn number(config: &str, key: &str) -> i64 {
    let line = config
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{key} = ")));
    line.and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no {key}"))
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let wanted = selector.match_labels.iter().flatten();
    selector.match_expressions.is_none()
        && wanted.clone().count() > 0
        && wanted
            .into_iter()
            .all(|(name, value)| labels.get(name) == Some(value))
}

#[test]
fn an_unknown_field_and_a_value_of_another_type_are_found() {
    let text = read("kubernetes/scene.yaml");
    let parsed = |from: &str, to: &str| {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text.replacen(from, to, 1)).expect("YAML");
        parse::<StatefulSet>(&documents, "apps/v1", "StatefulSet").map(drop)
    };
    let refused = |from, to| parsed(from, to).expect_err("it is refused");
    assert_eq!(
        refused("minReadySeconds", "minReadySecond"),
        "StatefulSet.spec.minReadySecond is no field"
    );
    assert_eq!(
        refused("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
        "StatefulSet.spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem is no field"
    );
    assert!(refused("replicas: 3", "replicas: three").contains("expected i32"));
    assert_eq!(parsed("replicas: 3", "replicas: 5"), Ok(()));
}

#[test]
fn selectors_ports_volumes_and_names_match_each_other() {
    let all = Manifests::read();
    let (set, service) = (
        all.set.spec.as_ref().expect("it has one"),
        all.service.spec.as_ref().expect("it has one"),
    );
    let labels = all.labels();
    assert!(selects(&set.selector, labels));
    let budget = all.budget.spec.as_ref().expect("it has one");
    assert!(selects(budget.selector.as_ref().expect("a selector"), labels));
    assert_eq!(
        budget.max_unavailable,
        Some(IntOrString::Int(1)),
        "one node at a time"
    );
    for spread in all.pod().topology_spread_constraints.iter().flatten() {
        assert!(selects(
            spread.label_selector.as_ref().expect("a selector"),
            labels
        ));
    }
    let selector = service.selector.as_ref().expect("a selector");
    assert!(
        selector
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
            && !selector.is_empty()
    );
    assert_eq!(service.cluster_ip.as_deref(), Some("None"), "it is headless");
    assert_eq!(set.service_name.as_ref(), all.service.metadata.name.as_ref());

    let container = all.container();
    let ports: BTreeMap<&str, i32> = container
        .ports
        .iter()
        .flatten()
        .map(|port| (port.name.as_deref().expect("a name"), port.container_port))
        .collect();
    for port in service.ports.iter().flatten() {
        assert_eq!(port.target_port, port.name.clone().map(IntOrString::String));
        assert_eq!(ports.get(port.name.as_deref().expect("a name")), Some(&port.port));
    }
    let volumes: Vec<&str> = all
        .pod()
        .volumes
        .iter()
        .flatten()
        .map(|volume| volume.name.as_str())
        .collect();
    let mounts: Vec<&str> = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| mount.name.as_str())
        .collect();
    assert_eq!(
        volumes, mounts,
        "each volume is mounted, and each mount has its volume"
    );
    for source in all
        .pod()
        .volumes
        .iter()
        .flatten()
        .filter_map(|volume| volume.config_map.as_ref())
    {
        assert_eq!(Some(&source.name), all.configs.metadata.name.as_ref());
    }
    // The config asks for these ports, this service and these nodes.
    let config = all.file("config");
    let name = all.service.metadata.name.as_deref().expect("a name");
    assert!(
        config.contains(&format!(
            "dns = \"_skyring._tcp.{name}\", listen = \"0.0.0.0:{}\"",
            ports["skyring"]
        )),
        "{config}"
    );
    assert!(
        config.contains(&format!("admin = \"0.0.0.0:{}\"", ports["admin"])),
        "{config}"
    );
    let members: Vec<String> = (0..set.replicas.expect("a number"))
        .map(|index| format!("\"{name}-{index}\""))
        .collect();
    let map = all.file("clustername.lua");
    assert!(
        map.contains(&format!("{{ {}, policy", members.join(", "))),
        "{map}"
    );
}

#[test]
fn a_pod_runs_without_root_under_the_profile_and_has_the_time_to_stop() {
    let all = Manifests::read();
    let (pod, container) = (all.pod(), all.container());
    let context = pod.security_context.as_ref().expect("one");
    assert_eq!(
        (context.run_as_non_root, context.run_as_user, context.run_as_group),
        (Some(true), Some(65_532), Some(65_532))
    );
    assert!(read("docker/Dockerfile").contains("USER 65532:65532"));
    let profile = context.seccomp_profile.as_ref().expect("one");
    assert_eq!(
        (profile.type_.as_str(), profile.localhost_profile.as_deref()),
        ("Localhost", Some("profiles/skyring.json"))
    );
    assert!(Profile::read().allowed().contains("io_uring_setup"));
    let own = container.security_context.as_ref().expect("one");
    assert_eq!(
        (own.allow_privilege_escalation, own.read_only_root_filesystem),
        (Some(false), Some(true))
    );
    let dropped = own
        .capabilities
        .as_ref()
        .and_then(|capabilities| capabilities.drop.as_ref());
    assert_eq!(dropped.map(Vec::as_slice), Some(&["ALL".to_owned()][..]));

    let config = all.file("config");
    let stop_ms = 2 * number(config, "stop_timeout_ms") + STOP_REST_MS;
    let grace_s = pod.termination_grace_period_seconds.expect("a time");
    assert!(
        grace_s * 1_000 >= stop_ms,
        "{grace_s} s are less than {stop_ms} ms"
    );
    let resources = container.resources.as_ref().expect("some");
    assert_eq!(resources.requests, resources.limits);
    let processors = &resources.limits.as_ref().expect("limits")["cpu"].0;
    assert_eq!(
        *processors,
        number(config, "thread").to_string(),
        "a shard has a processor"
    );
    assert!(
        all.set
            .spec
            .as_ref()
            .is_some_and(|set| set.min_ready_seconds > Some(10))
    );
}

/// The environment that the manifests give a container, with values for what comes from elsewhere.
fn environment(container: &Container) -> Vec<(String, String)> {
    let variables = container.env.iter().flatten();
    variables
        .map(|variable| {
            let source = variable.value_from.as_ref().expect("none has a value of its own");
            let value = match (&source.field_ref, &source.secret_key_ref) {
                (Some(field), None) if field.field_path == "metadata.name" => "scene-0".to_owned(),
                (None, Some(secret)) => {
                    assert_eq!(secret.name, "skyring");
                    "0123456789abcdef0123456789abcdef".to_owned()
                }
                _ => panic!("{} comes from somewhere else", variable.name),
            };
            (variable.name.clone(), value)
        })
        .collect()
}

fn with_environment<'a>(command: &'a mut Command, container: &Container) -> &'a mut Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).envs(environment(container))
}

fn probe_path(probe: Option<&Probe>) -> &str {
    let asked = probe
        .and_then(|probe| probe.http_get.as_ref())
        .expect("a probe by HTTP");
    assert_eq!(asked.port, IntOrString::String("admin".to_owned()));
    asked.path.as_deref().expect("a path")
}

#[test]
fn the_config_is_valid_and_its_node_starts_and_passes_the_probes() {
    let all = Manifests::read();
    let container = all.container();
    let folder = Folder::new();
    folder.write("clustername.lua", all.file("clustername.lua"));
    let config = folder.write("config", all.file("config"));
    let args = container.args.as_ref().expect("arguments");
    assert_eq!(args[0], "run");
    let mounted = container
        .volume_mounts
        .iter()
        .flatten()
        .find(|mount| mount.name == "config");
    assert_eq!(
        Some(args[1].as_str()),
        mounted
            .map(|mount| format!("{}/config", mount.mount_path))
            .as_deref()
    );
    let checked = with_environment(&mut skyring(["check".as_ref(), config.as_os_str()]), container).output();
    let (code, text, error) = outcome(&checked.expect("the command starts"));
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.contains("as scene-0 on 0.0.0.0:7101"), "{text}");

    let (port, admin) = (free_port(), free_port());
    let text = all
        .file("config")
        .replace(":7101", &format!(":{port}"))
        .replace(":8100", &format!(":{admin}"));
    let config = folder.write("config", text);
    let mut node = Running::node_of(with_environment(&mut run_command(&config), container));
    for probe in [&container.readiness_probe, &container.liveness_probe] {
        let path = probe_path(probe.as_ref());
        wait_until("the probe passes", || http_status(admin, path) == 200);
    }
    assert_eq!(http_status(admin, "/metrics"), 401, "other pages need the token");
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
}
