//! A ledger whose sealed days lie in an S3-speaking store: written, asked, proven and deleted from,
//! each time by a process that has nothing of it in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../../store/tests/conformance/moto.rs"]
mod moto;
mod support;

use std::time::{Duration, SystemTime};

use moto::Moto;
use portledger_model::Timestamp;
use support::{Ended, Place};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A ledger made a moment ago, and when the first of its days began: five days before the one that
/// is half over now.
struct Remote {
    moto: std::sync::Arc<Moto>,
    bucket: String,
    place: Place,
    begin: Timestamp,
}

impl Remote {
    /// `None`, said loudly, where there is no such server.
    fn new(more: &str) -> Option<Self> {
        let moto = Moto::shared()?;
        let bucket = moto.bucket();
        let place = Place::new().with_environment(moto.access("http"));
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let hours = since.unwrap().as_secs() / 3_600;
        // Half a day ago a day began, so that none does while this runs.
        let starts = hours - 12;
        let begin = Timestamp::from_secs((starts * 3_600).try_into().unwrap()).before(5 * DAY);
        let remote = Self {
            moto,
            bucket,
            place,
            begin,
        };
        let bucket = &remote.bucket;
        let starts = starts % 24;
        remote
            .run(&format!(
                "init ledger --store s3://{bucket}/nat/ledger --day-starts {starts:02}:00 {more}"
            ))
            .with_status(0);
        Some(remote)
    }

    fn run(&self, args: &str) -> Ended {
        self.place.run(&args.split_whitespace().collect::<Vec<_>>())
    }

    /// So many hours after the first day's beginning.
    fn at(&self, hours: u32) -> Timestamp {
        self.begin.after(HOUR * hours)
    }

    /// A line of Juniper's at that hour, of the block of ports from `first` on.
    fn line(&self, hours: u32, what: &str, host: u8, first: u16) -> String {
        let at = self.at(hours);
        format!(
            "<14>1 {at} mx1 RT_NAT - RT_SRC_NAT_PBA_{what} \
             [internal-ip=\"100.64.1.{host}\" block-used=\"1\" block-max-per-host=\"4\" \
             block-port-low=\"{first}\" block-port-high=\"{}\" reflexive-ip=\"203.0.113.7\" \
             nat-pool-name=\"p\" logical-system-id=\"0\" epoch-time-64=\"{:08x}\"]\n",
            first + 511,
            at.as_micros() / 1_000_000,
        )
    }

    fn import(&self, lines: &[String]) {
        self.place.write("mx1.log", lines.concat());
        let begin = self.begin;
        let ended = self
            .run(&format!(
                "import mx1.log --device mx1 --complete-from {begin} --ledger ledger --json"
            ))
            .with_status(0);
        assert!(!ended.stderr.contains("not sealed"), "{}", ended.stderr);
        assert_eq!(ended.json()["events"], lines.len());
    }

