//! Where the figures go: files, opened before anything is measured, and the standard output.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use skyring_bench::{Measurement, Profile, grouped, to_percentiles};

use super::arguments::Arguments;
use super::table;

/// A file that is there and empty.
pub(super) struct Opened {
    path: PathBuf,
    file: File,
}

/// What was asked for.
pub(super) struct Files {
    json: Option<Opened>,
    hgrm: Option<Opened>,
    html: Option<Opened>,
    flamegraph: Option<Opened>,
    /// Whether the standard output is for JSON.
    is_json: bool,
}

fn is_stdout(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn opened(file: &Option<PathBuf>) -> Result<Option<Opened>, String> {
    let Some(path) = file.as_deref().filter(|path| !is_stdout(path)) else {
        return Ok(None);
    };
    let file =
        File::create(path).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    Ok(Some(Opened {
        path: path.to_owned(),
        file,
    }))
}

impl Opened {
    fn write(&mut self, text: &[u8]) -> Result<(), String> {
        self.file
            .write_all(text)
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

impl Files {
    pub(super) fn open(arguments: &Arguments) -> Result<Files, String> {
        Ok(Files {
            is_json: arguments.json.as_deref().is_some_and(is_stdout),
            json: opened(&arguments.json)?,
            hgrm: opened(&arguments.hgrm)?,
            html: opened(&arguments.html)?,
            flamegraph: opened(&arguments.flamegraph)?,
        })
    }

    /// Writes all of them, and the table or the JSON to the standard output.
    pub(super) fn write(mut self, measured: &Measurement, profile: Option<&Profile>) -> Result<(), String> {
        let json = format!("{}\n", measured.to_json());
        if let Some(file) = &mut self.json {
            file.write(json.as_bytes())?;
        }
        if let (Some(file), Some(data)) = (&mut self.hgrm, &measured.chart_data) {
            file.write(to_percentiles(&data.latencies).as_bytes())?;
        }
        if let Some(file) = &mut self.html {
            file.write(measured.to_html().as_bytes())?;
        }
        if let (Some(file), Some(profile)) = (&mut self.flamegraph, profile) {
            let title = format!("skyring bench: {} calls/s", grouped(measured.calls_per_second));
            let graph = profile.to_svg(&title).map_err(|error| error.to_string())?;
            file.write(&graph)?;
        }
        let mut out = anstream::stdout();
        let told = if self.is_json {
            out.write_all(json.as_bytes())
        } else {
            table::print(&mut out, measured)
        };
        match told {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
            _ => Ok(()),
        }
    }
}
