//! Room at the end of a small guest's memory, so that its first growth takes no system call.
//!
//! Most guests ask for one or two more pages while they start. Wasmtime makes pages beyond the memory's size
//! accessible by `mprotect` when the guest grows, and takes them back when the next instance gets the slot; each call
//! holds the process' memory lock and interrupts every other core. For an instance per request that was more than
//! all the rest: examples/rust-hello made three such calls and took 62 µs a request, without them 36 µs
//! (two cores, 2026-11-21).
//!
//! So such a memory is declared [`PAGES`] larger than the guest wrote it, and the guest's `memory.size` and
//! `memory.grow` become calls of functions that hand these pages out first. They keep in a global the size that the
//! guest knows:
//!
//! - `memory.size` is that size, `memory.grow` gives pages that are zero and follow on it, until the maximum. A guest sees
//!   no difference, except that reading past the end does not trap inside the room.
//! - Another module of the component (wasi's preview 1 adapter is one) may share the memory and grow it by itself. From
//!   then on the rest of the room is left alone, and the guest's growth is the memory's.
//!
//! Modules with big memories (language runtimes) gain nothing and are left as they are.

use std::ops::Range;

use wasm_encoder::{BlockType, Encode, Function, Instruction, ValType};
use wasmparser::{
    BinaryReader, BinaryReaderError, CodeSectionReader, FunctionBody, FunctionSectionReader,
    GlobalSectionReader, ImportSectionReader, MemorySectionReader, Operator, TypeRef,
    TypeSectionReader,
};

/// Part of the code's shape: to be raised when what this makes of a component changes.
#[cfg(feature = "compiler")]
pub(crate) const VERSION: u32 = 1;

/// Pages of 64 KiB that a memory gets on top.
const PAGES: u64 = 4;
/// A memory that starts with more pages than this is left alone.
const SMALL: u64 = 64;
/// Pages that a 32-bit memory can have.
const ALL: u64 = 1 << 16;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const CORE_MODULE: u8 = 1;

const TYPE: u8 = 1;
const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const MEMORY: u8 = 5;
const GLOBAL: u8 = 6;
const CODE: u8 = 10;
/// Sections that come after the globals.
const AFTER_GLOBALS: Range<u8> = 7..13;

type Result<T, E = BinaryReaderError> = std::result::Result<T, E>;

/// The component with room in those of its modules that gain by it; `None` when there are none. What it is given may
/// be anything; whether the result is valid is the compiler's to say.
pub(crate) fn add(component: &[u8]) -> Option<Vec<u8>> {
    // Whatever cannot be read is refused by the compiler, with a better error.
    let sections = sections(component.strip_prefix(COMPONENT)?).ok()?;
    let mut changed = false;
    let mut out = COMPONENT.to_vec();
    for (id, content) in sections {
        let module = (id == CORE_MODULE).then(|| module(content).ok().flatten()).flatten();
        changed |= module.is_some();
        section(&mut out, id, module.as_deref().unwrap_or(content));
    }
    changed.then_some(out)
}

fn sections(bytes: &[u8]) -> Result<Vec<(u8, &[u8])>> {
    let mut reader = BinaryReader::new(bytes, 0);
    let mut sections = Vec::new();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let size = usize::try_from(reader.read_var_u32()?).unwrap_or(usize::MAX);
        sections.push((id, reader.read_bytes(size)?));
    }
    Ok(sections)
}

fn section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    content.encode(out);
}

/// The section's content with `new` entries, which are `entries`, at its end.
fn extended(content: &[u8], new: u32, entries: &[u8]) -> Result<Vec<u8>> {
    let mut reader = BinaryReader::new(content, 0);
    let count = reader.read_var_u32()?;
    let mut out = Vec::with_capacity(content.len() + entries.len() + 5);
    count.saturating_add(new).encode(&mut out);
    out.extend_from_slice(reader.read_bytes(reader.bytes_remaining())?);
    out.extend_from_slice(entries);
    Ok(out)
}

/// What is to be known of a module to write the new functions.
struct Plan {
    /// Pages that the module declares.
    declared: u64,
    maximum: Option<u64>,
    types: u32,
    functions: u32,
    globals: u32,
}

