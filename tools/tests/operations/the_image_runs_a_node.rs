//! The image of `docs/operations/docker`: what its Dockerfile copies and starts is there, and a node runs as the image and
//! the manifests say: not as root, without capabilities, on a file system that it cannot write, under the profile.
//!
//! No image is built here. The container is one of runc, which Docker and Kubernetes use, with the programs of this machine
//! instead of those of the image.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::common::{Folder, Running, free_port, outcome, output, wait_until};
use crate::files::{read, root};

/// The instructions of the Dockerfile, in order: their names and their words, with continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("docker/Dockerfile").replace("\\\n", " ");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, words) = line.split_once(' ').expect("an instruction and its words");
            (name.to_owned(), words.trim().to_owned())
        })
        .collect()
}

/// The words of the last instruction of this name.
fn last(name: &str) -> String {
    let found = instructions().into_iter().rev().find(|(found, _)| found == name);
    found.unwrap_or_else(|| panic!("no {name}")).1
}

/// The words of an instruction in the form of JSON, which needs no shell.
fn words(name: &str) -> Vec<String> {
    serde_json::from_str(&last(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_dockerfile_copies_what_exists_and_builds_with_the_rust_that_the_project_asks_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace");
    let wanted = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let wanted = wanted.expect("a version").trim_matches('"');
    let (mut stages, mut made) = (Vec::new(), Vec::new());
    for (name, text) in instructions() {
        let parts: Vec<&str> = text.split_whitespace().collect();
        match name.as_str() {
            "FROM" => stages.push(text),
            "RUN" => made.extend(parts.last().map(|file| (*file).to_owned())),
            "COPY" if parts[0].starts_with("--from=") => {
                assert_eq!(parts[0], "--from=build");
                assert!(
                    made.iter().any(|file| file == parts[1]),
                    "{text}: nothing makes it"
                );
            }
            "COPY" => {
                for source in &parts[..parts.len() - 1] {
                    assert!(root().join(source).exists(), "{text}: {source} is missing");
                }
            }
            "USER" | "WORKDIR" | "EXPOSE" | "STOPSIGNAL" | "ENTRYPOINT" | "CMD" => {}
            other => panic!("{other} is unknown"),
        }
    }
    assert_eq!(stages.len(), 2, "one stage builds, the other is small");
    assert!(
        stages[0].starts_with(&format!("rust:{wanted}-slim-")),
        "{}",
        stages[0]
    );
    let release = |stage: &str| {
        stage
            .split([' ', '-', ':'])
            .find(|part| part.starts_with("book"))
            .map(str::to_owned)
    };
    assert!(
        release(&stages[0]).is_some() && release(&stages[0]) == release(&stages[1]),
        "{stages:?}"
    );
    // A name would need a look into the image to see that it is not root.
    let user = last("USER");
    assert!(
        user.split(':')
            .all(|id| id.parse::<u32>().is_ok_and(|id| id > 999)),
        "{user}"
    );
    let ignored = read("docker/Dockerfile.dockerignore");
    let ignored: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(ignored, ["target", "**/target", ".git"]);
}

#[test]
fn the_image_starts_a_config_that_is_valid() {
    assert_eq!(words("ENTRYPOINT"), ["/usr/local/bin/skyring"]);
    assert_eq!(words("CMD"), ["run", "/etc/skyring/config"]);
    let copied = last("COPY");
    assert!(copied.ends_with(" /etc/skyring/"), "{copied}");
    for file in copied.split(' ').filter(|file| file.starts_with("docs/")) {
        let (code, text, error) = outcome(&output(["check".as_ref(), root().join(file).as_os_str()]));
        assert_eq!(code, Some(0), "{text}{error}");
    }
    let exposed = last("EXPOSE");
    assert!(
        read("docker/clustername.lua").contains(&format!(":{exposed}\"")),
        "{exposed}"
    );
}

fn runc(arguments: &[&str], bundle: &Path) -> Command {
    let mut command = Command::new("runc");
    command.args(arguments).current_dir(bundle).stdin(Stdio::null());
    command
}

/// A folder that describes a container: `config.json`, and an empty root into which this machine's programs are mounted.
struct Bundle {
    folder: Folder,
    name: String,
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // After a failure the container may still run; usually there is none any more.
        let _ = runc(&["delete", "--force", &self.name], &self.path()).output();
    }
}

impl Bundle {
    fn new() -> Bundle {
        let folder = Folder::new();
        for inside in ["proc", "dev", "etc/skyring", "usr", "lib", "lib64", "program"] {
            fs::create_dir_all(folder.path("root").join(inside)).expect("a folder");
        }
        let name = format!("skyring-test-{}-{}", std::process::id(), free_port());
        Bundle { folder, name }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path("")
    }

    /// Describes a container that runs `skyring` with these arguments.
    fn describe(&self, arguments: &[&str], seccomp: Option<Value>) {
        let bound = |inside: &str, outside: &Path| json!({ "destination": inside, "type": "bind", "source": outside, "options": ["bind", "ro", "nosuid", "nodev"] });
        let program = Path::new(env!("CARGO_BIN_EXE_skyring"));
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
            json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }),
            bound("/program", program.parent().expect("a folder")),
            bound("/etc/skyring", &self.folder.path("etc")),
        ];
        mounts.extend(["/usr", "/lib", "/lib64"].map(|library| bound(library, Path::new(library))));
        let user = last("USER");
        let (user, group) = user.split_once(':').expect("a user and a group");
        let id = |text: &str| text.parse::<u32>().expect("a number");
        let mut linux = json!({ "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }] });
        if let Some(seccomp) = seccomp {
            linux["seccomp"] = seccomp;
        }
        let command = [&["/program/skyring"], arguments].concat();
        let description = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": id(user), "gid": id(group) },
                "args": command,
                "cwd": "/",
                "env": ["RUST_BACKTRACE=1"],
                "noNewPrivileges": true,
                "capabilities": { "bounding": [], "effective": [], "permitted": [] },
            },
            "root": { "path": "root", "readonly": true },
            "mounts": mounts,
            "linux": linux,
        });
        self.folder.write("config.json", description.to_string());
    }

    fn output(&self) -> Option<Output> {
        runc(&["run", &self.name], &self.path()).output().ok()
    }
}

