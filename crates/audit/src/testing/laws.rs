//! What holds of every server's change, and of whatever stands in its files.

use super::Image;

impl Image {
    /// The same files, and no program that could be asked: what a change makes of them is read.
    pub(crate) fn without_programs(mut self) -> Self {
        self.programs.clear();
        self
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.files.get(path)?).ok()
    }
}

/// How many characters of what was there a change may take away, all its lines together.
const MOST_REMOVED: usize = 80;

/// What holds of every change: it starts from the files as they are and takes little of them away,
/// after it the configuration promises the port (`is_exact`: and an instant) in every log, a second
/// one changes nothing, and every log's format can be read. Gives the diff, for a snapshot.
pub(crate) fn law_of_fixes(
    server: &'static dyn crate::Server,
    image: &Image,
    path: &str,
    is_exact: bool,
) -> String {
    let before = server.look(image, path).unwrap();
    assert_formats(&before);
    let change = crate::fix(server, image, path, crate::Wish::InPlace).unwrap();
    for edit in &change.edits {
        assert_eq!(
            edit.before.as_deref(),
            image.text(&edit.path),
            "{}",
            edit.path
        );
        let before = edit.before.as_deref().unwrap_or_default();
        let changes = similar::TextDiff::from_chars(before, &edit.after);
        let removed = changes
            .iter_all_changes()
            .filter(|change| change.tag() == similar::ChangeTag::Delete);
        let removed: String = removed.map(|change| change.value().to_owned()).collect();
        assert!(removed.len() <= MOST_REMOVED, "{}: {removed:?}", edit.path);
    }
    let image = image.after(&change).without_programs();
    let after = server.look(&image, path).unwrap();
    assert!(!after.logs.is_empty(), "no log after {}", change.diff());
    for log in &after.logs {
        let is_told = match is_exact {
            true => log.records.are_enough(),
            false => log.records.source_address && log.records.source_port,
        };
        assert!(is_told || log.is_covered, "{log:?} after {}", change.diff());
        // Of what is exact and can be looked into, lines can be read.
        assert!(
            !is_exact || !is_told || !log.is_file || log.format.is_some(),
            "{log:?}"
        );
    }
    assert!(
        after.logs.iter().any(|log| !log.is_covered),
        "nothing has the port"
    );
    assert_formats(&after);
    let again = crate::fix(server, &image, path, crate::Wish::InPlace).unwrap();
    assert_eq!(again.edits, [], "a second change");
    change.diff()
}

fn assert_formats(instance: &crate::Instance) {
    for format in instance.logs.iter().filter_map(|log| log.format.as_ref()) {
        portledger_servers::Format::parse(format).unwrap();
    }
}

/// Whatever stands in the files, looking and changing end with a value, and where a change is
/// offered, the port is in every log after it and a second one changes nothing.
pub(crate) fn never_panics(server: &'static dyn crate::Server, paths: &[&str], words: &[&str]) {
    use proptest::{prelude::*, test_runner::TestRunner};
    let mut pieces: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let common = [
        "\n", " ", "\t", "=", ":", "\"", "'", "\\", "#", ";", "{", "}", "(", ")", "<", ">", "ä",
        "\r\n", "yes", "no", "\n\n",
    ];
    pieces.extend(common.map(str::to_owned));
    let text = prop::collection::vec(prop::sample::select(pieces), 0..48)
        .prop_map(|pieces| pieces.concat());
    let texts = prop::collection::vec(text, paths.len());
    let outcome = TestRunner::deterministic().run(&texts, |texts| {
        let image = paths
            .iter()
            .zip(&texts)
            .fold(Image::default(), |image, (path, text)| {
                image.with(path, text)
            });
        let path = paths.first().copied().unwrap_or_default();
        let _ = server.look(&image, path);
        if let Ok(change) = crate::fix(server, &image, path, crate::Wish::InPlace) {
            let image = image.after(&change);
            let again = crate::fix(server, &image, path, crate::Wish::InPlace).unwrap();
            prop_assert_eq!(again.edits, [], "after {}", change.diff());
            let after = server.look(&image, path).unwrap();
            // What sendmail reads is made from what is changed, by hand.
            let is_made = server.facts().name == "sendmail";
            let is_told = |log: &crate::Log| is_made || log.records.source_port || log.is_covered;
            prop_assert!(
                after.logs.iter().all(is_told),
                "after {}: {:?}",
                change.diff(),
                after.logs
            );
        }
        server.claims(path, &texts.concat());
        Ok(())
    });
    outcome.unwrap();
}
