//! An S3-speaking server for tests: moto, from Python's package registry. The tests of the program
//! take this file, too.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses its part; a test fails by panicking"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

/// How long it may take to come up on a busy machine. Where it is missing, that is known at once.
const START: Duration = Duration::from_secs(30);

/// A running server. It ends when its standard input does: with this, or with the test's process.
pub struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    /// The server that tests share while any of them needs it; `None`, said loudly, where it
    /// cannot be had.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Moto>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moto) = shared.upgrade() {
            return Some(moto);
        }
        let moto = Arc::new(Self::start("http")?);
        *shared = Arc::downgrade(&moto);
        Some(moto)
    }

    pub fn start(scheme: &str) -> Option<Self> {
        match Self::try_start(scheme) {
            Ok(moto) => Some(moto),
            Err(reason) => {
                assert!(
                    std::env::var_os("PORTLEDGER_REQUIRE_S3").is_none_or(|value| value != "1"),
                    "no S3-speaking server: {reason}"
                );
                let test = std::thread::current().name().unwrap_or("test").to_owned();
                // Written past the test harness, which keeps what a passing test prints to itself.
                let line = format!(
                    "SKIPPED {test}: {reason}; run python3 -m pip install -r crates/store/tests/requirements.txt\n"
                );
                let _ = std::io::stderr().write_all(line.as_bytes());
                None
            }
        }
    }

    fn try_start(scheme: &str) -> Result<Self, String> {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../store/tests/conformance/serve_s3.py"
        );
        let mut child = Command::new("python3")
            .args([script, scheme])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("python3 does not start: {error}"))?;
        let (sender, receiver) = mpsc::channel();
        let output = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(output).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(START).unwrap_or_default();
        match line.trim().parse() {
            Ok(port) => Ok(Self { child, port }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err("python3 has no moto[server], or it did not come up in 30 s".into())
            }
        }
    }

    /// The name of a new bucket.
    pub fn bucket(&self) -> String {
        static BUCKETS: AtomicU32 = AtomicU32::new(0);
        let bucket = format!("bucket-{}", BUCKETS.fetch_add(1, Ordering::Relaxed));
        let answer = self.ask("PUT", &format!("/{bucket}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        bucket
    }

    /// The variables of the environment by which it is reached.
    pub fn access(&self, scheme: &str) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ALLOW_INVALID_CERTIFICATES", "true"),
            (
                "AWS_ENDPOINT_URL",
                &format!("{scheme}://127.0.0.1:{}", self.port),
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }

    /// A plain request; the whole answer.
    pub fn ask(&self, method: &str, target: &str) -> String {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request\r\n\
             Connection: close\r\n\r\n",
            self.port
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
