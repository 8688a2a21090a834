//! Ranges of ports that a NAS tells of in its accounting (RFC 8045).

use std::{net::IpAddr, time::Duration};

use portledger_model::Timestamp;
use portledger_wire::NatEvent;

use super::{Collector, desk::now};
use crate::accounting::PortRanges;

/// How long an answer waits for the disk before it is looked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a NAS tells is as any device's: one that is not to be heard is refused, what cannot be read
/// may have been an event and is a gap.
impl PortRanges for Collector<'_> {
    fn take(&self, from: IpAddr, nas: Option<&str>, told: Vec<Result<NatEvent, String>>) -> bool {
        let Some((device, telling)) = self.settings.roster.find(from, nas) else {
            return false;
        };
        let now = now();
        let mut heard = self.desk.lock();
        let index = heard.enter(&device, telling);
        heard.message(index, now, telling.silence);
        for told in told {
            match told {
                Ok(event) => heard.event(index, event, now),
                Err(reason) => heard.rejected(index, now, &reason, &[]),
            }
        }
        drop(heard);
        self.submit();
        true
    }

    fn over(&self, from: IpAddr, nas: Option<&str>, at: Timestamp) {
        let Some((device, telling)) = self.settings.roster.find(from, nas) else {
            return;
        };
        let now = now();
        let mut heard = self.desk.lock();
        // A NAS that never told of ranges is no device of the ledger.
        if !heard.knows(&device) {
            return;
        }
        let index = heard.enter(&device, telling);
        heard.message(index, now, telling.silence);
        heard.over(index, at, now);
        drop(heard);
        self.submit();
    }

    fn are_durable(&self) -> bool {
        self.desk.are_durable(PATIENCE)
    }
}
