//! The seccomp profile allows what a node needs, and not what it does not need: real processes run under its filter.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Output;

use crate::common::{Folder, Running, WAIT_MAX, free_port, outcome, output, run_command, wait_until};
use crate::profile::{Profile, refusal, under};

const ENOSYS: u32 = 38;

const IO_URING: [&str; 3] = ["io_uring_enter", "io_uring_register", "io_uring_setup"];

/// Uses what services in Lua use of the system: time, files, another process, sockets.
const MAIN: &str = r#"
    local skynet = require "skynet"
    local socket = require "skynet.socket"
    skynet.start(function()
        local name = assert(skynet.getenv "notes")
        local file = assert(io.open(name .. ".new", "w"))
        assert(file:write(os.date(), "\n"))
        assert(file:close())
        assert(os.rename(name .. ".new", name))
        assert(os.execute "exit 0")
        local pipe = assert(io.popen("echo popen"))
        assert(pipe:read "a" == "popen\n")
        pipe:close()
        local id = socket.listen("127.0.0.1", tonumber(skynet.getenv "echoes"))
        socket.start(id, function(connection)
            socket.start(connection)
            socket.write(connection, socket.readline(connection) .. "\n")
            socket.close(connection)
        end)
        skynet.error "all is well"
    end)"#;

/// A node with all that a config can have it do: its files, and its ports.
struct Files {
    folder: Folder,
    cluster: u16,
    admin: u16,
    gate: u16,
    echoes: u16,
}

impl Files {
    fn new(settings: &str) -> Files {
        let folder = Folder::new();
        let [cluster, admin, gate, echoes] = [(); 4].map(|()| free_port());
        folder.write("main.lua", MAIN);
        folder.write("clustername.lua", format!("db = \"localhost:{cluster}\""));
        let path = |name: &str| folder.path(name).display().to_string();
        let text = format!(
            "thread = 2\ncluster = \"./clustername.lua\"\nopen = \"db\"\nlogger = \"{}\"\nluaservice = \"{}\"\n\
             start = \"main\"\nnotes = \"{}\"\nechoes = \"{echoes}\"\nadmin = \"127.0.0.1:{admin}\"\n\
             discovery = {{ watch = true }}\n\
             services = {{ sdb = \"simpledb\", echo = \"keyed echo\", front = \"gate 127.0.0.1:{gate} @echo 20\" }}\n\
             {settings}\n",
            path("log"),
            path("?.lua"),
            path("notes"),
        );
        folder.write("config", text);
        Files {
            folder,
            cluster,
            admin,
            gate,
            echoes,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path("log")).unwrap_or_default()
    }
}

/// Writes bytes, and reads what comes back: all, or as many bytes.
fn exchange(port: u16, bytes: &[u8], count: Option<usize>) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a time");
    stream.write_all(bytes).expect("it reads");
    let mut answer = vec![0; count.unwrap_or(0)];
    match count {
        Some(_) => stream.read_exact(&mut answer).expect("it answers"),
        None => {
            stream.read_to_end(&mut answer).expect("it answers");
        }
    }
    answer
}

fn get(port: u16, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    String::from_utf8_lossy(&exchange(port, request.as_bytes(), None)).into_owned()
}

