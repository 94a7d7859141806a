//! `skyring top`: a running node in a terminal, with the figures of its admin server: nodes, channels, services, rates,
//! percentiles.

mod client;
mod figures;
mod format;
mod panel;
mod screen;
mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use skyring::config::NodeAddress;

use self::client::{Client, ClientError};
use self::figures::Figures;
use self::view::Order;
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};

const EXAMPLES: &str = "\
Examples:
  skyring top 127.0.0.1:8100
  skyring top 10.0.0.5:8100 --token-file admin_token
  skyring top 127.0.0.1:8100 --once --sort memory      one frame as text

The address is `admin` in the node's config. Rates and percentiles are those of the last five seconds, with --once those \
of one second.

Keys: q or Ctrl-C quits, Tab goes to the next panel, the arrows scroll it, s sorts services by something else.

Exit codes: 0 success, 1 the node does not answer as a node, 2 the arguments or the file of the token are invalid.";

/// The width of a frame that is printed once, in characters.
const PRINTED_WIDTH: u16 = 132;

/// The arguments of `skyring top`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where the node serves its status: `admin` in its config
    #[arg(value_name = "HOST:PORT", value_parser = address)]
    address: NodeAddress,
    /// The file with the node's admin_token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print one frame as text, with the figures of one second
    #[arg(long)]
    once: bool,
    /// What services are sorted by
    #[arg(long, value_name = "BY", default_value = "time")]
    sort: Order,
}

fn address(text: &str) -> Result<NodeAddress, String> {
    text.parse()
        .map_err(|_| "expected HOST:PORT, such as 127.0.0.1:8100".to_owned())
}

/// Shows the node.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let client = match Client::new(&arguments.address, arguments.token_file.as_deref()) {
        Ok(client) => client,
        Err(error) => return fail(EXIT_USAGE, error),
    };
    if arguments.once {
        return match print(&client, arguments.sort) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(EXIT_FAILURE, error),
        };
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return fail(EXIT_USAGE, "this is no terminal; --once prints one frame as text");
    }
    // What is wrong with the address or the token is said without a screen.
    let first = match client.status() {
        Ok(status) => status,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    match screen::show(client, first, arguments.sort) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, format!("the terminal: {error}")),
    }
}

/// Why no frame was printed.
#[derive(Debug, thiserror::Error)]
enum PrintError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot write the frame: {0}")]
    Write(#[from] io::Error),
}

/// Prints the figures of one second.
fn print(client: &Client, order: Order) -> Result<(), PrintError> {
    let before = client.status()?;
    std::thread::sleep(screen::ASK_INTERVAL);
    let figures = Figures::of(&client.status()?, Some(&before));
    let text = frame_text(&figures, order);
    ignore_broken_pipe(io::stdout().write_all(text.as_bytes()))?;
    Ok(())
}

/// One frame as text, without colours.
fn frame_text(figures: &Figures, order: Order) -> String {
    let backend = TestBackend::new(PRINTED_WIDTH, view::printed_lines(figures));
    let Ok(mut terminal) = Terminal::new(backend);
    let Ok(drawn) = terminal.draw(|frame| view::draw_printed(frame, figures, order));
    let mut text = String::new();
    for line in drawn.buffer.content().chunks(usize::from(PRINTED_WIDTH)) {
        let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use skyring::status::{NodeStatus, PeerStatus};

    use super::*;

    #[test]
    fn a_frame_has_every_panel_and_no_control_characters() {
        let status = NodeStatus {
            node: "gate\u{1b}[2J".into(),
            version: "0.1.0".into(),
            peers: vec![PeerStatus {
                node: "db\nx".into(),
                state: "down".into(),
                cause: "no route".into(),
                ..PeerStatus::default()
            }],
            ..NodeStatus::default()
        };
        let text = frame_text(&Figures::of(&status, None), Order::Time);
        assert!(
            !text
                .chars()
                .any(|character| character.is_control() && character != '\n'),
            "{text}"
        );
        for part in [
            "nodes: 1, 1 down",
            "db\\nx",
            "no route",
            "channels: 0",
            "services: 0, by time",
            "calls -/s",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_frame_of_many_services_is_bounded() {
        let status = NodeStatus {
            services: vec![skyring::status::ServiceStatus::default(); 200],
            services_total: 5_000,
            ..NodeStatus::default()
        };
        let text = frame_text(&Figures::of(&status, None), Order::Name);
        assert!(
            text.contains("services: 200 of 5000, by name, the first 20"),
            "{text}"
        );
        assert!(text.lines().count() < 40, "{text}");
    }
}
