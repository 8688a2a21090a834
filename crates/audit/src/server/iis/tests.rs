use super::*;
use crate::testing::{Image, fixed, survives, told};

const PATH: &str = "/Windows/System32/inetsrv/config/applicationHost.config";

fn config(sites: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<configuration>\r\n  <system.applicationHost>\r\n    <log>\r\n      <centralW3CLogFile enabled=\"true\" />\r\n    </log>\r\n    <sites>\r\n{sites}    </sites>\r\n  </system.applicationHost>\r\n</configuration>\r\n"
    )
}

const SITE: &str =
    "      <site name=\"Default Web Site\" id=\"1\">\r\n        <bindings />\r\n      </site>\r\n";
const DEFAULTS: &str = "      <siteDefaults>\r\n        <logFile logFormat=\"W3C\" directory=\"%SystemDrive%\\inetpub\\logs\\LogFiles\" />\r\n      </siteDefaults>\r\n";

fn all(texts: &[String]) -> String {
    let all = texts.iter().map(|text| {
        let image = Image::default().with(PATH, text);
        let fix = fixed(&Iis, &image, PATH, Wish::InPlace);
        format!("{}{}\n", told(&Iis, &image, PATH), fix.replace('\r', ""))
    });
    all.collect()
}

#[test]
fn the_port_is_a_custom_field() {
    let with_log = |log: &str| SITE.replace("<bindings />", log);
    insta::assert_snapshot!(all(&[
        config(&format!("{SITE}{DEFAULTS}")),
        config(SITE),
        config(&format!(
            "{SITE}      <siteDefaults>\r\n      </siteDefaults>\r\n"
        )),
        config(&with_log(
            "<logFile><customFields><clear /><add logFieldName=\"xff\" sourceName=\"X-Forwarded-For\" sourceType=\"RequestHeader\" /></customFields></logFile>"
        )),
        config(&with_log("<logFile logFormat=\"IIS\" />")),
        config(&with_log("<logFile enabled=\"false\" />")),
        config(&with_log(
            "<logFile logExtFileFlags=\"Date, Time, ClientIP\"><customFields><add logFieldName=\"Quelle\" sourceName=\"REMOTE_PORT\" sourceType=\"ServerVariable\" /></customFields></logFile>"
        )),
        config(&with_log("<logFile logExtFileFlags=\"Time, ServerIP\" />")),
        config(""),
    ]));
}

#[test]
fn whatever_stands_there() {
    let image = Image::default().with(PATH, &config(&format!("{SITE}{DEFAULTS}")));
    survives(&Iis, &image, PATH);
}
