//! The database door: one SQL text, two engines
