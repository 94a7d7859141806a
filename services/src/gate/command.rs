//! The commands of a gate: what services tell it to do with its clients.

use skyring::{Error, Handle, Message, Payload, SocketId};

/// What there is, for errors.
const KNOWN: &str = "write, kick, forward, join, leave, push, push_all, clients and counters";

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// Write a packet to a client.
    Write(SocketId, &'a [u8]),
    /// Close its connection.
    Kick(SocketId),
    /// Give its packets to another service from now on; `None`: to the target.
    Forward(SocketId, Option<Handle>),
    /// Have it get what is pushed to a room.
    Join(SocketId, &'a str),
    /// Undo that.
    Leave(SocketId, &'a str),
    /// Write a packet to all clients of a room.
    Push(&'a str, &'a [u8]),
    /// Write a packet to all clients.
    PushAll(&'a [u8]),
    /// Say how many clients there are.
    Clients,
    /// Say what was counted.
    Counters,
}

impl<'a> Command<'a> {
    /// The command in a message.
    ///
    /// # Errors
    /// [`Error::Remote`] with the commands that there are, [`Error::Invalid`] for other values than a command has.
    pub(super) fn parse(message: &'a Message) -> Result<Command<'a>, Error> {
        let payload = &message.payload;
        let (name,) = payload.unpack::<(&str,)>()?;
        Ok(match name {
            "write" => {
                let (_, client, body) = values::<(&str, u32, &[u8])>(payload, "write, a client, bytes")?;
                Command::Write(SocketId(client), body)
            }
            "kick" => Command::Kick(client(payload, "kick, a client")?),
            "forward" => {
                let what = "forward, a client, and the handle of a service or nothing";
                let (_, client, agent) = values::<(&str, u32, Option<u32>)>(payload, what)?;
                Command::Forward(SocketId(client), agent.map(Handle))
            }
            "join" => {
                let (_, client, room) = values::<(&str, u32, &str)>(payload, "join, a client, a room")?;
                Command::Join(SocketId(client), room)
            }
            "leave" => {
                let (_, client, room) = values::<(&str, u32, &str)>(payload, "leave, a client, a room")?;
                Command::Leave(SocketId(client), room)
            }
            "push" => {
                let (_, room, body) = values::<(&str, &str, &[u8])>(payload, "push, a room, bytes")?;
                Command::Push(room, body)
            }
            "push_all" => Command::PushAll(values::<(&str, &[u8])>(payload, "push_all, bytes")?.1),
            "clients" => Command::Clients,
            "counters" => Command::Counters,
            name => {
                return Err(Error::remote(format!(
                    "unknown command {name}: the gate has {KNOWN}"
                )));
            }
        })
    }

    /// The client that it is about.
    pub(super) fn client(&self) -> Option<SocketId> {
        match self {
            Command::Write(id, _)
            | Command::Kick(id)
            | Command::Forward(id, _)
            | Command::Join(id, _)
            | Command::Leave(id, _) => Some(*id),
            Command::Push(..) | Command::PushAll(_) | Command::Clients | Command::Counters => None,
        }
    }
}

fn values<'a, T: skyring::seri::Unpack<'a>>(payload: &'a Payload, expected: &str) -> Result<T, Error> {
    payload
        .unpack::<T>()
        .map_err(|error| Error::invalid(format!("expected {expected}: {error}")))
}

fn client(payload: &Payload, expected: &str) -> Result<SocketId, Error> {
    Ok(SocketId(values::<(&str, u32)>(payload, expected)?.1))
}
