use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// A schema that another one uses: the name in its text, and where the definition is registered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    pub name: String,
    pub subject: String,
    /// -1 is the latest.
    pub version: i32,
}

impl Reference {
    pub(super) fn update_hash(&self, hash: &mut Md5) {
        hash.update(self.name.as_bytes());
        hash.update(self.subject.as_bytes());
        hash.update(self.version.to_be_bytes());
    }
}
