#[derive(Default)]
struct Counter {
    total: i64,
}

struct Problem;

#[skyring::service]
impl Counter {
    fn add(&mut self, number: i64) -> Result<i64, Problem> { //~ ERROR `Problem` cannot be the error of a service's method
        self.total += number;
        Ok(self.total)
    }
}

fn main() {
    let node = skyring::Node::builder().start().unwrap();
    let _ = CounterClient::at(node.client(), "@counter");
}
