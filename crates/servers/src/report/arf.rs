//! RFC 5965's message: a part for people, one for machines, and one for the message complained about,
//! of which a sighting knows nothing: it is left empty.

use std::fmt::Write as _;

use portledger_model::{Sighting, Timestamp, Transport};

use super::{Complaint, Facts, Refusal, Reporter, rfc3339, written};

pub(super) fn write(
    reporter: &Reporter,
    complaint: Complaint,
    sighting: &Sighting,
    facts: &Facts,
    id: &str,
    now: Timestamp,
) -> Result<String, Refusal> {
    if let Some(transport) = sighting.transport.filter(|it| *it != Transport::Tcp) {
        return Err(Refusal::NotMail { transport });
    }
    let address = facts.address;
    // Fields of mail have whole seconds; people may be told all that is known.
    let exact = sighting
        .at
        .and_then(|at| written(at, sighting.resolution, 6));
    let (exact, places) = exact.unwrap_or((facts.at, facts.places));
    let exact = rfc3339(exact, places);
    let port = facts
        .port
        .map(|port| format!(" port {port}"))
        .unwrap_or_default();
    let Reporter {
        organisation,
        contact,
        domain,
    } = reporter;
    let kind = match complaint {
        Complaint::Abuse => "abuse",
        Complaint::Fraud => "fraud",
        Complaint::Virus => "virus",
        Complaint::Other => "other",
    };
    let version = env!("CARGO_PKG_VERSION");
    let (sent, arrived) = (mail_date(now), mail_date(facts.at));
    // RFC 4155, Appendix A: the line between messages of a mailbox.
    let separator = mailbox_date(now);
    let name = encoded(organisation);
    let mut text = format!(
        "From {contact} {separator}\n\
         From: {name} <{contact}>\n\
         Date: {sent}\n\
         Message-ID: <{id}@{domain}>\n\
         Subject: Abuse report: {address}{port}\n\
         MIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"{id}\"\n\n\
         --{id}\n\
         Content-Type: text/plain; charset=utf-8\n\n\
         {address}{port} was connected at {exact} (UTC).\n\n\
         --{id}\n\
         Content-Type: message/feedback-report\n\n\
         Feedback-Type: {kind}\n\
         User-Agent: portledger/{version}\n\
         Version: 1\n\
         Source-IP: {address}\n"
    );
    if let Some(port) = facts.port {
        // Writing to a string does not fail.
        let _ = writeln!(text, "Source-Port: {port}");
    }
    let _ = write!(
        text,
        "Arrival-Date: {arrived}\n\n\
         --{id}\n\
         Content-Type: text/rfc822-headers\n\n\n\
         --{id}--\n\n"
    );
    Ok(text)
}

/// RFC 5322 §3.3, in UTC.
fn mail_date(at: Timestamp) -> String {
    formatted(at, "%a, %d %b %Y %H:%M:%S +0000")
}

fn mailbox_date(at: Timestamp) -> String {
    formatted(at, "%a %b %e %H:%M:%S %Y")
}

fn formatted(at: Timestamp, form: &str) -> String {
    match jiff::Timestamp::from_microsecond(at.as_micros()) {
        Ok(at) => at.strftime(form).to_string(),
        Err(_) => at.to_string(),
    }
}

/// A name for a header: quoted, and beyond ASCII as RFC 2047 §4.1 has it.
fn encoded(name: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    if name.is_ascii() {
        return format!("\"{name}\"");
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in name.chars() {
        // 75 bytes a word at most, so 45 before they are encoded.
        if word.len() + c.len_utf8() > 45 {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words = words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
    words.collect::<Vec<_>>().join(" ")
}
