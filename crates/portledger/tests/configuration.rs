//! The configuration's document and the program say the same.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail by panicking, as tests do.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

/// A configuration that works, to be spoiled.
const SOUND: &str = r#"device = "cgn1"
[pool]
addresses = ["203.0.113.0/28"]
[[realm]]
name = "default"
inside = ["100.64.0.0/16"]
"#;

#[test]
fn every_example_works() {
    let shipped = [text("packaging/nat.toml")];
    let written = ["README.md", "docs/configuration.md", "docs/nat-run.md"].map(examples);
    assert_eq!(written[1].len(), 8, "examples in docs/configuration.md");
    for example in written.into_iter().flatten().chain(shipped) {
        assert_eq!(replayed(&example).unwrap_err_or_empty(), "", "{example}");
    }
}

#[test]
fn the_examples_have_every_key() {
    let tables: Vec<toml::Table> = examples("docs/configuration.md")
        .iter()
        .map(|example| example.parse().unwrap())
        .collect();
    let top = known_keys("");
    assert_eq!(keys(&tables), top);
    for name in &top {
        let (inner, header): (Vec<toml::Table>, _) = match tables.iter().find_map(|t| t.get(name)) {
            Some(toml::Value::Table(_)) => (parts(&tables, name), format!("[{name}]")),
            Some(toml::Value::Array(_)) => (parts(&tables, name), format!("[[{name}]]")),
            _ => continue,
        };
        let known = known_keys(&header);
        assert_eq!(keys(&inner), known, "{header}");
    }
}

#[test]
fn the_tables_of_the_document_have_every_key() {
    let document = text("docs/configuration.md");
    let rows: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|key| key.rsplit('.').next().unwrap_or(key))
        .collect();
    let tables: Vec<toml::Table> = examples("docs/configuration.md")
        .iter()
        .map(|example| example.parse().unwrap())
        .collect();
    let mut expected = BTreeSet::new();
    for (name, value) in tables.iter().flatten() {
        if matches!(value, toml::Value::String(_)) {
            expected.insert(name.as_str());
        }
    }
    let inner: Vec<_> = keys(&tables)
        .into_iter()
        .map(|name| keys(&parts(&tables, &name)))
        .collect();
    expected.extend(inner.iter().flatten().map(String::as_str));
    assert_eq!(rows, expected);
}

