use std::fmt;

use crate::subject::QualifiedSubject;

/// Why a registry did not do what it was asked: Confluent's error codes, in Confluent's words, for clients show them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("Subject '{subject}' not found.")]
    SubjectNotFound { subject: String },
    #[error("Version {version} not found.")]
    VersionNotFound { version: i32 },
    #[error("Schema{} not found", Number(*.id))]
    SchemaNotFound { id: Option<i32> },
    #[error("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently")]
    SubjectSoftDeleted { subject: QualifiedSubject },
    #[error("Subject '{subject}' was not deleted first before being permanently deleted")]
    SubjectNotSoftDeleted { subject: QualifiedSubject },
    #[error(
        "Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently"
    )]
    VersionSoftDeleted { subject: QualifiedSubject, version: i32 },
    #[error("Subject '{subject}' Version {version} was not deleted first before being permanently deleted")]
    VersionNotSoftDeleted { subject: QualifiedSubject, version: i32 },
    #[error("Subject '{subject}' does not have subject-level compatibility configured")]
    NoSubjectConfig { subject: QualifiedSubject },
    #[error("Subject '{subject}' does not have subject-level mode configured")]
    NoSubjectMode { subject: QualifiedSubject },
    #[error(
        "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]",
        .messages.join(", ")
    )]
    Incompatible {
        subject: QualifiedSubject,
        messages: Vec<String>,
    },
    #[error("{message}")]
    InvalidSchema { message: String },
    #[error(
        "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
    )]
    InvalidVersion { version: String },
    #[error(
        "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"
    )]
    InvalidLevel,
    #[error("Invalid compatibility policy. Valid values are {}", .known.join(", "))]
    InvalidPolicy { known: Vec<String> },
    #[error("Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT and FORWARD")]
    InvalidMode,
    #[error("{message}")]
    NotPermitted { message: String },
    #[error(
        "One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}."
    )]
    ReferenceExists { subject: QualifiedSubject, version: i32 },
    #[error("The specified subject '{subject}' is not a valid subject.")]
    InvalidSubject { subject: String },
    #[error("Register operation failed because schema is too large")]
    TooLarge,
    #[error("{message}")]
    InvalidRuleSet { message: String },
    #[error("The specified context '{context}' is not empty.")]
    ContextNotEmpty { context: String },
}

struct Number(Option<i32>);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |id| write!(f, " {id}"))
    }
}

impl Refusal {
    /// The number that clients tell errors apart by. Its first three digits are the HTTP status.
    pub fn code(&self) -> u32 {
        match self {
            Self::SubjectNotFound { .. } => 40401,
            Self::VersionNotFound { .. } => 40402,
            Self::SchemaNotFound { .. } => 40403,
            Self::SubjectSoftDeleted { .. } => 40404,
            Self::SubjectNotSoftDeleted { .. } => 40405,
            Self::VersionSoftDeleted { .. } => 40406,
            Self::VersionNotSoftDeleted { .. } => 40407,
            Self::NoSubjectConfig { .. } => 40408,
            Self::NoSubjectMode { .. } => 40409,
            Self::Incompatible { .. } => 40901,
            Self::InvalidSchema { .. } => 42201,
            Self::InvalidVersion { .. } => 42202,
            Self::InvalidLevel | Self::InvalidPolicy { .. } => 42203,
            Self::InvalidMode => 42204,
            Self::NotPermitted { .. } => 42205,
            Self::ReferenceExists { .. } => 42206,
            Self::InvalidSubject { .. } => 42208,
            Self::TooLarge => 42209,
            Self::InvalidRuleSet { .. } => 42210,
            Self::ContextNotEmpty { .. } => 42211,
        }
    }

    pub fn status(&self) -> u16 {
        u16::try_from(self.code() / 100).expect("a code is three digits of status and two of its own")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_confluents_codes_and_words() {
        let check = |refusal: Refusal, code: u32, text: &str| {
            assert_eq!(refusal.to_string(), text);
            assert_eq!((refusal.code(), u32::from(refusal.status())), (code, code / 100));
        };
        check(
            Refusal::SchemaNotFound { id: Some(7) },
            40403,
            "Schema 7 not found",
        );
        check(Refusal::SchemaNotFound { id: None }, 40403, "Schema not found");
        let subject = QualifiedSubject::new("s");
        check(
            Refusal::ReferenceExists {
                subject: subject.clone(),
                version: 2,
            },
            42206,
            "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=s,version=2}.",
        );
        check(
            Refusal::Incompatible {
                subject,
                messages: vec!["{a}".into(), "{b}".into()],
            },
            40901,
            "Schema being registered is incompatible with an earlier schema for subject \"s\", details: [{a}, {b}]",
        );
    }
}
