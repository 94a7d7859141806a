//! What the screen shows: the figures as a heading and three panels. The same is drawn on a terminal and for `--once`.

use std::cmp::Ordering;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::figures::{ChannelFigures, Figures, PeerFigures, ServiceFigures};
use super::format::{age, bytes, count, microseconds, number, percent};
use super::panel::{EXTRA_LINES, Panel, Text, plain};
use crate::shared::output::escape_line;

/// Rows of a panel that is not selected.
const ROWS_UNSELECTED_MAX: u16 = 6;

/// Rows of a panel in a frame that is printed once.
const ROWS_PRINTED_MAX: usize = 20;

/// Shards that the heading names.
const SHARDS_NAMED_MAX: usize = 16;

/// What services are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Order {
    /// The time that their handlers take
    #[default]
    Time,
    /// Their memory
    Memory,
    /// Messages a second
    Messages,
    /// The 99th percentile of their steps
    P99,
    /// Messages that wait
    Waiting,
    /// Their names
    Name,
}

impl Order {
    const ALL: [Order; 6] = [
        Order::Time,
        Order::Memory,
        Order::Messages,
        Order::P99,
        Order::Waiting,
        Order::Name,
    ];

    fn name(self) -> &'static str {
        match self {
            Order::Time => "time",
            Order::Memory => "memory",
            Order::Messages => "messages",
            Order::P99 => "p99",
            Order::Waiting => "waiting",
            Order::Name => "name",
        }
    }

    /// The next one.
    pub(super) fn next(self) -> Order {
        let at = Order::ALL.iter().position(|order| *order == self).unwrap_or(0);
        Order::ALL[(at + 1) % Order::ALL.len()]
    }
}

/// The panels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Selected {
    Nodes,
    Channels,
    #[default]
    Services,
}

impl Selected {
    const ALL: [Selected; 3] = [Selected::Nodes, Selected::Channels, Selected::Services];

    /// The one that comes after it.
    pub(super) fn next(self) -> Selected {
        match self {
            Selected::Nodes => Selected::Channels,
            Selected::Channels => Selected::Services,
            Selected::Services => Selected::Nodes,
        }
    }

    /// The one that comes before it.
    pub(super) fn previous(self) -> Selected {
        self.next().next()
    }
}

/// What the user chose.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) order: Order,
    pub(super) selected: Selected,
    /// The first row of the selected panel that is shown.
    pub(super) first: usize,
}

/// The lines above the panels.
const HEADING_LINES: u16 = 4;

