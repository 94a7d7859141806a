//! File watch: a changed map file is applied within a second.
//!
//! The file and what it includes are looked at every [`LOOK_PERIOD`]: their identity, size and times, by which also an
//! editor that replaces a file by renaming another one is seen. A change is read once it has lasted from one look to the
//! next, so that a file is seldom read while it is written. Invariants: a file that cannot be used changes nothing, and
//! is reported once, not at each look; what is applied is what [`ClusterMap::load`] of the file gives.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{ClusterMap, ConfigError};
use crate::control::Outlet;
use crate::core::discovered::Discovered;
use crate::file_mark::{Changes, Mark, mark};

/// The time between two looks.
pub(super) const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// Looks after which a map that cannot be used is read again although its files look the same: what it includes may
/// have appeared.
const LOOKS_PER_RETRY: u32 = 5;

/// What a look has found.
#[derive(Debug, PartialEq)]
enum Found {
    /// Nothing new.
    Same,
    /// Another map.
    Changed(Box<ClusterMap>),
    /// The map cannot be used, for a cause that was not reported yet.
    Broken(String),
    /// The map can be used again, and says what it said before.
    Restored,
}

/// The watched file.
struct Watched {
    file: PathBuf,
    /// The file, and those that it included when it was last read.
    files: Vec<PathBuf>,
    changes: Changes<Vec<Mark>>,
    map: ClusterMap,
    /// Why it cannot be used.
    broken: Option<String>,
    looks_broken: u32,
}

impl Watched {
    /// The file whose map is in force. The first look reads it, because it may have changed since.
    fn new(file: PathBuf, map: ClusterMap) -> Watched {
        Watched {
            files: vec![file.clone()],
            file,
            changes: Changes::new(Vec::new()),
            map,
            broken: None,
            looks_broken: 0,
        }
    }

    fn look(&mut self) -> Found {
        let marks: Vec<Mark> = self.files.iter().map(|file| mark(file)).collect();
        let is_settled = self.changes.see(marks);
        let is_retry = self.broken.is_some() && {
            self.looks_broken += 1;
            self.looks_broken.is_multiple_of(LOOKS_PER_RETRY)
        };
        if !is_settled || !(self.changes.are_new() || is_retry) {
            return Found::Same;
        }
        self.changes.accept();
        self.take(ClusterMap::load_files(&self.file))
    }

    fn take(&mut self, loaded: Result<(ClusterMap, Vec<PathBuf>), ConfigError>) -> Found {
        match loaded {
            Ok((map, files)) => {
                if files != self.files {
                    self.files = files;
                    // Marks of before belong to other files; those of now are what the next change differs from.
                    self.changes = Changes::new(self.files.iter().map(|file| mark(file)).collect());
                }
                let was_broken = self.broken.take().is_some();
                if map != self.map {
                    self.map = map.clone();
                    return Found::Changed(Box::new(map));
                }
                match was_broken {
                    true => Found::Restored,
                    false => Found::Same,
                }
            }
            Err(error) => {
                let cause = Some(error.to_string());
                if cause == self.broken {
                    return Found::Same;
                }
                self.broken = cause;
                self.looks_broken = 0;
                Found::Broken(error.to_string())
            }
        }
    }
}

