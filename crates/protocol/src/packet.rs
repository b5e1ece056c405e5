//! The frame of the realtime protocol: one binary websocket message is one packet.
//!
//! ```text
//! TWILSOCK V3.0 <header bytes, decimal> CR LF
//! <header, a JSON object> CR LF
//! <payload, exactly header.payload_size bytes>
//! ```
//!
//! Lengths count bytes of UTF-8. Proved against the official SDK (realtime facts §2).

use serde::{Deserialize, Serialize};

const MAGIC: &[u8] = b"TWILSOCK V3.0 ";
const LINE_END: &[u8] = b"\r\n";

/// A packet as it came in: both parts still as bytes, their lengths already held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header, a JSON object (its form is checked by whoever reads it).
    pub header: &'a [u8],
    /// The payload; empty when the header says `payload_size` 0 or nothing.
    pub payload: &'a [u8],
}

/// Bytes that are not a packet. The text says what was expected where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first line is not the protocol's.
    #[error("a packet begins with `TWILSOCK V3.0 `, the header's length in bytes, CR and LF")]
    FirstLine,
    /// The message is shorter than the header it announces, or no line end follows the header.
    #[error(
        "the header ends {announced} bytes after the first line and is followed by CR LF; the message has {found} bytes left"
    )]
    HeaderLength {
        /// Bytes announced by the first line.
        announced: usize,
        /// Bytes that follow the first line.
        found: usize,
    },
    /// The header is no JSON object of the known shape.
    #[error("the header is not a JSON object of the known shape")]
    Header,
    /// More or fewer bytes follow than `payload_size` says.
    #[error("the header announces a payload of {announced} bytes, the message carries {found}")]
    PayloadLength {
        /// `payload_size`, or 0 when absent.
        announced: u64,
        /// Bytes that follow the header.
        found: usize,
    },
}

#[derive(Deserialize)]
struct Announced {
    #[serde(default)]
    payload_size: u64,
}

impl<'a> Packet<'a> {
    /// Takes one websocket message apart. Everything is bounded by the length of `message`.
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let packet = Self::split(message)?;
        let header: Announced = packet.read_header()?;
        packet.check_payload(header.payload_size)?;
        Ok(packet)
    }

    /// Takes the message apart at the header's end. Whoever reads the header holds `payload_size`
    /// against the payload with [`Packet::check_payload`], so that a header is read once.
    pub fn split(message: &'a [u8]) -> Result<Self, Malformed> {
        let rest = message.strip_prefix(MAGIC).ok_or(Malformed::FirstLine)?;
        let line = rest.iter().take(12).position(|byte| *byte == b'\r').ok_or(Malformed::FirstLine)?;
        let announced = decimal(&rest[..line]).ok_or(Malformed::FirstLine)?;
        let rest = rest[line..].strip_prefix(LINE_END).ok_or(Malformed::FirstLine)?;
        let wrong = Malformed::HeaderLength { announced, found: rest.len() };
        let (header, rest) = rest.split_at_checked(announced).ok_or(wrong.clone())?;
        let payload = rest.strip_prefix(LINE_END).ok_or(wrong)?;
        Ok(Self { header, payload })
    }

    /// Reads the header.
    pub fn read_header<H: Deserialize<'a>>(&self) -> Result<H, Malformed> {
        // Serde would read an array as an object's members in order.
        if self.header.first() != Some(&b'{') {
            return Err(Malformed::Header);
        }
        serde_json::from_slice(self.header).map_err(|_| Malformed::Header)
    }

    /// Holds the header's `payload_size` against the payload.
    pub fn check_payload(&self, announced: u64) -> Result<(), Malformed> {
        if announced == self.payload.len() as u64 {
            return Ok(());
        }
        Err(Malformed::PayloadLength { announced, found: self.payload.len() })
    }
}

fn decimal(digits: &[u8]) -> Option<usize> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if all_digits { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// Writes a packet. `header` must serialise to an object that holds the right `payload_size`.
pub fn encode(header: &impl Serialize, payload: &[u8]) -> Vec<u8> {
    let header = serde_json::to_vec(header).expect("a header has string keys and no failing parts");
    let mut packet = Vec::with_capacity(MAGIC.len() + 10 + header.len() + 4 + payload.len());
    packet.extend_from_slice(MAGIC);
    packet.extend_from_slice(header.len().to_string().as_bytes());
    packet.extend_from_slice(LINE_END);
    packet.extend_from_slice(&header);
    packet.extend_from_slice(LINE_END);
    packet.extend_from_slice(payload);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_acknowledgement_parses() {
        let header = r#"{"id":"TMping1","method":"reply","payload_type":"application/json","status":{"code":200,"status":"OK"},"payload_size":0}"#;
        let message = format!("TWILSOCK V3.0 120\r\n{header}\r\n");
        let packet = Packet::parse(message.as_bytes()).unwrap();
        assert_eq!((packet.header, packet.payload), (header.as_bytes(), &b""[..]));
    }

    #[test]
    fn lengths_count_bytes_not_characters() {
        let payload = "{\"body\":\"¡señora!\"}".as_bytes();
        let message = encode(&serde_json::json!({"id": "TMé", "payload_size": payload.len()}), payload);
        assert_eq!(Packet::parse(&message).unwrap().payload, payload);
    }

    #[test]
    fn wrong_lengths_are_named() {
        let good = encode(&serde_json::json!({"payload_size": 3}), b"abc");
        assert!(Packet::parse(&good).is_ok());
        let short = &good[..good.len() - 1];
        assert_eq!(Packet::parse(short), Err(Malformed::PayloadLength { announced: 3, found: 2 }));
        for bad in [&b""[..], b"TWILSOCK V3.0 ", b"TWILSOCK V3.0 +1\r\n", b"TWILSOCK V4.0 2\r\n{}\r\n"] {
            assert_eq!(Packet::parse(bad), Err(Malformed::FirstLine));
        }
        assert!(matches!(Packet::parse(b"TWILSOCK V3.0 9\r\n{}\r\n"), Err(Malformed::HeaderLength { .. })));
        assert_eq!(Packet::parse(b"TWILSOCK V3.0 2\r\n[]\r\n"), Err(Malformed::Header));
    }
}
