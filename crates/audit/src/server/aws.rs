//! Amazon's load balancers and CloudFront, which have no configuration on a machine: what their
//! command line prints of them can be audited, and a person makes the change with it.

use std::time::Duration;

use portledger_model::Moment;
use portledger_servers::{Format, WrittenZone};
use serde_json::Value;

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, text},
};

/// Application Load Balancer: what `aws elbv2 describe-load-balancer-attributes` prints.
#[derive(Debug)]
pub(super) struct Alb;

/// Network Load Balancer: the same of another kind.
#[derive(Debug)]
pub(super) struct Nlb;

/// CloudFront: what `aws cloudfront get-distribution-config` prints.
#[derive(Debug)]
pub(super) struct CloudFront;

const ATTRIBUTES: &str = "aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN --attributes Key=access_logs.s3.enabled,Value=true Key=access_logs.s3.bucket,Value=BUCKET";

/// The value of an attribute of a load balancer.
fn attribute<'a>(root: &'a Value, key: &str) -> Option<&'a str> {
    let attributes = root.get("Attributes")?.as_array()?;
    let mut attributes = attributes.iter();
    let found = attributes.find(|it| it.get("Key").and_then(Value::as_str) == Some(key))?;
    found.get("Value")?.as_str()
}

/// Whether it describes a balancer of HTTP, or another; `None` of anything else.
fn is_of_http(text: &str) -> Option<bool> {
    let root: Value = serde_json::from_str(text).ok()?;
    let attributes = root.get("Attributes")?.as_array()?;
    let is_about = |start: &str| {
        attributes.iter().any(|it| {
            let key = it.get("Key").and_then(Value::as_str);
            key.is_some_and(|key| key.starts_with(start))
        })
    };
    is_about("access_logs.s3.").then(|| is_about("routing.http"))
}

fn read(machine: &dyn Machine, path: &str) -> Result<Value, LookError> {
    let text = text(machine, path)?;
    serde_json::from_str(&text)
        .map_err(|error| LookError::Syntax(format!("{path}: this is no JSON: {error}")))
}

fn instance(path: &str, log: Option<Log>, findings: Vec<Finding>) -> Instance {
    Instance {
        version: None,
        config: vec![path.to_owned()],
        logs: log.into_iter().collect(),
        findings,
    }
}

/// The log of a load balancer, where it is turned on.
fn balancer(root: &Value, format: &str, moment: Moment) -> Option<Log> {
    if attribute(root, "access_logs.s3.enabled") != Some("true") {
        return None;
    }
    let bucket = attribute(root, "access_logs.s3.bucket").unwrap_or_default();
    let prefix = attribute(root, "access_logs.s3.prefix").unwrap_or_default();
    let mut records = Format::named(format)
        .ok()
        .and_then(|format| Records::of(&format))
        .unwrap_or(Records::NOTHING);
    // Microseconds for requests, whole seconds for connections.
    records.resolution = Some(match moment {
        Moment::RequestEnd => Duration::from_micros(1),
        _ => Duration::from_secs(1),
    });
    records.moment = Some(moment);
    Some(Log {
        path: format!("s3://{bucket}/{prefix}"),
        is_file: false,
        records,
        is_covered: false,
        format: Some(format.to_owned()),
    })
}

/// Nothing to change, or what a person has to do.
fn turned_on(
    server: &dyn Server,
    machine: &dyn Machine,
    path: &str,
    how: &str,
) -> Result<Change, FixError> {
    let instance = server.look(machine, path)?;
    match instance.logs.is_empty() {
        true => Err(FixError::ByHand {
            why: format!("this program does not change what is in a cloud: {how}"),
        }),
        false => Ok(Change {
            edits: Vec::new(),
            check: None,
            reload: String::new(),
            remarks: Vec::new(),
        }),
    }
}

impl Server for Alb {
    fn facts(&self) -> &'static Facts {
        facts!("aws-alb.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("aws-alb.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[]
    }

    fn claims(&self, _: &str, text: &str) -> bool {
        is_of_http(text) == Some(true)
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let root = read(machine, path)?;
        let mut findings = Vec::new();
        if attribute(&root, "routing.http.xff_client_port.enabled") != Some("true") {
            findings.push(Finding::new(
                Rule::Remark,
                "servers behind see the balancer's port and learn the client's address alone: routing.http.xff_client_port.enabled=true puts the client's port into X-Forwarded-For",
            ));
        }
        let mut log = balancer(&root, "aws-alb", Moment::RequestEnd);
        if let Some(log) = &mut log {
            // Times end in Z.
            (log.records.time_utc, log.records.zone) = (true, WrittenZone::Utc);
        }
        Ok(instance(path, log, findings))
    }

