//! The connections of a ring: what is to be sent over each, and what is in flight. A connection's number is its place in
//! the ring's table of direct descriptors.

/// One connection.
#[derive(Default)]
pub(super) struct Slot {
    /// False: the place is free.
    pub(super) is_taken: bool,
    /// Bytes that wait to be sent.
    pub(super) out: Vec<u8>,
    pub(super) is_receiving: bool,
    /// The socket takes no more, and is polled.
    pub(super) is_polling: bool,
    pub(super) is_listed: bool,
    /// It is, or was, to be shut down.
    pub(super) is_closed: bool,
    /// The shutdown is to be submitted, or in flight.
    pub(super) is_closing: bool,
    /// It has ended, and is free once no operation is in flight.
    pub(super) has_ended: bool,
}

impl Slot {
    /// Whether bytes may be sent over it.
    pub(super) fn is_open(&self) -> bool {
        self.is_taken && !self.is_closed && !self.has_ended
    }
}

/// What is to be sent. Every connection that has something is listed once.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(super) slots: Vec<Slot>,
    pub(super) listed: Vec<usize>,
    /// Connections whose receive is to be armed.
    pub(super) unarmed: Vec<usize>,
    /// Connections whose shutdown is to be submitted.
    pub(super) closing: Vec<usize>,
    free: Vec<usize>,
}

impl Outbox {
    /// The bytes that wait to be sent over a connection, to append to. Those of one that is closed or has ended are never
    /// sent.
    pub(crate) fn queue(&mut self, index: usize) -> &mut Vec<u8> {
        let slot = &mut self.slots[index];
        if !slot.is_listed && !slot.is_polling && slot.is_open() {
            slot.is_listed = true;
            self.listed.push(index);
        }
        &mut slot.out
    }

    /// Ends a connection with the next turn. [`Event::Ended`](super::sockets::Event::Ended) follows.
    pub(crate) fn close(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index)
            && slot.is_open()
        {
            slot.is_closed = true;
            slot.is_closing = true;
            self.closing.push(index);
        }
    }

    /// The place of the next connection.
    pub(super) fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    /// Takes the next place.
    pub(super) fn insert(&mut self) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.slots[index] = Slot {
            is_taken: true,
            ..Slot::default()
        };
        self.unarmed.push(index);
        index
    }

    /// Frees the place of a connection that has ended, once no operation is in flight. Returns whether it did.
    pub(super) fn release(&mut self, index: usize) -> bool {
        let slot = &mut self.slots[index];
        let is_over = slot.is_taken
            && slot.has_ended
            && !slot.is_receiving
            && !slot.is_polling
            && !slot.is_listed
            && !slot.is_closing;
        if is_over {
            *slot = Slot {
                has_ended: true,
                ..Slot::default()
            };
            self.free.push(index);
        }
        is_over
    }
}
