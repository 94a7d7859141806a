//! The chapter about the console shows what the console prints.

use std::path::Path;

use crate::support::{Console, example};

/// The line without numbers, addresses and paths, which differ in each run.
fn mask(line: &str) -> String {
    let mut masked = String::new();
    for word in line.split_inclusive([' ', '\t', ':', ',', '(', ')', '[', ']', '/', '>']) {
        let (text, end) = word.split_at(
            word.trim_end_matches([' ', '\t', ':', ',', '(', ')', '[', ']', '/', '>'])
                .len(),
        );
        let is_number = |text: &str| {
            !text.is_empty()
                && text.bytes().any(|byte| byte.is_ascii_digit())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b'.' || byte == b'x')
        };
        let text = text
            .strip_suffix(['K', 'M', 's'])
            .filter(|text| is_number(text))
            .unwrap_or(text);
        masked.push_str(if is_number(text) { "#" } else { text });
        masked.push_str(end);
    }
    masked.trim_end().to_owned()
}

#[test]
fn every_command_in_the_book_prints_what_the_book_shows() {
    let chapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/chapters/console.md");
    let chapter = std::fs::read_to_string(chapter).expect("the chapter");
    let console = Console::start();
    let mut client = console.client();
    let folder = example().display().to_string();
    let (sdb, mut count) = (client.address("snlua sdb"), 0);
    let mut in_block = false;
    let mut block: Vec<&str> = Vec::new();
    for line in chapter.lines() {
        if line.starts_with("```") {
            if in_block && block.first().is_some_and(|line| line.starts_with("> ")) {
                count += check(&mut client, &block, &sdb, [&folder, &console.path]);
            }
            in_block = !in_block;
            block.clear();
        } else if in_block {
            block.push(line);
        }
    }
    assert!(count >= 20, "{count} commands are shown");
}

/// Runs the commands of a block, each a line with `> `, and compares their output.
fn check(client: &mut crate::support::Client, block: &[&str], sdb: &str, [folder, path]: [&str; 2]) -> usize {
    let mut lines = block.iter().peekable();
    let mut count = 0;
    while let Some(command) = lines.next() {
        let command = command.strip_prefix("> ").expect("a command");
        count += 1;
        let shown: Vec<&str> =
            std::iter::from_fn(|| lines.next_if(|line| !line.starts_with("> ")).copied()).collect();
        let command = command
            .replace(":0000000a", sdb)
            .replace("docs/examples/console/service", folder);
        client.send(&command);
        let end = shown.last().expect("an output");
        let printed = client.read_until(&format!("{end}\n")).replace(path, "");
        let printed: Vec<String> = printed.lines().map(mask).collect();
        let shown: Vec<String> = shown.iter().map(|line| mask(line)).collect();
        assert_eq!(printed, shown, "{command}");
    }
    count
}

#[test]
fn the_book_names_every_command() {
    let chapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/chapters/console.md");
    let chapter = std::fs::read_to_string(chapter).expect("the chapter");
    let help = Console::start().client().output("help");
    for line in help.lines() {
        let name = line.split('\t').next().unwrap_or_default();
        let is_named = [format!("`{name}`"), format!("`{name} "), format!("> {name}\n")]
            .iter()
            .any(|text| chapter.contains(text));
        assert!(is_named, "{name}");
    }
}
