//! `skyring bench ab` builds two git revisions in worktrees of their own, and removes these.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{bench, result};

/// Runs git; `None` when there is none.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
    let output = Command::new("git")
        .args(identity)
        .args(arguments)
        .current_dir(folder)
        .output()
        .ok()?;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes a program whose every result is the given one, as the project's own command, and commits it under a tag.
fn commit(folder: &Path, tag: &str, source: &str) {
    fs::write(folder.join("main.rs"), source).expect("written");
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "-m", tag]);
    git(folder, &["tag", tag]);
}

#[test]
fn two_revisions_are_built_compared_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    if git(folder, &["init", "--quiet"]).is_none() {
        eprintln!("SKIPPED: there is no git");
        return;
    }
    let manifest = "[package]\nname = \"skyring-tools\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                    [[bin]]\nname = \"skyring\"\npath = \"main.rs\"\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest).expect("written");
    fs::write(folder.join(".gitignore"), "target\nskyring-*\n").expect("written");
    let program = |rate: f64| {
        format!(
            "fn main() {{ for _ in std::io::stdin().lines() {{ println!(\"{{}}\", r#\"{}\"#); }} }}\n",
            result(rate, 100.0)
        )
    };
    commit(folder, "fast", &program(1_000.0));
    commit(folder, "slow", &program(900.0));
    commit(folder, "broken", "fn main() {");

    let (code, text, error) = bench(folder, &["ab", "fast", "slow"]);
    assert_eq!(code, Some(3), "{text}{error}");
    assert!(text.contains("slower: calls/s 0.900 x"), "{text}");
    assert!(text.contains("A: fast (") && text.contains("B: slow ("), "{text}");
    let (code, text, error) = bench(folder, &["ab", "slow~1", "broken"]);
    assert_eq!((code, text.as_str()), (Some(1), ""), "{error}");
    assert!(error.contains("broken cannot be built: cargo: error"), "{error}");

    let worktrees = git(folder, &["worktree", "list"]).expect("git is there");
    assert_eq!(worktrees.lines().count(), 1, "{worktrees}");
    let left = fs::read_dir(folder).expect("read").filter_map(Result::ok);
    let left: Vec<_> = left
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("skyring-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
