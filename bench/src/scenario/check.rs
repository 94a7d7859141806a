//! A scenario that was read and checked.

use std::collections::BTreeSet;
use std::time::Duration;

use skyring::config::{SPIN_US_MAX, THREADS_MAX};
use skyring::limits::CHANNELS_MAX;

use super::distribution::{Keys, Numbers};
use super::error::{ScenarioError, nearest, of_toml};
use super::faults::FaultPlan;
use super::file::{
    Client, FaultPart, File, KeyDistribution, NodePart, NumberDistribution, OperationKind, OperationPart,
    PhasePart,
};
use super::outcome::ObjectivePlan;
use crate::load::{CALLS_PER_SECOND_MAX, LoadModel};

/// Bounds of a file.
const FILE_BYTES_MAX: usize = 1 << 20;
pub(super) const NODES_MAX: usize = 16;
const PARTS_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 64;
const SIZE_BYTES_MAX: f64 = 16e6;
const KEYS_MAX: u32 = 1_000_000;
const SECONDS_MAX: f64 = 86_400.0;
const THINK_MS_MAX: f64 = 60_000.0;
const IN_FLIGHT_MAX: u32 = 65_536;
const IN_FLIGHT_OPEN: u32 = 4_096;
const TIMEOUT_MS_DEFAULT: u32 = 5_000;

/// A checked scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub(super) source: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) seed: u64,
    pub(super) client: Client,
    pub(super) nodes: Vec<NodePart>,
    pub(super) operations: Vec<OperationPlan>,
    pub(super) phases: Vec<PhasePlan>,
    pub(super) faults: Vec<FaultPlan>,
    pub(super) objectives: Vec<ObjectivePlan>,
}

/// An operation, ready to be made.
#[derive(Debug, Clone)]
pub(super) struct OperationPlan {
    pub(super) name: String,
    pub(super) kind: OperationKind,
    /// The part of all operations that are this one or one before it.
    pub(super) until: f64,
    /// Indexes of nodes.
    pub(super) nodes: Vec<usize>,
    pub(super) size: Numbers,
    pub(super) keys: Option<Keys>,
    pub(super) timeout: Duration,
}

/// A phase, ready to be run.
#[derive(Debug, Clone)]
pub(super) struct PhasePlan {
    pub(super) name: String,
    pub(super) duration: Duration,
    pub(super) model: LoadModel,
    pub(super) in_flight: usize,
    pub(super) think_ms: Option<Numbers>,
}

impl Scenario {
    /// Reads and checks a scenario's file.
    ///
    /// # Errors
    /// [`ScenarioError::Invalid`] with the line of what is no TOML or an unknown key, and a suggestion; or with the name
    /// of the part whose value is out of bounds.
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(ScenarioError::Invalid(format!(
                "it is longer than {FILE_BYTES_MAX} bytes"
            )));
        }
        let file: File = toml::from_str(text).map_err(|error| of_toml(text, &error))?;
        check(file, text).map_err(ScenarioError::Invalid)
    }

    /// The same with another seed.
    pub fn with_seed(self, seed: u32) -> Scenario {
        Scenario {
            seed: u64::from(seed),
            ..self
        }
    }

    /// Its name and what it says of itself.
    pub fn title(&self) -> (&str, &str) {
        (&self.name, &self.description)
    }

    /// The names of its phases, in order.
    pub fn phases(&self) -> impl ExactSizeIterator<Item = &str> {
        self.phases.iter().map(|phase| &*phase.name)
    }

    /// How long all phases take.
    pub fn duration(&self) -> Duration {
        self.phases.iter().map(|phase| phase.duration).sum()
    }
}

