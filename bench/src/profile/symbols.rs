//! Names of addresses.

use std::collections::HashMap;
use std::fs;

use addr2line::demangle_auto;

use super::modules::Modules;
use super::stack::Stack;
use super::waits::PREEMPTED;

/// Marks a frame of the kernel, for its colour.
const KERNEL: &str = "_[k]";

/// Marks a function in Lua, for its colour.
const LUA: &str = "_[j]";

/// The function between the start of a thread and the thread's own function.
const THREAD_BEGINS: &str = "__rust_begin_short_backtrace";

/// Names before the first function: the process and the thread.
const PREFIX: usize = 2;

/// Looks names up and caches them.
pub(super) struct Symbols {
    /// The kernel's functions by their addresses; empty when the kernel hides them.
    kernel: Vec<(u64, String)>,
    /// Frames at an address of a process, the innermost first: several where functions were inlined.
    known: HashMap<(usize, u64), Vec<String>>,
}

impl Symbols {
    pub(super) fn new() -> Symbols {
        Symbols {
            kernel: kernel_functions(&fs::read_to_string("/proc/kallsyms").unwrap_or_default()),
            known: HashMap::new(),
        }
    }

    /// A stack as names from the outermost on.
    pub(super) fn name(&mut self, process: &str, stack: &Stack, modules: &Modules) -> String {
        let mut frames = vec![process.replace(';', ","), stack.thread.to_string()];
        // At the end of a stack, the last address that unwinding finds may be no code.
        let ends = stack
            .user
            .iter()
            .rposition(|address| modules.find(*address).is_some());
        let user = stack
            .user
            .get(..ends.map_or(0, |last| last + 1))
            .unwrap_or_default();
        for address in user.iter().rev() {
            let key = (stack.process, *address);
            let names = self
                .known
                .entry(key)
                .or_insert_with(|| user_names(modules, *address));
            // The start of a thread is a dozen frames without information; Rust's backtraces omit it, too.
            if names.iter().any(|name| name.contains(THREAD_BEGINS)) {
                frames.truncate(PREFIX);
            } else {
                frames.extend(names.iter().rev().cloned());
            }
        }
        if let Some(functions) = &stack.lua {
            put_lua_functions(&mut frames, functions);
        }
        for address in stack.kernel.iter().rev() {
            let after = self.kernel.partition_point(|(begin, _)| begin <= address);
            let name = after.checked_sub(1).and_then(|place| self.kernel.get(place));
            frames.push(format!("{}{KERNEL}", name.map_or("kernel", |(_, name)| name)));
        }
        if stack.is_preempted {
            frames.push(PREEMPTED.to_owned());
        }
        // Where the kernel hides names, one frame stands for all of them.
        frames.dedup_by(|one, other| one == other && one.strip_suffix(KERNEL) == Some("kernel"));
        frames.join(";")
    }
}

/// Replaces the frames of the interpreter that run a coroutine by the functions in Lua that it runs. Functions in C that
/// these call stay above them.
fn put_lua_functions(frames: &mut Vec<String>, functions: &str) {
    let is = |frame: &String, name: &str| frame.split([' ', '.']).next() == Some(name);
    // The innermost coroutine is the one whose stack was written down.
    let resumed = frames.iter().rposition(|frame| is(frame, "lua_resume"));
    let begins = resumed.map_or(0, |resumed| resumed + 1);
    let runs = |frame: &String| is(frame, "luaV_execute");
    let first = frames.iter().skip(begins).position(runs);
    let (Some(first), Some(last)) = (first, frames.iter().rposition(runs)) else {
        // The sample was taken before or after the coroutine ran.
        return;
    };
    let interpreters = frames.iter().skip(begins).filter(|frame| runs(frame)).count();
    let first = if resumed.is_some() { begins } else { begins + first };
    let functions = of_interpreters(functions, interpreters);
    frames.splice(first..=last, functions.map(|function| format!("{function}{LUA}")));
}

/// The functions that so many interpreters in one another run: each runs functions in Lua until one of these calls a
/// function in C. That function may have called one in Lua after the sample was taken, which is left out.
fn of_interpreters(functions: &str, interpreters: usize) -> impl Iterator<Item = &str> {
    let (mut begun, mut was_in_c) = (0, true);
    let mut count = 0;
    for (place, function) in functions.split(';').enumerate() {
        let is_in_c = function.ends_with("[C]");
        begun += usize::from(was_in_c && !is_in_c);
        if begun > interpreters {
            break;
        }
        if !is_in_c {
            count = place + 1;
        }
        was_in_c = is_in_c;
    }
    functions.split(';').take(count)
}

