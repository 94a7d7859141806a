//! Runs a Lua text in an environment without the system, and hands out plain values.
//!
//! Bounds: the interpreter counts steps and bytes itself, but one call of a library function (a pattern that
//! backtracks, a repeat of nothing) counts as one step however long it takes. So the interpreter runs on a
//! thread of its own, and who waits for it gives up after [`EVALUATION_TIME_MAX`]. A thread that was given up on
//! keeps its core busy until that call ends, and ends at the next step.
//!
//! There is no `pcall` in the environment: it would catch the error with which the step limit ends a loop.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mlua::chunk::ChunkMode;
use mlua::{HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, VmState};

use super::conceal::Concealed;
use super::error::{ConfigError, ConfigErrorKind, quoted};
use super::known::SECRET;
use super::source;

/// Steps (instructions of the interpreter) that one evaluation may take, includes together.
pub(super) const STEPS_MAX: u64 = 10_000_000;

/// Steps between two looks at the counter and the clock.
const STEPS_PER_LOOK: u32 = 10_000;

/// Memory that the interpreter may hold, in bytes.
pub(super) const MEMORY_BYTES_MAX: usize = 64 << 20;

/// How long an evaluation may take by the clock.
const EVALUATION_TIME_MAX: Duration = Duration::from_secs(5);

/// How deep includes may nest, the first file not counted.
pub(super) const INCLUDE_DEPTH_MAX: usize = 16;

/// How many includes one evaluation may do.
pub(super) const INCLUDES_MAX: usize = 256;

/// The functions and tables of Lua that a config can use, beside `include`.
const LIBRARY: [&str; 13] = [
    "assert", "error", "ipairs", "math", "next", "pairs", "select", "string", "table", "tonumber",
    "tostring", "type", "utf8",
];

/// Names a user may expect to find; using one gets a hint instead of only "a nil value".
const NAMES_ABSENT: [&str; 15] = [
    "coroutine",
    "debug",
    "dofile",
    "getmetatable",
    "io",
    "load",
    "loadfile",
    "os",
    "package",
    "pcall",
    "print",
    "require",
    "setmetatable",
    "skynet",
    "xpcall",
];

/// What a key of a config is set to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A number: its text as Lua prints it, and its value where that is whole.
    Number { text: String, whole: Option<i64> },
    /// A string in UTF-8.
    Text(String),
    /// Any other string: text in another encoding, or none. Good for values that are only handed on, and for paths.
    Bytes(Vec<u8>),
    /// A table with names as keys.
    Table(Entries),
    /// A table of a global that lists values, in order.
    List(Vec<Value>),
    /// A table inside a table: what it lists, in order, and what it names. Tables inside it are `Other`.
    Mixed {
        /// The values of the keys 1, 2, 3 and so on.
        listed: Vec<Value>,
        /// The values of the names.
        named: Entries,
    },
    /// What no config has a use for, by its article and name, such as "a function".
    Other(&'static str),
}

/// Keys and what they are set to.
pub(super) type Entries = BTreeMap<String, Value>;

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(formatter, "{value}"),
            Value::Number { text, .. } => write!(formatter, "the number {text}"),
            Value::Text(text) => formatter.write_str(&quoted(text)),
            Value::Bytes(_) => formatter.write_str("text that is not UTF-8"),
            Value::Table(_) | Value::Mixed { .. } => formatter.write_str("a table"),
            Value::List(_) => formatter.write_str("a table whose keys are not names"),
            Value::Other(name) => formatter.write_str(name),
        }
    }
}

/// Whether `$NAME` in a text stands for an environment variable: it does in a node config, not in a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variables {
    Replaced,
    Plain,
}

/// Runs `text` and returns the globals it assigned, with the table it returned merged over them.
///
/// `path` stands in errors, and includes are relative to its directory.
pub(super) fn evaluate(path: &Path, text: Vec<u8>, variables: Variables) -> Result<Entries, ConfigError> {
    let fault = |kind| ConfigError::of_file(path, kind);
    let (sender, receiver) = mpsc::sync_channel(1);
    let own_path = path.to_owned();
    let run = move || {
        // The receiver is gone only when it has given up, and then nobody wants the result.
        let _ = sender.send(run(own_path, text, variables));
    };
    let spawned = thread::Builder::new()
        .name("skyring-config".to_owned())
        .spawn(run);
    spawned.map_err(|error| {
        fault(ConfigErrorKind::Evaluation(format!(
            "cannot start a thread: {error}"
        )))
    })?;
    match receiver.recv_timeout(EVALUATION_TIME_MAX) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(fault(ConfigErrorKind::TooManySteps)),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(fault(ConfigErrorKind::Evaluation(
            "the Lua interpreter failed".to_owned(),
        ))),
    }
}

