//! Node.js apps with real npm, where the stack can be installed.