    /// Who had port 1100 or another at that hour: what the exit status must be, and the names.
    fn who(&self, port: u16, hours: u32, status: i32) -> Vec<String> {
        let at = self.at(hours);
        let question = format!("who 203.0.113.7:{port} --at {at} --ledger ledger --json");
        let answer = self.run(&question).with_status(status).json();
        let all = answer["allocations"].as_array().unwrap();
        all.iter()
            .map(|held| held["subscriber"]["internal"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The keys of all objects in the bucket, as the server itself lists them.
    fn objects(&self) -> Vec<String> {
        let answer = self
            .moto
            .ask("GET", &format!("/{}?list-type=2", self.bucket));
        assert!(answer.contains("<ListBucketResult"), "{answer}");
        assert!(answer.contains("<IsTruncated>false"), "{answer}");
        let keys = answer.split("<Key>").skip(1);
        keys.map(|key| key.split('<').next().unwrap().to_owned())
            .collect()
    }

    fn days(&self, state: &str) -> Vec<String> {
        let stats = self.run("stats --ledger ledger --json").with_status(0);
        let stats = stats.json();
        let days = stats["days"].as_array().unwrap().iter();
        days.filter(|day| day["state"] == state)
            .map(|day| day["day"].as_str().unwrap().to_owned())
            .collect()
    }

    fn verified(&self) -> serde_json::Value {
        let ended = self.run("verify --ledger ledger --json");
        assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
        ended.json()
    }
}

#[test]
fn a_ledger_whose_days_lie_in_a_remote_store_answers_proves_and_forgets() {
    // The first day's time is past since half a day.
    let Some(remote) = Remote::new("--keep-days 4") else {
        return;
    };
    // Two days; .6 holds its block across the cut, and .9's is held on.
    remote.import(&[
        remote.line(2, "ALLOC", 5, 1_024),
        remote.line(4, "RELEASE", 5, 1_024),
        remote.line(6, "ALLOC", 6, 1_024),
        remote.line(7, "ALLOC", 9, 2_048),
        remote.line(27, "RELEASE", 6, 1_024),
        remote.line(30, "ALLOC", 7, 1_024),
        remote.line(33, "RELEASE", 7, 1_024),
    ]);
    let sealed = remote.days("sealed");
    assert_eq!(sealed.len(), 2, "{sealed:?}");
    assert_eq!(remote.who(1_100, 3, 0), ["100.64.1.5"]);
    assert!(remote.who(1_100, 5, 4).is_empty());
    assert_eq!(remote.who(1_100, 25, 0), ["100.64.1.6"]);
    remote.who(1_100, 60, 5);

    // Two more, and a word that comes late for the second: it is sealed again.
    remote.import(&[
        remote.line(34, "ALLOC", 8, 1_024),
        remote.line(36, "RELEASE", 8, 1_024),
        remote.line(50, "ALLOC", 5, 1_024),
        remote.line(53, "RELEASE", 5, 1_024),
        remote.line(80, "ALLOC", 6, 1_024),
        remote.line(100, "RELEASE", 6, 1_024),
    ]);
    remote.run("seal --ledger ledger").with_status(0);
    let sealed = remote.days("sealed");
    assert_eq!(sealed.len(), 5, "{sealed:?}");
    assert_eq!(remote.who(1_100, 35, 0), ["100.64.1.8"]);
    assert!(remote.who(1_100, 37, 4).is_empty());
    assert_eq!(remote.who(1_100, 51, 0), ["100.64.1.5"]);
    assert_eq!(remote.who(1_100, 90, 0), ["100.64.1.6"]);
    // Through days in which it was not spoken of.
    assert_eq!(remote.who(2_100, 60, 0), ["100.64.1.9"]);
    remote.who(1_100, 110, 5);
    let local = remote.place.path("ledger/sealed");
    assert!(!local.exists(), "nothing sealed lies here");

    // A proof is checked by whoever has the key, without the ledger.
    let at = remote.at(90);
    let question = format!("who 203.0.113.7:1100 --at {at} --proof --ledger ledger --json");
    let proven = remote.run(&question).with_status(0).json();
    remote
        .place
        .write("proof", proven["proofs"][0].as_str().unwrap());
    let checked = remote
        .run("verify --proof proof --key ledger/ledger.vkey --json")
        .with_status(0)
        .json();
    assert_eq!(checked["record"]["internal"], "100.64.1.6");
    let verified = remote.verified();
    assert_eq!(
        (&verified["days"], &verified["deleted"]),
        (&5.into(), &0.into())
    );

    // The first day's time is past.
    let first = &sealed[0];
    let of_first = format!("nat/ledger/days/{first}/");
    let lies_there = |objects: &[String]| objects.iter().any(|key| key.starts_with(&of_first));
    assert!(lies_there(&remote.objects()), "{:?}", remote.objects());
    let key = format!("ledger/keys/records-{first}.key");
    assert!(remote.place.exists(&key));
    let retained = remote.run("retain --ledger ledger --json").with_status(0);
    let retained = retained.json();
    let gone = retained["days"].as_array().unwrap();
    assert_eq!(
        gone.iter().map(|day| &day["day"]).collect::<Vec<_>>(),
        [first]
    );
    assert!(!lies_there(&remote.objects()), "{:?}", remote.objects());
    assert!(!remote.place.exists(&key));
    assert_eq!(remote.days("deleted"), std::slice::from_ref(first));
    remote.who(1_100, 3, 5);
    remote.who(1_100, 5, 5);
    // What was held into the next day is that day's, too.
    assert_eq!(remote.who(1_100, 25, 0), ["100.64.1.6"]);
    assert_eq!(remote.who(2_100, 60, 0), ["100.64.1.9"]);
    let verified = remote.verified();
    assert_eq!(verified["days"], 4);
    assert!(verified["deleted"].as_u64() > Some(0), "{verified}");
}

#[test]
fn a_remote_store_that_lost_or_changed_a_file_is_no_silent_answer() {
    let Some(remote) = Remote::new("") else {
        return;
    };
    remote.import(&[
        remote.line(2, "ALLOC", 5, 1_024),
        remote.line(4, "RELEASE", 5, 1_024),
        remote.line(26, "ALLOC", 6, 1_024),
        remote.line(28, "RELEASE", 6, 1_024),
    ]);
    assert_eq!(remote.who(1_100, 3, 0), ["100.64.1.5"]);
    let first = &remote.days("sealed")[0];
    let objects = remote.objects();
    let allocations = objects
        .iter()
        .find(|key| key.contains(first) && key.ends_with("allocations.parquet"));
    let allocations = allocations.unwrap();
    let answer = remote
        .moto
        .ask("DELETE", &format!("/{}/{allocations}", remote.bucket));
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");

    let at = remote.at(3);
    let refused = remote
        .run(&format!("who 203.0.113.7:1100 --at {at} --ledger ledger"))
        .with_status(1);
    assert_eq!(refused.stdout, "");
    assert!(
        refused.stderr.contains("allocations.parquet"),
        "{}",
        refused.stderr
    );
    let verified = remote.run("verify --ledger ledger --json").with_status(1);
    assert!(
        verified.stdout.contains("allocations.parquet"),
        "{}",
        verified.stdout
    );

    // Nor is a server that cannot be reached.
    let unreachable = "AWS_ENDPOINT_URL".to_owned();
    let place = remote
        .place
        .with_environment(vec![(unreachable, "http://127.0.0.1:9".into())]);
    let question = format!("who 203.0.113.7:1100 --at {at} --ledger ledger");
    let refused = place
        .run(&question.split(' ').collect::<Vec<_>>())
        .with_status(1);
    assert_eq!(refused.stdout, "");
}
