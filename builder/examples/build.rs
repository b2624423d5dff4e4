//! Builds a directory and prints what happened: `cargo run --example build DIR WORK`.
use std::{path::PathBuf, time::Instant};
use wpaas_builder::{Builder, Options, Output, Request};
#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let (dir, work) = (args.next().unwrap(), args.next().unwrap());
    let limits = wpaas_slug::Limits::default();
    let start = Instant::now();
    wpaas_builder::source::copy(&dir, &work.join("src"), &limits).unwrap();
    let store = wpaas_slug::Store::local(&work.join("store")).unwrap();
    let builder =
        Builder::new(Options { cache_dir: work.join("cachedir"), store, limits, hidden: vec![] })
            .unwrap();
    for _ in 0..2 {
        let start = Instant::now();
        let built = builder
            .build(Request {
                source: work.join("src"),
                cache: work.join("cache"),
                env: Default::default(),
                buildpack_url: None,
                output: Output::new(|l| println!("{l}")),
            })
            .await;
        match built {
            Ok(b) => {
                println!("{} {:?}\n{:?}\n{:#?}", b.slug.digest, b.written, b.steps, b.slug.config)
            }
            Err(e) => println!("ERROR {e}"),
        }
        println!("build {:?}", start.elapsed());
    }
    println!("{:?}", start.elapsed());
}
