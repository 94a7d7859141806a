//! The table of a ring's direct descriptors: the sockets in it need no descriptor of the process.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use io_uring::IoUring;
use io_uring::types::Fixed;
use rustix::process::{Resource, getrlimit};

/// What clears a place.
const NONE: RawFd = -1;

/// The table of one ring. The kernel allows it as many places as the process may open files, and counts them apart from
/// those files.
pub(crate) struct DirectTable {
    places: usize,
}

impl DirectTable {
    /// Gives a ring an empty table with `most` places, or as many as the kernel allows.
    pub(crate) fn register(ring: &IoUring, most: usize) -> io::Result<DirectTable> {
        let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let places = usize::try_from(allowed).unwrap_or(most).min(most);
        ring.submitter()
            .register_files_sparse(u32::try_from(places).map_err(io::Error::other)?)?;
        Ok(DirectTable { places })
    }

    /// The number of places.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// Puts a socket into a place that is empty. Its descriptor may be closed then.
    pub(crate) fn put(&self, ring: &IoUring, place: usize, socket: impl AsFd) -> io::Result<()> {
        self.update(ring, place, socket.as_fd().as_raw_fd())
    }

    /// Empties a place, which closes the socket: at once, and with kernels before 6.13 when the operations have ended that
    /// began before, on whichever place. No operation may be in flight that names it: one that waits to be run would find
    /// the next socket of the place.
    pub(crate) fn clear(&self, ring: &IoUring, place: usize) -> io::Result<()> {
        self.update(ring, place, NONE)
    }

    fn update(&self, ring: &IoUring, place: usize, fd: RawFd) -> io::Result<()> {
        let offset = u32::try_from(place).map_err(io::Error::other)?;
        match ring.submitter().register_files_update(offset, &[fd])? {
            1 => Ok(()),
            _ => Err(io::Error::other("the kernel has not updated its table of files")),
        }
    }

    /// Closes all sockets that are left. The end of the ring would do it too, but some time later.
    pub(crate) fn unregister(&self, ring: &IoUring) -> io::Result<()> {
        ring.submitter().unregister_files()
    }
}

/// What an operation names in place of a descriptor.
pub(crate) fn at(place: usize) -> Fixed {
    Fixed(place as u32)
}
