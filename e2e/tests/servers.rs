//! Real servers: audited right as they come, changed by `fix --apply`, and read back after it.
#![forbid(unsafe_code)]

use portledger_e2e::survey::{self, Counted, Surveyed, VISITS};
use portledger_e2e::{Failure, prerequisite};

/// A server whose default has no port, and which a setting makes log it for every connection.
fn logs_it_once_fixed(name: &str) -> Result<(), Failure> {
    let Some(server) = there(name)? else {
        return Ok(());
    };
    logs_it_once(server)
}

fn logs_it_once(server: &'static dyn Surveyed) -> Result<(), Failure> {
    let outcome = survey::survey(server)?;
    assert_eq!(outcome.default.named, 0, "{outcome:#?}");
    assert_eq!(outcome.fix["applied"], true, "{outcome:#?}");
    assert_eq!(outcome.fixed, EVERY_ONE, "{outcome:#?}");
    let refusal = survey::refuses_a_mistake(server)?;
    assert!(refusal.is_none_or(|problem| problem.contains("nothing was changed")));
    Ok(())
}

/// A server whose default has the port for every connection.
fn logs_it_already(name: &str) -> Result<(), Failure> {
    let Some(server) = there(name)? else {
        return Ok(());
    };
    let outcome = survey::survey(server)?;
    assert_eq!(outcome.default, EVERY_ONE, "{outcome:#?}");
    assert_eq!(outcome.fixed, EVERY_ONE, "{outcome:#?}");
    Ok(())
}

/// A server that no setting makes log it: `audit` says how far it is, `fix` why it does nothing, and the log has no
/// port, whatever was tried.
fn stays_without(name: &str, maturity: &str, why: &str) -> Result<(), Failure> {
    let Some(server) = there(name)? else {
        return Ok(());
    };
    let outcome = survey::survey(server)?;
    assert_eq!(outcome.before["maturity"], maturity, "{outcome:#?}");
    let problem = outcome.fix["problem"].as_str().unwrap_or_default();
    assert!(problem.contains(why), "{outcome:#?}");
    assert_ne!(outcome.fix["applied"], true, "{outcome:#?}");
    let none = Counted {
        named: 0,
        ..EVERY_ONE
    };
    assert_eq!(outcome.default, none, "{outcome:#?}");
    assert_eq!(outcome.fixed, none, "{outcome:#?}");
    Ok(())
}

/// Every visit is named, and nothing else.
const EVERY_ONE: Counted = Counted {
    visits: VISITS as usize,
    named: VISITS as usize,
    wrong: 0,
};

/// The server of this name, where its programs are here.
fn there(name: &str) -> Result<Option<&'static dyn Surveyed>, Failure> {
    let Some(server) = survey::all()
        .into_iter()
        .find(|server| server.name() == name)
    else {
        return Err(Failure::Missing(format!("no survey of {name}")));
    };
    Ok(prerequisite::met_with_portledger(server.programs())?.then_some(server))
}

#[test]
fn nginx() -> Result<(), Failure> {
    logs_it_once_fixed("nginx")
}

#[test]
fn apache() -> Result<(), Failure> {
    logs_it_once_fixed("apache")
}

#[test]
fn postfix() -> Result<(), Failure> {
    logs_it_once_fixed("postfix")
}

#[test]
fn exim() -> Result<(), Failure> {
    logs_it_once_fixed("exim")
}

/// Through the macros of Debian's `update-exim4.conf`.
#[test]
fn exim_of_debian() -> Result<(), Failure> {
    let server = survey::exim_of_debian();
    if !prerequisite::met_with_portledger(server.programs())? {
        return Ok(());
    }
    logs_it_once(server)
}

#[test]
fn postgresql() -> Result<(), Failure> {
    logs_it_once_fixed("postgresql")
}

#[test]
fn dovecot() -> Result<(), Failure> {
    logs_it_already("dovecot")
}

/// Of those who log in, as every client here does.
#[test]
fn cyrus() -> Result<(), Failure> {
    logs_it_once_fixed("cyrus")
}

#[test]
fn openssh() -> Result<(), Failure> {
    logs_it_already("openssh")
}

#[test]
fn haproxy() -> Result<(), Failure> {
    logs_it_already("haproxy")
}

#[test]
fn squid() -> Result<(), Failure> {
    logs_it_once_fixed("squid")
}

/// Those too who name no recipient, though Debian's policy delays its checks until then.
#[test]
fn sendmail() -> Result<(), Failure> {
    logs_it_once_fixed("sendmail")
}

#[test]
fn tomcat() -> Result<(), Failure> {
    logs_it_once_fixed("tomcat")
}

#[test]
fn lighttpd() -> Result<(), Failure> {
    logs_it_once_fixed("lighttpd")
}

#[test]
fn caddy() -> Result<(), Failure> {
    logs_it_once_fixed("caddy")
}

#[test]
fn bind() -> Result<(), Failure> {
    logs_it_once_fixed("bind")
}

#[test]
fn mosquitto() -> Result<(), Failure> {
    logs_it_already("mosquitto")
}

#[test]
fn redis() -> Result<(), Failure> {
    logs_it_once_fixed("redis")
}

#[test]
fn openldap() -> Result<(), Failure> {
    logs_it_once_fixed("openldap")
}

#[test]
fn proftpd() -> Result<(), Failure> {
    logs_it_once_fixed("proftpd")
}

#[test]
fn mariadb_is_left_to_a_person() -> Result<(), Failure> {
    stays_without(
        "mysql",
        "possible",
        "MariaDB's audit plugin does since 12.0",
    )
}

#[test]
fn varnish() -> Result<(), Failure> {
    logs_it_once_fixed("varnish")
}

/// It writes no log; the client of its guide is told of every connection.
#[test]
fn memcached_tells_who_asks() -> Result<(), Failure> {
    let Some(server) = there("memcached")? else {
        return Ok(());
    };
    let outcome = survey::survey(server)?;
    assert_eq!(outcome.before["maturity"], "possible", "{outcome:#?}");
    let problem = outcome.fix["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("watch connevents"), "{outcome:#?}");
    assert_eq!(outcome.default, EVERY_ONE, "{outcome:#?}");
    assert_eq!(outcome.fixed, EVERY_ONE, "{outcome:#?}");
    Ok(())
}

#[test]
fn pure_ftpd_cannot() -> Result<(), Failure> {
    stays_without("pure-ftpd", "none", "Pure-FTPd cannot log the source port")
}

#[test]
fn vsftpd_cannot() -> Result<(), Failure> {
    stays_without("vsftpd", "none", "vsftpd cannot log the source port")
}

#[test]
fn the_page_of_the_survey_has_every_server_as_it_is_known() {
    let page = include_str!("../../docs/survey.md");
    for server in portledger_audit::server::all() {
        let facts = server.facts();
        let beginning = format!("| [{}](servers/{}.md) |", facts.title, facts.name);
        let row = page.lines().find(|line| line.starts_with(&beginning));
        let row = row.unwrap_or_else(|| panic!("no row {beginning}: run the example survey"));
        assert!(row.contains(&facts.how), "{row}: run the example survey");
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let today = [
            facts.today.possible,
            facts.today.feasible,
            facts.today.default,
        ];
        for (column, is_so) in columns[3..6].iter().zip(today) {
            let wanted = if is_so { "yes" } else { "no" };
            let now = column
                .trim_matches('*')
                .rsplit(' ')
                .next()
                .unwrap_or_default();
            assert_eq!(
                now.trim_matches('*'),
                wanted,
                "{row}: run the example survey"
            );
        }
    }
}
