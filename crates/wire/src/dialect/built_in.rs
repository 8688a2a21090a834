//! The dialects of `data/dialects`.

use super::Dialect;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../data/dialects/", $name)))),*]
    };
}

pub(super) const FILES: &[(&str, &str)] = files![
    "a10.toml",
    "cisco-asa.toml",
    "cisco-ios.toml",
    "cisco-ios-xr.toml",
    "conntrack.toml",
    "f5.toml",
    "fortinet.toml",
    "jool.toml",
    "juniper.toml",
    "mikrotik.toml",
    "nat444.toml",
    "netfilter-log.toml",
    "netscaler.toml",
    "nfware.toml",
    "nokia.toml",
    "sixwind.toml",
    "ulogd.toml",
    "vpp.toml",
    "vyos.toml",
];

/// All of them. A test holds that each can be read, so none is left out here.
pub(super) fn all() -> Vec<Dialect> {
    FILES
        .iter()
        .filter_map(|(name, text)| Dialect::parse(name, text).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_dialect_can_be_read_and_says_where_it_comes_from() {
        for (name, text) in FILES {
            let dialect = Dialect::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(format!("{}.toml", dialect.name()), *name);
            assert!(dialect.sources().next().is_some(), "{name}");
        }
    }
}
