//! One connection to a broker: a request, then its answer.

use std::{collections::HashMap, io, time::Duration};

use bytes::{Bytes, BytesMut};
use millstream_protocol::{
    frame::{self, MAX_FRAME_BYTES, SIZE_BYTES},
    messages::{
        ApiKey, ApiVersionsRequest, Encodable, HeaderVersion, Request, RequestHeader, ResponseHeader,
        StrBytes, decode,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any answer takes: a fetch waits half a second, a produce for an fsync.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CLIENT_ID: &str = "millstream-cli";
/// Every broker answers this version, whatever else it knows.
const FIRST_VERSION: i16 = 0;

pub(crate) struct Connection {
    stream: TcpStream,
    correlation_id: i32,
    /// The newest version of each API that the broker knows.
    newest: HashMap<i16, i16>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> io::Result<Self> {
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            correlation_id: 0,
            newest: HashMap::new(),
        };
        let versions = connection
            .call_version(&ApiVersionsRequest::default(), FIRST_VERSION)
            .await?;
        let newest = versions.api_keys.iter().map(|api| (api.api_key, api.max_version));
        connection.newest = newest.collect();
        Ok(connection)
    }

    /// Asks in the newest version that the broker knows, up to `most`: what later versions say is not looked at.
    pub(crate) async fn call<R: Request>(&mut self, request: &R, most: i16) -> io::Result<R::Response> {
        let Some(newest) = self.newest.get(&R::KEY) else {
            let name =
                ApiKey::try_from(R::KEY).map_or_else(|()| R::KEY.to_string(), |api| format!("{api:?}"));
            let message = format!("the broker does not offer {name}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        let version = most.min(*newest);
        self.call_version(request, version).await
    }

    async fn call_version<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = self.encode(request, version).map_err(io::Error::other)?;
        let answer = timeout(ANSWER_TIMEOUT, async {
            self.stream.write_all(&frame).await?;
            self.read_frame().await
        });
        let mut answer = answer.await??;
        let header: ResponseHeader =
            decode(&mut answer, R::Response::header_version(version)).map_err(invalid)?;
        if header.correlation_id != self.correlation_id {
            return Err(invalid("an answer to another request came"));
        }
        decode(&mut answer, version).map_err(invalid)
    }

    fn encode<R: Request>(&self, request: &R, version: i16) -> anyhow::Result<BytesMut> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut frame = BytesMut::zeroed(SIZE_BYTES);
        Encodable::encode(&header, &mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let length = i32::try_from(frame.len() - SIZE_BYTES)?;
        frame[..SIZE_BYTES].copy_from_slice(&length.to_be_bytes());
        Ok(frame)
    }

    /// Memory grows as bytes arrive, not as the length claims.
    async fn read_frame(&mut self) -> io::Result<Bytes> {
        let mut size = [0; SIZE_BYTES];
        self.stream.read_exact(&mut size).await?;
        let length = frame::frame_length(&size, MAX_FRAME_BYTES)
            .map_err(invalid)?
            .expect("the length has arrived");
        let mut frame = Vec::new();
        (&mut self.stream)
            .take(length as u64)
            .read_to_end(&mut frame)
            .await?;
        if frame.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(frame.into())
    }
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
