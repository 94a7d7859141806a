//! One measurement: services in a process of their own, which log their figures.

use std::error::Error;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client;
use crate::process::Running;

/// Names and values.
pub(crate) type Figures = Vec<(String, f64)>;

/// The longest time of a measurement.
const TIME_MAX: Duration = Duration::from_secs(60);

/// The time between two looks at the output.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// All services, by name.
const SERVICES: [(&str, &str); 10] = [
    ("agent", include_str!("../agents/agent.lua")),
    ("measure", include_str!("../node/measure.lua")),
    ("services", include_str!("scripts/services.lua")),
    ("table", include_str!("scripts/table.lua")),
    ("reader", include_str!("scripts/reader.lua")),
    ("messages", include_str!("scripts/messages.lua")),
    ("counter", include_str!("scripts/counter.lua")),
    ("subscriber", include_str!("scripts/subscriber.lua")),
    ("gate", include_str!("scripts/gate.lua")),
    ("echo", include_str!("scripts/echo.lua")),
];

/// A measurement.
pub(crate) struct Measurement {
    /// The service that it begins with.
    start: &'static str,
    rows: u32,
    /// The numbers of clients of its gate.
    clients: &'static [usize],
}

const fn of(start: &'static str) -> Measurement {
    Measurement {
        start,
        rows: 0,
        clients: &[],
    }
}

/// All measurements.
pub(crate) const ALL: [Measurement; 4] = [
    of("services"),
    Measurement {
        rows: 200_000,
        ..of("table")
    },
    of("messages"),
    Measurement {
        clients: &[1, 50],
        ..of("gate")
    },
];

impl Measurement {
    /// Runs it in a process that gets a config as its argument.
    pub(crate) fn run(&self, folder: &Path, mut command: Command) -> Result<Figures, Box<dyn Error>> {
        let root = folder.canonicalize()?;
        let scratch = tempfile::tempdir()?;
        let (at, root) = (scratch.path().display(), root.display());
        for (name, text) in SERVICES {
            fs::write(scratch.path().join(name).with_extension("lua"), text)?;
        }
        let gate_port = free_port()?;
        let (config, log) = (scratch.path().join("config"), scratch.path().join("output"));
        fs::write(
            &config,
            format!(
                "thread = 2\nharbor = 0\nbootstrap = 'snlua bootstrap'\nstart = '{}'\n\
                 luaservice = '{at}/?.lua;{root}/service/?.lua'\nlualoader = '{root}/lualib/loader.lua'\n\
                 lua_path = '{at}/?.lua;{root}/lualib/?.lua;{root}/lualib/?/init.lua'\n\
                 lua_cpath = '{root}/luaclib/?.so'\ncpath = '{root}/cservice/?.so'\n\
                 agents = 2000\nrows = {}\ngate_port = {gate_port}\n",
                self.start, self.rows
            ),
        )?;
        let output = File::create(&log)?;
        command
            .arg(&config)
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output);
        let mut process = Running(command.spawn()?);
        let text = self.output(&mut process, &log)?;
        let mut figures = figures(&text)?;
        for &clients in self.clients {
            let rate = client::echo_rate(gate_port, clients)?;
            figures.push((format!("echo {clients}"), rate / 1e3));
        }
        Ok(figures)
    }

    /// The output once the services are done.
    fn output(&self, process: &mut Running, log: &Path) -> Result<String, Box<dyn Error>> {
        let started = Instant::now();
        loop {
            std::thread::sleep(LOOK_INTERVAL);
            let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
            if text.contains("ALL DONE") {
                return Ok(text);
            }
            let has_ended = process.0.try_wait()?.is_some();
            if has_ended || text.contains("error :") || started.elapsed() > TIME_MAX {
                return Err(format!("{} is not done; its output:\n{text}", self.start).into());
            }
        }
    }
}

/// A port of this machine that nothing listens on.
fn free_port() -> Result<u16, Box<dyn Error>> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The figures in the lines with `RESULT`.
fn figures(text: &str) -> Result<Figures, Box<dyn Error>> {
    let mut figures = Figures::new();
    for line in text.lines() {
        if let Some((_, result)) = line.split_once("RESULT ") {
            let (name, value) = result.split_once(' ').ok_or("a result without a value")?;
            figures.push((name.to_owned(), value.trim().parse()?));
        }
    }
    Ok(figures)
}
