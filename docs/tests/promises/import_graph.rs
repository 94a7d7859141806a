//! Reads which files of a crate import which, from the text of the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{read, rust_files};

/// A file's module path, such as `["cluster", "room"]`; empty for the crate's root.
type Module = Vec<String>;

/// The files of one crate and the arrows between them. Files are named by their path below the source folder.
pub(crate) struct Graph {
    arrows: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Reads the files below a source folder.
    pub(crate) fn read(source: &str) -> Graph {
        let mut files: BTreeMap<Module, String> = BTreeMap::new();
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        for path in rust_files() {
            if let Ok(below) = path.strip_prefix(source) {
                let name = below.display().to_string();
                texts.insert(name.clone(), code(&read(&path)));
                files.insert(module_of(below), name);
            }
        }
        assert!(!files.is_empty(), "there is no file below {source}");
        let resolver = Resolver::new(&files, &texts);
        let arrows = files
            .iter()
            .map(|(module, name)| {
                let mut targets = BTreeSet::new();
                for (path, is_handed_on) in paths(&texts[name]) {
                    // A face only hands names on.
                    if is_handed_on && is_face(name) {
                        continue;
                    }
                    targets.extend(resolver.resolve(module, &path, 0));
                }
                targets.remove(name);
                (name.clone(), targets)
            })
            .collect();
        Graph { arrows }
    }

    /// Every arrow: the file that imports, and the file that it imports from.
    pub(crate) fn arrows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.arrows
            .iter()
            .flat_map(|(from, to)| to.iter().map(move |to| (from.as_str(), to.as_str())))
    }

    /// The room of a file: its first folder, or the file itself at the top.
    pub(crate) fn room<'a>(&self, file: &'a str) -> &'a str {
        let first = file.split('/').next().unwrap_or(file);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The first folders of all files.
    pub(crate) fn folders(&self) -> BTreeSet<&str> {
        self.arrows
            .keys()
            .filter_map(|file| Some(file.split_once('/')?.0))
            .collect()
    }

    /// The circles of more than one file: sets of files each of which leads to all others.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> = self
            .arrows
            .keys()
            .map(|file| (file.as_str(), self.reach(file)))
            .collect();
        let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
        for (file, reached) in &reach {
            let mutual = reached.iter().filter(|other| reach[*other].contains(file));
            let mut circle: Vec<String> = mutual.map(|other| (*other).to_owned()).collect();
            circle.push((*file).to_owned());
            circle.sort();
            circle.dedup();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reach(&self, file: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = self.arrows[file].iter().map(String::as_str).collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(self.arrows[next].iter().map(String::as_str));
            }
        }
        reached
    }
}

/// Whether a file is the face of a folder or of a crate.
fn is_face(name: &str) -> bool {
    name.ends_with("mod.rs") || name == "lib.rs"
}

fn module_of(below: &Path) -> Module {
    let mut module: Module = below
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module
        .last()
        .is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main"))
    {
        module.pop();
    }
    module
}

/// A file without comments, strings and its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().map(|line| match line.trim_start() {
        comment if comment.starts_with("//") => "",
        _ => line,
    });
    let mut code = String::new();
    for line in lines {
        // Every second piece lies between quotation marks, as far as one line tells.
        let outside: Vec<&str> = line.split('"').step_by(2).collect();
        code.push_str(&outside.join("\"\""));
        code.push('\n');
    }
    code
}

/// The paths that a file names: those of its `use` items, and others that start with `crate`, `super` or `self`; with
/// each whether it is handed on.
fn paths(code: &str) -> Vec<(Vec<String>, bool)> {
    let mut found = Vec::new();
    let mut rest = code;
    let mut without_use = String::new();
    while let Some(at) = find_use(rest) {
        without_use.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = item.find(';').unwrap_or(item.len());
        let line_start = rest[..at].rfind('\n').map_or(0, |at| at + 1);
        let is_handed_on = rest[line_start..at].trim_start().starts_with("pub");
        let tree = item["use ".len()..end].replace(char::is_whitespace, " ");
        for path in expand(tree.trim()) {
            found.push((path, is_handed_on));
        }
        rest = &item[end..];
    }
    without_use.push_str(rest);
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in without_use.match_indices(start) {
            let is_inside = without_use[..at]
                .chars()
                .next_back()
                .is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':');
            // `pub(in crate::a)` says who may see something.
            if is_inside || without_use[..at].ends_with("in ") {
                continue;
            }
            let path: String = without_use[at..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':'))
                .collect();
            let path = path
                .trim_end_matches(':')
                .split("::")
                .map(str::to_owned)
                .collect();
            found.push((path, false));
        }
    }
    found
}

