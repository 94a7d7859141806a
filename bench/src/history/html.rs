//! A history as one page without scripts, fonts or other files. Its numbers are those of the text.

use std::fmt::Write as _;

use super::chart::chart;
use super::series::{Change, FigureHistory, History, MachineHistory};
use super::text::{change, counts, interval, no_changes, number};
use crate::html::{escaped, head};

impl History {
    /// The page.
    pub fn to_html(&self) -> String {
        let mut page = head("Skyring over its revisions");
        page.push_str(
            "<h1>Skyring over its revisions</h1>\n\
             <p>A dot is the median of a revision's records, its line the interval. Figures of speed are ratios to a floor, a \
             bare io_uring loop that was measured right before. A vertical line is a change that chance does not explain: \
             of twenty histories without any change at most one shows one.</p>\n",
        );
        for machine in &self.machines {
            machine.write_page(&mut page);
        }
        page.push_str(
            "<footer>Made by <code>skyring bench history --html</code> of the records of <code>skyring bench \
             record</code>.</footer>\n</main></body></html>\n",
        );
        page
    }
}

impl MachineHistory {
    // Writing to a String does not fail.
    fn write_page(&self, page: &mut String) {
        let _ = writeln!(
            page,
            "<h2>{}</h2>\n<p>{}</p>",
            escaped(&self.machine),
            counts(self)
        );
        self.write_changes(page);
        let mut case = "";
        for figure in &self.figures {
            if figure.case != case {
                let end = if case.is_empty() { "" } else { "</div>\n" };
                let _ = writeln!(page, "{end}<h3>{}</h3>\n<div class=\"charts\">", figure.case);
                case = figure.case;
            }
            self.write_chart(page, figure);
        }
        if !case.is_empty() {
            page.push_str("</div>\n");
        }
        self.write_revisions(page);
        self.write_numbers(page);
    }

    fn write_changes(&self, page: &mut String) {
        if self.figures.iter().all(|figure| figure.changes.is_empty()) {
            let _ = writeln!(page, "<p>{}</p>", no_changes(self));
            return;
        }
        page.push_str("<h3>Changes</h3>\n<dl class=\"changes\">\n");
        for (index, revision) in self.revisions.iter().enumerate() {
            let mut changes = self.changes_at(index).peekable();
            if changes.peek().is_none() {
                continue;
            }
            let _ = writeln!(
                page,
                "<dt><code>{}</code> {} <b>{}</b></dt>",
                escaped(&revision.name),
                escaped(&revision.date),
                escaped(&revision.title)
            );
            for (figure, found) in changes {
                let _ = writeln!(
                    page,
                    "<dd class=\"{}\">{}: {}: {}</dd>",
                    direction(found),
                    figure.case,
                    figure.title,
                    change(found)
                );
            }
        }
        page.push_str("</dl>\n");
    }

    fn write_chart(&self, page: &mut String, figure: &FigureHistory) {
        let last = figure.revisions.iter().rev().flatten().next();
        let last = last.map_or_else(String::new, |last| number(last.median));
        let _ = writeln!(
            page,
            "<figure><figcaption><b>{last}</b> {}</figcaption>\n{}</figure>",
            figure.title,
            chart(figure, &self.revisions)
        );
    }

    fn write_revisions(&self, page: &mut String) {
        page.push_str(
            "<h3>Revisions</h3>\n<div class=\"scroll\"><table><tr><th>revision</th><th>committed</th><th>records</th>\
             <th class=\"text\">message</th></tr>\n",
        );
        for revision in &self.revisions {
            let _ = writeln!(
                page,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
                escaped(&revision.name),
                escaped(&revision.date),
                revision.records,
                escaped(&revision.title)
            );
        }
        page.push_str("</table></div>\n");
    }

    fn write_numbers(&self, page: &mut String) {
        page.push_str(
            "<details><summary>All numbers</summary>\n<div class=\"scroll\"><table><tr><th>figure</th><th>revision</th>\
             <th>median</th><th>interval</th><th>measured</th><th>floor</th></tr>\n",
        );
        for figure in &self.figures {
            for (revision, recorded) in self.revisions.iter().zip(&figure.revisions) {
                let Some(recorded) = recorded else { continue };
                let _ = writeln!(
                    page,
                    "<tr><td>{}: {}</td><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                    figure.case,
                    figure.title,
                    escaped(&revision.name),
                    number(recorded.median),
                    interval(recorded),
                    recorded.measured,
                    recorded.floor.as_deref().unwrap_or_default()
                );
            }
        }
        page.push_str("</table></div></details>\n");
    }
}

fn direction(change: &Change) -> &'static str {
    if change.is_better { "better" } else { "worse" }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;
    use crate::history::Record;

    fn records() -> Vec<Record> {
        let level = |revision: u64| match revision {
            1..=7 => 1.0,
            8..=14 => 2.5,
            _ => 150.0,
        };
        (1..=21)
            .map(|revision| record(revision, level(revision) + 0.001 * (revision * 7 % 5) as f64))
            .collect()
    }

    #[test]
    fn every_number_of_the_text_is_on_the_page() {
        let history = History::of(&records());
        let (text, page) = (history.to_text(), history.to_html());
        let mut lines = 0;
        for line in text.lines() {
            let line = line.trim_start_matches(['*', ' ']);
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                // A revision of a figure: its name, the median and the interval.
                [name, median, low, "to", high, ..] if name.len() == 7 => {
                    let row =
                        format!("<td><code>{name}</code></td><td>{median}</td><td>{low} to {high}</td>");
                    assert!(page.contains(&row), "{row}");
                    lines += 1;
                }
                _ if line.contains("(p = ") => {
                    assert!(page.contains(&format!(">{line}</dd>")), "{line}");
                    lines += 1;
                }
                _ => {}
            }
        }
        // 33 figures of 21 revisions, and two changes of each.
        assert_eq!(lines, 33 * 21 + 33 * 2, "{text}");
        assert_eq!(page.matches("class=\"change ").count(), 66);
        assert_eq!(page.matches("<circle").count(), 33 * 21);
    }

    #[test]
    fn a_page_needs_no_other_file_and_what_was_recorded_is_text() {
        let page = History::of(&records()).to_html();
        assert!(page.contains("Do &lt;one&gt; thing"), "{page}");
        for outside in ["http", "<script", "<link", "url(", "NaN", "inf", "<one>"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.ends_with("</html>\n"));
        for (open, close) in [
            ("<div", "</div>"),
            ("<figure>", "</figure>"),
            ("<svg", "</svg>"),
            ("<dl", "</dl>"),
        ] {
            assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
        }
    }

    #[test]
    fn one_record_is_a_page_too() {
        let mut zero = record(1, 0.0);
        zero.revision_date = "<b>".to_owned();
        let page = History::of(&[zero]).to_html();
        assert!(page.contains("1 record of 1 revision are too few"), "{page}");
        assert!(!page.contains("NaN") && !page.contains("<b>2"), "{page}");
    }
}
