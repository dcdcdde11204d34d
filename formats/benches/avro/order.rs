//! The record of the bench: an order of 20 fields.

pub(crate) const SCHEMA: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"},
    {"name": "customer", "type": "string"},
    {"name": "email", "type": "string"},
    {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["NEW", "PAID", "SENT", "DONE"]}},
    {"name": "created", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "changed", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null},
    {"name": "total", "type": "double"},
    {"name": "tax", "type": "double"},
    {"name": "discount", "type": ["null", "double"], "default": null},
    {"name": "currency", "type": "string"},
    {"name": "items", "type": "int"},
    {"name": "coupon", "type": ["null", "string"], "default": null},
    {"name": "country", "type": "string"},
    {"name": "city", "type": "string"},
    {"name": "street", "type": "string"},
    {"name": "zip", "type": ["null", "string"], "default": null},
    {"name": "gift", "type": "boolean"},
    {"name": "weight", "type": "float"},
    {"name": "note", "type": ["null", "string"], "default": null},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}}]}"#;

/// What a later reader has: a field renamed, two promoted, two gone, two new, and another order.
pub(crate) const EVOLVED: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"},
    {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["NEW", "PAID", "SENT", "DONE", "BACK"]}},
    {"name": "customer", "type": "string"},
    {"name": "email", "type": "string"},
    {"name": "created", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "changed", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null},
    {"name": "total", "type": "double"},
    {"name": "tax", "type": "double"},
    {"name": "discount", "type": ["null", "double"], "default": null},
    {"name": "currency", "type": "string"},
    {"name": "items", "type": "long"},
    {"name": "coupon", "type": ["null", "string"], "default": null},
    {"name": "country", "type": "string"},
    {"name": "city", "type": "string"},
    {"name": "street", "type": "string"},
    {"name": "zip", "type": ["null", "string"], "default": null},
    {"name": "weight", "type": "double"},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "warehouse", "type": "string", "default": "main"},
    {"name": "priority", "type": "int", "default": 3}]}"#;

fn long(value: i64, out: &mut Vec<u8>) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

fn text(value: &str, out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value.as_bytes());
}

/// The `n`th order. Every third optional field is null.
pub(crate) fn datum(n: usize) -> Vec<u8> {
    let (number, mut out) = (n as i64, Vec::new());
    let is_there = |field: usize| !(n + field).is_multiple_of(3);
    let cities = ["Amsterdam", "København", "Graz", "Lyon", "Vilnius"];
    long(10_000_000 + number * 17, &mut out);
    text(&format!("customer-{:07}", n * 7919 % 1_000_000), &mut out);
    text(&format!("someone.{}@example.com", n * 31 % 100_000), &mut out);
    long(number % 4, &mut out);
    long(1_700_000_000_000 + number * 61_007, &mut out);
    long(i64::from(is_there(0)), &mut out);
    if is_there(0) {
        long(1_700_000_000_000_000 + number * 61_000_123, &mut out);
    }
    out.extend((10.0 + n as f64 * 0.37).to_le_bytes());
    out.extend((n as f64 * 0.07).to_le_bytes());
    long(i64::from(is_there(1)), &mut out);
    if is_there(1) {
        out.extend((n as f64 % 50.0).to_le_bytes());
    }
    text(["EUR", "DKK", "USD"][n % 3], &mut out);
    long(1 + number % 12, &mut out);
    long(i64::from(is_there(2)), &mut out);
    if is_there(2) {
        text("WELCOME-10", &mut out);
    }
    text(["NL", "DK", "AT", "FR", "LT"][n % 5], &mut out);
    text(cities[n % 5], &mut out);
    text(&format!("Long Winding Street {}", n % 400), &mut out);
    long(i64::from(is_there(3)), &mut out);
    if is_there(3) {
        text(&format!("{:05}", n * 13 % 100_000), &mut out);
    }
    out.push((n % 2) as u8);
    out.extend((n as f32 % 20.0).to_le_bytes());
    long(i64::from(is_there(4)), &mut out);
    if is_there(4) {
        text("please leave it at the neighbour's door", &mut out);
    }
    long(19_000 + number % 365, &mut out);
    out
}