    /// Nothing is changed here: what is on is told, what is not is a person's.
    fn promise(&self) -> Promise {
        Promise::Nothing
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        turned_on(self, machine, path, ATTRIBUTES)
    }
}

impl Server for Nlb {
    fn facts(&self) -> &'static Facts {
        facts!("aws-nlb.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("aws-nlb.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[]
    }

    fn claims(&self, _: &str, text: &str) -> bool {
        is_of_http(text) == Some(false)
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let root = read(machine, path)?;
        let mut log = balancer(&root, "aws-nlb-tls", Moment::Logged);
        let mut findings = Vec::new();
        if let Some(log) = &mut log {
            // The documentation shows times without a zone and does not name one.
            (log.records.time_utc, log.records.zone) = (false, WrittenZone::Local);
            findings.push(Finding::new(
                Rule::Incomplete,
                "only connections to TLS listeners are logged: for others keep the client's address (preserve_client_ip) or send the PROXY protocol (proxy_protocol_v2.enabled), and log in the servers",
            ));
        }
        Ok(instance(path, log, findings))
    }

    /// Nothing is changed here: what is on is told, what is not is a person's.
    fn promise(&self) -> Promise {
        Promise::Nothing
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        let how = format!(
            "{ATTRIBUTES}; only TLS listeners are logged, and with times that name no zone: log in the servers behind"
        );
        match turned_on(self, machine, path, &how) {
            Ok(_) => Err(FixError::ByHand {
                why: "the log is on, and its times name no zone: give it when the log is read, and log in the servers behind".to_owned(),
            }),
            other => other,
        }
    }
}

impl Server for CloudFront {
    fn facts(&self) -> &'static Facts {
        facts!("cloudfront.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("cloudfront.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[]
    }

    fn claims(&self, _: &str, text: &str) -> bool {
        serde_json::from_str::<Value>(text)
            .is_ok_and(|root| root.get("DistributionConfig").is_some())
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let root = read(machine, path)?;
        let logging = root
            .get("DistributionConfig")
            .and_then(|it| it.get("Logging"));
        let text = |name: &str| {
            logging
                .and_then(|it| it.get(name)?.as_str())
                .unwrap_or_default()
        };
        let is_on = logging.and_then(|it| it.get("Enabled")?.as_bool()) == Some(true);
        let log = is_on.then(|| Log {
            path: format!("s3://{}/{}", text("Bucket"), text("Prefix")),
            is_file: false,
            records: Records {
                source_address: true,
                source_port: true,
                time_utc: true,
                resolution: Some(Duration::from_secs(1)),
                transport: true,
                destination_port: false,
                zone: WrittenZone::Utc,
                moment: Some(Moment::RequestEnd),
            },
            is_covered: false,
            format: Some("cloudfront".to_owned()),
        });
        Ok(instance(path, log, Vec::new()))
    }

    /// Nothing is changed here: what is on is told, what is not is a person's.
    fn promise(&self) -> Promise {
        Promise::Nothing
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        let how = "set Logging.Enabled, Bucket and Prefix in the distribution's configuration and give it back with 'aws cloudfront update-distribution'; standard logs have c-port, real-time logs where the field is chosen";
        turned_on(self, machine, path, how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, fixed, survives, told};

    const PATH: &str = "/attributes.json";
    const ALB: &str = r#"{"Attributes": [
  {"Key": "access_logs.s3.enabled", "Value": "true"},
  {"Key": "access_logs.s3.bucket", "Value": "logs"},
  {"Key": "access_logs.s3.prefix", "Value": "web"},
  {"Key": "routing.http.xff_client_port.enabled", "Value": "false"}
]}"#;
    const CLOUDFRONT: &str = r#"{"ETag": "E", "DistributionConfig": {"Logging": {"Enabled": true, "Bucket": "logs", "Prefix": "cf/"}}}"#;

    #[test]
    fn what_is_exported_can_be_audited() {
        let nlb = ALB.replace("routing.http.", "load_balancing.");
        let texts: [(&'static dyn Server, &str); 3] =
            [(&Alb, ALB), (&Nlb, &nlb), (&CloudFront, CLOUDFRONT)];
        let mut all = String::new();
        for (server, text) in texts {
            assert!(server.claims(PATH, text));
            let others = super::super::all()
                .iter()
                .filter(|other| other.claims(PATH, text));
            assert_eq!(others.count(), 1);
            for text in [text.to_owned(), text.replace("true", "false")] {
                let image = Image::default().with(PATH, &text);
                let fix = fixed(server, &image, PATH, Wish::InPlace);
                all += &format!("{}{fix}\n", told(server, &image, PATH));
            }
            survives(server, &Image::default().with(PATH, text), PATH);
        }
        insta::assert_snapshot!(all);
    }
}
