//! The contract: SIDs, codes, packets and shapes of the wire
