//! The bare glommio call loop, which the engine keeps beside its executor; here it is only measured.

use std::cell::RefCell;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use skyring::floor;

use super::measured::{Measured, PeerError, Settings};
use super::meter::Meter;
use super::server::{Launcher, Server, kernel_cpu};
use super::{Peer, on_client_thread, value};
use crate::interrupt::Interrupt;

pub(super) fn serve(listener: &TcpListener, kernel_cpu: usize, spin: Duration) -> io::Result<()> {
    floor::serve(listener, kernel_cpu, spin)
}

pub(super) fn measure(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<Measured, PeerError> {
    let server = Server::start(launcher, Peer::Glommio, settings, interrupt)?;
    let (address, process) = (server.address(), server.process());
    let cpu = kernel_cpu(settings.client_cpu)?;
    let interrupt = interrupt.clone();
    on_client_thread(settings, move |settings| {
        let socket = TcpStream::connect(address)?;
        let meter = Rc::new(RefCell::new(Meter::start(
            Peer::Glommio,
            settings,
            process,
            &interrupt,
        )));
        let counting = Rc::clone(&meter);
        let outcome = floor::call(
            socket,
            (cpu, settings.spin),
            settings.in_flight,
            value(settings),
            move |begun, ended, is_same| counting.borrow_mut().answered(begun, ended, is_same),
        );
        outcome.map_err(|error| PeerError::Client(error.to_string()))?;
        meter.borrow().finish()
    })
}
