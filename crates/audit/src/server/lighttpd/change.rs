//! What to change in lighttpd's configuration.

use super::{DEFAULT, Files, FixError, Wish, header_believed, logs};
use crate::{
    Change, CommandLine,
    plan::{Plan, by_hand},
    text::indentation,
};

/// The change for one instance.
pub(super) fn change(files: &Files, path: &str, wish: Wish) -> Result<Change, FixError> {
    if let Some(forwarder) = header_believed(files) {
        return Err(by_hand(
            &forwarder.place,
            "the client's address comes from a header that names no port: let the proxy send the PROXY protocol, with 'extforward.hap-PROXY = \"enable\"'",
        ));
    }
    let logs = logs(files);
    let lacking: Vec<_> = logs
        .iter()
        .filter(|log| !log.records(files).are_enough())
        .collect();
    if let (Wish::Parallel, Some(log)) = (wish, lacking.first()) {
        return Err(by_hand(
            &log.filename.place,
            "lighttpd writes one access log: the port can only go into it, as the last column",
        ));
    }
    let mut plan = Plan::default();
    let mut extended = Vec::new();
    let port_format = format!("\"{} %{{remote}}p\"", DEFAULT.replace('"', "\\\""));
    for log in &lacking {
        let file = &log.filename.place.file;
        let Some(format) = log.format else {
            let text = files.text(file);
            let indentation = indentation(text, log.filename.range.start);
            let with = format!("\n{indentation}accesslog.format = {port_format}");
            plan.insert(file, log.filename.range.end, with);
            continue;
        };
        let (Some(last), Some(_)) = (&format.last, &format.text) else {
            return Err(by_hand(
                &format.place,
                "the format is put together from variables: add %{remote}p to its end by hand",
            ));
        };
        if !extended.contains(&&format.place) {
            extended.push(&format.place);
            plan.insert(&format.place.file, last.end - 1, " %{remote}p");
        }
    }
    if logs.is_empty() {
        let text = files.text(path);
        let gap = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let with = format!(
            "{gap}server.modules += ( \"mod_accesslog\" )\naccesslog.filename = \"/var/log/lighttpd/access.log\"\naccesslog.format = {port_format}\n"
        );
        plan.insert(path, text.len(), with);
    }
    let mut remarks = Vec::new();
    if !plan.is_empty() {
        remarks.push(
            "the port is the last column; the clock of lighttpd's lines may be almost two seconds behind".to_owned(),
        );
    }
    Ok(Change {
        edits: plan.edits(|file| files.text(file))?,
        check: Some(CommandLine::new("lighttpd", &["-tt", "-f", path])),
        reload: "systemctl reload lighttpd".to_owned(),
        remarks,
    })
}