#[test]
fn what_cannot_work_is_refused_with_its_place() {
    for (spoilt, place) in [
        ("[blocks]\nsize = 100", "blocks.size: 100"),
        ("[blocks]\nguard_time = '60s'", "blocks.guard_time: 60 s"),
        ("[blocks]\nsiez = 128", "line 8, column 1"),
        ("[timers]\nudp = 'soon'", "line 8, column 7"),
        ("[timers]\nudp = '30s'", "timers.udp: 30 s"),
        (
            "[timers.udp_by_port]\n5000 = '10s'",
            "timers.udp_by_port: 5000",
        ),
        (
            "[timers.udp_by_port]\ndns = '10s'",
            "timers.udp_by_port: 'dns'",
        ),
        ("[ports]\nrange = '1024'", "line 8, column 9"),
        ("[ports]\nrange = '0-65535'", "ports.range: 0-65535"),
        ("[limits]\nblocks = 65", "limits.blocks: 65"),
        ("[limits]\nrate = 0", "limits.rate: 0"),
        ("[limits]\nudp_ports = 0", "limits.udp_ports: 0"),
        ("[limits]\nmappings = 0", "limits.mappings: 0"),
        (
            "[clocks]\nservers = '60s'",
            "raise blocks.guard_time above 120.2 s",
        ),
        ("[nat]\ninside_mtu = 20", "nat.inside_mtu: 20"),
        ("[ledger]\nheartbeat = '0s'", "ledger.heartbeat"),
        ("[ledger]\ninterim = '10ms'", "ledger.interim"),
        (
            "[[realm]]\nname = 'default'\ninside = []",
            "realm: 'default' is there twice",
        ),
        ("[[realm]]\nname = 'b c'\ninside = []", "realm name 'b c'"),
        (
            "[[realm]]\nname = 'b'\ninside = ['203.0.113.0/24']",
            "realm.inside: 203.0.113.0/24",
        ),
        (
            "[deterministic]\ninside = '100.64.0.0/16'\ncompression = 8",
            "deterministic: 100.64.0.0/16 has 65536 addresses",
        ),
        (
            "[[export]]\nname = '../x'\nformat = 'json'\ntransport = 'file'\ntarget = 'x'",
            "export '../x': '../x' cannot name a target",
        ),
        (
            "[[export]]\nname = 'a'\nformat = 'netflow9'\ntransport = 'tcp'\ntarget = 'c:1'",
            "export 'a': transport: netflow9 does not go over tcp; it goes over udp",
        ),
        (
            "[[export]]\nname = 'a'\nformat = 'ipfix'\ntransport = 'udp'\ntarget = 'c'",
            "export 'a': target: 'c' is not a host and a port",
        ),
        (
            "[[export]]\nname = 'a'\nformat = 'ipfix'\ntransport = 'tls'\ntarget = 'c:1'",
            "export 'a': ca: TLS needs to know whom to believe",
        ),
        (
            "[[export]]\nname = 'a'\nformat = 'json'\ntransport = 'tls'\ntarget = 'c:1'\nca = 'x'\nkey = 'y'",
            "export 'a': certificate: it goes together with its 'key'",
        ),
        (
            "[[export]]\nname = 'a'\nformat = 'ipfix'\ntransport = 'tcp'\ntarget = 'c:1'\nca = 'x'",
            "export 'a': ca: means nothing for this format and transport; it is for tls",
        ),
        (
            "[[export]]\nname = 'a'\nformat = 'ipfix'\ntransport = 'tcp'\ntarget = 'c:1'\nkeep = '10ms'",
            "export 'a': keep: shorter than 1 s",
        ),
        (
            "[[export]]\nname = 'a'\nformat = 'json'\ntransport = 'file'\ntarget = 'x'\n[[export]]\nname = 'a'\nformat = 'json'\ntransport = 'file'\ntarget = 'y'",
            "export 'a': 'a' is there twice",
        ),
        (
            "[[static]]\ninternal = '100.64.0.1:80'\nexternal = '192.0.2.1:80'\ntransport = 'tcp'",
            "static mapping to 192.0.2.1:80",
        ),
    ] {
        let message = replayed(&format!("{SOUND}{spoilt}\n")).unwrap_err_or_empty();
        assert!(message.contains("nat.toml: "), "{spoilt}: {message}");
        assert!(message.contains(place), "{spoilt}: {message}");
    }
}

