//! nginx's configuration: `log_format` and `access_log`.

use super::{
    ConfigError, Definition, Definitions, Include, Log,
    nginx_syntax::{Directive, parse},
    undefined,
};
use crate::{
    Format, FormatError,
    pattern::nginx::{COMBINED, Module},
};

/// Reads an nginx configuration: its `log_format`s, and which `access_log` uses which.
///
/// # Errors
/// When the text is no nginx configuration, or an include cannot be followed.
pub fn nginx(file: &str, text: &str, include: Include<'_>) -> Result<Definitions, ConfigError> {
    let directives = with_modules(parse(file, text, include, 0)?);
    let mut walk = Walk::default();
    for (module, name) in [(Module::Http, "http"), (Module::Stream, "stream")] {
        for directive in directives.iter().filter(|directive| directive.is(name)) {
            walk.formats(directive, module);
            walk.logs(directive, &Scope::of_module(module));
        }
    }
    Ok(walk.definitions)
}

/// A file of `sites-enabled` or `conf.d` is what some `http` block includes.
fn with_modules(directives: Vec<Directive>) -> Vec<Directive> {
    let is_part =
        |directive: &Directive| ["server", "log_format", "access_log"].contains(&directive.word(0));
    match directives.iter().find(|directive| is_part(directive)) {
        Some(first) => vec![Directive {
            words: vec!["http".to_owned()],
            place: first.place.clone(),
            block: Some(directives),
        }],
        None => directives,
    }
}

#[derive(Default)]
struct Walk {
    definitions: Definitions,
    modules: Vec<Module>,
}

/// What a block inherits.
struct Scope {
    module: Module,
    context: String,
    /// The logs in effect, as indices into [`Definitions::logs`].
    logs: Inherited,
}

#[derive(Clone)]
enum Inherited {
    Logs(Vec<usize>),
    /// The log that nginx writes when the configuration names none.
    Default,
}

impl Scope {
    fn of_module(module: Module) -> Self {
        Self {
            module,
            context: String::new(),
            logs: match module {
                Module::Http => Inherited::Default,
                Module::Stream => Inherited::Logs(Vec::new()),
            },
        }
    }
}

impl Walk {
    fn formats(&mut self, block: &Directive, module: Module) {
        for directive in block.block().iter().filter(|child| child.is("log_format")) {
            let text = format_text(directive.words.get(2..).unwrap_or_default());
            self.modules.push(module);
            self.definitions.formats.push(Definition {
                name: directive.word(1).to_owned(),
                format: Format::nginx_of(&text, module),
                text,
                place: directive.place.clone(),
            });
        }
    }

    /// An inner `access_log` replaces all outer ones.
    fn logs(&mut self, block: &Directive, outer: &Scope) {
        let context = context(&outer.context, block);
        let own: Vec<&Directive> = block
            .block()
            .iter()
            .filter(|child| child.is("access_log"))
            .collect();
        let logs = if own.is_empty() {
            outer.logs.clone()
        } else {
            Inherited::Logs(
                own.iter()
                    .filter_map(|log| self.log(log, outer.module))
                    .collect(),
            )
        };
        let logs = match logs {
            Inherited::Default if block.is("server") => {
                Inherited::Logs(vec![self.default_log(block)])
            }
            logs => logs,
        };
        if !own.is_empty() || block.is("server") {
            self.in_effect(&logs, &context);
        }
        let scope = Scope {
            module: outer.module,
            context,
            logs,
        };
        for child in block.block().iter().filter(|child| child.block.is_some()) {
            self.logs(child, &scope);
        }
    }

    fn in_effect(&mut self, logs: &Inherited, context: &str) {
        if let Inherited::Logs(logs) = logs {
            for log in logs {
                if let Some(log) = self.definitions.logs.get_mut(*log) {
                    log.contexts.push(context.to_owned());
                }
            }
        }
    }

    fn log(&mut self, directive: &Directive, module: Module) -> Option<usize> {
        if directive.word(1) == "off" {
            return None;
        }
        let named = match directive.word(2) {
            "" => "combined",
            named => named,
        };
        Some(self.add(directive.word(1), named, directive, module))
    }

    fn default_log(&mut self, server: &Directive) -> usize {
        self.add("logs/access.log", "combined", server, Module::Http)
    }

    fn add(&mut self, path: &str, named: &str, directive: &Directive, module: Module) -> usize {
        let format = self.format(named, module);
        self.definitions.logs.push(Log {
            path: path.to_owned(),
            named: named.to_owned(),
            format,
            place: directive.place.clone(),
            contexts: Vec::new(),
        });
        self.definitions.logs.len() - 1
    }