fn check(file: File, text: &str) -> Result<Scenario, String> {
    let lists = [
        ("nodes", file.nodes.len(), 1, NODES_MAX),
        ("operations", file.operations.len(), 1, PARTS_MAX),
        ("phases", file.phases.len(), 1, PARTS_MAX),
        ("faults", file.faults.len(), 0, PARTS_MAX),
        ("objectives", file.objectives.len(), 0, PARTS_MAX),
    ];
    for (list, count, min, max) in lists {
        if !(min..=max).contains(&count) {
            return Err(format!("{list}: expected {min} to {max}, not {count}"));
        }
    }
    let nodes = unique("nodes", file.nodes.iter().map(|node| &*node.name))?;
    let operations = unique(
        "operations",
        file.operations.iter().map(|operation| &*operation.name),
    )?;
    let phases = unique("phases", file.phases.iter().map(|phase| &*phase.name))?;
    in_bounds(
        "client.threads",
        f64::from(file.client.threads),
        1.0,
        THREADS_MAX as f64,
    )?;
    in_bounds(
        "client.channels",
        f64::from(file.client.channels),
        1.0,
        f64::from(CHANNELS_MAX),
    )?;
    in_bounds(
        "client.spin_us",
        f64::from(file.client.spin_us),
        0.0,
        f64::from(SPIN_US_MAX),
    )?;
    for node in &file.nodes {
        let of = |key: &str| format!("node \"{}\": {key}", node.name);
        let is_word = node
            .name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_word || node.name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(format!(
                "node \"{}\": a name has letters, digits and _, and begins with none of the digits",
                node.name
            ));
        }
        in_bounds(&of("threads"), f64::from(node.threads), 1.0, THREADS_MAX as f64)?;
        in_bounds(
            &of("spin_us"),
            f64::from(node.spin_us),
            0.0,
            f64::from(SPIN_US_MAX),
        )?;
    }
    let total: f64 = file.operations.iter().map(|operation| operation.weight).sum();
    let mut until = 0.0;
    let mut planned = Vec::new();
    for part in &file.operations {
        in_bounds(
            &format!("operation \"{}\": weight", part.name),
            part.weight,
            1e-9,
            1e9,
        )?;
        until += part.weight / total;
        planned.push(operation(part, until, &nodes)?);
    }
    let phase_plans = file.phases.iter().map(phase).collect::<Result<Vec<_>, _>>()?;
    let fault_plans = file
        .faults
        .iter()
        .map(|part| fault(part, &phases, &nodes, &file.phases))
        .collect::<Result<Vec<_>, _>>()?;
    let objectives = file
        .objectives
        .iter()
        .map(|part| {
            let phase = reference("objectives: phase", &part.phase, &phases)?;
            let operation = part.operation.as_ref();
            let operation = operation.map(|name| reference("objectives: operation", name, &operations));
            ObjectivePlan::new(part, phase, operation.transpose()?)
        })
        .collect::<Result<Vec<_>, String>>()?;
    Ok(Scenario {
        source: text.to_owned(),
        seed: u64::from(file.seed),
        name: file.name,
        description: file.description,
        client: file.client,
        nodes: file.nodes,
        operations: planned,
        phases: phase_plans,
        faults: fault_plans,
        objectives,
    })
}

fn operation(part: &OperationPart, until: f64, nodes: &[&str]) -> Result<OperationPlan, String> {
    let of = |key: &str| format!("operation \"{}\": {key}", part.name);
    check_numbers(&of("size"), &part.size, 0.0, SIZE_BYTES_MAX)?;
    match &part.keys {
        None => {}
        Some(KeyDistribution::Uniform { count }) => {
            in_bounds(&of("keys.count"), f64::from(*count), 1.0, f64::from(u32::MAX))?;
        }
        Some(KeyDistribution::Zipf { count, exponent }) => {
            in_bounds(&of("keys.count"), f64::from(*count), 1.0, f64::from(KEYS_MAX))?;
            in_bounds(&of("keys.exponent"), *exponent, 0.0, 10.0)?;
        }
    }
    let to = match &part.nodes {
        None => (0..nodes.len()).collect(),
        Some(names) if names.is_empty() => return Err(format!("{}: expected at least one", of("nodes"))),
        Some(names) => names
            .iter()
            .map(|name| reference(&of("nodes"), name, nodes))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let timeout_ms = part.timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT);
    in_bounds(&of("timeout_ms"), f64::from(timeout_ms), 1.0, 3_600_000.0)?;
    if part.kind == OperationKind::Send && part.timeout_ms.is_some() {
        return Err(format!("{}: a send has none", of("timeout_ms")));
    }
    Ok(OperationPlan {
        name: part.name.clone(),
        kind: part.kind,
        until,
        nodes: to,
        size: Numbers::new(&part.size, SIZE_BYTES_MAX),
        keys: part.keys.as_ref().map(Keys::new),
        timeout: Duration::from_millis(u64::from(timeout_ms)),
    })
}

