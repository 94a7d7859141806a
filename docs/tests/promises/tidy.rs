//! The house rules that a machine can check. See CONTRIBUTING.md.

use std::path::Path;

use crate::support::{FOLDERS, files_below, read, rust_files};

/// Lines that a file may have.
const LINES_MAX: usize = 600;

/// The crates from the bottom up: each may know only those before it.
const CRATES: [(&str, &str); 7] = [
    ("codec", "skyring-codec"),
    ("macros", "skyring-macros"),
    ("engine", "skyring"),
    ("services", "skyring-services"),
    ("services/lua", "skyring-lua"),
    ("bench", "skyring-bench"),
    ("tools", "skyring-tools"),
];

/// The lines of a file that are not comments, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.starts_with("//"))
}

/// Fails when `word` stands as a whole word in code anywhere below `folder` but in `rooms`.
fn assert_named_only_in(word: &str, folder: &str, rooms: &[&str]) {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut inside = 0;
    for path in rust_files() {
        // What is written here about the rule is not against the rule.
        if !path.starts_with(folder) || path.starts_with("docs/tests/promises") {
            continue;
        }
        for (line, text) in code_lines(&read(&path)) {
            if text.split(|c| !is_of_word(c)).any(|found| found == word) {
                assert!(
                    rooms.iter().any(|room| path.starts_with(room)),
                    "{}:{line}: {word} outside {}",
                    path.display(),
                    rooms.join(" and ")
                );
                inside += 1;
            }
        }
    }
    assert!(inside > 0, "{word} is named nowhere: is this test still of use?");
}

/// Fails when a crate other than those in `folders` depends on `name`.
fn assert_only_dependency_of(name: &str, folders: &[&str]) {
    for path in FOLDERS.iter().flat_map(|folder| files_below(folder)) {
        let is_manifest = path.file_name().is_some_and(|file| file == "Cargo.toml");
        if is_manifest
            && !folders
                .iter()
                .any(|folder| path.parent() == Some(Path::new(folder)))
        {
            assert!(
                !depends_on(&read(&path), name),
                "{} depends on {name}",
                path.display()
            );
        }
    }
}

/// Whether a manifest names a crate among its dependencies, those of its tests included.
fn depends_on(manifest: &str, name: &str) -> bool {
    let (_, dependencies) = manifest.split_once("dependencies]").unwrap_or_default();
    let mut keys = dependencies
        .lines()
        .filter_map(|line| line.split(['.', '=', ' ']).next());
    keys.any(|key| key == name)
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let lua = FOLDERS.iter().flat_map(|folder| files_below(folder));
    let lua = lua.filter(|path| path.extension().is_some_and(|extension| extension == "lua"));
    for path in rust_files().into_iter().chain(lua) {
        let lines = read(&path).lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines, {LINES_MAX} are the most",
            path.display()
        );
    }
}

#[test]
fn only_the_runtime_room_names_the_executor() {
    // A bare loop on it is one of the floors.
    assert_only_dependency_of("glommio", &["engine", "bench"]);
    // A config chooses it by name.
    let rooms = ["engine/src/rt", "engine/src/config"];
    assert_named_only_in("glommio", "engine/src", &rooms);
}

#[test]
fn only_the_config_room_and_the_lua_host_name_the_interpreter() {
    assert_only_dependency_of("mlua", &["engine", "services/lua"]);
    assert_named_only_in("mlua", "engine", &["engine/src/config"]);
}

#[test]
fn unsafe_code_lives_in_few_rooms() {
    assert_named_only_in(
        "unsafe",
        "",
        &[
            "engine/src/rt/sys.rs",
            "engine/src/rt/uring/operations.rs",
            "engine/src/rt/uring/provided.rs",
            "services/lua/src/raw",
            "services/lua/examples/node",
            "bench/src/floors/uring/ring.rs",
            "bench/src/ring",
            "bench/src/idle_thread.rs",
            "bench/src/profile/signals.rs",
            "bench/benches/ring_operations",
            "tools/src/allocator.rs",
            "codec/tests/link_allocations.rs",
            "engine/tests/call_allocations.rs",
        ],
    );
}

#[test]
fn arrows_between_crates_point_down() {
    for (height, (folder, name)) in CRATES.iter().enumerate() {
        let manifest = read(Path::new(folder).join("Cargo.toml"));
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{folder} is no longer {name}"
        );
        // Development dependencies count as well: a test that needs a crate above is in the wrong crate.
        for (_, above) in &CRATES[height + 1..] {
            assert!(
                !depends_on(&manifest, above),
                "{folder}/Cargo.toml names {above}, which lies above it"
            );
        }
    }
}

#[test]
fn the_codec_knows_no_socket_clock_thread_or_file() {
    let outside = [
        "std::net",
        "std::time::Instant",
        "SystemTime",
        "std::thread",
        "std::fs",
        "async ",
    ];
    for path in files_below("codec/src") {
        let text = read(&path);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (line, text) in code_lines(code) {
            for name in outside {
                assert!(
                    !text.contains(name),
                    "{}:{line}: {name} in the codec",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn nothing_is_unfinished_or_silenced() {
    // In halves, so that this file does not contain what it looks for.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("#[ig", "nore"),
        concat!("#[al", "low("),
        concat!("#![al", "low("),
    ];
    for path in rust_files() {
        let text = read(&path);
        for (at, line) in text.lines().enumerate() {
            for mark in marks {
                assert!(!line.contains(mark), "{}:{}: {mark}", path.display(), at + 1);
            }
        }
    }
}
