use portledger_model::{Moment, Source, Zone};
use proptest::prelude::*;

use super::*;

/// A line of 203.0.113.7 at this second, in whole seconds, of TCP.
fn line(second: i64) -> Sighting {
    Sighting {
        source: Source {
            file: "access.log".into(),
            line: 1,
        },
        address: "203.0.113.7".parse().unwrap(),
        port: None,
        transport: Some(Transport::Tcp),
        destination: Destination::default(),
        at: Some(Timestamp::from_secs(second)),
        or_at: None,
        resolution: Duration::from_secs(1),
        zone: Zone::Utc,
        moment: Moment::RequestEnd,
        lasted: None,
    }
}

/// Connections last 10 s at most, clocks agree to 1 s.
fn rules() -> Rules {
    Rules {
        longest: Duration::from_secs(10),
        slack: Duration::from_secs(1),
        server_ports: vec![80],
    }
}

fn join(files: &[&[&str]]) -> Join {
    let mut builder = Builder::new(HashSet::from(["203.0.113.7".parse().unwrap()]));
    for file in files {
        builder.file();
        for line in *file {
            builder.line(format!("{line}\n").as_bytes());
        }
    }
    builder.build()
}

/// The verdict for a line at 1,050 s, whose connection began from 1,039 s until before 1,052 s.
fn verdict(files: &[&[&str]]) -> (Verdict, Option<Because>, usize) {
    let joined = join(files).ask(&line(1_050), &rules());
    (joined.verdict, joined.because, joined.ports)
}

const START: &str = "# 1000.000000 start tcp=80,443 udp=none";
const STOP: &str = "# 1100.000000 stop";
const ONE: &str = "1045.000000 203.0.113.7 40001 192.0.2.80 80 tcp";
const TWO: &str = "1046.000000 203.0.113.7 40002 192.0.2.80 80 tcp";
const LEFT_OUT: Option<Because> = Some(Because::LeftOut);
const NOT_WATCHED: Option<Because> = Some(Because::NotWatched);

#[test]
fn one_connection_that_can_have_carried_the_line_is_its_own() {
    let join = join(&[&[START, ONE, STOP]]);
    let mut sighting = line(1_050);
    let joined = join.fill(&mut sighting, &rules()).unwrap();
    assert_eq!((joined.verdict, joined.because), (Verdict::Unique, None));
    assert_eq!(sighting.port, Some(40_001));
    assert_eq!(sighting.destination.port, Some(80));
    assert_eq!(
        serde_json::to_string(&joined).unwrap(),
        r#"{"verdict":"unique","because":null,"ports":1,"candidates":[{"at":"1970-01-01T00:17:25.000Z","port":40001,"transport":"tcp","server":{"address":"192.0.2.80","port":80}}]}"#
    );
    // A line that has a port keeps it.
    sighting.port = Some(7);
    assert_eq!(join.fill(&mut sighting, &rules()), None);
    assert_eq!(sighting.port, Some(7));
}

#[test]
fn of_several_none_is_chosen() {
    let join = join(&[&[START, ONE, TWO, STOP]]);
    let mut sighting = line(1_050);
    let joined = join.fill(&mut sighting, &rules()).unwrap();
    assert_eq!((joined.verdict, joined.ports), (Verdict::Several, 2));
    assert_eq!(sighting.port, None);
}

#[test]
fn connections_elsewhere_or_of_others_are_no_candidates() {
    for other in [
        "1046.000000 203.0.113.8 40002 192.0.2.80 80 tcp",
        "1046.000000 203.0.113.7 40002 192.0.2.80 443 tcp",
        // Before the longest time, and after the line.
        "1038.999999 203.0.113.7 40002 192.0.2.80 80 tcp",
        "1052.000000 203.0.113.7 40002 192.0.2.80 80 tcp",
        // The same port again is no other port.
        "1046.000000 203.0.113.7 40001 192.0.2.80 80 tcp",
    ] {
        let files: &[&[&str]] = &[&[START, ONE, other, STOP]];
        assert_eq!(verdict(files), (Verdict::Unique, None, 1), "{other}");
    }
}

/// It may have carried the line though another is nearer.
#[test]
fn a_connection_that_was_kept_open_is_a_candidate() {
    let kept = "1039.000000 203.0.113.7 39000 192.0.2.80 80 tcp";
    let files: &[&[&str]] = &[&[START, kept, ONE, STOP]];
    assert_eq!(verdict(files), (Verdict::Several, None, 2));
    // A request of 20 s says that its connection is older still.
    let older = "1025.000000 203.0.113.7 39000 192.0.2.80 80 tcp";
    let mut long = line(1_050);
    long.lasted = Some(Duration::from_secs(20));
    let join = join(&[&[START, older, ONE, STOP]]);
    assert_eq!(join.ask(&long, &rules()).verdict, Verdict::Several);
    assert_eq!(join.ask(&line(1_050), &rules()).verdict, Verdict::Unique);
}

