//! What to change in Envoy's bootstrap.

use super::{Bootstrap, DEFAULT, FixError, Form, Logger, Manager, Node, OF_HEADER, Wish};
use crate::{
    Change, CommandLine,
    plan::{Plan, by_hand},
    text::indentation,
};

const FILE_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// The change for one instance.
pub(super) fn change(bootstrap: &Bootstrap, wish: Wish) -> Result<Change, FixError> {
    let mut plan = Plan::default();
    for manager in bootstrap.managers() {
        let mut lacking = manager.loggers().filter(|logger| {
            !Bootstrap::written(&manager, &logger.form()).1.are_enough()
                && !bootstrap.is_covered(&manager, logger)
        });
        if manager.loggers().next().is_none() {
            first(bootstrap, &manager, &mut plan)?;
            continue;
        }
        match (wish, lacking.next()) {
            (_, None) => {}
            (Wish::InPlace, Some(logger)) => {
                for logger in [logger].into_iter().chain(lacking) {
                    extended(bootstrap, &manager, &logger, &mut plan)?;
                }
            }
            (Wish::Parallel, Some(logger)) => {
                return Err(by_hand(
                    &bootstrap.place(logger.whole),
                    &format!(
                        "add a second logger to access_log by hand, with %START_TIME% and %{}%",
                        manager.endpoint()
                    ),
                ));
            }
        }
    }
    let remarks = match plan.is_empty() {
        true => Vec::new(),
        false => vec!["address and port are the last column, as 203.0.113.7:49152".to_owned()],
    };
    Ok(Change {
        edits: plan.edits(|_| &bootstrap.text)?,
        check: Some(CommandLine::new(
            "envoy",
            &["--mode", "validate", "-c", &bootstrap.path],
        )),
        reload: "restart Envoy (or its hot restarter)".to_owned(),
        remarks,
    })
}

/// The default format with the endpoint, as text in double quotes.
fn default_text(manager: &Manager<'_>) -> String {
    let text = DEFAULT.replace('"', "\\\"");
    format!("\"{text} %{}%\\n\"", manager.endpoint())
}

/// Gets the endpoint into a logger's format.
fn extended(
    bootstrap: &Bootstrap,
    manager: &Manager<'_>,
    logger: &Logger<'_>,
    plan: &mut Plan,
) -> Result<(), FixError> {
    let (path, text) = (bootstrap.path.as_str(), bootstrap.text.as_str());
    let endpoint = manager.endpoint();
    if let Some(hops) = manager.hops() {
        return Err(by_hand(
            &bootstrap.place(hops),
            "the client's address comes from a header that names no port: let the proxy send the PROXY protocol, with the listener filter envoy.filters.listener.proxy_protocol",
        ));
    }
    let form = logger.form();
    let is_of_header = match &form {
        Form::Text(text) => text.scalar().is_some_and(|text| text.contains(OF_HEADER)),
        Form::Json(json) => json.get(&["downstream_remote_address"]).is_some(),
        _ => false,
    };
    if is_of_header && manager.believes_header() {
        return Err(by_hand(
            &bootstrap.place(manager.node),
            "the address that is logged is what X-Forwarded-For says, from anybody: say use_remote_address: true here where clients connect to Envoy itself",
        ));
    }
    match form {
        Form::Text(format) => {
            let raw = text.get(format.range.clone()).unwrap_or_default();
            let trimmed = raw.trim_end();
            // In front of the end-of-line at the end.
            let end = match trimmed.strip_suffix('"') {
                Some(inside) => inside.strip_suffix("\\n").unwrap_or(inside).len(),
                None => trimmed.strip_suffix('\'').unwrap_or(trimmed).len(),
            };
            plan.insert(path, format.range.start + end, format!(" %{endpoint}%"));
        }
        Form::Json(json) => {
            let mut keys = vec![(endpoint.to_ascii_lowercase(), endpoint)];
            if json.get(&["start_time"]).is_none() {
                keys.push(("start_time".to_owned(), "START_TIME"));
            }
            for (key, operator) in keys {
                member(
                    bootstrap,
                    json,
                    &format!("\"{key}\": \"%{operator}%\""),
                    plan,
                )?;
            }
        }
        Form::Default => {
            let text = default_text(manager);
            let format = format!(
                "\"log_format\": {{\"text_format_source\": {{\"inline_string\": {text}}}}}"
            );
            member(bootstrap, logger.config, &format, plan)?;
        }
        Form::Other => {
            return Err(by_hand(
                &bootstrap.place(logger.whole),
                &format!(
                    "a logger of this kind is not read here: add a FileAccessLog beside it, with %START_TIME% and %{endpoint}%"
                ),
            ));
        }
    }
    Ok(())
}

/// A logger where there is none.
fn first(bootstrap: &Bootstrap, manager: &Manager<'_>, plan: &mut Plan) -> Result<(), FixError> {
    if manager.node.entry("access_log").is_some() {
        return Err(by_hand(
            &bootstrap.place(manager.node),
            "access_log is there and has no logger with a typed_config: add one by hand",
        ));
    }
    let text = default_text(manager);
    let log = format!(
        "\"access_log\": [{{\"name\": \"envoy.access_loggers.file\", \"typed_config\": {{\"@type\": \"{FILE_LOG}\", \"path\": \"/dev/stdout\", \"log_format\": {{\"text_format_source\": {{\"inline_string\": {text}}}}}}}}}]"
    );
    member(bootstrap, manager.node, &log, plan)
}

/// Puts a member in front of a mapping's first: what is written here is JSON, which is YAML too.
fn member(
    bootstrap: &Bootstrap,
    map: &Node,
    member: &str,
    plan: &mut Plan,
) -> Result<(), FixError> {
    let path = &bootstrap.path;
    let Some((first, _)) = map.entries().first() else {
        return Err(by_hand(
            &bootstrap.place(map),
            "there is nothing in this mapping",
        ));
    };
    let at = first.range.start;
    if map.is_in_braces() {
        plan.insert(path, at, format!("{member}, "));
    } else {
        // A key may stand behind the dash of a list.
        let text = &bootstrap.text;
        let line = indentation(text, at);
        let start = text
            .get(..at)
            .map_or(0, |before| before.rfind('\n').map_or(0, |it| it + 1));
        let depth = text
            .get(start..at)
            .map_or(0, |before| before.chars().count());
        let rest = " ".repeat(depth.saturating_sub(line.chars().count()));
        plan.insert(path, at, format!("{member}\n{line}{rest}"));
    }
    Ok(())
}