/// The profile in the runtime's form, which has no comments.
fn seccomp() -> Value {
    let mut profile: Value = serde_json::from_str(&read("docker/seccomp.json")).expect("JSON");
    for rule in profile["syscalls"].as_array_mut().expect("rules") {
        rule.as_object_mut().expect("a rule").remove("comment");
    }
    profile
}

#[test]
fn a_node_runs_in_a_container_as_the_files_describe_it() {
    let bundle = Bundle::new();
    let (port, admin) = (free_port(), free_port());
    fs::create_dir(bundle.folder.path("etc")).expect("a folder");
    bundle.folder.write(
        "etc/clustername.lua",
        read("docker/clustername.lua").replace("7101", &port.to_string()),
    );
    bundle.folder.write(
        "etc/config",
        read("docker/config").replace("8100", &admin.to_string()),
    );
    bundle.describe(&["--version"], None);
    match bundle.output() {
        Some(output) if output.status.success() => {}
        other => {
            let why = other.map(|output| outcome(&output).2);
            return eprintln!(
                "skipped: no container runs here: {}",
                why.as_deref().unwrap_or("runc is missing")
            );
        }
    }
    bundle.describe(&["doctor", "/etc/skyring/config"], Some(seccomp()));
    let (code, text, error) = outcome(&bundle.output().expect("runc runs"));
    assert!(
        code == Some(0) && text.contains("ok       io_uring"),
        "{text}{error}"
    );
    let arguments = words("CMD");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    bundle.describe(&arguments, Some(seccomp()));
    let mut node = Running::ready(&mut runc(&["run", &bundle.name], &bundle.path()), "Listen on ");
    let address = format!("127.0.0.1:{port}");
    wait_until("it answers", || {
        outcome(&output(["call", "--addr", &address, "@sdb", "PING"])).0 == Some(0)
    });
    let stopped = runc(
        &["kill", &bundle.name, last("STOPSIGNAL").as_str()],
        &bundle.path(),
    )
    .status();
    assert!(stopped.is_ok_and(|status| status.success()));
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
}
