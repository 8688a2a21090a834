//! The topology itself, with the kernel translating: what the other tests rely on works without our program.
#![forbid(unsafe_code)]

use portledger_e2e::client::Mapping;
use portledger_e2e::servers::{Apache, Iperf3, Nginx, SshServer, StunServer};
use portledger_e2e::topology::{KERNEL_EXTERNAL, Topology};
use portledger_e2e::{Failure, prerequisite, read, truth};

#[test]
fn every_client_reaches_its_server_from_the_external_address() -> Result<(), Failure> {
    let programs = [
        "nft", "nginx", "apache2", "sshd", "rsyslogd", "ssh", "curl", "ping", "iperf3",
    ];
    if !prerequisite::met(&programs)? {
        return Ok(());
    }
    let network = Topology::new(3)?;
    network.translate_in_kernel(false)?;
    let (nginx, apache) = (Nginx::start(&network)?, Apache::start(&network)?);
    let (ssh, iperf3) = (SshServer::start(&network)?, Iperf3::start(&network)?);

    for host in &network.hosts {
        for server in [Nginx::ADDRESS, Apache::AUTHORITY] {
            let requests = host.get(server, "a", 5)?;
            assert_eq!(requests.len(), 5);
            assert!(
                requests.iter().all(|request| request.status == 200),
                "{requests:?}"
            );
            assert!(
                requests
                    .iter()
                    .all(|request| request.local.0 == host.address)
            );
        }
        host.ssh(&ssh)?;
        host.ping(Nginx::ADDRESS, 3)?;
    }
    assert!(network.hosts[0].iperf3(Iperf3::ADDRESS, &[])? > 1e6);
    assert!(network.hosts[0].iperf3(Iperf3::ADDRESS, &["--udp", "--bitrate", "20M"])? > 1e6);

    let external = KERNEL_EXTERNAL.to_string();
    for log in [&nginx.log, &apache.log] {
        let log = read(log)?;
        assert!(log.lines().all(|line| line.starts_with(&external)), "{log}");
        assert_eq!(
            truth::of_access_log(&log, &network.names()).len(),
            15,
            "{log}"
        );
    }
    let log = read(&ssh.log)?;
    let behind = truth::of_ssh_log(&log, &network.names());
    for host in &network.hosts {
        assert!(
            behind
                .values()
                .filter(|address| **address == host.address)
                .count()
                >= 3,
            "{log}"
        );
    }
    let with_port = log
        .lines()
        .filter(|line| line.contains(&format!(" {external} port ")))
        .count();
    assert_eq!(behind.len(), with_port, "{log}");
    assert!(iperf3.log().contains(&external), "{}", iperf3.log());
    Ok(())
}

#[test]
fn the_stun_client_tells_the_two_kinds_of_mapping_apart() -> Result<(), Failure> {
    if !prerequisite::met(&["nft", "turnserver", "turnutils_natdiscovery"])? {
        return Ok(());
    }
    for (per_destination, mapping) in [
        (false, Mapping::EndpointIndependent),
        (true, Mapping::EndpointDependent),
    ] {
        let network = Topology::new(1)?;
        network.translate_in_kernel(per_destination)?;
        let _stun = StunServer::start(&network)?;
        assert_eq!(network.hosts[0].stun_mapping(StunServer::ADDRESS)?, mapping);
    }
    Ok(())
}

#[test]
fn without_a_nat_nothing_gets_out() -> Result<(), Failure> {
    if !prerequisite::met(&["ping"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    assert!(network.hosts[0].ping(Nginx::ADDRESS, 1).is_err());
    Ok(())
}

#[test]
fn nothing_is_left_behind_even_after_a_panic() -> Result<(), Failure> {
    if !prerequisite::met(&["nginx"])? {
        return Ok(());
    }
    let network = Topology::new(2)?;
    let nginx = Nginx::start(&network)?;
    let folder = network.folder().to_path_buf();
    let names: Vec<String> = [&network.cgn, &network.outside]
        .iter()
        .map(|namespace| namespace.name().to_owned())
        .collect();
    let panicked = std::thread::spawn(move || {
        let _kept = (&network, &nginx);
        // A panic without its message: this one is on purpose.
        std::panic::resume_unwind(Box::new("on purpose"))
    });
    assert!(panicked.join().is_err());
    assert!(!folder.exists());
    for name in names {
        assert!(
            !std::path::Path::new("/run/netns").join(&name).exists(),
            "{name}"
        );
    }
    Ok(())
}
