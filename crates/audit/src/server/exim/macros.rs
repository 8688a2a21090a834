//! The main section of an Exim configuration: macros, conditions on them, and options.

use crate::lines::{Line, Lines};

/// What the main section says.
#[derive(Debug, Default)]
pub(super) struct Main {
    pub(super) macros: Vec<Named>,
    pub(super) options: Vec<Named>,
}

/// A macro or an option, its value with macros put in, and its line among all.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) at: usize,
}

impl Main {
    /// Reads up to the first `begin`.
    pub(super) fn of(lines: &Lines) -> Self {
        let mut main = Self::default();
        // Of each open condition: whether its lines count.
        let mut conditions: Vec<bool> = Vec::new();
        for (at, line) in lines.all.iter().enumerate() {
            let mut words = line.text.split_whitespace();
            let (first, second) = (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            );
            match first {
                ".ifdef" | ".ifndef" => {
                    conditions.push(main.is_defined(second) == (first == ".ifdef"))
                }
                ".elifdef" | ".elifndef" => {
                    let is_met = main.is_defined(second) == (first == ".elifdef");
                    if let Some(open) = conditions.last_mut() {
                        *open = !*open && is_met;
                    }
                }
                ".else" => {
                    if let Some(open) = conditions.last_mut() {
                        *open = !*open;
                    }
                }
                ".endif" => drop(conditions.pop()),
                _ if conditions.contains(&false) => {}
                "begin" => break,
                _ => main.take(line, at),
            }
        }
        main
    }

    fn is_defined(&self, name: &str) -> bool {
        self.macros.iter().any(|it| it.name == name)
    }

    fn take(&mut self, line: &Line, at: usize) {
        let Some(setting) = line.setting('=') else {
            return;
        };
        let is_macro = setting.name.starts_with(|c: char| c.is_ascii_uppercase());
        // `==` defines again.
        let value = setting.value.trim_start_matches('=').trim();
        let named = Named {
            value: self.expanded(value),
            name: setting.name,
            at,
        };
        if is_macro {
            self.macros.push(named);
        } else {
            self.options.push(named);
        }
    }

    /// With each word that is a macro's name replaced by what it was last defined as.
    fn expanded(&self, value: &str) -> String {
        /// More than any list of selectors: a macro in a macro grows without end.
        const LONGEST: usize = 16 * 1024;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut result = String::new();
        let mut rest = value;
        while let Some(start) = rest.find(is_part) {
            let (before, behind) = rest.split_at(start);
            let end = behind.find(|c| !is_part(c)).unwrap_or(behind.len());
            let (word, after) = behind.split_at(end);
            let defined = self.macros.iter().rev().find(|it| it.name == word);
            result += before;
            result += defined.map_or(word, |it| &it.value);
            rest = after;
            if result.len() > LONGEST {
                return result.chars().take(LONGEST).collect();
            }
        }
        result + rest
    }

    /// An option's value: the last counts.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let mut options = self.options.iter().rev();
        options
            .find(|option| option.name == name)
            .map(|option| option.value.clone())
    }

    /// Of an option that is on or off: `name`, `name = true`, `no_name`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let mut options = self.options.iter().rev();
        options
            .find_map(|option| {
                if option.name == name {
                    return Some(option.value.is_empty() || crate::lines::is_yes(&option.value));
                }
                let negated = option
                    .name
                    .strip_prefix("no_")
                    .or(option.name.strip_prefix("not_"));
                (negated == Some(name)).then_some(false)
            })
            .unwrap_or(false)
    }
}
