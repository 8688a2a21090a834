//! Envoy: the access logs of each HTTP connection manager and TCP proxy in its bootstrap.

mod change;

use std::time::Duration;

use portledger_model::Moment;
use portledger_servers::{Format, WrittenZone, config::Place};

use super::{
    FixError, Instance, Log, LookError, Server, Wish, facts, guide,
    tree::{self, Node},
};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, text, version_in},
};

/// Envoy.
#[derive(Debug)]
pub(super) struct Envoy;

/// What is written where no format is named: nothing of who connected.
const DEFAULT: &str = r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#;

/// What names the client by a header where one is believed.
const OF_HEADER: &str = "%DOWNSTREAM_REMOTE_";

impl Server for Envoy {
    fn facts(&self) -> &'static Facts {
        facts!("envoy.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("envoy.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &["/etc/envoy/envoy.yaml", "/etc/envoy/envoy.json"]
    }

    fn claims(&self, _: &str, text: &str) -> bool {
        text.contains("envoy.extensions.filters.network")
            || text.contains("static_resources") && text.contains("listeners")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let bootstrap = Bootstrap::read(machine, path)?;
        let mut findings = Vec::new();
        let mut logs: Vec<Log> = Vec::new();
        for manager in bootstrap.managers() {
            if manager.loggers().next().is_none() {
                findings.push(Finding::at(
                    Rule::NoLog,
                    &bootstrap.place(manager.node),
                    "connections here are not logged at all",
                ));
            }
            for logger in manager.loggers() {
                let log = bootstrap.log(&manager, logger, &mut findings);
                if !logs
                    .iter()
                    .any(|known| known.path == log.path && known.format == log.format)
                {
                    logs.push(log);
                }
            }
        }
        let said = machine.run("envoy", &["--version"]);
        Ok(Instance {
            version: said.and_then(|output| version_in(&output.stdout)),
            config: vec![path.to_owned()],
            logs,
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, wish: Wish) -> Result<Change, FixError> {
        let bootstrap = Bootstrap::read(machine, path)?;
        change::change(&bootstrap, wish)
    }
}

/// The configuration that Envoy starts with.
struct Bootstrap {
    path: String,
    text: String,
    root: Node,
}

/// What handles connections and can log them.
struct Manager<'a> {
    node: &'a Node,
    is_http: bool,
}

/// One access logger.
struct Logger<'a> {
    whole: &'a Node,
    config: &'a Node,
}

/// How a logger writes.
enum Form<'a> {
    Default,
    Text(&'a Node),
    Json(&'a Node),
    /// One that is not read here.
    Other,
}

impl<'a> Manager<'a> {
    fn loggers(&self) -> impl Iterator<Item = Logger<'a>> {
        let logs = self.node.get(&["access_log"]);
        let logs = logs.map_or(&[][..], Node::items);
        logs.iter().filter_map(|whole| {
            let config = whole.get(&["typed_config"])?;
            Some(Logger { whole, config })
        })
    }

    /// Whether the client's address may be what a header says, and the port then 0.
    fn believes_header(&self) -> bool {
        self.is_http
            && (self.hops().is_some() || self.node.text(&["use_remote_address"]) != Some("true"))
    }

    /// Proxies in front whose header is believed.
    fn hops(&self) -> Option<&'a Node> {
        let hops = self.node.get(&["xff_num_trusted_hops"])?;
        hops.scalar().filter(|number| *number != "0").map(|_| hops)
    }

    /// What is certain to be of who connected.
    fn endpoint(&self) -> &'static str {
        match self.believes_header() {
            true => "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
            false => "DOWNSTREAM_REMOTE_ADDRESS",
        }
    }
}

impl<'a> Logger<'a> {
    fn form(&self) -> Form<'a> {
        let kind = self.config.text(&["@type"]).unwrap_or_default();
        let is_text = ["FileAccessLog", "StdoutAccessLog", "StderrAccessLog"]
            .iter()
            .any(|name| kind.ends_with(name));
        if !is_text {
            return Form::Other;
        }
        let format = self.config.get(&["log_format"]);
        let text = format.and_then(|format| {
            format
                .get(&["text_format_source", "inline_string"])
                .or_else(|| format.get(&["text_format"]))
        });
        let json = format.and_then(|format| format.get(&["json_format"]));
        let old = self.config.get(&["format"]);
        match (
            text.or(old),
            json.or(self.config.get(&["json_format"])),
            format,
        ) {
            (Some(text), ..) if text.scalar().is_some() => Form::Text(text),
            (_, Some(json), _) => Form::Json(json),
            (None, None, None) => Form::Default,
            _ => Form::Other,
        }
    }

    fn path(&self) -> &str {
        self.config.text(&["path"]).unwrap_or("stdout")
    }
}

