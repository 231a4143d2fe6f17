#!/usr/bin/env python3
"""Writes the hand-made inputs of the fuzz targets: make_corpus.py [FOLDER], by default corpus/ beside this file. Each is small and
about one thing; what a fuzzer finds later joins them under its own name and is left alone."""
import json
import lzma
import os
import struct
import sys

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
PACK = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "b", U64: "Q", I64: "q", F64: "d"}
T_F32, T_F16, T_Q4_0, T_Q4_2, T_Q8_0, T_Q4_K = 0, 1, 2, 4, 8, 12


def text(s, claim=None):
    b = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(b) if claim is None else claim) + b


def value(kind, x):
    return text(x) if kind == STR else struct.pack("<" + PACK[kind], x)


def key(name, kind, x):
    return text(name) + struct.pack("<I", kind) + value(kind, x)


def array(name, kind, xs, claim=None):
    n = len(xs) if claim is None else claim
    return text(name) + struct.pack("<IIQ", ARR, kind, n) + b"".join(value(kind, x) for x in xs)


def tensor(name, ne, kind=T_F32, offset=0, n_dim=None):
    n = len(ne) if n_dim is None else n_dim
    return text(name) + struct.pack("<I", n) + struct.pack("<%dQ" % len(ne), *[x % 2**64 for x in ne]) \
        + struct.pack("<IQ", kind, offset)


def gguf(keys=(), tensors=(), data=b"", version=3, n_key=None, n_tensor=None, magic=b"GGUF", alignment=32):
    head = magic + struct.pack("<IQQ", version, len(tensors) if n_tensor is None else n_tensor,
                               len(keys) if n_key is None else n_key)
    meta = head + b"".join(keys) + b"".join(tensors)
    return meta + (b"\0" * (-len(meta) % alignment) + data if tensors else b"")


def floats(n):
    return struct.pack("<%df" % n, *[0.25 * i for i in range(n)])


def whole_keys():
    """One key of each type, and arrays of each."""
    keys = [key("general.architecture", STR, "llama"), key("llama.block_count", U32, 1), key("none", STR, "")]
    keys += [key("scalar.%d" % k, k, 1) for k in PACK]
    keys += [array("array.%d" % k, k, [0, 1, 1, 0]) for k in PACK]
    return keys + [array("tokens", STR, ["<s>", "", "a b", "\0"]), array("empty", F32, [])]


def option_keys(**other):
    """An exported model's options; others replace or join them."""
    keys = {"model.arch": (STR, "ultramem"), "model.vocab": (U64, 281), "model.width": (U64, 16), "model.heads": (U64, 2),
            "model.norm_eps": (F64, 1e-5), "model.tied": (BOOL, 1), "memory.insert": (STR, "0:1/2:3"), "memory.keys": (U64, 8)}
    keys.update({k.replace("__", "."): v for k, v in other.items()})
    return [key("mneme." + k, *v) for k, v in keys.items() if v]


