//! One connection a VU: how a request reaches the target, and what is surely known if it does not.
//!
//! Two backends: a bare hyper HTTP/1 connection for `http://` (a third of reqwest's CPU), and a
//! reqwest client for `https://`. Neither follows redirects, retries, pools between VUs or asks a
//! proxy: what is sent is what the ledger says. Replies are not interpreted here.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::LoadError;
use super::reply::Reply;
use crate::ledger::Doubt;

/// Longest reply body that is read; a longer one is unreadable.
const BODY_BYTES: usize = 1 << 20;

/// Where the requests go: scheme, host, port and a path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    tls: bool,
    host: String,
    port: u16,
    authority: String,
    prefix: String,
}

impl Target {
    /// Reads `http://host:port` or `https://host`, with or without a path in front of the API's.
    ///
    /// # Errors
    /// [`LoadError::Target`]: not such a URL; the text says what is wrong.
    pub fn parse(url: &str) -> Result<Self, LoadError> {
        let shown = crate::address::redacted(url);
        let wrong = |what: &str| LoadError::Target { url: shown.clone(), what: what.to_owned() };
        let uri: Uri =
            url.parse().map_err(|_| wrong("not a URL; write http://host:port or https://host"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it must begin with `http://` or `https://`")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it holds a user name; use a token instead"));
        }
        if uri.query().is_some() {
            return Err(wrong("it holds a query; only a path prefix is allowed"));
        }
        Ok(Self {
            tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Host and port as in the URL, for the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn host_header(&self) -> Result<HeaderValue, LoadError> {
        HeaderValue::from_str(&self.authority).map_err(|_| LoadError::Target {
            url: self.authority.clone(),
            what: "its host cannot be a header".to_owned(),
        })
    }

    /// The request line's form of an API path: HTTP/1 wants the path alone, reqwest the whole URL.
    pub(super) fn uri(&self, path: &str) -> Result<Uri, LoadError> {
        let text = if self.tls {
            format!("https://{}{}{path}", self.authority, self.prefix)
        } else {
            format!("{}{path}", self.prefix)
        };
        text.parse().map_err(|_| LoadError::Target { url: text, what: "not a URL".to_owned() })
    }
}

/// What went over all connections of one run.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Bytes written: heads included for http, estimated from the parts for https.
    pub(super) sent: AtomicU64,
    /// Bytes read: heads included for http, estimated from the parts for https.
    pub(super) received: AtomicU64,
    /// Connections opened; for https one a client, as reqwest does not tell.
    pub(super) connections: AtomicU64,
}

/// Makes the VUs' wires. Names are resolved and TLS is set up once, here.
#[derive(Debug)]
pub(super) struct Dialer {
    traffic: Arc<Traffic>,
    kind: DialerKind,
}

#[derive(Debug)]
enum DialerKind {
    Plain(Arc<[SocketAddr]>),
    Reqwest(Box<rustls::ClientConfig>),
}

impl Dialer {
    /// Resolves the target's name, or reads the system's trusted certificates.
    pub(super) async fn new(target: &Target, traffic: Arc<Traffic>) -> Result<Self, LoadError> {
        let wrong = |what: String| LoadError::Target { url: target.authority.clone(), what };
        let kind = if target.tls {
            let mut config = rustls::ClientConfig::with_platform_verifier()
                .map_err(|error| wrong(format!("TLS cannot be set up: {error}")))?;
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            DialerKind::Reqwest(Box::new(config))
        } else {
            let found = tokio::net::lookup_host((target.host.as_str(), target.port))
                .await
                .map_err(|error| wrong(format!("the host is not known: {error}")))?;
            DialerKind::Plain(found.collect())
        };
        Ok(Self { traffic, kind })
    }

