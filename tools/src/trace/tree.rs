//! The spans of traces as a text: a line for each, below the one that caused it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use skyring::{Span, SpanEnd};

use super::collect::Collected;

/// The deepest line; those below it are as deep.
const DEPTH_MAX: usize = 32;

/// The text of the spans.
pub(super) fn text(collected: &Collected) -> String {
    let spans = &collected.spans;
    let mut children: BTreeMap<(u128, u64), Vec<usize>> = BTreeMap::new();
    for (index, (_, span)) in spans.iter().enumerate() {
        children.entry((span.trace, span.parent)).or_default().push(index);
    }
    let has = |trace: u128, id: u64| {
        spans
            .iter()
            .any(|(_, span)| span.trace == trace && span.id == id && id != 0)
    };
    let mut text = String::new();
    let mut trace = None;
    let is_first = |index: &usize| !has(spans[*index].1.trace, spans[*index].1.parent);
    // Those whose cause is not there come first, in the order in which they were found. All follow, because spans may name
    // each other as their cause; each is written once.
    let first = (0..spans.len()).filter(is_first);
    let mut left: Vec<(usize, usize)> = first.chain(0..spans.len()).map(|index| (index, 0)).collect();
    left.reverse();
    let mut is_written = vec![false; spans.len()];
    while let Some((index, depth)) = left.pop() {
        if std::mem::replace(&mut is_written[index], true) {
            continue;
        }
        let (node, span) = &spans[index];
        if trace != Some(span.trace) {
            trace = Some(span.trace);
            let _ = writeln!(text, "trace {:032x}", span.trace);
        }
        line(&mut text, node, span, depth);
        if let Some(below) = children.get(&(span.trace, span.id)) {
            let depth = (depth + 1).min(DEPTH_MAX);
            left.extend(below.iter().rev().map(|index| (*index, depth)));
        }
    }
    text
}

fn line(text: &mut String, node: &str, span: &Span, depth: usize) {
    let took = span.finished.map_or_else(|| "running".to_owned(), milliseconds);
    let _ = write!(text, "{took:>12}  {:indent$}", "", indent = depth * 2);
    let (service, method) = (&span.service, &span.method);
    let _ = match (span.end, node.is_empty()) {
        (SpanEnd::Caller, false) => write!(text, "{node} calls "),
        (SpanEnd::Caller, true) => write!(text, "calls "),
        (SpanEnd::Callee, _) => write!(text, "{node} handles "),
    };
    if !span.node.is_empty() {
        let _ = write!(text, "{} ", span.node);
    }
    text.push_str(service);
    if !method.is_empty() {
        let _ = write!(text, " {method}");
    }
    if let Some(sent) = span.sent {
        let _ = write!(text, ", sent after {}", milliseconds(sent));
    }
    if let Some(started) = span.started {
        let _ = write!(text, ", started after {}", milliseconds(started));
    }
    if let Some(error) = &span.error {
        let _ = write!(text, ", failed: {error}");
    }
    text.push('\n');
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64, parent: u64, end: SpanEnd) -> Span {
        Span {
            trace: 7,
            id,
            parent,
            end,
            node: "".into(),
            service: "@db".into(),
            method: "get".into(),
            begun: Duration::ZERO,
            sent: None,
            started: None,
            finished: Some(Duration::from_micros(1500)),
            error: None,
        }
    }

    fn text_of(spans: Vec<(&str, Span)>) -> String {
        text(&Collected {
            spans: spans
                .into_iter()
                .map(|(node, span)| (node.to_owned(), span))
                .collect(),
            missing: Vec::new(),
            error: None,
        })
    }

    #[test]
    fn calls_stand_below_what_caused_them() {
        let first = Span {
            node: "gate".into(),
            sent: Some(Duration::from_micros(20)),
            ..span(1, 0, SpanEnd::Caller)
        };
        let handled = Span {
            service: ":00000008".into(),
            started: Some(Duration::ZERO),
            ..span(2, 1, SpanEnd::Callee)
        };
        let failed = Span {
            finished: None,
            error: Some("timeout".into()),
            ..span(3, 2, SpanEnd::Caller)
        };
        let expected = "\
trace 00000000000000000000000000000007
    1.500 ms  calls gate @db get, sent after 0.020 ms
    1.500 ms    gate handles :00000008 get, started after 0.000 ms
     running      gate calls @db get, failed: timeout
";
        assert_eq!(
            text_of(vec![("gate", handled), ("gate", failed), ("", first)]),
            expected
        );
    }

    #[test]
    fn spans_without_their_cause_and_spans_in_a_circle_come_to_an_end() {
        let lost = text_of(vec![("db", span(2, 1, SpanEnd::Callee))]);
        assert_eq!(lost.lines().count(), 2, "{lost}");
        let circle = vec![
            ("a", span(1, 2, SpanEnd::Caller)),
            ("b", span(2, 1, SpanEnd::Callee)),
        ];
        assert_eq!(text_of(circle).lines().count(), 3);
        assert_eq!(text_of(vec![]), "");
    }
}