/// What the callbacks of one evaluation share.
struct Evaluation {
    variables: Variables,
    concealed: Concealed,
    /// Every file so far; a chunk is named `#` and its index here, so that errors lead back to it.
    files: RefCell<Vec<PathBuf>>,
    /// The files being evaluated, innermost last, as indexes.
    nesting: RefCell<Vec<usize>>,
    /// The error that ended the evaluation, kept here because on its way through Lua it loses its type.
    failure: RefCell<Option<ConfigError>>,
    steps: Cell<u64>,
    started: Instant,
}

fn run(path: PathBuf, text: Vec<u8>, variables: Variables) -> Result<Entries, ConfigError> {
    let evaluation = Rc::new(Evaluation {
        variables,
        concealed: Concealed::default(),
        files: RefCell::new(vec![path.clone()]),
        nesting: RefCell::new(Vec::new()),
        failure: RefCell::new(None),
        steps: Cell::new(0),
        started: Instant::now(),
    });
    let result = evaluation.prepare().and_then(|(lua, globals)| {
        evaluation.run_file(&lua, &globals, 0, &text)?;
        entries(&lua, &globals, Depth::Value)
    });
    match result {
        Ok(Ok(entries)) => {
            let is_set = entries.keys().any(|key| key.starts_with(SECRET));
            if evaluation.concealed.is_assigned() && !is_set && variables == Variables::Replaced {
                let hint = "is nil, so the node would be open; write it in quotes: cluster_secret = \"$CLUSTER_SECRET\"";
                return Err(ConfigError::of_key(
                    &path,
                    SECRET,
                    ConfigErrorKind::Unsupported(hint),
                ));
            }
            Ok(entries)
        }
        Ok(Err(key)) => {
            let expected = "names as keys, as in NAME = VALUE".to_owned();
            let kind = ConfigErrorKind::WrongValue {
                expected,
                found: format!("{key} as a key"),
            };
            Err(ConfigError::of_file(&path, kind))
        }
        Err(error) => Err(evaluation.describe(&error, &path)),
    }
}

impl Evaluation {
    /// An interpreter with its limits, and the table that takes the user's globals.
    fn prepare(self: &Rc<Self>) -> mlua::Result<(Lua, Table)> {
        let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::UTF8;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        lua.set_memory_limit(MEMORY_BYTES_MAX)?;

        let library = lua.create_table()?;
        for name in LIBRARY {
            library.set(name, lua.globals().get::<mlua::Value>(name)?)?;
        }
        // Machine code of a function is of no use without `load`.
        library.get::<Table>("string")?.set("dump", mlua::Nil)?;
        let globals = lua.create_table()?;
        let evaluation = Rc::clone(self);
        let included_globals = globals.clone();
        let include = lua.create_function(move |lua, name: mlua::Value| {
            evaluation
                .include(lua, &included_globals, &name)
                .inspect_err(|error| {
                    let failure = evaluation.describe(error, Path::new("include"));
                    evaluation.failure.replace(Some(failure));
                })
        })?;
        library.set("include", include)?;
        // Library functions are found, but are not globals of the user, who gets back only what was assigned.
        let metatable = lua.create_table()?;
        metatable.set("__index", library)?;
        globals.set_metatable(Some(metatable))?;

        let evaluation = Rc::clone(self);
        lua.set_hook(
            HookTriggers::new().every_nth_instruction(STEPS_PER_LOOK),
            move |_, debug| {
                let steps = evaluation.steps.get() + u64::from(STEPS_PER_LOOK);
                evaluation.steps.set(steps);
                if steps <= STEPS_MAX && evaluation.started.elapsed() <= EVALUATION_TIME_MAX {
                    return Ok(VmState::Continue);
                }
                let chunk = debug.source().short_src.map(|name| name.into_owned());
                let file = chunk
                    .as_deref()
                    .and_then(chunk_index)
                    .and_then(|at| evaluation.file(at));
                let line = debug.current_line().and_then(|line| u32::try_from(line).ok());
                let file = file.unwrap_or_else(|| PathBuf::from("config"));
                let failure = ConfigError::of_line(&file, line, ConfigErrorKind::TooManySteps);
                evaluation.failure.replace(Some(failure));
                Err(mlua::Error::runtime("took too many steps"))
            },
        )?;
        Ok((lua, globals))
    }

