//! Fragments on their way (RFC 4787 REQ-14).

use super::Nat;
use crate::{
    DropReason, Emitted, Offload, Output, Packet, Side, Verdict,
    fragment::{DatagramKey, Fate},
    header::{Header, long, word},
    rewrite::{self, End},
};

impl Nat {
    /// A fragment that is not the first of its datagram.
    pub(super) fn later_fragment(
        &mut self,
        from: Side,
        packet: &mut Packet<'_>,
        header: &Header,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let key = DatagramKey::new(from, packet.realm, header);
        let Some(fate) = self.fragments.fate(key) else {
            let expires = self.fragment_expiry();
            self.fragments
                .keep(expires, key, &packet.data[..header.total], &mut self.hosts)?;
            self.counters.fragments_kept += 1;
            packet.verdict = Verdict::Kept;
            return Ok(());
        };
        self.follow(fate, packet, header, output)
    }

    /// Notes what became of the first fragment of a datagram, and lets those that waited for it
    /// follow.
    pub(super) fn settle_fragments(
        &mut self,
        key: DatagramKey,
        packet: &Packet<'_>,
        translated: Result<(), DropReason>,
        output: &mut Output,
    ) {
        let fate = Fate {
            source: long(packet.data, 12),
            destination: long(packet.data, 16),
            identification: word(packet.data, 4),
            verdict: match (translated, packet.verdict) {
                // Cut into pieces: the others go the same way, in the same realm.
                (Ok(()), Verdict::Kept) => match output.packets.last() {
                    Some(&Emitted {
                        to, realm, after, ..
                    }) => Verdict::Forward { to, realm, after },
                    None => Verdict::Drop(DropReason::FragmentOfDropped),
                },
                (Ok(()), verdict) => verdict,
                (Err(_), _) => Verdict::Drop(DropReason::FragmentOfDropped),
            },
        };
        let expires = self.fragment_expiry();
        for mut data in self.fragments.settle(expires, key, fate, &mut self.hosts) {
            let Ok(header) = Header::parse(&data) else {
                continue;
            };
            let mut packet = Packet {
                realm: packet.realm,
                ..Packet::new(&mut data)
            };
            match (
                self.follow(fate, &mut packet, &header, output),
                packet.verdict,
            ) {
                (Ok(()), Verdict::Forward { to, realm, after }) => {
                    self.emit(
                        Emitted {
                            data,
                            to,
                            realm,
                            after,
                        },
                        output,
                    );
                }
                (Ok(()), _) => {}
                (Err(reason), _) => self.counters.count_drop(reason),
            }
        }
    }

    fn follow(
        &mut self,
        fate: Fate,
        packet: &mut Packet<'_>,
        header: &Header,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let Verdict::Forward { to, realm, after } = fate.verdict else {
            return Err(DropReason::FragmentOfDropped);
        };
        let data = &mut *packet.data;
        rewrite::set_end(data, header, End::Source, fate.source, 0, Offload::None);
        rewrite::set_end(
            data,
            header,
            End::Destination,
            fate.destination,
            0,
            Offload::None,
        );
        rewrite::set_identification(data, fate.identification);
        packet.realm = realm;
        self.send(packet, header, to, after, output)
    }

    fn fragment_expiry(&self) -> i64 {
        self.now.after(self.config.timers.fragment).as_micros()
    }
}
