//! tarpc: a Rust library for remote calls, over TCP with bincode, as its examples set it up.

use std::io;
use std::net::TcpListener;
use std::pin::pin;

use bytes::Bytes;
use futures_lite::StreamExt;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tarpc::{client, context, serde_transport, server};
use tokio::net::TcpStream;

use super::client::value;
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::peer::Peer;
use super::tokio_client::{self, runtime};
use crate::interrupt::Interrupt;

/// Longest frame: the longest value, with its header.
const FRAME_BYTES_MAX: usize = 17 << 20;

/// Requests that may wait at either side; more than are ever in flight.
const REQUESTS_MAX: usize = 1 << 20;

#[tarpc::service]
trait Echo {
    async fn echo(value: Bytes) -> Bytes;
}

#[derive(Clone)]
struct Echoing;

impl Echo for Echoing {
    async fn echo(self, _: context::Context, value: Bytes) -> Bytes {
        value
    }
}

fn framed(socket: TcpStream) -> io::Result<Framed<TcpStream, LengthDelimitedCodec>> {
    socket.set_nodelay(true)?;
    Ok(LengthDelimitedCodec::builder()
        .max_frame_length(FRAME_BYTES_MAX)
        .new_framed(socket))
}

pub(super) fn serve(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    runtime()?.block_on(async {
        let (socket, _) = tokio::net::TcpListener::from_std(listener)?.accept().await?;
        let transport = serde_transport::new(framed(socket)?, Bincode::default());
        let config = server::Config {
            pending_response_buffer: REQUESTS_MAX,
        };
        let mut requests = pin!(BaseChannel::new(config, transport).execute(Echoing.serve()));
        while let Some(answering) = requests.next().await {
            tokio::spawn(answering);
        }
        Ok(())
    })
}

pub(super) fn measure(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    tokio_client::measure(
        Peer::Tarpc,
        settings,
        launcher,
        interrupt,
        |address, settings| async move {
            let transport =
                serde_transport::new(framed(TcpStream::connect(address).await?)?, Bincode::default());
            let mut config = client::Config::default();
            config.max_in_flight_requests = REQUESTS_MAX;
            config.pending_request_buffer = REQUESTS_MAX;
            let client = EchoClient::new(config, transport).spawn();
            let value = Bytes::from(value(&settings));
            Ok(move || {
                let (client, value) = (client.clone(), value.clone());
                async move {
                    let answer = client.echo(context::current(), value.clone()).await;
                    answer.is_ok_and(|answer| answer == value)
                }
            })
        },
    )
}
