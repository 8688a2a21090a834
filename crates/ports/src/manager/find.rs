//! The way in: from an external port to what is kept on it.

use std::net::Ipv4Addr;

use portledger_model::Transport;

use super::Ports;
use crate::{Handle, held::HeldBlock};

/// An external port that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought {
    /// The external address.
    pub address: Ipv4Addr,
    /// The external port.
    pub port: u16,
    /// The transport.
    pub transport: Transport,
}

impl Ports {
    /// What is kept on an external port: by block and offset, without a hash of ports.
    pub fn find(&self, address: Ipv4Addr, port: u16, transport: Transport) -> Option<Handle> {
        if let Some((block, offset)) = self.layout.find(address, port)
            && let Some(held) = self.held(block)
        {
            return taken(held.handles(transport).get(usize::from(offset)));
        }
        if self.statics.is_empty() {
            return None;
        }
        self.statics.get(&(address, port, transport)).copied()
    }

    /// As [`Ports::find`] for many dynamic ports at once, one kind of read after the other, so
    /// that the waits for memory overlap. What is not found may still be a static port.
    pub fn find_many<const N: usize>(&self, sought: &[Option<Sought>; N]) -> [Option<Handle>; N] {
        let places = sought.map(|sought| {
            let Sought { address, port, .. } = sought?;
            let (block, offset) = self.layout.find(address, port)?;
            Some((self.place(block)?, offset))
        });
        let mut handles: [&[Handle]; N] = [&[]; N];
        for ((handles, place), sought) in handles.iter_mut().zip(&places).zip(sought) {
            if let (Some((place, _)), Some(sought)) = (place, sought) {
                *handles = self
                    .held
                    .get(*place)
                    .map_or(&[], |held: &HeldBlock| held.handles(sought.transport));
            }
        }
        let mut found = [None; N];
        for ((found, handles), place) in found.iter_mut().zip(handles).zip(places) {
            let offset = place.map_or(0, |(_, offset)| usize::from(offset));
            *found = taken(handles.get(offset));
        }
        found
    }
}

fn taken(handle: Option<&Handle>) -> Option<Handle> {
    handle.copied().filter(|&handle| handle != Handle::NONE)
}
