//! Debian's readers of access logs, on what real servers wrote before and after `portledger fix`: what reads on, and
//! what needs the port in a log of its own.
#![forbid(unsafe_code)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portledger_e2e::survey::{self, Place, Surveyed, client};
use portledger_e2e::{Failure, file, prerequisite, process, read};
use serde_json::Value;

/// How many requests a run makes.
const REQUESTS: u16 = 24;

const AWSTATS: &str = "/usr/lib/cgi-bin/awstats.pl";

/// What a server wrote of the same requests before and after the change.
struct Logs {
    place: Place,
    before: PathBuf,
    after: PathBuf,
}

impl Logs {
    /// `None` where a program is missing.
    fn of(name: &str, readers: &[&str], options: &[&str]) -> Result<Option<Self>, Failure> {
        let all = survey::all();
        let Some(server) = all.into_iter().find(|server| server.name() == name) else {
            return Err(Failure::Missing(format!("no survey of {name}")));
        };
        let programs = [server.programs(), readers].concat();
        if !prerequisite::met_with_portledger(&programs)? {
            return Ok(None);
        }
        let place = Place::new(name)?;
        server.set_up(&place)?;
        let before = requested(server, &place, 42_000, "before.log")?;
        let config = server.config(&place).display().to_string();
        let backups = survey::below(&place, "backups");
        let mut arguments = vec!["fix", "--apply", "--backups", &backups];
        arguments.extend(["--server", name]);
        arguments.extend(options);
        arguments.push(&config);
        survey::portledger(&place, &arguments)?.succeeded()?;
        let after = requested(server, &place, 43_000, "after.log")?;
        Ok(Some(Self {
            place,
            before,
            after,
        }))
    }

    /// What a program says of each of the two, which it finds by the `{}` in its arguments.
    fn said(&self, program: &str, arguments: &[&str]) -> Result<[String; 2], Failure> {
        let of = |log: &Path| {
            let name = log.display().to_string();
            let mut command = Command::new(program);
            command
                .args(arguments.iter().map(|word| word.replace("{}", &name)))
                .current_dir(&self.place.folder);
            let finished = process::finish(&mut command, Duration::from_secs(60))?;
            Ok::<String, Failure>(finished.stdout + &finished.stderr)
        };
        Ok([of(&self.before)?, of(&self.after)?])
    }
}

