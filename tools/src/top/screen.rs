//! The terminal: asks the node every second, redraws, and obeys keys.
//!
//! Invariant: however the program ends, by a key, a signal, an error or a panic, the terminal is as it was before.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use skyring::status::NodeStatus;

use super::client::Client;
use super::figures::{Figures, is_same_run};
use super::view::{Choice, Order, Selected, draw};

/// Time between two questions to the node.
pub(super) const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// Rates and percentiles are those of so many documents, one a second.
const DOCUMENTS_MAX: usize = 6;

/// The longest that a key or a signal waits.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Rows that the keys for a page move.
const PAGE_ROWS: usize = 10;

/// Restores the terminal when it is dropped; ratatui's hook does so before a panic is reported.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// The documents that figures are made of, and what is wrong.
struct Seen {
    documents: VecDeque<NodeStatus>,
    /// When the last one came.
    last: Instant,
    trouble: Option<String>,
}

impl Seen {
    fn add(&mut self, answer: Result<NodeStatus, String>) {
        match answer {
            Ok(status) => {
                if self
                    .documents
                    .back()
                    .is_some_and(|last| !is_same_run(last, &status))
                {
                    self.documents.clear();
                }
                self.documents.push_back(status);
                if self.documents.len() > DOCUMENTS_MAX {
                    self.documents.pop_front();
                }
                self.last = Instant::now();
                self.trouble = None;
            }
            Err(error) => {
                let seconds = self.last.elapsed().as_secs();
                self.trouble = Some(format!("for {seconds} s, asked again every second: {error}"));
            }
        }
    }

    fn figures(&self) -> Figures {
        match (self.documents.back(), self.documents.front()) {
            (Some(now), before) => Figures::of(now, before),
            (None, _) => Figures::default(),
        }
    }
}

/// Shows the node until the user ends it.
///
/// # Errors
/// When the terminal fails.
pub(super) fn show(client: Client, first: NodeStatus, order: Order) -> io::Result<()> {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ends))?;
    }
    let mut terminal = ratatui::try_init()?;
    let _restored = Restored;
    let mut seen = Seen {
        documents: VecDeque::from([first]),
        last: Instant::now(),
        trouble: None,
    };
    let mut choice = Choice {
        order,
        ..Choice::default()
    };
    let (sender, answers) = sync_channel(1);
    let (stop, stopped) = sync_channel(0);
    thread::spawn(move || ask(&client, &sender, &stopped));
    let shown = run(&mut terminal, &mut seen, &mut choice, &answers, &ends);
    // The thread ends with its next answer.
    drop((stop, answers));
    shown
}

/// Asks the node every second, until the screen has ended.
fn ask(client: &Client, answers: &SyncSender<Result<NodeStatus, String>>, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(ASK_INTERVAL) {
        if answers
            .send(client.status().map_err(|error| error.to_string()))
            .is_err()
        {
            return;
        }
    }
}

fn run(
    terminal: &mut DefaultTerminal,
    seen: &mut Seen,
    choice: &mut Choice,
    answers: &Receiver<Result<NodeStatus, String>>,
    ends: &AtomicBool,
) -> io::Result<()> {
    let mut figures = seen.figures();
    let mut is_changed = true;
    while !ends.load(Ordering::Relaxed) {
        if is_changed {
            terminal.draw(|frame| draw(frame, &figures, choice, seen.trouble.as_deref()))?;
            is_changed = false;
        }
        if event::poll(LOOK_INTERVAL)? {
            is_changed = true;
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    let is_interrupt =
                        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                    if is_interrupt || key.code == KeyCode::Char('q') {
                        return Ok(());
                    }
                    obey(key.code, choice);
                }
                _ => {}
            }
        }
        match answers.try_recv() {
            Ok(answer) => {
                seen.add(answer);
                figures = seen.figures();
                is_changed = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(io::Error::other("the thread that asks has ended"));
            }
        }
    }
    Ok(())
}

fn obey(key: KeyCode, choice: &mut Choice) {
    let select = |choice: &mut Choice, selected: Selected| {
        choice.selected = selected;
        choice.first = 0;
    };
    let sort = |choice: &mut Choice, order: Order| {
        choice.order = order;
        choice.first = 0;
    };
    match key {
        KeyCode::Tab => select(choice, choice.selected.next()),
        KeyCode::BackTab => select(choice, choice.selected.previous()),
        KeyCode::Char('s') => sort(choice, choice.order.next()),
        KeyCode::Char('t') => sort(choice, Order::Time),
        KeyCode::Char('m') => sort(choice, Order::Memory),
        KeyCode::Char('r') => sort(choice, Order::Messages),
        KeyCode::Char('p') => sort(choice, Order::P99),
        KeyCode::Char('w') => sort(choice, Order::Waiting),
        KeyCode::Char('n') => sort(choice, Order::Name),
        KeyCode::Up => choice.first = choice.first.saturating_sub(1),
        // The view keeps it within the rows.
        KeyCode::Down => choice.first = choice.first.saturating_add(1),
        KeyCode::PageUp => choice.first = choice.first.saturating_sub(PAGE_ROWS),
        KeyCode::PageDown => choice.first = choice.first.saturating_add(PAGE_ROWS),
        KeyCode::Home => choice.first = 0,
        KeyCode::End => choice.first = usize::MAX,
        _ => {}
    }
}
