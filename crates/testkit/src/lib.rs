//! What tests need from the machine: PostgreSQL, ports, folders
