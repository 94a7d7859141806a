//! A profile as a flame graph.

use std::io;

use inferno::flamegraph::color::{BasicPalette, MultiPalette, Palette};
use inferno::flamegraph::{self, Options};

use super::result::{Profile, Profiling};

impl Profile {
    /// The graph as an SVG: callers are below the functions that they call, and a frame is as wide as the time that was
    /// spent in it. A click on a frame enlarges it.
    ///
    /// # Errors
    /// When the graph cannot be written.
    pub fn to_svg(&self, title: &str) -> io::Result<Vec<u8>> {
        let mut options = Options::default();
        options.title = title.to_owned();
        match self.profiling {
            Profiling::Processor => {
                options.count_name = "samples".to_owned();
                options.colors = Palette::Multi(MultiPalette::Rust);
            }
            Profiling::Waiting => {
                options.count_name = "ms".to_owned();
                options.factor = 1e-6;
                options.colors = Palette::Basic(BasicPalette::Blue);
            }
        }
        options.deterministic = true;
        options.hash = true;
        options.font_type = "ui-monospace,Menlo,Consolas,monospace".to_owned();
        let kernel = if self.has_kernel {
            ""
        } else {
            "; the kernel keeps its own frames to itself"
        };
        let lost = match self.lost {
            0 => String::new(),
            lost => format!("; {lost} lost"),
        };
        options.subtitle = Some(match self.profiling {
            Profiling::Processor => format!(
                "{} samples, {} a second of processor time{lost}{kernel}",
                self.samples(),
                self.frequency
            ),
            Profiling::Waiting => format!("where threads wait: {:.1} s of all threads{lost}", self.seconds()),
        });
        let lines: Vec<_> = self
            .stacks
            .iter()
            .map(|(stack, count)| format!("{stack} {count}"))
            .collect();
        let mut svg = Vec::new();
        flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)?;
        Ok(svg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_has_every_frame_and_needs_no_other_file() {
        let profile = Profile {
            profiling: Profiling::Processor,
            stacks: vec![
                ("server;shard-0;main;write;tcp_sendmsg_[k]".to_owned(), 3),
                ("server;shard-0;main;<a::B<C> as D>::e".to_owned(), 1),
            ],
            frequency: 499,
            lost: 2,
            has_kernel: false,
            calls: None,
        };
        let svg = String::from_utf8(profile.to_svg("A title").unwrap()).unwrap();
        for part in [
            "A title",
            "4 samples, 499 a second",
            "2 lost",
            "keeps its own",
            "tcp_sendmsg",
            "&lt;a::B&lt;C&gt; as D&gt;::e",
        ] {
            assert!(svg.contains(part), "no {part:?} in {svg}");
        }
        assert!(!svg.contains("href=\"http"), "{svg}");
    }
}
