//! `portledger audit`, `fix` and `guide` from outside: an image of a machine in a folder, and a
//! program in the server's place that checks its configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use serde_json::Value;
use support::Place;

const NGINX: &str = "http {\n    access_log /var/log/nginx/access.log;\n    include sites/*;\n}\n";

/// An image with nginx as a distribution sets it up.
fn image() -> Place {
    let place = Place::new();
    for folder in [
        "image/etc/nginx/sites",
        "image/var/log/nginx",
        "image/elsewhere",
        "bin",
    ] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    place.write("image/etc/nginx/nginx.conf", NGINX);
    place.write(
        "image/elsewhere/own",
        "server { access_log /var/log/nginx/own.log; }\n",
    );
    // An absolute link inside an image means the image.
    symlink("/elsewhere/own", place.path("image/etc/nginx/sites/own")).unwrap();
    place
}

/// A program in the server's place: its check passes unless the configuration holds a word.
fn server_that_refuses(place: &Place, word: &str) {
    let script = format!(
        "#!/bin/sh\nfor last; do :; done\ncase \"$1\" in -t) if grep -q '{word}' \"$last\"; then echo \"emerg: $last is wrong\" >&2; exit 1; fi;; *) exit 1;; esac\n"
    );
    place.write("bin/nginx", script);
    fs::set_permissions(place.path("bin/nginx"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_image_is_audited_without_leaving_it() {
    let place = image();
    let ended = place.run(&["audit", "--root", "image", "--json"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let server: Value = serde_json::from_str(ended.stdout.trim()).unwrap();
    assert_eq!(server["server"], "nginx");
    assert_eq!(server["maturity"], "feasible");
    let logs = server["logs"].as_array().unwrap();
    let paths: Vec<&str> = logs
        .iter()
        .map(|log| log["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        ["/var/log/nginx/access.log", "/var/log/nginx/own.log"]
    );
    for log in logs {
        assert_eq!(log["records"]["source_address"], true);
        assert_eq!(log["records"]["source_port"], false);
        assert_eq!(log["records"]["time_resolution_ms"], 1000);
    }
}

#[test]
fn a_policy_is_an_exit_status() {
    let place = image();
    let status = |level| {
        place
            .run(&["audit", "--root", "image", "--require", level])
            .status
    };
    assert_eq!(status("feasible"), 0);
    assert_eq!(status("manageable"), 1);
    assert_eq!(status("splendid"), 2);
}

#[test]
fn sarif_names_file_and_rule() {
    let place = image();
    place.write(
        "image/etc/nginx/nginx.conf",
        "http {\n    real_ip_header X-Forwarded-For;\n    server { listen 80; }\n}\n",
    );
    let ended = place.run(&["audit", "--root", "image", "--sarif"]);
    let sarif: Value = serde_json::from_str(&ended.stdout).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let lost = results
        .iter()
        .find(|result| result["ruleId"] == "port-lost")
        .unwrap();
    let place = &lost["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"]["uri"],
        "file:///etc/nginx/nginx.conf"
    );
    assert_eq!(place["region"]["startLine"], 2);
}

#[test]
fn a_fix_is_a_diff_until_it_is_applied() {
    let place = image();
    server_that_refuses(&place, "nothing of the kind");
    let file = "image/etc/nginx/nginx.conf";
    let path = place.path(file).display().to_string();
    fs::set_permissions(place.path(file), fs::Permissions::from_mode(0o640)).unwrap();

    let shown = place.run(&["fix", &path]);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    assert!(
        shown.stdout.contains("+    log_format combined_port"),
        "{}",
        shown.stdout
    );
    assert_eq!(place.read(file), NGINX);

    let applied = place.run(&["fix", &path, "--apply", "--backups", "backups"]);
    assert_eq!(applied.status, 0, "{}", applied.stderr);
    assert!(place.read(file).contains("access.log combined_port;"));
    let mode = fs::metadata(place.path(file)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let moment = fs::read_dir(place.path("backups"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let kept = moment.path().join(path.trim_start_matches('/'));
    assert_eq!(fs::read_to_string(kept).unwrap(), NGINX);

    let again = place.run(&["fix", &path, "--apply", "--backups", "backups"]);
    assert!(
        again.stdout.contains("nothing to change"),
        "{}",
        again.stdout
    );
}

#[test]
fn what_the_server_refuses_is_taken_back() {
    let place = image();
    server_that_refuses(&place, "combined_port");
    let file = "image/etc/nginx/nginx.conf";
    let path = place.path(file).display().to_string();
    let ended = place.run(&["fix", &path, "--apply", "--backups", "backups"]);
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains("everything is as it was"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("is wrong"), "{}", ended.stderr);
    assert_eq!(place.read(file), NGINX);
    let left = fs::read_dir(place.path("image/etc/nginx")).unwrap().count();
    assert_eq!(left, 2, "nothing is left beside the configuration");
}

#[test]
fn a_configuration_that_is_broken_already_is_not_touched() {
    let place = image();
    server_that_refuses(&place, "access_log");
    let path = place
        .path("image/etc/nginx/nginx.conf")
        .display()
        .to_string();
    let ended = place.run(&["fix", &path, "--apply", "--backups", "backups"]);
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains("nothing was changed"),
        "{}",
        ended.stderr
    );
    assert!(!place.exists("backups"));
}

#[test]
fn a_guide_is_the_page_of_its_server() {
    let place = Place::new();
    let page = place.run(&["guide", "nginx"]);
    assert_eq!(page.stdout, include_str!("../../../docs/servers/nginx.md"));
    assert_eq!(place.run(&["guide", "nobody"]).status, 2);
    assert!(place.run(&["guide"]).stdout.contains("nginx"));
}
