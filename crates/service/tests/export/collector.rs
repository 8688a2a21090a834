//! Whoever receives: reads with the decoders of `wire`, and drops connections when told to.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use portledger_model::Timestamp;
use portledger_wire::{
    NatEvent,
    flow::{Item, Limits, Medium, Session},
    json_lines,
    syslog::{Frame, Frames, Framing, Message, read_event},
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Flow,
    Syslog(Framing),
    Lines,
}

/// What has come.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) events: Vec<NatEvent>,
    /// Whatever else a decoder says.
    pub(crate) oddities: Vec<String>,
}

/// A collector on a port of its own, until it is dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    pub(crate) received: Arc<Mutex<Received>>,
    pub(crate) connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Listens on TCP. Of the first connections so many bytes each are read; a moment later they
    /// are dropped with what had come.
    pub(crate) fn tcp(
        at: Option<SocketAddr>,
        form: Form,
        tls: Option<Arc<ServerConfig>>,
        drops: Vec<usize>,
    ) -> Self {
        let listener = TcpListener::bind(at.unwrap_or(any())).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        Self::start(address, move |received, stop, connections| {
            let mut drops = drops.into_iter();
            while !stop.load(Ordering::Relaxed) {
                let Ok((socket, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                };
                connections.fetch_add(1, Ordering::Relaxed);
                let most = drops.next().unwrap_or(usize::MAX);
                socket.set_nonblocking(false).unwrap();
                socket
                    .set_read_timeout(Some(Duration::from_millis(50)))
                    .unwrap();
                let mut decoder = Decoder::new(form);
                match &tls {
                    None => drain(socket, most, stop, &mut decoder, received),
                    Some(tls) => {
                        let server = ServerConnection::new(tls.clone()).unwrap();
                        let stream =
                            StreamOwned::<ServerConnection, TcpStream>::new(server, socket);
                        drain(stream, most, stop, &mut decoder, received);
                    }
                }
            }
        })
    }

    /// Listens on UDP, with one decoder for as long as it lives.
    pub(crate) fn udp(at: Option<SocketAddr>, form: Form) -> Self {
        let socket = UdpSocket::bind(at.unwrap_or(any())).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        Self::start(address, move |received, stop, _| {
            let mut session = Session::new(Medium::Datagrams, Limits::default());
            let mut datagram = vec![0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut datagram) else {
                    continue;
                };
                let mut received = received.lock().unwrap();
                match form {
                    Form::Flow => session.datagram(&datagram[..length], NOW, &mut |item| {
                        received.take(item);
                    }),
                    Form::Syslog(_) => received.message(&datagram[..length]),
                    Form::Lines => unreachable!(),
                }
            }
        })
    }

    fn start(
        address: SocketAddr,
        run: impl FnOnce(&Mutex<Received>, &AtomicBool, &AtomicUsize) + Send + 'static,
    ) -> Self {
        let (received, stop) = (Arc::<Mutex<Received>>::default(), Arc::default());
        let connections = Arc::default();
        let shared = (
            Arc::clone(&received),
            Arc::clone(&stop),
            Arc::clone(&connections),
        );
        let thread = thread::spawn(move || run(&shared.0, &shared.1, &shared.2));
        Self {
            address,
            received,
            connections,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().events.len()
    }

    /// What has come, taken; nothing odd came with it.
    pub(crate) fn take(&self) -> Vec<NatEvent> {
        let mut received = self.received.lock().unwrap();
        assert_eq!(received.oddities, [""; 0]);
        std::mem::take(&mut received.events)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn drain(
    mut stream: impl Read,
    most: usize,
    stop: &AtomicBool,
    decoder: &mut Decoder,
    received: &Mutex<Received>,
) {
    let mut left = most;
    // Its system takes and acknowledges more than the program reads.
    let hang = |left| {
        if left == 0 {
            thread::sleep(Duration::from_millis(800));
        }
    };
    let mut buffer = [0; 16_384];
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let room = left.min(buffer.len());
        match stream.read(&mut buffer[..room]) {
            Ok(0) => {
                decoder.end(&mut received.lock().unwrap());
                return;
            }
            Ok(length) => {
                left -= length;
                decoder.push(&buffer[..length], &mut received.lock().unwrap());
                hang(left);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(_) => return,
        }
    }
}

enum Decoder {
    Flow(Box<Session>),
    Syslog(Frames),
    Lines(Vec<u8>),
}

impl Decoder {
    fn new(form: Form) -> Self {
        match form {
            Form::Flow => Self::Flow(Box::new(Session::new(Medium::Stream, Limits::default()))),
            Form::Syslog(framing) => Self::Syslog(Frames::new(framing, 8_192)),
            Form::Lines => Self::Lines(Vec::new()),
        }
    }

    fn push(&mut self, bytes: &[u8], received: &mut Received) {
        match self {
            Self::Flow(session) => {
                let _ = session.stream(bytes, NOW, &mut |item| received.take(item));
            }
            Self::Syslog(frames) => frames.push(bytes, |frame| received.frame(frame)),
            Self::Lines(rest) => {
                rest.extend_from_slice(bytes);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    received.events.push(json_lines::read(&line).unwrap());
                }
            }
        }
    }

    /// An orderly end leaves nothing over.
    fn end(&mut self, received: &mut Received) {
        match self {
            Self::Flow(session) => session.finish(NOW, &mut |item| received.take(item)),
            Self::Syslog(frames) => frames.finish(|frame| received.frame(frame)),
            Self::Lines(rest) => assert!(rest.is_empty()),
        }
    }
}

impl Received {
    fn take(&mut self, item: Item) {
        match item {
            Item::Event { domain: 7, event } => self.events.push(event),
            other => self.oddities.push(format!("{other:?}")),
        }
    }

    fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Message(message) => self.message(message),
            other => self.oddities.push(format!("{other:?}")),
        }
    }

    fn message(&mut self, bytes: &[u8]) {
        let message = Message::parse(bytes);
        assert_eq!(message.hostname, Some(&b"cgn1"[..]));
        self.events.push(read_event(&message).unwrap());
    }
}
