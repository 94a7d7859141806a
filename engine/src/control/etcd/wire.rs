//! The requests and answers of etcd's JSON gateway (`/v3/…`), as bytes.
//!
//! Keys and values are base64, and numbers of 64 bits are texts, as JSON of protobuf has them. Decoding is bounded by
//! the bytes it is given; what is missing in an answer has its default, as in protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::control::entry::{one_line, quoted};
use crate::control::registry::{Event, KeyValue};

/// Most bytes of an answer that refuses a watch.
pub(crate) const REFUSAL_BYTES_MAX: usize = 16 << 10;

fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The end of the range of keys with a prefix.
fn range_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // All keys from the prefix on.
    vec![0]
}

// ---- requests ----

/// The body of `/v3/kv/range`: all keys of a prefix.
pub(crate) fn range_prefix(prefix: &str, count_max: usize) -> Value {
    json!({
        "key": encoded(prefix.as_bytes()),
        "range_end": encoded(&range_end(prefix.as_bytes())),
        "limit": count_max.to_string(),
    })
}

/// The body of `/v3/kv/range` and of `/v3/kv/deleterange`: one key.
pub(crate) fn range_key(key: &str) -> Value {
    json!({ "key": encoded(key.as_bytes()) })
}

/// The body of `/v3/watch`: the changes of a prefix from a revision on.
pub(crate) fn watch_prefix(prefix: &str, revision: i64) -> Value {
    json!({ "create_request": {
        "key": encoded(prefix.as_bytes()),
        "range_end": encoded(&range_end(prefix.as_bytes())),
        "start_revision": revision.to_string(),
    } })
}

/// What a key must be for a write to it.
pub(crate) enum Expected {
    Absent,
    ModRevision(i64),
}

/// The body of `/v3/kv/txn`: puts a key with a lease if it is as expected, and otherwise gives what it is.
pub(crate) fn put_if(key: &str, expected: &Expected, value: &[u8], lease: i64) -> Value {
    let compare = match expected {
        Expected::Absent => json!({ "target": "CREATE", "create_revision": "0" }),
        Expected::ModRevision(revision) => json!({ "target": "MOD", "mod_revision": revision.to_string() }),
    };
    let mut compare = compare;
    compare["key"] = encoded(key.as_bytes()).into();
    compare["result"] = "EQUAL".into();
    json!({
        "compare": [compare],
        "success": [{ "request_put": {
            "key": encoded(key.as_bytes()), "value": encoded(value), "lease": lease.to_string(),
        } }],
        "failure": [{ "request_range": range_key(key) }],
    })
}

/// The body of `/v3/kv/put`, without a lease.
pub(crate) fn put(key: &str, value: &[u8]) -> Value {
    json!({ "key": encoded(key.as_bytes()), "value": encoded(value) })
}

/// The body of `/v3/lease/grant`.
pub(crate) fn grant(seconds: u32) -> Value {
    json!({ "TTL": seconds.to_string() })
}

/// The body of `/v3/lease/keepalive` and `/v3/lease/revoke`.
pub(crate) fn lease(id: i64) -> Value {
    json!({ "ID": id.to_string() })
}

/// The body of `/v3/auth/authenticate`.
pub(crate) fn authenticate(user: &str, password: &str) -> Value {
    json!({ "name": user, "password": password })
}

// ---- answers ----

/// A number that may stand as a text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// Bytes as base64.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Header {
    #[serde(deserialize_with = "number")]
    pub(crate) revision: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawKeyValue {
    #[serde(deserialize_with = "bytes")]
    key: Vec<u8>,
    #[serde(deserialize_with = "bytes")]
    value: Vec<u8>,
    #[serde(deserialize_with = "number")]
    mod_revision: i64,
}