    /// Runs the text of the file with this index, and merges the table it returns into the globals.
    fn run_file(&self, lua: &Lua, globals: &Table, index: usize, text: &[u8]) -> mlua::Result<()> {
        let path = self.file(index).unwrap_or_default();
        self.concealed.note(text);
        let text = match self.variables {
            Variables::Plain => text.to_owned(),
            Variables::Replaced => source::replace_variables(&path, text, |name| std::env::var_os(name))
                .map_err(|error| {
                    self.failure.replace(Some(error));
                    mlua::Error::runtime("variables")
                })?,
        };
        self.nesting.borrow_mut().push(index);
        let is_binary = text.contains(&0);
        let chunk = lua
            .load(text)
            .set_name(format!("=#{index}"))
            .set_mode(ChunkMode::Text);
        let chunk = chunk.set_environment(globals.clone()).into_function();
        let chunk = chunk.inspect_err(|_| {
            if is_binary {
                let failure = ConfigError::of_file(&path, ConfigErrorKind::Binary);
                self.failure.replace(Some(failure));
            }
        })?;
        let returned: MultiValue = chunk.call(())?;
        self.nesting.borrow_mut().pop();
        match returned.into_iter().next() {
            None | Some(mlua::Value::Nil) => Ok(()),
            Some(mlua::Value::Table(table)) => {
                table.pairs::<mlua::Value, mlua::Value>().try_for_each(|pair| {
                    let (key, value) = pair?;
                    globals.raw_set(key, value)
                })
            }
            Some(other) => {
                let found = converted(lua, &other, Depth::Innermost)?;
                let kind = ConfigErrorKind::WrongValue {
                    expected: "a table or nothing to be returned".to_owned(),
                    found: found.to_string(),
                };
                self.failure.replace(Some(ConfigError::of_file(&path, kind)));
                Err(mlua::Error::runtime("returned"))
            }
        }
    }

    /// What `include` does: runs the named file, found beside the file that includes it.
    fn include(&self, lua: &Lua, globals: &Table, name: &mlua::Value) -> mlua::Result<()> {
        let including = self.nesting.borrow().last().copied().unwrap_or(0);
        let including = self.file(including).unwrap_or_default();
        let line = lua.inspect_stack(1, |debug| debug.current_line()).flatten();
        let fail = |kind| {
            let line = line.and_then(|line| u32::try_from(line).ok());
            self.failure
                .replace(Some(ConfigError::of_line(&including, line, kind)));
            mlua::Error::runtime("include")
        };
        let name = match converted(lua, name, Depth::Innermost)? {
            Value::Text(name) => name.into_bytes(),
            Value::Bytes(name) => name,
            found => {
                let expected = "include to be given a file name".to_owned();
                return Err(fail(ConfigErrorKind::WrongValue {
                    expected,
                    found: found.to_string(),
                }));
            }
        };
        if self.nesting.borrow().len() > INCLUDE_DEPTH_MAX {
            return Err(fail(ConfigErrorKind::IncludeTooDeep {
                depth_max: INCLUDE_DEPTH_MAX,
            }));
        }
        let index = self.files.borrow().len();
        if index > INCLUDES_MAX {
            return Err(fail(ConfigErrorKind::TooManyIncludes {
                count_max: INCLUDES_MAX,
            }));
        }
        // Joining an absolute path gives that path.
        let path = including
            .parent()
            .unwrap_or(Path::new(""))
            .join(OsStr::from_bytes(&name));
        let text = source::read(&path).map_err(|error| {
            fail(ConfigErrorKind::Evaluation(format!(
                "include {}: {}",
                quoted(&String::from_utf8_lossy(&name)),
                error.kind
            )))
        })?;
        self.files.borrow_mut().push(path);
        self.run_file(lua, globals, index, &text)
    }

    fn file(&self, index: usize) -> Option<PathBuf> {
        self.files.borrow().get(index).cloned()
    }

    /// The error a user sees for what the interpreter says.
    fn describe(&self, error: &mlua::Error, path: &Path) -> ConfigError {
        if let Some(failure) = self.failure.take() {
            return failure;
        }
        match error {
            mlua::Error::CallbackError { cause, .. } => self.describe(cause, path),
            mlua::Error::SyntaxError { message, .. } => self.located(message, path, ConfigErrorKind::Syntax),
            mlua::Error::MemoryError(_) => {
                let kind = ConfigErrorKind::TooMuchMemory {
                    bytes_max: MEMORY_BYTES_MAX,
                };
                ConfigError::of_file(path, kind)
            }
            mlua::Error::RuntimeError(message) => self.located(message, path, ConfigErrorKind::Evaluation),
            other => self.located(&other.to_string(), path, ConfigErrorKind::Evaluation),
        }
    }

