//! A rule as names and values: what the ledger's texts, JSON lines and files of rules have in
//! common. It is hashed, so it never changes; a new kind gets names of its own.

use std::{fmt, str::FromStr};

use ipnet::Ipv4Net;
use thiserror::Error;

use super::{
    AddressRanges, DeterministicRule, HeldPortSet, MapRule, PortMask, PortParameters, PortSet,
    Rule, RuleName, Sharing, SoftwireBinding,
};
use crate::{PortRange, Realm};

/// A value.
#[derive(Clone, PartialEq, Eq)]
pub enum RuleValue {
    /// A text that needs no quoting in JSON.
    Text(String),
    /// A number.
    Number(u32),
}

/// Why names and values are no rule. Values are not shown: some are a subscriber's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RuleFieldError {
    /// A field is not there.
    #[error("'{0}' is missing")]
    Missing(&'static str),
    /// A field is not what it should be.
    #[error("'{0}' cannot be read")]
    Malformed(&'static str),
    /// The fields do not go together.
    #[error("the rule cannot be one: {0}")]
    Rule(String),
}

/// Ranges in one rule at most, of addresses or of ports: a record's text is 4,096 bytes at most.
pub const MAX_RULE_RANGES: usize = 100;

impl Rule {
    /// Its names and values, in their order.
    pub fn fields(&self) -> Vec<(&'static str, RuleValue)> {
        let text = |value: &dyn fmt::Display| RuleValue::Text(value.to_string());
        let number = |value: u32| RuleValue::Number(value);
        let mut fields = vec![
            ("rule", text(&self.name)),
            ("kind", text(&self.sharing.kind())),
            ("realm", text(&self.realm)),
        ];
        match &self.sharing {
            Sharing::Deterministic(rule) => fields.extend([
                ("inside", text(&rule.inside())),
                ("outside", text(rule.outside())),
                ("ports", text(&rule.ports())),
                ("compression", number(rule.compression())),
                ("ports_each", number(rule.ports_each())),
            ]),
            Sharing::Map(rule) => {
                fields.extend([
                    ("ipv6", text(&rule.ipv6())),
                    ("ipv4", text(&rule.ipv4())),
                    ("ea_length", number(rule.ea_length().into())),
                    ("psid_offset", number(rule.parameters().offset().into())),
                ]);
                if let Some(psid) = rule.told_psid() {
                    let length = rule.parameters().psid_length();
                    fields.push(("psid_length", number(length.into())));
                    fields.push(("psid", number(psid.into())));
                }
            }
            Sharing::Softwire(binding) => fields.extend([
                ("b4", text(&binding.b4)),
                ("external", text(&binding.ipv4)),
                ("ports", text(&binding.ports)),
            ]),
            Sharing::PortSet(held) => fields.extend([
                ("internal", text(&held.internal)),
                ("external", text(&held.external)),
                ("ports", text(&held.ports)),
            ]),
        }
        fields
    }

    /// The rule that names and values are; `take` hands out the value of a name, once. For people,
    /// who know the shares of a dynamic pool rather than the ports that leaves for each, a
    /// deterministic rule may have `dynamic` instead of `ports_each`; the realm may be left out, and
    /// so may a MAP rule's offset.
    ///
    /// # Errors
    /// When a field is missing or cannot be read, or they do not go together.
    pub fn from_fields(
        mut take: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, RuleFieldError> {
        let name = take("rule").ok_or(RuleFieldError::Missing("rule"))?;
        let name = RuleName::new(&name).map_err(|_| RuleFieldError::Malformed("rule"))?;
        let realm = match take("realm") {
            Some(realm) => Realm::new(&realm).map_err(|_| RuleFieldError::Malformed("realm"))?,
            None => Realm::default(),
        };
        let kind = take("kind").ok_or(RuleFieldError::Missing("kind"))?;
        let mut fields = Fields(take);
        let sharing = match kind.as_str() {
            "deterministic" => Sharing::Deterministic(fields.deterministic()?),
            "map" => Sharing::Map(fields.map()?),
            "softwire" => Sharing::Softwire(SoftwireBinding {
                b4: fields.needed("b4")?,
                ipv4: fields.needed("external")?,
                ports: fields.needed("ports")?,
            }),
            "port-set" => Sharing::PortSet(HeldPortSet {
                internal: fields.needed("internal")?,
                external: fields.needed("external")?,
                ports: fields.needed("ports")?,
            }),
            _ => return Err(RuleFieldError::Malformed("kind")),
        };
        Ok(Self {
            name,
            realm,
            sharing,
        })
    }
}

struct Fields<F>(F);

impl<F: FnMut(&str) -> Option<String>> Fields<F> {
    fn maybe<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, RuleFieldError> {
        let parse = |text: String| text.parse().map_err(|_| RuleFieldError::Malformed(name));
        (self.0)(name).map(parse).transpose()
    }

    fn needed<T: FromStr>(&mut self, name: &'static str) -> Result<T, RuleFieldError> {
        self.maybe(name)?.ok_or(RuleFieldError::Missing(name))
    }

    fn deterministic(&mut self) -> Result<DeterministicRule, RuleFieldError> {
        let inside = self.needed("inside")?;
        let outside = self.needed("outside")?;
        let Some(PortSet::Range(ports)) = self.maybe("ports")? else {
            return Err(RuleFieldError::Malformed("ports"));
        };
        let compression = self.needed("compression")?;
        let (each, dynamic) = match (self.maybe("ports_each")?, self.maybe("dynamic")?) {
            (Some(each), None) => (each, None),
            (None, dynamic) => {
                let dynamic = dynamic.unwrap_or(0);
                let each = DeterministicRule::ports_for(ports, compression, dynamic);
                (each, Some(dynamic))
            }
            (Some(_), Some(_)) => return Err(RuleFieldError::Malformed("dynamic")),
        };
        let told = DeterministicRule::new(inside, outside, ports, compression, each);
        let told = told.map_err(rule)?;
        Ok(match dynamic {
            Some(0) => told.without_rest(),
            _ => told,
        })
    }

    fn map(&mut self) -> Result<MapRule, RuleFieldError> {
        let (ipv6, ipv4) = (self.needed("ipv6")?, self.needed("ipv4")?);
        let ea_length = self.needed("ea_length")?;
        let offset = self.maybe("psid_offset")?;
        let offset = offset.unwrap_or(PortParameters::DEFAULT_OFFSET);
        let length = self.maybe("psid_length")?;
        match (length, self.maybe("psid")?) {
            (None, None) => MapRule::new(ipv6, ipv4, ea_length, offset).map_err(rule),
            (Some(length), Some(psid)) if ea_length == 0 => {
                let parameters = PortParameters::new(offset, length).map_err(rule)?;
                MapRule::with_psid(ipv6, ipv4, parameters, psid).map_err(rule)
            }
            _ => Err(RuleFieldError::Malformed("psid")),
        }
    }
}

fn rule(error: impl fmt::Display) -> RuleFieldError {
    RuleFieldError::Rule(error.to_string())
}

/// `192.0.2.1-192.0.2.9,198.51.100.7`.
impl fmt::Display for AddressRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (first, last)) in self.ranges().iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            write!(f, "{comma}{first}")?;
            if first != last {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

/// A text that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it cannot be read")]
pub struct Unreadable;

/// Addresses, ranges and prefixes, ascending, with commas between them.
impl FromStr for AddressRanges {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let range = |text: &str| {
            let text = text.trim();
            if let Some((first, last)) = text.split_once('-') {
                return Some((first.trim().parse().ok()?, last.trim().parse().ok()?));
            }
            if text.contains('/') {
                let net: Ipv4Net = text.parse().ok()?;
                return Some((net.network(), net.broadcast()));
            }
            let only = text.parse().ok()?;
            Some((only, only))
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        let ranges = ranges.filter(|ranges| ranges.len() <= MAX_RULE_RANGES);
        Self::new(ranges.ok_or(Unreadable)?).map_err(|_| Unreadable)
    }
}

/// `1024-2047,4096`, `psid 52 offset 6 length 8`, or `value 1024 mask 64512`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(f, "{range}"),
            Self::Psid(parameters, psid) => {
                let (offset, length) = (parameters.offset(), parameters.psid_length());
                write!(f, "psid {psid} offset {offset} length {length}")
            }
            Self::Mask(mask) => write!(f, "value {} mask {}", mask.value(), mask.mask()),
            Self::Listed(ranges) => {
                for (n, range) in ranges.iter().enumerate() {
                    let comma = if n > 0 { "," } else { "" };
                    write!(f, "{comma}{range}")?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for PortSet {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["psid", psid, "offset", offset, "length", length] => {
                let (offset, length) = (parsed(offset)?, parsed(length)?);
                let parameters = PortParameters::new(offset, length).map_err(|_| Unreadable)?;
                let psid = parsed(psid)?;
                if !parameters.has(psid) {
                    return Err(Unreadable);
                }
                Ok(Self::Psid(parameters, psid))
            }
            ["value", value, "mask", mask] => {
                Ok(Self::Mask(PortMask::new(parsed(value)?, parsed(mask)?)))
            }
            _ => {
                let range = |text: &str| {
                    let (first, last) = text.split_once('-').unwrap_or((text, text));
                    let (first, last) = (parsed(first.trim())?, parsed(last.trim())?);
                    PortRange::new(first, last).map_err(|_| Unreadable)
                };
                let ranges: Vec<_> = text.split(',').map(range).collect::<Result<_, _>>()?;
                if ranges.len() > MAX_RULE_RANGES {
                    return Err(Unreadable);
                }
                Ok(Self::listed(ranges))
            }
        }
    }
}

fn parsed<T: FromStr>(text: &str) -> Result<T, Unreadable> {
    text.parse().map_err(|_| Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(rule: &Rule) -> String {
        let fields = rule.fields().into_iter();
        let fields = fields.map(|(name, value)| match value {
            RuleValue::Text(text) => format!("{name}={text}"),
            RuleValue::Number(number) => format!("{name}={number}"),
        });
        fields.collect::<Vec<_>>().join("; ")
    }

    fn read(text: &str) -> Result<Rule, RuleFieldError> {
        let mut fields: Vec<_> = text
            .split("; ")
            .filter_map(|field| field.split_once('='))
            .collect();
        let read = Rule::from_fields(|name| {
            let place = fields.iter().position(|(known, _)| *known == name)?;
            Some(fields.remove(place).1.to_owned())
        });
        assert!(read.is_err() || fields.is_empty(), "{fields:?}");
        read
    }

    /// These are hashed: they stay.
    #[test]
    fn the_texts_are_what_they_were() {
        for text in [
            "rule=west; kind=deterministic; realm=default; inside=100.64.0.0/28; outside=192.0.2.1,192.0.2.8-192.0.2.9; ports=1024-65535; compression=16; ports_each=3584",
            "rule=west; kind=map; realm=default; ipv6=2001:db8::/40; ipv4=192.0.2.0/24; ea_length=16; psid_offset=6",
            "rule=west; kind=map; realm=default; ipv6=2001:db8:12:3400::/56; ipv4=192.0.2.18/32; ea_length=0; psid_offset=6; psid_length=8; psid=52",
            "rule=b; kind=softwire; realm=east; b4=2001:db8::1; external=192.0.2.1; ports=psid 52 offset 0 length 8",
            "rule=b; kind=port-set; realm=default; internal=100.64.0.9; external=192.0.2.1; ports=value 1024 mask 5120",
            "rule=b; kind=port-set; realm=default; internal=100.64.0.9; external=192.0.2.1; ports=1024-2047,4096",
        ] {
            assert_eq!(text_of(&read(text).unwrap()), text);
        }
    }

    #[test]
    fn people_may_say_less() {
        let told = read("rule=w; kind=deterministic; inside=198.51.100.0/28; outside=192.0.2.0/32; ports=1024-65535; compression=16; dynamic=2").unwrap();
        assert!(
            text_of(&told)
                .ends_with("outside=192.0.2.0; ports=1024-65535; compression=16; ports_each=3584")
        );
        // Without a dynamic pool, what the division leaves over is nobody's.
        let told = read("rule=w; kind=deterministic; inside=10.0.0.0/24; outside=192.0.2.0/30; ports=1024-65535; compression=100").unwrap();
        assert!(text_of(&told).ends_with("ports=1024-65523; compression=100; ports_each=645"));
        let told =
            read("rule=w; kind=map; ipv6=2001:db8::/40; ipv4=192.0.2.0/24; ea_length=16").unwrap();
        assert!(text_of(&told).ends_with("psid_offset=6"));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (text, wrong) in [
            ("kind=map", "'rule' is missing"),
            ("rule=w; kind=mop", "'kind' cannot be read"),
            (
                "rule=w; kind=map; ipv6=2001:db8::/40; ipv4=192.0.2.0/24",
                "'ea_length' is missing",
            ),
            (
                "rule=w; kind=map; ipv6=2001:db8::/40; ipv4=192.0.2.0/24; ea_length=25",
                "an offset is 0 to 15 bits",
            ),
            (
                "rule=w; kind=map; ipv6=2001:db8::/40; ipv4=192.0.2.0/24; ea_length=8; psid_length=8; psid=1",
                "'psid' cannot be read",
            ),
            (
                "rule=w; kind=softwire; b4=::1; external=192.0.2.1; ports=psid 256 offset 0 length 8",
                "'ports' cannot be read",
            ),
            (
                "rule=w; kind=softwire; b4=::1; external=192.0.2.1; ports=9-8",
                "'ports' cannot be read",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
        let many: Vec<_> = (0..=MAX_RULE_RANGES).map(|n| (n * 3).to_string()).collect();
        assert!(many.join(",").parse::<PortSet>().is_err());
    }

    /// A record's text in a segment is 4,096 bytes at most.
    #[test]
    fn the_longest_rule_fits_in_a_record() {
        let long = "x".repeat(64);
        let ranges: Vec<_> = (100..100 + MAX_RULE_RANGES as u8)
            .map(|n| format!("223.255.{n}.100-223.255.{n}.200"))
            .collect();
        let text = format!(
            "rule={long}; kind=deterministic; realm={long}; inside=100.64.0.0/22; outside={}; ports=1024-65535; compression=16; ports_each=3584",
            ranges.join(",")
        );
        let read = read(&text).unwrap();
        assert!(text_of(&read).len() < 3_600, "{}", text_of(&read).len());
    }
}
