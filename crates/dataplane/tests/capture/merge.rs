//! Captures merged by time.

use portledger_dataplane::capture::{Merge, Reader, Writer};
use portledger_model::Timestamp;
use proptest::prelude::*;

/// A capture of one-byte packets at these times, each byte the packet's place.
fn capture(times: &[i64]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for (place, &micros) in times.iter().enumerate() {
        writer
            .write(Timestamp::from_micros(micros), &[place as u8])
            .unwrap();
    }
    writer.finish().unwrap()
}

/// Source, place in it, merged time of each packet; the errors; and how often a clock went back.
fn merged(files: &[Vec<u8>]) -> (Vec<(usize, u8, i64)>, Vec<String>, u64) {
    let reader = |(index, file)| Reader::new(format!("{index}.pcap"), Vec::as_slice(file)).unwrap();
    let mut merge = Merge::new(files.iter().enumerate().map(reader));
    let (mut packets, mut errors) = (Vec::new(), Vec::new());
    loop {
        match merge.next_frame() {
            Ok(Some(packet)) => {
                packets.push((packet.source, packet.frame.data[0], packet.at.as_micros()));
            }
            Ok(None) => return (packets, errors, merge.went_back()),
            Err(error) => errors.push(error.to_string()),
        }
    }
}

#[test]
fn equal_times_keep_the_order_given() {
    let (packets, _, went_back) = merged(&[capture(&[1, 2, 2, 5]), capture(&[2, 2, 4])]);
    let order: Vec<_> = packets.iter().map(|p| (p.0, p.1)).collect();
    assert_eq!(
        order,
        [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3)]
    );
    assert_eq!(went_back, 0);
}

#[test]
fn a_clock_set_back_holds_the_time_until_it_catches_up() {
    let (packets, _, went_back) = merged(&[capture(&[10, 20, 5, 6, 25]), capture(&[15, 21])]);
    assert_eq!(
        packets,
        [
            (0, 0, 10),
            (1, 0, 15),
            (0, 1, 20),
            (0, 2, 20),
            (0, 3, 20),
            (1, 1, 21),
            (0, 4, 25)
        ]
    );
    assert_eq!(went_back, 2);
}

#[test]
fn a_broken_capture_does_not_stop_the_others() {
    let mut broken = capture(&[1, 3]);
    broken.pop();
    let (packets, errors, _) = merged(&[broken, capture(&[2, 4])]);
    assert_eq!(packets, [(0, 0, 1), (1, 0, 2), (1, 1, 4)]);
    insta::assert_snapshot!(errors.join("\n"), @"0.pcap: packet 1 is good, then at byte 41: the file ends inside the packet record that begins here (bytes missing: 1); copy or capture it again if the rest matters");
}

#[test]
fn nothing_merges_to_nothing() {
    assert_eq!(merged(&[]).0, []);
    assert_eq!(merged(&[capture(&[]), capture(&[])]).0, []);
}

proptest! {
    /// With clocks that go forward, a merge is a stable sort by time.
    #[test]
    fn a_merge_of_sorted_files_is_a_stable_sort(
        mut files in prop::collection::vec(prop::collection::vec(0_i64..50, 0..30), 0..5)
    ) {
        let mut all = Vec::new();
        for (source, times) in files.iter_mut().enumerate() {
            times.sort_unstable();
            all.extend(times.iter().enumerate().map(|(place, &at)| (source, place as u8, at)));
        }
        all.sort_by_key(|&(_, _, at)| at);
        let captures: Vec<_> = files.iter().map(|times| capture(times)).collect();
        let (packets, errors, went_back) = merged(&captures);
        prop_assert_eq!(packets, all);
        prop_assert!(errors.is_empty());
        prop_assert_eq!(went_back, 0);
    }

    /// Whatever the clocks do: nothing is lost, files keep their order, time goes forward, and it
    /// is counted exactly where it had to be held.
    #[test]
    fn wild_clocks_lose_nothing(
        files in prop::collection::vec(prop::collection::vec(0_i64..50, 0..30), 0..5)
    ) {
        let captures: Vec<_> = files.iter().map(|times| capture(times)).collect();
        let (packets, _, went_back) = merged(&captures);
        prop_assert!(packets.is_sorted_by_key(|&(_, _, at)| at));
        let mut held = 0;
        for (source, times) in files.iter().enumerate() {
            let mine: Vec<_> = packets.iter().filter(|p| p.0 == source).collect();
            prop_assert_eq!(mine.len(), times.len());
            for (place, (&&(_, number, at), &own)) in mine.iter().zip(times).enumerate() {
                prop_assert_eq!(usize::from(number), place);
                prop_assert!(at >= own);
                held += u64::from(at > own);
            }
        }
        prop_assert_eq!(went_back, held);
    }
}