fn phase(part: &PhasePart) -> Result<PhasePlan, String> {
    let of = |key: &str| format!("phase \"{}\": {key}", part.name);
    in_bounds(&of("seconds"), part.seconds, 0.1, SECONDS_MAX)?;
    let (model, in_flight) = match (part.rate, part.callers) {
        (Some(rate), None) => {
            in_bounds(&of("rate"), rate, 1.0, CALLS_PER_SECOND_MAX)?;
            if part.think_ms.is_some() {
                return Err(format!(
                    "{}: only callers think; with a rate operations begin by a timetable",
                    of("think_ms")
                ));
            }
            (LoadModel::Open(rate), part.in_flight.unwrap_or(IN_FLIGHT_OPEN))
        }
        (None, Some(_)) if part.in_flight.is_some() => {
            return Err(format!(
                "{}: only with a rate; each of the callers has one in flight",
                of("in_flight")
            ));
        }
        (None, Some(callers)) => (LoadModel::Closed, callers),
        _ => return Err(format!("{}: expected either a rate or callers", of("rate"))),
    };
    in_bounds(
        &of("callers or in_flight"),
        f64::from(in_flight),
        1.0,
        f64::from(IN_FLIGHT_MAX),
    )?;
    if let Some(think) = &part.think_ms {
        check_numbers(&of("think_ms"), think, 0.0, THINK_MS_MAX)?;
    }
    Ok(PhasePlan {
        name: part.name.clone(),
        duration: Duration::from_secs_f64(part.seconds),
        model,
        in_flight: in_flight as usize,
        think_ms: part
            .think_ms
            .as_ref()
            .map(|think| Numbers::new(think, THINK_MS_MAX)),
    })
}

fn fault(
    part: &FaultPart,
    phases: &[&str],
    nodes: &[&str],
    parts: &[PhasePart],
) -> Result<FaultPlan, String> {
    let phase = reference("faults: phase", &part.phase, phases)?;
    let node = reference("faults: node", &part.node, nodes)?;
    let of = |key: &str| format!("faults: {key} in phase \"{}\"", part.phase);
    let phase_seconds = parts.get(phase).map_or(0.0, |phase| phase.seconds);
    in_bounds(&of("at_seconds"), part.at_seconds, 0.0, phase_seconds)?;
    in_bounds(
        &of("at_seconds and seconds together"),
        part.at_seconds + part.seconds,
        0.0,
        phase_seconds,
    )?;
    in_bounds(&of("seconds"), part.seconds, 0.05, SECONDS_MAX)?;
    in_bounds(&of("cuts_per_second"), part.cuts_per_second, 0.0, 1_000.0)?;
    in_bounds(&of("delay_ms"), f64::from(part.delay_ms), 0.0, 60_000.0)?;
    if part.trickle_bytes == Some(0) {
        return Err(format!("{}: expected at least 1", of("trickle_bytes")));
    }
    let is_network =
        part.stall || part.cuts_per_second > 0.0 || part.delay_ms > 0 || part.trickle_bytes.is_some();
    if usize::from(part.kill) + usize::from(part.pause) + usize::from(is_network) != 1 {
        return Err(format!(
            "{}: a fault is one of kill, pause, or what the network does: stall, cuts_per_second, delay_ms, trickle_bytes",
            of("it")
        ));
    }
    Ok(FaultPlan::new(part, phase, node))
}

fn check_numbers(of: &str, numbers: &NumberDistribution, min: f64, max: f64) -> Result<(), String> {
    let limit = |value: f64| in_bounds(of, value, min, max);
    match numbers {
        NumberDistribution::Fixed(number) => limit(*number),
        NumberDistribution::Uniform { min: low, max: high } => {
            limit(*low)?;
            limit(*high)?;
            in_bounds(&format!("{of}.min"), *low, min, *high)
        }
        NumberDistribution::Exponential { mean, max: high } => {
            limit(*mean)?;
            high.map_or(Ok(()), limit)
        }
        NumberDistribution::Lognormal {
            median,
            sigma,
            max: high,
        } => {
            limit(*median)?;
            in_bounds(&format!("{of}.sigma"), *sigma, 0.0, 10.0)?;
            high.map_or(Ok(()), limit)
        }
        NumberDistribution::Choice(choices) => {
            if choices.is_empty() || choices.len() > PARTS_MAX {
                return Err(format!("{of}: expected 1 to {PARTS_MAX} choices"));
            }
            choices.iter().try_for_each(|choice| {
                limit(choice.value)?;
                in_bounds(&format!("{of}: weight"), choice.weight, 1e-9, 1e9)
            })
        }
    }
}

fn in_bounds(of: &str, number: f64, min: f64, max: f64) -> Result<(), String> {
    if (min..=max).contains(&number) {
        return Ok(());
    }
    Err(format!("{of}: expected {min} to {max}, not {number}"))
}

/// The names of a list, each of which is there once.
fn unique<'a>(of: &str, names: impl Iterator<Item = &'a str>) -> Result<Vec<&'a str>, String> {
    let (mut list, mut known) = (Vec::new(), BTreeSet::new());
    for name in names {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(format!(
                "{of}: a name has 1 to {NAME_BYTES_MAX} bytes, and no control characters: {name:?}"
            ));
        }
        if !known.insert(name) {
            return Err(format!("{of}: \"{name}\" is there twice"));
        }
        list.push(name);
    }
    Ok(list)
}