impl Bootstrap {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let text = text(machine, path)?;
        let root = tree::yaml(path, &text)?;
        Ok(Self {
            path: path.to_owned(),
            text,
            root,
        })
    }

    fn place(&self, node: &Node) -> Place {
        tree::place(&self.path, &self.text, node.range.start)
    }

    fn managers(&self) -> Vec<Manager<'_>> {
        let mut managers = Vec::new();
        self.root.walk(&mut |node| {
            let kind = node.text(&["@type"]).unwrap_or_default();
            let is_http = kind.ends_with(".HttpConnectionManager");
            if is_http || kind.ends_with(".TcpProxy") {
                managers.push(Manager { node, is_http });
            }
        });
        managers
    }

    /// The format as `--format` takes it, and what it records.
    fn written(manager: &Manager<'_>, form: &Form<'_>) -> (Option<String>, Records) {
        let (format, mut records) = match form {
            Form::Default => (Some(format!("envoy:{DEFAULT}")), None),
            Form::Text(text) => (text.scalar().map(|text| format!("envoy:{text}")), None),
            Form::Json(json) => {
                let records = of_json(json);
                let name = records.are_enough().then(|| "envoy-json".to_owned());
                (name, Some(records))
            }
            Form::Other => (None, None),
        };
        let parsed = format.as_deref().and_then(|it| Format::parse(it).ok());
        if records.is_none() {
            records = parsed.as_ref().and_then(Records::of);
        }
        let mut records = records.unwrap_or(Records::NOTHING);
        // The port is 0 where the address comes from a header.
        let is_of_header = match form {
            Form::Json(json) => json.get(&["downstream_remote_address"]).is_some(),
            _ => format.as_deref().is_some_and(|it| it.contains(OF_HEADER)),
        };
        records.source_port &= !(is_of_header && manager.believes_header());
        (format.filter(|_| parsed.is_some()), records)
    }

    fn log(&self, manager: &Manager<'_>, logger: Logger<'_>, findings: &mut Vec<Finding>) -> Log {
        let place = self.place(logger.whole);
        let (format, records) = Self::written(manager, &logger.form());
        if format.is_none() {
            let message = match logger.form() {
                Form::Default => "the default format says nothing of who connected",
                Form::Json(_) => {
                    "lines of JSON are read here by the keys start_time and downstream_remote_address"
                }
                _ => "lines of this format are not read here",
            };
            findings.push(Finding::at(Rule::Unreadable, &place, message));
        }
        if logger.whole.get(&["filter"]).is_some() {
            findings.push(Finding::at(
                Rule::Incomplete,
                &place,
                "only requests that the filter lets through are logged",
            ));
        }
        if let Some(hops) = manager.hops() {
            findings.push(Finding::at(
                Rule::PortLost,
                &self.place(hops),
                "the client's address comes from X-Forwarded-For, which names no port: let the proxy send the PROXY protocol, with the listener filter envoy.filters.listener.proxy_protocol",
            ));
        } else if manager.believes_header() {
            findings.push(Finding::at(
                Rule::UntrustedProxy,
                &self.place(manager.node),
                "without use_remote_address: true the client's address is what X-Forwarded-For says, from anybody, and its port is 0: %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% is who connected",
            ));
        }
        let path = logger.path().to_owned();
        Log {
            is_file: path.starts_with('/') && !path.starts_with("/dev/"),
            path,
            records,
            is_covered: self.is_covered(manager, &logger),
            format,
        }
    }

    /// Whether another logger of the same connections has what is needed.
    fn is_covered(&self, manager: &Manager<'_>, logger: &Logger<'_>) -> bool {
        let written = |logger: &Logger<'_>| Self::written(manager, &logger.form()).1;
        !written(logger).are_enough()
            && manager.loggers().any(|other| {
                !std::ptr::eq(other.whole, logger.whole)
                    && other.whole.get(&["filter"]).is_none()
                    && written(&other).are_enough()
            })
    }
}

/// What lines of JSON record, by the keys that are read.
fn of_json(json: &Node) -> Records {
    let is = |key: &str, operator: &str| {
        let value = json.text(&[key]);
        value.is_some_and(|value| value.trim_matches('%') == operator)
    };
    let has_endpoint = is("downstream_remote_address", "DOWNSTREAM_REMOTE_ADDRESS")
        || is(
            "downstream_direct_remote_address",
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        );
    let has_time = is("start_time", "START_TIME");
    Records {
        source_address: has_endpoint,
        source_port: has_endpoint,
        time_utc: has_time,
        resolution: has_time.then_some(Duration::from_millis(1)),
        transport: true,
        destination_port: is("downstream_local_address", "DOWNSTREAM_LOCAL_ADDRESS"),
        zone: match has_time {
            true => WrittenZone::Utc,
            false => WrittenZone::Missing,
        },
        moment: has_time.then_some(Moment::RequestStart),
    }
}

#[cfg(test)]
mod tests;
