use rand::{Rng, SeedableRng, rngs::StdRng};
use wasmtime::{Engine, Instance, Linker, Memory, Module, Store, TypedFunc};

use super::*;

/// Exports what a guest can do with its memory.
fn growing(memory: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "" "log" (func $log (param i32)))
            (memory (export "memory") {memory})
            (global $other (mut i32) (i32.const 7))
            (func (export "size") (result i32) (call $log (memory.size)) (memory.size))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "twice") (param i32) (result i32)
                (drop (memory.grow (local.get 0))) (memory.grow (local.get 0)))
            (func (export "touch") (param i32) (result i32)
                (local i32)
                (local.set 1 (i32.load8_u (local.get 0)))
                (i32.store8 (local.get 0) (global.get $other))
                (local.get 1))
            (data (i32.const 0) "x"))"#
    );
    wat::parse_str(text).unwrap()
}

struct Guest {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
}

impl Guest {
    fn new(engine: &Engine, wasm: &[u8]) -> Self {
        let mut linker = Linker::new(engine);
        linker.func_wrap("", "log", |_: i32| ()).unwrap();
        let mut store = Store::new(engine, ());
        let instance = linker.instantiate(&mut store, &Module::new(engine, wasm).unwrap()).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        Self { store, instance, memory }
    }

    fn call(&mut self, name: &str, parameter: i32) -> i32 {
        let function: TypedFunc<i32, i32> =
            self.instance.get_typed_func(&mut self.store, name).unwrap();
        function.call(&mut self.store, parameter).unwrap()
    }

    fn size(&mut self) -> i32 {
        let function: TypedFunc<(), i32> =
            self.instance.get_typed_func(&mut self.store, "size").unwrap();
        function.call(&mut self.store, ()).unwrap()
    }
}

#[test]
fn a_guest_sees_no_difference() {
    let engine = Engine::default();
    for memory in ["1", "17 40", "2 6"] {
        let original = growing(memory);
        let roomy = module(&original).unwrap().unwrap();
        for seed in 0..20 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut one = Guest::new(&engine, &original);
            let mut other = Guest::new(&engine, &roomy);
            assert!(other.memory.size(&other.store) > one.memory.size(&one.store));
            for _ in 0..20 {
                let pages = match random.random_range(0..10) {
                    0 => -1,
                    1 => i32::MAX,
                    2 => 65536,
                    3 => 0,
                    _ => random.random_range(0..5),
                };
                let how = ["grow", "twice"][random.random_range(0..2)];
                assert_eq!(one.call(how, pages), other.call(how, pages), "{memory} {pages}");
                let size = one.size();
                assert_eq!(size, other.size(), "{memory}");
                if size > 0 {
                    let at = random.random_range(0..size * 65536);
                    assert_eq!(one.call("touch", at), other.call("touch", at), "{memory} {at}");
                }
            }
        }
    }
}

#[test]
fn pages_of_another_module_are_never_given_out() {
    let engine = Engine::default();
    let roomy = module(&growing("1 100")).unwrap().unwrap();
    for seed in 0..50 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut guest = Guest::new(&engine, &roomy);
        let mut known = guest.size();
        for _ in 0..20 {
            let pages = random.random_range(0..4);
            if random.random_range(0..4) == 0 {
                let others = guest.memory.grow(&mut guest.store, pages).unwrap_or(u64::MAX);
                if others != u64::MAX && pages > 0 {
                    assert!(others >= u64::try_from(known).unwrap());
                    known = guest.size();
                    assert_eq!(u64::try_from(known).unwrap(), others + pages);
                }
                continue;
            }
            let pages = i32::try_from(pages).unwrap();
            let old = guest.call("grow", pages);
            if old >= 0 {
                assert_eq!(old, known);
                known += pages;
            }
            assert_eq!(guest.size(), known);
            assert!(u64::try_from(known).unwrap() <= guest.memory.size(&guest.store));
        }
    }
}

#[test]
fn growth_within_the_room_is_no_growth_of_the_memory() {
    let roomy = module(&growing("1")).unwrap().unwrap();
    let mut guest = Guest::new(&Engine::default(), &roomy);
    let before = guest.memory.size(&guest.store);
    assert_eq!((guest.call("grow", 1), guest.call("grow", 3)), (1, 2));
    assert_eq!(guest.memory.size(&guest.store), before);
    assert_eq!(guest.call("grow", 1), 5);
    assert_eq!(guest.memory.size(&guest.store), before + 1);
}

#[test]
fn modules_that_gain_nothing_are_left_alone() {
    let without_growth = r#"(module (memory 1) (func (drop (memory.size))))"#;
    let grows =
        |memories: &str| format!("(module {memories} (func (drop (memory.grow (i32.const 1)))))");
    let imported = grows(r#"(import "" "m" (memory 1))"#);
    let two = grows("(memory 1) (memory 1)");
    let tight = grows("(memory 1 4)");
    let big = grows("(memory 65)");
    let shared = grows("(memory 1 10 shared)");
    let pages_of_a_byte = grows("(memory 1 (pagesize 1))");
    let wide = "(module (memory i64 1) (func (drop (memory.grow (i64.const 1)))))".to_owned();
    let all = [imported, two, tight, big, shared, pages_of_a_byte, wide, without_growth.to_owned()];
    for text in all {
        let wasm = wat::parse_str(&text).unwrap();
        assert!(module(&wasm).unwrap().is_none(), "{text}");
    }
    assert!(module(&wat::parse_str(grows("(memory 64)")).unwrap()).unwrap().is_some());
}

#[test]
fn a_component_keeps_all_but_the_modules_that_grow() {
    let module =
        "(core module $m (memory (export \"m\") 1) (func (drop (memory.grow (i32.const 1)))))";
    let text = format!("(component {module} (core module) (core instance (instantiate $m)))");
    let component = wat::parse_str(text).unwrap();
    let roomy = add(&component).unwrap();
    assert!(roomy.len() > component.len());
    wasmtime::component::Component::new(&Engine::default(), &roomy).unwrap();
}

#[test]
fn anything_else_is_left_alone() {
    assert_eq!(add(b""), None);
    assert_eq!(add(&growing("1")), None, "a module is no component");
    let component = wat::parse_str(
        "(component (core module (memory 1) (func (drop (memory.grow (i32.const 1))))))",
    )
    .unwrap();
    for end in 0..component.len() {
        assert_eq!(add(&component[..end]), None);
    }
}
