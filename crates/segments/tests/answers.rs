//! What a segment answers is what a list of its rows answers.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;

use portledger_model::{Nearest, Realm, Span, Subscriber, Timestamp};
use portledger_segments::{
    DeviceNumber, Error, Holder, Key, Question, Resolution, Row, Segment, SegmentWriter,
    SubscriberNumber,
};
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
        let who = |number| dictionary.subscriber(number).unwrap();
        let mut held: Vec<_> = rows
            .iter()
            .filter(|row| who(row.subscriber).meets(subscriber) && row.span().overlaps(span))
            .map(|row| allocation(row, &dictionary))
            .collect();
        held.sort_by_key(key);
        assert_eq!(found, held);
    }
    for asked in [
        "2001:db8:3c0::1",
        "2001:db8:23::77",
        "2001:db8:46::1",
        "2001:db8:5::/64",
        "2001:db8::/32",
        "softwire 2001:db8:46::1",
        "softwire 2001:db8::/33",
        "2001:db9::1",
    ] {
        for realm in ["default", "vrf-7", "unknown"] {
            let realm = Realm::new(realm).unwrap();
            let asked = Subscriber::of(realm, asked.parse().unwrap());
            let meeting = (0..).zip(dictionary.subscribers());
            let meeting = meeting.filter(|(_, one)| one.meets(&asked));
            let numbers: Vec<_> = meeting
                .map(|(number, _)| SubscriberNumber(number))
                .collect();
            assert_eq!(segment.numbers_meeting(&asked).unwrap(), numbers);
        }
    }
    assert_eq!(segment.dictionary().unwrap(), dictionary);
    let all = segment.all_subscribers().unwrap();
    assert!(all.iter().eq(dictionary.subscribers().iter().cloned()));
    segment.verify().unwrap();
    let all: Vec<Row> = segment.rows().collect::<Result<_, _>>().unwrap();
    let told = |row: &Row| (row.order(), row.opened.0);
    assert!(all.is_sorted_by_key(Row::order));
    let (mut all, mut pushed) = (all, rows.to_vec());
    all.sort_by_key(told);
    pushed.sort_by_key(told);
    assert_eq!(all, pushed);
    joined(&segment, rows, addresses, questions);
}

fn joined(segment: &Segment, rows: &[Row], addresses: u64, questions: usize) {
    let dictionary = dictionary();
    let mut random = Random(11);
    let mut questions: Vec<Question> = (0..questions as u32)
        .map(|index| {
            let (external, span) = question(&mut random, addresses);
            Question {
                external,
                span,
                index,
            }
        })
        .collect();
    Question::sort(&mut questions);
    let mut answers: HashMap<u32, Vec<Row>> = HashMap::new();
    segment
        .join(&questions, &mut |index, row| {
            answers.entry(index).or_default().push(*row)
        })
        .unwrap();
    let mut holders: HashMap<u32, Vec<Holder>> = HashMap::new();
    let each = &mut |index, holder: &Holder| holders.entry(index).or_default().push(*holder);
    segment.join_holders(&questions, each).unwrap();
    assert_eq!(holders.len(), answers.len());
    for (index, holders) in holders {
        let rows = answers[&index].iter();
        let same = |(row, holder): (&Row, &Holder)| holder_of(row) == *holder;
        assert!(rows.len() == holders.len() && rows.zip(&holders).all(same));
    }
    for question in &questions {
        let found = answers.remove(&question.index).unwrap_or_default();
        let mut found: Vec<_> = found
            .iter()
            .map(|row| allocation(row, &dictionary))
            .collect();
        found.sort_by_key(key);
        let expected = expected(rows, &dictionary, question.external, question.span);
        assert_eq!(found, expected, "{question:?}");
    }
    questions.reverse();
    let unsorted = segment.join(&questions, &mut |_, _| {});
    assert!(matches!(
        unsorted,
        Err(Error::QuestionOutOfOrder { at: 1.. })
    ));
}

fn holder_of(row: &Row) -> Holder {
    Holder {
        ports: row.ports,
        transport: row.transport,
        from: row.from,
        to: row.to,
        concluded: row.concluded,
        subscriber: row.subscriber,
        device: row.device,
    }
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

#[test]
fn what_cannot_be_kept_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dictionary = dictionary();
    let rows = rows(2, 5, 1);
    let mut writer = SegmentWriter::new(dir.path(), &dictionary, Resolution::Millis, None).unwrap();
    writer.push(rows[1]).unwrap();
    let mut push = |row| writer.push(row).unwrap_err();
    assert!(matches!(push(rows[0]), Error::OutOfOrder { row: 1 }));
    let fine = rows[1].from.after(Span::TICK);
    assert!(matches!(
        push(Row {
            from: fine,
            ..rows[1]
        }),
        Error::TooFine { row: 1 }
    ));
    let subscriber = SubscriberNumber(support::SUBSCRIBERS as u32);
    let unknown = push(Row {
        subscriber,
        ..rows[1]
    });
    assert!(matches!(
        unknown,
        Error::Unknown {
            what: "subscriber",
            ..
        }
    ));
    let unknown = push(Row {
        device: DeviceNumber(3),
        ..rows[1]
    });
    assert!(matches!(unknown, Error::Unknown { what: "device", .. }));
    assert_eq!(writer.finish().unwrap().rows, 1);
    // The files are there: nothing is written over.
    let again = SegmentWriter::new(dir.path(), &dictionary, Resolution::Millis, None);
    assert!(matches!(
        again,
        Err(Error::Io {
            action: "create",
            ..
        })
    ));
}

#[test]
fn microseconds_are_kept_where_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let dictionary = dictionary();
    let mut row = rows(1, 5, 1)[0];
    (row.from, row.to) = (
        Timestamp::from_micros(1_793_509_200_000_001),
        Some(Timestamp::MAX),
    );
    let resolution = Resolution::of([row.from]);
    assert_eq!(resolution, Resolution::Micros);
    let mut writer = SegmentWriter::new(dir.path(), &dictionary, resolution, None).unwrap();
    writer.push(row).unwrap();
    let summary = writer.finish().unwrap();
    assert_eq!(
        (summary.first, summary.last),
        (Some(row.from), Some(Timestamp::MAX))
    );
    let segment = open(dir.path(), None);
    // An end that never comes is no end.
    let kept = Row { to: None, ..row };
    assert_eq!(segment.rows().next().unwrap().unwrap(), kept);
    assert_eq!(segment.span(), Span::new(row.from, Timestamp::MAX));
}