/// Starts a node under the filter, uses it in every way, and stops it.
fn run_under_profile(settings: &str) {
    let filter = Profile::read().filter();
    let files = Files::new(settings);
    let mut node = under(&filter, || {
        Running::start(&mut run_command(&files.folder.path("config")))
    });
    wait_until("the node listens", || {
        assert!(node.is_running(), "{}", files.log());
        let log = files.log();
        log.contains("all is well") && log.contains(&format!("Listen on 127.0.0.1:{}", files.cluster))
    });
    let address = format!("localhost:{}", files.cluster);
    let call = |words: &[&str]| -> Output {
        under(&filter, || {
            output([&["call", "--addr", &address], words].concat())
        })
    };
    assert_eq!(outcome(&call(&["@sdb", "SET", "colour", "green"])).0, Some(0));
    let (code, answer, error) = outcome(&call(&["@sdb", "GET", "colour"]));
    assert_eq!((code, answer.trim()), (Some(0), "green"), "{error}");
    // A packet of the gate: its length, and its bytes. The service echoes what the gate tells it, of which the client gets
    // the first word.
    assert_eq!(exchange(files.gate, b"\0\x05hello", Some(6)), b"\0\x04data");
    assert_eq!(exchange(files.echoes, b"hello\n", None), b"hello\n");
    assert!(get(files.admin, "/readyz").starts_with("HTTP/1.1 200 "));
    assert!(get(files.admin, "/metrics").contains("skyring_ready 1"));
    let graph = get(files.admin, "/api/profile?seconds=1");
    assert!(graph.contains("seccomp"), "{graph}");
    // The log after a rotation, and a map that has changed.
    fs::rename(files.folder.path("log"), files.folder.path("log.1")).expect("it is there");
    node.signal("HUP");
    files.folder.write(
        "clustername.lua",
        format!("db = \"localhost:{}\" other = false", files.cluster),
    );
    wait_until("the changed map is in force", || {
        files.log().contains("has changed and is in force")
    });
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", files.log());
}

#[test]
fn a_node_starts_serves_and_stops_with_the_system_calls_of_the_profile() {
    run_under_profile("");
}

#[test]
fn so_does_one_on_the_other_runtime() {
    run_under_profile("runtime = \"glommio\"");
}

#[test]
fn under_the_profile_the_doctor_finds_io_uring_and_without_its_system_calls_names_the_profile() {
    let doctor = |filter| outcome(&under(&filter, || output(["doctor"])));
    let (_, text, error) = doctor(Profile::read().filter());
    assert!(text.contains("ok       io_uring"), "{text}{error}");
    let (code, text, error) = doctor(refusal(&IO_URING));
    assert_eq!(code, Some(1), "{text}{error}");
    let line = text.lines().find(|line| line.starts_with("failure  io_uring"));
    assert!(
        line.is_some_and(|line| line.contains("seccomp profile")),
        "{text}{error}"
    );
}

#[test]
fn the_profile_is_an_allowlist_in_the_form_that_runtimes_read() {
    let profile = Profile::read();
    // What an unknown system call answers, so that libraries use an older one.
    assert_eq!(
        (profile.default_action.as_str(), profile.default_errno_ret),
        ("SCMP_ACT_ERRNO", ENOSYS)
    );
    assert_eq!(profile.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]);
    let mut count = 0;
    for rule in &profile.syscalls {
        assert!(
            !rule.comment.is_empty() && rule.action == "SCMP_ACT_ALLOW",
            "{:?}",
            rule.names
        );
        assert!(rule.names.is_sorted(), "{:?}", rule.names);
        count += rule.names.len();
    }
    let allowed = profile.allowed();
    assert_eq!(allowed.len(), count, "one stands there twice");
    for name in IO_URING {
        assert!(allowed.contains(name), "{name} is missing");
    }
    // The way out of a container.
    for name in [
        "bpf",
        "clone3",
        "delete_module",
        "finit_module",
        "init_module",
        "kexec_load",
        "keyctl",
        "mount",
        "move_mount",
        "open_by_handle_at",
        "perf_event_open",
        "pivot_root",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "reboot",
        "setns",
        "swapon",
        "umount2",
        "unshare",
        "userfaultfd",
    ] {
        assert!(!allowed.contains(name), "{name} is allowed");
    }
    let clone: Vec<_> = profile
        .syscalls
        .iter()
        .filter(|rule| rule.names.iter().any(|name| name == "clone"))
        .collect();
    assert!(
        clone.len() == 1 && !clone[0].args.is_empty(),
        "clone may make namespaces"
    );
}
