//! The callee's journal: it appends a record for every call that it runs, so that the calls it has run are known even
//! after a SIGKILL.
//!
//! A journal is a folder of segments named `EPOCH-SEGMENT`: each process that writes the journal begins a new epoch, and
//! an epoch begins a new segment after [`SEGMENT_RECORDS`] records. The reader removes the segments that it has read, but
//! never the newest, so a journal of any length takes the space of a few segments.
//!
//! Invariants: a record is written with one system call before its call is answered; records are read in the
//! order in which they were written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Records of a segment.
const SEGMENT_RECORDS: u32 = 1 << 20;

/// Bytes of a record: the caller's number, the call's, and the time, little-endian.
const RECORD_BYTES: usize = 4 + 8 + 8;

/// Records that are read at a time.
const READ_RECORDS: usize = 4_096;

/// One call that was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) caller: u32,
    pub(super) number: u64,
    /// When it was run, in milliseconds since 1970.
    pub(super) time_ms: u64,
}

/// A part of a journal: the epoch, and the segment of it.
type SegmentId = (u32, u32);

fn segment_file(folder: &Path, (epoch, segment): SegmentId) -> PathBuf {
    folder.join(format!("{epoch:06}-{segment:06}"))
}

/// The existing segments, in order.
fn segments(folder: &Path) -> io::Result<Vec<SegmentId>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| {
            let (epoch, segment) = name.split_once('-')?;
            Some((epoch.parse().ok()?, segment.parse().ok()?))
        });
        ids.extend(id);
    }
    ids.sort_unstable();
    Ok(ids)
}

/// The writer, which the callee has.
#[derive(Debug)]
pub(super) struct JournalWriter {
    folder: PathBuf,
    id: SegmentId,
    file: File,
    records: u32,
}

impl JournalWriter {
    /// Begins a new epoch of the journal in that folder, which is made when it is missing.
    pub(super) fn begin(folder: &Path) -> io::Result<JournalWriter> {
        fs::create_dir_all(folder)?;
        let epoch = segments(folder)?.last().map_or(0, |(epoch, _)| epoch + 1);
        let id = (epoch, 0);
        Ok(JournalWriter {
            folder: folder.to_owned(),
            id,
            file: new_segment(folder, id)?,
            records: 0,
        })
    }

    /// Adds a record.
    pub(super) fn append(&mut self, record: Record) -> io::Result<()> {
        if self.records == SEGMENT_RECORDS {
            self.id.1 += 1;
            self.file = new_segment(&self.folder, self.id)?;
            self.records = 0;
        }
        let mut bytes = [0; RECORD_BYTES];
        bytes[..4].copy_from_slice(&record.caller.to_le_bytes());
        bytes[4..12].copy_from_slice(&record.number.to_le_bytes());
        bytes[12..].copy_from_slice(&record.time_ms.to_le_bytes());
        self.file.write_all(&bytes)?;
        self.records += 1;
        Ok(())
    }
}

fn new_segment(folder: &Path, id: SegmentId) -> io::Result<File> {
    let file = segment_file(folder, id);
    OpenOptions::new().append(true).create_new(true).open(file)
}

/// The reader, which follows the journal while it is written.
pub(super) struct JournalReader {
    folder: PathBuf,
    current: Option<(SegmentId, File)>,
    /// The bytes of an incomplete record.
    partial: Vec<u8>,
}

impl JournalReader {
    /// Reads the journal in that folder from its beginning. It may be missing at first.
    pub(super) fn new(folder: &Path) -> JournalReader {
        JournalReader {
            folder: folder.to_owned(),
            current: None,
            partial: Vec::new(),
        }
    }

    /// Passes every record that was written since the last time to `take`.
    pub(super) fn follow(&mut self, mut take: impl FnMut(Record)) -> io::Result<()> {
        loop {
            // Looked up before the current segment is read to its end: if there is a later one, it is complete.
            let next = self.next_segment()?;
            if let Some((_, file)) = &mut self.current {
                read_all(file, &mut self.partial, &mut take)?;
            }
            let Some(next) = next else { return Ok(()) };
            if let Some((id, _)) = self.current.take() {
                fs::remove_file(segment_file(&self.folder, id))?;
            }
            // The call of a record that a kill has cut short was not answered, so the record counts as not written.
            self.partial.clear();
            self.current = Some((next, File::open(segment_file(&self.folder, next))?));
        }
    }

    fn next_segment(&self) -> io::Result<Option<SegmentId>> {
        let ids = match segments(&self.folder) {
            Ok(ids) => ids,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let current = self.current.as_ref().map(|(id, _)| *id);
        Ok(ids
            .into_iter()
            .find(|id| current.is_none_or(|current| *id > current)))
    }
}

fn read_all(file: &mut File, partial: &mut Vec<u8>, take: &mut impl FnMut(Record)) -> io::Result<()> {
    let mut buffer = vec![0; READ_RECORDS * RECORD_BYTES];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        partial.extend_from_slice(&buffer[..count]);
        let mut records = partial.chunks_exact(RECORD_BYTES);
        for bytes in &mut records {
            let (caller, rest) = bytes.split_at(4);
            let (number, time) = rest.split_at(8);
            take(Record {
                caller: caller.try_into().map_or(0, u32::from_le_bytes),
                number: number.try_into().map_or(0, u64::from_le_bytes),
                time_ms: time.try_into().map_or(0, u64::from_le_bytes),
            });
        }
        let rest = records.remainder().len();
        partial.drain(..partial.len() - rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    fn record(number: u64) -> Record {
        Record {
            caller: 7,
            number,
            time_ms: 0,
        }
    }

    fn read(reader: &mut JournalReader) -> Vec<u64> {
        let mut numbers = Vec::new();
        reader.follow(|record| numbers.push(record.number)).unwrap();
        numbers
    }

    #[test]
    fn a_journal_is_followed_across_epochs_and_its_read_parts_are_removed() {
        let temp_dir = TempDir::new("journal").unwrap();
        let folder = temp_dir.path().join("journal");
        let mut reader = JournalReader::new(&folder);
        assert_eq!(read(&mut reader), [0u64; 0]);
        let mut first = JournalWriter::begin(&folder).unwrap();
        first.append(record(1)).unwrap();
        assert_eq!(read(&mut reader), [1]);
        first.append(record(2)).unwrap();
        // A kill in the middle of a record.
        first.file.write_all(&[1, 2, 3]).unwrap();
        let mut second = JournalWriter::begin(&folder).unwrap();
        second.append(record(3)).unwrap();
        assert_eq!(read(&mut reader), [2, 3]);
        assert_eq!(segments(&folder).unwrap(), [(1, 0)]);
        let third = JournalWriter::begin(&folder).unwrap();
        assert_eq!(third.id, (2, 0));
        assert_eq!(read(&mut reader), [0u64; 0]);
    }

    #[test]
    fn a_full_segment_is_followed_by_another() {
        let temp_dir = TempDir::new("journal").unwrap();
        let mut writer = JournalWriter::begin(temp_dir.path()).unwrap();
        writer.append(record(1)).unwrap();
        writer.records = SEGMENT_RECORDS;
        writer.append(record(2)).unwrap();
        assert_eq!(segments(temp_dir.path()).unwrap(), [(0, 0), (0, 1)]);
        assert_eq!(read(&mut JournalReader::new(temp_dir.path())), [1, 2]);
    }
}
