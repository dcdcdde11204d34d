use millstream_types::TopicName;

use crate::{CorruptRecord, Groups, Offsets, Put, Transactions, codec, key, key::Key};

/// All state that one node coordinates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coordinator {
    pub transactions: Transactions,
    pub offsets: Offsets,
    pub groups: Groups,
}

impl Coordinator {
    /// All keys that [`Self::replay`] understands begin with this.
    pub const KEY_PREFIX: &[u8] = key::PREFIX;

    /// Applies a record that is in the log: each one at start, and those of a decision once they are written.
    pub fn replay(&mut self, (key, value): &Put) -> Result<(), CorruptRecord> {
        let parsed = Key::decode(key).ok_or_else(|| codec::corrupt(key, "unknown key"))?;
        match parsed {
            Key::ProducerIds => self
                .transactions
                .replay_producer_ids(decode(key, value.as_deref())?),
            Key::Transaction(id) => {
                self.transactions
                    .replay_transaction(id, decode(key, value.as_deref())?);
            }
            Key::Offset(group, partition) => {
                self.offsets
                    .replay(group, partition, decode(key, value.as_deref())?);
            }
            Key::Group(group) => self.groups.replay(group, decode(key, value.as_deref())?),
            Key::Member(group, member) => {
                self.groups
                    .replay_member(group, member, decode(key, value.as_deref())?);
            }
        }
        Ok(())
    }

    /// The records that forget a topic which is being deleted.
    pub fn forget_topic(&self, topic: &TopicName) -> Vec<Put> {
        let mut puts = self.offsets.delete_topic(topic);
        puts.extend(self.transactions.forget_topic(topic));
        puts
    }
}

fn decode<T: serde::de::DeserializeOwned>(
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<Option<T>, CorruptRecord> {
    value.map(|value| codec::decode(key, value)).transpose()
}
