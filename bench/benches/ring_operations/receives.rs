//! Multishot receives into provided buffers: one buffer for each receive, in bundles, and incrementally.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;

use io_uring::types::Fd;
use io_uring::{IoUring, cqueue, opcode};

use crate::comparison::{compare as row, timed};
use crate::memory::{GROUP, Memory, SLOTS};
use crate::ring;

/// `IORING_CQE_F_BUF_MORE`: the kernel goes on filling the buffer behind these bytes.
const BUFFER_MORE: u32 = 1 << 4;

/// Bytes of a round of a stream.
const STREAM_BYTES: usize = 16 << 20;

/// How receives take their buffers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    OneEach,
    Bundles,
    Incremental,
}

pub(crate) fn compare() -> io::Result<()> {
    for (connections, bytes) in [(1, 64), (16, 64), (256, 64), (256, 1024)] {
        compare_small(connections, bytes)?;
    }
    compare_stream("stream in pieces of 16 KiB or less: bundles", Way::Bundles)?;
    compare_stream(
        "stream in pieces of 16 KiB or less: incremental",
        Way::Incremental,
    )
}

/// A ring that receives, and its memory.
struct Receiver {
    ring: IoUring,
    memory: Memory,
    way: Way,
    /// Buffers that the kernel has used; only bundles need to know.
    used: u16,
}

impl Receiver {
    fn new(way: Way) -> io::Result<Receiver> {
        let ring = ring::new()?;
        let memory = Memory::register(&ring, SLOTS, way == Way::Incremental)?;
        Ok(Receiver {
            ring,
            memory,
            way,
            used: 0,
        })
    }

    /// Arms a receive. The socket stays open as long as this.
    fn arm(&mut self, socket: &TcpStream, number: u64) -> io::Result<()> {
        let fd = Fd(socket.as_raw_fd());
        let entry = match self.way {
            Way::Bundles => opcode::RecvMultiBundle::new(fd, GROUP).build(),
            Way::OneEach | Way::Incremental => opcode::RecvMulti::new(fd, GROUP).build(),
        };
        // SAFETY: it writes only to the provided buffers, which are never freed.
        unsafe { ring::push(&mut self.ring, &entry.user_data(number)) }
    }

    /// Enters the kernel, takes what has come, and arms again what has found no buffer. Returns the bytes.
    fn receive(&mut self, sockets: &[TcpStream]) -> io::Result<usize> {
        self.ring.submit_and_wait(1)?;
        let (mut bytes, mut starved) = (0, Vec::new());
        let completions: Vec<_> = self.ring.completion().collect();
        for completion in completions {
            match completion.result() {
                count @ 1.. => {
                    bytes += count as usize;
                    self.recycle(completion.flags(), count as usize);
                    if !cqueue::more(completion.flags()) {
                        starved.push(completion.user_data());
                    }
                }
                error if error == -libc::ENOBUFS => starved.push(completion.user_data()),
                error => return Err(io::Error::from_raw_os_error(-error)),
            }
        }
        for number in starved {
            self.arm(&sockets[number as usize], number)?;
        }
        Ok(bytes)
    }

    fn recycle(&mut self, flags: u32, count: usize) {
        let Some(first) = cqueue::buffer_select(flags) else {
            return;
        };
        match self.way {
            Way::OneEach => self.memory.provide(first),
            Way::Incremental if flags & BUFFER_MORE != 0 => {}
            Way::Incremental => self.memory.provide(first),
            Way::Bundles => {
                for _ in 0..count.div_ceil(self.memory.buffer_bytes()) {
                    let buffer = self.memory.at(self.used);
                    self.used = self.used.wrapping_add(1);
                    self.memory.provide(buffer);
                }
            }
        }
    }
}

/// A receiver, and both ends of its connections.
struct Connections {
    receiver: Receiver,
    here: Vec<TcpStream>,
    there: Vec<TcpStream>,
}

/// One message on each of several connections, all there when the kernel is entered.
fn compare_small(connections: usize, bytes: usize) -> io::Result<()> {
    let message = vec![0u8; bytes];
    let prepare = |way| -> io::Result<RefCell<Connections>> {
        let mut receiver = Receiver::new(way)?;
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for number in 0..connections {
            let (reader, writer) = ring::connection()?;
            receiver.arm(&reader, number as u64)?;
            here.push(reader);
            there.push(writer);
        }
        receiver.ring.submit()?;
        Ok(RefCell::new(Connections {
            receiver,
            here,
            there,
        }))
    };
    let repeats = (1024 / connections).max(1);
    let round = |state: &RefCell<Connections>| {
        let Connections {
            receiver,
            here,
            there,
        } = &mut *state.borrow_mut();
        let mut elapsed = std::time::Duration::ZERO;
        for _ in 0..repeats {
            for writer in there.iter_mut() {
                writer.write_all(&message)?;
            }
            elapsed += timed(|| {
                let mut left = connections * bytes;
                while left > 0 {
                    left -= receiver.receive(here)?;
                }
                Ok(())
            })?;
        }
        Ok(elapsed)
    };
    let plain = prepare(Way::OneEach)?;
    let operations = (connections * repeats) as u32;
    let name = format!("{bytes} bytes on each of {connections} connections");
    for (way, word) in [(Way::Bundles, "bundles"), (Way::Incremental, "incremental")] {
        match prepare(way) {
            Ok(other) => row(
                &format!("{name}: {word}"),
                operations,
                || round(&plain),
                || round(&other),
            ),
            Err(error) => println!("{name}: {word}: not on this kernel: {error}"),
        }
    }
    Ok(())
}

/// A connection whose peer always sends.
fn compare_stream(name: &str, way: Way) -> io::Result<()> {
    let prepare = |way| -> io::Result<RefCell<(Receiver, Vec<TcpStream>)>> {
        let mut receiver = Receiver::new(way)?;
        let (reader, mut writer) = ring::connection()?;
        receiver.arm(&reader, 0)?;
        receiver.ring.submit()?;
        let (begin, begins) = std::sync::mpsc::channel::<()>();
        drop(begin);
        thread::spawn(move || {
            let _ = begins.recv();
            let bytes = vec![0; 1 << 20];
            while writer.write_all(&bytes).is_ok() {}
        });
        Ok(RefCell::new((receiver, vec![reader])))
    };
    let round = |state: &RefCell<(Receiver, Vec<TcpStream>)>| {
        let (receiver, sockets) = &mut *state.borrow_mut();
        timed(|| {
            let mut left = STREAM_BYTES;
            while left > 0 {
                left = left.saturating_sub(receiver.receive(sockets)?);
            }
            Ok(())
        })
    };
    let plain = prepare(Way::OneEach)?;
    match prepare(way) {
        Ok(other) => row(
            &format!("{name}, 16 KiB"),
            (STREAM_BYTES >> 14) as u32,
            || round(&plain),
            || round(&other),
        ),
        Err(error) => println!("{name}: not on this kernel: {error}"),
    }
    Ok(())
}
