//! The files whose code a process runs: their mappings, and how to unwind their stacks.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use addr2line::Loader;
use framehop::{
    CacheNative, ExplicitModuleSectionInfo, FrameAddress, MayAllocateDuringUnwind, Module, Unwinder,
    UnwinderNative,
};
use object::{Object, ObjectSection, ObjectSegment, SegmentFlags};

use super::registers::Registers;

/// Largest file whose code is unwound.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Time between two reads of the mappings, when code runs that is in no known file.
const MAPS_INTERVAL: Duration = Duration::from_millis(200);

/// One mapping of code.
pub(super) struct Mapped {
    range: Range<u64>,
    /// The offset from the file's addresses to those of the process.
    bias: u64,
    /// Its name without the folder.
    pub(super) name: String,
    /// Finds names; `None` when the file cannot be read.
    pub(super) loader: Option<Loader>,
}

/// All mappings of code of a process.
pub(super) struct Modules {
    process: u32,
    mapped: Vec<Mapped>,
    read_at: Instant,
    unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
}

impl Modules {
    pub(super) fn of(process: u32) -> Modules {
        let mut modules = Modules {
            process,
            mapped: Vec::new(),
            read_at: Instant::now(),
            unwinder: UnwinderNative::new(),
            cache: CacheNative::new(),
        };
        modules.read_maps();
        modules
    }

    /// Adds mappings that are not known yet.
    fn read_maps(&mut self) {
        self.read_at = Instant::now();
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.process)).unwrap_or_default();
        for map in maps.lines().filter_map(Map::read) {
            if self.mapped.iter().any(|known| known.range == map.range) {
                continue;
            }
            let file = self.file_of(map.path);
            let (bias, module) = read_module(&file, &map).unwrap_or((map.range.start, None));
            if let Some(module) = module {
                self.unwinder.add_module(module);
            }
            let name = Path::new(map.path).file_name().unwrap_or_default();
            self.mapped.push(Mapped {
                range: map.range,
                bias,
                name: name.to_string_lossy().into_owned(),
                loader: Loader::new(&file).ok(),
            });
        }
    }

    /// The path where the file can be read, even if it was replaced since.
    fn file_of(&self, path: &str) -> PathBuf {
        let program = PathBuf::from(format!("/proc/{}/exe", self.process));
        if fs::read_link(&program).is_ok_and(|target| target == Path::new(path)) {
            return program;
        }
        // As the process sees it, which may be in a container.
        Path::new(&format!("/proc/{}/root", self.process)).join(path.trim_start_matches('/'))
    }

    /// The mapping that an address is in, and the address in its file.
    pub(super) fn find(&self, address: u64) -> Option<(&Mapped, u64)> {
        let mapped = self
            .mapped
            .iter()
            .find(|mapped| mapped.range.contains(&address))?;
        Some((mapped, address.wrapping_sub(mapped.bias)))
    }

    /// The addresses of a stack, the innermost first.
    pub(super) fn unwind(&mut self, registers: &Registers, stack: &[u8], frames_max: usize) -> Vec<u64> {
        if self.find(registers.instruction).is_none() && self.read_at.elapsed() > MAPS_INTERVAL {
            self.read_maps();
        }
        let mut read_stack = |address: u64| {
            let offset = address.checked_sub(registers.stack).ok_or(())?;
            let bytes = stack.get(usize::try_from(offset).map_err(|_| ())?..).ok_or(())?;
            bytes
                .first_chunk()
                .map(|bytes| u64::from_ne_bytes(*bytes))
                .ok_or(())
        };
        let mut frames = self.unwinder.iter_frames(
            registers.instruction,
            registers.unwind,
            &mut self.cache,
            &mut read_stack,
        );
        let mut addresses = Vec::new();
        // An error means that the sampled part of the stack ends there.
        while let Ok(Some(frame)) = frames.next() {
            addresses.push(match frame {
                FrameAddress::InstructionPointer(address) => address,
                // The call itself, which may be the last instruction of its function.
                FrameAddress::ReturnAddress(address) => address.get() - 1,
            });
            if addresses.len() == frames_max {
                break;
            }
        }
        addresses
    }
}

/// A line of the kernel's list of mappings, of code in a file.
struct Map<'a> {
    range: Range<u64>,
    /// Where in the file it begins.
    offset: u64,
    path: &'a str,
}

impl Map<'_> {
    fn read(line: &str) -> Option<Map<'_>> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let is_code = words.next()?.contains('x');
        let offset = words.next()?;
        let path = words.nth(2)?.trim_start();
        let number = |text| u64::from_str_radix(text, 16).ok();
        (is_code && !path.is_empty()).then_some(Map {
            range: number(start)?..number(end)?,
            offset: number(offset)?,
            path,
        })
    }
}

/// The offset of the file's addresses, and how to unwind its stacks.
fn read_module(file: &Path, map: &Map<'_>) -> Option<(u64, Option<Module<Vec<u8>>>)> {
    if fs::metadata(file).ok()?.len() > FILE_BYTES_MAX {
        return None;
    }
    let bytes = fs::read(file).ok()?;
    let object = object::File::parse(&*bytes).ok()?;
    // The segment of code that this mapping is of. Its neighbours may share a page of the file with it.
    let segment = object.segments().find(|segment| {
        let (offset, size) = segment.file_range();
        let is_code =
            matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if (p_flags & object::elf::PF_X) == object::elf::PF_X);
        is_code && offset < map.offset + (map.range.end - map.range.start) && map.offset < offset + size
    })?;
    let (offset, _) = segment.file_range();
    let bias = (map.range.start.wrapping_sub(map.offset))
        .wrapping_add(offset)
        .wrapping_sub(segment.address());
    let range = |name: &str| {
        let section = object.section_by_name(name)?;
        Some(section.address()..section.address() + section.size())
    };
    let data = |name: &str| {
        Some(
            object
                .section_by_name(name)?
                .uncompressed_data()
                .ok()?
                .into_owned(),
        )
    };
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma: range(".text"),
        text: data(".text"),
        got_svma: range(".got"),
        eh_frame_svma: range(".eh_frame"),
        eh_frame: data(".eh_frame"),
        eh_frame_hdr_svma: range(".eh_frame_hdr"),
        eh_frame_hdr: data(".eh_frame_hdr"),
        debug_frame: data(".debug_frame"),
        ..ExplicitModuleSectionInfo::default()
    };
    let module = Module::new(map.path.to_owned(), map.range.clone(), bias, sections);
    Some((bias, Some(module)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read_if_they_are_of_code() {
        let line = "7f00-7f80 r-xp 00001000 08:01 42                     /usr/lib/a b.so (deleted)";
        let map = Map::read(line).unwrap();
        assert_eq!((map.range, map.offset), (0x7f00..0x7f80, 0x1000));
        assert_eq!(map.path, "/usr/lib/a b.so (deleted)");
        for other in [
            "7f00-7f80 rw-p 0 08:01 42 /usr/lib/a.so",
            "7f00-7f80 r-xp 0 00:00 0",
            "",
            "x",
        ] {
            assert!(Map::read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn an_address_of_this_program_is_found_in_its_file() {
        let modules = Modules::of(std::process::id());
        let function: fn() = an_address_of_this_program_is_found_in_its_file;
        let (mapped, address) = modules.find(function as usize as u64).unwrap();
        let name = mapped.loader.as_ref().unwrap().find_symbol(address).unwrap();
        assert!(name.contains("an_address_of_this_program_is_found"), "{name}");
    }
}
