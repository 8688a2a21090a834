//! syslog-ng's configuration, where one filter names the facility and one destination a file.

use super::Route;

/// `log { source(s); filter(f_mail); destination(d_mail); };` with the statements it names.
pub(super) fn route(text: &str, facility: &str) -> Option<Route> {
    let statements = statements(text);
    let body = |kind: &str, name: &str| {
        let mut all = statements.iter();
        all.find(|(of, called, _)| of == kind && called == name)
            .map(|(_, _, body)| body.as_str())
    };
    let is_wanted = |name: &str| {
        body("filter", name).is_some_and(|filter| {
            let positive = arguments(filter, "facility");
            positive
                .iter()
                .flat_map(|list| list.split(','))
                .any(|word| word.trim() == facility)
                && !filter.contains("not facility")
        })
    };
    let file = statements
        .iter()
        .filter(|(kind, ..)| kind == "log")
        .filter(|(.., log)| arguments(log, "filter").iter().any(|name| is_wanted(name)))
        .flat_map(|(.., log)| arguments(log, "destination"))
        .find_map(|name| {
            let files = arguments(body("destination", &name)?, "file");
            let file = files.first()?.trim();
            Some(file.trim_start_matches('"').split('"').next()?.to_owned())
        })?;
    let formats = [arguments(text, "ts-format"), arguments(text, "ts_format")].concat();
    let is_exact = formats
        .iter()
        .any(|form| matches!(form.trim(), "iso" | "rfc3339"));
    let is_plain = file.starts_with('/') && !file.contains('$');
    is_plain.then(|| match is_exact {
        true => Route::exact(&file),
        false => Route::traditional(&file),
    })
}

/// What stands in the brackets behind every `name(`.
fn arguments(text: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(name) {
        let is_word = at == 0
            || !text
                .as_bytes()
                .get(at - 1)
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let rest = text.get(at + name.len()..).unwrap_or_default();
        if let Some(inside) = rest.trim_start().strip_prefix('(').filter(|_| is_word) {
            found.extend(inside.split(')').next().map(str::to_owned));
        }
    }
    found
}

/// `kind name { body };`, without comments.
fn statements(text: &str) -> Vec<(String, String, String)> {
    let plain: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    let mut rest = plain.as_str();
    while let Some(open) = rest.find('{') {
        let head = rest.get(..open).unwrap_or_default();
        let head = head.rsplit([';', '}']).next().unwrap_or_default();
        let mut words = head.split_whitespace();
        let inside = rest.get(open + 1..).unwrap_or_default();
        let mut depth = 1_usize;
        let end = inside.find(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let end = end.unwrap_or(inside.len());
        found.push((
            words.next().unwrap_or_default().to_owned(),
            words.next().unwrap_or_default().to_owned(),
            inside.get(..end).unwrap_or_default().to_owned(),
        ));
        rest = inside.get(end + 1..).unwrap_or_default();
    }
    found
}
