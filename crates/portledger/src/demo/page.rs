//! The demo's page.

use super::Story;

/// The page, for a terminal of 80 columns.
pub(super) fn page(story: &Story) -> String {
    let aside = &story.aside;
    let seconds = aside.last.since(aside.first).as_secs();
    let mut page = format!(
        "A capture of real programs (curl, ssh, dig, ping): {packets} packets in {seconds} s\n\
         went through the NAT, which gives each subscriber blocks of 256 ports.\n\
         \n\
         {subscribers:>10}  subscribers behind {addresses} addresses\n\
         {sessions:>10}  sessions\n\
         {events:>10}  block events: all that was logged\n\
         \n\
         The log, in the records of RFC 8158:\n\
         {block:>10}  bytes by block\n\
         {session:>10}  bytes by session: {ratio} times as many\n\
         {log:>10}  bytes in the ledger's log, encrypted, hashes and all\n\
         {segments:>10}  bytes in its sealed day: Parquet files, to be asked in either order\n\
         \n\
         The servers logged address, port and time of each connection. Asked who it was:\n\
         {sightings:>10}  sightings\n\
         {unique:>10}  came back to one subscriber\n\
         {right:>10}  of these to the right one, {wrong} to a wrong one\n",
        packets = aside.packets,
        subscribers = story.subscribers,
        addresses = aside.addresses,
        sessions = story.sessions,
        events = story.block_events,
        block = story.block_log_bytes,
        session = story.session_log_bytes,
        ratio = story.log_ratio,
        log = aside.log_bytes,
        segments = aside.segment_bytes,
        sightings = story.sightings,
        unique = story.unique,
        right = story.right,
        wrong = story.wrong,
    );
    if let Some(candidates) = story.candidates_without_port_median {
        page.push_str(&format!(
            "\nThe same sightings without their ports:\n\
             {candidates:>10}  subscribers might have been it, in the median\n"
        ));
    }
    if let Some((sighting, answer)) = &aside.example {
        let port = sighting
            .port
            .map_or_else(String::new, |port| format!(":{port}"));
        let at = sighting.at.map_or_else(String::new, |at| at.to_string());
        page.push_str(&format!(
            "\nFor one, {}{port} at {at}:\n\n{answer}",
            sighting.address
        ));
    }
    page
}
