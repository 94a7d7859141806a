//! A latency objective: a percentile of the latencies, and its limit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::format::duration;
use crate::latency::Latency;

/// Longest limit of an objective.
const LIMIT_MAX: Duration = Duration::from_secs(60);

/// Which latency is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Percentile {
    /// Half of the calls take no longer.
    P50,
    /// Nine of ten.
    P90,
    /// 99 of a hundred.
    P99,
    /// 999 of a thousand.
    P999,
    /// All of them.
    Max,
}

/// A percentile and its limit, written `p99=1ms`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Which latency is meant.
    pub percentile: Percentile,
    /// How long it may be, in microseconds.
    pub limit_us: f64,
}

impl Percentile {
    const ALL: [(&'static str, Percentile); 6] = [
        ("p50", Percentile::P50),
        ("p90", Percentile::P90),
        ("p99", Percentile::P99),
        ("p999", Percentile::P999),
        ("max", Percentile::Max),
        ("p99.9", Percentile::P999),
    ];

    /// The value of this percentile.
    pub fn of(self, latency: &Latency) -> f64 {
        match self {
            Percentile::P50 => latency.p50,
            Percentile::P90 => latency.p90,
            Percentile::P99 => latency.p99,
            Percentile::P999 => latency.p999,
            Percentile::Max => latency.max,
        }
    }
}

impl Percentile {
    /// The part of all calls that takes no longer.
    pub fn quantile(self) -> f64 {
        match self {
            Percentile::P50 => 0.5,
            Percentile::P90 => 0.9,
            Percentile::P99 => 0.99,
            Percentile::P999 => 0.999,
            Percentile::Max => 1.0,
        }
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Percentile::ALL.iter().find(|(_, percentile)| percentile == self);
        formatter.write_str(name.map_or("", |(name, _)| name))
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} within {}",
            self.percentile,
            duration(self.limit_us)
        )
    }
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Objective, String> {
        let Some((name, limit)) = text.split_once('=') else {
            return Err("expected a percentile, = and a time, as in p99=1ms".to_owned());
        };
        let percentile = Percentile::ALL
            .iter()
            .find(|(known, _)| *known == name.trim())
            .map(|(_, percentile)| *percentile)
            .ok_or_else(|| {
                format!(
                    "\"{}\" is no percentile: there are p50, p90, p99, p999 and max",
                    name.trim()
                )
            })?;
        Ok(Objective {
            percentile,
            limit_us: microseconds(limit.trim())?,
        })
    }
}

/// A time with its unit: `250us`, `1ms`, `0.5s`.
fn microseconds(text: &str) -> Result<f64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "us" | "µs" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "" => return Err(format!("\"{text}\" has no unit: us, ms or s")),
        unit => return Err(format!("\"{unit}\" is no unit: there are us, ms and s")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("\"{text}\" does not begin with a number, as 1ms or 0.5ms does"))?;
    let microseconds = number * scale;
    if microseconds > 0.0 && microseconds <= LIMIT_MAX.as_micros() as f64 {
        return Ok(microseconds);
    }
    Err(format!(
        "expected more than 0 and at most {} s",
        LIMIT_MAX.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_percentile_and_unit_is_read() {
        for (text, percentile, limit_us) in [
            ("p99=1ms", Percentile::P99, 1_000.0),
            ("p50=250us", Percentile::P50, 250.0),
            ("p90=0.5s", Percentile::P90, 500_000.0),
            ("p999=1.5ms", Percentile::P999, 1_500.0),
            ("p99.9=2ms", Percentile::P999, 2_000.0),
            ("max = 10 ms", Percentile::Max, 10_000.0),
        ] {
            let objective: Objective = text.parse().unwrap();
            assert_eq!(
                (objective.percentile, objective.limit_us),
                (percentile, limit_us),
                "{text}"
            );
        }
        let objective: Objective = "p999=1ms".parse().unwrap();
        assert_eq!(objective.to_string(), "p999 within 1.00 ms");
    }

    #[test]
    fn a_text_that_is_no_objective_is_an_error_with_the_cause() {
        for (text, cause) in [
            ("p99", "as in p99=1ms"),
            ("p95=1ms", "\"p95\" is no percentile"),
            ("p99=1", "has no unit"),
            ("p99=1h", "\"h\" is no unit"),
            ("p99=ms", "does not begin with a number"),
            ("p99=1.2.3ms", "does not begin with a number"),
            ("p99=0ms", "more than 0"),
            ("p99=61s", "at most 60 s"),
            ("p99=-1ms", "no unit"),
            ("p99=", "has no unit"),
        ] {
            let error = text.parse::<Objective>().unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
