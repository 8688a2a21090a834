use super::*;
use crate::testing::{Image, fixed, survives, told};

const PATH: &str = "/etc/tomcat10/server.xml";

const DEBIAN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- Debian's, shortened -->
<Server port="-1" shutdown="SHUTDOWN">
  <Service name="Catalina">
    <Connector port="8080" protocol="HTTP/1.1" />
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost"  appBase="webapps">
        <Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs"
               prefix="localhost_access_log" suffix=".txt"
               pattern="%h %l %u %t &quot;%r&quot; %s %b" />
      </Host>
      <Host name="b" appBase="b">
        <Valve className="org.apache.catalina.valves.AccessLogValve" pattern="combined"/>
        <Valve className="org.apache.catalina.valves.JsonAccessLogValve" pattern="combined"/>
      </Host>
    </Engine>
  </Service>
</Server>
"#;

fn debian() -> Image {
    Image::default().with(PATH, DEBIAN).with(
        "/var/lib/tomcat10/logs/localhost_access_log.2026-11-29.txt",
        "203.0.113.7 - - [21/Nov/2026:10:53:22 +0100] \"GET / HTTP/1.1\" 200 612\n",
    )
}

#[test]
fn debian_s_default_lacks_the_port() {
    insta::assert_snapshot!(told(&Tomcat, &debian(), PATH));
    insta::assert_snapshot!(fixed(&Tomcat, &debian(), PATH, Wish::InPlace));
    insta::assert_snapshot!(fixed(&Tomcat, &debian(), PATH, Wish::Parallel));
}

#[test]
fn a_host_without_a_log_gets_one() {
    let at = DEBIAN.find("        <Valve").unwrap();
    let end = DEBIAN.find("    </Engine>").unwrap();
    let text = format!("{}      </Host>\n{}", &DEBIAN[..at], &DEBIAN[end..]);
    let image = Image::default().with(PATH, &text);
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Tomcat, &image, PATH),
        fixed(&Tomcat, &image, PATH, Wish::InPlace)
    ));
}

#[test]
fn behind_remote_ip_valve_the_port_is_lost() {
    let valve = "<Valve className=\"org.apache.catalina.valves.RemoteIpValve\"/></Engine>";
    let image = Image::default().with(PATH, &DEBIAN.replace("</Engine>", valve));
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Tomcat, &image, PATH),
        fixed(&Tomcat, &image, PATH, Wish::InPlace)
    ));
}

#[test]
fn whatever_stands_there() {
    survives(&Tomcat, &debian(), PATH);
}