/// Draws everything. `trouble` says why the figures are old, if they are.
pub(super) fn draw(frame: &mut Frame<'_>, figures: &Figures, choice: &mut Choice, trouble: Option<&str>) {
    let [heading, body, footer] = Layout::vertical([
        Constraint::Length(HEADING_LINES),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_heading(frame, heading, figures, trouble);
    let panels = panels(figures, choice.order);
    let constraints = panels
        .iter()
        .zip(Selected::ALL)
        .map(|(panel, which)| match which == choice.selected {
            true => Constraint::Min(EXTRA_LINES + 1),
            false => Constraint::Length(panel.lines().min(ROWS_UNSELECTED_MAX + EXTRA_LINES)),
        });
    let areas = Layout::vertical(constraints).split(body);
    for ((panel, which), area) in panels.iter().zip(Selected::ALL).zip(areas.iter()) {
        let is_selected = which == choice.selected;
        let mut first = 0;
        if is_selected {
            let rows = usize::from(area.height.saturating_sub(EXTRA_LINES));
            choice.first = choice.first.min(panel.rows.len().saturating_sub(rows));
            first = choice.first;
        }
        panel.draw(frame, *area, first, is_selected);
    }
    let keys = " q quit   Tab next panel   arrows scroll   s sort services, or by t time m memory r messages p p99 w waiting n name";
    frame.render_widget(
        Line::styled(keys, Style::new().add_modifier(Modifier::DIM)),
        footer,
    );
}

/// How many lines a frame needs that is printed once.
pub(super) fn printed_lines(figures: &Figures) -> u16 {
    let panels = printed(figures, Order::default());
    HEADING_LINES + panels.iter().map(Panel::lines).sum::<u16>()
}

/// Draws a frame that is printed once.
pub(super) fn draw_printed(frame: &mut Frame<'_>, figures: &Figures, order: Order) {
    let panels = printed(figures, order);
    let lines = panels.iter().map(|panel| Constraint::Length(panel.lines()));
    let constraints = std::iter::once(Constraint::Length(HEADING_LINES)).chain(lines);
    let areas = Layout::vertical(constraints).split(frame.area());
    draw_heading(frame, areas[0], figures, None);
    for (panel, area) in panels.iter().zip(areas.iter().skip(1)) {
        panel.draw(frame, *area, 0, false);
    }
}

fn printed(figures: &Figures, order: Order) -> [Panel; 3] {
    panels(figures, order).map(|mut panel| {
        if panel.rows.len() > ROWS_PRINTED_MAX {
            panel.title = format!("{}, the first {ROWS_PRINTED_MAX}", panel.title);
            panel.rows.truncate(ROWS_PRINTED_MAX);
        }
        panel
    })
}

fn panels(figures: &Figures, order: Order) -> [Panel; 3] {
    [nodes(figures), channels(figures), services(figures, order)]
}

fn draw_heading(frame: &mut Frame<'_>, area: Rect, figures: &Figures, trouble: Option<&str>) {
    let status = &figures.status;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let (state, color) = match () {
        () if trouble.is_some() => ("no answer", Color::Red),
        () if status.failure.is_some() => ("failed", Color::Red),
        () if status.is_stopping => ("stopping", Color::Yellow),
        () if status.is_ready => ("ready", Color::Green),
        () => ("starting", Color::Yellow),
    };
    let name = match status.node.is_empty() {
        true => "a node without a name".to_owned(),
        false => escape_line(&status.node),
    };
    let zone = status
        .zone
        .as_deref()
        .map(|zone| format!("zone {}, ", escape_line(zone)));
    let about = format!(
        "  Skyring {} on {}, {}process {}, runs for {}",
        escape_line(&status.version),
        escape_line(&status.runtime),
        zone.unwrap_or_default(),
        status.process.id,
        age(status.uptime_ms)
    );
    let percentile = |share| microseconds(figures.round_trip.percentile_us(share));
    let rates = format!(
        "calls {}/s  errors {}/s  requests {}/s  messages {}/s  round trip p50 {}  p99 {}  p99.9 {}",
        number(figures.calls),
        number(figures.errors),
        number(figures.requests),
        number(figures.messages),
        percentile(0.5),
        percentile(0.99),
        percentile(0.999)
    );
    let resources = format!(
        "processor {}  memory {}  files {} of {}  services {}{}",
        percent(figures.processor),
        bytes(Some(status.process.memory_bytes as f64)),
        status.process.open_files,
        status.process.open_files_max,
        status.services_total,
        clients(figures)
    );
    let last = match (trouble, &status.failure) {
        (Some(trouble), _) => Line::styled(escape_line(trouble), Style::new().fg(Color::Red)),
        (None, Some(failure)) => Line::styled(escape_line(failure), Style::new().fg(Color::Red)),
        (None, None) => Line::raw(shards(figures)),
    };
    let first = Line::from(vec![
        Span::styled(name, bold),
        Span::raw("  "),
        Span::styled(state, bold.fg(color)),
        Span::raw(about),
    ]);
    frame.render_widget(
        ratatui::text::Text::from(vec![first, Line::raw(rates), Line::raw(resources), last]),
        area,
    );
}

/// How many clients the gates have, if there are gates.
fn clients(figures: &Figures) -> String {
    let sum = |name: &str| -> Option<u64> {
        let measures = figures
            .status
            .measures
            .iter()
            .filter(|measure| measure.name == name);
        measures
            .map(|measure| measure.value)
            .reduce(|one, other| one + other)
    };
    match (sum("gate_clients"), sum("gate_clients_max")) {
        (Some(clients), Some(most)) => format!("  gate clients {clients} of {most}"),
        _ => String::new(),
    }
}

/// How busy the shards are.
fn shards(figures: &Figures) -> String {
    let shards = figures.status.shards.iter().zip(&figures.busy);
    let named = shards
        .take(SHARDS_NAMED_MAX)
        .map(|(shard, busy)| match shard.is_answering {
            true => format!("  {}: {}", shard.shard, percent(*busy)),
            false => format!("  {}: does not answer", shard.shard),
        });
    let more = figures.status.shards.len().saturating_sub(SHARDS_NAMED_MAX);
    let named: String = named.collect();
    match more {
        0 => format!("shards busy{named}"),
        more => format!("shards busy{named}  and {more} more"),
    }
}

fn state(name: &str) -> Text {
    let color = match name {
        "up" | "open" => Color::Green,
        "suspect" | "draining" => Color::Yellow,
        "down" | "offline" => Color::Red,
        _ => return plain(name),
    };
    (escape_line(name), Style::new().fg(color))
}

fn nodes(figures: &Figures) -> Panel {
    let mut peers: Vec<&PeerFigures> = figures.peers.iter().collect();
    let urgency = |peer: &PeerFigures| match (peer.status.is_own, peer.status.state.as_str()) {
        (true, _) => 0,
        (_, "down") => 1,
        (_, "suspect") => 2,
        (_, "up") => 3,
        _ => 4,
    };
    peers.sort_by_key(|peer| urgency(peer));
    let of_state = |state: &str| {
        let count = peers.iter().filter(|peer| peer.status.state == state).count();
        (count > 0).then(|| format!(", {count} {state}"))
    };
    let states: String = ["up", "suspect", "down", "unknown", "disabled"]
        .into_iter()
        .filter_map(of_state)
        .collect();
    let total = peers.len() as u64 + figures.status.peers_omitted;
    let rows = peers.iter().map(|peer| {
        let status = &peer.status;
        let channels = match status.is_own {
            true => "this node".to_owned(),
            false => format!("{} of {}", peer.channels_open, peer.channels),
        };
        let cause = if status.state == "up" {
            ""
        } else {
            status.cause.as_str()
        };
        vec![
            plain(&status.node),
            state(&status.state),
            plain(number(peer.calls)),
            plain(microseconds(peer.round_trip.percentile_us(0.5))),
            plain(microseconds(peer.round_trip.percentile_us(0.99))),
            plain(channels),
            plain(&status.address),
            plain(status.zone.as_deref().unwrap_or("-")),
            plain(cause),
        ]
    });
    Panel {
        title: format!("nodes: {total}{states}"),
        headings: &[
            "node",
            "state",
            ">calls/s",
            ">p50",
            ">p99",
            ">channels open",
            "address",
            "zone",
            "cause",
        ],
        rows: rows.collect(),
        empty: "the node has no cluster map",
    }
}

fn channels(figures: &Figures) -> Panel {
    let mut channels: Vec<&ChannelFigures> = figures.channels.iter().collect();
    channels.sort_by(|one, other| compare(other.calls, one.calls));
    let rows = channels.iter().map(|channel| {
        let status = &channel.status;
        vec![
            plain(format!("{} {}", status.node, status.channel)),
            state(&status.state),
            plain(number(channel.calls)),
            plain(number(channel.errors)),
            plain(microseconds(channel.round_trip.percentile_us(0.5))),
            plain(microseconds(channel.round_trip.percentile_us(0.99))),
            plain(count(status.in_flight)),
            plain(count(status.backlog)),
            plain(bytes(channel.bytes)),
            plain(number(channel.batch)),
            plain(count(status.connects.saturating_sub(1))),
            plain(status.shard.to_string()),
            plain(&status.dialect),
        ]
    });
    Panel {
        title: format!(
            "channels: {}",
            channels.len() as u64 + figures.status.channels_omitted
        ),
        headings: &[
            "channel",
            "state",
            ">calls/s",
            ">errors/s",
            ">p50",
            ">p99",
            ">in flight",
            ">backlog",
            ">bytes/s",
            ">batch",
            ">reconnects",
            ">shard",
            "dialect",
        ],
        rows: rows.collect(),
        empty: "none: the node has called no other",
    }
}

fn name(service: &ServiceFigures) -> String {
    match (service.status.names.is_empty(), service.status.what.is_empty()) {
        (false, _) => service.status.names.join(" "),
        (true, false) => service.status.what.clone(),
        (true, true) => service.status.label.clone(),
    }
}

fn services(figures: &Figures, order: Order) -> Panel {
    let mut services: Vec<&ServiceFigures> = figures.services.iter().collect();
    let p99 = |service: &ServiceFigures| service.handler.percentile_us(0.99);
    services.sort_by(|one, other| match order {
        Order::Time => compare(other.busy, one.busy),
        Order::Memory => other.status.memory_bytes.cmp(&one.status.memory_bytes),
        Order::Messages => compare(other.messages, one.messages),
        Order::P99 => compare(p99(other), p99(one)),
        Order::Waiting => other.status.messages_waiting.cmp(&one.status.messages_waiting),
        Order::Name => name(one).cmp(&name(other)),
    });
    let rows = services.iter().map(|service| {
        let status = &service.status;
        let memory = (status.memory_bytes > 0).then_some(status.memory_bytes as f64);
        vec![
            plain(name(service)),
            plain(percent(service.busy)),
            plain(number(service.messages)),
            plain(microseconds(service.handler.percentile_us(0.5))),
            plain(microseconds(p99(service))),
            plain(count(status.messages_waiting)),
            plain(bytes(memory)),
            plain(count(status.tasks)),
            plain(count(status.restarts)),
            plain(status.shard.to_string()),
            plain(&status.handle),
        ]
    });
    let listed = match services.len() as u64 == figures.status.services_total {
        true => String::new(),
        false => format!("{} of ", services.len()),
    };
    Panel {
        title: format!(
            "services: {listed}{}, by {}",
            figures.status.services_total,
            order.name()
        ),
        headings: &[
            "service",
            ">time",
            ">messages/s",
            ">p50",
            ">p99",
            ">waiting",
            ">memory",
            ">tasks",
            ">restarts",
            ">shard",
            "handle",
        ],
        rows: rows.collect(),
        empty: "none",
    }
}

/// Compares figures; what is not known is less than all.
fn compare(one: Option<f64>, other: Option<f64>) -> Ordering {
    one.unwrap_or(-1.0).total_cmp(&other.unwrap_or(-1.0))
}
