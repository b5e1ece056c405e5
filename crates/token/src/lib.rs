//! Access Tokens: mint, verify and explain them
