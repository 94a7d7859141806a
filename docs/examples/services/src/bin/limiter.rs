//! A node with a rate limiter, and what a client of it sees: `limiter [REQUESTS]`.

use std::time::Duration;

use skyring::Node;
use skyring_examples::limiter::{Limiter, LimiterClient, Limits, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let requests: u64 = std::env::args().nth(1).map_or(Ok(20), |count| count.parse())?;
    let node = Node::builder().start()?;
    let limits = Limits {
        burst: 5,
        per_second: 20,
    };
    node.block_on(move |caller| async move {
        open(caller.clone(), Limiter::new(limits)).await?;
        let limiter = LimiterClient::at(caller.clone(), "@limiter");
        for request in 1..=requests {
            let verdict = limiter.take("Ada").await?;
            match verdict.is_allowed {
                true => println!("request {request} is allowed"),
                false => println!("request {request} is refused, for {} ms", verdict.retry_after_ms),
            }
            caller.sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, skyring::Error>(())
    })??;
    Ok(())
}