/// What is needed, and what belongs to another mode.
#[test]
fn modes_and_keys_that_do_not_go_together_are_refused() {
    let stateful = |mode: &str, inside: &str, rest: &str| {
        let pool = "[pool]\naddresses = ['203.0.113.0/28']";
        let realm = format!("[[realm]]\nname = 'default'\ninside = ['{inside}']");
        format!("device = 'a'\nmode = '{mode}'\n{pool}\n{realm}\n{rest}\n")
    };
    let (v4, v6) = ("100.64.0.0/16", "2001:db8:100::/40");
    let nat64 = |rest: &str| {
        let own = "[nat64]\nown_address = '2001:db8::64'";
        stateful("nat64", v6, &format!("{own}\n{rest}"))
    };
    let aftr = |rest: &str| {
        let address = "[aftr]\naddress = '2001:db8::1'";
        stateful("aftr", v6, &format!("{address}\n{rest}"))
    };
    let relay = |mode: &str, rest: &str| {
        let table = "[relay]\naddress = '2001:db8::1'";
        format!("device = 'a'\nmode = '{mode}'\n{table}\n{rest}\n")
    };
    let rule = "[[rule]]\nipv6 = '2001:db8::/44'\nipv4 = '192.0.2.0/24'\nea_length = 12";
    let binding = "[[binding]]\nb4 = '2001:db8::5'\nipv4 = '192.0.2.1'";
    for (file, told) in [
        (stateful("nat46", v4, ""), "line 2, column 8"),
        (
            stateful("nat44", v6, ""),
            "realm.inside: 2001:db8:100::/40; where mode = \"nat44\", the inside is IPv4",
        ),
        (
            stateful("nat64", v6, ""),
            "nat64: missing; mode = \"nat64\" needs it",
        ),
        (
            stateful("nat44", v4, "[nat64]\nown_address = '2001:db8::64'"),
            "nat64: means nothing where mode = \"nat44\"; it is for nat64",
        ),
        (nat64("prefix = '64:ff9b::/95'"), "nat64.prefix: /95"),
        (
            nat64("prefix = '2001:db8:100::/96'"),
            "realm.inside: 2001:db8:100::/40 meets",
        ),
        (nat64("subscriber_prefix = 0"), "nat64.subscriber_prefix: 0"),
        (nat64("ipv6_mtu = 1279"), "nat64.ipv6_mtu: 1279"),
        (
            nat64("[nat]\ninside_mtu = 1500"),
            "nat.inside_mtu: means nothing where mode = \"nat64\"; it is for nat44",
        ),
        (
            nat64(
                "[[static]]\ninternal = '10.0.0.1:80'\nexternal = '203.0.113.1:80'\ntransport = 'tcp'",
            ),
            "static mapping to 203.0.113.1:80",
        ),
        (aftr("ipv6_mtu = 1000"), "aftr.ipv6_mtu: 1000"),
        (aftr("hop_limit = 0"), "aftr.hop_limit: 0"),
        (aftr("mss = 3"), "aftr.mss: 3"),
        (aftr("[nat]\nexempt = ['10.0.0.0/8']"), "nat.exempt: "),
        (
            stateful("map-e", v6, ""),
            "pool: means nothing where mode = \"map-e\"; it is for nat44, nat64, aftr",
        ),
        (
            relay("map-e", ""),
            "rule: missing; mode = \"map-e\" needs it",
        ),
        (
            relay("lw4o6", ""),
            "binding: missing; mode = \"lw4o6\" needs it",
        ),
        (
            relay("lw4o6", rule),
            "rule: means nothing where mode = \"lw4o6\"",
        ),
        (
            relay("lw4o6", "bindings_file = 'none.csv'"),
            "none.csv: cannot read it",
        ),
        (
            relay("lw4o6", "bindings_file = 'nat.toml'"),
            "nat.toml, line 1: column 'device = 'a'' is not known here",
        ),
        (
            relay("map-e", &format!("bindings_file = 'bindings.csv'\n{rule}")),
            "relay.bindings_file: means nothing where mode = \"map-e\"; it is for lw4o6",
        ),
        (
            relay(
                "map-t",
                &format!("prefix = '64:ff9b::/96'\n{rule}\n[reassembly]"),
            ),
            "reassembly: means nothing where mode = \"map-t\"; it is for aftr, map-e, lw4o6",
        ),
        (
            aftr("[reassembly]\nbytes = 65534"),
            "nat.toml: reassembly.bytes: too little",
        ),
        (
            aftr("[reassembly]\ntime = '61s'"),
            "nat.toml: reassembly.time: 61 s",
        ),
        (
            relay("map-e", &format!("{rule}\n[followed]\nof_customer = 0")),
            "nat.toml: followed: 0 would follow",
        ),
        (
            relay("map-e", &format!("{rule}\n[followed]\ntime = '61s'")),
            "nat.toml: followed.time: 61 s",
        ),
        (
            nat64("unsummed_bytes = 65534"),
            "nat64.unsummed_bytes: 65534",
        ),
        (relay("map-t", rule), "relay.prefix: missing"),
        (
            relay("map-e", &format!("prefix = '64:ff9b::/96'\n{rule}")),
            "relay.prefix: means nothing where mode = \"map-e\"; it is for map-t",
        ),
        (
            relay("map-e", &format!("ipv6_mtu = 1000\n{rule}")),
            "relay.ipv6_mtu: 1000;",
        ),
        (
            relay("map-e", &rule.replace("12", "49")),
            "rule 2001:db8::/44: 49 EA bits",
        ),
        (
            relay("map-e", &format!("{rule}\npsid = 3")),
            "rule 2001:db8::/44: psid and psid_length go together",
        ),
        (
            relay("lw4o6", &format!("{binding}\npsid_length = 2\npsid = 4")),
            "binding 2001:db8::5: psid: 4 does not fit in 2 bits",
        ),
        (
            relay(
                "lw4o6",
                &format!("{binding}\n{}", binding.replace("::5", "::6")),
            ),
            "relay: ",
        ),
    ] {
        let message = replayed(&file).unwrap_err_or_empty();
        assert!(message.contains("nat.toml: "), "{file}: {message}");
        assert!(message.contains(told), "{file}: {message}");
    }
}

