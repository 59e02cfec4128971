//! The report that travels: JSON schema, share links, exports.
