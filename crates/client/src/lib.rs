//! A client of the realtime protocol
