struct Counter;

#[skyring::service]
impl Counter {
    fn add(&mut self, number: i64) -> i64 {
        number
    }
}

fn main() {
    let node = skyring::Node::builder().start().unwrap();
    let counter = CounterClient::at(node.client(), "@counter");
    let _ = counter.add("five").wait(); //~ ERROR mismatched types
}
