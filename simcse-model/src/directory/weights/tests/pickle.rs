use super::*;

/// Runs a pickle, and returns its value or what was found.
fn run(pickle: &[u8]) -> Result<String, String> {
    let mut machine = Machine::new(pickle);
    let value = machine.run()?;
    Ok(format!("{value:?}"))
}

#[track_caller]
fn refused(pickle: &[u8], expected: &str) {
    let found = run(pickle).unwrap_err();
    assert!(found.contains(expected), "{found}");
}

/// Numbers as Python's pickler writes them: `pickle.dumps(n, 2)`.
#[test]
fn integers_of_every_width_are_decoded() {
    for (pickle, expected) in [
        (&b"\x80\x02K\xff."[..], 255),
        (b"\x80\x02M\xe9\x03.", 1001),
        (b"\x80\x02J\xff\xff\xff\xff.", -1),
        (b"\x80\x02\x8a\x05\x00\x00\x00\x00\x01.", 1 << 32),
        (b"\x80\x02\x8a\x06\x00\x00\x00\x00\xff\xff.", -(1 << 32)),
        (b"\x80\x02\x8a\x00.", 0),
    ] {
        assert_eq!(Machine::new(pickle).run(), Ok(Value::Int(expected)));
    }
    refused(b"\x80\x02\x8a\x09123456789.", "an integer of 9 bytes");
}

#[test]
fn pickles_in_a_row_share_their_heap_but_not_their_memo() {
    let mut machine = Machine::new(b"\x80\x02K\x01\x85q\x00.\x80\x02h\x00.");
    assert_eq!(machine.run(), Ok(Value::Tuple(0, 1)));
    assert_eq!(machine.position(), 8);
    assert!(machine.run().unwrap_err().starts_with("a use of memo 0, which is empty"));
}

#[test]
fn opcodes_and_globals_outside_the_list_are_named() {
    // Python names: pickletools.opcodes.
    for (opcode, name) in [
        (b'0', "POP"),
        (b'i', "INST"),
        (b'o', "OBJ"),
        (b'P', "PERSID"),
        (b'G', "BINFLOAT"),
        (b'\x81', "NEWOBJ"),
        (b'\x84', "EXT4"),
        (b'\x8b', "LONG4"),
        (b'\x8f', "EMPTY_SET"),
        (b'\x93', "STACK_GLOBAL"),
        (b'\x98', "READONLY_BUFFER"),
        (b'\x99', "0x99"),
        (b'\0', "0x00"),
    ] {
        refused(&[b'\x80', 2, opcode], &format!("the opcode {name}, which"));
    }
    refused(b"\x80\x02cos\nsystem\n(X\x04\0\0\0trueR.", "the global os.system, which");
    refused(b"\x80\x02cbuiltins\neval\n", "the global builtins.eval, which");
    refused(b"\x80\x02ctorch\nload\n", "the global torch.load, which");
    refused(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n", "_rebuild_tensor_v2.__globals__, which");
    refused(b"\x80\x04.", "a pickle of protocol 4");
}

#[test]
fn calls_and_items_of_the_wrong_kind_are_refused() {
    let dict = b"ccollections\nOrderedDict\n";
    let float = b"ctorch\nFloatStorage\n";
    refused(&[dict, &b"K\x01\x85R"[..]].concat(), "a call of OrderedDict with arguments that it does not have");
    refused(&[float, &b")R"[..]].concat(), "a call of Storage(F32) with arguments");
    refused(b"K\x01)R", "a call of what is not a function");
    refused(b"ctorch._utils\n_rebuild_tensor_v2\n)R", "a call of RebuildTensor with arguments");
    refused(b"K\x01Q", "a persistent id that is not of a storage");
    refused(b"K\x01K\x01a", "an append to what is not a list");
    refused(b"K\x01K\x01K\x01s", "an item for what is not a dictionary");
    refused(b"}(K\x01u", "a key without a value");
    refused(b"K\x01}b", "attributes (BUILD) of what is not a dictionary");
    refused(b"X\x01\0\0\0\xff", "text that is not UTF-8");
}

#[test]
fn the_stack_is_never_read_below_its_bottom_or_a_mark() {
    for pickle in [&b"."[..], b"\x85", b"K\x01(\x85", b"K\x01(.", b"}(K\x01s", b"(R", b"}(b", b"](K\x01a"] {
        let found = run(pickle).unwrap_err();
        assert!(found.starts_with("a value that is missing"), "{pickle:?}: {found}");
    }
    for pickle in [b"t", b"e", b"u"] {
        refused(pickle, "a mark that is missing");
    }
    for pickle in [&b""[..], b"\x80", b"X\x02\0\0\0a", b"X\xff\xff\xff\xffa", b"cos", b"cos\nsys", b"K", b"\x8a\x05a"] {
        refused(pickle, "a pickle that does not end");
    }
}

#[test]
fn steps_and_values_are_limited() {
    let message = "a pickle of more values than any model has tensors";
    refused(&b"N".repeat(MAX_STACK + 1), message);
    refused(&b"(".repeat(MAX_STACK + 1), message);
    refused(&[&b"N"[..], &b"\x85".repeat(MAX_STEPS)].concat(), message);
    assert_eq!(run(&[&b"N"[..], &b"\x85".repeat(MAX_STEPS - 2), b"."].concat()).unwrap(), "Tuple(524285, 1)");
}
