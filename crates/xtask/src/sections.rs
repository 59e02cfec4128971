//! Edits compiled modules between the splitting tool and wasm-bindgen.

use std::convert::Infallible;
use std::ops::Range;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{DataSection, EntityType, ImportSection, MemorySection, Module};
use wasmparser::{
    CustomSectionReader, Data, DataKind, FunctionBody, ImportSectionReader, KnownCustom, Linking,
    LinkingSectionReader, MemorySectionReader, MemoryType, Operator, Parser, Payload, RelocationEntry,
    RelocationType, SymbolInfo, TypeRef,
};

/// The instruction that does nothing.
const NOP: u8 = 1;

/// Error of an edit.
pub type Refused = Error<Infallible>;

/// The served form of a split-off module: without custom sections, which only help to debug, without the linker's
/// padding of numbers, and without the data of passive segments, which the first module contains and initialises.
///
/// # Errors
/// If the bytes are not a module.
pub fn as_served(module: &[u8]) -> Result<Vec<u8>, Refused> {
    reencoded(&mut Served, module)
}

/// A module with shared memory, edited so that it can be split. The splitting tool makes two wrong assumptions about
/// it:
///
/// - The linker writes `__wasm_init_tls` without relocations, so its call of an empty function is not updated when
///   functions are renumbered. The call is removed.
/// - There are more globals than the stack pointer, such as the address of thread-local data, and the tool takes every
///   relocation of a global for one of the stack pointer. It ignores relocations of types, so relocations of other
///   globals are relabelled as such, and these globals keep their numbers. Split-off code must not use them, or
///   browsers reject it.
///
/// # Errors
/// If the bytes are not a module.
pub fn to_be_split(module: &[u8]) -> Result<Vec<u8>, Refused> {
    let parts = Parts::read(module)?;
    let mut changed = module.to_vec();
    for call in parts.empty_calls()? {
        changed[call].fill(NOP);
    }
    for (offset, entry) in &parts.relocations {
        if entry.ty == RelocationType::GlobalIndexLeb && parts.other_globals.contains(&entry.index) {
            changed[*offset] = RelocationType::TypeIndexLeb as u8;
        }
    }
    Ok(changed)
}

/// Parts of the module that [`to_be_split`] reads.
#[derive(Default)]
struct Parts<'a> {
    imported_functions: usize,
    init_tls: Option<usize>,
    bodies: Vec<FunctionBody<'a>>,
    /// Relocations with their offsets in the module.
    relocations: Vec<(usize, RelocationEntry)>,
    /// Symbols of globals other than the stack's pointer.
    other_globals: Vec<u32>,
}

impl<'a> Parts<'a> {
    fn read(module: &'a [u8]) -> Result<Self, Refused> {
        let mut parts = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        parts.imported_functions += usize::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.name == "__wasm_init_tls" {
                            parts.init_tls = Some(export.index as usize);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => parts.bodies.push(body),
                Payload::CustomSection(section) => match section.as_known() {
                    KnownCustom::Linking(linking) => parts.read_symbols(&linking)?,
                    KnownCustom::Reloc(relocations) => {
                        for entry in relocations.entries().into_iter_with_offsets() {
                            let (offset, entry) = entry?;
                            parts.relocations.push((offset as usize, entry));
                        }
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(parts)
    }

    fn read_symbols(&mut self, linking: &LinkingSectionReader<'_>) -> Result<(), Refused> {
        for subsection in linking.subsections() {
            let Linking::SymbolTable(symbols) = subsection? else { continue };
            for (number, symbol) in (0..).zip(symbols) {
                if let SymbolInfo::Global { name, .. } = symbol?
                    && name != Some("__stack_pointer")
                {
                    self.other_globals.push(number);
                }
            }
        }
        Ok(())
    }

    fn body(&self, function: usize) -> Option<&FunctionBody<'a>> {
        self.bodies.get(function.checked_sub(self.imported_functions)?)
    }

    fn does_nothing(&self, function: u32) -> bool {
        self.body(function as usize)
            .and_then(|body| body.get_operators_reader().ok())
            .is_some_and(|mut operators| matches!(operators.read(), Ok(Operator::End)))
    }

    /// Offset of the call of an empty function in `__wasm_init_tls`.
    fn empty_calls(&self) -> Result<Vec<Range<usize>>, Refused> {
        let Some(body) = self.init_tls.and_then(|function| self.body(function)) else {
            return Ok(Vec::new());
        };
        let mut operators = body.get_operators_reader()?;
        let mut calls = Vec::new();
        while !operators.eof() {
            let start = operators.original_position();
            if let Operator::Call { function_index } = operators.read()?
                && self.does_nothing(function_index)
            {
                calls.push(start as usize..operators.original_position() as usize);
            }
        }
        Ok(calls)
    }
}

/// Makes a module import its memory as `env.memory` instead of defining it.
///
/// # Errors
/// If the bytes are not a module.
pub fn with_imported_memory(module: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut memories = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::MemorySection(section) = payload? {
            memories = section.into_iter().collect::<Result<_, _>>()?;
        }
    }
    reencoded(&mut Imported { memories }, module)
}

fn reencoded(reencoder: &mut impl Reencode<Error = Infallible>, module: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut changed = Module::new();
    reencoder.parse_core_module(&mut changed, Parser::new(0), module)?;
    Ok(changed.finish())
}

struct Served;

impl Reencode for Served {
    type Error = Infallible;