def gguf_inputs():
    sound = gguf(whole_keys(), [tensor("a", [32, 2], T_Q4_0), tensor("b", [3], T_F32, 64), tensor("c", [2, 1, 3, 2], T_F16, 96)],
                 b"\x11" * 64 + floats(3) + bytes(20) + b"\x3c" * 24)
    one = lambda *a, **k: gguf([], [tensor("t", *a, **k)], floats(64))
    yield "sound", sound
    for i in range(0, len(sound), 131):
        yield "cut-%04d" % i, sound[:i]
    yield "cut-last-byte", sound[:-1]
    yield "empty", b""
    yield "options", gguf(option_keys())
    yield "options-no-vocab", gguf(option_keys(model__vocab=None))
    yield "options-arch-number", gguf(option_keys(model__arch=(U32, 4)))
    yield "options-arch-unknown", gguf(option_keys(model__arch=(STR, "hopfield")))
    yield "options-width-huge", gguf(option_keys(model__width=(U64, 2**63)))
    yield "options-width-minus", gguf(option_keys(model__width=(I64, -16)))
    yield "options-heads-zero", gguf(option_keys(model__heads=(U64, 0)))
    yield "options-eps-nan", gguf(option_keys(model__norm_eps=(F64, float("nan"))))
    yield "options-insert-long", gguf(option_keys(memory__insert=(STR, "0:1/" * 100)))
    yield "options-insert-back", gguf(option_keys(memory__insert=(STR, "2:1")))
    yield "options-flag-number", gguf(option_keys(model__tied=(U8, 2)))
    yield "zeros", bytes(256)
    yield "text", b"#!/bin/sh\necho not a model\n"
    yield "magic-reversed", gguf(magic=b"FUGG")
    for v in (0, 1, 2, 4, 0x03000000, 0xffffffff):
        yield "version-%x" % v, gguf(version=v)
    yield "keys-claimed", gguf(n_key=2**63)
    yield "keys-claimed-few", gguf([key("a", U32, 1)], n_key=2)
    yield "tensors-claimed", gguf(n_tensor=2**64 - 1)
    yield "tensors-claimed-few", gguf([], [tensor("t", [4])], floats(4), n_tensor=2)
    yield "key-empty", gguf([key("", U32, 1)])
    yield "key-twice", gguf([key("a", U32, 1), key("a", U32, 2)])
    yield "key-zero-byte", gguf([key("a\0b", U32, 1)])
    yield "key-not-utf8", gguf([key(b"\xff\xfe\x1b[31m", STR, b"\xc0\x80")])
    yield "key-long", gguf([text("", 2**64 - 1) + bytes(64)])
    yield "string-long", gguf([text("s") + struct.pack("<I", STR) + text("short", 2**63 + 5)])
    yield "type-unknown", gguf([text("k") + struct.pack("<I", 13) + bytes(32)])
    yield "type-negative", gguf([text("k") + struct.pack("<i", -1) + bytes(32)])
    yield "array-of-arrays", gguf([text("k") + struct.pack("<IIQ", ARR, ARR, 1) + bytes(32)])
    for kind, n in ((U8, 2**64 - 1), (U32, 2**62), (U64, 2**61), (STR, 2**61), (STR, 3), (F64, 2**32), (BOOL, 2**40)):
        yield "array-%d-claims-%x" % (kind, n), gguf([array("k", kind, [0 if kind != STR else "x"], n)])
    for a in (0, 1, 3, 8, 64, 2**31):
        yield "alignment-%x" % a, gguf([key("general.alignment", U32, a)], [tensor("t", [4])], floats(16), alignment=64)
    yield "alignment-string", gguf([key("general.alignment", STR, "32")], [tensor("t", [4])], floats(4))
    yield "alignment-array", gguf([array("general.alignment", U32, [32])], [tensor("t", [4])], floats(4))
    yield "alignment-wide", gguf([key("general.alignment", U64, 32)], [tensor("t", [4])], floats(4))
    yield "name-empty", gguf([], [tensor("", [4])], floats(4))
    yield "name-63", gguf([], [tensor("n" * 63, [4])], floats(4))
    yield "name-64", gguf([], [tensor("n" * 64, [4])], floats(4))
    yield "name-twice", gguf([], [tensor("t", [8]), tensor("t", [8], T_F32, 32)], floats(16))
    yield "name-zero-byte", gguf([], [tensor("a\0b", [8])], floats(16))
    yield "dims-0", one([], n_dim=0)
    yield "dims-5", one([1, 1, 1, 1, 1])
    yield "dims-claimed", one([4], n_dim=2**32 - 1)
    yield "dim-zero", one([4, 0])
    yield "dim-negative", one([-4, 1])
    yield "dims-wrap", one([2**32, 2**32])
    yield "dims-wrap-to-few", one([2**63, 2, 2, 4])
    yield "dims-bytes-wrap", one([2**31, 2**31])
    yield "dims-vast", one([2**40, 2**20])
    for t in (T_Q4_2, 5, 31, 36, 43, 2**31, 2**32 - 1):
        yield "tensor-type-%x" % t, one([32], t)
    yield "rows-odd", one([31], T_Q4_0)
    yield "rows-odd-k", one([128], T_Q4_K)
    for o in (1, 32, 2**63, 2**64 - 32):
        yield "offset-%x" % o, one([4], T_F32, o)
    yield "offsets-overlap", gguf([], [tensor("a", [16]), tensor("b", [16], T_F32, 32)], floats(32))
    yield "offsets-gap", gguf([], [tensor("a", [8]), tensor("b", [8], T_F32, 64)], floats(32))
    yield "data-missing", gguf([], [tensor("t", [4])])[:-1]
    yield "data-short", gguf([], [tensor("t", [65])], floats(64))
    yield "data-left-over", gguf([], [tensor("t", [4])], floats(64))


