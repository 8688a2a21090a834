//! Devices that prove who they are, and those that do not (RFC 5425, RFC 7011 §10.4).

use std::{io::Write as _, net::SocketAddr, net::TcpStream, sync::Arc};

use portledger_service::tls::{self, Identity, Trust};
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    Phase, Protocol, Roster, Telling, Transport, asked, block, certificates::Certificates, collect,
    everybody, heard_events, listener, messages, settings, time, told, who,
};

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A connection as far as it gets; a server that wants a certificate refuses one without after the
/// client is done.
fn connect(to: SocketAddr, certificates: &Certificates, identity: Option<&str>) -> Client {
    let identity = identity.map(|name| Identity {
        certificate: certificates.path(&format!("{name}.pem")),
        key: certificates.path(&format!("{name}.key")),
    });
    let trust = Trust::Authorities(certificates.path("ca.pem"));
    let config = tls::client_config(&trust, identity.as_ref()).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(config, name).unwrap();
    StreamOwned::new(client, TcpStream::connect(to).unwrap())
}

fn over_tls(certificates: &Certificates) -> Transport {
    let server = tls::server_config(
        &certificates.path("collector.pem"),
        &certificates.path("collector.key"),
        Some(&certificates.path("ca.pem")),
    );
    Transport::Tls(Arc::clone(&server.unwrap()))
}

#[test]
fn lines_and_flows_over_tls_are_of_devices_that_prove_who_they_are() {
    let certificates = Certificates::new();
    let dir = tempfile::tempdir().unwrap();
    let dialects = super::Dialects::built_in();
    let listeners = vec![
        listener(Protocol::Lines, over_tls(&certificates)),
        listener(Protocol::Flows, over_tls(&certificates)),
    ];
    let figures = collect(
        dir.path(),
        settings(&dialects, listeners, everybody()),
        |addresses| {
            let mut stranger = connect(addresses[0], &certificates, None);
            let line = told("cgn9", &block(time(0), Phase::Begun, 9, 9));
            // Whether it notices by now or later, nothing of it is heard.
            let _ = write!(stranger, "{} ", line.len());
            let _ = stranger.write_all(&line);
            let _ = stranger.flush();

            let mut lines = connect(addresses[0], &certificates, Some("nat"));
            let line = told("cgn1", &block(time(0), Phase::Begun, 1, 0));
            write!(lines, "{} ", line.len()).unwrap();
            lines.write_all(&line).unwrap();
            lines.flush().unwrap();

            let mut flows = connect(addresses[1], &certificates, Some("nat"));
            for message in messages(&[block(time(1), Phase::Begun, 2, 1)]) {
                flows.write_all(&message).unwrap();
            }
            flows.flush().unwrap();
        },
        |figures| heard_events(2)(figures) && figures.listeners[0].1.refused_connections == 1,
    );
    let devices: Vec<_> = figures.by_device().into_keys().collect();
    assert_eq!(devices, ["127.0.0.1", "cgn1"]);
    assert_eq!(asked(dir.path(), 0, time(0)).0, [who(1)]);
    assert_eq!(asked(dir.path(), 1, time(1)).0, [who(2)]);
    assert_eq!(asked(dir.path(), 9, time(1)).0, []);
}

/// Whoever speaks no TLS to a socket that wants it is not heard either.
#[test]
fn a_line_in_the_clear_is_not_heard_where_tls_is_wanted() {
    let certificates = Certificates::new();
    let dir = tempfile::tempdir().unwrap();
    let dialects = super::Dialects::built_in();
    let listeners = vec![listener(Protocol::Lines, over_tls(&certificates))];
    let roster = Roster::everybody(Telling::default());
    let figures = collect(
        dir.path(),
        settings(&dialects, listeners, roster),
        |addresses| {
            let mut clear = TcpStream::connect(addresses[0]).unwrap();
            let line = told("cgn1", &block(time(0), Phase::Begun, 1, 0));
            write!(clear, "{} ", line.len()).unwrap();
            clear.write_all(&line).unwrap();
        },
        |figures| figures.listeners[0].1.refused_connections == 1,
    );
    assert!(figures.devices.is_empty());
}
