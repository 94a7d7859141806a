#[derive(Default)]
struct Counter {
    total: i64,
}

#[skyring::service]
impl Counter {
    #[send]
    fn reset(&mut self) -> i64 { //~ ERROR a `#[send]` method has no result: nobody waits for it
        std::mem::take(&mut self.total)
    }
}

fn main() {
    let node = skyring::Node::builder().start().unwrap();
    let _ = CounterClient::at(node.client(), "@counter");
}
