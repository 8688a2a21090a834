use super::*;
use crate::testing::{Image, fixed, survives, told};

const YAML: &str = "/etc/traefik/traefik.yml";
const TOML: &str = "/etc/traefik/traefik.toml";

fn all(path: &str, texts: &[&str]) -> String {
    let all = texts.iter().map(|text| {
        let image = Image::default().with(path, text);
        format!(
            "# {text}\n{}{}\n",
            told(&Traefik, &image, path),
            fixed(&Traefik, &image, path, Wish::InPlace)
        )
    });
    all.collect()
}

const POINTS: &str = "entryPoints:\n  web:\n    address: \":80\"\n";

#[test]
fn only_json_has_the_port() {
    insta::assert_snapshot!(all(
        YAML,
        &[
            POINTS,
            "",
            "accessLog: {}\n",
            "accessLog:\n",
            "accessLog:\n  # where\n  filePath: /var/log/a.log\n  filters:\n    minDuration: 10ms\n",
            "accessLog:\n  format: common\n",
            "accessLog: {filePath: /a.log}\n",
            "accessLog:\n  format: json\n  fields:\n    defaultMode: drop\n    names:\n      ClientHost: keep\n",
            "accessLog:\n  format: json\n  fields:\n    names:\n      ClientAddr: drop\n",
        ]
    ));
}

#[test]
fn in_toml_too() {
    insta::assert_snapshot!(all(
        TOML,
        &[
            "[entryPoints.web]\n  address = \":80\"",
            "[accessLog] # here\n  filePath = \"/a.log\"\n",
            "[accessLog]\n  format = \"common\"\n[log]\n",
            "accessLog = {}\n",
        ]
    ));
}

#[test]
fn behind_a_proxy() {
    let point = |what: &str| format!("{POINTS}    {what}\naccessLog:\n  format: json\n");
    let texts = [
        point("forwardedHeaders:\n      insecure: true"),
        point("forwardedHeaders: {trustedIPs: [192.0.2.9]}"),
        point("proxyProtocol: {trustedIPs: [192.0.2.9]}"),
        point("proxyProtocol: {insecure: true}"),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    insta::assert_snapshot!(all(YAML, &texts));
}

#[test]
fn whatever_stands_there() {
    let text = format!(
        "{POINTS}accessLog:\n  filePath: /var/log/a.log\n  fields: {{names: {{a: keep}}}}\n"
    );
    survives(&Traefik, &Image::default().with(YAML, &text), YAML);
    survives(&Traefik, &Image::default().with(YAML, POINTS), YAML);
    let text = "[accessLog]\n  filePath = \"/var/log/a.log\"\n[entryPoints.web]\n";
    survives(&Traefik, &Image::default().with(TOML, text), TOML);
}