#[test]
fn the_examples_of_exports_work() {
    let text = text("docs/export.md");
    let blocks = text.split("\n```toml\n").skip(1);
    let examples: Vec<_> = blocks
        .filter_map(|rest| rest.split("\n```").next())
        .collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let whole = format!("{SOUND}{example}\n");
        assert_eq!(replayed(&whole).unwrap_err_or_empty(), "", "{example}");
    }
}

#[test]
fn certificates_that_cannot_be_read_are_told_before_anything_runs() {
    let export = "[ledger]\npath = '/nonexistent/ledger'\n[[export]]\nname = 'siem'\nformat = 'syslog'\ntransport = 'tls'\ntarget = 'siem.example.org:6514'\nca = '/nonexistent/ca.pem'\n";
    let (_folder, path) = written(&format!("{SOUND}{export}"));
    let ended = portledger(&["nat", "run", "-c", &path]);
    assert_eq!(ended.status.code(), Some(2));
    let message = String::from_utf8_lossy(&ended.stderr);
    let told = "nat.toml: export 'siem': /nonexistent/ca.pem: cannot read certificates";
    assert!(message.contains(told), "{message}");
}

#[test]
fn nothing_runs_without_a_ledger() {
    let (_folder, path) = written(SOUND);
    let ended = portledger(&["nat", "run", "-c", &path]);
    assert_eq!(ended.status.code(), Some(2));
    let message = String::from_utf8_lossy(&ended.stderr);
    assert!(
        message.contains("nat.toml: ledger.path is missing"),
        "{message}"
    );
}

/// The keys that the program knows in the table with this header: it lists them when it meets
/// another.
fn known_keys(header: &str) -> BTreeSet<String> {
    let message = replayed(&format!("{header}\nx = 1\n")).unwrap_err_or_empty();
    let (_, list) = message.split_once("unknown field `x`, expected ").unwrap();
    let names = list.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

fn keys(tables: &[toml::Table]) -> BTreeSet<String> {
    tables
        .iter()
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// The tables of that name.
fn parts(tables: &[toml::Table], name: &str) -> Vec<toml::Table> {
    let mut parts = Vec::new();
    for value in tables.iter().filter_map(|table| table.get(name)) {
        match value {
            toml::Value::Table(table) => parts.push(table.clone()),
            toml::Value::Array(list) => {
                parts.extend(list.iter().filter_map(toml::Value::as_table).cloned());
            }
            _ => {}
        }
    }
    parts
}

/// What a replay of nothing says of the configuration.
fn replayed(configuration: &str) -> Replayed {
    let (folder, path) = written(configuration);
    let capture = folder.path().join("empty.pcap");
    // A classic capture of raw IP, without a packet.
    let mut header = vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header.extend([0xFF, 0xFF, 0, 0, 101, 0, 0, 0]);
    fs::write(&capture, header).unwrap();
    let capture = capture.to_string_lossy().into_owned();
    let ended = portledger(&["nat", "replay", "-c", &path, "--inside", &capture]);
    let message = String::from_utf8_lossy(&ended.stderr).into_owned();
    match ended.status.code() {
        Some(0) => Replayed(Ok(())),
        Some(2) => Replayed(Err(message)),
        other => panic!("exit status {other:?}: {message}"),
    }
}

/// Accepted, or refused with a message.
struct Replayed(Result<(), String>);

impl Replayed {
    fn unwrap_err_or_empty(self) -> String {
        self.0.err().unwrap_or_default()
    }
}

fn portledger(arguments: &[&str]) -> std::process::Output {
    let program = env!("CARGO_BIN_EXE_portledger");
    Command::new(program).args(arguments).output().unwrap()
}

fn written(configuration: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nat.toml");
    fs::write(&path, configuration).unwrap();
    fs::write(folder.path().join("bindings.csv"), bindings()).unwrap();
    let path = path.to_string_lossy().into_owned();
    (folder, path)
}

/// The file of bindings that the document shows.
fn bindings() -> String {
    let text = text("docs/configuration.md");
    let (_, rest) = text.split_once("\n```csv\n").unwrap();
    let (bindings, _) = rest.split_once("```").unwrap();
    bindings.to_owned()
}

/// The blocks of TOML in a document that are whole configurations.
fn examples(document: &str) -> Vec<String> {
    let text = text(document);
    let blocks = text.split("\n```toml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("\n```").next());
    let whole = blocks.filter(|block| block.contains("device = "));
    whole.map(str::to_owned).collect()
}

/// A file of the repository.
fn text(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap()
}