/// The index of a name that is defined elsewhere in the file.
fn reference(of: &str, name: &str, names: &[&str]) -> Result<usize, String> {
    names.iter().position(|known| *known == name).ok_or_else(|| {
        let suggestion = nearest(name, names.iter().copied());
        let suggestion = suggestion.map_or_else(String::new, |word| format!("; did you mean \"{word}\"?"));
        format!(
            "{of}: \"{name}\" is not there: there are {}{suggestion}",
            names.join(", ")
        )
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const SMALL: &str = r#"
name = "small"
seed = 7

[[nodes]]
name = "db"

[[operations]]
name = "get"
kind = "call"
weight = 3
size = { uniform = { min = 10, max = 100 } }
keys = { zipf = { count = 1000, exponent = 0.99 } }

[[operations]]
name = "put"
kind = "send"
size = { fixed = 64 }

[[phases]]
name = "steady"
seconds = 1
rate = 500
"#;

    #[test]
    fn a_small_file_is_a_scenario() {
        let scenario = Scenario::parse(SMALL).unwrap();
        assert_eq!(scenario.title().0, "small");
        assert_eq!(scenario.phases().collect::<Vec<_>>(), ["steady"]);
        assert_eq!(scenario.duration(), Duration::from_secs(1));
        assert_eq!(scenario.operations[0].until, 0.75);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named_with_its_line_or_its_name() {
        let phase = |keys: &str| format!("{}{keys}\n", SMALL.replace("rate = 500\n", ""));
        for (text, causes) in [
            (
                SMALL.replace("weight", "wieght"),
                &["line 11", "unknown field `wieght`", "did you mean `weight`"][..],
            ),
            (
                SMALL.replace("\"send\"", "\"sned\""),
                &["line 17", "unknown variant `sned`", "did you mean `send`"],
            ),
            (
                SMALL.replace("uniform", "unifrom"),
                &["line 12", "did you mean `uniform`"],
            ),
            (SMALL.replace("seed = 7", "seed = -7"), &["line 3", "-7"]),
            (SMALL.replace("seed = 7", "seed = "), &["line 3"]),
            (SMALL.replace("seed = 7\n", ""), &["missing field `seed`"]),
            (
                SMALL.replace("max = 100", "max = 5"),
                &["operation \"get\": size.min", "expected 0 to 5, not 10"],
            ),
            (
                SMALL.replace("exponent = 0.99", "exponent = 99"),
                &["keys.exponent"],
            ),
            (SMALL.replace("count = 1000", "count = 0"), &["keys.count"]),
            (
                SMALL.replace("rate = 500", "rate = 0"),
                &["phase \"steady\": rate"],
            ),
            (phase(""), &["either a rate or callers"]),
            (phase("rate = 5\ncallers = 5"), &["either a rate or callers"]),
            (
                phase("rate = 5\nthink_ms = { fixed = 1 }"),
                &["only callers think"],
            ),
            (phase("callers = 5\nin_flight = 5"), &["only with a rate"]),
            (SMALL.replace("\"put\"", "\"get\""), &["\"get\" is there twice"]),
            (
                SMALL.replace("name = \"db\"", "name = \"d b\""),
                &["letters, digits"],
            ),
            (
                format!(
                    "{SMALL}[[faults]]\nphase = \"stedy\"\nnode = \"db\"\nat_seconds = 0\nseconds = 0.5\nstall = true\n"
                ),
                &["\"stedy\" is not there", "did you mean \"steady\""],
            ),
            (
                format!(
                    "{SMALL}[[faults]]\nphase = \"steady\"\nnode = \"db\"\nat_seconds = 0.8\nseconds = 0.5\nstall = true\n"
                ),
                &["together", "0 to 1, not 1.3"],
            ),
            (
                format!(
                    "{SMALL}[[faults]]\nphase = \"steady\"\nnode = \"db\"\nat_seconds = 0\nseconds = 0.5\nstall = true\nkill = true\n"
                ),
                &["a fault is one of"],
            ),
            (
                format!("{SMALL}[[objectives]]\nphase = \"steady\"\nlatency = \"p98=1ms\"\n"),
                &["\"p98\" is no percentile"],
            ),
            (
                format!("{SMALL}[[objectives]]\nphase = \"steady\"\n"),
                &["expected a latency, errors_max or rate_min"],
            ),
        ] {
            let error = Scenario::parse(&text).unwrap_err().to_string();
            for cause in causes {
                assert!(error.contains(cause), "no {cause:?} in {error:?}");
            }
            assert!(!error.contains('\n'), "{error:?}");
        }
    }
}
