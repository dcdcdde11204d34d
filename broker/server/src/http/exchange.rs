//! One request and its answer, as HTTP/1.1 has them (RFC 9112), on a connection that is closed afterwards.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The request line and the headers; scrapers send a few hundred bytes.
const MAX_HEAD_BYTES: usize = 8 << 10;
const MAX_HEADERS: usize = 64;

pub(super) struct Answer {
    status: Status,
    content_type: &'static str,
    body: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    NotAllowed,
    HeadTooLarge,
    Failed,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::NotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Failed => "500 Internal Server Error",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

impl Answer {
    pub(super) fn new(status: Status, content_type: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
        }
    }

    /// For requests that ask for nothing that could be answered.
    pub(super) fn refusal(status: Status) -> Self {
        Self::text(status, format!("{}\n", status.line()))
    }

    pub(super) fn text(status: Status, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Without the query.
    pub(super) path: String,
    /// HEAD: the answer without its body.
    pub(super) head_only: bool,
}

/// Writes the answer to a request, or that it cannot be answered, and ends the connection.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: Answer,
    head_only: bool,
) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status.line(),
        answer.content_type,
        answer.body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if !head_only {
        stream.write_all(answer.body.as_bytes()).await?;
    }
    stream.shutdown().await
}

/// The request, or the status that says what is wrong with it.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Asked, Status>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    loop {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&part[..read]);
        match parse(&head) {
            Ok(Some(asked)) => return Ok(Ok(asked)),
            Ok(None) if head.len() < MAX_HEAD_BYTES => {}
            Ok(None) => return Ok(Err(Status::HeadTooLarge)),
            Err(status) => return Ok(Err(status)),
        }
    }
}

/// `None`: there is more to come.
fn parse(head: &[u8]) -> Result<Option<Asked>, Status> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
        Err(_) => return Err(Status::BadRequest),
    }
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(Status::BadRequest);
    };
    let path = target.split('?').next().unwrap_or(target).to_owned();
    match method {
        "GET" | "HEAD" => Ok(Some(Asked {
            path,
            head_only: method == "HEAD",
        })),
        _ => Err(Status::NotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_scrapers_and_probes_send() {
        let asked = |path: &str, head_only| {
            Ok(Some(Asked {
                path: path.to_owned(),
                head_only,
            }))
        };
        let check = |head: &str, expected| assert_eq!(parse(head.as_bytes()), expected, "{head}");
        check(
            "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
            asked("/metrics", false),
        );
        check("GET /readyz?verbose HTTP/1.0\r\n\r\n", asked("/readyz", false));
        check("HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n", asked("/livez", true));
        check("GET /metrics HTTP/1.1\r\nHost:", Ok(None));
        check("", Ok(None));
        check("POST /metrics HTTP/1.1\r\n\r\n", Err(Status::NotAllowed));
        check("\u{16}\u{3}\u{1}", Err(Status::BadRequest));
        check(
            &format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100)),
            Err(Status::HeadTooLarge),
        );
    }

    async fn exchanged(request: &[u8]) -> String {
        let (mut client, mut server) = tokio::io::duplex(1 << 16);
        client.write_all(request).await.unwrap();
        let (answer, head_only) = match read(&mut server).await.unwrap() {
            Ok(asked) => {
                let text = format!("you asked for {}", asked.path);
                (Answer::text(Status::Ok, text), asked.head_only)
            }
            Err(status) => (Answer::refusal(status), false),
        };
        write(&mut server, answer, head_only).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn an_answer_has_its_length_and_ends_the_connection() {
        let answer = exchanged(b"GET /x HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("Content-Length: 16\r\nConnection: close\r\n"),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\nyou asked for /x"), "{answer}");
        let head = exchanged(b"HEAD /x HTTP/1.1\r\n\r\n").await;
        assert!(
            head.contains("Content-Length: 16") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let mut endless = b"GET / HTTP/1.1\r\na: ".to_vec();
        endless.resize(MAX_HEAD_BYTES + 1, b'x');
        assert!(exchanged(&endless).await.starts_with("HTTP/1.1 431 "));
    }
}
