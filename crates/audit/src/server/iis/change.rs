//! What to change in applicationHost.config.

use roxmltree::{Document, Node};

use super::{FixError, Site, child, list, place, sites};
use crate::{
    Change, Wish,
    plan::{Plan, by_hand},
    text::indentation,
};

const FIELD: &str =
    r#"<add logFieldName="c-port" sourceName="REMOTE_PORT" sourceType="ServerVariable" />"#;

/// The change for one instance.
pub(super) fn change(
    document: &Document<'_>,
    path: &str,
    text: &str,
    wish: Wish,
) -> Result<Change, FixError> {
    let mut plan = Plan::default();
    let sites = sites(document, path);
    let lacking: Vec<_> = sites
        .iter()
        .filter(|site| site.is_enabled() && !site.records().are_enough())
        .collect();
    for site in &lacking {
        let why = match (site.is_w3c(), wish) {
            (false, _) => "only W3C's form has room for a port: set logFormat to W3C first",
            (true, Wish::Parallel) => {
                "a site writes one log: the port goes into it, as its last column"
            }
            (true, Wish::InPlace) => continue,
        };
        return Err(by_hand(&place(path, site.node), why));
    }
    // Once for all sites, and again where a site throws away what all have.
    let clears = |site: &&Site<'_, '_>| {
        let own = site.own().and_then(|log| child(log, "customFields"));
        own.is_some_and(|fields| {
            fields
                .children()
                .any(|it| it.has_tag_name("clear") || it.has_tag_name("remove"))
        })
    };
    let (own, common): (Vec<_>, Vec<_>) = lacking.iter().copied().partition(clears);
    for site in own {
        if let Some(log) = site.own() {
            into_log(&mut plan, path, text, log);
        }
    }
    if let (false, Some(list)) = (common.is_empty(), list(document)) {
        into_all(&mut plan, path, text, list);
    }
    let mut remarks = Vec::new();
    if !plan.is_empty() {
        remarks.push(
            "needs IIS 8.5 or newer; a new file begins, and names of files end in _x from then on"
                .to_owned(),
        );
    }
    Ok(Change {
        edits: plan.edits(|_| text)?,
        check: None,
        reload: "IIS takes the change up by itself when the file is written".to_owned(),
        remarks,
    })
}

fn into_all(plan: &mut Plan, path: &str, text: &str, list: Node<'_, '_>) {
    let fields = format!("<customFields>{FIELD}</customFields>");
    let Some(defaults) = child(list, "siteDefaults") else {
        let new = format!("<siteDefaults><logFile>{fields}</logFile></siteDefaults>");
        inside(plan, path, text, list, &new);
        return;
    };
    match child(defaults, "logFile") {
        Some(log) => into_log(plan, path, text, log),
        None => inside(
            plan,
            path,
            text,
            defaults,
            &format!("<logFile>{fields}</logFile>"),
        ),
    }
}

fn into_log(plan: &mut Plan, path: &str, text: &str, log: Node<'_, '_>) {
    match child(log, "customFields") {
        Some(fields) => inside(plan, path, text, fields, FIELD),
        None => inside(
            plan,
            path,
            text,
            log,
            &format!("<customFields>{FIELD}</customFields>"),
        ),
    }
}

/// Puts `new` at the end of what is in an element, which may be written as empty.
fn inside(plan: &mut Plan, path: &str, text: &str, node: Node<'_, '_>, new: &str) {
    let range = node.range();
    let whole = text.get(range.clone()).unwrap_or_default();
    let outer = indentation(text, range.start);
    let name = node.tag_name().name();
    // Between what ends the start tag and the end tag, if there is one.
    match whole.strip_suffix("/>") {
        Some(tag) => {
            let at = range.start + tag.trim_end().len();
            let with = format!(">\n{outer}    {new}\n{outer}</{name}>");
            plan.add(path, at..range.end, with);
        }
        None => {
            let at = range.start + whole.rfind("</").unwrap_or(whole.len());
            let line = text
                .get(..at)
                .map_or(0, |before| before.rfind('\n').map_or(0, |it| it + 1));
            let is_alone = text.get(line..at).is_some_and(|it| it.trim().is_empty());
            match is_alone {
                true => plan.insert(path, at, format!("    {new}\n{outer}")),
                false => plan.insert(path, at, new),
            }
        }
    }
}
