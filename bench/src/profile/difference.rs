//! The difference between two profiles: a flame graph with what became more and less, and the functions that changed most.
//!
//! Where both profiles say how many calls were answered meanwhile, times are processor time a call; otherwise they are
//! parts of all processor time, which say nothing of how much that was.

use std::collections::BTreeMap;
use std::io;

use inferno::flamegraph::{self, Options};

use super::changes::{Changes, FunctionChange};
use super::result::{Profile, Profiling};

/// Functions that [`Difference::changes`] names.
pub const FUNCTIONS_CHANGED_MAX: usize = 10;

/// The width of a graph: all time of the new profile.
const UNITS: f64 = 1e7;

/// Marks of frames, which are for colours only: of the kernel's, and of those in Lua.
const MARKS: [&str; 2] = [KERNEL, LUA];
const KERNEL: &str = "_[k]";
const LUA: &str = "_[j]";

/// The difference between two profiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Each stack with its time before and after.
    stacks: BTreeMap<String, (f64, f64)>,
    /// Whether times are ns of processor time a call; else they are parts of all processor time.
    pub is_per_call: bool,
    profiling: Profiling,
}

/// A stack whose functions in Lua have no lines: the lines of all functions move when a file is edited above them, and each
/// would be another function than before.
fn without_lines(stack: &str) -> String {
    let frames = stack.split(';').map(|frame| {
        let Some(function) = frame.strip_suffix(LUA) else {
            return frame.to_owned();
        };
        let located = function
            .strip_suffix(')')
            .and_then(|function| function.rsplit_once(':'));
        match located {
            Some((file, line)) if line.bytes().all(|digit| digit.is_ascii_digit()) => format!("{file}){LUA}"),
            _ => frame.to_owned(),
        }
    });
    frames.collect::<Vec<_>>().join(";")
}

/// The sums of a function.
#[derive(Default)]
struct Times {
    before: f64,
    after: f64,
    with_callees_before: f64,
    with_callees_after: f64,
}

/// Whether a frame is the kernel's, or of a library without names, or a system call, or says why a thread did not run.
fn is_of_system(frame: &str) -> bool {
    frame.ends_with(KERNEL) || frame.starts_with(['[', '(']) || frame == "syscall"
}

fn without_mark(frame: &str) -> &str {
    let marks = MARKS.iter();
    marks
        .filter_map(|mark| frame.strip_suffix(mark))
        .next()
        .unwrap_or(frame)
}

impl Difference {
    /// The difference from `before` to `after`.
    pub fn of(before: &Profile, after: &Profile) -> Difference {
        let calls = before
            .calls
            .zip(after.calls)
            .filter(|(before, after)| *before > 0 && *after > 0);
        let weight = |profile: &Profile, calls: Option<u64>| match calls {
            Some(calls) => 1e9 / f64::from(profile.frequency.max(1)) / calls as f64,
            None => 1.0 / profile.samples().max(1) as f64,
        };
        let mut stacks: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        let old = weight(before, calls.map(|calls| calls.0));
        for (stack, count) in &before.stacks {
            stacks.entry(without_lines(stack)).or_default().0 += *count as f64 * old;
        }
        let new = weight(after, calls.map(|calls| calls.1));
        for (stack, count) in &after.stacks {
            stacks.entry(without_lines(stack)).or_default().1 += *count as f64 * new;
        }
        Difference {
            stacks,
            is_per_call: calls.is_some(),
            profiling: after.profiling,
        }
    }

    /// All time before and after.
    pub fn totals(&self) -> (f64, f64) {
        let times = self.stacks.values();
        times.fold((0.0, 0.0), |(before, after), time| {
            (before + time.0, after + time.1)
        })
    }