    fn parse_custom_section(
        &mut self,
        _module: &mut Module,
        _section: CustomSectionReader<'_>,
    ) -> Result<(), Refused> {
        Ok(())
    }

    fn parse_data(&mut self, section: &mut DataSection, data: Data<'_>) -> Result<(), Refused> {
        let kept = if matches!(data.kind, DataKind::Passive) { &[][..] } else { data.data };
        utils::parse_data(self, section, Data { data: kept, ..data })
    }
}

struct Imported {
    memories: Vec<MemoryType>,
}

impl Reencode for Imported {
    type Error = Infallible;

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Refused> {
        utils::parse_import_section(self, imports, section)?;
        for &memory in &self.memories {
            imports.import("env", "memory", EntityType::Memory(memory.into()));
        }
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        _memories: &mut MemorySection,
        _section: MemorySectionReader<'_>,
    ) -> Result<(), Refused> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        CodeSection, ConstExpr, CustomSection, ExportKind, ExportSection, Function, FunctionSection,
        LinkingSection, SymbolTable, TypeSection,
    };

    use super::*;

    fn kinds(module: &[u8]) -> Vec<String> {
        let payloads = Parser::new(0).parse_all(module).map(Result::unwrap);
        payloads
            .filter_map(|payload| match payload {
                Payload::ImportSection(section) => Some(format!(
                    "imports {:?}",
                    section.into_imports().map(|import| import.unwrap().name).collect::<Vec<_>>()
                )),
                Payload::MemorySection(section) => Some(format!("memories {}", section.count())),
                Payload::DataSection(section) => Some(format!(
                    "data {:?}",
                    section.into_iter().map(|data| data.unwrap().data.len()).collect::<Vec<_>>()
                )),
                Payload::CustomSection(section) => Some(section.name().to_owned()),
                _ => None,
            })
            .collect()
    }

    fn module() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("a", "f", EntityType::Function(0));
        let mut memories = MemorySection::new();
        memories.memory(wasm_encoder::MemoryType {
            minimum: 1,
            maximum: Some(9),
            memory64: false,
            shared: true,
            page_size_log2: None,
        });
        let mut data = DataSection::new();
        data.passive([1, 2, 3]);
        data.active(0, &ConstExpr::i32_const(8), [4]);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&memories).section(&data);
        module.section(&CustomSection { name: "note".into(), data: (&[5][..]).into() });
        module.finish()
    }

    #[test]
    fn custom_sections_and_passive_data_are_removed() {
        let served = as_served(&module()).unwrap();
        assert_eq!(kinds(&served), [r#"imports ["f"]"#, "memories 1", "data [0, 1]"]);
    }

    #[test]
    fn a_memory_becomes_an_import() {
        let changed = with_imported_memory(&module()).unwrap();
        assert_eq!(kinds(&changed), [r#"imports ["f", "memory"]"#, "memories 0", "data [3, 1]", "note"]);
    }

    /// Two functions, an empty one and `__wasm_init_tls`, which calls it; two globals, each with a relocation.
    fn with_relocations() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0).function(0);
        let mut exports = ExportSection::new();
        exports.export("__wasm_init_tls", ExportKind::Func, 1);
        let mut code = CodeSection::new();
        let (mut empty, mut calling) = (Function::new([]), Function::new([]));
        empty.instructions().end();
        calling.instructions().call(0).end();
        code.function(&empty).function(&calling);
        let mut symbols = SymbolTable::new();
        symbols.global(0, 0, Some("__stack_pointer"));
        symbols.global(0, 1, Some("__tls_base"));
        let mut linking = LinkingSection::new();
        linking.symbol_table(&symbols);
        let kind = RelocationType::GlobalIndexLeb as u8;
        let relocations = [3, 2, kind, 4, 0, kind, 9, 1];
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&exports).section(&code).section(&linking);
        module.section(&CustomSection { name: "reloc.CODE".into(), data: (&relocations[..]).into() });
        module.finish()
    }

    #[test]
    fn the_parts_that_the_splitting_tool_breaks_are_removed() {
        let before = with_relocations();
        let after = to_be_split(&before).unwrap();
        let parts = Parts::read(&after).unwrap();
        let kinds: Vec<_> = parts.relocations.iter().map(|(_, entry)| (entry.ty, entry.index)).collect();
        assert_eq!(kinds, [(RelocationType::GlobalIndexLeb, 0), (RelocationType::TypeIndexLeb, 1)]);
        assert_eq!(Parts::read(&before).unwrap().empty_calls().unwrap().len(), 1);
        assert!(parts.empty_calls().unwrap().is_empty());
        assert_eq!(before.len(), after.len());
        assert_eq!(to_be_split(&module()).unwrap(), module());
    }

    #[test]
    fn bytes_that_are_no_module_are_an_error() {
        for bytes in [&b"\0asm"[..], b"\0asm\x01\0\0\0\x01\x05\0", b"<html>"] {
            assert!(
                as_served(bytes).is_err()
                    && with_imported_memory(bytes).is_err()
                    && to_be_split(bytes).is_err()
            );
        }
    }
}