    /// A wire of one VU's own; nothing is connected before the first exchange.
    pub(super) fn wire(&self) -> Result<Wire, LoadError> {
        let traffic = Arc::clone(&self.traffic);
        Ok(match &self.kind {
            DialerKind::Plain(addresses) => Wire::Conn(Conn {
                addresses: Arc::clone(addresses),
                traffic,
                sender: None,
                written: false,
            }),
            DialerKind::Reqwest(config) => Wire::Client(Client::new(config, traffic)?),
        })
    }
}

/// How one exchange ended.
#[derive(Debug)]
pub(super) enum Exchange {
    /// A complete reply.
    Reply(Reply),
    /// The request was never written: surely nothing happened.
    Unsent,
    /// The request was written, at least partly, and no complete reply came.
    Lost {
        /// Why it is not known.
        doubt: Doubt,
        /// The status, if the head of a reply came; else 0.
        status: u16,
    },
}

/// One VU's connection. An enum and not a trait: there are two, and there is one place that knows.
#[derive(Debug)]
pub(super) enum Wire {
    /// A bare HTTP/1 connection.
    Conn(Conn),
    /// A reqwest client with its own pool.
    Client(Client),
}

impl Wire {
    /// Sends one request and reads the whole reply, connecting first where needed. The caller
    /// bounds the time, and calls [`Wire::give_up`] if it stops waiting.
    pub(super) async fn exchange(&mut self, request: Request<Bytes>) -> Exchange {
        match self {
            Self::Conn(conn) => conn.exchange(request.map(Full::new)).await,
            Self::Client(client) => client.exchange(request).await,
        }
    }

    /// Ends an exchange that is no longer waited for, together with its connection.
    pub(super) fn give_up(&mut self, doubt: Doubt) -> Exchange {
        let written = match self {
            Self::Conn(conn) => {
                conn.sender = None;
                conn.written
            }
            // reqwest does not tell whether it was still connecting.
            Self::Client(_) => true,
        };
        if written { Exchange::Lost { doubt, status: 0 } } else { Exchange::Unsent }
    }
}

/// A bare HTTP/1 connection, opened when needed and again after it ended.
#[derive(Debug)]
pub(super) struct Conn {
    addresses: Arc<[SocketAddr]>,
    traffic: Arc<Traffic>,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Whether the exchange in hand may have reached the connection.
    written: bool,
}

impl Conn {
    async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> Exchange {
        self.written = false;
        // The server may close an idle connection just as it is used again. hyper hands back a
        // request of which no byte was written: the one case in which a second try is safe.
        for _ in 0..2 {
            let Some(sender) = self.ready().await else { return Exchange::Unsent };
            let sent = sender.try_send_request(request);
            self.written = true;
            match sent.await {
                Ok(response) => return self.read(response).await,
                Err(mut error) => {
                    self.sender = None;
                    match error.take_message() {
                        Some(back) => request = back,
                        None => return Exchange::Lost { doubt: Doubt::Reset, status: 0 },
                    }
                    self.written = false;
                }
            }
        }
        Exchange::Unsent
    }

    /// The open connection, or a new one; `None` if none can be opened.
    async fn ready(&mut self) -> Option<&mut SendRequest<Full<Bytes>>> {
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_err()
        {
            self.sender = None;
        }
        if self.sender.is_none() {
            self.sender = self.dial().await.ok();
        }
        self.sender.as_mut()
    }

    async fn dial(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&*self.addresses).await?;
        stream.set_nodelay(true)?;
        self.traffic.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted { stream, traffic: Arc::clone(&self.traffic) };
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(counted))
            .await
            .map_err(io::Error::other)?;
        // Ends by itself once the sender is dropped; its error reaches the exchange in hand.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn read(&mut self, response: Response<Incoming>) -> Exchange {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        match Limited::new(body, BODY_BYTES).collect().await {
            Ok(body) => {
                Exchange::Reply(Reply { status, headers: head.headers, body: body.to_bytes() })
            }
            Err(error) => {
                self.sender = None;
                let cut = error.is::<hyper::Error>();
                let doubt = if cut { Doubt::Reset } else { Doubt::Unreadable };
                Exchange::Lost { doubt, status }
            }
        }
    }
}

/// A reqwest client with a pool of its own, on the TLS configuration of all.
#[derive(Debug)]
pub(super) struct Client {
    inner: reqwest::Client,
    traffic: Arc<Traffic>,
    used: bool,
}

impl Client {
    fn new(tls: &rustls::ClientConfig, traffic: Arc<Traffic>) -> Result<Self, LoadError> {
        let inner = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(|error| LoadError::Engine(format!("reqwest: {error}")))?;
        Ok(Self { inner, traffic, used: false })
    }

