//! Servers that answer strangely, and how often one is asked: a server of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use portledger_store::{Error, Store, StorePath};
use proptest::prelude::*;

/// A request: its method, target, and value of `Range`.
struct Request {
    method: String,
    range: Option<String>,
}

/// Answers each connection's one request with the bytes that a function says.
struct Server {
    port: u16,
    stop: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let server = Self {
            port,
            stop: Arc::clone(&stop),
            asked: Arc::clone(&asked),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let _ = stream.and_then(|stream| serve(stream, &asked, &answer));
            }
        });
        server
    }

    fn store(&self) -> Store {
        let access = [
            ("AWS_ACCESS_KEY_ID", "AKIATEST"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_ALLOW_HTTP", "true"),
            (
                "AWS_ENDPOINT_URL",
                &format!("http://127.0.0.1:{}", self.port),
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        Store::open_with(&"s3://bucket/p".parse().unwrap(), &access).unwrap()
    }

    /// The ranges asked for so far, and forgets them.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<String>>,
    answer: &impl Fn(&Request) -> Vec<u8>,
) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let (mut line, mut range, mut length) = (String::new(), None, 0);
    reader.read_line(&mut line)?;
    let method = line.split(' ').next().unwrap_or_default().to_owned();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("range: bytes=") {
            range = Some(value.to_owned());
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().unwrap_or(0);
        }
    }
    io::copy(&mut reader.take(length), &mut io::sink())?;
    let request = Request { method, range };
    asked
        .lock()
        .unwrap()
        .push(request.range.clone().unwrap_or(request.method.clone()));
    (&stream).write_all(&answer(&request))
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nLast-Modified: Sun, 01 Nov 2026 00:00:00 GMT\r\n{headers}\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A proper answer for a file of these bytes.
fn partial(content: &[u8], request: &Request) -> Vec<u8> {
    let range = request.range.as_deref().unwrap_or_default();
    let (first, last) = match range.split_once('-').unwrap() {
        ("", suffix) => (
            content.len() - suffix.parse::<usize>().unwrap().min(content.len()),
            content.len() - 1,
        ),
        (first, last) => (first.parse().unwrap(), last.parse().unwrap()),
    };
    let body = &content[first..=last];
    let headers = format!(
        "ETag: \"1\"\r\nContent-Range: bytes {first}-{last}/{}\r\nContent-Length: {}\r\n",
        content.len(),
        body.len()
    );
    response("206 Partial Content", &headers, body)
}

fn path() -> StorePath {
    "day/file".parse().unwrap()
}

#[test]
fn a_footer_costs_one_request_and_near_reads_share_theirs() {
    let content: Vec<u8> = (0..2_000_000_u32).map(|n| (n >> 3) as u8).collect();
    let served = content.clone();
    let server = Server::start(move |request| partial(&served, request));
    let store = server.store();
    let read = |file: &dyn portledger_store::ReadAt, start: usize, length: usize| {
        let mut buffer = vec![0; length];
        file.read_at(&mut buffer, start as u64).unwrap();
        assert!(buffer == content[start..start + length]);
    };
    let file = store.open_file(&path()).unwrap();
    read(&*file, 2_000_000 - 8, 8);
    read(&*file, 2_000_000 - 60_000, 50_000);
    assert_eq!(server.asked(), ["-65536"]);

    // Two places in one block: one request. Another block, and one that spans two: theirs.
    read(&*file, 1_000_000, 10);
    read(&*file, 990_000, 10);
    assert_eq!(server.asked(), ["983040-1048575"]);
    read(&*file, 131_070, 4);
    assert_eq!(server.asked(), ["65536-196607"]);

    // Who opens the file again finds the blocks.
    let again = store.open_file(&path()).unwrap();
    read(&*again, 131_072, 100);
    assert_eq!(server.asked(), ["-65536"]);

    // Reading on: longer and longer.
    for block in 4..=11 {
        read(&*file, block * 65_536, 65_536);
    }
    assert_eq!(
        server.asked(),
        [
            "262144-327679",
            "327680-458751",
            "458752-720895",
            "720896-1245183"
        ]
    );

    // A long read is one request, and keeps nothing.
    read(&*file, 1_300_000, 600_000);
    assert_eq!(server.asked(), ["1300000-1899999"]);
}

fn tried(store: &Store) -> Vec<Error> {
    let mut errors = Vec::new();
    errors.extend(store.get(&path()).err());
    errors.extend(store.open_file(&path()).err());
    errors.extend(store.list(None).err());
    errors.extend(store.put_new(&path(), vec![1]).err());
    errors.extend(store.delete(&path()).err());
    errors.extend(store.delete_all(&path()).err());
    errors
}

#[test]
fn answers_that_are_none_are_errors_and_never_panics() {
    let huge = u64::MAX;
    for answer in [
        response("200 OK", "Content-Length: 0\r\n", b""),
        response(
            "200 OK",
            "ETag: \"1\"\r\nContent-Length: 18446744073709551615\r\n",
            b"x",
        ),
        response("200 OK", "Content-Length: 2\r\n", b"<>"),
        response("206 Partial Content", "Content-Length: 1\r\n", b"x"),
        response(
            "206 Partial Content",
            &format!(
                "ETag: \"1\"\r\nContent-Range: bytes 0-{huge}/{huge}\r\nContent-Length: 1\r\n"
            ),
            b"x",
        ),
        response(
            "206 Partial Content",
            &format!(
                "ETag: \"1\"\r\nContent-Range: bytes {}-{}/{huge}\r\nContent-Length: 65536\r\n",
                huge - 65536,
                huge - 1
            ),
            &[0; 65536],
        ),
        response(
            "206 Partial Content",
            "ETag: \"1\"\r\nContent-Range: bytes 9-3/5\r\nContent-Length: 1\r\n",
            b"x",
        ),
        response(
            "206 Partial Content",
            "ETag: \"1\"\r\nContent-Range: bytes 0-99/100\r\nContent-Length: 50\r\n",
            &[0; 50],
        ),
        response(
            "206 Partial Content",
            "ETag: \"1\"\r\nContent-Range: bytes 0-1/2\r\nContent-Length: 50\r\n",
            &[0; 50],
        ),
        response("403 Forbidden", "Content-Length: 0\r\n", b""),
        response("418 I'm a teapot", "Content-Length: 2\r\n", b"\xff\xfe"),
        response(
            "301 Moved Permanently",
            "Location: /elsewhere\r\nContent-Length: 0\r\n",
            b"",
        ),
    ] {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
        let server = Server::start(move |_| answer.clone());
        let errors = tried(&server.store());
        assert!(errors.len() >= 2, "{shown}: {errors:?}");
        for error in errors {
            let text = error.to_string();
            assert!(text.contains("s3://bucket/p"), "{text}");
            assert!(text.len() < 1200 && !text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn a_body_that_ends_early_is_no_file() {
    // HTTP itself sees nothing missing: the two headers contradict each other.
    let server = Server::start(|_| {
        let headers = "ETag: \"1\"\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 5\r\n";
        response("206 Partial Content", headers, b"12345")
    });
    let opened = server.store().open_file(&path()).map(drop);
    let error = opened.unwrap_err();
    assert!(
        error.to_string().contains("promised 10 bytes and sent 5"),
        "{error}"
    );
}

#[test]
fn a_refusal_says_so_and_to_look_at_the_credentials() {
    let body = b"<Error><Code>SignatureDoesNotMatch</Code></Error>";
    let server = Server::start(move |_| {
        let headers = format!("Content-Length: {}\r\n", body.len());
        response("403 Forbidden", &headers, body)
    });
    let errors = tried(&server.store());
    assert_eq!(errors.len(), 6);
    for error in errors {
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(
            error.to_string().contains("check the credentials"),
            "{error}"
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_out_of_reach() {
    let server = Server::start(|_| Vec::new());
    let store = server.store();
    let port = server.port;
    drop(server);
    // Nothing listens once the thread has seen that it is to stop.
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        thread::yield_now();
    }
    let error = store.get(&path()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("check the network"), "{error}");
}

#[test]
fn a_name_that_is_in_dispute_is_asked_for_again() {
    let asked = Mutex::new(0);
    let server = Server::start(move |_| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if *asked == 1 {
            let body = b"<Error><Code>ConditionalRequestConflict</Code></Error>";
            let headers = format!("Content-Length: {}\r\n", body.len());
            return response("409 Conflict", &headers, body);
        }
        response("200 OK", "ETag: \"1\"\r\nContent-Length: 0\r\n", b"")
    });
    server.store().put_new(&path(), vec![1]).unwrap();
    assert_eq!(server.asked(), ["PUT", "PUT"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Headers as of a server, and anything in them: the store's own threads must not be seen to
    /// die, nor the caller's.
    #[test]
    fn no_answer_makes_it_panic(
        status in prop::sample::select(vec!["200 OK", "206 Partial Content", "404 Not Found", "400 Bad Request", "412 Precondition Failed"]),
        range in "(bytes )?[0-9]{0,20}-[0-9]{0,20}/([0-9]{0,20}|\\*)",
        tag in "\"?[a-z0-9\\x80-\\xff]{0,5}\"?",
        body in prop::collection::vec(any::<u8>(), 0..100),
        kept in 0..100_usize,
    ) {
        let headers = format!(
            "ETag: {tag}\r\nContent-Range: {range}\r\nContent-Length: {}\r\n",
            body.len().min(kept)
        );
        let answer = response(status, &headers, &body);
        let server = Server::start(move |_| answer.clone());
        let store = server.store();
        for error in tried(&store) {
            prop_assert!(error.to_string().contains("s3://bucket/p"));
        }
        if let Ok(file) = store.open_file(&path()) {
            let _ = file.read_at(&mut [0; 10], 0);
            let _ = file.read_at(&mut [0; 10], file.len().saturating_sub(10));
        }
    }
}
