//! The seccomp profile of `docs/operations/docker`, and threads that run under it.

use std::collections::BTreeSet;
use std::thread;

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::files::read;

/// The profile, in the form that Docker and the runtimes of Kubernetes read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) default_action: String,
    pub(crate) default_errno_ret: u32,
    pub(crate) architectures: Vec<String>,
    pub(crate) syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) comment: String,
    pub(crate) names: Vec<String>,
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) args: Vec<Argument>,
}

/// The system call is allowed if its argument of this number, under the mask `value`, is `valueTwo`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Argument {
    index: u8,
    value: u64,
    value_two: u64,
    op: String,
}

impl Profile {
    pub(crate) fn read() -> Profile {
        serde_json::from_str(&read("docker/seccomp.json")).expect("a profile")
    }

    /// The names of all system calls that are allowed.
    pub(crate) fn allowed(&self) -> BTreeSet<&str> {
        let names = self.syscalls.iter().flat_map(|rule| &rule.names);
        names.map(String::as_str).collect()
    }

    /// The filter of this profile on this machine.
    pub(crate) fn filter(&self) -> BpfProgram {
        let rules = self.syscalls.iter().flat_map(|rule| {
            assert_eq!(rule.action, "SCMP_ACT_ALLOW");
            let conditions = rule.args.iter().map(condition).collect::<Vec<Value>>();
            let names = rule.names.iter().filter(|name| is_known(name));
            names.map(move |name| match conditions.is_empty() {
                true => json!({ "syscall": name }),
                false => json!({ "syscall": name, "args": conditions }),
            })
        });
        compile(&json!({
            "mismatch_action": { "errno": self.default_errno_ret },
            "match_action": "allow",
            "filter": rules.collect::<Vec<Value>>(),
        }))
    }
}

/// The filter that refuses these system calls, as the default profiles of container runtimes do, and no other.
pub(crate) fn refusal(names: &[&str]) -> BpfProgram {
    const EPERM: u32 = 1;
    let rules: Vec<Value> = names.iter().map(|name| json!({ "syscall": name })).collect();
    compile(&json!({ "mismatch_action": "allow", "match_action": { "errno": EPERM }, "filter": rules }))
}

fn compile(filter: &Value) -> BpfProgram {
    let arch = TargetArch::try_from(std::env::consts::ARCH).expect("an architecture with filters");
    let filters = json!({ "node": filter }).to_string();
    // A name that it does not know is an error.
    let mut filters = compile_from_json(filters.as_bytes(), arch).expect("a filter");
    filters.remove("node").expect("it is there")
}

fn condition(argument: &Argument) -> Value {
    assert_eq!(argument.op, "SCMP_CMP_MASKED_EQ");
    json!({
        "index": argument.index,
        "type": "qword",
        "op": { "masked_eq": argument.value },
        "val": argument.value_two,
    })
}

/// Whether this architecture has a system call: newer ones lack the older forms of some, which the profile has for the
/// others.
fn is_known(name: &str) -> bool {
    const OLD: [&str; 21] = [
        "access",
        "arch_prctl",
        "dup2",
        "epoll_wait",
        "getdents",
        "lstat",
        "mkdir",
        "open",
        "pipe",
        "poll",
        "readlink",
        "rename",
        "rmdir",
        "select",
        "stat",
        "time",
        "unlink",
        "vfork",
        "fork",
        "utime",
        "chmod",
    ];
    cfg!(target_arch = "x86_64") || !OLD.contains(&name)
}

/// Runs `work` in a thread under the filter; the processes that it starts have it, too.
pub(crate) fn under<T: Send>(filter: &BpfProgram, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            seccompiler::apply_filter(filter).expect("the kernel takes the filter");
            work()
        });
        thread.join().expect("the work does not panic")
    })
}
