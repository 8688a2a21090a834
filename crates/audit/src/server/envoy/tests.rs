use super::*;
use crate::testing::{Image, fixed, survives, told};

const PATH: &str = "/etc/envoy/envoy.yaml";

fn yaml(manager: &str) -> String {
    format!(
        "static_resources:\n  listeners:\n  - name: main\n    filter_chains:\n    - filters:\n      - name: envoy.filters.network.http_connection_manager\n        typed_config:\n          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n          stat_prefix: http # é\n{manager}"
    )
}

fn logger(more: &str) -> String {
    yaml(&format!(
        "          use_remote_address: true\n          access_log:\n          - name: file\n            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n              path: /var/log/envoy/access.log\n{more}"
    ))
}

const JSON: &str = r#"{"static_resources": {"listeners": [{"filter_chains": [{"filters": [{"typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "cluster": "a"}}]}]}]}}"#;

fn all(texts: &[String]) -> String {
    let all = texts.iter().map(|text| {
        let image = Image::default().with(PATH, text);
        format!(
            "{}{}\n",
            told(&Envoy, &image, PATH),
            fixed(&Envoy, &image, PATH, Wish::InPlace)
        )
    });
    all.collect()
}

#[test]
fn every_way_of_saying_what_is_logged() {
    insta::assert_snapshot!(all(&[
        yaml(""),
        logger(""),
        logger("              log_format:\n                text_format_source:\n                  inline_string: \"%START_TIME% %RESPONSE_CODE%\\n\"\n"),
        logger("              log_format:\n                text_format: |\n                  %START_TIME% %RESPONSE_CODE%\n            filter: {status_code_filter: {}}\n"),
        logger("              log_format:\n                json_format:\n                  status: \"%RESPONSE_CODE%\"\n"),
        logger("              log_format: {json_format: {start_time: \"%START_TIME%\"}}\n"),
        logger("              log_format:\n                text_format: '%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS%'\n"),
        logger("              log_format:\n                text_format: '%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS%'\n")
            .replace("use_remote_address: true", "use_remote_address: false"),
        logger("").replace("use_remote_address: true", "use_remote_address: true\n          xff_num_trusted_hops: 1"),
        logger("").replace("FileAccessLog", "SyslogAccessLog"),
        JSON.to_owned(),
    ]));
}

#[test]
fn whatever_stands_there() {
    for text in [yaml(""), logger(""), JSON.to_owned()] {
        survives(&Envoy, &Image::default().with(PATH, &text), PATH);
    }
}
