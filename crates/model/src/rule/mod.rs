//! Who has which ports by arithmetic rather than by a record each: address plus port.
//!
//! | kind | who | what says so |
//! |---|---|---|
//! | [`DeterministicRule`] | an inside IPv4 address | RFC 7422 §2 |
//! | [`MapRule`] | an IPv6 prefix | RFC 7597 §5 (MAP-E), RFC 7599 §5 (MAP-T) |
//! | [`SoftwireBinding`] | the B4 of a softwire | RFC 7596 §6.1 (lw4o6) |
//! | [`PortSet`] | whoever was told it | RFC 6431 §2 |

mod deterministic;
mod map;
mod named;
mod port_set;
mod psid;
mod softwire;
mod text;

pub use deterministic::{
    AddressRanges, DeterministicRange, DeterministicRule, DeterministicRuleError,
};
pub use map::{CustomerEdge, MapRule, MapRuleError};
pub use named::{DETERMINISTIC_RULE, Grant, HeldPortSet, Rule, RuleName, RuleNameError, Sharing};
pub use port_set::{PortMask, PortSet};
pub use psid::{PortParameters, PortParametersError};
pub use softwire::SoftwireBinding;
pub use text::{MAX_RULE_RANGES, RuleFieldError, RuleValue, Unreadable};
