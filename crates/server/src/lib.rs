//! The chat service
