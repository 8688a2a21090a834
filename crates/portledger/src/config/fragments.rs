//! How much may wait of what was cut on its way.

use portledger_nat::{FollowedLimits, ReassemblyLimits};
use serde::Deserialize;

use super::value::{Time, set, time};

/// `[reassembly]`: packets of softwires that were cut in the IPv6 network.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReassemblyTable {
    datagrams: Option<usize>,
    of_softwire: Option<usize>,
    bytes: Option<usize>,
    time: Option<Time>,
}

impl ReassemblyTable {
    pub(super) fn apply(self, limits: &mut ReassemblyLimits) {
        set(&mut limits.datagrams, self.datagrams);
        set(&mut limits.of_softwire, self.of_softwire);
        set(&mut limits.bytes, self.bytes);
        set(&mut limits.time, time(self.time));
    }
}

/// `[followed]`: fragments that a relay follows by the ports of their first.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowedTable {
    datagrams: Option<usize>,
    of_customer: Option<usize>,
    bytes: Option<usize>,
    time: Option<Time>,
}

impl FollowedTable {
    pub(super) fn apply(self, limits: &mut FollowedLimits) {
        set(&mut limits.datagrams, self.datagrams);
        set(&mut limits.of_customer, self.of_customer);
        set(&mut limits.bytes, self.bytes);
        set(&mut limits.time, time(self.time));
    }
}
