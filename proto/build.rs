//! Generates the gRPC code from `proto/*.proto`. `bytes` fields become `Bytes`, so that values are not copied.

/// A file per package; CRI and the Raft transport are packages of their own.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<_> =
        std::fs::read_dir("proto")?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "proto"));
    files.sort();
    tonic_prost_build::configure().bytes(".").compile_protos(&files, &["proto".into()])?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
