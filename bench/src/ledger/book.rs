//! The callee's book: a file to which it appends a record for every call that it runs, so that what it has
//! run is known even after a SIGKILL.
//!
//! A book is a folder of segments named `LIFE-SEGMENT`: each process that keeps the book begins a new life,
//! and a life begins a new segment after [`SEGMENT_RECORDS`] records. Whoever reads the book removes the
//! segments that it has read, but never the newest, so a book of any length takes the room of a few segments.
//!
//! Invariants: a record is written with one system call before its call is answered; records are read in the
//! order in which they were written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Records of a segment.
const SEGMENT_RECORDS: u32 = 1 << 20;

/// Bytes of a record: the caller's number and the call's, little-endian.
const RECORD_BYTES: usize = 4 + 8;

/// Records that are read at a time.
const READ_RECORDS: usize = 4_096;

/// One call that was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) caller: u32,
    pub(super) number: u64,
}

/// Which part of a book: the life, and the segment of it.
type Place = (u32, u32);

fn segment_file(folder: &Path, (life, segment): Place) -> PathBuf {
    folder.join(format!("{life:06}-{segment:06}"))
}

/// The segments that are there, in order.
fn segments(folder: &Path) -> io::Result<Vec<Place>> {
    let mut places = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let place = name.to_str().and_then(|name| {
            let (life, segment) = name.split_once('-')?;
            Some((life.parse().ok()?, segment.parse().ok()?))
        });
        places.extend(place);
    }
    places.sort_unstable();
    Ok(places)
}

/// The writing end, which the callee has.
#[derive(Debug)]
pub(super) struct BookWriter {
    folder: PathBuf,
    place: Place,
    file: File,
    records: u32,
}

impl BookWriter {
    /// Begins a new life of the book in that folder, which is made when it is not there.
    pub(super) fn begin(folder: &Path) -> io::Result<BookWriter> {
        fs::create_dir_all(folder)?;
        let life = segments(folder)?.last().map_or(0, |(life, _)| life + 1);
        let place = (life, 0);
        Ok(BookWriter {
            folder: folder.to_owned(),
            place,
            file: new_segment(folder, place)?,
            records: 0,
        })
    }

    /// Adds a record.
    pub(super) fn append(&mut self, record: Record) -> io::Result<()> {
        if self.records == SEGMENT_RECORDS {
            self.place.1 += 1;
            self.file = new_segment(&self.folder, self.place)?;
            self.records = 0;
        }
        let mut bytes = [0; RECORD_BYTES];
        bytes[..4].copy_from_slice(&record.caller.to_le_bytes());
        bytes[4..].copy_from_slice(&record.number.to_le_bytes());
        self.file.write_all(&bytes)?;
        self.records += 1;
        Ok(())
    }
}

fn new_segment(folder: &Path, place: Place) -> io::Result<File> {
    let file = segment_file(folder, place);
    OpenOptions::new().append(true).create_new(true).open(file)
}

/// The reading end, which follows the book while it is written.
pub(super) struct BookReader {
    folder: PathBuf,
    current: Option<(Place, File)>,
    /// Bytes of a record of which the rest was not written yet.
    begun: Vec<u8>,
}

impl BookReader {
    /// Reads the book in that folder from its beginning. It need not be there yet.
    pub(super) fn new(folder: &Path) -> BookReader {
        BookReader {
            folder: folder.to_owned(),
            current: None,
            begun: Vec::new(),
        }
    }

    /// Gives every record that was written since the last time to `take`.
    pub(super) fn follow(&mut self, mut take: impl FnMut(Record)) -> io::Result<()> {
        loop {
            // Looked up before the current segment is read to its end: a later one says that it is complete.
            let next = self.next_segment()?;
            if let Some((_, file)) = &mut self.current {
                read_all(file, &mut self.begun, &mut take)?;
            }
            let Some(next) = next else { return Ok(()) };
            if let Some((place, _)) = self.current.take() {
                fs::remove_file(segment_file(&self.folder, place))?;
            }
            // A record that a kill has cut short was not answered, and counts as not written.
            self.begun.clear();
            self.current = Some((next, File::open(segment_file(&self.folder, next))?));
        }
    }

    fn next_segment(&self) -> io::Result<Option<Place>> {
        let places = match segments(&self.folder) {
            Ok(places) => places,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let current = self.current.as_ref().map(|(place, _)| *place);
        Ok(places
            .into_iter()
            .find(|place| current.is_none_or(|current| *place > current)))
    }
}

fn read_all(file: &mut File, begun: &mut Vec<u8>, take: &mut impl FnMut(Record)) -> io::Result<()> {
    let mut buffer = vec![0; READ_RECORDS * RECORD_BYTES];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        begun.extend_from_slice(&buffer[..count]);
        let mut records = begun.chunks_exact(RECORD_BYTES);
        for bytes in &mut records {
            let (caller, number) = bytes.split_at(4);
            take(Record {
                caller: caller.try_into().map_or(0, u32::from_le_bytes),
                number: number.try_into().map_or(0, u64::from_le_bytes),
            });
        }
        let rest = records.remainder().len();
        begun.drain(..begun.len() - rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    fn record(number: u64) -> Record {
        Record { caller: 7, number }
    }

    fn read(reader: &mut BookReader) -> Vec<u64> {
        let mut numbers = Vec::new();
        reader.follow(|record| numbers.push(record.number)).unwrap();
        numbers
    }

    #[test]
    fn a_book_is_followed_across_lives_and_its_read_parts_are_removed() {
        let temp_dir = TempDir::new("book").unwrap();
        let folder = temp_dir.path().join("book");
        let mut reader = BookReader::new(&folder);
        assert_eq!(read(&mut reader), [0u64; 0]);
        let mut first = BookWriter::begin(&folder).unwrap();
        first.append(record(1)).unwrap();
        assert_eq!(read(&mut reader), [1]);
        first.append(record(2)).unwrap();
        // A kill in the middle of a record.
        first.file.write_all(&[1, 2, 3]).unwrap();
        let mut second = BookWriter::begin(&folder).unwrap();
        second.append(record(3)).unwrap();
        assert_eq!(read(&mut reader), [2, 3]);
        assert_eq!(segments(&folder).unwrap(), [(1, 0)]);
        let third = BookWriter::begin(&folder).unwrap();
        assert_eq!(third.place, (2, 0));
        assert_eq!(read(&mut reader), [0u64; 0]);
    }

    #[test]
    fn a_full_segment_is_followed_by_another() {
        let temp_dir = TempDir::new("book").unwrap();
        let mut writer = BookWriter::begin(temp_dir.path()).unwrap();
        writer.append(record(1)).unwrap();
        writer.records = SEGMENT_RECORDS;
        writer.append(record(2)).unwrap();
        assert_eq!(segments(temp_dir.path()).unwrap(), [(0, 0), (0, 1)]);
        assert_eq!(read(&mut BookReader::new(temp_dir.path())), [1, 2]);
    }
}