HEAD = ("magic version head_bytes file_bytes model_hash n_layer n_head n_kv_head head_dim kv_type compact name_bytes policy_bytes "
        "budget_bytes n_pin slot_bytes lane_bytes n_query_ring n_ctx chunk seed n_seen n_prompt query_begin n_nan kv_peak_bytes "
        "forward_s evict_s last_token").split()
HEAD_FORMAT = "<8sIIQQIIIIIIIIIIQQQQQQqqqQQddq"
POLICY = "h2o:recent=50%,every=1,of=prompt"  # canonical, for fuzz_session.c's model and options


def lane(n, n_origin=0, pos=None, token=None, head_dim=8, slot_bytes=4, claim=None):
    """A lane of q8 slots; lane state is empty. claim: what its head says, (n, n_origin)."""
    pos, token = pos or list(range(n)), token or list(range(n))
    origins = b"".join(struct.pack("<if", pos[i % n], 0.01) + bytes(range(head_dim)) for i in range(n_origin))
    pages = bytes(i % 251 for i in range(-(-n // 64) * 128 * head_dim))
    return struct.pack("<QQ", *(claim or (n, n_origin))) + struct.pack("<%di%di" % (n, n), *pos, *token) \
        + struct.pack("<%df" % (2 * n), *[0.01] * (2 * n)) + b"\0" * (slot_bytes * n) + origins + pages


def session(lanes, policy=POLICY, budget="8", name="tiny", pins=b"", ring=b"", tail=b"", **changed):
    h = dict.fromkeys(HEAD, 0)
    h.update(magic=b"MNEMESES", version=4, head_bytes=184, n_layer=2, n_head=1, n_kv_head=1, head_dim=8, kv_type=2, compact=1,
             name_bytes=len(name), policy_bytes=len(policy), budget_bytes=len(budget), n_pin=len(pins) // 16, slot_bytes=4,
             n_ctx=256, chunk=64, n_seen=8, n_prompt=8, query_begin=8, forward_s=0.5, evict_s=0.25)
    h.update(changed)
    body = (name + policy + budget).encode() + pins + b"".join(lanes) + ring + tail
    h["file_bytes"] = 184 + len(body) + 8
    return struct.pack(HEAD_FORMAT, *[h[k] for k in HEAD]) + body + bytes(8)


def session_inputs():
    """Checksum and model are made to fit by the target."""
    two = [lane(8), lane(8)]
    sound = session(two)
    yield "sound", sound
    yield "moved", session([lane(8, 3, [2, 5, 6, 7, 8, 9, 10, 11], [0, 1, 3, 7, 8, 9, 10, 11]), lane(8, 8)], n_seen=12, query_begin=12)
    yield "nothing-read", session([lane(0), lane(0)], n_seen=0, n_prompt=0, query_begin=0)
    yield "two-pages", session([lane(70), lane(65)], n_seen=70, query_begin=70)
    yield "pinned", session(two, pins=struct.pack("<4q", 2, 3, 5, 7))
    for i in range(0, len(sound), 197):
        yield "cut-%04d" % i, sound[:i]
    for key, values in (("n_layer", (0, 1, 3, 2**32 - 1)), ("n_kv_head", (0, 2**31)), ("n_head", (0, 7)),
                        ("head_dim", (0, 1, 9, 2**32 - 1)), ("kv_type", (0, 1, 3)), ("compact", (0, 2)), ("version", (0, 2, 4)),
                        ("head_bytes", (0, 183, 2**32 - 1)), ("name_bytes", (5, 2**32 - 1)), ("policy_bytes", (0, 2**31)),
                        ("budget_bytes", (0, 2)), ("n_pin", (1, 2**32 - 1)), ("slot_bytes", (0, 8, 2**64 - 1, 2**61)),
                        ("lane_bytes", (1, 2**64 - 1)), ("n_query_ring", (1, 2**62)), ("n_ctx", (0, 2**64 - 1)),
                        ("chunk", (0, 2**64 - 1)), ("n_seen", (7, 9, -1, 2**31, 2**63 - 1)), ("n_prompt", (-1, 2**40)),
                        ("query_begin", (0, 7, 9, -1)), ("n_nan", (2**64 - 1,)), ("kv_peak_bytes", (2**64 - 1,)),
                        ("forward_s", (float("nan"), -1e308)), ("last_token", (-2, 2**40))):
        for v in values:
            text_v = ("%x" % v if isinstance(v, int) else str(v)).replace("-", "minus-")
            yield "%s-%s" % (key.replace("_", "-"), text_v), session(two, **{key: v})
    for n, o in ((9, 0), (7, 0), (64, 0), (2**64 - 1, 0), (2**58, 0), (2**32, 2**32), (8, 9), (8, 1), (8, 2**64 - 1), (257, 0)):
        yield "lane-claims-%x-%x" % (n, o), session([lane(8, claim=(n, o)), lane(8)])
    for what, xs in (("falls", [0, 1, 2, 3, 4, 5, 7, 6]), ("twice", [0, 1, 2, 3, 4, 4, 5, 6]), ("negative", [-1, 0, 1, 2, 3, 4, 5, 6]),
                     ("beyond", [0, 1, 2, 3, 4, 5, 6, 8]), ("far", [0, 1, 2, 3, 4, 5, 6, 2**31 - 1])):
        yield "pos-" + what, session([lane(8, pos=xs), lane(8)])
        yield "token-" + what, session([lane(8, token=xs), lane(8)])
    yield "origin-beyond", session([lane(8, 8, [i + 4 for i in range(8)])] * 2)
    yield "pin-backwards", session(two, pins=struct.pack("<2q", 7, 2))
    yield "pin-wide", session(two, pins=struct.pack("<2q", 0, 2**63 - 1))
    yield "policy-other", session(two, policy="full")
    yield "policy-zero-byte", session(two, policy=POLICY + "\0")
    yield "budget-other", session(two, budget="9")
    yield "one-lane", session(two[:1])
    yield "three-lanes", session(two + two[:1])
    yield "left-over", session(two, tail=b"\1")
    yield "ring", session(two, ring=floats(32), n_query_ring=4, query_begin=4)


def zstd(b, claim=None):
    """A frame with one raw block; claim: the size that its head says."""
    n = len(b) if claim is None else claim
    return struct.pack("<IBBHB", 0xFD2FB528, 0x20, n & 0xff, (len(b) << 3 | 1) & 0xffff, len(b) >> 13) + b


def row_inputs():
    """Lines of sets of prompts; fuzz_rows.c reads each as one line and as a whole file."""
    whole = {"context": "c\n\u00e9", "input": "why?", "answers": ["a", 3, -2.5], "all_classes": ["x", "y"], "language": "en",
             "dataset": "d", "_id": "i7", "length": 12, "depth": 0.25, "max_tokens": 512, "other": {"deep": [1, [2, None]]}}
    choice = {"context": "Q", "continuations": [" a", " b"], "gold": 1, "source_id": 5}
    line = lambda x: json.dumps(x, ensure_ascii=False).encode()
    a, c = line(whole), line(choice)
    yield "answer", a
    yield "choice", c
    yield "choice-contexts", line({"contexts": ["x", "y"], "continuations": ["1", "1"], "gold": 0})
    yield "lines", a + b"\n" + c + b"\r\n\n \t\n" + a
    yield "lines-bad", a + b"\n{oops\n" + c + b"\n{}\n" + line(["x"])
    yield "mark", b"\xef\xbb\xbf" + a + b"\n" + b"\xef\xbb\xbf" + c
    yield "long-line", line({"input": "y" * 400, "answers": ["z"]}) + b"\n" + c
    yield "empty", b""
    yield "zeros", bytes(64)
    yield "newlines", b"\n" * 100
    for i in range(0, len(a), 29):
        yield "cut-%04d" % i, a[:i]
    for key in whole:
        for what, v in (("null", None), ("list", []), ("object", {}), ("true", True), ("text", "t"), ("texts", ["a", "b"]),
                        ("number", 1e300), ("negative", -1)):
            yield "%s-%s" % (key.strip("_").replace("_", "-"), what), line(dict(whole, **{key: v}))
    for key in choice:
        for what, v in (("null", None), ("list", []), ("one", ["a"]), ("negative", -1), ("beyond", 2), ("vast", 2**63 - 1)):
            yield "choice-%s-%s" % (key.replace("_", "-"), what), line(dict(choice, **{key: v}))
    yield "contexts-few", line({"contexts": ["x"], "continuations": ["1", "2"], "gold": 0})
    yield "integer-vast", b'{"input":"","answers":[1],"length":99999999999999999999}'
    yield "number-vast", b'{"input":"","answers":[1e999],"depth":1e999}'
    yield "number-nan", b'{"input":"","answers":["a"],"depth":NaN}'
    yield "numbers-long", b'{"input":"","answers":[-1.7976931348623157e308,5e-324,0.1,123456789012345678]}'
    yield "key-twice", b'{"context":"a","context":"b","answers":["a"]}'
    yield "escaped-zero", b'{"context":"\\u0000","answers":["a"]}'
    yield "escaped-zero-key", b'{"a\\u0000b":1,"context":"","answers":["a"]}'
    yield "escaped-half", b'{"context":"\\ud800","answers":["a"]}'
    yield "escaped-pair", b'{"context":"\\ud83e\\udd99","answers":["a"]}'
    yield "byte-zero", b'{"context":"\0","answers":["a"]}'
    yield "byte-ff", b'{"context":"\xff","answers":["a"]}'
    yield "overlong", b'{"context":"\xc0\x80","answers":["a"]}'
    yield "surrogate", b'{"context":"\xed\xa0\x80","answers":["a"]}'
    yield "deep", b'{"x":' + b"[" * 3000 + b"]" * 3000 + b"}"
    yield "deep-open", b"[" * 8000
    yield "behind", a + b" x"
    xz = lzma.compress(a + b"\n" + c, check=lzma.CHECK_CRC32)
    yield "xz", xz
    yield "xz-twice", xz + xz
    yield "xz-cut", xz[:-9]
    yield "xz-head", xz[:12]
    yield "xz-damaged", xz[:40] + bytes([xz[40] ^ 0x55]) + xz[41:]
    yield "xz-bomb", lzma.compress(bytes(1 << 20))
    yield "xz-left-over", xz + b"more"
    z = zstd(c)
    yield "zstd", z
    yield "zstd-twice", z + zstd(b"\n" + c)
    yield "zstd-cut", z[:-3]
    yield "zstd-claims", zstd(c, 255)
    yield "zstd-head", z[:5]
    yield "zstd-window", struct.pack("<IBB", 0xFD2FB528, 0x00, 0xf8) + b"\x01\0\0"
    yield "zstd-skipped", struct.pack("<II", 0x184D2A50, 4) + b"skip" + z


NAMM = {"general.architecture": (STR, "namm"), "namm.version": (U32, 1), "namm.window": (U32, 8), "namm.hop": (U32, 4),
        "namm.gamma": (F64, 0.99), "namm.update": (U32, 16), "namm.age_dim": (U32, 2), "namm.age_base": (F64, 50000.0),
        "namm.by_length": (BOOL, 0), "namm.log": (BOOL, 1), "namm.corrected": (BOOL, 1), "namm.inputs": (ARR, ["age", "dc"]),
        "namm.head": (STR, "linear")}
MLP = {"namm.head": (STR, "mlp"), "namm.bias": (BOOL, 1), "namm.depth": (U32, 3), "namm.hidden": (U32, 3),
       "namm.residual": (BOOL, 1), "namm.residual_first": (BOOL, 1)}
BAM = {"namm.head": (STR, "bam"), "namm.bias": (BOOL, 1), "namm.hidden": (U32, 4), "namm.heads": (U32, 2), "namm.mult": (BOOL, 1)}
MIX = {"namm.head": (STR, "mix"), "namm.components": (U32, 2)}


def namm(changed=(), params=(1, 2, 3, 4), mean=(0, 0.5, -1), deviation=(1, 2, 0.5), kind=T_F32):
    """The keys of a linear NAMM of three inputs, changed: (type, value), or None for left out."""
    keys = [array(k, STR, v[1]) if v[0] == ARR else key(k, *v) for k, v in dict(NAMM, **dict(changed)).items() if v]
    blocks = [(n, x) for n, x in (("namm.params", params), ("namm.mean", mean), ("namm.deviation", deviation)) if x]
    tensors, data = [], b""
    for name, x in blocks:
        tensors.append(tensor(name, [len(x)], kind, len(data)))
        data += struct.pack("<%d%s" % (len(x), "e" if kind == T_F16 else "f"), *x)
        data += bytes(-len(data) % 32)
    return gguf(keys, tensors, data)


def namm_inputs():
    """Nothing that the reader of GGUF files refuses: that is the other corpus."""
    nan, inf = float("nan"), float("inf")
    yield "linear", namm()
    yield "mlp", namm(MLP, [0.1 * i for i in range(28)])
    yield "bam", namm(dict(BAM, **{"namm.policy_options": (STR, "recent=16,alloc=uniform"), "namm.note.seed": (STR, "51"),
                                   "namm.note.base": (STR, "tiny")}), [0.05 * (i % 11 - 5) for i in range(82)])
    yield "mix", namm(MIX, [0.2 * (i % 5 - 2) for i in range(8)])
    yield "mix-params-vast", namm(MIX, [float("inf"), 3e38, -3e38, 0, 3e38, -float("inf"), 1, -1])
    yield "mix-params-7", namm(MIX, [0] * 7)
    yield "mix-gone-components", namm(dict(MIX, **{"namm.components": None}), [0] * 8)
    yield "mix-text-components", namm(dict(MIX, **{"namm.components": (STR, "2")}), [0] * 8)
    for x in (0, 1, 3, 16, 17, 2**32 - 1):
        yield "mix-components-%x" % x, namm(dict(MIX, **{"namm.components": (U32, x)}), [0] * (64 if x == 16 else 8))
    yield "params-nan", namm((), (nan, -nan, inf, 3e38))
    yield "params-vast", namm(BAM, [3e38 * (-1) ** i for i in range(82)])
    yield "architecture", namm({"general.architecture": (STR, "llama")})
    for name in NAMM:
        yield "gone-" + name.split(".")[1].replace("_", "-"), namm({name: None})
        yield "text-" + name.split(".")[1].replace("_", "-"), namm({name: (STR, "\x1b[31m")})
    for name, values in (("version", (0, 2)), ("window", (0, 7, 66, 2**32 - 1)), ("hop", (0, 3, 16)), ("update", (0, 15, 2**31)),
                         ("age_dim", (0, 3, 2**30))):
        for x in values:
            yield "%s-%x" % (name.replace("_", "-"), x), namm({"namm." + name: (U32, x)})
    for name in ("gamma", "age_base"):
        for x in (nan, inf, 0.0, -1.0, 1.0):
            yield "%s-%g" % (name.replace("_", "-"), x), namm({"namm." + name: (F64, x)})
    for x in ("spectrum", "dc"):
        yield "gamma-near-1-" + x, namm({"namm.gamma": (F64, 1 - 1e-12), "namm.window": (U32, 4), "namm.inputs": (ARR, [x])},
                                        (1,) * (4 if x == "spectrum" else 2), *[(1,) * (3 if x == "spectrum" else 1)] * 2)
    for x in ([], [""], ["a" * 23], ["a" * 24], ["x"] * 33):
        yield "inputs-%d-%d" % (len(x), len("".join(x))), namm({"namm.inputs": (ARR, x)})
    for name, x in (("unknown", ["age", "zz"]), ("twice", ["age", "age"]), ("fewer", ["age"]), ("late", ["age", "row"])):
        yield "inputs-" + name, namm({"namm.inputs": (ARR, x)})
    for x in ("dc", "row"):
        yield "stride-" + x, namm({"namm.stride": (U32, 4), "namm.inputs": (ARR, ["age", x])})
    for name, values in (("hidden", (0, 3, 2**32 - 1)), ("heads", (0, 3, 5))):
        for x in values:
            yield "bam-%s-%x" % (name, x), namm(dict(BAM, **{"namm." + name: (U32, x)}), [0] * 82)
    for x in (0, 1, 16, 17, 2**32 - 1):
        yield "mlp-depth-%x" % x, namm(dict(MLP, **{"namm.depth": (U32, x)}), [0] * 28)
    yield "mlp-hidden-5", namm(dict(MLP, **{"namm.hidden": (U32, 5)}), [0] * 28)
    for n in (1, 3, 5):
        yield "params-%d" % n, namm((), [0] * n)
    yield "params-none", namm((), ())
    yield "mean-none", namm((), mean=())
    yield "mean-4", namm((), mean=[0] * 4)
    yield "mean-nan", namm((), mean=[0, nan, 0])
    yield "deviation-none", namm((), deviation=())
    yield "deviation-2", namm((), deviation=[1, 1])
    for x in (nan, inf, 0.0, -1.0):
        yield "deviation-%g" % x, namm((), deviation=[1, x, 1])
    yield "half", namm((), kind=T_F16)
    yield "inputs-vast", namm((), mean=[0] * 1025, deviation=[1])
    yield "note-number", namm({"namm.note.seed": (U32, 51)})
    yield "note-empty", namm({"namm.note.": (STR, "")})
    yield "note-long", namm({"namm.note." + "k" * 257: (STR, "x")})
    yield "options-long", namm({"namm.policy_options": (STR, "o" * 4097)})


def shard(tokens=(5, 6, 2, 7, 2), magic=b"mn-shard", version=1, size=2, n_vocab=9, end=2, n_token=None, n_document=2, repair=1,
          reserved=b"\0" * 64):
    """The target makes the sums right where the first byte is odd."""
    head = magic + struct.pack("<IIQIiQQQ", version, size, 77, n_vocab, end, len(tokens) if n_token is None else n_token, n_document, 0)
    return bytes([repair]) + head + reserved + bytes(8) + b"".join(struct.pack("<I", t)[:size] for t in tokens)


def shard_inputs():
    sound = shard()
    yield "sound", sound
    yield "wide", shard((70000, 3, 65536), size=4, n_vocab=70001, end=65536, n_document=1)
    yield "sums", shard(repair=0)
    for n in (1, 2, 9, 128, 129, 130, len(sound) - 2, len(sound) - 1):
        yield "cut-%d" % n, sound[:n]
    yield "longer", sound + b"\0\0"
    yield "magic", shard(magic=b"mn-shart")
    for x in (0, 2):
        yield "version-%d" % x, shard(version=x)
    for x in (0, 1, 3, 4):
        yield "width-%d" % x, shard(size=x)
    for x in (0, 1, 7, 2**31, 2**32 - 1):
        yield "vocab-%x" % x, shard(n_vocab=x)
    for x in (-1, 6, 9, -2**31, 2**31 - 1):
        yield "end-%d" % x, shard(end=x)
    for x in (0, 4, 6, 2**31, 2**63, 2**64 - 1):
        yield "tokens-%x" % x, shard(n_token=x)
    for x in (0, 1, 3, 2**64 - 1):
        yield "documents-%x" % x, shard(n_document=x)
    yield "no-tokens", shard((), n_document=0)
    yield "one-token", shard((2,), n_document=1)
    yield "open", shard((2, 2, 5))
    yield "beyond", shard((5, 9, 2, 2))
    yield "minus", shard((2**32 - 1, 65536), size=4, n_vocab=70001, end=65536, n_document=1)
    yield "reserved", shard(reserved=b"\1" * 64)
    yield "many", shard([5, 6, 7, 2] * 900)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
    for target, inputs in (("gguf", gguf_inputs()), ("namm", namm_inputs()), ("rows", row_inputs()),
                           ("session", session_inputs()), ("shard", shard_inputs())):
        folder = os.path.join(root, target)
        os.makedirs(folder, exist_ok=True)
        names = set()
        for name, content in inputs:
            assert name not in names and len(content) < 8192, name
            names.add(name)
            with open(os.path.join(folder, name), "wb") as f:
                f.write(content)
        print("%s: %d inputs" % (folder, len(names)))


main()