/// Watches a map file until the node stops. `map` is what it said when it was loaded.
pub(crate) async fn watch(outlet: Outlet, mut stop: watch::Receiver<bool>, file: PathBuf, map: ClusterMap) {
    let name = file.display().to_string();
    let mut watched = Watched::new(file, map);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_PERIOD) => {}
        }
        // Files may be on a network, and an evaluation may take its time.
        let look = tokio::task::spawn_blocking(move || {
            let found = watched.look();
            (watched, found)
        });
        let Ok((back, found)) = look.await else {
            // The runtime ends.
            return;
        };
        watched = back;
        match found {
            Found::Same => {}
            Found::Changed(map) => {
                outlet.log(format!("cluster map {name} has changed and is in force"));
                let map = *map;
                outlet
                    .apply(Discovered {
                        map,
                        ..Discovered::default()
                    })
                    .await;
            }
            Found::Broken(cause) => {
                outlet.warn(format!(
                    "the cluster map stays as it is, because the file cannot be used: {cause}"
                ));
            }
            Found::Restored => outlet.log(format!("cluster map {name} can be used again, and is as before")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
        watched: Watched,
    }

    impl Fixture {
        fn new(text: &str) -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("map.lua");
            fs::write(&file, text).unwrap();
            let map = ClusterMap::load(&file).unwrap();
            let mut watched = Watched::new(file, map);
            assert_eq!(watched.look(), Found::Same);
            assert_eq!(watched.look(), Found::Same);
            Fixture { folder, watched }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.folder.path().join(name), text).unwrap();
        }

        /// Two looks: the change must last from one to the next.
        fn found(&mut self) -> Found {
            assert_eq!(self.watched.look(), Found::Same, "not at the first look");
            self.watched.look()
        }

        fn found_address(&mut self) -> String {
            match self.found() {
                Found::Changed(map) => map.nodes["db"].address().unwrap().to_string(),
                other => panic!("{other:?}"),
            }
        }
    }

    const ONE: &str = "db = \"127.0.0.1:7101\"\n";
    const TWO: &str = "db = \"127.0.0.1:7102\"\n";

    #[test]
    fn a_changed_file_is_found_once_even_with_the_size_of_before() {
        let mut test = Fixture::new(ONE);
        test.write("map.lua", TWO);
        assert_eq!(test.found_address(), "127.0.0.1:7102");
        assert_eq!(test.watched.look(), Found::Same);
    }

    #[test]
    fn a_file_that_is_replaced_by_renaming_another_is_found() {
        let mut test = Fixture::new(ONE);
        test.write("new", TWO);
        let folder = test.folder.path();
        fs::rename(folder.join("new"), folder.join("map.lua")).unwrap();
        assert_eq!(test.found_address(), "127.0.0.1:7102");
    }

    #[test]
    fn a_file_without_a_change_in_meaning_is_not_found() {
        let mut test = Fixture::new(ONE);
        test.write("map.lua", &format!("-- with a comment\n{ONE}"));
        assert_eq!(test.found(), Found::Same);
    }

    #[test]
    fn a_broken_file_is_reported_once_and_found_when_it_is_right_again() {
        let mut test = Fixture::new(ONE);
        test.write("map.lua", "db = \"127.0.0.1:71");
        let found = test.found();
        assert!(
            matches!(&found, Found::Broken(cause) if cause.contains("map.lua:1")),
            "{found:?}"
        );
        for _ in 0..3 * LOOKS_PER_RETRY {
            assert_eq!(test.watched.look(), Found::Same);
        }
        test.write("map.lua", ONE);
        assert_eq!(test.found(), Found::Restored);
        test.write("map.lua", "db = 7");
        assert!(matches!(test.found(), Found::Broken(_)));
        test.write("map.lua", TWO);
        assert_eq!(test.found_address(), "127.0.0.1:7102");
    }

    #[test]
    fn a_file_that_vanishes_is_reported_and_found_when_it_is_back() {
        let mut test = Fixture::new(ONE);
        fs::remove_file(test.folder.path().join("map.lua")).unwrap();
        let found = test.found();
        assert!(
            matches!(&found, Found::Broken(cause) if cause.contains("no such file")),
            "{found:?}"
        );
        test.write("map.lua", TWO);
        assert_eq!(test.found_address(), "127.0.0.1:7102");
    }

    #[test]
    fn an_included_file_is_watched_too_also_when_it_was_missing() {
        let mut test = Fixture::new(ONE);
        test.write("map.lua", "include \"other.lua\"");
        assert!(matches!(test.found(), Found::Broken(_)));
        test.write("other.lua", TWO);
        let found = (0..=LOOKS_PER_RETRY).map(|_| test.watched.look());
        assert!(found.into_iter().any(|found| matches!(found, Found::Changed(_))));
        test.write("other.lua", ONE);
        assert_eq!(test.found_address(), "127.0.0.1:7101");
    }

    #[test]
    fn a_file_that_is_still_written_is_not_read() {
        let mut test = Fixture::new(ONE);
        let mut text = String::new();
        for line in 0..10 {
            text.push_str(&format!("node{line} = \"127.0.0.1:7{line:03}\"\n"));
            test.write("map.lua", &text);
            assert_eq!(test.watched.look(), Found::Same);
        }
        assert!(matches!(test.watched.look(), Found::Changed(map) if map.nodes.len() == 10));
    }
}
