//! What to change in server.xml.

use roxmltree::{Document, Node};

use super::{FixError, Valve, Wish, is_one_port, place, remote_ip, valves};
use crate::{
    Change, WrittenZone,
    plan::{Plan, by_hand},
    text::indentation,
};

const COMMON: &str = "%h %l %u %t &quot;%r&quot; %s %b";
const COMBINED: &str =
    "%h %l %u %t &quot;%r&quot; %s %b &quot;%{Referer}i&quot; &quot;%{User-Agent}i&quot;";
const PORT: &str = " %{remote}p";

/// One line a request: `connection` in all but the server's address, which Tomcat does not tell.
const CONNECTION: &str = "%{msec}t %a %{remote}p - %{local}p -";

/// The change for one instance.
pub(super) fn change(
    document: &Document<'_>,
    path: &str,
    text: &str,
    wish: Wish,
) -> Result<Change, FixError> {
    if let Some(node) = remote_ip(document) {
        return Err(by_hand(
            &place(path, node),
            "the client's address comes from a header that names no port: log the port in the proxy, or let it send AJP with AJP_REMOTE_PORT",
        ));
    }
    let mut plan = Plan::default();
    let is_one_port = is_one_port(document);
    let valves = valves(document, path);
    let mut covered: Vec<Node<'_, '_>> = Vec::new();
    let lacking = valves
        .iter()
        .filter(|valve| !valve.records(is_one_port).are_enough() && !valve.is_covered(is_one_port));
    let (telling, other): (Vec<_>, Vec<_>) =
        lacking.partition(|valve| valve.records(is_one_port).source_address);
    for valve in telling.into_iter().chain(other) {
        if valve.node.ancestors().any(|it| covered.contains(&it)) {
            continue;
        }
        let records = valve.records(is_one_port);
        let is_certain = matches!(records.zone, WrittenZone::Utc | WrittenZone::Offset);
        let is_own = wish == Wish::Parallel || !records.source_address || !is_certain;
        match is_own {
            true => beside(&mut plan, path, text, valve),
            false => in_place(&mut plan, path, text, valve)?,
        }
        if is_own || !valve.is_conditional() {
            covered.extend(valve.node.parent());
        }
    }
    if valves.is_empty() {
        first_valves(&mut plan, document, path, text)?;
    }
    let mut remarks = Vec::new();
    if !plan.is_empty() {
        remarks.push(
            "lines are written in blocks and not in the order of time; ipv6Canonical=\"true\" in the valve shortens IPv6 addresses".to_owned(),
        );
    }
    Ok(Change {
        edits: plan.edits(|_| text)?,
        check: None,
        reload: "restart Tomcat (its own check is 'catalina.sh configtest', as its user)"
            .to_owned(),
        remarks,
    })
}

fn in_place(
    plan: &mut Plan,
    path: &str,
    text: &str,
    valve: &Valve<'_, '_>,
) -> Result<(), FixError> {
    let Some(pattern) = valve.node.attribute_node("pattern") else {
        let end = start_tag_end(text, valve.node);
        plan.insert(path, end, format!(" pattern=\"{COMMON}{PORT}\""));
        return Ok(());
    };
    let range = pattern.range_value();
    let as_written = text.get(range.clone()).unwrap_or_default();
    match (pattern.value(), as_written) {
        ("common", "common") => plan.add(path, range, format!("{COMMON}{PORT}")),
        ("combined", "combined") => plan.add(path, range, format!("{COMBINED}{PORT}")),
        (value, _) if value != "common" && value != "combined" => {
            plan.insert(path, range.end, PORT);
        }
        _ => {
            let why = "the pattern is written with entities: change it by hand";
            return Err(by_hand(&place(path, valve.node), why));
        }
    }
    Ok(())
}

/// A second valve behind the first.
fn beside(plan: &mut Plan, path: &str, text: &str, valve: &Valve<'_, '_>) {
    let range = valve.node.range();
    let indentation = indentation(text, range.start);
    let as_written = |name: &str, default: &str| {
        let attribute = valve.node.attribute_node(name);
        let written = attribute.and_then(|attribute| text.get(attribute.range_value()));
        written.unwrap_or(default).replace('"', "&quot;")
    };
    let directory = as_written("directory", "logs");
    let prefix = as_written("prefix", "access_log");
    plan.insert(
        path,
        range.end,
        format!(
            "\n{indentation}<Valve className=\"org.apache.catalina.valves.AccessLogValve\" directory=\"{directory}\"\n{indentation}       prefix=\"{prefix}_connections\" suffix=\".log\" pattern=\"{CONNECTION}\" />"
        ),
    );
}

/// Every virtual host gets a log.
fn first_valves(
    plan: &mut Plan,
    document: &Document<'_>,
    path: &str,
    text: &str,
) -> Result<(), FixError> {
    let hosts = document
        .descendants()
        .filter(|node| node.has_tag_name("Host"));
    let mut is_any = false;
    for host in hosts {
        let whole = text.get(host.range()).unwrap_or_default();
        let Some(end) = whole.rfind("</Host") else {
            let why = "this host has no room for a valve (it ends in '/>'): add one by hand";
            return Err(by_hand(&place(path, host), why));
        };
        is_any = true;
        let at = host.range().start + end;
        let indentation = indentation(text, host.range().start);
        let prefix = match host.attribute_node("name") {
            Some(name) => text.get(name.range_value()).unwrap_or("localhost"),
            None => "localhost",
        };
        let prefix = prefix.replace('"', "&quot;");
        plan.insert(
            path,
            at,
            format!(
                "  <Valve className=\"org.apache.catalina.valves.AccessLogValve\" directory=\"logs\"\n{indentation}         prefix=\"{prefix}_access_log\" suffix=\".txt\"\n{indentation}         pattern=\"{COMMON}{PORT}\" />\n{indentation}"
            ),
        );
    }
    match is_any {
        true => Ok(()),
        false => Err(FixError::ByHand {
            why: format!("{path}: there is no Host to put an AccessLogValve into"),
        }),
    }
}

/// Where the start tag's own text ends, before its `>` or `/>`.
fn start_tag_end(text: &str, node: Node<'_, '_>) -> usize {
    let last = node
        .attributes()
        .map(|attribute| attribute.range().end)
        .max();
    last.unwrap_or_else(|| {
        let tag = text.get(node.range()).unwrap_or_default();
        let length = tag.find([' ', '/', '>', '\n', '\t']).unwrap_or(tag.len());
        // Behind the `<` and the name.
        node.range().start + length.max(1)
    })
}