/// Where the next `use` item begins.
fn find_use(code: &str) -> Option<usize> {
    code.match_indices("use ").map(|(at, _)| at).find(|&at| {
        let line_start = code[..at].rfind('\n').map_or(0, |at| at + 1);
        let before = code[line_start..at].trim();
        before.is_empty() || before.starts_with("pub") && !before.contains("fn")
    })
}

/// The paths of a tree such as `crate::{a::B, c::{D as E, self}}`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((head, inner)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![
            path.split("::")
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect(),
        ];
    };
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let head: Vec<String> = head
        .split("::")
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    let mut depth = 0;
    let pieces = inner.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    pieces
        .filter(|piece| !piece.trim().is_empty())
        .flat_map(expand)
        .map(|path| {
            let path = path.into_iter().filter(|part| part != "self" || head.is_empty());
            head.iter().cloned().chain(path).collect()
        })
        .collect()
}

/// Finds the file behind a path.
struct Resolver<'a> {
    files: &'a BTreeMap<Module, String>,
    /// What each face hands on: the name that others see, and the path behind it.
    handed_on: BTreeMap<&'a str, BTreeMap<String, Vec<String>>>,
}

/// Faces that hand a name on to each other.
const FACES_MAX: usize = 5;

impl<'a> Resolver<'a> {
    fn new(files: &'a BTreeMap<Module, String>, texts: &'a BTreeMap<String, String>) -> Resolver<'a> {
        let handed_on = files
            .values()
            .filter(|name| is_face(name))
            .map(|name| {
                let names = paths(&texts[name])
                    .into_iter()
                    .filter(|(path, is_handed_on)| *is_handed_on && path.len() > 1)
                    .map(|(path, _)| (path[path.len() - 1].clone(), path))
                    .collect();
                (name.as_str(), names)
            })
            .collect();
        Resolver { files, handed_on }
    }

    /// The file that a path leads to from a module; none when it leads out of the crate.
    fn resolve(&self, from: &Module, path: &[String], faces: usize) -> Option<String> {
        let mut module: Module = from.clone();
        let mut parts = path;
        let first = parts.first()?;
        match first.as_str() {
            "crate" => {
                module.clear();
                parts = &parts[1..];
            }
            "self" => parts = &parts[1..],
            "super" => {
                while parts.first().is_some_and(|part| part == "super") {
                    module.pop();
                    parts = &parts[1..];
                }
            }
            // A child of this module, or another crate.
            name => {
                let child: Module = from.iter().cloned().chain([name.to_owned()]).collect();
                if !self.files.contains_key(&child) {
                    return None;
                }
            }
        }
        while let Some(part) = parts.first() {
            let child: Module = module.iter().cloned().chain([part.clone()]).collect();
            if !self.files.contains_key(&child) {
                break;
            }
            module = child;
            parts = &parts[1..];
        }
        let name = self.files.get(&module)?;
        let handed = parts
            .first()
            .and_then(|item| self.handed_on.get(name.as_str())?.get(item));
        match handed {
            Some(path) if faces < FACES_MAX => self
                .resolve(&module, path, faces + 1)
                .or_else(|| Some(name.clone())),
            _ => Some(name.clone()),
        }
    }
}

#[test]
fn a_tree_of_imports_is_read_as_its_paths() {
    let paths = expand("crate::{a::B, c::{D as E, self}, f}");
    let paths: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::a::B", "crate::c::D", "crate::c", "crate::f"]);
}

#[test]
fn arrows_are_found_in_use_items_and_in_paths_but_not_in_comments_texts_and_visibilities() {
    let code = code(
        "//! See crate::comment.\nuse crate::used::{A,\n    B};\npub(in crate::seen) fn f() { crate::called::g(\"crate::text\") }\n",
    );
    let found: Vec<String> = paths(&code)
        .into_iter()
        .map(|(path, _)| path.join("::"))
        .collect();
    assert_eq!(found, ["crate::used::A", "crate::used::B", "crate::called::g"]);
}
