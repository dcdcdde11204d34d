//! Which logical types are valid where: Java's `LogicalTypes.fromSchemaIgnoreInvalid`.

use serde_json::Value;

use crate::model::{Kind, Logical, Properties};

/// Properties of Java classes, with which Java refuses a logical type.
const CLASS_PROPERTIES: [&str; 4] = [
    "avro.java.string",
    "java-class",
    "java-key-class",
    "java-element-class",
];

/// The logical type that the properties name, if it is known and valid on this kind.
pub(crate) fn of(kind: &Kind, properties: &Properties) -> Option<Logical> {
    let name = properties.get("logicalType")?.as_str()?;
    let size = match kind {
        Kind::Fixed(fixed) => Some(fixed.size),
        _ => None,
    };
    let int = |logical| matches!(kind, Kind::Int).then_some(logical);
    let long = |logical| matches!(kind, Kind::Long).then_some(logical);
    let logical = match name {
        "decimal" => decimal(kind, properties),
        "big-decimal" => matches!(kind, Kind::Bytes).then_some(Logical::BigDecimal),
        "duration" => (size == Some(12)).then_some(Logical::Duration),
        "uuid" => (matches!(kind, Kind::String) || size == Some(16)).then_some(Logical::Uuid),
        "date" => int(Logical::Date),
        "time-millis" => int(Logical::TimeMillis),
        "time-micros" => long(Logical::TimeMicros),
        "timestamp-millis" => long(Logical::TimestampMillis),
        "timestamp-micros" => long(Logical::TimestampMicros),
        "timestamp-nanos" => long(Logical::TimestampNanos),
        "local-timestamp-millis" => long(Logical::LocalTimestampMillis),
        "local-timestamp-micros" => long(Logical::LocalTimestampMicros),
        "local-timestamp-nanos" => long(Logical::LocalTimestampNanos),
        _ => None,
    };
    let of_a_class = |name: &&str| properties.get(name).is_some_and(Value::is_string);
    logical.filter(|_| !CLASS_PROPERTIES.iter().any(of_a_class))
}

fn decimal(kind: &Kind, properties: &Properties) -> Option<Logical> {
    let int = |value: &Value| value.as_i64().and_then(|value| i32::try_from(value).ok());
    let precision = int(properties.get("precision")?)?;
    let scale = match properties.get("scale") {
        Some(scale) => int(scale)?,
        None => 0,
    };
    let max_precision = match kind {
        Kind::Bytes => i64::from(i32::MAX),
        Kind::Fixed(fixed) => {
            // Java counts the bits in 32 bits, which a large size overflows.
            let bits = (fixed.size as i32).wrapping_mul(8).wrapping_sub(1);
            (2f64.log10() * f64::from(bits)).floor() as i64
        }
        _ => return None,
    };
    let valid = precision > 0 && i64::from(precision) <= max_precision && (0..=precision).contains(&scale);
    valid.then_some(Logical::Decimal {
        precision: precision.unsigned_abs(),
        scale: scale.unsigned_abs(),
    })
}

impl Logical {
    /// The name that the text has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decimal { .. } => "decimal",
            Self::BigDecimal => "big-decimal",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::LocalTimestampMillis => "local-timestamp-millis",
            Self::LocalTimestampMicros => "local-timestamp-micros",
            Self::LocalTimestampNanos => "local-timestamp-nanos",
            Self::Duration => "duration",
        }
    }
}
