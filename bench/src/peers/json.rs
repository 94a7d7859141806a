//! The table as JSON.

use std::fmt::Write as _;

use super::table::{Group, Missing, Row, Table};

impl Table {
    /// One JSON object, on one line.
    pub fn to_json(&self) -> String {
        format!(
            r#"{{"size":{},"runs":{},"seconds":{:.3},"groups":[{}],"missing":[{}]}}"#,
            self.size,
            self.runs,
            self.seconds,
            listed(&self.groups, group),
            listed(&self.missing, missing),
        )
    }
}

fn group(group: &Group) -> String {
    format!(
        r#"{{"in_flight":{},"spin_us":{},"peers":[{}]}}"#,
        group.in_flight,
        group.spin_us,
        listed(&group.rows, row)
    )
}

fn row(row: &Row) -> String {
    let cpu = row.cpu_us_per_call.unwrap_or(f64::NAN);
    format!(
        r#"{{"name":{},"calls_per_second":{},"latency_us":{{"p50":{},"p99":{}}},"cpu_us_per_call":{},"errors":{},"skyring_calls_ratio":{},"skyring_p50_ratio":{},"note":{}}}"#,
        text(row.name),
        number(row.calls_per_second, 1),
        number(row.p50_us, 3),
        number(row.p99_us, 3),
        number(cpu, 3),
        row.errors,
        number(row.skyring_calls_ratio, 3),
        number(row.skyring_p50_ratio, 3),
        text(&row.note),
    )
}

fn missing(missing: &Missing) -> String {
    format!(
        r#"{{"name":{},"failed":{},"reason":{}}}"#,
        text(missing.name),
        missing.failed,
        text(&missing.reason)
    )
}

fn listed<T>(items: &[T], one: fn(&T) -> String) -> String {
    items.iter().map(one).collect::<Vec<_>>().join(",")
}

/// JSON has no infinity, and nothing that is not a number.
fn number(number: f64, places: usize) -> String {
    if number.is_finite() {
        format!("{number:.places$}")
    } else {
        "null".to_owned()
    }
}

fn text(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if u32::from(control) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::table;
    use super::*;

    #[test]
    fn a_table_is_one_line_of_json_whatever_reasons_hold() {
        let json = table().to_json();
        assert!(!json.contains('\n'));
        assert!(
            json.ends_with(r#""missing":[{"name":"tonic","failed":false,"reason":"\"not\" <here>\u000a"}]}"#),
            "{json}"
        );
        assert!(
            json.contains(
                r#"{"in_flight":1,"spin_us":0,"peers":[{"name":"skyring","calls_per_second":2000.0,"#
            ),
            "{json}"
        );
        assert_eq!(number(f64::NAN, 1), "null");
    }
}
