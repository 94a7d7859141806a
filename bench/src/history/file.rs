//! The file of a history: a record a line.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::error::HistoryError;
use super::record::Record;

/// Bounds of a file.
const FILE_BYTES_MAX: u64 = 64 << 20;
const RECORDS_MAX: usize = 2_000;

/// Reads all records.
///
/// # Errors
/// [`HistoryError::File`] and [`HistoryError::Line`]; a file without any record is one, too.
pub fn read_history(path: &Path) -> Result<Vec<Record>, HistoryError> {
    let records = read(path)?;
    if records.is_empty() {
        return Err(failed(path, "it has no record; skyring bench record writes them"));
    }
    Ok(records)
}

/// Checks that a record can be appended: the file can be written, and what it has so far can be read. A file that is not
/// there is created.
///
/// # Errors
/// [`HistoryError::File`] and [`HistoryError::Line`].
pub fn check_history(path: &Path) -> Result<(), HistoryError> {
    open(path)?;
    let count = read(path)?.len();
    if count >= RECORDS_MAX {
        return Err(failed(
            path,
            format!("it has {count} records; begin another file"),
        ));
    }
    Ok(())
}

/// Appends a record.
///
/// # Errors
/// [`HistoryError::File`].
pub fn append_record(path: &Path, record: &Record) -> Result<(), HistoryError> {
    let line = format!("{}\n", record.to_json());
    open(path)?
        .write_all(line.as_bytes())
        .map_err(|error| failed(path, error))
}

fn open(path: &Path) -> Result<fs::File, HistoryError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| failed(path, format!("it cannot be written: {error}")))
}

fn read(path: &Path) -> Result<Vec<Record>, HistoryError> {
    let metadata = fs::metadata(path).map_err(|error| failed(path, error))?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(failed(
            path,
            format!("{} bytes are too many for a history", metadata.len()),
        ));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(path, error))?;
    let mut records = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let failed = |cause: String| HistoryError::Line {
            path: path.to_owned(),
            line: number + 1,
            cause,
        };
        // A record that was appended to it would be a part of that line.
        let Some(line) = line.strip_suffix('\n') else {
            return Err(failed("it has no end: the file was cut off".to_owned()));
        };
        if records.len() == RECORDS_MAX {
            return Err(failed(format!("more than {RECORDS_MAX} records are too many")));
        }
        records.push(Record::from_json(line).map_err(failed)?);
    }
    Ok(records)
}

fn failed(path: &Path, cause: impl ToString) -> HistoryError {
    HistoryError::File {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn records_are_read_in_the_order_in_which_they_were_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        check_history(&path).unwrap();
        assert!(
            read_history(&path)
                .unwrap_err()
                .to_string()
                .contains("it has no record")
        );
        for number in [3, 1, 2] {
            append_record(&path, &record(number, 1.0)).unwrap();
        }
        let times = read_history(&path)
            .unwrap()
            .iter()
            .map(|record| record.revision_unix)
            .collect::<Vec<_>>();
        assert_eq!(times, [1_000_003, 1_000_001, 1_000_002]);
    }

    #[test]
    fn a_file_with_a_broken_line_is_named_with_it_and_nothing_is_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let good = record(1, 1.0).to_json();
        for (text, line) in [
            (format!("{good}\n{{\n{good}\n"), "line 2: it is not JSON"),
            (format!("{good}\n{good}"), "line 2: it has no end"),
            (format!("{good}\n\n"), "line 2: it is not JSON"),
        ] {
            fs::write(&path, text).unwrap();
            for error in [
                read_history(&path).unwrap_err(),
                check_history(&path).unwrap_err(),
            ] {
                assert!(error.to_string().contains(line), "{error}");
            }
        }
        fs::write(&path, [0xff, b'\n']).unwrap();
        assert!(read_history(&path).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn a_folder_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let error = check_history(folder.path()).unwrap_err().to_string();
        assert!(error.contains("cannot be written"), "{error}");
        let error = check_history(&folder.path().join("no/such/folder"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}