/// The server's log of some requests: ordinary ones, ones for what is not there, ones of a known bad agent.
fn requested(
    server: &dyn Surveyed,
    place: &Place,
    first_port: u16,
    name: &str,
) -> Result<PathBuf, Failure> {
    let old = fs::read(server.log(place)).map_or(0, |bytes| bytes.len());
    let mut running = server.start(place)?;
    for number in 0..REQUESTS {
        let address = match number % 2 {
            0 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let path = match number % 3 {
            0 => "/phpmyadmin/index.php",
            _ => "/index.html",
        };
        let agent = match number % 4 {
            0 => "EmailSiphon",
            _ => "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        };
        let stream =
            client::connect_from(SocketAddr::new(address, first_port + number), place.port)?;
        client::ask(
            stream,
            &format!(
                "GET {path} HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
            ),
        )?;
    }
    let _ = running.terminate(Duration::from_secs(20));
    let log = file(&server.log(place), |path| fs::read(path))?;
    let fresh = String::from_utf8_lossy(log.get(old..).unwrap_or_default()).into_owned();
    assert_eq!(fresh.lines().count(), usize::from(REQUESTS), "{fresh}");
    place.write(name, &fresh)
}

/// The lines of a text that have one of these words.
fn lines_with(text: &str, words: &[&str]) -> Vec<String> {
    let wanted = |line: &&str| words.iter().any(|word| line.contains(word));
    text.lines().filter(wanted).map(str::to_owned).collect()
}

/// What GoAccess counts: requests and hosts of a log in which every line is valid.
fn goaccess(logs: &Logs) -> Result<(), Failure> {
    let arguments = [
        "--no-global-config",
        "--log-format=COMBINED",
        "-o",
        "{}.json",
        "{}",
    ];
    logs.said("goaccess", &arguments)?;
    let report = |log: &Path| {
        let text = read(&PathBuf::from(format!("{}.json", log.display())))?;
        let report: Value = serde_json::from_str(&text).map_err(|_| Failure::Unexpected {
            what: "GoAccess' report".to_owned(),
            text,
        })?;
        assert_eq!(report["general"]["valid_requests"], REQUESTS);
        let hits = |panel: &str| {
            let data = report[panel]["data"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let row = |row: &Value| (row["data"].to_string(), row["hits"]["count"].to_string());
            let mut rows: Vec<(String, String)> = data.iter().map(row).collect();
            rows.sort();
            assert!(!rows.is_empty());
            rows
        };
        Ok::<_, Failure>((hits("hosts"), hits("browsers")))
    };
    assert_eq!(report(&logs.after)?, report(&logs.before)?);
    Ok(())
}

/// What AWStats takes and what it refuses, with its own `LogFormat=1`.
fn awstats(logs: &Logs) -> Result<(), Failure> {
    let mut counts = Vec::new();
    for (name, log) in [("before", &logs.before), ("after", &logs.after)] {
        let folder = survey::below(&logs.place, &format!("awstats-{name}"));
        logs.place.write(
            &format!("awstats-{name}/awstats.{name}.conf"),
            &format!(
                "LogFile=\"{}\"\nLogType=W\nLogFormat=1\nSiteDomain=\"www.example.org\"\nHostAliases=\"www.example.org\"\nDNSLookup=0\nDirData=\"{folder}\"\n",
                log.display()
            ),
        )?;
        let mut command = Command::new(AWSTATS);
        command.args([
            "-update",
            &format!("-config={name}"),
            &format!("-configdir={folder}"),
        ]);
        let said = process::finish(&mut command, Duration::from_secs(60))?.stdout;
        let found = lines_with(&said, &["corrupted records", "new qualified records"]);
        assert_eq!(found.len(), 2, "{said}");
        assert!(said.contains("Found 0 corrupted records"), "{said}");
        counts.push(found);
    }
    assert_eq!(counts[0], counts[1]);
    Ok(())
}

/// What a filter of fail2ban matches in the two.
fn fail2ban(logs: &Logs, filter: &str) -> Result<[String; 2], Failure> {
    let said = logs.said("fail2ban-regex", &["{}", filter])?;
    Ok(said.map(|text| {
        let lines = lines_with(&text, &["Lines: "]);
        assert_eq!(lines.len(), 1, "{text}");
        // What follows is how long it took.
        lines[0].split('[').next().unwrap_or_default().to_owned()
    }))
}

/// What Analog takes and what it refuses.
fn analog(logs: &Logs) -> Result<[Vec<String>; 2], Failure> {
    let arguments = ["-G", "+COUTPUT PLAIN", "+CLANGUAGE ENGLISH", "{}"];
    let words = [
        "uccessful requests:",
        "orrupt logfile lines:",
        "ailed requests:",
    ];
    Ok(logs
        .said("analog", &arguments)?
        .map(|text| lines_with(&text, &words)))
}

#[test]
fn goaccess_and_awstats_read_on() -> Result<(), Failure> {
    for server in ["nginx", "apache"] {
        if let Some(logs) = Logs::of(server, &["goaccess", AWSTATS], &[])? {
            assert_ne!(read(&logs.before)?.len(), read(&logs.after)?.len());
            goaccess(&logs)?;
            awstats(&logs)?;
        }
    }
    Ok(())
}

#[test]
fn fail2bans_filters_for_nginx_read_on() -> Result<(), Failure> {
    let Some(logs) = Logs::of("nginx", &["fail2ban-regex"], &[])? else {
        return Ok(());
    };
    let [before, after] = fail2ban(&logs, "nginx-botsearch")?;
    assert!(before.contains(" 8 matched"), "{before}");
    assert_eq!(after, before);
    Ok(())
}

#[test]
fn analog_and_apache_badbots_want_the_port_in_a_log_of_its_own() -> Result<(), Failure> {
    let readers = ["analog", "fail2ban-regex"];
    if let Some(logs) = Logs::of("apache", &readers, &[])? {
        let [before, after] = fail2ban(&logs, "apache-badbots")?;
        assert!(before.contains(" 6 matched"), "{before}");
        assert!(after.contains(" 0 matched"), "{after}");
        let [before, after] = analog(&logs)?;
        assert!(!before.is_empty());
        assert_ne!(after, before);
    }
    if let Some(logs) = Logs::of("apache", &readers, &["--parallel"])? {
        let [before, after] = fail2ban(&logs, "apache-badbots")?;
        assert!(before.contains(" 6 matched"), "{before}");
        assert_eq!(after, before);
        let [before, after] = analog(&logs)?;
        assert!(!before.is_empty());
        assert_eq!(after, before);
    }
    Ok(())
}