impl Plan {
    /// `None` when the module's memory is not to be changed.
    fn of(sections: &[(u8, &[u8])]) -> Result<Option<Self>> {
        let (mut memory, mut types, mut functions, mut globals) = (None, 0, 0_u32, 0_u32);
        for (id, content) in sections {
            let reader = BinaryReader::new(content, 0);
            match *id {
                TYPE => {
                    for group in TypeSectionReader::new(reader)? {
                        types += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                    }
                }
                IMPORT => {
                    for import in ImportSectionReader::new(reader)?.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => functions += 1,
                            TypeRef::Global(_) => globals += 1,
                            TypeRef::Memory(_) => return Ok(None),
                            TypeRef::Table(_) | TypeRef::Tag(_) => {}
                        }
                    }
                }
                FUNCTION => {
                    functions =
                        functions.saturating_add(FunctionSectionReader::new(reader)?.count());
                }
                MEMORY => {
                    let mut memories = MemorySectionReader::new(reader)?.into_iter();
                    memory = memories.next().transpose()?;
                    if memories.next().is_some() {
                        return Ok(None);
                    }
                }
                GLOBAL => {
                    globals = globals.saturating_add(GlobalSectionReader::new(reader)?.count());
                }
                _ => {}
            }
        }
        let Some(memory) = memory else { return Ok(None) };
        let plain = !memory.memory64 && !memory.shared && memory.page_size_log2.is_none();
        let (declared, maximum) = (memory.initial, memory.maximum);
        let room = maximum.is_none_or(|maximum| maximum >= declared.saturating_add(PAGES));
        let fits = plain && declared <= SMALL && room;
        Ok(fits.then_some(Self { declared, maximum, types, functions, globals }))
    }

    /// Pages that the memory has from the start.
    fn pages(&self) -> u64 {
        self.declared + PAGES
    }

    fn new_types() -> Vec<u8> {
        let mut out = Vec::new();
        for parameters in [&[][..], &[ValType::I32]] {
            out.push(0x60);
            parameters.encode(&mut out);
            [ValType::I32].as_slice().encode(&mut out);
        }
        out
    }

    /// Functions `size` and `grow`, by the indices of their types.
    fn new_functions(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.types.encode(&mut out);
        (self.types + 1).encode(&mut out);
        out
    }

    fn memory(&self) -> Vec<u8> {
        let mut out = vec![1, u8::from(self.maximum.is_some())];
        self.pages().encode(&mut out);
        if let Some(maximum) = self.maximum {
            maximum.encode(&mut out);
        }
        out
    }

    /// The size that the guest knows.
    fn new_global(&self) -> Vec<u8> {
        let mut out = Vec::new();
        ValType::I32.encode(&mut out);
        out.push(1);
        Instruction::I32Const(signed(self.declared)).encode(&mut out);
        Instruction::End.encode(&mut out);
        out
    }

    /// The bodies of `size` and `grow`.
    fn new_bodies(&self) -> Vec<u8> {
        use Instruction as I;
        let (known, all) = (self.globals, signed(self.pages()));
        // Where the memory ends unless another module has grown it: max(known, all).
        let end = [
            I::GlobalGet(known),
            I::I32Const(all),
            I::GlobalGet(known),
            I::I32Const(all),
            I::I32GtU,
            I::Select,
        ];
        let ours: Vec<I<'_>> = [I::MemorySize(0)].into_iter().chain(end.clone()).collect();

        let mut size = Function::new([]);
        size.instructions().global_get(known).memory_size(0);
        for instruction in ours.iter().chain([&I::I32Eq, &I::Select, &I::End]) {
            size.instruction(instruction);
        }

        // Local 0: pages wanted, local 1: what grow returns.
        let mut grow = Function::new([(1, ValType::I32)]);
        let body: Vec<I<'_>> = [
            ours,
            vec![
                I::I32Ne,
                I::If(BlockType::Empty),
                // Another module has grown the memory: so does this one.
                I::LocalGet(0),
                I::MemoryGrow(0),
                I::LocalTee(1),
                I::I32Const(-1),
                I::I32Ne,
                I::If(BlockType::Empty),
                I::LocalGet(1),
                I::LocalGet(0),
                I::I32Add,
                I::GlobalSet(known),
                I::End,
                I::LocalGet(1),
                I::Return,
                I::End,
                // More than a memory can have; and then nothing below overflows.
                I::LocalGet(0),
                I::I32Const(signed(ALL)),
                I::I32GtU,
                I::If(BlockType::Empty),
                I::I32Const(-1),
                I::Return,
                I::End,
                I::GlobalGet(known),
                I::LocalTee(1),
                I::LocalGet(0),
                I::I32Add,
                I::LocalTee(0),
            ],
            end.to_vec(),
            vec![
                I::I32GtU,
                I::If(BlockType::Empty),
                // The room is not enough.
                I::LocalGet(0),
            ],
            end.to_vec(),
            vec![
                I::I32Sub,
                I::MemoryGrow(0),
                I::I32Const(-1),
                I::I32Eq,
                I::If(BlockType::Empty),
                I::I32Const(-1),
                I::Return,
                I::End,
                I::End,
                I::LocalGet(0),
                I::GlobalSet(known),
                I::LocalGet(1),
                I::End,
            ],
        ]
        .concat();
        for instruction in &body {
            grow.instruction(instruction);
        }

        let mut out = Vec::new();
        size.encode(&mut out);
        grow.encode(&mut out);
        out
    }
}

