//! `discovery = { watch = true }`: a changed map file is in force within a second, and a file that cannot be used
//! changes nothing.

use std::fs;
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::node::wait_until;
use crate::support::{Folder, server};

const CONFIG: &str = "cluster = 'map.lua' discovery = { watch = true }";

#[test]
fn calls_under_load_follow_a_changed_file_and_none_fails() {
    let folder = Folder::new();
    let (old, new) = (server("old"), server("new"));
    folder.write("map.lua", &format!("db = '{}'", old.1));
    let gate = folder.start(CONFIG);
    let load = Load::start(&gate, "db");
    load.wait_for("old");
    for (name, address, renames) in [
        ("new", &new.1, false),
        ("old", &old.1, true),
        ("new", &new.1, true),
    ] {
        let text = format!("-- moved\nreturn {{ db = '{address}' }}\n");
        let started = Instant::now();
        if renames {
            folder.write("map.lua.new", &text);
            fs::rename(folder.path("map.lua.new"), folder.path("map.lua")).expect("it is replaced");
        } else {
            folder.write("map.lua", &text);
        }
        load.wait_for(name);
        println!("{name} answers after {} ms", started.elapsed().as_millis());
    }
    let answers = load.end();
    assert_eq!(answers.errors, Vec::<String>::new(), "{:?}", answers.by_name);
    assert_eq!(folder.lines_with("has changed and is in force"), 3);
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing_and_is_reported_once() {
    let folder = Folder::new();
    let (db, address) = server("db");
    let right = format!("db = '{address}'\ngone = false\n");
    folder.write("map.lua", &right);
    let gate = folder.start(CONFIG);
    let load = Load::start(&gate, "db");
    load.wait_for("db");
    let cases: [(&str, Option<&str>); 4] = [
        ("a broken file", Some("db = false other = ")),
        ("a half-written file", Some(&right[..10])),
        ("a wrong value", Some("db = 7")),
        ("no file", None),
    ];
    for (count, (what, text)) in cases.into_iter().enumerate() {
        match text {
            Some(text) => folder.write("map.lua", text),
            None => fs::remove_file(folder.path("map.lua")).expect("it was there"),
        }
        wait_until(what, || {
            folder.lines_with("the cluster map stays as it is") == count + 1
        });
        // Time for further looks, which must not report it again.
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(
            folder.lines_with("the cluster map stays as it is"),
            count + 1,
            "{what}"
        );
    }
    folder.write("map.lua", &right);
    wait_until("it is back", || {
        folder.lines_with("can be used again, and is as before") == 1
    });
    let answers = load.end();
    assert_eq!(answers.errors, Vec::<String>::new());
    assert_eq!(
        db.metrics().connections_accepted.get(),
        1,
        "nothing was connected anew"
    );
}

#[test]
fn a_node_stops_while_its_file_is_watched() {
    let folder = Folder::new();
    folder.write("map.lua", "db = false");
    for _ in 0..3 {
        let node = folder.start(CONFIG);
        node.stop();
    }
}
