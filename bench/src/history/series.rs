//! The records of a file as series: a machine at a time, revisions in order, and where figures changed.

use super::record::{Middle, Record};
use super::suite::Figure;
use crate::machine::Machine;
use crate::median::median;
use crate::statistics::{change_points, shift_interval};

/// The chance of any false change among all figures of a machine whose program did not change.
pub(super) const ERROR_RATE: f64 = 0.05;

/// With fewer records no order of them is rare enough to be a change.
pub(super) const RECORDS_MIN: usize = 8;

/// A file's records.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Those of each machine, which are never compared, in the order in which they first appear.
    pub machines: Vec<MachineHistory>,
}

/// The records of one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineHistory {
    /// What it is.
    pub machine: String,
    /// How many records there are.
    pub records: usize,
    /// The revisions, in order.
    pub revisions: Vec<RevisionHistory>,
    /// The figures that any record has.
    pub figures: Vec<FigureHistory>,
}

/// A revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionHistory {
    /// The commit, shortened, with a `+` behind it for a tree with changes.
    pub name: String,
    /// When it was committed.
    pub date: String,
    /// The first line of its message.
    pub title: String,
    /// How many records it has.
    pub records: usize,
}

/// A figure over all revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureHistory {
    /// The case of the suite.
    pub case: &'static str,
    /// Its name within the case.
    pub title: &'static str,
    /// Whether a greater one is better.
    pub is_better_when_greater: bool,
    /// For each revision; `None` where no record has it.
    pub revisions: Vec<Option<RevisionFigure>>,
    /// Where it changed, in order.
    pub changes: Vec<Change>,
}

/// A figure of a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionFigure {
    /// The median of the medians of its records.
    pub median: f64,
    /// The interval of that, or of the only record.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// What was measured, before any ratio, as people read it.
    pub measured: String,
    /// The same of the floor.
    pub floor: Option<String>,
}

/// A change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The first revision after it.
    pub revision: usize,
    /// The median before it, since the change before.
    pub before: f64,
    /// The median after it, up to the next one.
    pub after: f64,
    /// By how many times it changed; `None` where a value is 0.
    pub ratio: Option<f64>,
    /// Whether the new value is the better one.
    pub is_better: bool,
    /// The chance of a change as clear as this by luck, in any figure.
    pub chance: f64,
}

impl History {
    /// Sorts the records and tests them for changes.
    pub fn of(records: &[Record]) -> History {
        let mut machines: Vec<(String, Vec<&Record>)> = Vec::new();
        for record in records {
            let name = describe(&record.machine);
            match machines.iter_mut().find(|(known, _)| *known == name) {
                Some((_, records)) => records.push(record),
                None => machines.push((name, vec![record])),
            }
        }
        let of = |(machine, records)| MachineHistory::of(machine, records);
        History {
            machines: machines.into_iter().map(of).collect(),
        }
    }
}

/// The facts of a machine that figures depend on.
fn describe(machine: &Machine) -> String {
    let or_unknown = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
    format!(
        "{} x {}, {:.0} GiB, {}, {}",
        machine.processors,
        or_unknown(&machine.processor),
        machine.memory_bytes as f64 / (1u64 << 30) as f64,
        or_unknown(&machine.kernel),
        or_unknown(&machine.architecture)
    )
}

impl MachineHistory {
    fn of(machine: String, mut records: Vec<&Record>) -> MachineHistory {
        // Records of a revision stay together, in the order of the file.
        records.sort_by(|a, b| order(a).cmp(&order(b)));
        let mut revisions: Vec<(RevisionHistory, usize)> = Vec::new();
        for (row, record) in records.iter().enumerate() {
            let is_same = row > 0 && order(records[row - 1]) == order(record);
            match revisions.last_mut() {
                Some((revision, _)) if is_same => revision.records += 1,
                _ => revisions.push((describe_revision(record), row)),
            }
        }
        let firsts: Vec<usize> = revisions.iter().map(|(_, row)| *row).collect();
        let known: Vec<Figure> = Figure::all()
            .filter(|figure| {
                records
                    .iter()
                    .any(|record| record.figures.contains_key(&figure.key()))
            })
            .collect();
        let series: Vec<Vec<Option<f64>>> = known
            .iter()
            .map(|figure| {
                let values = records.iter().map(|record| record.figures.get(&figure.key()));
                values
                    .map(|recorded| recorded.map(|recorded| recorded.median))
                    .collect()
            })
            .collect();
        let changes = change_points(&series, &firsts, ERROR_RATE);
        let figures = known.iter().zip(&series).zip(changes);
        let figures = figures.map(|((figure, values), found)| {
            let rows: Vec<usize> = found.iter().map(|change| change.row).collect();
            FigureHistory {
                case: figure.case.title,
                title: figure.quantity.title(),
                is_better_when_greater: figure.quantity.is_better_when_greater(),
                revisions: (0..firsts.len())
                    .map(|index| {
                        let to = firsts.get(index + 1).copied().unwrap_or(records.len());
                        of_revision(figure, &records[firsts[index]..to])
                    })
                    .collect(),
                changes: found
                    .iter()
                    .enumerate()
                    .filter_map(|(number, found)| {
                        let from = number.checked_sub(1).map_or(0, |before| rows[before]);
                        let to = rows.get(number + 1).copied().unwrap_or(values.len());
                        let revision = firsts.iter().position(|first| *first == found.row)?;
                        let is_greater_better = figure.quantity.is_better_when_greater();
                        let sides = (&values[from..found.row], &values[found.row..to]);
                        change(sides, revision, found.chance, is_greater_better)
                    })
                    .collect(),
            }
        });
        MachineHistory {
            machine,
            records: records.len(),
            figures: figures.collect(),
            revisions: revisions.into_iter().map(|(revision, _)| revision).collect(),
        }
    }
}

