//! Two customers of one address for each mode in which the inside is softwires, and the tables of relays that serve
//! them.

use std::net::Ipv4Addr;

use crate::modes::{Customer, PREFIX, RELAY};

/// The address that customers share: 203.0.113.18, the 0x12 of a MAP rule's EA bits.
pub const SHARED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 18);

/// MAP: a /44 with 12 EA bits, of which 8 are of the IPv4 address.
const RULE: &str =
    "[[rule]]\nipv6 = \"2001:db8:300::/44\"\nipv4 = \"203.0.113.0/24\"\nea_length = 12\n";

/// Customers of an AFTR.
#[must_use]
pub fn of_aftr() -> [Customer; 2] {
    ["2001:db8:200:100::", "2001:db8:200:200::"].map(|prefix| Customer {
        address: format!("{prefix}b4").parse().unwrap_or(RELAY),
        subscriber: prefix.parse().unwrap_or(RELAY.into()),
        external: None,
    })
}

/// Customers of a MAP relay. Of its ports each uses one range, the first: 1024 + 64 × PSID.
#[must_use]
pub fn of_map() -> [Customer; 2] {
    [3_u16, 4].map(|psid| Customer {
        address: format!("2001:db8:301:2{psid}00:0:cb00:7112:{psid}")
            .parse()
            .unwrap_or(RELAY),
        subscriber: format!("2001:db8:301:2{psid}00::")
            .parse()
            .unwrap_or(RELAY.into()),
        external: Some((SHARED, 1_024 + 64 * psid, 1_024 + 64 * psid + 63)),
    })
}

/// Customers of a lwAFTR.
#[must_use]
pub fn of_lwaftr() -> [Customer; 2] {
    [3_u16, 4].map(|psid| {
        let end = format!("2001:db8:400:{psid}00::b4");
        Customer {
            address: end.parse().unwrap_or(RELAY),
            subscriber: end.parse().unwrap_or(RELAY.into()),
            external: Some((SHARED, psid << 12, (psid << 12) + 4_095)),
        }
    })
}

/// The configuration of a MAP-E relay.
#[must_use]
pub fn map_e() -> String {
    format!("[relay]\naddress = \"{RELAY}\"\n{RULE}")
}

/// The configuration of a MAP-T relay.
#[must_use]
pub fn map_t() -> String {
    format!("[relay]\naddress = \"{RELAY}\"\nprefix = \"{PREFIX}\"\n{RULE}")
}

/// The configuration of a lwAFTR.
#[must_use]
pub fn lw4o6() -> String {
    let bindings = [3, 4].map(|psid| {
        format!(
            "[[binding]]\nb4 = \"2001:db8:400:{psid}00::b4\"\nipv4 = \"{SHARED}\"\npsid_length = 4\npsid = {psid}\n"
        )
    });
    format!("[relay]\naddress = \"{RELAY}\"\n{}", bindings.concat())
}