    /// Takes the `#0:3: ` in front of a message apart, and leaves out what follows the first line.
    fn located(&self, message: &str, path: &Path, kind: fn(String) -> ConfigErrorKind) -> ConfigError {
        let message = message.lines().next().unwrap_or_default();
        let message = self.concealed.conceal(message);
        let located = message.split_once(": ").and_then(|(place, rest)| {
            let (chunk, line) = place.split_once(':')?;
            Some((self.file(chunk_index(chunk)?)?, line.parse::<u32>().ok()?, rest))
        });
        match located {
            Some((file, line, rest)) => ConfigError::of_line(&file, Some(line), kind(explained(rest))),
            None => ConfigError::of_file(path, kind(explained(&message))),
        }
    }
}

/// The index in a chunk name `#index`.
fn chunk_index(chunk: &str) -> Option<usize> {
    chunk.strip_prefix('#')?.parse().ok()
}

/// Lua's message, with a word added where its cause is a limit of configs and not of Lua.
fn explained(message: &str) -> String {
    if message.contains("stack overflow") {
        return "functions or brackets are nested too deeply (stack overflow)".to_owned();
    }
    let absent = NAMES_ABSENT
        .iter()
        .find(|name| message.ends_with(&format!("(global '{name}')")));
    match absent {
        Some(name) => format!("{message}; {name} is not available in a config"),
        None => message.to_owned(),
    }
}

/// Where a value stands, which decides on what a table is good for there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Of a global.
    Value,
    /// In the table of a global.
    Inside,
    /// Deeper, or a key.
    Innermost,
}

/// The keys and values of a table, or else the first key that is not a name.
fn entries(lua: &Lua, table: &Table, depth: Depth) -> mlua::Result<Result<Entries, Value>> {
    let mut entries = Entries::new();
    for pair in table.pairs::<mlua::Value, mlua::Value>() {
        let (key, value) = pair?;
        match converted(lua, &key, Depth::Innermost)? {
            Value::Text(key) => entries.insert(key, converted(lua, &value, depth)?),
            other => return Ok(Err(other)),
        };
    }
    Ok(Ok(entries))
}

/// What a table lists and what it names, or what is wrong with it.
fn mixed(lua: &Lua, table: &Table) -> mlua::Result<Value> {
    let (mut listed, mut named) = (BTreeMap::new(), Entries::new());
    for pair in table.pairs::<mlua::Value, mlua::Value>() {
        let (key, value) = pair?;
        let value = converted(lua, &value, Depth::Innermost)?;
        match converted(lua, &key, Depth::Innermost)? {
            Value::Text(key) => {
                named.insert(key, value);
            }
            Value::Number {
                whole: Some(number), ..
            } => {
                listed.insert(number, value);
            }
            _ => return Ok(Value::Other("a table whose keys are neither names nor numbers")),
        }
    }
    // A list with gaps is one that was written by mistake.
    if listed.keys().zip(1..).any(|(key, number)| *key != number) {
        return Ok(Value::Other("a table with gaps"));
    }
    Ok(Value::Mixed {
        listed: listed.into_values().collect(),
        named,
    })
}

fn converted(lua: &Lua, value: &mlua::Value, depth: Depth) -> mlua::Result<Value> {
    Ok(match value {
        mlua::Value::Nil => Value::Other("nil"),
        mlua::Value::Boolean(value) => Value::Boolean(*value),
        mlua::Value::Integer(whole) => Value::Number {
            text: whole.to_string(),
            whole: Some(*whole),
        },
        mlua::Value::Number(number) => {
            let text = lua
                .coerce_string(value.clone())?
                .map(|text| text.to_string_lossy());
            // Exact: only whole numbers that a double holds exactly are far inside these bounds.
            let whole = number.fract() == 0.0 && number.abs() < (1_i64 << 53) as f64;
            Value::Number {
                text: text.unwrap_or_else(|| number.to_string()),
                whole: whole.then_some(*number as i64),
            }
        }
        mlua::Value::String(text) => match text.to_str() {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(text.as_bytes().to_vec()),
        },
        mlua::Value::Table(table) if depth == Depth::Value => match entries(lua, table, Depth::Inside)? {
            Ok(entries) => Value::Table(entries),
            Err(Value::Bytes(_)) => Value::Other("a table with a name that is not UTF-8 text"),
            Err(_) => match mixed(lua, table)? {
                Value::Mixed { listed, named } if named.is_empty() => Value::List(listed),
                _ => Value::Other("a table whose keys are not names"),
            },
        },
        mlua::Value::Table(table) if depth == Depth::Inside => mixed(lua, table)?,
        mlua::Value::Table(_) => Value::Other("a table"),
        mlua::Value::Function(_) => Value::Other("a function"),
        _ => Value::Other("an object"),
    })
}