/// What sorts records: the time of the commit, the commit, and a tree with changes after one without.
fn order(record: &Record) -> (u64, &str, bool) {
    (record.revision_unix, &record.revision, record.is_dirty)
}

fn describe_revision(record: &Record) -> RevisionHistory {
    let short = record.revision.get(..7).unwrap_or(&record.revision);
    RevisionHistory {
        name: format!("{short}{}", if record.is_dirty { "+" } else { "" }),
        date: record.revision_date.clone(),
        title: record.title.clone(),
        records: 1,
    }
}

/// The figure over the records of one revision.
fn of_revision(figure: &Figure, records: &[&Record]) -> Option<RevisionFigure> {
    let key = figure.key();
    let recorded: Vec<_> = records
        .iter()
        .filter_map(|record| record.figures.get(&key))
        .collect();
    let medians: Vec<f64> = recorded.iter().map(|recorded| recorded.median).collect();
    let middle = Middle::of(&medians)?;
    let (low, high) = match &recorded[..] {
        [only] => (only.low, only.high),
        _ => (middle.low, middle.high),
    };
    let floors: Vec<f64> = recorded.iter().filter_map(|recorded| recorded.floor).collect();
    let show = |values: Vec<f64>| figure.quantity.show(median(values));
    Some(RevisionFigure {
        median: middle.median,
        low,
        high,
        measured: show(recorded.iter().map(|recorded| recorded.measured).collect()),
        floor: (!floors.is_empty()).then(|| show(floors)),
    })
}

fn change(
    (before, after): (&[Option<f64>], &[Option<f64>]),
    revision: usize,
    chance: f64,
    is_greater_better: bool,
) -> Option<Change> {
    let known = |values: &[Option<f64>]| values.iter().copied().flatten().collect::<Vec<_>>();
    let (before, after) = (known(before), known(after));
    let logarithms = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
    // The median of all ratios of a value after it to one before it.
    let ratio = shift_interval(&logarithms(&before), &logarithms(&after), ERROR_RATE)?
        .estimate
        .exp();
    let (before, after) = (median(before), median(after));
    Some(Change {
        revision,
        before,
        after,
        ratio: (ratio.is_finite() && ratio > 0.0).then_some(ratio),
        is_better: (after > before) == is_greater_better,
        chance,
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;
    use crate::statistics::Coin;

    /// Records of `revisions` revisions, three each, whose figures are `level` and some noise.
    fn records(revisions: u64, seed: u64, level: impl Fn(u64) -> f64) -> Vec<Record> {
        let mut coin = Coin::new(seed);
        let mut all = Vec::new();
        for _ in 0..3 {
            for revision in 1..=revisions {
                all.push(record(revision, level(revision) * (1.0 + 0.02 * coin.fraction())));
            }
        }
        all
    }

    #[test]
    fn a_change_is_at_its_revision_with_its_ratio_and_its_direction() {
        let history = History::of(&records(8, 1, |revision| if revision < 5 { 1.0 } else { 1.2 }));
        let machine = &history.machines[0];
        assert_eq!((machine.records, machine.revisions.len()), (24, 8));
        for figure in &machine.figures {
            let [change] = &figure.changes[..] else {
                panic!("{:?}", figure.changes);
            };
            assert_eq!(change.revision, 4, "{}", figure.title);
            assert!((change.ratio.unwrap() - 1.2).abs() < 0.02);
            assert_eq!(change.is_better, figure.title.starts_with("calls/s"));
        }
    }

    #[test]
    fn a_history_without_a_change_shows_none() {
        for seed in 1..=4 {
            let history = History::of(&records(8, seed, |_| 1.0));
            for figure in &history.machines[0].figures {
                assert_eq!(figure.changes, [], "seed {seed}: {}", figure.title);
            }
        }
    }

    #[test]
    fn machines_are_kept_apart() {
        let mut all = records(8, 1, |_| 1.0);
        for record in records(8, 2, |_| 5.0) {
            let mut other = record;
            other.machine.processors = 64;
            all.push(other);
        }
        let history = History::of(&all);
        assert_eq!(history.machines.len(), 2);
        for machine in &history.machines {
            assert_eq!(machine.records, 24);
            assert!(machine.figures.iter().all(|figure| figure.changes.is_empty()));
        }
    }

    #[test]
    fn revisions_are_in_the_order_of_their_commits_and_a_changed_tree_is_one_of_its_own() {
        let (mut dirty, mut partly) = (record(2, 1.0), record(1, 3.0));
        dirty.is_dirty = true;
        partly.figures.retain(|key, _| key == "parking-1/p50");
        let history = History::of(&[dirty, record(3, 1.0), record(2, 1.0), partly]);
        let machine = &history.machines[0];
        let names: Vec<&str> = machine
            .revisions
            .iter()
            .map(|revision| revision.name.as_str())
            .collect();
        assert_eq!(names, ["0000001", "0000002", "0000002+", "0000003"]);
        let known = |title: &str| {
            let found = machine
                .figures
                .iter()
                .find(|figure| figure.title.starts_with(title));
            found.unwrap().revisions[0].is_some()
        };
        assert!(known("p50") && !known("calls/s"));
    }
}
