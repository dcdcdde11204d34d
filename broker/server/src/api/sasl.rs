//! Authentication, as Kafka answers on a listener without it. The slots are here so that a client is told why.

use millstream_protocol::{
    ErrorCode,
    messages::{
        AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
        DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, SaslAuthenticateRequest,
        SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse, StrBytes,
        alter_user_scram_credentials_response::AlterUserScramCredentialsResult,
        describe_user_scram_credentials_response::DescribeUserScramCredentialsResult,
    },
};

use super::{Call, Handle, Reply};

const STATE: ErrorCode = ErrorCode::IllegalSaslState;

impl Handle for SaslHandshakeRequest {
    async fn handle(self, _call: Call) -> Reply<SaslHandshakeResponse> {
        Reply::Now(SaslHandshakeResponse::default().with_error_code(STATE.code()))
    }
}

impl Handle for SaslAuthenticateRequest {
    async fn handle(self, _call: Call) -> Reply<SaslAuthenticateResponse> {
        let text = StrBytes::from_static_str("this listener has no SASL: connect to it as PLAINTEXT");
        let answer = SaslAuthenticateResponse::default().with_error_code(STATE.code());
        Reply::Now(answer.with_error_message(Some(text)))
    }
}

impl Handle for DescribeUserScramCredentialsRequest {
    async fn handle(self, _call: Call) -> Reply<DescribeUserScramCredentialsResponse> {
        let results = self.users.into_iter().flatten().map(|user| {
            DescribeUserScramCredentialsResult::default()
                .with_error_code(ErrorCode::ResourceNotFound.code())
                .with_error_message(Some(StrBytes::from_string(format!(
                    "there are no credentials of '{}'",
                    &*user.name
                ))))
                .with_user(user.name)
        });
        let answer = DescribeUserScramCredentialsResponse::default().with_error_message(None);
        Reply::Now(answer.with_results(results.collect()))
    }
}

impl Handle for AlterUserScramCredentialsRequest {
    async fn handle(self, _call: Call) -> Reply<AlterUserScramCredentialsResponse> {
        let refused = |user: StrBytes, code: ErrorCode, text: &'static str| {
            AlterUserScramCredentialsResult::default()
                .with_user(user)
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_static_str(text)))
        };
        let deleted = self.deletions.into_iter().map(|deletion| {
            refused(
                deletion.name,
                ErrorCode::ResourceNotFound,
                "there are no credentials of this user",
            )
        });
        let inserted = self.upsertions.into_iter().map(|upsertion| {
            let text = "no listener has SASL: credentials would protect nothing";
            refused(upsertion.name, ErrorCode::UnsupportedSaslMechanism, text)
        });
        let results = deleted.chain(inserted).collect();
        Reply::Now(AlterUserScramCredentialsResponse::default().with_results(results))
    }
}