    /// The functions whose own time changed most. In a profile of waiting, the time is that of the innermost function which is
    /// neither the kernel's nor its system call.
    pub fn changes(&self) -> Changes {
        let mut functions: BTreeMap<&str, Times> = BTreeMap::new();
        for (stack, (before, after)) in &self.stacks {
            let frames: Vec<&str> = stack.split(';').collect();
            let own = match self.profiling {
                Profiling::Processor => frames.last(),
                // All wait in the same function of the kernel.
                Profiling::Waiting => frames
                    .iter()
                    .rfind(|frame| !is_of_system(frame))
                    .or(frames.last()),
            };
            let own = functions
                .entry(without_mark(own.copied().unwrap_or_default()))
                .or_default();
            own.before += before;
            own.after += after;
            // A function that calls itself has its time once.
            let mut names: Vec<&str> = frames.into_iter().map(without_mark).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let all = functions.entry(name).or_default();
                all.with_callees_before += before;
                all.with_callees_after += after;
            }
        }
        let mut functions: Vec<_> = functions
            .into_iter()
            .filter(|(_, times)| times.before != times.after)
            .map(|(name, times)| FunctionChange {
                name: name.to_owned(),
                before: times.before,
                after: times.after,
                with_callees_before: times.with_callees_before,
                with_callees_after: times.with_callees_after,
            })
            .collect();
        functions.sort_by(|one, other| other.change().abs().total_cmp(&one.change().abs()));
        functions.truncate(FUNCTIONS_CHANGED_MAX);
        let (before, after) = self.totals();
        Changes {
            is_per_call: self.is_per_call,
            before,
            after,
            functions,
        }
    }

    /// The graph as an SVG: frames are as wide as their time is now; red ones take more than before, blue ones less. What is
    /// gone has no width.
    ///
    /// # Errors
    /// When the graph cannot be written.
    pub fn to_svg(&self, title: &str) -> io::Result<Vec<u8>> {
        let time = match self.profiling {
            Profiling::Processor => "processor time",
            Profiling::Waiting => "waiting",
        };
        let (before, after) = self.totals();
        let scale = UNITS / after.max(f64::MIN_POSITIVE);
        let mut options = Options::default();
        options.title = title.to_owned();
        options.deterministic = true;
        options.font_type = "ui-monospace,Menlo,Consolas,monospace".to_owned();
        options.subtitle = Some(if self.is_per_call {
            options.count_name = "ns a call".to_owned();
            options.factor = 1.0 / scale;
            format!("red: more {time} a call, blue: less; {before:.0} ns a call before, {after:.0} ns now")
        } else {
            options.count_name = format!("% of all {time}");
            options.factor = 100.0 / UNITS;
            format!("red: a larger part of all {time}, blue: a smaller one")
        });
        let lines: Vec<_> = self
            .stacks
            .iter()
            .map(|(stack, (before, after))| format!("{stack} {:.0} {:.0}", before * scale, after * scale))
            .collect();
        let mut svg = Vec::new();
        flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)?;
        Ok(svg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(stacks: &[(&str, u64)], calls: Option<u64>) -> Profile {
        Profile {
            profiling: Profiling::Processor,
            stacks: stacks
                .iter()
                .map(|(stack, count)| ((*stack).to_owned(), *count))
                .collect(),
            frequency: 500,
            lost: 0,
            has_kernel: true,
            calls,
        }
    }

    #[test]
    fn the_function_that_became_slower_is_first_however_many_calls_each_profile_had() {
        let before = profile(
            &[
                ("s;t;handle;decode", 100),
                ("s;t;handle", 100),
                ("s;t;write_[k]", 300),
            ],
            Some(1_000),
        );
        // Twice as long, and a function that takes 1 ms more a call.
        let after = profile(
            &[
                ("s;t;handle;decode", 200),
                ("s;t;handle;spin (a.lua:3)_[j]", 1_000),
                ("s;t;handle", 200),
                ("s;t;write_[k]", 560),
            ],
            Some(2_000),
        );
        let difference = Difference::of(&before, &after);
        assert!(difference.is_per_call);
        let changes = difference.changes().functions;
        assert_eq!(changes[0].name, "spin (a.lua)");
        assert_eq!((changes[0].before, changes[0].after), (0.0, 1e6));
        assert_eq!(changes[1].name, "write");
        assert_eq!((changes[1].before, changes[1].after), (600_000.0, 560_000.0));
        assert_eq!(changes.len(), 2, "what did not change is not named: {changes:?}");
        assert_eq!(difference.totals(), (1e6, 1.96e6));
        let text = difference.changes().to_text();
        let last = text.lines().last().unwrap();
        assert!(
            last.contains("+960000.0") && last.ends_with("all functions"),
            "{text}"
        );
        let svg = String::from_utf8(difference.to_svg("old to new").unwrap()).unwrap();
        for part in [
            "old to new",
            "spin (a.lua)",
            "1000000 ns a call before, 1960000 ns now",
            "decode",
        ] {
            assert!(svg.contains(part), "no {part:?} in {svg}");
        }
    }

    #[test]
    fn a_function_has_its_own_time_and_that_of_what_it_calls_once() {
        let before = profile(&[("s;f;g", 1)], Some(500));
        let after = profile(&[("s;f;g", 1), ("s;f;f;g;f", 2), ("s;f", 3)], Some(500));
        let changes = Difference::of(&before, &after).changes();
        // 500 samples a second: each is 2 ms, of 500 calls 4 us.
        let f = &changes.functions[0];
        assert_eq!((f.name.as_str(), f.before, f.after), ("f", 0.0, 20_000.0));
        assert_eq!((f.with_callees_before, f.with_callees_after), (4_000.0, 24_000.0));
        assert_eq!(
            changes.functions.len(),
            1,
            "the others have no time of their own that changed"
        );
    }

    #[test]
    fn the_function_that_waits_is_named_and_not_the_kernels() {
        let waiting = |stacks| Profile {
            profiling: Profiling::Waiting,
            frequency: 1_000_000_000,
            ..profile(stacks, Some(1))
        };
        let difference = Difference::of(
            &waiting(&[("s;t;park;syscall;io_uring_enter_[k];schedule_[k]", 5)]),
            &waiting(&[("s;t;park;syscall;schedule_[k]", 9), ("s;t;turn;(preempted)", 2)]),
        );
        let functions = difference.changes().functions;
        let named: Vec<_> = functions
            .iter()
            .map(|function| (&*function.name, function.change()))
            .collect();
        assert_eq!(named, [("park", 4.0), ("turn", 2.0)]);
        let svg = String::from_utf8(difference.to_svg("a").unwrap()).unwrap();
        assert!(svg.contains("red: more waiting a call"), "{svg}");
    }

    #[test]
    fn functions_in_lua_are_the_same_when_their_lines_have_moved() {
        assert_eq!(
            without_lines("p;f (a.lua:12)_[j];g [C]_[j];h (b.rs:1)"),
            "p;f (a.lua)_[j];g [C]_[j];h (b.rs:1)"
        );
        let difference = Difference::of(
            &profile(&[("f (a.lua:1)_[j]", 5)], None),
            &profile(&[("f (a.lua:2)_[j]", 5)], None),
        );
        assert_eq!(difference.changes().functions, []);
    }

    #[test]
    fn without_calls_parts_of_all_time_are_compared() {
        let before = profile(&[("a", 1), ("b", 1)], None);
        let difference = Difference::of(&before, &profile(&[("a", 30), ("b", 10)], Some(5)));
        assert!(!difference.is_per_call);
        let changes = difference.changes().functions;
        assert_eq!((changes[0].before, changes[0].after), (0.5, 0.75));
    }

    #[test]
    fn a_profile_is_read_as_it_was_written_and_nothing_else_is() {
        let written = profile(&[("a;b", 3)], Some(7));
        assert_eq!(Profile::from_json(&written.to_json()), Ok(written));
        for text in [
            "",
            "{}",
            "[]",
            "{\"stacks\":[],\"frequency\":1,\"lost\":0,\"has_kernel\":true,\"calls\":null}",
        ] {
            assert!(Profile::from_json(text).is_err(), "{text}");
        }
    }
}
