//! From a node to declarations: `init` on differently made nodes, `import` of guests that somebody else made.

mod import;
mod init;
mod program;