#[test]
fn none_is_said_only_where_the_log_is_complete() {
    assert_eq!(verdict(&[&[START, STOP]]), (Verdict::None, None, 0));
    assert_eq!(verdict(&[]), (Verdict::Unknown, NOT_WATCHED, 0));
}

#[test]
fn a_log_that_does_not_cover_the_time_makes_nothing_certain() {
    for (why, files) in [
        (
            "begun too late",
            &[&["# 1039.000001 start tcp=80 udp=none", ONE, STOP][..]][..],
        ),
        ("ended too early", &[&[START, ONE, "# 1051.999999 stop"]]),
        ("killed", &[&[START, ONE, "# 1046.000000 complete"]]),
        ("killed before it said anything", &[&[START, ONE]]),
        (
            "another port",
            &[&["# 1000.000000 start tcp=443 udp=none", ONE, STOP]],
        ),
        (
            "restarted",
            &[
                &[START, ONE, "# 1048.000000 complete"],
                &["# 1048.000001 start tcp=80 udp=none", STOP],
            ],
        ),
        (
            "a file is missing between",
            &[
                &[START, ONE, "# 1048.000000 complete"],
                &["# 1049.000000 go-on tcp=80 udp=none", STOP],
            ],
        ),
        (
            "appended to by two runs",
            &[&[
                START,
                ONE,
                "# 1048.000000 complete",
                "# 1049.000000 start tcp=80 udp=none",
                STOP,
            ]],
        ),
    ] {
        assert_eq!(verdict(files), (Verdict::Unknown, NOT_WATCHED, 1), "{why}");
    }
}

#[test]
fn files_that_meet_cover_together_in_any_order() {
    let first: &[&str] = &[START, ONE, "# 1048.000000 complete"];
    let second: &[&str] = &["# 1048.000000 go-on tcp=80 udp=none", STOP];
    for files in [[first, second], [second, first]] {
        assert_eq!(verdict(&files), (Verdict::Unique, None, 1));
    }
}

#[test]
fn what_was_left_out_makes_nothing_certain() {
    for gap in [
        "# 1050.000000 left-out from=1041.000000 to=1042.000000 connections=3 why=lost",
        "# 1050.000000 left-out from=1000.000000 to=1039.000000 connections=1 why=sampled",
        "# 1050.000000 left-out from=1051.999999 to=1090.000000 connections=1 why=unread",
        "# 1050.000000 left-out from=1041.000000 to=1042.000000 connections=3 source=203.0.113.0/24 why=aggregated",
        "1041.000000 192.0.2.9 5000 192.0.2.80 80 tcp proxy=missing",
        "1041.000000 192.0.2.9 5000 192.0.2.80 80 tcp proxy=unknown",
        "a line that is none",
        "# 1041.000000 left-out from=104",
    ] {
        let files: &[&[&str]] = &[&[START, gap, ONE, STOP]];
        assert_eq!(verdict(files), (Verdict::Unknown, LEFT_OUT, 1), "{gap}");
    }
    for elsewhere in [
        "# 1050.000000 left-out from=1000.000000 to=1038.999999 connections=3 why=lost",
        "# 1060.000000 left-out from=1052.000000 to=1060.000000 connections=3 why=lost",
        "# 1050.000000 left-out from=1041.000000 to=1042.000000 connections=3 source=198.51.100.0/24 why=aggregated",
        "1041.000000 192.0.2.9 5000 192.0.2.80 80 tcp proxy=local",
        "# a remark by hand",
        "",
    ] {
        let files: &[&[&str]] = &[&[START, elsewhere, ONE, STOP]];
        assert_eq!(verdict(files), (Verdict::Unique, None, 1), "{elsewhere}");
    }
}

#[test]
fn half_a_line_at_the_end_of_a_file_is_a_gap_to_its_end() {
    let mut builder = Builder::new(HashSet::from(["203.0.113.7".parse().unwrap()]));
    builder.file();
    for line in [START, ONE, STOP] {
        builder.line(format!("{line}\n").as_bytes());
    }
    builder.line(b"1046.000000 203.0.113.7 40002 192.0.2.80 80 tcp");
    let join = builder.build();
    assert_eq!(join.figures().unread, 1);
    // It stood after the stop at 1,100 s, so what came before is whole.
    assert_eq!(join.ask(&line(1_050), &rules()).verdict, Verdict::Unique);
    let late = join.ask(&line(1_099), &rules());
    assert_eq!(
        (late.verdict, late.because),
        (Verdict::Unknown, NOT_WATCHED)
    );
}

#[test]
fn the_servers_port_must_be_known_or_all_be_watched() {
    let rules = Rules {
        server_ports: Vec::new(),
        ..rules()
    };
    let some = join(&[&[START, ONE, STOP]]);
    let joined = some.ask(&line(1_050), &rules);
    let unsaid = Some(Because::ServerPortUnsaid);
    assert_eq!((joined.verdict, joined.because), (Verdict::Unknown, unsaid));
    let mut said = line(1_050);
    said.destination.port = Some(80);
    assert_eq!(some.ask(&said, &rules).verdict, Verdict::Unique);
    let all = join(&[&["# 1000.000000 start tcp=all udp=none", ONE, STOP]]);
    assert_eq!(all.ask(&line(1_050), &rules).verdict, Verdict::Unique);
    // Where the transport is not known, UDP must have been watched too.
    said.transport = None;
    assert_eq!(some.ask(&said, &rules).because, NOT_WATCHED);
}

