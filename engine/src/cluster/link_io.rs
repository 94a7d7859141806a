//! Link I/O: the links of both directions behind the one trait that a connection uses.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::{CalleeLink, CallerLink};

use crate::core::connection::LinkIo;

impl LinkIo for CallerLink {
    fn receive(&mut self, chunk: Bytes) {
        CallerLink::receive(self, chunk);
    }

    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        CallerLink::room(self)
    }

    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        CallerLink::transmit(self, slices)
    }

    fn transmitted(&mut self, count: usize) {
        CallerLink::transmitted(self, count);
    }

    fn note_progress(&mut self) {
        CallerLink::note_progress(self);
    }
}

impl LinkIo for CalleeLink {
    fn receive(&mut self, chunk: Bytes) {
        CalleeLink::receive(self, chunk);
    }

    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        CalleeLink::room(self)
    }

    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        CalleeLink::transmit(self, slices)
    }

    fn transmitted(&mut self, count: usize) {
        CalleeLink::transmitted(self, count);
    }
}
