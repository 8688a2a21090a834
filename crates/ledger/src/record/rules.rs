//! Rules in the texts of records. Their values hold nothing that JSON would have to quote.

use std::{io::Write as _, sync::Arc};

use portledger_model::{Rule, RuleName, RuleValue};
use serde_json::{Map, Value};

/// Appends a rule's fields, with a comma before each.
pub(crate) fn write(rule: &Rule, out: &mut Vec<u8>) {
    for (name, value) in rule.fields() {
        // Writing to memory cannot fail.
        let _ = match value {
            RuleValue::Text(text) => write!(out, ",\"{name}\":\"{text}\""),
            RuleValue::Number(number) => write!(out, ",\"{name}\":{number}"),
        };
    }
}

/// Appends a rule's name alone.
pub(crate) fn write_name(name: &RuleName, out: &mut Vec<u8>) {
    let _ = write!(out, ",\"rule\":\"{name}\"");
}

/// Reads a rule's fields; `None` where they are none.
pub(crate) fn read(fields: &Map<String, Value>) -> Option<Arc<Rule>> {
    let rule = Rule::from_fields(|name| match fields.get(name)? {
        Value::String(text) => Some(text.clone()),
        value => Some(value.as_u64()?.to_string()),
    });
    rule.ok().map(Arc::new)
}

/// Reads a rule's name.
pub(crate) fn read_name(fields: &Map<String, Value>) -> Option<RuleName> {
    RuleName::new(fields.get("rule")?.as_str()?).ok()
}

/// Appends a rule's fields as a JSON object.
pub(crate) fn write_object(rule: &Rule, out: &mut Vec<u8>) {
    let begin = out.len();
    write(rule, out);
    // The first field's comma.
    if let Some(first) = out.get_mut(begin) {
        *first = b'{';
    }
    out.push(b'}');
}

/// Reads the rule that is a JSON object; `None` where it is none.
pub(crate) fn read_object(bytes: &[u8]) -> Option<Arc<Rule>> {
    match serde_json::from_slice(bytes).ok()? {
        Value::Object(fields) => read(&fields),
        _ => None,
    }
}
