//! Fingerprints of Parsing Canonical Form, as the specification of Avro defines them.

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::model::Schema;

/// The fingerprint of nothing, and the polynomial.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut fingerprint = index as u64;
        let mut bit = 0;
        while bit < 8 {
            fingerprint = (fingerprint >> 1) ^ (EMPTY & (fingerprint & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = fingerprint;
        index += 1;
    }
    table
}

/// CRC-64-AVRO, the Rabin fingerprint.
pub fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |fingerprint, &byte| {
        (fingerprint >> 8) ^ TABLE[((fingerprint ^ u64::from(byte)) & 0xff) as usize]
    })
}

impl Schema {
    /// CRC-64-AVRO of the canonical form. Java writes it little endian.
    pub fn crc64(&self) -> u64 {
        crc64(self.parsing_canonical_form().as_bytes())
    }

    /// MD5 of the canonical form.
    pub fn md5(&self) -> [u8; 16] {
        Md5::digest(self.parsing_canonical_form()).into()
    }

    /// SHA-256 of the canonical form.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.parsing_canonical_form()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Strictness;

    #[test]
    fn fingerprints_are_those_of_the_specifications_test_suite() {
        // share/test/data/schema-tests.txt of Apache Avro.
        for (text, fingerprint) in [
            ("\"null\"", 7_195_948_357_588_979_594_i64),
            ("\"boolean\"", -6_970_731_678_124_411_036),
            ("\"int\"", 8_247_732_601_305_521_295),
        ] {
            let schema = Schema::parse(text, &[], Strictness::New).expect("valid");
            assert_eq!(schema.crc64() as i64, fingerprint, "{text}");
        }
    }
}
