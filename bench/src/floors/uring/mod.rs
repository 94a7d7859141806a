//! The call loop of the glommio floor without an executor: what the executor costs is the difference.
//!
//! Frames, callees and buffers are those of [`call_loop`](super::call_loop). A caller is not a task but a slot with the
//! time when its call began: the client makes the next call where a task would be woken.

mod ring;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use self::ring::Ring;
use super::call_loop::{Callees, Received, TARGET, invalid, put_frame, take_frames};
use super::client::{self, value};
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::meter::Meter;
use super::peer::Peer;
use crate::interrupt::Interrupt;

pub(super) fn serve(listener: &TcpListener, spin: Duration) -> io::Result<()> {
    let (socket, _) = listener.accept()?;
    let mut ring = Ring::new(socket, spin)?;
    let callees = Callees::default();
    let (mut retained, mut out) = (Received::default(), Vec::new());
    while ring
        .turn(|received| split_frames(received, &mut retained, |whole| callees.answer(whole, &mut out)))?
    {
        if !out.is_empty() && !ring.is_sending() {
            ring.send(&mut out)?;
        }
    }
    Ok(())
}

/// Passes whole frames to `take`, which returns the number of their bytes, and retains the rest.
fn split_frames(
    received: &[u8],
    retained: &mut Received,
    mut take: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<()> {
    if !retained.is_empty() {
        let used = take(retained.append(received))?;
        retained.consume(used);
        return Ok(());
    }
    let used = take(received)?;
    if let Some(rest @ [_, ..]) = received.get(used..) {
        retained.append(rest);
    }
    Ok(())
}

pub(super) fn measure(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    client::measure(
        Peer::Uring,
        settings,
        launcher,
        interrupt,
        |address, settings, mut meter| {
            let socket = TcpStream::connect(address)?;
            call(socket, settings, &mut meter).map_err(PeerError::client)?;
            meter.finish()
        },
    )
}

/// Keeps calls in flight until the measured time is over.
fn call(socket: TcpStream, settings: &Settings, meter: &mut Meter) -> io::Result<()> {
    let mut ring = Ring::new(socket, settings.spin)?;
    let value = value(settings);
    let mut begun = vec![Instant::now(); settings.in_flight];
    let (mut retained, mut out) = (Received::default(), Vec::new());
    for session in 0..settings.in_flight as u32 {
        put_frame(&mut out, session, TARGET, &value);
    }
    let mut is_over = false;
    while !is_over {
        if !out.is_empty() && !ring.is_sending() {
            ring.send(&mut out)?;
        }
        let is_open = ring.turn(|received| {
            split_frames(received, &mut retained, |whole| {
                take_frames(whole, |reply| {
                    let Some(began) = begun.get_mut(reply.session as usize) else {
                        return Err(invalid("a reply to no call"));
                    };
                    let ended = Instant::now();
                    is_over |= meter.answered(*began, ended, reply.payload == value).is_break();
                    *began = ended;
                    put_frame(&mut out, reply.session, TARGET, &value);
                    Ok(())
                })
            })
        })?;
        if !is_open {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