    fn format(&self, named: &str, module: Module) -> Result<Format, FormatError> {
        let mut known = self.definitions.formats.iter().zip(&self.modules);
        match known.rfind(|(known, of)| known.name == named && **of == module) {
            Some((definition, _)) => definition.format.clone(),
            None if named == "combined" && module == Module::Http => {
                Format::nginx_of(COMBINED, module)
            }
            None => Err(undefined(named)),
        }
    }
}

/// The words of a `log_format` after its name, as [`Format::nginx`] takes them.
fn format_text(words: &[String]) -> String {
    match words {
        [escape, text @ ..] if escape.starts_with("escape=") => {
            format!("{escape} {}", text.concat())
        }
        text => text.concat(),
    }
}

fn context(outer: &str, block: &Directive) -> String {
    let name = if block.is("server") {
        let named = block.block().iter().find(|child| child.is("server_name"));
        format!("server {}", named.map_or("", |named| named.word(1)))
            .trim_end()
            .to_owned()
    } else {
        block.words.join(" ")
    };
    match outer {
        "" => name,
        outer => format!("{outer} > {name}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::tests::show;

    const MAIN: &str = r#"# a comment { with ; marks
user www-data;
http {
    log_format port '$remote_addr - $remote_user [$time_local] "$request" '
                    '$status $body_bytes_sent "$http_referer" '
                    '"$http_user_agent" $remote_port';
    log_format exact escape=json "{\"at\":$msec,\"client\":\"${remote_addr}\",\"port\":\"$remote_port\"}";
    log_format none '$request';
    map $x $y { default 1; ~^/a\{2\} 2; }
    access_log /var/log/nginx/access.log port buffer=32k;
    include sites/*;
    server {
        server_name inherits.example.org;
        location /quiet { access_log off; }
        location /own { access_log logs/own.log exact if=$y; if ($z) { return 404; } }
        content_by_lua_block { local t = { "}" } -- }
        }
    }
    server { server_name none.example.org; access_log /var/log/nginx/none.log none; access_log syslog:server=192.0.2.1 gone; }
}
stream {
    log_format port '$remote_addr $remote_port [$time_local] $protocol $session_time';
    access_log /var/log/nginx/stream.log port;
    server { listen 53 udp; }
}
"#;

    fn sites(name: &str) -> Result<Vec<(String, String)>, String> {
        match name {
            "sites/*" => Ok(vec![(
                "sites/a".to_owned(),
                "server { server_name a.example.org;\n access_log /var/log/nginx/a.log; }"
                    .to_owned(),
            )]),
            _ => Err("no such file".to_owned()),
        }
    }

    #[test]
    fn logs_have_the_formats_that_are_in_effect() {
        let definitions = nginx("nginx.conf", MAIN, &mut sites).unwrap();
        insta::assert_snapshot!(show(&definitions));
    }

    #[test]
    fn without_any_access_log_the_default_is_written() {
        let definitions = nginx("nginx.conf", "http { server { } }", &mut sites).unwrap();
        insta::assert_snapshot!(show(&definitions));
    }

    #[test]
    fn a_file_that_http_includes_is_read_by_itself() {
        let text = "server { server_name a.example.org; access_log /var/log/a.log elsewhere; }";
        let definitions = nginx("sites/a", text, &mut sites).unwrap();
        insta::assert_snapshot!(show(&definitions));
    }

    #[test]
    fn a_path_has_its_format() {
        let definitions = nginx("nginx.conf", MAIN, &mut sites).unwrap();
        let of = |path| match definitions.format_of(path) {
            Ok(format) => format
                .name()
                .chars()
                .rev()
                .take(24)
                .collect::<Vec<_>>()
                .iter()
                .rev()
                .collect(),
            Err(error) => error.to_string(),
        };
        let paths = [
            "/var/log/nginx/access.log",
            "/var/log/nginx/access.log.12.gz",
            "copies/access.log-20261121",
            "/etc/nginx/logs/own.log",
            "/var/log/nginx/none.log",
            "/var/log/nginx/other.log",
        ];
        let lines: Vec<String> = paths
            .iter()
            .map(|path| format!("{path}: {}", of(path)))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text| nginx("n.conf", text, &mut sites).unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                "http {\n server {\n}",
                "http {\n log_format x 'y;\n}",
                "http {}\n}",
                "http {\n include gone;\n}",
                "user x",
            ]
            .map(error)
            .join("\n")
        );
        let mut itself = |_: &str| Ok(vec![("n.conf".to_owned(), "include x;".to_owned())]);
        assert!(nginx("n.conf", "include x;", &mut itself).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([a-z$ ;{}'\"\\\\#\n]|http|server|access_log |log_format |include ){0,60}") {
            let _ = nginx("x", &text, &mut sites);
        }
    }
}