/// Pages fit by far.
fn signed(pages: u64) -> i32 {
    i32::try_from(pages).unwrap_or(i32::MAX)
}

fn module(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(content) = bytes.strip_prefix(MODULE) else { return Ok(None) };
    let sections = sections(content)?;
    let Some(plan) = Plan::of(&sections)? else { return Ok(None) };
    let code = sections.iter().find(|(id, _)| *id == CODE);
    let Some((_, code)) = code else { return Ok(None) };
    let Some(code) = rewritten(code, &plan)? else { return Ok(None) };

    let mut out = MODULE.to_vec();
    let mut global = Some(plan.new_global());
    for (id, content) in sections {
        if AFTER_GLOBALS.contains(&id)
            && let Some(entry) = global.take()
        {
            section(&mut out, GLOBAL, &extended(&[0], 1, &entry)?);
        }
        match id {
            TYPE => section(&mut out, id, &extended(content, 2, &Plan::new_types())?),
            FUNCTION => section(&mut out, id, &extended(content, 2, &plan.new_functions())?),
            MEMORY => section(&mut out, id, &plan.memory()),
            GLOBAL => {
                let entry = global.take().unwrap_or_default();
                section(&mut out, id, &extended(content, 1, &entry)?);
            }
            CODE => section(&mut out, id, &code),
            _ => section(&mut out, id, content),
        }
    }
    Ok(Some(out))
}

/// The code section with calls in the place of `memory.size` and `memory.grow`; `None` when nothing grows.
fn rewritten(content: &[u8], plan: &Plan) -> Result<Option<Vec<u8>>> {
    let mut grows = false;
    let mut bodies = Vec::with_capacity(content.len());
    let reader = CodeSectionReader::new(BinaryReader::new(content, 0))?;
    let count = reader.count();
    for body in reader {
        grows |= rewrite(&body?, content, plan, &mut bodies)?;
    }
    if !grows {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(bodies.len() + 128);
    count.saturating_add(2).encode(&mut out);
    out.append(&mut bodies);
    out.extend(plan.new_bodies());
    Ok(Some(out))
}

/// Appends the function's body. Whether it grows the memory.
fn rewrite(
    body: &FunctionBody<'_>,
    section: &[u8],
    plan: &Plan,
    out: &mut Vec<u8>,
) -> Result<bool> {
    let (mut grows, mut done) = (false, body.range().start);
    let mut new = Vec::new();
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset()?;
        let function = match operator {
            Operator::MemorySize { .. } => plan.functions,
            Operator::MemoryGrow { .. } => {
                grows = true;
                plan.functions + 1
            }
            _ => continue,
        };
        new.extend_from_slice(section.get(done..at).unwrap_or_default());
        Instruction::Call(function).encode(&mut new);
        done = operators.original_position();
    }
    new.extend_from_slice(section.get(done..body.range().end).unwrap_or_default());
    new.encode(out);
    Ok(grows)
}

#[cfg(test)]
mod tests;
