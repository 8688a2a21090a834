//! What a segment answers is what a list of its rows answers.

mod support;

use portledger_model::{Nearest, Span, Timestamp};
use portledger_segments::{Key, Row, Segment, SubscriberNumber};
use support::{Random, allocation, dictionary, expected, key, open, question, rows, write};

fn written(rows: &[Row], key: Option<&Key>) -> Segment {
    let dir = tempfile::tempdir().unwrap();
    let summary = write(dir.path(), rows, key);
    assert_eq!(summary.rows, rows.len() as u64);
    for file in &summary.files {
        assert_eq!(
            std::fs::metadata(dir.path().join(file.name)).unwrap().len(),
            file.bytes
        );
    }
    // The folder's files stay open after their names are gone, so that all must be opened now.
    let segment = open(dir.path(), key);
    segment.dictionary().unwrap();
    segment
        .rows_of_subscriber(SubscriberNumber(0), EVER)
        .unwrap();
    if let Some(row) = rows.first() {
        segment
            .rows_of(
                portledger_model::External {
                    address: row.external,
                    port: None,
                    transport: None,
                },
                EVER,
            )
            .unwrap();
    }
    segment
}

const EVER: Span = Span::new(Timestamp::MIN, Timestamp::MAX);

fn agree(rows: &[Row], addresses: u64, key_of: Option<&Key>, questions: usize) {
    let (segment, dictionary) = (written(rows, key_of), dictionary());
    let mut random = Random(7);
    let mut answered = 0;
    for _ in 0..questions {
        let (asked, span) = question(&mut random, addresses);
        let mut found = Vec::new();
        segment.holders(asked, span, &mut found).unwrap();
        assert!(found.is_sorted_by_key(|held| held.from));
        found.sort_by_key(key);
        answered += found.len();
        assert_eq!(
            found,
            expected(rows, &dictionary, asked, span),
            "{asked:?} {span:?}"
        );
        let nearest = segment.nearest(asked, span.from).unwrap();
        let all = expected(rows, &dictionary, asked, EVER);
        let before = all
            .iter()
            .map(|held| held.span().to)
            .filter(|&to| to <= span.from)
            .max();
        let after = all
            .iter()
            .map(|held| held.from)
            .filter(|&from| span.from < from)
            .min();
        let Nearest {
            before: b,
            after: a,
        } = &nearest;
        assert_eq!(b.as_ref().map(|held| held.span().to), before);
        assert_eq!(a.as_ref().map(|held| held.from), after);
    }
    assert!(answered > questions / 10, "{answered}");
    for number in (0..support::SUBSCRIBERS as u32)
        .step_by(37)
        .map(SubscriberNumber)
    {
        let subscriber = dictionary.subscriber(number).unwrap();
        assert_eq!(segment.number_of(subscriber).unwrap(), Some(number));
        assert_eq!(&segment.subscriber(number).unwrap(), subscriber);
        let span = question(&mut random, addresses).1;
        let mut found = segment.by_subscriber(subscriber, span).unwrap();
        found.sort_by_key(key);
        let mut held: Vec<_> = rows
            .iter()
            .filter(|row| row.subscriber == number && row.span().overlaps(span))
            .map(|row| allocation(row, &dictionary))
            .collect();
        held.sort_by_key(key);
        assert_eq!(found, held);
    }
    assert_eq!(segment.dictionary().unwrap(), dictionary);
}

#[test]
fn few_addresses_with_many_rows_each() {
    agree(&rows(20_000, 2, 1), 2, None, 300);
}

#[test]
fn many_addresses_with_few_rows_each() {
    agree(&rows(20_000, 3_000, 2), 3_000, None, 2_000);
}

#[test]
fn encrypted_pages_answer_the_same() {
    let key = Key::new(&[7; 16], "2026-11-01").unwrap();
    agree(&rows(9_000, 40, 3), 40, Some(&key), 200);
    let key = Key::new(&[7; 32], "2026-11-01").unwrap();
    agree(&rows(9_000, 40, 4), 40, Some(&key), 200);
}

#[test]
fn a_segment_of_nothing_answers_nothing() {
    let segment = written(&[], None);
    let (asked, span) = question(&mut Random(1), 10);
    let mut found = Vec::new();
    segment.holders(asked, span, &mut found).unwrap();
    assert!(found.is_empty() && segment.is_empty() && segment.span().is_empty());
}
