#[derive(Default)]
struct Counter {
    total: i64,
}

#[skyring::service]
impl Counter {
    const LIMIT: i64 = 10; //~ ERROR only methods stand in the block of a typed service: move this to another `impl` block

    fn add<T: Into<i64>>(&mut self, number: T) -> i64 { //~ ERROR a method of a typed service has no parameters: its callers could not know them
        self.total += number.into();
        self.total
    }

    fn total(&self) -> Result<i64> { //~ ERROR enum takes 2 generic arguments but 1 generic argument was supplied //~ ERROR write the error of the result as well, which its callers get: `Result<T, E>`
        Ok(self.total)
    }

    #[command("total")]
    fn sum(&self) -> i64 {
        self.total
    }

    #[command("total")]
    fn again(&self, (first, second): (i64, i64)) -> i64 { //~ ERROR an argument has a name, which its callers see //~ ERROR the command `total` is that of `sum` already
        first + second
    }
}

fn main() {
    let node = skyring::Node::builder().start().unwrap();
    let _ = CounterClient::at(node.client(), "@counter");
}
