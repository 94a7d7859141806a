//! A table of the screen: rows of texts, as many columns and lines as there is room for.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Padding, Row, Table};

use crate::shared::output::escape_line;

/// The widest column, in characters.
const COLUMN_WIDTH_MAX: usize = 44;

/// Lines of a panel beside its rows: its title and the headings.
pub(super) const EXTRA_LINES: u16 = 2;

/// A cell: a text, and how it looks.
pub(super) type Text = (String, Style);

/// A table with a title.
pub(super) struct Panel {
    pub(super) title: String,
    /// The headings. One that begins with `>` stands over numbers, which are aligned to the right.
    pub(super) headings: &'static [&'static str],
    pub(super) rows: Vec<Vec<Text>>,
    /// What is said when there are no rows.
    pub(super) empty: &'static str,
}

/// A cell that looks like any other. What peers and services are called cannot control the terminal.
pub(super) fn plain(text: impl AsRef<str>) -> Text {
    (escape_line(text.as_ref()), Style::new())
}

impl Panel {
    /// How many lines it needs for all rows.
    pub(super) fn lines(&self) -> u16 {
        let rows = u16::try_from(self.rows.len().max(1)).unwrap_or(u16::MAX);
        rows.saturating_add(EXTRA_LINES)
    }

    /// Draws the rows from `first` on.
    pub(super) fn draw(&self, frame: &mut Frame<'_>, area: Rect, first: usize, is_selected: bool) {
        let style = match is_selected {
            true => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
            false => Style::new().add_modifier(Modifier::BOLD),
        };
        let title = Line::styled(format!(" {} ", self.title), style);
        let block = Block::new()
            .borders(Borders::TOP)
            .title(title)
            .padding(Padding::horizontal(1));
        if self.rows.is_empty() {
            let inner = block.inner(area);
            frame.render_widget(block, area);
            frame.render_widget(Line::raw(self.empty), inner);
            return;
        }
        let widths = self.widths(area.width.saturating_sub(2));
        let names = self.headings.iter().take(widths.len()).map(|heading| {
            let (text, is_number) = heading
                .strip_prefix('>')
                .map_or((*heading, false), |text| (text, true));
            cell(
                text.to_owned(),
                Style::new().add_modifier(Modifier::DIM),
                is_number,
            )
        });
        let rows = self.rows.iter().skip(first).map(|row| {
            let cells = row.iter().zip(self.headings).take(widths.len());
            Row::new(
                cells.map(|((text, style), heading)| cell(text.clone(), *style, heading.starts_with('>'))),
            )
        });
        let constraints = widths.iter().map(|width| Constraint::Length(*width));
        let table = Table::new(rows, constraints)
            .header(Row::new(names))
            .column_spacing(2)
            .block(block);
        frame.render_widget(table, area);
    }

    /// The widths of the columns that there is room for; those to the right are left out first.
    fn widths(&self, width_max: u16) -> Vec<u16> {
        let mut left = usize::from(width_max);
        let mut widths = Vec::with_capacity(self.headings.len());
        for (column, heading) in self.headings.iter().enumerate() {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells
                .map(|(text, _)| Line::raw(text.as_str()).width())
                .max()
                .unwrap_or(0);
            let width = longest
                .max(heading.trim_start_matches('>').len())
                .min(COLUMN_WIDTH_MAX);
            if width > left {
                break;
            }
            left = left.saturating_sub(width + 2);
            widths.push(u16::try_from(width).unwrap_or(u16::MAX));
        }
        widths
    }
}

fn cell(text: String, style: Style, is_number: bool) -> Cell<'static> {
    let line = Line::styled(text, style);
    Cell::new(if is_number { line.right_aligned() } else { line })
}
