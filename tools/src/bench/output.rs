//! The outputs of a measurement: files, opened before it begins, and the standard output.

use std::io::Write as _;
use std::path::PathBuf;

use skyring_bench::{Measurement, grouped, to_percentiles};

use super::arguments::Arguments;
use super::measure::Profiles;
use super::table;
use crate::shared::output::ignore_broken_pipe;
use crate::shared::output_file::{OutputFile, is_stdout, waiting_file};
use crate::shared::status_line::StatusLine;

/// The files that the arguments name.
pub(super) struct OutputFiles {
    json: Option<OutputFile>,
    hgrm: Option<OutputFile>,
    html: Option<OutputFile>,
    flamegraph: Option<OutputFile>,
    /// The file of the graph of waiting, which is only created if there is one.
    waiting: Option<PathBuf>,
    profile: Option<OutputFile>,
    /// Whether the standard output is for JSON.
    is_json: bool,
}

impl OutputFiles {
    pub(super) fn create(arguments: &Arguments) -> Result<OutputFiles, String> {
        Ok(OutputFiles {
            is_json: arguments.json.as_deref().is_some_and(is_stdout),
            json: OutputFile::create(arguments.json.as_deref())?,
            hgrm: OutputFile::create(arguments.hgrm.as_deref())?,
            html: OutputFile::create(arguments.html.as_deref())?,
            flamegraph: OutputFile::create(arguments.flamegraph.as_deref())?,
            waiting: arguments
                .flamegraph
                .as_deref()
                .filter(|path| !is_stdout(path))
                .map(waiting_file),
            profile: OutputFile::create(arguments.profile.as_deref())?,
        })
    }

    /// Writes all files, and prints the table or the JSON.
    pub(super) fn write(mut self, measured: &Measurement, profiles: Option<&Profiles>) -> Result<(), String> {
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
        let title = format!("skyring bench: {} calls/s", grouped(measured.calls_per_second));
        if let (Some(file), Some(profiles)) = (&mut self.flamegraph, profiles) {
            let graph = profiles
                .processor
                .to_svg(&title)
                .map_err(|error| error.to_string())?;
            file.write(&graph)?;
        }
        if let (Some(file), Some(profiles)) = (&mut self.profile, profiles) {
            file.write(format!("{}\n", profiles.processor.to_json()).as_bytes())?;
        }
        if let (Some(path), Some(profiles)) = (&self.waiting, profiles) {
            match &profiles.waiting {
                Ok(waiting) => {
                    let graph = waiting.to_svg(&title).map_err(|error| error.to_string())?;
                    if let Some(mut file) = OutputFile::create(Some(path))? {
                        file.write(&graph)?;
                    }
                }
                Err(error) => {
                    StatusLine::new().print_line(format_args!("no graph of waiting: {error}"));
                }
            }
        }
        let mut out = anstream::stdout();
        let printed = if self.is_json {
            out.write_all(json.as_bytes())
        } else {
            table::print(&mut out, measured)
        };
        ignore_broken_pipe(printed).map_err(|error| error.to_string())
    }
}