/// The functions at an address, the innermost first.
fn user_names(modules: &Modules, address: u64) -> Vec<String> {
    let Some((mapped, address)) = modules.find(address) else {
        return vec!["[unknown]".to_owned()];
    };
    let mut names = Vec::new();
    let symbol = mapped
        .loader
        .as_ref()
        .and_then(|loader| loader.find_symbol(address));
    let symbol = symbol.map(|name| readable(&demangle_auto(name.into(), None)));
    if let Some(Ok(mut frames)) = mapped.loader.as_ref().map(|loader| loader.find_frames(address)) {
        while let Ok(Some(frame)) = frames.next() {
            let Some(name) = frame
                .function
                .as_ref()
                .and_then(|function| function.demangle().ok())
            else {
                continue;
            };
            let file = frame.location.as_ref().and_then(|location| location.file);
            names.push(located(readable(&name), file));
        }
        // The outermost is the function itself, whose symbol has its whole path; the others were inlined.
        if let (Some(last), Some(symbol)) = (names.last_mut(), &symbol) {
            last.clone_from(symbol);
        }
    }
    if names.is_empty() {
        names.push(symbol.unwrap_or_else(|| format!("[{}]", mapped.name.replace(';', ","))));
    }
    names
}

/// A name with the end of its file's path, where debug information has the name alone.
fn located(name: String, file: Option<&str>) -> String {
    let has_path = name
        .split(['<', '('])
        .next()
        .is_some_and(|name| name.contains("::"));
    let file = file.filter(|_| !has_path && !name.starts_with('<'));
    let mut parts = file.unwrap_or_default().rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(file @ "mod.rs"), Some(folder)) => format!("{name} ({folder}/{file})"),
        (Some(file), _) if !file.is_empty() => format!("{name} ({file})"),
        _ => name,
    }
}

/// A name without noise, and without the mark that separates frames.
fn readable(name: &str) -> String {
    name.replace("{{closure}}", "{closure}").replace(';', ",")
}

fn kernel_functions(list: &str) -> Vec<(u64, String)> {
    let mut functions: Vec<_> = list
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let is_function = matches!(words.next()?, "t" | "T" | "w" | "W");
            // Zeros stand for addresses that the kernel hides.
            (is_function && address > 0).then(|| Some((address, words.next()?.to_owned())))?
        })
        .collect();
    functions.sort();
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_the_kernel_are_sorted_and_zeros_are_none() {
        let list = "ffff20 T later\nffff10 t first\nffff15 d data\n0000 T hidden\n";
        assert_eq!(
            kernel_functions(list),
            [(0xff_ff10, "first".to_owned()), (0xff_ff20, "later".to_owned())]
        );
    }

    #[test]
    fn a_name_without_a_path_has_its_file() {
        let located = |name: &str, file| located(name.to_owned(), file);
        assert_eq!(
            located("pass", Some("/home/me/engine/src/rt/executor.rs")),
            "pass (executor.rs)"
        );
        assert_eq!(
            located("turn<a::B>", Some("src/shard/mod.rs")),
            "turn<a::B> (shard/mod.rs)"
        );
        assert_eq!(located("a::b", Some("src/a.rs")), "a::b");
        assert_eq!(
            located("<a::B as c::D>::e", Some("src/a.rs")),
            "<a::B as c::D>::e"
        );
        assert_eq!(located("main", None), "main");
    }

    #[test]
    fn functions_in_lua_take_the_place_of_the_interpreter() {
        let replaced = |frames: &str| {
            let mut frames: Vec<_> = frames.split(';').map(str::to_owned).collect();
            put_lua_functions(&mut frames, "main chunk (a.lua:0);f (a.lua:3)");
            frames.join(";")
        };
        let lua = "main chunk (a.lua:0)_[j];f (a.lua:3)_[j]";
        assert_eq!(
            replaced(
                "p;t;message;lua_resume;luaD_rawrunprotected;resume (ldo.c);luaV_execute;luaB_pcall;luaV_execute;str_rep"
            ),
            format!("p;t;message;lua_resume;{lua};str_rep")
        );
        // Another coroutine resumed this one.
        assert_eq!(
            replaced("p;lua_resume;luaV_execute;auxresume;lua_resume;luaV_execute.lto_priv.0;luaH_get"),
            format!("p;lua_resume;luaV_execute;auxresume;lua_resume;{lua};luaH_get")
        );
        assert_eq!(replaced("p;lua_pcall;luaV_execute"), format!("p;lua_pcall;{lua}"));
        assert_eq!(replaced("p;message;decode"), "p;message;decode");
    }

    #[test]
    fn a_function_in_lua_that_was_called_after_the_sample_is_left_out() {
        let of = |interpreters| {
            of_interpreters("a (a.lua:1);b (a.lua:2);sort [C];less (a.lua:3)", interpreters)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(1), ["a (a.lua:1)", "b (a.lua:2)"]);
        assert_eq!(
            of(2),
            ["a (a.lua:1)", "b (a.lua:2)", "sort [C]", "less (a.lua:3)"]
        );
        // A metamethod has an interpreter of its own and no function in C.
        assert_eq!(of(5).len(), 4);
    }

    #[test]
    fn a_name_has_no_mark_that_separates_frames() {
        assert_eq!(readable("f<[u8; 4]>::{{closure}}"), "f<[u8, 4]>::{closure}");
    }
}