    async fn exchange(&mut self, request: Request<Bytes>) -> Exchange {
        let size = head_size(request.headers()) + request.body().len();
        let Ok(request) = reqwest::Request::try_from(request) else { return Exchange::Unsent };
        let mut response = match self.inner.execute(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => return Exchange::Unsent,
            Err(_) => return Exchange::Lost { doubt: Doubt::Reset, status: 0 },
        };
        if !std::mem::replace(&mut self.used, true) {
            self.traffic.connections.fetch_add(1, Ordering::Relaxed);
        }
        add(&self.traffic.sent, size);
        let status = response.status().as_u16();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > BODY_BYTES => {
                    return Exchange::Lost { doubt: Doubt::Unreadable, status };
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => return Exchange::Lost { doubt: Doubt::Reset, status },
            }
        }
        add(&self.traffic.received, head_size(response.headers()) + body.len());
        let headers = std::mem::take(response.headers_mut());
        Exchange::Reply(Reply { status, headers, body: body.into() })
    }
}

/// What the headers take on an HTTP/1 wire, without the first line.
fn head_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn add(to: &AtomicU64, bytes: usize) {
    to.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Counts what passes through a connection.
#[derive(Debug)]
struct Counted {
    stream: TcpStream,
    traffic: Arc<Traffic>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        if done.is_ready() {
            add(&self.traffic.received, buffer.filled().len().saturating_sub(before));
        }
        done
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = done {
            add(&self.traffic.sent, count);
        }
        done
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        if let Poll::Ready(Ok(count)) = done {
            add(&self.traffic.sent, count);
        }
        done
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A client as `https://` targets get it, asking over plain http: the backend is the same.
    fn client(traffic: &Arc<Traffic>) -> Wire {
        let config = rustls::ClientConfig::with_platform_verifier().unwrap();
        Wire::Client(Client::new(&config, Arc::clone(traffic)).unwrap())
    }

    fn ask(port: u16) -> Request<Bytes> {
        let mut request = Request::new(Bytes::from_static(b"claim"));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = format!("http://127.0.0.1:{port}/claim").parse().unwrap();
        request
    }

    /// Answers each connection with its bytes, and counts the requests.
    async fn answers(replies: Vec<&'static [u8]>) -> (u16, tokio::task::JoinHandle<usize>) {
        // Below the ports that connections take for themselves.
        let mut ports = 24_100..24_200;
        let (port, listener) = loop {
            let port = ports.next().expect("one of a hundred ports is free");
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
                break (port, listener);
            }
        };
        let count = tokio::spawn(async move {
            let mut requests = 0;
            for bytes in replies {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut seen = Vec::new();
                while !seen.ends_with(b"claim") {
                    assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
                }
                requests += 1;
                stream.write_all(bytes).await.unwrap();
            }
            requests
        });
        (port, count)
    }

    /// The reqwest backend keeps the same rules: no redirect, no second try, and what was not
    /// sent is told apart from what was.
    #[tokio::test]
    async fn reqwest_keeps_the_rules() {
        let (port, count) = answers(vec![
            b"HTTP/1.1 307 X\r\nlocation: /a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno",
            b"",
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        ])
        .await;
        let traffic = Arc::new(Traffic::default());
        let mut wire = client(&traffic);
        let first = wire.exchange(ask(port)).await;
        let Exchange::Reply(reply) = first else { panic!("{first:?}") };
        assert_eq!((reply.status, &reply.body[..]), (307, &b"no"[..]));
        let second = wire.exchange(ask(port)).await;
        assert!(matches!(second, Exchange::Lost { doubt: Doubt::Reset, status: 0 }), "{second:?}");
        let third = wire.exchange(ask(port)).await;
        assert!(matches!(third, Exchange::Lost { doubt: Doubt::Reset, status: 200 }), "{third:?}");
        assert_eq!(count.await.unwrap(), 3, "each was sent once");
        let gone = wire.exchange(ask(port)).await;
        assert!(matches!(gone, Exchange::Unsent), "{gone:?}");
        assert!(traffic.sent.load(Ordering::Relaxed) >= 10);
    }

    /// URLs become what the request line and the `Host` header need.
    #[test]
    fn targets() {
        let uri = |url: &str| {
            let target = Target::parse(url).unwrap();
            (target.uri("/api").unwrap().to_string(), target.authority().to_owned(), target.port)
        };
        let parts = |uri: &str, host: &str, port| (uri.to_owned(), host.to_owned(), port);
        assert_eq!(uri("http://h:81/shop/"), parts("/shop/api", "h:81", 81));
        assert_eq!(uri("http://[::1]"), parts("/api", "[::1]", 80));
        assert_eq!(uri("https://h"), parts("https://h/api", "h", 443));
        assert_eq!(Target::parse("http://[::1]").unwrap().host, "::1");
    }
}
