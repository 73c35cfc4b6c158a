//! The `phoenix` program: everything is in the library, [`phoenix::cli`] is where it is put together.

fn main() -> std::process::ExitCode {
    phoenix::cli::main()
}