#[test]
fn a_flow_of_http_3_is_a_candidate_for_a_line_of_the_same_log() {
    let quic = "1046.000000 203.0.113.7 40002 192.0.2.80 80 udp";
    let files: &[&[&str]] = &[&["# 1000.000000 start tcp=80 udp=80", ONE, quic, STOP]];
    assert_eq!(verdict(files), (Verdict::Several, None, 2));
}

#[test]
fn a_line_without_a_certain_time_is_not_joined() {
    let join = join(&[&[START, ONE, STOP]]);
    let mut twice = line(1_050);
    twice.or_at = Some(Timestamp::from_secs(4_650));
    let mut never = line(1_050);
    never.at = None;
    for mut sighting in [twice, never] {
        let joined = join.fill(&mut sighting, &rules()).unwrap();
        assert_eq!(joined.because, Some(Because::NoTime));
        assert_eq!(sighting.port, None);
    }
}

#[test]
fn an_address_that_the_server_wrote_as_mapped_is_the_same() {
    let join = join(&[&[START, ONE, STOP]]);
    let mut mapped = line(1_050);
    mapped.address = "::ffff:203.0.113.7".parse().unwrap();
    assert_eq!(join.ask(&mapped, &rules()).verdict, Verdict::Unique);
}

proptest! {
    /// Whatever is lost, as long as it is said: where a port is certain, it is the true one.
    #[test]
    fn a_certain_port_is_the_true_one(
        connections in prop::collection::vec((0_i64..60, 1_u16..6, 0_i64..10, any::<bool>(), any::<bool>()), 1..12),
        used in any::<prop::sample::Index>(),
        later in 0_i64..10,
        wrong_by in -1_i64..=1,
        (from, to) in (0_i64..40, 40_i64..100),
    ) {
        let mut lines = vec![format!("# {}.000000 start tcp=80 udp=none", 1_000 + from)];
        for &(second, port, _, lost, ours) in &connections {
            let at = 1_000 + second;
            if second < from || second >= to {
                continue;
            }
            let address = if ours { "203.0.113.7" } else { "203.0.113.8" };
            lines.push(if lost {
                format!("# {at}.000000 left-out from={at}.000000 to={at}.000000 connections=1 why=lost")
            } else {
                format!("{at}.000000 {address} {port} 192.0.2.80 80 tcp")
            });
        }
        lines.push(format!("# {}.000000 stop", 1_000 + to));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let join = join(&[&lines]);
        let (second, port, lasts, _, ours) = connections[used.index(connections.len())];
        if ours {
            let at = 1_000 + second + later.min(lasts) + wrong_by;
            let joined = join.ask(&line(at), &rules());
            match joined.verdict {
                Verdict::Unique => prop_assert_eq!(joined.candidates[0].port, port),
                Verdict::None => prop_assert!(false, "there was one"),
                Verdict::Several => {
                    prop_assert!(joined.candidates.iter().any(|one| one.port == port));
                }
                Verdict::Unknown => {}
            }
        }
    }

    #[test]
    fn nothing_panics(lines: Vec<Vec<u8>>, at: i64) {
        let mut builder = Builder::new(HashSet::new());
        builder.file();
        for line in lines {
            builder.line(&line);
        }
        let mut sighting = line(0);
        sighting.at = Some(Timestamp::from_micros(at));
        builder.build().ask(&sighting, &rules());
    }
}

#[test]
fn what_came_by_way_of_a_logger_is_there_and_never_known_to_be_all() {
    let behind =
        |line: &str| format!("2026-11-29T23:21:27.419128+00:00 www portledger-watch[7]: {line}");
    let (start, one, stop) = (behind(START), behind(ONE), behind(STOP));
    let of_another = "Nov 29 23:21:27 www sshd[9]: 1046.000000 203.0.113.7 40002 192.0.2.80 80 tcp";
    let file = [&*start, of_another, &one, &stop];
    let joined = join(&[&file]);
    assert_eq!(joined.figures().unread, 0);
    let said = joined.ask(&line(1_050), &rules());
    assert_eq!(said.verdict, Verdict::Unknown);
    assert_eq!(said.because, Some(Because::Carried));
    let ports: Vec<u16> = said.candidates.iter().map(|one| one.port).collect();
    assert_eq!(ports, [40_001]);
    // Beside the files themselves it takes nothing away.
    let files = [START, ONE, STOP];
    assert_eq!(verdict(&[&file, &files]), (Verdict::Unique, None, 1));
    // A line of the watcher's that was cut is not understood, nor is one that names nobody.
    let cut = behind("1046.000000 203.0.113.7 400");
    assert_eq!(join(&[&[&cut]]).figures().unread, 1);
    assert_eq!(
        join(&[&["2026-11-29T23:21:27+00:00 www"]]).figures().unread,
        1
    );
}
