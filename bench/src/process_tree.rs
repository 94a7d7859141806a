//! The processes that a process has started.

use std::fs;

/// Most processes that are found.
const PROCESSES_MAX: usize = 1_024;

/// The processes that a process has started, and those that these have, in no order.
pub(crate) fn descendants(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = ids
        .filter_map(|id| {
            Some((
                id,
                parent_in(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?,
            ))
        })
        .collect();
    let mut found = Vec::new();
    let mut parent = process;
    for place in 0..PROCESSES_MAX {
        let children = parents.iter().filter(|(_, its_parent)| *its_parent == parent);
        found.extend(children.map(|(id, _)| *id));
        match found.get(place) {
            Some(next) => parent = *next,
            None => break,
        }
    }
    found
}

/// The parent in the text of a process's `stat`, in which the name may have any character.
fn parent_in(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("12 (a b) c) S 7 12 12 0"), Some(7));
        for text in ["", "12 (a", "12 (a)", "12 (a) S x"] {
            assert_eq!(parent_in(text), None, "{text}");
        }
    }

    #[test]
    fn children_of_children_are_found() {
        // The outer shell waits for the inner one, which has written its id and reads until the test ends.
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'echo $$; read x; :'; :"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let output = shell.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it writes");
        let inner: u32 = line.trim().parse().expect("its id");
        assert!(descendants(shell.id()).contains(&inner), "{inner}");
        assert!(descendants(std::process::id()).contains(&inner), "{inner}");
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
    }
}