impl From<RawKeyValue> for KeyValue {
    fn from(raw: RawKeyValue) -> KeyValue {
        KeyValue {
            key: raw.key,
            value: raw.value,
            mod_revision: raw.mod_revision,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawRange {
    header: Header,
    kvs: Vec<RawKeyValue>,
}

/// The answer to a range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) revision: i64,
    pub(crate) keys: Vec<KeyValue>,
}

impl From<RawRange> for Range {
    fn from(raw: RawRange) -> Range {
        Range {
            revision: raw.header.revision,
            keys: raw.kvs.into_iter().map(KeyValue::from).collect(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLease {
    #[serde(rename = "ID", deserialize_with = "number")]
    id: i64,
    #[serde(rename = "TTL", deserialize_with = "number")]
    ttl: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawTxn {
    succeeded: bool,
    responses: Vec<RawTxnAnswer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawTxnAnswer {
    response_range: Option<RawRange>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawDeleted {
    #[serde(deserialize_with = "number")]
    deleted: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawAuthentication {
    token: String,
}

#[derive(Debug, Deserialize)]
struct Streamed<T> {
    result: T,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawWatch {
    canceled: bool,
    cancel_reason: String,
    #[serde(deserialize_with = "number")]
    compact_revision: i64,
    events: Vec<RawEvent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawEvent {
    #[serde(rename = "type")]
    kind: String,
    kv: RawKeyValue,
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| {
        let text = quoted(body);
        // It may quote a text of the answer, whatever its length.
        let error = one_line(&error.to_string());
        format!("its answer to {what} is no JSON of etcd: {text}: {error}")
    })
}

/// Reads the answer to a range.
pub(crate) fn read_range(body: &[u8]) -> Result<Range, String> {
    parsed::<RawRange>(body, "a range").map(Range::from)
}

/// Reads the answer to a grant: the lease.
pub(crate) fn read_grant(body: &[u8]) -> Result<i64, String> {
    match parsed::<RawLease>(body, "a grant")?.id {
        0 => Err("its answer to a grant has no lease".to_owned()),
        id => Ok(id),
    }
}

/// Reads the answer to a keep-alive: whether the lease lives.
pub(crate) fn read_keepalive(body: &[u8]) -> Result<bool, String> {
    let answer: Streamed<RawLease> = parsed(body, "a keep-alive")?;
    Ok(answer.result.ttl > 0)
}

/// Reads the answer to [`put_if`]: `None` = it is put, else what the key is instead.
pub(crate) fn read_put_if(body: &[u8]) -> Result<Option<Range>, String> {
    let answer: RawTxn = parsed(body, "a transaction")?;
    if answer.succeeded {
        return Ok(None);
    }
    let range = answer
        .responses
        .into_iter()
        .find_map(|answer| answer.response_range);
    let range = range.ok_or("its answer to a transaction has no key")?;
    Ok(Some(range.into()))
}

/// Reads the answer to a deletion: whether there was something.
pub(crate) fn read_deleted(body: &[u8]) -> Result<bool, String> {
    parsed::<RawDeleted>(body, "a deletion").map(|answer| answer.deleted > 0)
}

/// Reads the answer to an authentication: the token.
pub(crate) fn read_authentication(body: &[u8]) -> Result<String, String> {
    let token = parsed::<RawAuthentication>(body, "an authentication")
        // The body may have the token.
        .map_err(|_| "its answer to an authentication is no JSON of etcd".to_owned())?
        .token;
    match token.is_empty() {
        true => Err("its answer to an authentication has no token".to_owned()),
        false => Ok(token),
    }
}

/// Reads one line of a watch.
pub(crate) fn read_watch(line: &[u8]) -> Result<Vec<Event>, String> {
    let streamed: Result<Streamed<RawWatch>, String> = parsed(line, "a watch");
    let watch = match streamed {
        Ok(streamed) => streamed.result,
        Err(error) => return Err(refusal(line).unwrap_or(error)),
    };
    if watch.canceled {
        let compacted = match watch.compact_revision {
            0 => String::new(),
            revision => format!(", compacted at revision {revision}"),
        };
        let reason = one_line(&watch.cancel_reason);
        return Err(format!("it ended the watch: {reason}{compacted}"));
    }
    let events = watch.events.into_iter().map(|event| match event.kind.as_str() {
        "DELETE" => Event::Deleted(event.kv.key),
        _ => Event::Put(event.kv.into()),
    });
    Ok(events.collect())
}

/// What etcd says in an answer that refuses a request, cut where it is long.
pub(crate) fn refusal(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let error = value.get("error")?;
    let text = match error {
        Value::String(text) => text.as_str(),
        other => other.get("message")?.as_str()?,
    };
    Some(one_line(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As etcd 3.4 answers.
    const RANGE: &str = r#"{"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437",
        "revision":"3","raft_term":"2"},"kvs":[{"key":"L2dhbWUvZGI=","create_revision":"2","mod_revision":"3",
        "version":"2","value":"ZmFsc2U=","lease":"7587884106041396226"}],"count":"1"}"#;

    #[test]
    fn answers_of_etcd_are_read() {
        let range = read_range(RANGE.as_bytes()).unwrap();
        let key = KeyValue {
            key: b"/game/db".to_vec(),
            value: b"false".to_vec(),
            mod_revision: 3,
        };
        assert_eq!(
            range,
            Range {
                revision: 3,
                keys: vec![key.clone()]
            }
        );
        let empty = read_range(br#"{"header":{"revision":"1"}}"#).unwrap();
        assert_eq!(
            empty,
            Range {
                revision: 1,
                keys: vec![]
            }
        );
        assert_eq!(read_grant(br#"{"header":{},"ID":"75","TTL":"5"}"#), Ok(75));
        assert_eq!(
            read_keepalive(br#"{"result":{"header":{},"ID":"75","TTL":"5"}}"#),
            Ok(true)
        );
        assert_eq!(
            read_keepalive(br#"{"result":{"header":{},"ID":"75"}}"#),
            Ok(false)
        );
        assert_eq!(
            read_put_if(br#"{"header":{},"succeeded":true,"responses":[{"response_put":{}}]}"#),
            Ok(None)
        );
        let taken = format!(r#"{{"header":{{}},"responses":[{{"response_range":{RANGE}}}]}}"#);
        assert_eq!(read_put_if(taken.as_bytes()).unwrap().unwrap().keys, [key]);
        assert_eq!(
            read_authentication(br#"{"header":{},"token":"a.1"}"#),
            Ok("a.1".to_owned())
        );
    }

    #[test]
    fn lines_of_a_watch_are_read() {
        let line =
            br#"{"result":{"header":{"revision":"4"},"events":[{"kv":{"key":"L2dhbWUvZGI=","value":"e30="}},
            {"type":"DELETE","kv":{"key":"L2dhbWUvZGI=","mod_revision":"4"}}]}}"#;
        let events = read_watch(line).unwrap();
        assert!(matches!(&events[0], Event::Put(key) if key.value == b"{}"));
        assert_eq!(events[1], Event::Deleted(b"/game/db".to_vec()));
        assert_eq!(
            read_watch(br#"{"result":{"header":{},"created":true}}"#),
            Ok(vec![])
        );
        let error =
            read_watch(br#"{"result":{"canceled":true,"compact_revision":"9","cancel_reason":"old"}}"#);
        assert_eq!(
            error.unwrap_err(),
            "it ended the watch: old, compacted at revision 9"
        );
        let error = read_watch(br#"{"error":{"grpc_code":16,"message":"invalid auth token"}}"#);
        assert_eq!(error.unwrap_err(), "invalid auth token");
    }

    #[test]
    fn garbage_is_an_error_that_quotes_little_of_it() {
        let long = "x".repeat(100_000);
        let quoted = format!("{{\"result\":{{\"canceled\":\"{long}\"}}}}");
        let reason = format!("{{\"result\":{{\"canceled\":true,\"cancel_reason\":\"\\n{long}\"}}}}");
        let deep = "[".repeat(100_000);
        for body in [
            "",
            "x",
            "7",
            "[]",
            "null",
            "{\"header\":7}",
            "{\"kvs\":[{\"key\":\"%\"}]}",
            &long,
            &quoted,
            &reason,
            &deep,
        ] {
            for error in [
                read_range(body.as_bytes()).err(),
                read_watch(body.as_bytes()).err(),
                read_keepalive(body.as_bytes()).err(),
            ] {
                let is_short = |error: String| error.len() < 400 && !error.contains('\n');
                assert!(error.is_none_or(is_short), "{body:.40}");
            }
            assert!(read_watch(body.as_bytes()).is_err() && read_grant(body.as_bytes()).is_err());
        }
        let secret = read_authentication(br#"{"token":"secret","token":"#).unwrap_err();
        assert!(!secret.contains("secret"));
    }

    #[test]
    fn a_range_of_a_prefix_ends_behind_it() {
        assert_eq!(range_end(b"/game/"), b"/game0");
        assert_eq!(range_end(b"a\xff"), b"b");
        assert_eq!(range_end(b"\xff"), [0]);
    }
}
