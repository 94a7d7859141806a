//! The spans of a node, for this node and others.

use std::time::Duration;

use skyring_codec::seri::{ValueRef, values};
use smol_str::SmolStr;

use crate::api::node_service::ADDRESS;
use crate::core::payload::Payload;
use crate::core::spans::{Span, SpanEnd};
use crate::error::{Error, Text};
use crate::service::caller::Caller;
use crate::service::node_ref::NodeRef;

/// The command of the question for spans.
pub(super) const COMMAND: &str = "SPANS";

/// The most spans in one answer.
pub const SPANS_ANSWERED_MAX: usize = 2 * 1024;

/// How long another node may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(3);

/// The selection of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of one trace, oldest first.
    Trace(u128),
    /// The finished ones that took the longest, of those that the node still has.
    Slowest {
        /// How many.
        count: usize,
    },
}

impl Caller {
    /// The spans that this node has, at most [`SPANS_ANSWERED_MAX`].
    pub fn spans(&self, wanted: Wanted) -> Vec<Span> {
        let spans = &self.shard.node.spans;
        match wanted {
            Wanted::Trace(trace) => {
                let mut found = spans.copies(|span| span.trace == trace);
                found.truncate(SPANS_ANSWERED_MAX);
                found
            }
            Wanted::Slowest { count } => {
                let mut found = spans.copies(|span| span.finished.is_some());
                found.sort_by_key(|span| std::cmp::Reverse(span.finished));
                found.truncate(count.min(SPANS_ANSWERED_MAX));
                found
            }
        }
    }
}

impl NodeRef {
    /// The spans that this node has; see [`Caller::spans`].
    ///
    /// # Errors
    /// As [`NodeRef::call`]; [`Error::Invalid`] for an answer that is none.
    pub async fn spans(&self, wanted: Wanted) -> Result<Vec<Span>, Error> {
        let question = match wanted {
            Wanted::Trace(trace) => (COMMAND, "TRACE", format!("{trace:032x}")),
            Wanted::Slowest { count } => (COMMAND, "SLOWEST", count.to_string()),
        };
        let answer = self.call(ADDRESS, &question).timeout(ANSWER_TIME).await?;
        unpack(&answer)
    }
}

/// Answers the question of another node: what it wants, and the number.
pub(super) fn answer(caller: &Caller, what: &str, number: &str) -> Result<Payload, Error> {
    let wanted = match what {
        "TRACE" => u128::from_str_radix(number, 16).ok().map(Wanted::Trace),
        "SLOWEST" => number.parse().ok().map(|count| Wanted::Slowest { count }),
        _ => None,
    };
    match wanted {
        Some(wanted) => pack(&caller.spans(wanted)),
        None => Err(Error::invalid(format!(
            "{COMMAND} {what:?} {number:?}: expected TRACE and a trace, or SLOWEST and a number"
        ))),
    }
}

/// Packs spans: twelve values each.
fn pack(spans: &[Span]) -> Result<Payload, Error> {
    Payload::build(|packer| {
        for span in spans {
            packer.string(format!("{:032x}", span.trace).as_bytes())?;
            packer.integer(span.id as i64)?;
            packer.integer(span.parent as i64)?;
            packer.boolean(span.end == SpanEnd::Callee)?;
            for text in [&*span.node, &span.service, &span.method] {
                packer.string(text.as_bytes())?;
            }
            packer.integer(nanoseconds(span.begun))?;
            for time in [span.sent, span.started, span.finished] {
                match time {
                    Some(time) => packer.integer(nanoseconds(time))?,
                    None => packer.nil()?,
                }
            }
            packer.string(span.error.as_deref().unwrap_or_default().as_bytes())?;
        }
        Ok::<_, Error>(())
    })
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Unpacks spans.
fn unpack(payload: &Payload) -> Result<Vec<Span>, Error> {
    let mut fields = values(&payload.0);
    let mut spans = Vec::new();
    while let Some(first) = fields.next() {
        if spans.len() >= SPANS_ANSWERED_MAX {
            return Err(Error::invalid(format!(
                "an answer with more than {SPANS_ANSWERED_MAX} spans"
            )));
        }
        let span = first
            .ok()
            .and_then(|first| unpack_span(&first, || fields.next()?.ok()));
        spans.push(span.ok_or_else(|| Error::invalid("an answer with a span that cannot be read"))?);
    }
    Ok(spans)
}

fn unpack_span<'a>(trace: &ValueRef<'a>, mut next: impl FnMut() -> Option<ValueRef<'a>>) -> Option<Span> {
    let time = |value: ValueRef<'_>| match value {
        ValueRef::Nil => Some(None),
        value => Some(Some(Duration::from_nanos(
            u64::try_from(value.as_integer()?).ok()?,
        ))),
    };
    Some(Span {
        trace: u128::from_str_radix(trace.as_str()?, 16).ok()?,
        id: next()?.as_integer()? as u64,
        parent: next()?.as_integer()? as u64,
        end: match next()?.as_boolean()? {
            true => SpanEnd::Callee,
            false => SpanEnd::Caller,
        },
        node: Text::from(next()?.as_str()?),
        service: SmolStr::new(next()?.as_str()?),
        method: SmolStr::new(next()?.as_str()?),
        begun: time(next()?)??,
        sent: time(next()?)?,
        started: time(next()?)?,
        finished: time(next()?)?,
        error: Some(SmolStr::new(next()?.as_str()?)).filter(|error| !error.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_arrive_as_they_were() {
        let span = Span {
            trace: 0x4bf9 << 100 | 7,
            id: u64::MAX,
            parent: 1,
            end: SpanEnd::Callee,
            node: "db".into(),
            service: "@sdb".into(),
            method: "get".into(),
            begun: Duration::new(1_800_000_000, 5),
            sent: None,
            started: Some(Duration::from_nanos(7)),
            finished: Some(Duration::from_secs(3)),
            error: Some("timeout".into()),
        };
        let other = Span {
            end: SpanEnd::Caller,
            finished: None,
            error: None,
            ..span.clone()
        };
        let spans = vec![span, other];
        assert_eq!(unpack(&pack(&spans).unwrap()), Ok(spans));
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        for values in [
            Payload::pack("ff"),
            Payload::pack(&("ff", 1, 2, true)),
            Payload::pack(&1),
        ] {
            assert!(unpack(&values.unwrap()).is_err());
        }
        assert_eq!(unpack(&Payload::default()), Ok(vec![]));
    }
}
