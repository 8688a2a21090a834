//! From settings to clients.

use std::time::Duration;

use object_store::{
    ClientConfigKey, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
};
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};

use crate::{
    access::Access,
    error::{Error, Reason},
    location::Location,
};

/// How long one request may take: a part of an upload over a slow line fits, a dead line is noticed.
const REQUEST: &str = "120 seconds";

/// How often and how long a request is tried again. A person may be waiting.
const RETRIES: usize = 5;
const RETRY_TIME: Duration = Duration::from_secs(60);

pub(super) struct Clients {
    pub(super) client: AmazonS3,
    /// With `If-None-Match: *` on each request: `object_store` has no way to say it of the end of a
    /// multipart upload alone (Amazon S3 API, CompleteMultipartUpload).
    pub(super) finisher: AmazonS3,
}

pub(super) fn connect(
    location: &Location,
    bucket: &str,
    access: &Access,
) -> Result<Clients, Error> {
    check(location, access)?;
    // Fails when the program has chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let build = |options: ClientOptions| {
        let mut builder = AmazonS3Builder::new()
            .with_client_options(options)
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), REQUEST)
            .with_retry(RetryConfig {
                max_retries: RETRIES,
                retry_timeout: RETRY_TIME,
                ..RetryConfig::default()
            });
        for (name, value) in access.iter() {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        builder
            // The URL's bucket, whatever the environment says.
            .with_bucket_name(bucket)
            .build()
            .map_err(|error| Error::Settings {
                location: location.clone(),
                reason: Reason::new(error),
            })
    };
    let mut only_new = HeaderMap::new();
    only_new.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
    Ok(Clients {
        client: build(ClientOptions::new())?,
        finisher: build(ClientOptions::new().with_default_headers(only_new))?,
    })
}

/// Says now what would else end in a riddle, or in minutes of waiting.
fn check(location: &Location, access: &Access) -> Result<(), Error> {
    let set = |name| access.get(name).is_some();
    let bad = |variable: &str, flaw| {
        Err(Error::Setting {
            location: location.clone(),
            variable: variable.into(),
            flaw,
        })
    };
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
        .into_iter()
        .find_map(|name| access.get(name).map(|url| (name, url)));
    if let Some((name, url)) = endpoint {
        let Ok(url) = reqwest::Url::parse(url) else {
            return bad(name, "it is no URL; write https://HOST:PORT");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return bad(
                name,
                "it holds credentials; they go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            );
        }
        match url.scheme() {
            "https" => {}
            "http" if access.get("AWS_ALLOW_HTTP").is_some_and(is_true) => {}
            "http" => {
                return bad(
                    name,
                    "it is http:// and everybody on the way could read along; use https://, or set AWS_ALLOW_HTTP=true",
                );
            }
            _ => return bad(name, "it is neither https:// nor http://"),
        }
    }
    if access.get("AWS_SKIP_SIGNATURE").is_some_and(is_true) {
        return Ok(());
    }
    match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
        (true, true) => return Ok(()),
        (false, false) => {}
        _ => return Err(missing(location)),
    }
    let role = set("AWS_WEB_IDENTITY_TOKEN_FILE")
        || set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        || set("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        || set("AWS_METADATA_ENDPOINT");
    // The last resort, asking the machine's host for a role, is Amazon's alone, and elsewhere a
    // wait for an address that never answers.
    let no_host =
        endpoint.is_some() || access.get("AWS_EC2_METADATA_DISABLED").is_some_and(is_true);
    if !role && no_host {
        return Err(missing(location));
    }
    Ok(())
}

fn missing(location: &Location) -> Error {
    Error::Credentials {
        location: location.clone(),
    }
}

fn is_true(text: &str) -> bool {
    ["1", "true", "on", "yes", "y"]
        .iter()
        .any(|yes| text.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(settings: &[(&str, &str)]) -> Result<(), Error> {
        let access = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let location = "s3://bucket/prefix".parse().unwrap();
        connect(&location, "bucket", &access).map(drop)
    }

    const KEY: (&str, &str) = ("AWS_ACCESS_KEY_ID", "id");
    const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "hunter2");

    #[test]
    fn missing_credentials_are_said_before_anything_is_sent() {
        let elsewhere = ("AWS_ENDPOINT_URL", "https://s3.example.org");
        for settings in [
            &[KEY][..],
            &[SECRET],
            &[elsewhere],
            &[("AWS_EC2_METADATA_DISABLED", "true")],
            &[KEY, ("AWS_SECRET_ACCESS_KEY", ""), elsewhere],
        ] {
            let error = connected(settings).unwrap_err();
            assert!(matches!(error, Error::Credentials { .. }), "{error}");
            assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"));
        }
        connected(&[KEY, SECRET, elsewhere]).unwrap();
        connected(&[]).unwrap();
        connected(&[elsewhere, ("AWS_SKIP_SIGNATURE", "true")]).unwrap();
    }

    #[test]
    fn an_endpoint_that_cannot_be_used_is_named_and_not_shown() {
        for url in [
            "s3.hunter2.example.org",
            "http://hunter2.example.org",
            "ftp://hunter2.example.org",
            "https://me:hunter2@s3.example.org",
        ] {
            let error = connected(&[KEY, SECRET, ("AWS_ENDPOINT_URL", url)]).unwrap_err();
            assert!(
                matches!(&error, Error::Setting { variable, .. } if variable == "AWS_ENDPOINT_URL")
            );
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        connected(&[
            KEY,
            SECRET,
            ("AWS_ENDPOINT_URL", "http://[::1]:9000"),
            ("AWS_ALLOW_HTTP", "TRUE"),
        ])
        .unwrap();
    }
}
